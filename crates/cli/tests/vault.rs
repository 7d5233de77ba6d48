//! Files for keys of Vault, with a real server and the real SOPS on the other side.

use bulla_testkit::control_plane::ControlPlane;
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use bulla_testkit::{free_port, needs_peers, peers};

use crate::fixture::{Keys, Place, bulla};

const PLAIN: &str = "# comment\nuser: shop\npassword: hunter2\n";

/// A directory with a plain file, the URI of a key of this test alone, and the server that has it.
fn place(engine: &str) -> (Place, String, &'static Vault) {
    let vault = Vault::shared();
    vault.write(&format!("sys/mounts/{engine}"), r#"{"type": "transit"}"#);
    vault.write(&format!("{engine}/keys/k"), "{}");
    let place = Place::new().with_program(&peers::sops());
    place.write("app.yaml", PLAIN);
    (place, format!("{}/v1/{engine}/keys/k", vault.address()), vault)
}

/// The environment of somebody who is logged in.
fn logged_in(vault: &Vault) -> String {
    format!("export VAULT_ADDR={} VAULT_TOKEN={ROOT_TOKEN};", vault.address())
}

/// The same for somebody without an identity of age.
fn without_age(vault: &Vault) -> String {
    format!("unset SOPS_AGE_KEY_FILE; {}", logged_in(vault))
}

#[test]
fn sops_opens_what_bulla_encrypts_for_vault_and_the_reverse() {
    needs_peers!();
    let (place, uri, vault) = place("both-ways");
    let with_vault = without_age(vault);
    place.does(&format!("{} bulla encrypt --hc-vault-transit {uri} app.yaml > by-bulla.yaml", logged_in(vault)));
    let written = place.read("by-bulla.yaml");
    assert!(!written.contains("hunter2") && written.contains("engine_path: both-ways"), "{written}");
    assert_eq!(place.does(&format!("{with_vault} sops decrypt by-bulla.yaml")), PLAIN);
    assert_eq!(place.does(&format!("{with_vault} bulla decrypt by-bulla.yaml")), PLAIN);

    place.does(&format!("{} sops encrypt --hc-vault-transit {uri} app.yaml > by-sops.yaml", logged_in(vault)));
    assert_eq!(place.does(&format!("{with_vault} bulla decrypt by-sops.yaml")), PLAIN);
    // The entry of either has the same fields in the same order.
    let fields = |file: &str| -> Vec<String> {
        let text = place.read(file);
        let lines = text.lines().skip_while(|line| !line.contains("hc_vault:")).skip(1).take(5);
        lines.map(|line| line.trim_start_matches(['-', ' ']).split(':').next().unwrap().to_owned()).collect()
    };
    assert_eq!(fields("by-bulla.yaml"), fields("by-sops.yaml"));
    assert_eq!(fields("by-bulla.yaml"), ["created_at", "enc", "engine_path", "key_name", "vault_address"]);

    // What changes a file needs the same key and keeps what it wrapped.
    place.does(&format!("{with_vault} printf swordfish | bulla set by-sops.yaml '[\"password\"]'"));
    assert_eq!(place.does(&format!("{with_vault} sops decrypt --extract '[\"password\"]' by-sops.yaml")), "swordfish");
    let edit = "EDITOR='sed -i s/shop/store/' bulla edit by-bulla.yaml";
    place.does(&format!("{with_vault} {edit}"));
    assert_eq!(place.does(&format!("{with_vault} sops decrypt by-bulla.yaml")), PLAIN.replace("shop", "store"));
    let wrapped = |text: &str| text.lines().find(|line| line.contains("vault:v1:")).unwrap().to_owned();
    assert_eq!(wrapped(&place.read("by-bulla.yaml")), wrapped(&written));
    // A new data key is wrapped anew, for the same key.
    place.does(&format!("{with_vault} bulla rotate --all by-bulla.yaml"));
    assert_ne!(wrapped(&place.read("by-bulla.yaml")), wrapped(&written));
    assert_eq!(place.does(&format!("{with_vault} sops decrypt by-bulla.yaml")), PLAIN.replace("shop", "store"));
}

#[test]
fn any_of_several_recipients_opens_a_file() {
    needs_peers!();
    let (place, uri, vault) = place("several");
    let rule = format!("creation_rules:\n  - age: {}\n    hc_vault_transit_uri: {uri}\n", Keys::shared().alice);
    place.write(".sops.yaml", rule);
    place.does(&format!("{} bulla encrypt app.yaml > by-rule.yaml", logged_in(vault)));
    let line = "bulla encrypt --age $ALICE --hc-vault-transit";
    place.does(&format!("{} {line} {uri} app.yaml > by-option.yaml", logged_in(vault)));
    let group = format!(
        "creation_rules:\n  - key_groups:\n      - age: [{}]\n        hc_vault: [{uri}]\n",
        Keys::shared().alice
    );
    place.write("group.yaml", group);
    place.does(&format!("{} bulla encrypt --config group.yaml app.yaml > by-group.yaml", logged_in(vault)));
    place.does(&format!("{} sops encrypt app.yaml > by-sops.yaml", logged_in(vault)));
    for file in ["by-rule.yaml", "by-option.yaml", "by-group.yaml", "by-sops.yaml"] {
        let text = place.read(file);
        assert!(text.contains("recipient: ") && text.contains("vault_address: "), "{file}: {text}");
        // With one of them each, and with neither server nor token; by both programs.
        for program in ["bulla", "sops"] {
            assert_eq!(place.does(&format!("{program} decrypt {file}")), PLAIN, "{program} {file}");
            assert_eq!(place.does(&format!("{} {program} decrypt {file}", without_age(vault))), PLAIN, "{file}");
        }
    }
    // The file agrees with the rule that made it, and with that of sops.
    place.does(&format!("{} bulla rotate --check by-rule.yaml by-sops.yaml", logged_in(vault)));
    // Many files, one client.
    for number in 0..30 {
        place.write(&format!("tree/{number}.yaml"), PLAIN);
    }
    place.does(&format!("{} bulla encrypt --in-place tree", logged_in(vault)));
    place.does(&format!("{} bulla decrypt --in-place tree", without_age(vault)));
    assert_eq!(place.read("tree/29.yaml"), PLAIN);
}

#[test]
fn what_is_wrong_is_said_with_the_way_out_and_without_the_token() {
    needs_peers!();
    let (place, uri, vault) = place("wrong");
    let address = vault.address();
    place.does(&format!("{} bulla encrypt --hc-vault-transit {uri} --in-place app.yaml", logged_in(vault)));
    let narrow = vault.token("wrong", r#"path "wrong/encrypt/k" { capabilities = ["update"] }"#);
    let unreachable = format!("http://127.0.0.1:{}", free_port());
    for (line, code, messages) in [
        (
            format!("unset VAULT_ADDR; VAULT_TOKEN={ROOT_TOKEN} bulla decrypt app.yaml"),
            128,
            vec!["nothing here says that credentials may be sent there".to_owned(), format!("VAULT_ADDR={address}")],
        ),
        (
            format!(
                "VAULT_ADDR={address} VAULT_TOKEN={ROOT_TOKEN} SOPS_HC_VAULT_ALLOWLIST=none bulla decrypt app.yaml"
            ),
            128,
            vec!["nothing here says".to_owned()],
        ),
        (
            format!("VAULT_ADDR={address} bulla decrypt app.yaml"),
            128,
            vec![
                "no credentials for".to_owned(),
                "VAULT_TOKEN: not set".to_owned(),
                ".vault-token: not there".to_owned(),
            ],
        ),
        (
            format!("VAULT_ADDR={address} VAULT_TOKEN=hvs.hunter2 bulla decrypt app.yaml"),
            128,
            vec!["does not accept the token from `VAULT_TOKEN`".to_owned(), "hint: it may have expired".to_owned()],
        ),
        (
            format!("VAULT_ADDR={address} VAULT_TOKEN={narrow} bulla decrypt app.yaml"),
            128,
            vec![
                "may not update `wrong/decrypt/k`".to_owned(),
                "hint: this policy allows it: path \"wrong/decrypt/k\" { capabilities = [\"update\"] }".to_owned(),
            ],
        ),
        (
            format!("VAULT_TOKEN={ROOT_TOKEN} bulla encrypt --hc-vault-transit {unreachable}/v1/t/keys/k other.yaml"),
            1,
            vec!["cannot be reached".to_owned()],
        ),
        (
            "VAULT_CACERT=missing.pem VAULT_TOKEN=t bulla encrypt --hc-vault-transit https://v/v1/t/keys/k other.yaml"
                .to_owned(),
            1,
            vec!["`VAULT_CACERT` (missing.pem): No such file".to_owned()],
        ),
        (
            "VAULT_ADDR=vault VAULT_TOKEN=t bulla encrypt --hc-vault-transit https://v/v1/t/keys/k other.yaml"
                .to_owned(),
            1,
            vec!["`VAULT_ADDR`: `vault` is not an address".to_owned()],
        ),
        (
            "bulla encrypt --hc-vault-transit https://vault/keys/k other.yaml".to_owned(),
            64,
            vec!["is not the URI of a transit key".to_owned()],
        ),
    ] {
        place.write("other.yaml", PLAIN);
        let finished = place.run(&line);
        let said = finished.stderr_text();
        assert_eq!(finished.code(), Some(code), "{line}\n{said}");
        for message in messages {
            assert!(said.contains(&message), "{line}: `{message}` is not in\n{said}");
        }
        assert!(finished.stdout_text().is_empty() && !said.contains("hunter2") && !said.contains(&narrow), "{said}");
    }
}

#[test]
fn a_token_comes_from_the_environment_a_role_or_what_a_login_left() {
    needs_peers!();
    let (place, uri, vault) = place("logins");
    let address = vault.address();
    vault.write("sys/policies/acl/logins", r#"{"policy": "path \"logins/+/k\" { capabilities = [\"update\"] }"}"#);
    vault.write("sys/auth/approle", r#"{"type": "approle"}"#);
    vault.write("auth/approle/role/r", r#"{"token_policies": ["logins"]}"#);
    vault.write("auth/approle/role/r/role-id", r#"{"role_id": "the-role"}"#);
    vault.write("auth/approle/role/r/custom-secret-id", r#"{"secret_id": "swordfish"}"#);
    place.does(&format!("{} bulla encrypt --hc-vault-transit {uri} --in-place app.yaml", logged_in(vault)));
    let by_role = format!("VAULT_ADDR={address} VAULT_ROLE_ID=the-role VAULT_SECRET_ID=swordfish");
    assert_eq!(place.does(&format!("{by_role} bulla decrypt app.yaml")), PLAIN);
    // `vault login` writes no line break, people do.
    let left = format!("printf '{ROOT_TOKEN}\\n' > ~/.vault-token; VAULT_ADDR={address} bulla decrypt app.yaml");
    assert_eq!(place.does(&left), PLAIN);

    let encrypted = vault.encrypted_address();
    place.write("ca.pem", vault.certificate());
    let trusting = format!("VAULT_ADDR={encrypted} VAULT_TOKEN={ROOT_TOKEN} VAULT_CACERT=ca.pem");
    place.write("tls.yaml", PLAIN);
    place
        .does(&format!("{trusting} bulla encrypt --hc-vault-transit {encrypted}/v1/logins/keys/k --in-place tls.yaml"));
    assert_eq!(place.does(&format!("{trusting} bulla decrypt tls.yaml")), PLAIN);
    assert_eq!(place.does(&format!("{trusting} sops decrypt tls.yaml")), PLAIN);
}

#[test]
fn a_pod_opens_files_as_its_service_account() {
    needs_peers!();
    let (place, uri, vault) = place("of-pods");
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("pods");
    let name = namespace.name();
    let reviewer = namespace.token_reviewer("pod");
    vault.write("sys/auth/pods", r#"{"type": "kubernetes"}"#);
    let authority = std::fs::read_to_string(control_plane.ca_certificate()).unwrap();
    vault.write(
        "auth/pods/config",
        &format!(
            r#"{{"kubernetes_host": "{}", "kubernetes_ca_cert": "{}", "token_reviewer_jwt": "{}", "disable_local_ca_jwt": true}}"#,
            control_plane.server(),
            authority.replace('\n', "\\n"),
            reviewer,
        ),
    );
    vault.write("sys/policies/acl/of-pods", r#"{"policy": "path \"of-pods/+/k\" { capabilities = [\"update\"] }"}"#);
    vault.write(
        "auth/pods/role/shop",
        &format!(
            r#"{{"bound_service_account_names": ["pod"], "bound_service_account_namespaces": ["{name}"], "token_policies": ["of-pods"]}}"#
        ),
    );
    place.does(&format!("{} bulla encrypt --hc-vault-transit {uri} --in-place app.yaml", logged_in(vault)));

    let file = place.file("app.yaml").display().to_string();
    // Where the system does not allow it, the tests of the kit say so.
    let Ok(program) = control_plane.as_pod(name, "pod", bulla(), ["decrypt", &file]) else { return };
    let program = program.env_remove("VAULT_TOKEN").env_remove("VAULT_ROLE_ID").env("VAULT_ADDR", vault.address());
    let program = program.env("BULLA_VAULT_KUBERNETES_ROLE", "shop").env("BULLA_VAULT_AUTH_PATH", "pods");
    assert_eq!(program.run().unwrap().success().stdout_text(), PLAIN);
    let _deleted = control_plane.kubectl(["delete", "clusterrolebinding", name]).run().unwrap().success();
}
