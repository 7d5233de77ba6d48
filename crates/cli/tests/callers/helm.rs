//! helm-secrets. Its backend puts standard error into standard output, so that not a word may be on either but the result; it knows a
//! file's format, and whether it is encrypted, by `grep`. Source: helm-secrets, `scripts/lib/backends/sops.sh`.

use bulla_testkit::needs_peers;

use super::places;

const VALUES: &str = "# values\ndb:\n    user: admin\n    password: hunter2\nreplicas: 2\n";

const IS_ENCRYPTED: &str = "grep -q 'mac.*,type:str]'";

#[test]
fn files_of_helm_secrets_are_encrypted_and_decrypted() {
    needs_peers!();
    for (name, place) in places() {
        for (file, kind, plain) in [
            ("secrets.yaml", "yaml", VALUES),
            ("secrets.json", "json", "{\n\t\"a\": {\n\t\t\"b\": \"c\"\n\t}\n}\n"),
            ("tls.crt", "binary", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            let types = format!("--input-type {kind} --output-type {kind}");
            place.write(file, plain);
            assert_ne!(place.run(&format!("{IS_ENCRYPTED} < {file}")).code(), Some(0), "{name}");
            // To standard output, to a file, in place.
            let printed = place.does(&format!("sops --encrypt {types} {file} 2>&1"));
            place.write(&format!("printed-{file}"), printed);
            assert_eq!(
                place.does(&format!("sops --encrypt {types} --output written-{file} {file} 2>&1")),
                "",
                "{name}"
            );
            assert_eq!(place.does(&format!("sops --encrypt {types} --in-place {file} 2>&1")), "", "{name}");
            for file in [format!("printed-{file}"), format!("written-{file}"), file.to_owned()] {
                place.does(&format!("{IS_ENCRYPTED} < {file}"));
                let found = place.does(&format!(
                    "if grep -xq 'sops:\\s*' {file}; then echo yaml; elif grep -q '\"data\": \"ENC' {file}; then echo binary; else echo json; fi"
                ));
                assert_eq!(found.trim(), kind, "{name}: {file}");
                assert_eq!(place.does(&format!("sops --decrypt {types} {file} 2>&1")), plain, "{name}: {file}");
                assert_eq!(
                    place.does(&format!("sops --decrypt {types} --output {file}.dec {file} 2>&1")),
                    "",
                    "{name}"
                );
                assert_eq!(place.read(&format!("{file}.dec")), plain, "{name}: {file}");
            }
            assert_eq!(place.does(&format!("sops --decrypt {types} --in-place {file} 2>&1")), "", "{name}");
            assert_eq!(place.read(file), plain, "{name}");
        }
    }
}

#[test]
fn a_literal_of_helm_secrets_comes_through_standard_input() {
    needs_peers!();
    for (name, place) in places() {
        place.write("literal.json", r#"{"a": "b"}"#);
        place.does("sops --encrypt --input-type json --output-type json --in-place literal.json 2>&1");
        let line =
            "printf '%s' \"$(cat literal.json)\" | sops --decrypt --input-type json --output-type json /dev/stdin 2>&1";
        assert_eq!(place.does(line).split_whitespace().collect::<String>(), r#"{"a":"b"}"#, "{name}");
    }
}

/// `SECRET_BACKEND_ARGS` stand in front of all others.
#[test]
fn arguments_of_the_backend_come_first() {
    needs_peers!();
    for (name, place) in places() {
        place.write("secrets.yaml", VALUES);
        let types = "--input-type yaml --output-type yaml";
        place.does(&format!(
            "sops --age $BOB --encrypted-regex '^password$' --encrypt {types} --in-place secrets.yaml 2>&1"
        ));
        let encrypted = place.read("secrets.yaml");
        assert!(encrypted.contains("user: admin") && !encrypted.contains("hunter2"), "{name}: {encrypted}");
        // It is for Bob alone: with Alice's identity there is nothing to be had, and the exit code says what is missing.
        let refused = place.run(&format!("sops --verbose --decrypt {types} secrets.yaml 2>&1"));
        assert_eq!(refused.code(), Some(128), "{name}: {}", refused.stdout_text());
        let opened = place.does(&format!("SOPS_AGE_KEY_FILE=$KEYS/bob.key sops --decrypt {types} secrets.yaml 2>&1"));
        assert_eq!(opened, VALUES, "{name}");
    }
}

#[test]
fn a_file_of_helm_secrets_is_edited() {
    needs_peers!();
    for (name, place) in places() {
        place.write("secrets.yaml", VALUES);
        place.does("sops --encrypt --input-type yaml --output-type yaml --in-place secrets.yaml 2>&1");
        let before = place.read("secrets.yaml");
        let edit = "sops --input-type yaml --output-type yaml secrets.yaml 2>&1";
        place.does(&format!("EDITOR=\"sed -i s/hunter2/changed/\" {edit}"));
        let after = place.read("secrets.yaml");
        let new: Vec<&str> = super::new_lines(&before, &after);
        assert!(new.len() == 2 && new[0].trim_start().starts_with("password: ENC["), "{name}: {new:#?}");
        let opened = place.does("sops --decrypt --input-type yaml --output-type yaml secrets.yaml 2>&1");
        assert_eq!(opened, VALUES.replace("hunter2", "changed"), "{name}");
        let unchanged = place.run(&format!("EDITOR=true {edit}"));
        assert_eq!(unchanged.code(), Some(200), "{name}: {}", unchanged.stdout_text());
        assert_eq!(place.read("secrets.yaml"), after, "{name}");
    }
}
