//! Generated configurations: bulla decides as the real SOPS does, which keys in which groups, which selector, which destination.

use std::fmt::Write as _;
use std::path::Path;

use bulla_sops::SelectorKind;
use bulla_sops::rules::{Rule, RuleError, Rules, UnknownKeys};
use bulla_testkit::mutate::Random;
use bulla_testkit::needs_peers;
use bulla_testkit::oracle::{Decision, Oracle};

use crate::support::RECIPIENT;

const OTHER: &str = "age1q5sg9u56nxz9v3vj98zk07tgcrqz26mnkd9akf669w7pdq9crs2qs8dwpl";
const PGP: &[&str] = &[
    "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4",
    "D722 9043 384B CC60 326C  6FB9 D8720D957C3D3074",
    "b611a2f9f11d0ff82568805119f9b5daea91ff86",
];
const KMS: &[&str] = &[
    "arn:aws:kms:us-east-1:123456789012:key/a",
    "arn:aws:kms:us-east-1:123456789012:key/a+arn:aws:iam::123456789012:role/r",
    "arn:aws:kms:eu-west-1:123456789012:alias/b",
];
const GCP: &[&str] =
    &["projects/p/locations/l/keyRings/r/cryptoKeys/k", "projects/q/locations/global/keyRings/r/cryptoKeys/k"];
const HUAWEI: &[&str] =
    &["tr-west-1:abc12345-6789-0123-4567-890123456789", "cn-north-4:12345678-90ab-cdef-1234-567890abcdef"];
const AZURE: &[&str] = &["https://one.vault.azure.net/keys/k/1", "https://two.vault.azure.net/keys/k/2/"];
const VAULT: &[&str] = &["https://vault.example.com:8200/v1/transit/keys/k", "http://v/v1/a/b/keys/k2"];
const AGE: &[&str] = &[RECIPIENT, OTHER];

const FILES: &[&str] = &["a.yaml", "prod/a.yaml", "prod/b.json", "dev/deep/c.env", "x"];
const PATTERNS: &[&str] = &["", r"\.yaml$", "^prod/", "a", "b.json$", "^dev/.*\\.env$", "^nothing$", "[a-c]"];

/// What YAML is made of, drawn by chance.
struct Configuration {
    random: Random,
    text: String,
}

impl Configuration {
    fn chance(&mut self, of: usize) -> bool {
        self.random.below(of) == 0
    }

    fn pick(&mut self, among: &[&str]) -> String {
        among[self.random.below(among.len())].to_owned()
    }

    fn quoted(&mut self, among: &[&str]) -> String {
        format!("'{}'", self.pick(among))
    }

    /// A few of `among`: in a list; or, if that may be, in a text.
    fn names(&mut self, among: &[&str], may_be_text: bool) -> String {
        let names: Vec<String> = (0..self.random.below(4)).map(|_| self.pick(among)).collect();
        let as_text = may_be_text && self.chance(2);
        if as_text {
            let gap = if self.chance(2) { ", " } else { "," };
            let end = if self.chance(3) && !names.is_empty() { "," } else { "" };
            return format!("'{}{end}'", names.join(gap));
        }
        let items: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        format!("[{}]", items.join(", "))
    }

    fn rule(&mut self, indent: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        let pattern = self.pick(PATTERNS);
        if !pattern.is_empty() || self.chance(2) {
            lines.push(format!("path_regex: '{pattern}'"));
        }
        if self.chance(2) {
            lines.push(format!("key_groups: {}", self.groups(2)));
        }
        // Beside groups these do not count, and SOPS passes over them.
        for (field, among, may_be_text) in [
            ("age", AGE, true),
            ("pgp", PGP, true),
            ("kms", KMS, true),
            ("gcp_kms", GCP, true),
            ("hckms", HUAWEI, false),
            ("azure_keyvault", AZURE, true),
            ("hc_vault_transit_uri", VAULT, true),
        ] {
            if self.chance(3) {
                let names = self.names(among, may_be_text);
                lines.push(format!("{field}: {names}"));
            }
        }
        if self.chance(4) {
            lines.push("aws_profile: team".to_owned());
        }
        if self.chance(4) {
            lines.push(format!("shamir_threshold: {}", self.random.below(4)));
        }
        if self.chance(2) {
            let kind = SelectorKind::ALL[self.random.below(6)];
            lines.push(format!("{kind}: '{}'", self.pick(&["^data$", "_x", ""])));
        }
        if self.chance(12) {
            lines.push("encrypted_suffix: _y".to_owned());
        }
        if self.chance(3) {
            lines.push(format!("mac_only_encrypted: {}", self.pick(&["true", "false", "yes", "off"])));
        }
        if self.chance(6) {
            lines.push(format!("{}: [1, {{x: y}}]", self.pick(&["encrypted_regexp", "unknown", "agee"])));
        }
        let mut seen: Vec<String> = Vec::new();
        lines.retain(|line| {
            let key = line.split(':').next().unwrap_or_default().to_owned();
            let is_new = !seen.contains(&key);
            seen.push(key);
            is_new
        });
        if lines.is_empty() {
            return "{}".to_owned();
        }
        lines.join(&format!("\n{indent}"))
    }

    fn groups(&mut self, depth: usize) -> String {
        let groups: Vec<String> = (0..self.random.below(4)).map(|_| self.group(depth)).collect();
        format!("[{}]", groups.join(", "))
    }

    fn group(&mut self, depth: usize) -> String {
        let mut fields: Vec<String> = Vec::new();
        for (field, among) in [("age", AGE), ("pgp", PGP), ("hc_vault", VAULT)] {
            if self.chance(2) {
                let names = self.names(among, false);
                fields.push(format!("{field}: {names}"));
            }
        }
        if self.chance(3) {
            let arn = KMS[self.random.below(2) * 2];
            let mut key = format!("arn: '{arn}'");
            if self.chance(2) {
                key += ", role: 'arn:aws:iam::123456789012:role/r'";
            }
            if self.chance(2) {
                key += ", context: {b: '1', a: x}";
            }
            if self.chance(3) {
                key += ", aws_profile: team";
            }
            fields.push(format!("kms: [{{{key}}}, {{arn: '{arn}'}}]"));
        }
        if self.chance(4) {
            let id = self.quoted(GCP);
            fields.push(format!("gcp_kms: [{{resource_id: {id}}}]"));
        }
        if self.chance(4) {
            let id = self.quoted(HUAWEI);
            fields.push(format!("hckms: [{{key_id: {id}}}]"));
        }
        if self.chance(4) {
            fields.push("azure_keyvault: [{vaultUrl: 'https://one.vault.azure.net', key: k, version: '1'}]".to_owned());
        }
        if depth > 0 && self.chance(3) {
            let merged = self.groups(depth - 1);
            fields.insert(0, format!("merge: {merged}"));
        }
        format!("{{{}}}", fields.join(", "))
    }

    fn creation(seed: u64) -> String {
        let mut configuration = Self { random: Random::new(seed), text: String::new() };
        if configuration.chance(20) {
            return "stores: {yaml: {indent: 2}}\n".to_owned();
        }
        configuration.text += "creation_rules:\n";
        for _ in 0..=configuration.random.below(4) {
            let rule = configuration.rule("    ");
            let _ = writeln!(configuration.text, "  - {rule}");
        }
        configuration.text
    }

    fn destinations(seed: u64) -> String {
        let mut configuration = Self { random: Random::new(seed), text: String::new() };
        configuration.text += "destination_rules:\n";
        for _ in 0..=configuration.random.below(4) {
            let pattern = configuration.quoted(PATTERNS);
            let mut rule = format!("path_regex: {pattern}");
            for (field, values) in [
                ("s3_bucket", &["b"][..]),
                ("s3_prefix", &["", "p/"]),
                ("gcs_bucket", &["g"]),
                ("gcs_prefix", &["q"]),
                ("vault_path", &["x", "x/y/"]),
                ("vault_address", &["https://v.example.com"]),
                ("vault_kv_mount_name", &["", "kv", "kv/"]),
            ] {
                if configuration.chance(3) || field == "vault_address" {
                    let value = configuration.quoted(values);
                    let _ = write!(rule, "\n    {field}: {value}");
                }
            }
            if configuration.chance(2) {
                let _ = write!(rule, "\n    vault_kv_version: {}", configuration.random.below(4));
            }
            if configuration.chance(3) {
                rule += "\n    omit_extensions: true";
            }
            if configuration.chance(2) {
                let recreation = configuration.rule("        ");
                if recreation != "{}" {
                    let _ = write!(rule, "\n    recreation_rule:\n        {recreation}");
                }
            }
            let _ = writeln!(configuration.text, "  - {rule}");
        }
        configuration.text
    }
}

/// A rule in the oracle's words. A key that is named twice counts once.
fn decision(rule: &Rule) -> Decision {
    let selector = |kind| {
        let selector = rule.selector.as_ref().filter(|selector| selector.kind() == kind);
        selector.map(|selector| selector.text().to_owned()).unwrap_or_default()
    };
    let groups = rule.key_groups(&[]).groups;
    let groups = groups.iter().map(|group| group.iter().map(|key| key.id().to_string()).collect()).collect();
    Decision {
        found: true,
        groups: Some(groups),
        shamir_threshold: i64::try_from(rule.threshold).unwrap(),
        unencrypted_suffix: selector(SelectorKind::UnencryptedSuffix),
        encrypted_suffix: selector(SelectorKind::EncryptedSuffix),
        unencrypted_regex: selector(SelectorKind::UnencryptedRegex),
        encrypted_regex: selector(SelectorKind::EncryptedRegex),
        unencrypted_comment_regex: selector(SelectorKind::UnencryptedCommentRegex),
        encrypted_comment_regex: selector(SelectorKind::EncryptedCommentRegex),
        mac_only_encrypted: rule.mac_only_encrypted,
        destination: String::new(),
        omit_extensions: false,
    }
}

/// What SOPS decided, with every key of a group once.
fn each_once(mut decision: Decision) -> Decision {
    for group in decision.groups.iter_mut().flatten() {
        let mut seen: Vec<String> = Vec::new();
        group.retain(|key| {
            let is_new = !seen.contains(key);
            seen.push(key.clone());
            is_new
        });
    }
    decision
}

#[test]
fn every_file_gets_the_keys_and_the_selector_that_sops_gives_it() {
    needs_peers!();
    let (mut decided, mut refused, mut groups) = (0, 0, 0);
    for seed in 0..600 {
        let text = Configuration::creation(seed);
        for file in FILES {
            let theirs = Oracle::shared().sops_config(text.as_bytes(), file);
            let rules = Rules::read(text.as_bytes(), "/repository", UnknownKeys::Ignore).unwrap();
            let ours = rules.rule_for(&Path::new("/repository").join(file));
            let context = || format!("seed {seed}, {file}\n{text}\n{theirs:?}\n{ours:?}");
            match (&theirs, &ours) {
                (Ok(theirs), Err(RuleError::NoRules)) => assert!(!theirs.found, "{}", context()),
                (Ok(theirs), Ok(rule)) => {
                    assert_eq!(decision(rule), each_once(theirs.clone()), "{}", context());
                    decided += 1;
                    groups += usize::from(rule.groups.len() > 1);
                }
                (Err(_), Err(_)) => refused += 1,
                _ => panic!("{}", context()),
            }
        }
    }
    assert!(decided > 1500 && refused > 200 && groups > 200, "{decided} {refused} {groups}");
}

#[test]
fn every_file_goes_where_sops_puts_it() {
    needs_peers!();
    let (mut decided, mut refused) = (0, 0);
    for seed in 0..300 {
        let text = Configuration::destinations(seed);
        for file in FILES {
            let theirs = Oracle::shared().sops_destination(text.as_bytes(), file);
            let rules = Rules::read(text.as_bytes(), "/repository", UnknownKeys::Ignore).unwrap();
            let ours = rules.destination_for(file);
            let context = || format!("seed {seed}, {file}\n{text}\n{theirs:?}\n{ours:?}");
            match (&theirs, &ours) {
                (Ok(theirs), Ok(rule)) => {
                    let place = rule.destination.as_ref().map(|destination| destination.place("NAME"));
                    let destination = place.unwrap_or_default();
                    let omit_extensions = rule.omit_extensions;
                    let ours = Decision { destination, omit_extensions, ..decision(&rule.recreation) };
                    assert_eq!(ours, each_once(theirs.clone()), "{}", context());
                    decided += 1;
                }
                (Err(_), Err(_)) => refused += 1,
                _ => panic!("{}", context()),
            }
        }
    }
    assert!(decided > 300 && refused > 100, "{decided} {refused}");
}

#[test]
fn indentations_and_odd_types_are_read_as_by_sops() {
    needs_peers!();
    for text in [
        "{}",
        "stores:",
        "stores: {yaml: {indent: 2}, json: {indent: 0}, json_binary: {indent: 8}}",
        "stores: {yaml: {indent: 2.0}, dotenv: {x: 1}, unknown: 1}",
        "stores: {yaml: {}, json: null}",
        "stores: {json: {indent: 0x4}}",
        "stores: {json: {indent: '2'}}",
        "stores: {json: 2}",
        "stores: []",
        "stores: x",
        "creation_rules: x",
        "creation_rules: {}",
        "creation_rules: [x]",
        "creation_rules: [{age: 7}]",
        "creation_rules: [{path_regex: 7, mac_only_encrypted: maybe}]",
        "creation_rules: [{path_regex: [a]}]",
        "creation_rules: [{shamir_threshold: x}]",
        "creation_rules: [{hckms: x}]",
        "creation_rules: [{key_groups: {}}]",
        "creation_rules: [{key_groups: [{age: x}]}]",
        "creation_rules: [{key_groups: [{kms: [{context: [x]}]}]}]",
        "creation_rules: [{path_regex: (}]",
        "creation_rules: [{encrypted_regex: a, encrypted_suffix: b}]",
        "creation_rules: [null]",
        "destination_rules: [x]",
        "destination_rules: [{recreation_rule: x}]",
        "a: 1\na: 2",
        "a: [",
    ] {
        let theirs = Oracle::shared().sops_stores(text.as_bytes());
        let ours = Rules::read(text.as_bytes(), "/repository", UnknownKeys::Ignore);
        match (&theirs, &ours) {
            (Ok(theirs), Ok(rules)) => {
                let ours = rules.stores();
                assert_eq!(
                    (ours.yaml, ours.json, ours.json_binary),
                    (theirs.yaml, theirs.json, theirs.json_binary),
                    "{text}"
                );
            }
            (Err(_), Err(_)) => {}
            _ => panic!("{text}: {theirs:?} {ours:?}"),
        }
    }
}
