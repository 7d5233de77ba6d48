//! Real manifests: what is found in them is listed, and each of those was opened and is what the rule says. Files of the
//! real programs have no faults.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bulla_check::{Alone, Configuration, check};
use bulla_testkit::{corpus, needs_peers, vectors};

/// What is found in the real manifests: their Secrets, all of them in test data and examples. A new line here is a false alarm until
/// somebody has looked at the file. `BULLA_UPDATE=1` writes the list anew.
#[test]
fn in_real_manifests_only_what_is_listed_is_found() {
    needs_peers!();
    only_what_is_listed(corpus::manifests(), "real-manifests.txt", 3000, 0);
}

/// The same for real Helm charts and what lies beside them. The numbers of the list are Secrets and credentials of examples, tests and
/// defaults; which of them could be seen otherwise stands in `docs/check.md`.
#[test]
fn in_real_charts_only_what_is_listed_is_found() {
    needs_peers!();
    only_what_is_listed(corpus::charts(), "real-charts.txt", 1400, 1);
}

fn only_what_is_listed(corpus: Vec<vectors::File>, list: &str, least: usize, most_unread: usize) {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let (mut files, mut unread) = (0, Vec::new());
    for file in corpus {
        let bytes = std::fs::read(&file.path).unwrap();
        let report = check(&file.name, &bytes, &Alone, &Configuration::default());
        files += 1;
        // Snippets of documents that another program puts together are no YAML.
        if file.name.contains("/templates/") {
            unread.extend(report.unread);
        }
        for finding in report.findings {
            *found.entry(format!("{} {}", finding.rule, file.name)).or_insert(0) += 1;
        }
    }
    let mut text = String::new();
    for (place, count) in &found {
        let _ = writeln!(text, "{place} {count}");
    }
    let expected = vectors_folder().join(list);
    if std::env::var_os("BULLA_UPDATE").is_some() {
        std::fs::write(&expected, &text).unwrap();
    }
    assert!(files > least);
    assert!(unread.len() <= most_unread, "templates that are not read: {unread:?}");
    assert!(
        text == std::fs::read_to_string(&expected).unwrap(),
        "other findings than in {}:\n{text}",
        expected.display()
    );
}

fn vectors_folder() -> std::path::PathBuf {
    bulla_testkit::workspace().join("crates/check/tests")
}

#[test]
fn what_sops_wrote_has_no_faults_and_what_was_broken_by_hand_has() {
    let mut broken = Vec::new();
    for vector in vectors::vectors("tests/vectors/sops") {
        let path = if vector.header("format") == Some("json") { "file.json" } else { "file.yaml" };
        let report = check(path, &vector.body, &Alone, &Configuration::default());
        let rules: Vec<&str> = report.findings.iter().map(|finding| finding.rule.id()).collect();
        match vector.header("expect") {
            Some("success") => assert!(rules.is_empty(), "{}: {:?}", vector.name, report.findings),
            _ => broken.push((vector.name, rules)),
        }
    }
    // What only a key can tell (a wrong MAC, a moved value) is no business of these rules.
    let seen = broken.iter().filter(|(_, rules)| !rules.is_empty()).count();
    assert!(seen >= 10, "only {seen} of {} broken files were seen: {broken:?}", broken.len());
}
