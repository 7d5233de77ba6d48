use bulla_keys::KeyName;

use super::*;

const ALICE: &str = "age1qea037edq40udfgmp6eanx5ej40s9t9x2w6858ywl9yg85a5r4gsc3rqk0";
const BOB: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";

fn read(text: &str) -> Result<Rules, RulesError> {
    let text = text.replace("ALICE", ALICE).replace("BOB", BOB);
    Rules::read(text.as_bytes(), "/repository", UnknownKeys::Refuse)
}

fn shown(key: &KeyName) -> String {
    key.id().to_string()
}

fn rule(text: &str, file: &str) -> String {
    let rules = read(text).unwrap();
    match rules.rule_for(Path::new(file)) {
        Ok(rule) => {
            let name = |key: &KeyName| match key {
                KeyName::Age(name) if name == ALICE => "alice".to_owned(),
                KeyName::Age(name) if name == BOB => "bob".to_owned(),
                KeyName::Aws(name) => name.to_string(),
                _ => "another".to_owned(),
            };
            let keys = |group: &Group| group.keys.iter().map(name).collect::<Vec<_>>().join(" ");
            let groups: Vec<_> = rule.groups.iter().map(keys).collect();
            let threshold = if rule.threshold > 0 { format!(" needs {}", rule.threshold) } else { String::new() };
            let selector = rule.selector.as_ref().map(|selector| format!(" {}: {}", selector.kind(), selector.text()));
            let mac = if rule.mac_only_encrypted { " mac only" } else { "" };
            format!("{}{threshold}{}{mac}", groups.join(" | "), selector.unwrap_or_default())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_first_rule_that_matches_counts() {
    let text = r"
creation_rules:
    - path_regex: ^prod/.*\.yaml$
      age: ALICE, BOB,
      encrypted_regex: ^(data|stringData)$
    - path_regex: \.json$
      age: [ALICE]
      mac_only_encrypted: true
      unencrypted_suffix: ''
    - age:
          - BOB
          - ALICE,BOB
";
    for (file, expected) in [
        ("/repository/prod/a.yaml", "alice bob encrypted_regex: ^(data|stringData)$"),
        ("/repository/dev/prod/a.yaml", "bob alice"),
        ("/repository/prod/a.json", "alice mac only"),
        ("/elsewhere/a.json", "alice mac only"),
        ("/elsewhere/prod/a.yaml", "bob alice"),
    ] {
        assert_eq!(rule(text, file), expected, "{file}");
    }
}

#[test]
fn a_file_that_no_rule_matches_is_named() {
    let text = "creation_rules: [{path_regex: ^a$, age: ALICE}]";
    let expected =
        "no creation rule matches `b/c`: add one, or one without `path_regex` at the end that matches everything";
    assert_eq!(rule(text, "/repository/b/c"), expected);
    assert!(rule(text, "/other/a").starts_with("no creation rule matches `/other/a`"));
    for text in ["", "{}", "creation_rules:", "stores: {yaml: {indent: 2}}"] {
        assert_eq!(rule(text, "/repository/a"), "the configuration has no `creation_rules`", "{text}");
    }
    assert!(rule("creation_rules: []", "/repository/a").starts_with("no creation rule matches `a`"));
}

#[test]
fn one_group_is_as_good_as_none_and_merged_groups_come_first() {
    let text = "
creation_rules:
    - key_groups:
          - merge:
                - age: [BOB]
                - merge: [{age: [BOB]}]
            age: [ALICE, BOB]
";
    assert_eq!(rule(text, "/repository/a"), "bob alice");
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = "
keys:
    - &alice ALICE
    - &bob BOB
    - &unused x
defaults: &defaults
    age: [*bob]
    encrypted_suffix: _secret
creation_rules:
    - path_regex: one
      key_groups: [{age: [*alice, *bob]}]
    - path_regex: two
      <<: *defaults
      age: *alice
    - <<: [*defaults]
";
    assert_eq!(rule(text, "/repository/one"), "alice bob");
    assert_eq!(rule(text, "/repository/two"), "alice encrypted_suffix: _secret");
    assert_eq!(rule(text, "/repository/three"), "bob encrypted_suffix: _secret");
}

#[test]
fn a_key_that_is_none_is_an_error_of_the_file_that_needs_it_only() {
    for (field, what) in [
        ("age: x", "`x` is not an age recipient"),
        ("pgp: F", "`F` is not the fingerprint of an OpenPGP key"),
        ("gcp_kms: [x]", "`x` is not the resource id of a key"),
        ("hckms: [x]", "`x` is not a key of Huawei Cloud"),
        ("azure_keyvault: x", "`x` is not the URL of a key"),
        ("hc_vault_transit_uri: x", "`x` is not the URI of a transit key"),
        ("key_groups: [{age: [ALICE], azure_keyvault: [{vaultUrl: x}]}]", "`x/keys//` is not the URL of a key"),
    ] {
        let text =
            format!("creation_rules:\n    - path_regex: ^a$\n      age: ALICE\n    - path_regex: ^b$\n      {field}\n");
        assert_eq!(rule(&text, "/repository/a"), "alice");
        let error = read(&text).unwrap().rule_for(Path::new("/repository/b")).map(|_| ()).unwrap_err();
        let RuleError::Key { position, source, .. } = error else { panic!("{error}") };
        assert!(source.to_string().starts_with(what), "{source}");
        assert!(position.to_string().starts_with("line 5, column "), "{position}");
    }
    assert_eq!(rule("creation_rules: [{pgp: '', kms: [], age: ALICE}]", "/repository/a"), "alice");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, message) in [
        (
            "creation_rules:\n    - age: ALICE\n      encrypted_regexp: x\n",
            "line 3, column 7: unknown key `encrypted_regexp`; expected one of `path_regex`, `age`",
        ),
        ("creation_rule: []\n", "line 1, column 1: unknown key `creation_rule`; expected one of `creation_rules`"),
        (
            "creation_rules:\n    - key_groups:\n          - age: []\n            vault: x\n",
            "line 4, column 13: unknown key `vault`; expected one of `merge`, `age`",
        ),
        ("creation_rules: {}\n", "line 1, column 1: expected a list of rules as `creation_rules`"),
        ("creation_rules: [x]\n", "line 1, column 18: expected a list of rules as `creation_rules`"),
        (
            "creation_rules: [{path_regex: 7}]\n",
            "line 1, column 19: expected a text, in quotes if need be as `path_regex`",
        ),
        ("creation_rules: [{age: [[x]]}]\n", "line 1, column 25: expected a text with names separated by commas"),
        ("creation_rules: [{mac_only_encrypted: 'yes'}]\n", "line 1, column 19: expected `true` or `false`"),
        ("creation_rules: [{shamir_threshold: x}]\n", "line 1, column 19: expected a number as `shamir_threshold`"),
        ("creation_rules:\n    - path_regex: (\n", "line 2, column 7: `path_regex` is not a regular expression"),
        ("creation_rules:\n    - encrypted_regex: (\n", "line 2, column 7: the rule does not say what is encrypted"),
        (
            "creation_rules:\n    - encrypted_regex: a\n      encrypted_suffix: b\n",
            "line 2, column 7: the rule does not say what is encrypted",
        ),
        (
            "creation_rules:\n    - age: ALICE\n      key_groups: [{age: [BOB]}]\n",
            "line 2, column 7: `age` does not count beside `key_groups`; put it into a group",
        ),
        (
            "creation_rules:\n    - age: ALICE\n      shamir_threshold: 2\n",
            "line 3, column 7: `shamir_threshold` is 2, and the rule has 1: every key of one group opens the file by itself",
        ),
        (
            "creation_rules: [{shamir_threshold: 3, key_groups: [{age: [ALICE]}, {age: [BOB]}]}]",
            "line 1, column 19: `shamir_threshold` is 3, and the rule has 2: it must be 2 at least",
        ),
        (
            "creation_rules: [{shamir_threshold: 1, key_groups: [{age: [ALICE]}, {age: [BOB]}]}]",
            "line 1, column 19: `shamir_threshold` is 1",
        ),
        ("creation_rules: [{shamir_threshold: -1}]", "line 1, column 19: `shamir_threshold` is -1"),
        ("creation_rules: [{key_groups: [{age: ALICE}]}]", "line 1, column 33: expected a list of names as `age`"),
        ("creation_rules: [{hckms: x}]", "line 1, column 19: expected a list of names as `hckms`"),
        (
            "destination_rules: [{s3_bucket: a, vault_path: b}]",
            "line 1, column 21: a destination has one of `s3_bucket`",
        ),
        ("destination_rules: [{path_regex: x}]", "line 1, column 21: a destination has one of"),
        ("destination_rules: [{path_regex: (, s3_bucket: a}]", "line 1, column 22: `path_regex` is not"),
        (
            "destination_rules: [{s3_bucket: a, reencryption_rule: {}}]",
            "line 1, column 36: unknown key `reencryption_rule`",
        ),
        ("destination_rules: [{s3_bucket: a, recreation_rule: {agee: x}}]", "line 1, column 54: unknown key `agee`"),
        ("destination_rules: [{s3_bucket: a, recreation_rule: x}]", "line 1, column 36: expected a rule"),
        (
            "creation_rules:\n    - path_regex: a\n    - age: ALICE\n    - path_regex: b\n      age: BOB\n",
            "line 4, column 7: no file comes to this rule: the one at line 3, column 7 has no `path_regex`",
        ),
        ("destination_rules: [{s3_bucket: a}, {s3_bucket: b}]", "line 1, column 37: no file comes to this rule"),
        ("stores: {yml: {}}", "line 1, column 10: unknown key `yml`"),
        ("stores: {yaml: {indent: 1}}", "line 1, column 17: expected a number of blanks from 2 to 9"),
        ("stores: {json: {indent: -2}}", "line 1, column 17: expected a number of blanks, or -1 for a tab as `indent`"),
        ("stores: {yaml: 2}", "line 1, column 10: expected a mapping with `indent` as `yaml`"),
        ("stores: {ini: {indent: 2}}", "line 1, column 16: unknown key `indent`"),
        ("a: [\n", "cannot read the configuration"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text}\n{error}");
    }
}

#[test]
fn a_recipient_that_is_none_is_an_error_of_the_file_that_needs_it() {
    let error = rule("creation_rules: [{age: age1x}]", "/repository/a");
    assert_eq!(error, "line 1, column 19: the rule for `a` names a key that is none");
}

#[test]
fn keys_of_vault_stand_in_rules_and_in_groups() {
    const ONE: &str = "https://vault:8200/v1/transit/keys/one";
    const TWO: &str = "https://vault:8200/v1/a/b/keys/two";
    let names = |text: &str| -> Vec<String> {
        let rules = read(&text.replace("ONE", ONE).replace("TWO", TWO)).unwrap();
        let rule = rules.rule_for(Path::new("/repository/a")).unwrap();
        rule.groups.iter().flat_map(|group| &group.keys).map(shown).collect()
    };
    let (alice, one, two) = (format!("age {ALICE}"), format!("hc_vault {ONE}"), format!("hc_vault {TWO}"));
    for text in [
        "creation_rules: [{age: ALICE, hc_vault_transit_uri: 'ONE,TWO,'}]",
        "creation_rules: [{hc_vault_transit_uri: [ONE, TWO, ONE], age: [ALICE]}]",
        "creation_rules: [{key_groups: [{age: [ALICE], hc_vault: [ONE, TWO]}]}]",
    ] {
        assert_eq!(names(text), [alice.as_str(), &one, &two], "{text}");
    }
    let error = rule("creation_rules: [{hc_vault_transit_uri: 'https://vault/keys/x'}]", "/repository/a");
    assert_eq!(error, "line 1, column 19: the rule for `a` names a key that is none");
    let error = read("creation_rules: [{hc_vault_transit_uri: x, key_groups: [{age: [BOB]}]}]").unwrap_err();
    assert!(error.to_string().contains("`hc_vault_transit_uri` does not count beside `key_groups`"), "{error}");
}

#[test]
fn as_sops_unknown_keys_are_passed_over() {
    let text = format!("typo: 1\ncreation_rules: [{{agee: x, age: {ALICE}, key_groups: [{{age: [{BOB}], typo: 1}}]}}]");
    let rules = Rules::read(text.as_bytes(), "/repository", UnknownKeys::Ignore).unwrap();
    let rule = rules.rule_for(Path::new("/repository/a")).unwrap();
    let keys: Vec<_> = rule.groups.iter().flat_map(|group| &group.keys).map(shown).collect();
    assert_eq!(keys, [format!("age {BOB}")]);
}

#[test]
fn keys_of_kms_have_what_is_said_of_them() {
    const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/k";
    let text = format!(
        "
creation_rules:
    - path_regex: flat
      kms: {KEY} + arn:aws:iam::123456789012:role/r, {KEY},
      aws_profile: team
      age: ALICE
    - path_regex: list
      kms: [{KEY}]
    - path_regex: group
      key_groups:
          - merge: [{{kms: [{{arn: {KEY}}}]}}]
            kms:
                - arn: {KEY}
                - {{arn: '{KEY}', role: 'arn:aws:iam::123456789012:role/r', context: {{b: '2', a: x}}, aws_profile: team}}
            age: [ALICE]
    - path_regex: wrong
      kms: arn:aws:kms:eu-west-1.evil.example:1:key/k
"
    );
    for (file, expected) in [
        ("flat", format!("alice {KEY}+arn:aws:iam::123456789012:role/r||team {KEY}||team")),
        ("list", KEY.to_owned()),
        ("group", format!("{KEY} alice {KEY}+arn:aws:iam::123456789012:role/r|a:x,b:2|team")),
        ("wrong", "line 17, column 7: the rule for `wrong` names a key that is none".to_owned()),
    ] {
        assert_eq!(rule(&text, &format!("/repository/{file}")), expected);
    }
    let rules = read(&text).unwrap();
    let context = [("c".to_owned(), "3".to_owned())];
    let names = |file: &str| {
        let keys = rules.rule_for(Path::new(file)).unwrap().key_groups(&context).groups.concat();
        keys.iter().filter(|key| matches!(key, KeyName::Aws(name) if name.context == context)).count()
    };
    assert_eq!((names("/repository/flat"), names("/repository/group")), (2, 0));
    for (text, expected) in [
        (
            "creation_rules: [{key_groups: [{kms: [{arn: x, context: {a: 1}}]}]}]",
            "expected a mapping of names to texts",
        ),
        ("creation_rules: [{key_groups: [{kms: [{arn: x, region: y}]}]}]", "unknown key `region`"),
        ("creation_rules: [{key_groups: [{kms: [x]}]}]", "expected a list of mappings"),
        ("creation_rules: [{kms: x, key_groups: [{age: [ALICE]}]}]", "`kms` does not count beside `key_groups`"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn several_groups_are_kept_apart_and_merged_ones_come_first() {
    let text = "
creation_rules:
    - path_regex: two
      shamir_threshold: 2
      key_groups:
          - age: [ALICE]
          - age: [BOB, ALICE, BOB]
          - merge: [{age: [BOB]}, {merge: [{age: [ALICE]}], age: [BOB]}]
    - path_regex: all
      key_groups: [{age: [ALICE]}, {age: [BOB]}]
    - path_regex: empty
      key_groups: [{age: [ALICE]}, {}]
    - path_regex: none
      encrypted_suffix: x
";
    for (file, expected) in [
        ("two", "alice | bob alice | bob alice needs 2"),
        ("all", "alice | bob"),
        ("empty", "alice | "),
        ("none", " encrypted_suffix: x"),
    ] {
        assert_eq!(rule(text, &format!("/repository/{file}")), expected);
    }
}

#[test]
fn as_sops_what_is_wrong_with_a_rule_matters_to_its_own_files() {
    let text = "
creation_rules:
    - {path_regex: ^a$, age: 7}
    - {path_regex: ^b$, encrypted_regex: (, age: ALICE}
    - {path_regex: ^c$, encrypted_regex: a, encrypted_suffix: b}
    - {path_regex: 7, age: ALICE, mac_only_encrypted: yes, shamir_threshold: 2.0}
    - {path_regex: (}
    - {age: ALICE}
"
    .replace("ALICE", ALICE);
    assert!(read(&text).is_err());
    let rules = Rules::read(text.as_bytes(), "/repository", UnknownKeys::Ignore).unwrap();
    let error = |file: &str| rules.rule_for(Path::new(file)).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        error("/repository/a"),
        "line 3, column 25: expected a text with names separated by commas, or a list of names as `age`"
    );
    assert!(error("/repository/b").ends_with("the rule does not say what is encrypted"));
    assert!(error("/repository/c").ends_with("the rule does not say what is encrypted"));
    assert_eq!(error("/repository/x"), "line 7, column 8: `path_regex` is not a regular expression");
    let seven = rules.rule_for(Path::new("/repository/7")).unwrap();
    assert_eq!((seven.mac_only_encrypted, seven.threshold), (true, 2));
}

#[test]
fn destinations_say_where_a_file_goes_and_for_whom() {
    let text = "
destination_rules:
    - {path_regex: ^a, s3_bucket: b, s3_prefix: p/, omit_extensions: true, recreation_rule: {age: ALICE}}
    - {path_regex: ^g, gcs_bucket: b}
    - {path_regex: ^k1, vault_path: x/, vault_kv_mount_name: kv, vault_kv_version: 1, vault_address: 'https://v'}
    - {vault_path: x}
stores: {yaml: {indent: 2}, json: {indent: 0}}
";
    let rules = read(text).unwrap();
    for (file, place, keys) in [
        ("a.yaml", "s3://b/p/NAME", 1),
        ("g.yaml", "gcs://b/NAME", 0),
        ("k1.yaml", "https://v/v1/kv/x/NAME", 0),
        ("x/a.yaml", "/v1/secret/data/x/NAME", 0),
    ] {
        let rule = rules.destination_for(file).unwrap();
        assert_eq!(rule.destination.as_ref().unwrap().place("NAME"), place, "{file}");
        assert_eq!((rule.recreation.groups[0].keys.len(), rule.omit_extensions), (keys, keys == 1));
    }
    assert_eq!(rules.stores(), Stores { yaml: 2, json: 0, json_binary: -1 });
    assert!(!rules.has_creation_rules());
    let none = read("destination_rules: []").unwrap().destination_for("a").map(|_| ()).unwrap_err();
    assert_eq!(none.to_string(), "no destination rule matches `a`");
}
