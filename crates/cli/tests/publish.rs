//! `sops publish` into buckets of S3 and Google Cloud Storage: the real sops and bulla put the same there, byte for byte and in the same
//! words about it.

use bulla_testkit::clouds::Clouds;
use bulla_testkit::moto::{Fault, Moto};
use bulla_testkit::process::Finished;
use bulla_testkit::{free_port, needs_peers, peers};
use serde_json::json;

use crate::fixture::{Keys, Place};

/// A directory with an encrypted file of each format.
fn place() -> Place {
    let place = Place::new().with_program(&peers::sops());
    for (name, plain) in [
        ("app.yaml", "# comment\nuser: shop\npassword: hunter2\n"),
        ("deep/app.json", "{\n\t\"password\": \"hunter2\"\n}\n"),
        ("deep/ü +&.env", "PASSWORD=hunter2\n"),
        ("app.ini", "[db]\npassword = hunter2\n"),
        ("key.bin", "hunter2\n"),
    ] {
        place.write(name, plain);
        place.does(&format!("bulla sops encrypt --age $ALICE --in-place '{name}'"));
    }
    place
}

/// The environment of somebody with an access key, whatever it is.
fn with_key(address: &str) -> String {
    format!(
        "export AWS_ENDPOINT_URL={address} AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=swordfish AWS_EC2_METADATA_DISABLED=true;"
    )
}

/// Runs `publish` of this line as both, with a bucket of its own for each: `BUCKET` in the rules. What both print must be the same.
fn both(place: &Place, env: &str, rules: &str, line: &str, code: i32) -> [Finished; 2] {
    let runs = ["real", "ours"].map(|whose| {
        place.write(".sops.yaml", rules.replace("BUCKET", whose));
        let program = if whose == "real" { "sops" } else { "bulla sops" };
        place.run(&format!("{env} {}", line.replace("PUBLISH", &format!("{program} publish"))))
    });
    let [theirs, ours] = &runs;
    assert_eq!(ours.stdout_text().replace("://ours", "://real"), theirs.stdout_text(), "{line}");
    assert_eq!(
        (theirs.code(), ours.code()),
        (Some(code), Some(code)),
        "{}\n{}",
        theirs.stderr_text(),
        ours.stderr_text()
    );
    runs
}

#[test]
fn the_same_objects_are_put_into_s3() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    let env = with_key(moto.address());
    moto.bucket("real");
    moto.bucket("ours");
    let plain_rule = "destination_rules:\n  - s3_bucket: BUCKET\n    s3_prefix: 'pre fix/'\n";
    let files = [
        ("app.yaml", "app.yaml"),
        ("'deep/ü +&.env'", "%C3%BC%20%2B%26.env"),
        ("app.ini", "app.ini"),
        ("key.bin", "key.bin"),
    ];
    for (file, key) in files {
        both(&place, &env, plain_rule, &format!("PUBLISH --yes {file}"), 0);
        let [theirs, ours] = ["real", "ours"].map(|bucket| moto.object(bucket, &format!("pre%20fix/{key}")));
        assert_eq!(ours, theirs, "{file}");
        assert!(ours.content.contains("ENC[AES256_GCM") && !ours.content.contains("hunter2"), "{file}");
        let kept = |name: &str| ours.about.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
        assert_eq!(kept("content-type"), Some("application/octet-stream"), "{:?}", ours.about);
    }
    // A whole tree, and without extensions; what is there is replaced; the question, its answers, and what is said of a no.
    let rules = format!("{plain_rule}    omit_extensions: true\n");
    both(&place, &env, &rules, "PUBLISH --yes --recursive deep", 0);
    both(&place, &env, &rules, "yes y | PUBLISH app.yaml", 0);
    both(&place, &env, &rules, "printf 'what\\nn\\n' | PUBLISH app.yaml", 1);
    both(&place, &env, &rules, "yes n | PUBLISH --recursive deep", 0);
    for key in ["pre%20fix/app", "pre%20fix/%C3%BC%20%2B%26"] {
        assert_eq!(moto.object("ours", key), moto.object("real", key));
    }
    // A checksum only where it is asked for, as servers need it that do not know it.
    let line = "AWS_REQUEST_CHECKSUM_CALCULATION=when_required PUBLISH --yes app.yaml";
    both(&place, &env, plain_rule, line, 0);
    both(&place, &env, plain_rule, "PUBLISH --yes app.yaml", 0);
    // Each object is one call, by both, and both tell the same of it.
    let calls: Vec<_> = moto.calls().into_iter().filter(|call| call.action == "s3:PutObject").collect();
    let [.., without, ours_without, with, ours_with] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((&ours_without.told, &ours_with.told), (&without.told, &with.told));
    assert!(ours_with.told.contains_key("HTTP_X_AMZ_CHECKSUM_CRC32"), "{calls:?}");
    assert!(!ours_without.told.contains_key("HTTP_X_AMZ_CHECKSUM_CRC32"), "{calls:?}");
}

#[test]
fn signatures_are_good_and_a_missing_permission_is_named() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    moto.bucket("real");
    moto.bucket("ours");
    let policy = |actions: &[&str]| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
    let writer = moto.user("writer", &policy(&["s3:PutObject"]));
    let reader = moto.user("reader", &policy(&["s3:GetObject"]));
    moto.enforce();
    let as_user = |id: &str, secret: &str| {
        format!(
            "export AWS_ENDPOINT_URL_S3={} AWS_ENDPOINT_URL={} AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret};",
            moto.address(),
            moto.address()
        )
    };
    let rules = "destination_rules:\n  - s3_bucket: BUCKET\n    s3_prefix: 'a b/ü/'\n";
    // moto takes every signature apart, the name's escapes and the body's digest included.
    let env = as_user(&writer.id, &writer.secret);
    both(&place, &env, rules, "PUBLISH --yes app.yaml", 0);
    both(&place, &env, rules, "PUBLISH --yes 'deep/ü +&.env'", 0);
    let [_, ours] = both(&place, &as_user(&reader.id, &reader.secret), rules, "PUBLISH --yes app.yaml", 1);
    let said = ours.stderr_text();
    let arn = "arn:aws:s3:::ours/a b/ü/app.yaml";
    for expected in [
        format!("s3://ours/a b/ü/app.yaml: arn:aws:iam::123456789012:user/reader may not s3:PutObject {arn}"),
        format!(r#"hint: this policy allows it: {{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "{arn}"}}"#),
    ] {
        assert!(said.contains(&expected), "`{expected}` is not in\n{said}");
    }
    let [_, ours] = both(&place, &as_user(&writer.id, "wrong"), rules, "PUBLISH --yes app.yaml", 1);
    let said = ours.stderr_text();
    assert!(said.contains("does not accept the access key from `AWS_ACCESS_KEY_ID`"), "{said}");
}

#[test]
fn each_refusal_of_s3_says_what_it_is_and_the_way_out() {
    needs_peers!();
    let (place, moto) = (place(), Moto::start());
    moto.bucket("ours");
    let publish = |env: &str, bucket: &str| {
        place.write(".sops.yaml", format!("destination_rules:\n  - s3_bucket: '{bucket}'\n"));
        let done = place.run(&format!("{env} bulla sops publish --yes app.yaml"));
        assert_eq!(done.code(), Some(1), "{}", done.stderr_text());
        assert!(done.stdout_text().is_empty());
        done.stderr_text()
    };
    let env = with_key(moto.address());
    for (status, code, message, expected, calls) in [
        (403, "AccessDenied", "Access Denied", "user/moto may not s3:PutObject arn:aws:s3:::ours/app.yaml", 1),
        (
            400,
            "ExpiredToken",
            "The provided token has expired.",
            "does not accept the access key from `AWS_ACCESS_KEY_ID`: The provided",
            1,
        ),
        (503, "SlowDown", "Please reduce your request rate.", "is asked too often: it refused 5 attempts", 5),
        (500, "InternalError", "Try again.", "cannot answer: Try again. (InternalError)", 5),
        (400, "EntityTooLarge", "Too large.", "answered 400: Too large. (EntityTooLarge)", 1),
        (
            301,
            "PermanentRedirect",
            "Elsewhere.</Message><Region>eu-west-1</Region><Message>",
            "the bucket `ours` is in eu-west-1: set `AWS_REGION`",
            1,
        ),
    ] {
        moto.forget_calls();
        moto.fail(&Fault { action: Some("s3:PutObject"), status: Some(status), code, message, ..Fault::default() });
        let said = publish(&env, "ours");
        assert!(said.starts_with("s3://ours/app.yaml: ") && said.contains(expected), "`{expected}` is not in\n{said}");
        assert_eq!(moto.count("s3:PutObject"), calls, "{code}");
        moto.mend();
    }
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    for (env, bucket, expected) in [
        (&*env, "nobodys", "there is no bucket nobodys: The specified bucket does not exist (NoSuchBucket)"),
        (&env, "a/../b", "`a/../b` is not the name of a bucket"),
        (&env, "arn:aws:s3:eu-west-1:1:accesspoint/x", "is an access point"),
        (&format!("{env} unset AWS_REGION;"), "ours", "no region of S3 is named: set `AWS_REGION`"),
        (&format!("{env} export AWS_REGION=evil.example/;"), "ours", "`evil.example/` is not a region of S3"),
        (&format!("{env} export AWS_ENDPOINT_URL={nowhere};"), "ours", "cannot be reached"),
        (&format!("{env} unset AWS_ACCESS_KEY_ID;"), "ours", "no credentials for AWS were found"),
        (&format!("{env} export AWS_USE_FIPS_ENDPOINT=true;"), "ours", "`AWS_USE_FIPS_ENDPOINT` means nothing"),
    ] {
        let said = publish(env, bucket);
        assert!(said.contains(expected), "`{expected}` is not in\n{said}");
    }
    // The region of the profile, and the endpoint that is named for S3 alone.
    place.write("../home/.aws/config", "[default]\nregion = eu-west-1\n");
    place.write(".sops.yaml", "destination_rules:\n  - s3_bucket: ours\n");
    moto.forget_calls();
    place.does(&format!(
        "{env} unset AWS_REGION; export AWS_ENDPOINT_URL={nowhere} AWS_ENDPOINT_URL_S3={}; bulla sops publish --yes app.yaml",
        moto.address()
    ));
    assert_eq!(moto.calls()[0].region, "eu-west-1");
}

#[test]
fn the_same_objects_are_put_into_google_cloud_storage() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::start());
    let shop = clouds.google("shop@p.iam.gserviceaccount.com", &["create", "delete"]);
    place.write("shop.json", shop["service_account"].to_string());
    let rules = "destination_rules:\n  - gcs_bucket: BUCKET\n    gcs_prefix: 'pre fix/ü+'\n";
    let emulator = format!("export STORAGE_EMULATOR_HOST={};", clouds.address());
    let without_scheme = emulator.replace("http://", "");
    let by_name = format!("{} export GOOGLE_APPLICATION_CREDENTIALS=shop.json;", clouds.by_name());
    let compare = || {
        let [theirs, mut ours] = ["real", "ours"].map(|bucket| clouds.objects(bucket));
        for object in &mut ours {
            object.bucket = "real".to_owned();
        }
        assert_eq!(ours, theirs);
        ours
    };
    for (env, file) in [
        (&emulator, "app.yaml"),
        (&without_scheme, "deep/app.json"),
        (&by_name, "app.yaml"),
        (&by_name, "'deep/ü +&.env'"),
        (&by_name, "app.ini"),
        (&by_name, "key.bin"),
    ] {
        both(&place, env, rules, &format!("PUBLISH --yes {file}"), 0);
        let objects = compare();
        assert!(objects.iter().all(|object| object.content.contains("ENC[AES256_GCM")), "{objects:?}");
    }
    both(&place, &by_name, rules, "PUBLISH --yes --recursive --omit-extensions deep", 0);
    let objects = compare();
    let names: Vec<(&str, u32)> = objects.iter().map(|object| (&*object.name, object.uploads)).collect();
    assert!(names.contains(&("pre fix/ü+app.yaml", 2)) && names.contains(&("pre fix/ü+app", 1)), "{names:?}");
    assert!(objects.iter().all(|object| object.kind == "text/plain; charset=utf-8"), "{objects:?}");
    both(&place, &by_name, rules, "printf 'n\\n' | PUBLISH app.yaml", 1);
    // As the keys of Google are opened: by a token that is handed over, and by a login.
    place.write("user.json", shop["authorized_user"].to_string());
    for env in [
        format!("{} export GOOGLE_OAUTH_ACCESS_TOKEN={};", clouds.by_name(), shop["token"].as_str().unwrap()),
        format!("{} export GOOGLE_CREDENTIALS=user.json;", clouds.by_name()),
    ] {
        place.does(&format!("{env} bulla sops publish --yes app.yaml"));
    }
}

#[test]
fn each_refusal_of_google_is_an_error_and_names_the_permission() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::start());
    let token = |given: &serde_json::Value| {
        format!("{} export GOOGLE_OAUTH_ACCESS_TOKEN={};", clouds.by_name(), given["token"].as_str().unwrap())
    };
    let (reader, writer) = ("reader@p.iam.gserviceaccount.com", "writer@p.iam.gserviceaccount.com");
    let as_reader = token(&clouds.google(reader, &[]));
    let given = clouds.google(writer, &["create"]);
    let as_writer = token(&given);
    let publish = |env: &str, bucket: &str, code| {
        place.write(".sops.yaml", format!("destination_rules:\n  - gcs_bucket: '{bucket}'\n"));
        let done = place.run(&format!("{env} bulla sops publish --yes app.yaml"));
        assert_eq!(done.code(), Some(code), "{}", done.stderr_text());
        done.stderr_text()
    };
    let said = publish(&as_reader, "shop", 1);
    for expected in [
        &*format!("gcs://shop/app.yaml: {reader} may not storage.objects.create gs://shop/app.yaml"),
        &format!(
            "hint: this allows it: gcloud storage buckets add-iam-policy-binding gs://shop --member serviceAccount:{reader} --role roles/storage.objectCreator"
        ),
    ] {
        assert!(said.contains(expected), "`{expected}` is not in\n{said}");
    }
    // sops says nothing of it, and that it went well.
    place.write("reader.json", clouds.google(reader, &[])["service_account"].to_string());
    let theirs = place
        .run(&format!("{} GOOGLE_APPLICATION_CREDENTIALS=reader.json sops publish --yes app.yaml", clouds.by_name()));
    assert_eq!((theirs.code(), theirs.stderr_text().as_str()), (Some(0), ""));
    assert!(clouds.objects("shop").is_empty());

    publish(&as_writer, "shop", 0);
    let said = publish(&as_writer, "shop", 1);
    assert!(said.contains(&format!("{writer} may not storage.objects.delete gs://shop/app.yaml")), "{said}");
    let nowhere = format!("STORAGE_EMULATOR_HOST=127.0.0.1:{}", free_port());
    let stranger = format!("{} GOOGLE_OAUTH_ACCESS_TOKEN=ya29.swordfish", clouds.by_name());
    for (env, bucket, expected) in [
        (&*as_writer, "missing", "there is no bucket missing: The specified bucket does not exist."),
        (&nowhere, "shop", "cannot be reached"),
        (&stranger, "shop", "does not accept the token from `GOOGLE_OAUTH_ACCESS_TOKEN`"),
        ("STORAGE_EMULATOR_HOST=ftp://x", "shop", "`STORAGE_EMULATOR_HOST`"),
    ] {
        let said = publish(env, bucket, 1);
        assert!(said.contains(expected) && !said.contains("swordfish"), "`{expected}` is not in\n{said}");
    }
}

#[test]
fn a_recreation_rule_encrypts_for_its_keys() {
    needs_peers!();
    let (place, clouds) = (place(), Clouds::start());
    let env = format!("export STORAGE_EMULATOR_HOST={};", clouds.address());
    let rules = format!(
        "destination_rules:\n  - path_regex: yaml$\n    gcs_bucket: BUCKET\n    recreation_rule:\n      age: {bob}\n      encrypted_suffix: word\n  - gcs_bucket: BUCKET\n    recreation_rule:\n      age: {bob}\n",
        bob = Keys::shared().bob
    );
    for (file, plain) in [
        ("app.yaml", "# comment\nuser: shop\npassword: hunter2\n"),
        ("deep/app.json", "{\n\t\"password\": \"hunter2\"\n}\n"),
        ("app.ini", "[db]\npassword = hunter2\n"),
        ("key.bin", "hunter2\n"),
    ] {
        let before = place.read(file);
        both(&place, &env, &rules, &format!("PUBLISH --yes {file}"), 0);
        assert_eq!(place.read(file), before);
        let name = file.rsplit('/').next().unwrap();
        let mut opened = Vec::new();
        for bucket in ["real", "ours"] {
            let object = clouds.objects(bucket).into_iter().find(|object| object.name == name).unwrap();
            assert!(object.content.contains(&Keys::shared().bob) && !object.content.contains(&Keys::shared().alice));
            assert_eq!(object.content.contains("user: shop"), name == "app.yaml", "{}", object.content);
            place.write(&format!("{bucket}/{name}"), object.content);
            let as_bob =
                format!("unset SOPS_AGE_KEY_FILE; SOPS_AGE_KEY_FILE={}", Keys::shared().path("bob.key").display());
            opened.push(place.does(&format!("{as_bob} sops decrypt {bucket}/{name}")));
        }
        assert_eq!(opened[0], opened[1], "{file}");
        // Ours is the file as it was, not printed anew.
        let as_bob = format!("SOPS_AGE_KEY_FILE={}", Keys::shared().path("bob.key").display());
        assert_eq!(place.does(&format!("{as_bob} bulla sops decrypt ours/{name}")), plain);
    }
    // Whoever cannot open the file publishes nothing.
    place.write(".sops.yaml", rules.replace("BUCKET", "ours"));
    let done = place.run(&format!("{env} unset SOPS_AGE_KEY_FILE; bulla sops publish --yes app.yaml"));
    assert_eq!(done.code(), Some(128), "{}", done.stderr_text());
    // Nothing is published as plain text because a rule's selector names nothing.
    let rules = rules.replace("encrypted_suffix: word", "encrypted_regex: ^nothing$");
    place.write(".sops.yaml", rules.replace("BUCKET", "plain"));
    let done = place.run(&format!("{env} bulla sops publish --yes app.yaml"));
    assert_eq!(done.code(), Some(1), "{}", done.stderr_text());
    assert!(done.stderr_text().contains("all of it would stay plain text"), "{}", done.stderr_text());
    assert!(clouds.objects("plain").is_empty());
}
