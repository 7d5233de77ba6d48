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
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut files = 0;
    for file in corpus::manifests() {
        let bytes = std::fs::read(&file.path).unwrap();
        let report = check(&file.name, &bytes, &Alone, &Configuration::default());
        files += 1;
        for finding in report.findings {
            *found.entry(format!("{} {}", finding.rule, file.name)).or_insert(0) += 1;
        }
    }
    let mut list = String::new();
    for (place, count) in &found {
        let _ = writeln!(list, "{place} {count}");
    }
    let expected = vectors_folder().join("real-manifests.txt");
    if std::env::var_os("BULLA_UPDATE").is_some() {
        std::fs::write(&expected, &list).unwrap();
    }
    assert!(files > 3000);
    assert!(
        list == std::fs::read_to_string(&expected).unwrap(),
        "other findings than in {}:\n{list}",
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
