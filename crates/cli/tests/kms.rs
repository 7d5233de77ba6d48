//! Files for keys of AWS KMS, with moto in place of AWS and the real SOPS on the other side.

use std::time::{Duration, Instant};

use bulla_testkit::moto::{AccessKey, Fault, Moto};
use bulla_testkit::process::Finished;
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use bulla_testkit::{free_port, needs_peers, peers};
use serde_json::json;

use crate::fixture::{Keys, Place};

const PLAIN: &str = "# comment\nuser: shop\npassword: hunter2\n";

fn place() -> Place {
    let place = Place::new().with_program(&peers::sops());
    place.write("app.yaml", PLAIN);
    place
}

/// The environment of somebody with an access key, whatever it is.
fn with_key(moto: &Moto) -> String {
    format!(
        "export AWS_ENDPOINT_URL={} AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=swordfish AWS_EC2_METADATA_DISABLED=true;",
        moto.address()
    )
}

/// The same for a user that moto knows.
fn with_user(moto: &Moto, key: &AccessKey) -> String {
    format!(
        "export AWS_ENDPOINT_URL={} AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={};",
        moto.address(),
        key.id,
        key.secret
    )
}

/// The same for somebody without an identity of age.
fn only_key(moto: &Moto) -> String {
    format!("unset SOPS_AGE_KEY_FILE; {}", with_key(moto))
}

/// The lines of the first key of KMS in a file: names of fields, and the whole of those that are not made anew each time.
fn entry(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.contains("kms:")).skip(1);
    let lines = lines.take_while(|line| line.starts_with("        ")).map(|line| line.trim_start_matches(['-', ' ']));
    lines
        .map(|line| match line.split_once(':') {
            Some((name @ ("enc" | "created_at"), _)) => name.to_owned(),
            _ => line.to_owned(),
        })
        .collect()
}

#[test]
fn sops_opens_what_bulla_encrypts_for_kms_and_the_reverse() {
    needs_peers!();
    let (place, moto) = (place(), Moto::shared());
    let (as_us, alone) = (with_key(moto), only_key(moto));
    let arn = moto.key("eu-west-1");
    // The guides' own line.
    place.does(&format!("{as_us} bulla encrypt --kms {arn} app.yaml > by-bulla.yaml"));
    place.does(&format!("{as_us} sops --encrypt --kms {arn} app.yaml > by-sops.yaml"));
    let (by_bulla, by_sops) = (place.read("by-bulla.yaml"), place.read("by-sops.yaml"));
    assert!(!by_bulla.contains("hunter2"), "{by_bulla}");
    assert_eq!(entry(&by_bulla), entry(&by_sops));
    assert_eq!(
        entry(&by_bulla),
        [format!("arn: {arn}"), "aws_profile: \"\"".into(), "created_at".into(), "enc".into()]
    );
    for file in ["by-bulla.yaml", "by-sops.yaml"] {
        for program in ["sops", "bulla"] {
            assert_eq!(place.does(&format!("{alone} {program} decrypt {file}")), PLAIN, "{program} {file}");
        }
    }
    // By another name, in JSON, by the environment.
    let alias = moto.alias(&arn, "both-ways");
    place.write("app.json", "{\n\t\"password\": \"hunter2\"\n}\n");
    place.does(&format!("{as_us} SOPS_KMS_ARN={alias} bulla encrypt app.json > alias.json"));
    assert!(place.read("alias.json").contains("alias/both-ways"));
    for program in ["sops", "bulla"] {
        assert!(place.does(&format!("{alone} {program} decrypt alias.json")).contains("hunter2"), "{program}");
    }

    // What changes a file needs the same key and keeps what it wrapped.
    let wrapped = |text: &str| text.lines().find(|line| line.contains(" enc: ")).unwrap().to_owned();
    place.does(&format!("{alone} printf swordfish | bulla set by-sops.yaml '[\"password\"]'"));
    assert_eq!(place.does(&format!("{alone} sops decrypt --extract '[\"password\"]' by-sops.yaml")), "swordfish");
    place.does(&format!("{alone} EDITOR='sed -i s/shop/store/' bulla edit by-bulla.yaml"));
    assert_eq!(wrapped(&place.read("by-bulla.yaml")), wrapped(&by_bulla));
    assert_eq!(place.does(&format!("{alone} sops decrypt by-bulla.yaml")), PLAIN.replace("shop", "store"));
    place.does(&format!("{alone} bulla rotate --all by-bulla.yaml"));
    assert_ne!(wrapped(&place.read("by-bulla.yaml")), wrapped(&by_bulla));
    assert_eq!(place.does(&format!("{alone} sops decrypt by-bulla.yaml")), PLAIN.replace("shop", "store"));
}

#[test]
fn role_profile_and_context_are_written_and_used_as_sops_has_them() {
    needs_peers!();
    let (place, moto) = (place(), Moto::shared());
    let arn = moto.key("us-east-1");
    let role = "arn:aws:iam::123456789012:role/opener";
    place.write("../home/.aws/config", "[profile team]\nregion = eu-central-1\n");
    place
        .write("../home/.aws/credentials", "[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = swordfish\n");
    // Only the profile has credentials.
    let env = format!("export AWS_ENDPOINT_URL={} AWS_EC2_METADATA_DISABLED=true;", moto.address());
    let options = format!("--kms {arn}+{role} --aws-profile team --encryption-context app:shop,stage:production");
    for program in ["bulla", "sops"] {
        place.does(&format!("{env} {program} encrypt {options} app.yaml > by-{program}.yaml"));
    }
    assert_eq!(entry(&place.read("by-bulla.yaml")), entry(&place.read("by-sops.yaml")));
    assert_eq!(
        entry(&place.read("by-bulla.yaml")),
        [
            format!("arn: {arn}"),
            "aws_profile: team".into(),
            "context:".into(),
            "app: shop".into(),
            "stage: production".into(),
            "created_at".into(),
            "enc".into(),
            format!("role: {role}")
        ]
    );
    for file in ["by-bulla.yaml", "by-sops.yaml"] {
        for program in ["sops", "bulla"] {
            let line = format!("unset SOPS_AGE_KEY_FILE; {env} {program} decrypt {file}");
            assert_eq!(place.does(&line), PLAIN, "{program} {file}");
        }
    }
    // As a rule, in both forms; both programs agree on what it means.
    place.write(
        "flat.yaml",
        format!("creation_rules:\n  - kms: {arn}+{role}\n    aws_profile: team\n    age: {}\n", Keys::shared().alice),
    );
    place.write(
        "group.yaml",
        format!(
            "creation_rules:\n  - key_groups:\n      - age: [{}]\n        kms:\n          - arn: {arn}\n            role: {role}\n            aws_profile: team\n            context: {{app: shop, stage: production}}\n",
            Keys::shared().alice
        ),
    );
    for (rule, more) in [("flat", "--encryption-context app:shop,stage:production"), ("group", "")] {
        place.does(&format!("{env} bulla encrypt --config {rule}.yaml {more} app.yaml > {rule}-bulla.yaml"));
        // Its command `encrypt` drops the context that a rule has none of; the older spelling does not.
        place.does(&format!("{env} sops --config {rule}.yaml {more} --encrypt app.yaml > {rule}-sops.yaml"));
        let (ours, theirs) = (place.read(&format!("{rule}-bulla.yaml")), place.read(&format!("{rule}-sops.yaml")));
        assert_eq!(entry(&ours), entry(&theirs));
        assert_eq!(entry(&ours), entry(&place.read("by-sops.yaml")));
        place.does(&format!(
            "{env} bulla rotate --check --config {rule}.yaml {more} {rule}-bulla.yaml {rule}-sops.yaml"
        ));
        assert_eq!(place.does(&format!("unset SOPS_AGE_KEY_FILE; {env} sops decrypt {rule}-bulla.yaml")), PLAIN);
    }
    // It is this role and this profile that asked.
    let calls = moto.calls();
    let about = |action: &str, resource: &str| -> Vec<String> {
        let calls = calls.iter().filter(|call| call.action == action && call.resource.as_deref() == Some(resource));
        calls.map(|call| call.access_key.clone()).collect()
    };
    assert!(about("sts:AssumeRole", role).iter().all(|key| key == "AKIATEAM"));
    assert!(
        !about("kms:Decrypt", &arn).is_empty() && about("kms:Decrypt", &arn).iter().all(|key| key.starts_with("ASIA"))
    );
    // Another context opens nothing, and that is said.
    let other = place.read("by-bulla.yaml").replace("app: shop", "app: store");
    place.write("other.yaml", other);
    let finished = place.run(&format!("unset SOPS_AGE_KEY_FILE; {env} bulla decrypt other.yaml"));
    let said = finished.stderr_text();
    assert!(finished.code() == Some(128) && said.contains("did not make this wrapped key"), "{said}");
}

#[test]
fn any_of_several_recipients_opens_a_file() {
    needs_peers!();
    let (place, moto, vault) = (place(), Moto::shared(), Vault::shared());
    let (one, two) = (moto.key("eu-west-1"), moto.key("us-east-1"));
    vault.write("sys/mounts/beside-kms", r#"{"type": "transit"}"#);
    vault.write("beside-kms/keys/k", "{}");
    let uri = format!("{}/v1/beside-kms/keys/k", vault.address());
    let with_vault = format!("export VAULT_ADDR={} VAULT_TOKEN={ROOT_TOKEN};", vault.address());
    let rule = format!(
        "creation_rules:\n  - age: {}\n    kms: [{one}, {two}]\n    hc_vault_transit_uri: {uri}\n",
        Keys::shared().alice
    );
    place.write(".sops.yaml", rule);
    place.does(&format!("{with_vault} {} bulla encrypt app.yaml > by-bulla.yaml", with_key(moto)));
    place.does(&format!("{with_vault} {} sops encrypt app.yaml > by-sops.yaml", with_key(moto)));
    let nobody = "unset SOPS_AGE_KEY_FILE; export AWS_EC2_METADATA_DISABLED=true;";
    for file in ["by-bulla.yaml", "by-sops.yaml"] {
        for program in ["bulla", "sops"] {
            assert_eq!(place.does(&format!("{program} decrypt {file}")), PLAIN, "age: {program} {file}");
            assert_eq!(
                place.does(&format!("{nobody} {with_vault} {program} decrypt {file}")),
                PLAIN,
                "{program} {file}"
            );
            assert_eq!(place.does(&format!("{} {program} decrypt {file}", only_key(moto))), PLAIN, "{program} {file}");
        }
        // One key of KMS less: the other opens it.
        let broken = place.read(file).replace(&one, &one.replace("key/", "key/0"));
        place.write("broken.yaml", broken);
        assert_eq!(place.does(&format!("{} bulla decrypt broken.yaml", only_key(moto))), PLAIN, "{file}");
    }
    // Who leaves opens nothing any more.
    place.write(".sops.yaml", format!("creation_rules:\n  - age: {}\n    kms: {two}\n", Keys::shared().alice));
    let rotated = place.run(&format!("{} bulla rotate by-bulla.yaml", with_key(moto)));
    assert!(
        rotated.stderr_text().contains(&format!("kms {one} opens 1 of these files no more")),
        "{}",
        rotated.stderr_text()
    );
    let text = place.read("by-bulla.yaml");
    assert!(text.contains(&two) && !text.contains(&one) && !text.contains("vault_address"), "{text}");
    assert_eq!(place.does(&format!("{} sops decrypt by-bulla.yaml", only_key(moto))), PLAIN);
}

#[test]
fn a_replica_opens_what_its_region_cannot() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    let arn = moto.multi_region_key("us-east-1", &["eu-west-1"]);
    let replica = arn.replace("us-east-1", "eu-west-1");
    place.does(&format!("{} bulla encrypt --kms {arn} app.yaml > one.yaml", with_key(&moto)));
    place.does(&format!("{} bulla encrypt --kms {arn},{replica} app.yaml > both.yaml", with_key(&moto)));
    let fault =
        Fault { region: Some("us-east-1"), code: "KMSInternalException", status: Some(500), ..Fault::default() };
    moto.fail(&fault);
    let finished = place.run(&format!("{} bulla decrypt one.yaml", only_key(&moto)));
    assert_eq!(finished.code(), Some(128));
    assert!(finished.stderr_text().contains("AWS KMS in us-east-1"), "{}", finished.stderr_text());
    // The configuration names the region, or another entry of the file does.
    let line = format!("{} BULLA_AWS_REPLICA_REGIONS=eu-west-1 bulla decrypt one.yaml", only_key(&moto));
    assert_eq!(place.does(&line), PLAIN);
    assert_eq!(place.does(&format!("{} bulla decrypt both.yaml", only_key(&moto))), PLAIN);
    // To encrypt, too: any replica wraps for all of them.
    place.does(&format!("{} bulla encrypt --kms {arn},{replica} app.yaml > meanwhile.yaml", with_key(&moto)));
    moto.mend();
    moto.forget_calls();
    place.does(&format!("{} sops decrypt meanwhile.yaml", only_key(&moto)));
    assert!(moto.calls().iter().all(|call| call.region == "us-east-1"), "{:?}", moto.calls());
    // A key that is not one is asked for in its own region only.
    let only = moto.key("us-east-1");
    place.does(&format!("{} bulla encrypt --kms {only} app.yaml > only.yaml", with_key(&moto)));
    moto.fail(&fault);
    moto.forget_calls();
    let line = format!("{} BULLA_AWS_REPLICA_REGIONS=eu-west-1 bulla decrypt only.yaml", only_key(&moto));
    assert_eq!(place.run(&line).code(), Some(128));
    assert!(moto.calls().iter().all(|call| call.region == "us-east-1"), "{:?}", moto.calls());
}

#[test]
fn a_tree_takes_one_call_for_each_data_key_and_one_login_for_all() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    let arn = moto.key("eu-west-1");
    let role = "arn:aws:iam::123456789012:role/opener";
    for number in 0..20 {
        place.write(&format!("tree/{number}.yaml"), PLAIN);
    }
    moto.forget_calls();
    place.does(&format!("{} bulla encrypt --kms {arn}+{role} --in-place tree", with_key(&moto)));
    assert_eq!((moto.count("kms:Encrypt"), moto.count("sts:AssumeRole")), (20, 1));
    // Copies have the same data key.
    for number in 0..10 {
        place.write(&format!("tree/copy-{number}.yaml"), place.read(&format!("tree/{number}.yaml")));
    }
    moto.forget_calls();
    // Some of them are refused at first.
    let fault = Fault { action: Some("kms:Decrypt"), times: Some(6), code: "ThrottlingException", ..Fault::default() };
    moto.fail(&fault);
    place.does(&format!("{} bulla decrypt --in-place tree", only_key(&moto)));
    assert_eq!((moto.count("kms:Decrypt"), moto.count("sts:AssumeRole")), (26, 1));
    assert_eq!(place.read("tree/copy-9.yaml"), PLAIN);
    assert_eq!(moto.calls().iter().filter(|call| !call.action.starts_with("kms:")).count(), 1);
}

/// What a command that fails says.
fn said(finished: &Finished, code: i32) -> String {
    let said = finished.stderr_text();
    assert_eq!(finished.code(), Some(code), "{said}");
    assert!(finished.stdout_text().is_empty() && !said.contains("hunter2") && !said.contains("swordfish"), "{said}");
    said
}

#[test]
fn each_refusal_says_what_it_is_and_the_way_out() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    let arn = moto.key("eu-west-1");
    place.does(&format!("{} bulla encrypt --kms {arn} --in-place app.yaml", with_key(&moto)));
    let denied =
        "User: arn:aws:sts::123456789012:assumed-role/ci/run-7 is not authorized to perform: kms:Decrypt on resource: \
                  ARN because no identity-based policy allows the kms:Decrypt action"
            .replace("ARN", &arn);
    for (code, message, expected) in [
        (
            "AccessDeniedException",
            &*denied,
            vec![
                format!("arn:aws:sts::123456789012:assumed-role/ci/run-7 may not kms:Decrypt {arn}"),
                format!(
                    r#"this policy allows it: {{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "{arn}"}}"#
                ),
            ],
        ),
        // It does not say who we are: that is asked.
        (
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist",
            vec![format!("arn:aws:sts::123456789012:user/moto may not kms:Decrypt {arn}")],
        ),
        (
            "DisabledException",
            "it is disabled.",
            vec![format!("{arn} cannot be used: it is disabled."), "describe-key".into()],
        ),
        ("KMSInvalidStateException", "it is pending deletion.", vec!["cannot be used: it is pending deletion.".into()]),
        ("NotFoundException", "Key does not exist", vec![format!("there is no key {arn}: Key does not exist")]),
        ("InvalidCiphertextException", "", vec!["did not make this wrapped key".into(), "encryption context".into()]),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            vec![
                "does not accept the access key from `AWS_ACCESS_KEY_ID`: The security token".into(),
                "aws sso login".into(),
            ],
        ),
        ("UnrecognizedClientException", "invalid", vec!["does not accept the access key".into()]),
        ("ThrottlingException", "Rate exceeded", vec!["is asked too often: it refused 5 attempts".into()]),
        ("SomethingNewException", "new", vec!["answered 400: new (SomethingNewException)".into()]),
    ] {
        moto.fail(&Fault { action: Some("kms:Decrypt"), code, message, ..Fault::default() });
        let said = said(&place.run(&format!("{} bulla decrypt app.yaml", only_key(&moto))), 128);
        for expected in expected {
            assert!(said.contains(&expected), "{code}: `{expected}` is not in\n{said}");
        }
        moto.mend();
    }
    for (line, code, expected) in [
        ("bulla encrypt --kms alias/shop other.yaml", 64, "`alias/shop` is not the ARN of a key"),
        ("bulla encrypt --kms arn:aws:kms:eu-west-1.evil.example:1:key/k other.yaml", 64, "its region is none"),
        (
            "bulla encrypt --kms arn:aws:kms:eu-west-1:1:key/k --encryption-context a other.yaml",
            64,
            "not an encryption context",
        ),
        (
            "AWS_CA_BUNDLE=missing.pem bulla encrypt --kms arn:aws:kms:eu-west-1:1:key/k other.yaml",
            1,
            "`AWS_CA_BUNDLE` (missing.pem)",
        ),
        (
            "BULLA_AWS_REPLICA_REGIONS=evil.example bulla encrypt --kms arn:aws:kms:eu-west-1:1:key/k other.yaml",
            1,
            "`evil.example` is not a region",
        ),
        (
            "AWS_EC2_METADATA_DISABLED=true bulla encrypt --kms arn:aws:kms:eu-west-1:1:key/k other.yaml",
            1,
            "no credentials for AWS were found",
        ),
        ("bulla encrypt --kms arn:aws:kms:eu-west-1:1:key/k --aws-profile nobody other.yaml", 1, "nobody"),
    ] {
        place.write("other.yaml", PLAIN);
        let said = said(&place.run(line), code);
        assert!(said.contains(expected), "{line}: `{expected}` is not in\n{said}");
    }
    let said = said(&place.run("unset SOPS_AGE_KEY_FILE; AWS_EC2_METADATA_DISABLED=true bulla decrypt app.yaml"), 128);
    for expected in
        ["AWS_ACCESS_KEY_ID: not set", ".aws/credentials: not there", "not asked, by `AWS_EC2_METADATA_DISABLED`"]
    {
        assert!(said.contains(expected), "`{expected}` is not in\n{said}");
    }
}

#[test]
fn a_missing_permission_is_named_where_permissions_count() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    let arn = moto.key("eu-west-1");
    let policy = |actions: &[&str]| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
    let writer = moto.user("writer", &policy(&["kms:Encrypt"]));
    let reader = moto.user("reader", &policy(&["kms:Decrypt", "sts:AssumeRole"]));
    let role = moto.role("opener", &policy(&["kms:Decrypt", "kms:Encrypt"]));
    moto.enforce();
    let [as_writer, as_reader] =
        [&writer, &reader].map(|user| format!("unset SOPS_AGE_KEY_FILE; {}", with_user(&moto, user)));
    // Requests are signed as AWS has it, or nothing of this would work.
    place.does(&format!("{as_writer} bulla encrypt --kms {arn} app.yaml > enc.yaml"));
    assert_eq!(place.does(&format!("{as_reader} bulla decrypt enc.yaml")), PLAIN);
    let text = said(&place.run(&format!("{as_writer} bulla decrypt enc.yaml")), 128);
    assert!(text.contains(&format!("user/writer may not kms:Decrypt {arn}")), "{text}");
    let text = said(&place.run(&format!("{as_reader} bulla encrypt --kms {arn} app.yaml")), 1);
    assert!(text.contains(&format!("user/reader may not kms:Encrypt {arn}")), "{text}");
    assert!(text.contains(r#"hint: this policy allows it: {"Effect": "Allow", "Action": "kms:Encrypt""#), "{text}");
    // Through the role it may, and who may not assume it is told so.
    place.does(&format!("{as_reader} bulla encrypt --kms {arn}+{role} app.yaml > by-role.yaml"));
    assert_eq!(place.does(&format!("{as_reader} sops decrypt by-role.yaml")), PLAIN);
    let text = said(&place.run(&format!("{as_writer} bulla decrypt by-role.yaml")), 128);
    assert!(text.contains(&format!("user/writer may not sts:AssumeRole {role}")), "{text}");
    assert!(text.contains("the trust policy of the role must name arn:aws:iam::123456789012:user/writer"), "{text}");
    let stranger = AccessKey { id: "AKIANOBODY".into(), secret: "swordfish".into() };
    let line = format!("unset SOPS_AGE_KEY_FILE; {} bulla decrypt enc.yaml", with_user(&moto, &stranger));
    let text = said(&place.run(&line), 128);
    assert!(text.contains("does not accept the access key from `AWS_ACCESS_KEY_ID`"), "{text}");
}

#[test]
fn where_nothing_answers_that_is_said_within_seconds() {
    needs_peers!();
    let place = place();
    place.does(&format!(
        "{} bulla encrypt --kms {} --in-place app.yaml",
        with_key(Moto::shared()),
        Moto::shared().key("eu-west-1")
    ));
    for number in 0..30 {
        place.write(
            &format!("tree/{number}.yaml"),
            place.read("app.yaml").replace("enc: ", &format!("enc: {}", "AAAA".repeat(number))),
        );
    }
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let key = "AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=swordfish";
    let started = Instant::now();
    for file in ["app.yaml", "--in-place tree"] {
        let line = format!("unset SOPS_AGE_KEY_FILE; AWS_ENDPOINT_URL={nowhere} {key} bulla decrypt {file}");
        let said = said(&place.run(&line), 128);
        assert!(said.contains(&format!("AWS KMS in eu-west-1 ({nowhere}) cannot be reached: ")), "{said}");
    }
    // The metadata of an instance that does not answer holds up nobody for long, nor a tree for each of its files.
    let metadata = format!("AWS_EC2_METADATA_SERVICE_ENDPOINT={nowhere}");
    for file in ["app.yaml", "--in-place tree"] {
        let said = said(&place.run(&format!("unset SOPS_AGE_KEY_FILE; {metadata} bulla decrypt {file}")), 128);
        assert!(said.contains("no credentials for AWS were found"), "{said}");
        assert!(said.contains("the metadata of the instance: it did not answer, or has no role"), "{said}");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_plan_says_how_many_calls_it_takes() {
    needs_peers!();
    let (place, moto, vault) = (place(), Moto::start(), Vault::shared());
    let (one, two) = (moto.key("eu-west-1"), moto.key("us-east-1"));
    vault.write("sys/mounts/planned", r#"{"type": "transit"}"#);
    vault.write("planned/keys/k", "{}");
    let with_vault = format!("export VAULT_ADDR={} VAULT_TOKEN={ROOT_TOKEN};", vault.address());
    for number in 0..5 {
        place.write(&format!("tree/{number}.yaml"), PLAIN);
    }
    place.does(&format!("{} bulla encrypt --kms {one} --in-place tree", with_key(&moto)));
    place.write("tree/copy.yaml", place.read("tree/0.yaml"));
    place.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - kms: [{one}, {two}]\n    hc_vault_transit_uri: {}/v1/planned/keys/k\n",
            vault.address()
        ),
    );
    moto.forget_calls();
    let env = format!("{with_vault} {}", only_key(&moto));
    let plan = place.run(&format!("{env} bulla rotate --plan tree")).success();
    let said = plan.stderr_text();
    assert!(said.contains("calls of services, at most: kms 5 to unwrap, 12 to wrap; hc_vault 6 to wrap"), "{said}");
    let json = place.does(&format!("{env} bulla rotate --plan --json tree"));
    let entries: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let unwraps: Vec<&serde_json::Value> = entries.iter().map(|entry| &entry["calls"]["kms"]["unwrap"]).collect();
    // The copy, or what it is a copy of: whichever comes second.
    assert_eq!(unwraps.iter().filter(|count| **count == 1).count(), 5, "{json}");
    assert!(moto.calls().is_empty(), "{:?}", moto.calls());
    // And it is what is done.
    place.does(&format!("{env} bulla rotate tree"));
    assert_eq!((moto.count("kms:Decrypt"), moto.count("kms:Encrypt")), (5, 12));
}

#[test]
fn credentials_come_from_where_they_come_from_for_sops() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    let arn = moto.key("eu-west-1");
    place.write(
        "../home/.aws/config",
        "[default]\nregion = eu-west-1\n[profile asked]\ncredential_process = sh give.sh\n[profile team]\n",
    );
    place.write("give.sh", r#"echo '{"Version": 1, "AccessKeyId": "AKIAASKED", "SecretAccessKey": "swordfish"}'"#);
    place
        .write("../home/.aws/credentials", "[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = swordfish\n");
    place.write("token", "a token of the cluster");
    let env =
        format!("unset SOPS_AGE_KEY_FILE; export AWS_ENDPOINT_URL={} AWS_EC2_METADATA_DISABLED=true;", moto.address());
    let key = "AWS_ACCESS_KEY_ID=AKIAENV AWS_SECRET_ACCESS_KEY=swordfish";
    let web = "AWS_REGION=eu-west-1 AWS_WEB_IDENTITY_TOKEN_FILE=token AWS_ROLE_ARN=arn:aws:iam::123456789012:role/pod";
    for (who, options, expected) in [
        (key.to_owned(), "", "AKIAENV"),
        ("AWS_PROFILE=team".to_owned(), "", "AKIATEAM"),
        ("AWS_PROFILE=asked".to_owned(), "", "AKIAASKED"),
        // What is in the environment counts before the profile that is named there.
        (format!("{key} AWS_PROFILE=team"), "", "AKIAENV"),
        // A profile that is named otherwise counts before the environment.
        (key.to_owned(), "--aws-profile team", "AKIATEAM"),
        (web.to_owned(), "", "ASIA"),
        (format!("{key} {web}"), "", "AKIAENV"),
        (
            format!("unset AWS_EC2_METADATA_DISABLED; AWS_EC2_METADATA_SERVICE_ENDPOINT={}", moto.address()),
            "",
            "test-key",
        ),
    ] {
        // The SDK of sops asks STS itself for a web identity, whatever the endpoint is, and moto is no instance to it.
        let only_ours = ["ASIA", "test-key"].contains(&expected);
        for program in ["bulla", "sops"].into_iter().take(if only_ours { 1 } else { 2 }) {
            moto.forget_calls();
            place.does(&format!("{env} {who} {program} encrypt --kms {arn} {options} app.yaml > enc.yaml"));
            assert_eq!(place.does(&format!("{env} {who} {program} decrypt enc.yaml")), PLAIN);
            let calls = moto.calls();
            let calls: Vec<_> = calls.iter().filter(|call| call.action.starts_with("kms:")).collect();
            // On a busy machine sops takes a slow answer for none, and asks again.
            let asked_once = calls.len() == 2 || (program == "sops" && calls.len() > 2);
            assert!(
                asked_once && calls.iter().all(|call| call.access_key.starts_with(expected)),
                "{program} {who}: {calls:?}"
            );
        }
    }
    // What gives none says so.
    place.write("give.sh", "echo 'no session' >&2; exit 1");
    let text = said(&place.run(&format!("{env} AWS_PROFILE=asked bulla decrypt enc.yaml")), 128);
    assert!(
        text.contains("the profile `asked`: Error retrieving credentials") && text.contains("no session"),
        "{text}"
    );
    let text = said(&place.run(&format!("{env} bulla encrypt --kms {arn} --aws-profile nobody app.yaml")), 1);
    assert!(text.contains("no credentials for AWS were found") || text.contains("gives no credentials"), "{text}");
    assert!(text.contains("the profile `nobody`"), "{text}");
}

#[test]
fn only_the_authorities_of_the_bundle_are_trusted() {
    needs_peers!();
    let (place, vault) = (place(), Vault::shared());
    place.write("ca.pem", vault.certificate());
    // A server with TLS that is no KMS.
    let key = "AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=swordfish";
    let env = format!("AWS_ENDPOINT_URL={} {key}", vault.encrypted_address());
    let line = "bulla encrypt --kms arn:aws:kms:eu-west-1:123456789012:key/k app.yaml";
    let text = said(&place.run(&format!("{env} {line}")), 1);
    assert!(text.contains("cannot be reached") && text.contains("invalid peer certificate"), "{text}");
    let text = said(&place.run(&format!("{env} AWS_CA_BUNDLE=ca.pem {line}")), 1);
    assert!(text.contains("answered 4"), "{text}");
    place.write("empty.pem", "nothing");
    let text = said(&place.run(&format!("{env} AWS_CA_BUNDLE=empty.pem {line}")), 1);
    assert!(text.contains("no certificate in what `AWS_CA_BUNDLE` names"), "{text}");
}

#[test]
fn nothing_of_aws_is_touched_where_no_file_is_for_kms() {
    let place = Place::new();
    place.write("app.yaml", PLAIN);
    let broken = "export AWS_CA_BUNDLE=missing.pem BULLA_AWS_REPLICA_REGIONS=none AWS_CONFIG_FILE=/nowhere;";
    place.does(&format!("{broken} bulla encrypt --age $ALICE --in-place app.yaml"));
    assert_eq!(place.does(&format!("{broken} bulla decrypt app.yaml")), PLAIN);
}
