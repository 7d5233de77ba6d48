//! Files for keys of Google Cloud KMS, Azure Key Vault and Huawei Cloud KMS, with their stand-in, and the real SOPS on the other side.

use bulla_testkit::clouds::{Clouds, Fault};
use bulla_testkit::{needs_peers, peers};
use serde_json::{Value, json};

use crate::fixture::{Keys, Place};

const PLAIN: &str = "# comment\nuser: shop\npassword: hunter2\n";
const GOOGLE_KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys";
const VAULT: &str = "https://shop.vault.azure.net";
const APPLICATION: &str = "11111111-1111-1111-1111-111111111111";

fn place() -> Place {
    let place = Place::new().with_program(&peers::sops());
    place.write("app.yaml", PLAIN);
    place
}

/// The environment of somebody with a token of Google's and no identity of age.
fn with_token(clouds: &Clouds, given: &Value) -> String {
    format!(
        "unset SOPS_AGE_KEY_FILE; export SOPS_GCP_KMS_CLIENT_TYPE=rest SOPS_GCP_KMS_ENDPOINT={} GOOGLE_OAUTH_ACCESS_TOKEN={};",
        clouds.address(),
        given["token"].as_str().unwrap()
    )
}

/// The environment of an application of Azure, and no identity of age.
fn with_secret(clouds: &Clouds, client_id: &str, may: &[&str]) -> String {
    let given = clouds.let_in("azure", &json!({"client_id": client_id, "secret": "s3cret", "may": may}));
    format!(
        "unset SOPS_AGE_KEY_FILE; {} export AZURE_TENANT_ID={} AZURE_CLIENT_ID={client_id} AZURE_CLIENT_SECRET=s3cret;",
        clouds.by_name(),
        given["tenant"].as_str().unwrap()
    )
}

/// The lines of the first key of this kind in a file: names of fields, and the whole of those that are not made anew each time.
fn entry(text: &str, kind: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| line.trim() != format!("{kind}:")).skip(1);
    let lines = lines.take_while(|line| line.starts_with("        ")).map(|line| line.trim_start_matches(['-', ' ']));
    lines
        .map(|line| match line.split_once(':') {
            Some((name @ ("enc" | "created_at"), _)) => name.to_owned(),
            _ => line.to_owned(),
        })
        .collect()
}

/// What a command says that finds no key which opens a file.
fn refused(place: &Place, line: &str) -> String {
    let finished = place.run(line);
    assert_eq!(finished.code(), Some(128), "{}{}", finished.stderr_text(), finished.stdout_text());
    finished.stderr_text()
}

/// Both encrypt for the key, both open both; what they write of the key is the same.
fn both_ways(place: &Place, env: &str, option: &str, kind: &str) -> Vec<String> {
    for program in ["bulla", "sops"] {
        place.does(&format!("{env} {program} encrypt {option} app.yaml > by-{program}.yaml"));
    }
    let (by_bulla, by_sops) = (place.read("by-bulla.yaml"), place.read("by-sops.yaml"));
    assert!(!by_bulla.contains("hunter2"), "{by_bulla}");
    assert_eq!(entry(&by_bulla, kind), entry(&by_sops, kind));
    for file in ["by-bulla.yaml", "by-sops.yaml"] {
        for program in ["sops", "bulla"] {
            assert_eq!(place.does(&format!("{env} {program} decrypt {file}")), PLAIN, "{program} {file}");
        }
    }
    // What changes a file needs the same key and keeps what it wrapped.
    let wrapped = |text: &str| text.lines().find(|line| line.contains("enc: ")).unwrap().to_owned();
    place.does(&format!("{env} printf swordfish | bulla set by-sops.yaml '[\"password\"]'"));
    assert_eq!(wrapped(&place.read("by-sops.yaml")), wrapped(&by_sops));
    assert_eq!(place.does(&format!("{env} sops decrypt --extract '[\"password\"]' by-sops.yaml")), "swordfish");
    entry(&by_bulla, kind)
}

#[test]
fn sops_opens_what_bulla_encrypts_for_google_cloud_and_the_reverse() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::shared());
    let given = clouds.google("shop@p.iam.gserviceaccount.com", &["encrypt", "decrypt"]);
    let env = with_token(clouds, &given);
    let fields = both_ways(&place, &env, &format!("--gcp-kms {GOOGLE_KEY}/both"), "gcp_kms");
    assert_eq!(fields, ["created_at".to_owned(), "enc".into(), format!("resource_id: {GOOGLE_KEY}/both")]);
    // By the environment, and as a rule in both forms.
    let rules = [
        ("flat.yaml", format!("creation_rules:\n  - gcp_kms: {GOOGLE_KEY}/rule\n    age: {}\n", Keys::shared().alice)),
        (
            "group.yaml",
            format!("creation_rules:\n  - key_groups:\n      - gcp_kms:\n          - resource_id: {GOOGLE_KEY}/rule\n"),
        ),
    ];
    for (name, rule) in rules {
        place.write(name, rule);
        for program in ["bulla", "sops"] {
            let encrypt = if program == "sops" {
                format!("sops --config {name} encrypt")
            } else {
                format!("bulla encrypt --config {name}")
            };
            place.does(&format!("{env} {encrypt} app.yaml > rule-{program}.yaml"));
        }
        assert_eq!(entry(&place.read("rule-bulla.yaml"), "gcp_kms"), entry(&place.read("rule-sops.yaml"), "gcp_kms"));
        assert_eq!(place.does(&format!("{env} sops decrypt rule-bulla.yaml")), PLAIN);
    }
    place.does(&format!("{env} SOPS_GCP_KMS_IDS={GOOGLE_KEY}/both bulla encrypt app.yaml > variable.yaml"));
    assert_eq!(place.does(&format!("{env} sops decrypt variable.yaml")), PLAIN);
}

#[test]
fn credentials_of_google_cloud_are_found_where_sops_finds_them() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::shared());
    let given = clouds.google("files@p.iam.gserviceaccount.com", &["encrypt", "decrypt"]);
    place.write("account.json", given["service_account"].to_string());
    place.write("user.json", given["authorized_user"].to_string());
    place.write("../home/.config/gcloud/application_default_credentials.json", given["authorized_user"].to_string());
    let start = format!("unset SOPS_AGE_KEY_FILE; {} export SOPS_GCP_KMS_CLIENT_TYPE=rest;", clouds.by_name());
    place.does(&format!("{start} sops encrypt --gcp-kms {GOOGLE_KEY}/files app.yaml > by-sops.yaml"));
    for env in [
        "GOOGLE_CREDENTIALS=account.json",
        "GOOGLE_CREDENTIALS=\"$(cat account.json)\"",
        "GOOGLE_APPLICATION_CREDENTIALS=user.json",
        "HOME=$HOME",
        // The first that is set counts, whatever the others are.
        "GOOGLE_CREDENTIALS=account.json GOOGLE_OAUTH_ACCESS_TOKEN=wrong GOOGLE_APPLICATION_CREDENTIALS=missing.json",
    ] {
        for program in ["sops", "bulla"] {
            assert_eq!(place.does(&format!("{start} {env} {program} decrypt by-sops.yaml")), PLAIN, "{program} {env}");
        }
    }
    let none = format!(
        "{start} HOME=/nowhere GCE_METADATA_HOST={} bulla decrypt by-sops.yaml",
        clouds.address().trim_start_matches("http://")
    );
    let told = refused(&place, &none);
    for part in [
        "no credentials for Google Cloud KMS were found",
        "GOOGLE_CREDENTIALS: not set",
        "GOOGLE_APPLICATION_CREDENTIALS: not set",
        "the metadata of the instance",
        "hint: `gcloud auth application-default login` leaves some",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let missing =
        refused(&place, &format!("{start} GOOGLE_APPLICATION_CREDENTIALS=missing.json bulla decrypt by-sops.yaml"));
    assert!(missing.contains("`GOOGLE_APPLICATION_CREDENTIALS` (missing.json): "), "{missing}");
}

#[test]
fn sops_opens_what_bulla_encrypts_for_azure_and_the_reverse() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::shared());
    let env = with_secret(clouds, APPLICATION, &["encrypt", "decrypt", "get"]);
    // Without a version: both look it up, and write it.
    let fields = both_ways(&place, &env, &format!("--azure-kv {VAULT}/keys/both"), "azure_kv");
    let version = fields.last().unwrap().strip_prefix("version: ").unwrap().to_owned();
    assert_eq!(version.len(), 32, "{fields:?}");
    let names = ["created_at".to_owned(), "enc".into(), "name: both".into(), format!("vault_url: {VAULT}")];
    assert_eq!(fields[..4], names);
    // With it.
    let with_version = both_ways(&place, &env, &format!("--azure-kv {VAULT}/keys/both/{version}"), "azure_kv");
    assert_eq!(with_version, fields);
    for (name, rule) in [
        (
            "flat.yaml",
            format!("creation_rules:\n  - azure_keyvault: {VAULT}/keys/both\n    age: {}\n", Keys::shared().alice),
        ),
        (
            "group.yaml",
            format!(
                "creation_rules:\n  - key_groups:\n      - azure_keyvault:\n          - vaultUrl: {VAULT}\n            key: both\n            \
                 version: {version}\n"
            ),
        ),
    ] {
        place.write(name, rule);
        place.does(&format!("{env} bulla encrypt --config {name} app.yaml > rule-bulla.yaml"));
        place.does(&format!("{env} sops --config {name} encrypt app.yaml > rule-sops.yaml"));
        assert_eq!(entry(&place.read("rule-bulla.yaml"), "azure_kv"), entry(&place.read("rule-sops.yaml"), "azure_kv"));
        assert_eq!(place.does(&format!("{env} sops decrypt rule-bulla.yaml")), PLAIN);
    }
    // As a managed identity, the other way in that the real SOPS can be led to.
    clouds.let_in(
        "azure",
        &json!({"client_id": "22222222-2222-2222-2222-222222222222", "managed": true, "may": ["decrypt"]}),
    );
    let managed = format!(
        "unset SOPS_AGE_KEY_FILE; {} export IDENTITY_ENDPOINT={}/msi/token IDENTITY_HEADER=of-the-service;",
        clouds.by_name(),
        clouds.address()
    );
    for program in ["sops", "bulla"] {
        assert_eq!(place.does(&format!("{managed} {program} decrypt by-bulla.yaml")), PLAIN, "{program}");
    }
}

#[test]
fn sops_opens_what_bulla_encrypts_for_huawei_cloud_and_the_reverse() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::shared());
    clouds.let_in("huawei", &json!({"access_key": "AKCLI", "secret_key": "s3cret", "may": ["encrypt", "decrypt"]}));
    let key = "eu-west-101:0d0466b0-e727-4d9c-b35d-f84bb474a37f";
    let start = format!("unset SOPS_AGE_KEY_FILE; export HUAWEICLOUD_SDK_REGION_KMS_EU_WEST_101={};", clouds.address());
    let keys = "HUAWEICLOUD_SDK_AK=AKCLI HUAWEICLOUD_SDK_SK=s3cret HUAWEICLOUD_SDK_PROJECT_ID=project-of-tests";
    let env = format!("{start} export {keys};");
    let fields = both_ways(&place, &env, &format!("--hckms {key}"), "hckms");
    assert_eq!(fields, ["created_at".to_owned(), "enc".into(), format!("key_id: {key}")]);
    place.write("rule.yaml", format!("creation_rules:\n  - hckms: [{key}]\n"));
    place.does(&format!("{env} bulla encrypt --config rule.yaml app.yaml > rule-bulla.yaml"));
    assert_eq!(place.does(&format!("{env} sops decrypt rule-bulla.yaml")), PLAIN);
    // As a file has them.
    place
        .write("../home/.huaweicloud/credentials", "[basic]\nak = AKCLI\nsk = s3cret\nproject_id = project-of-tests\n");
    for program in ["sops", "bulla"] {
        assert_eq!(place.does(&format!("{start} {program} decrypt by-bulla.yaml")), PLAIN, "{program}");
    }
    let told = refused(&place, &format!("{start} {} bulla decrypt by-bulla.yaml", keys.replace("s3cret", "wrong")));
    assert!(told.contains("does not accept the access key `AKCLI` from `HUAWEICLOUD_SDK_AK`"), "{told}");
}

#[test]
fn a_file_cannot_lead_a_token_of_azure_elsewhere() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::start());
    let env = with_secret(&clouds, APPLICATION, &["encrypt", "decrypt", "get"]);
    place.does(&format!("{env} bulla encrypt --azure-kv {VAULT}/keys/k app.yaml > good.yaml"));
    place.write("evil.yaml", place.read("good.yaml").replace(VAULT, "https://shop.vault.azure.net.evil.example"));
    clouds.forget_calls();
    let told = refused(&place, &format!("{env} bulla decrypt evil.yaml"));
    assert!(told.contains("the file names https://shop.vault.azure.net.evil.example"), "{told}");
    assert!(told.contains("BULLA_AZURE_VAULT_ALLOWLIST=https://shop.vault.azure.net.evil.example"), "{told}");
    let other = format!("{env} BULLA_AZURE_VAULT_ALLOWLIST=https://other.vault.azure.net bulla decrypt good.yaml");
    assert!(refused(&place, &other).contains("the file names https://shop.vault.azure.net"));
    assert!(clouds.calls().is_empty(), "{:?}", clouds.calls());
    let ours =
        format!("{env} BULLA_AZURE_VAULT_ALLOWLIST=https://other.vault.azure.net,{VAULT} bulla decrypt good.yaml");
    assert_eq!(place.does(&ours), PLAIN);
}

#[test]
fn a_missing_permission_is_told_with_what_grants_it() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::start());
    let writer = with_token(&clouds, &clouds.google("writer@p.iam.gserviceaccount.com", &["encrypt"]));
    place.does(&format!("{writer} bulla encrypt --gcp-kms {GOOGLE_KEY}/k app.yaml > google.yaml"));
    let told = refused(&place, &format!("{writer} bulla decrypt google.yaml"));
    let key = format!("{GOOGLE_KEY}/k");
    for part in [
        format!("may not cloudkms.cryptoKeyVersions.useToDecrypt {key}"),
        "hint: this policy allows it: gcloud kms keys add-iam-policy-binding k --project p --location global --keyring r".to_owned(),
        "--role roles/cloudkms.cryptoKeyDecrypter".to_owned(),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    let writer = with_secret(&clouds, APPLICATION, &["encrypt", "get"]);
    place.does(&format!("{writer} bulla encrypt --azure-kv {VAULT}/keys/k app.yaml > azure.yaml"));
    let told = refused(&place, &format!("{writer} bulla decrypt azure.yaml"));
    for part in [
        "may not keys/decrypt https://shop.vault.azure.net/keys/k/",
        "az keyvault set-policy --name shop --object-id object-of-11111111-1111-1111-1111-111111111111 --key-permissions decrypt",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_tree_asks_for_each_wrapped_key_once_and_what_is_throttled_again() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::start());
    let google = with_token(&clouds, &clouds.google("shop@p.iam.gserviceaccount.com", &["encrypt", "decrypt"]));
    let azure = with_secret(&clouds, APPLICATION, &["encrypt", "decrypt", "get"]);
    for (env, option, action, login) in [
        (google, format!("--gcp-kms {GOOGLE_KEY}/tree"), "google:decrypt", "google:refresh"),
        (azure, format!("--azure-kv {VAULT}/keys/tree"), "azure:decrypt", "azure:token"),
    ] {
        place.does("rm -rf tree; mkdir tree");
        place.does(&format!(
            "{env} bulla encrypt {option} app.yaml > tree/0.yaml; bulla encrypt {option} app.yaml > tree/1.yaml"
        ));
        // Copies of a file hold the same wrapped key.
        place.does("for i in $(seq 2 19); do cp tree/$((i % 2)).yaml tree/$i.yaml; done");
        clouds.forget_calls();
        clouds.fail(&Fault { action: Some(action), times: Some(1), status: Some(429), ..Fault::default() });
        place.does(&format!("{env} bulla decrypt --in-place tree"));
        clouds.mend();
        assert_eq!(place.read("tree/19.yaml"), PLAIN);
        assert_eq!(clouds.count(action), 3, "two, and the one that was throttled");
        assert!(clouds.count(login) <= 1, "{:?}", clouds.calls());
    }
}
