//! Ansible itself, with the collection community.sops: a play in which it looks up, filters, loads, encrypts, and reads variables of a
//! group.

use std::fmt::Write as _;
use std::time::Duration;

use bulla_testkit::{needs_peers, peers};

use super::places;

const PLAY: &str = r#"
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that: of_the_group == "planted"
    - ansible.builtin.copy:
        content: "{{ lookup('community.sops.sops', 'secrets.yaml', rstrip=false) }}"
        dest: looked-up
    - ansible.builtin.copy:
        content: "{{ lookup('community.sops.sops', 'secrets.yaml', extract='[\"db\"][\"password\"]', config_path='/dev/null') }}"
        dest: extracted
    - ansible.builtin.copy:
        content: "{{ lookup('ansible.builtin.file', 'secrets.yaml') | community.sops.decrypt(output_type='json') }}"
        dest: filtered
    - community.sops.load_vars:
        file: secrets.yaml
        name: loaded
        expressions: ignore
    - ansible.builtin.assert:
        that: loaded.db.password == "hunter2" and loaded.db.port == 5432
    - community.sops.sops_encrypt: &encrypt
        path: made.yaml
        content_yaml: {a: {b: c}, count: 7}
      register: first
    - community.sops.sops_encrypt: *encrypt
      register: second
    - community.sops.sops_encrypt:
        path: made.json
        content_json: {a: {b: c}, count: 7}
        age: ["{{ lookup('env', 'BOB') }}"]
        encrypted_regex: ^b$
    - community.sops.sops_encrypt:
        path: made.bin
        content_binary: "{{ 'some text' | b64encode }}"
    - ansible.builtin.assert:
        that: first is changed and second is not changed
    - community.sops.load_vars:
        file: for-bob.yaml
        name: loaded
      register: refused
      ignore_errors: true
    - ansible.builtin.assert:
        that: refused is failed and "CouldNotRetrieveKey exited with code 128" in refused.msg
"#;

#[test]
fn a_play_of_ansible_runs_the_same() {
    needs_peers!();
    let (python, collections) = peers::ansible();
    for (name, place) in places() {
        let plain = "db:\n    password: hunter2\n    port: 5432\n";
        place.write("secrets.yaml", plain);
        place.write("for-bob.yaml", plain);
        place.write("group_vars/all.sops.yaml", "of_the_group: planted\n");
        place.does("sops encrypt -i secrets.yaml && sops encrypt -i group_vars/all.sops.yaml && sops encrypt --age $BOB -i for-bob.yaml");
        place.write("play.yaml", PLAY);
        let mut line = format!("{} -m ansible playbook play.yaml", python.display());
        for (variable, value) in [
            ("ANSIBLE_COLLECTIONS_PATH", collections.to_str().unwrap()),
            ("ANSIBLE_VARS_ENABLED", "host_group_vars,community.sops.sops"),
            ("ANSIBLE_VARS_SOPS_PLUGIN_HANDLE_UNENCRYPTED_FILES", "error"),
            ("ANSIBLE_LOCALHOST_WARNING", "0"),
            ("ANSIBLE_INVENTORY_UNPARSED_WARNING", "0"),
            ("LC_ALL", "C.UTF-8"),
        ] {
            line.insert_str(0, &format!("{variable}={value} "));
        }
        let finished = place.shell(&line).env("SOPS_AGE_KEY_FILE", crate::fixture::Keys::shared().path("alice.key"));
        let finished = finished.time_limit(Duration::from_mins(3)).run().unwrap();
        let mut said = String::new();
        write!(said, "{name}:\n{}{}", finished.stdout_text(), finished.stderr_text()).unwrap();
        assert_eq!(finished.code(), Some(0), "{said}");
        assert!(!finished.stderr_text().contains("Cannot extract SOPS version"), "{said}");

        assert_eq!(place.read("looked-up"), plain, "{said}");
        assert_eq!(place.read("extracted"), "hunter2", "{said}");
        assert_eq!(
            place.read("filtered").split_whitespace().collect::<String>(),
            r#"{"db":{"password":"hunter2","port":5432}}"#
        );
        let made = place.does("sops decrypt --output-type json made.yaml");
        assert_eq!(made.split_whitespace().collect::<String>(), r#"{"a":{"b":"c"},"count":7}"#, "{name}");
        assert_eq!(place.does("sops decrypt made.bin"), "some text", "{name}");
        let for_bob = place.does("SOPS_AGE_KEY_FILE=$KEYS/bob.key sops decrypt made.json");
        assert_eq!(for_bob.split_whitespace().collect::<String>(), r#"{"a":{"b":"c"},"count":7}"#, "{name}");
        assert!(place.read("made.json").contains("\"count\": 7"), "{name}");
    }
}

#[test]
fn the_version_and_the_status_of_a_file_are_said_as_ansible_reads_them() {
    needs_peers!();
    for (name, place) in places() {
        let version = place.does("sops --version --disable-version-check");
        let numbers = version.strip_prefix("sops ").unwrap_or_else(|| panic!("{name}: {version}"));
        let numbers: Vec<&str> = numbers.split([' ', '\n']).next().unwrap().split('.').collect();
        assert!(numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok()), "{name}: {version}");
        place.write("plain.yaml", "a: b\n");
        assert_eq!(place.does("sops filestatus plain.yaml").trim(), r#"{"encrypted":false}"#, "{name}");
        place.does("sops encrypt -i plain.yaml");
        assert_eq!(place.does("sops filestatus plain.yaml").trim(), r#"{"encrypted":true}"#, "{name}");
        // From standard input, by the rule for another name, without this machine's keys.
        let rule = place.read(".sops.yaml").replace("- age", "- path_regex: made\\.yaml$\n  age");
        place.write("rules.yaml", rule);
        let made = place.does("echo 'a: b' | sops --config rules.yaml encrypt --input-type yaml --output-type yaml --filename-override $PWD/made.yaml /dev/stdin");
        assert!(made.contains("a: ENC["), "{name}: {made}");
        place.write("made.yaml", made);
        assert_eq!(
            place
                .does("sops decrypt --input-type yaml --output-type json /dev/stdin < made.yaml")
                .split_whitespace()
                .collect::<String>(),
            r#"{"a":"b"}"#,
            "{name}"
        );
        let refused = place.run("sops decrypt --enable-local-keyservice=false made.yaml");
        assert_eq!(refused.code(), Some(128), "{name}: {}", refused.stderr_text());
    }
}

#[test]
fn what_fails_has_the_codes_that_ansible_names() {
    needs_peers!();
    for (name, place) in places() {
        place.write("plain.yaml", "a: b\nc: d\n");
        place.write("plain-list.yaml", "a: [b]\n");
        place.write("good.yaml", "a: b\nc: d\n");
        place.does("sops encrypt -i good.yaml");
        place.does("sed 's/^c: .*//' good.yaml > removed.yaml; sed 's/^a: ENC.AES256_GCM,data:..../a: ENC[AES256_GCM,data:AAAA/' good.yaml > changed.yaml");
        for (call, code) in [
            ("sops decrypt missing.yaml", 100),
            ("echo 'a: [' > broken.yaml; sops encrypt broken.yaml", 2),
            ("sops encrypt --output-type dotenv plain-list.yaml", 4),
            ("sops decrypt plain.yaml", 1),
            ("sops encrypt good.yaml", 203),
            ("sops decrypt removed.yaml", 51),
            ("sops decrypt changed.yaml", 25),
            ("sops encrypt --encrypted-regex a --unencrypted-regex b plain.yaml", 8),
            ("sops decrypt --extract '[\"x' good.yaml", 91),
            ("sops --decrypt", 100),
            ("sops --rotate --add-age $BOB missing.yaml", 49),
            ("sops --decrypt --output missing/x good.yaml", 3),
            ("sops encrypt --kms arn:aws:kms:us-east-1:123456789012:key/x --encryption-context x plain.yaml", 6),
            ("SOPS_AGE_KEY_FILE=$KEYS/bob.key sops decrypt good.yaml", 128),
            ("EDITOR=true sops good.yaml", 200),
            ("EDITOR=false sops good.yaml", 201),
            ("sops set good.yaml '[\"a\"]' nonsense", 7),
        ] {
            let finished = place.run(call);
            assert_eq!(finished.code(), Some(code), "{name}: {call}: {}", finished.stderr_text());
        }
    }
}
