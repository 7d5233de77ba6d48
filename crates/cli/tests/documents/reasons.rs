//! docs/errors.md names every reason of a condition and of an event, and no other.
//!
//! In the crates that write conditions every literal of one word that begins as reasons do is a reason, or is listed here as something else:
//! who adds one has to say which, and to write its row.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bulla_testkit::workspace;

/// Literals that look like reasons: kinds, conditions, types of events, operators, providers, names of types, codes of AWS.
const NO_REASONS: [&str; 26] = [
    "Checked",
    "ConfigMap",
    "DecryptionFailure",
    "Event",
    "ExternalSecret",
    "Fake",
    "Kubernetes",
    "Live",
    "Metrics",
    "Normal",
    "Opaque",
    "Plaintext",
    "ReadOnly",
    "Ready",
    "Running",
    "SealedSecret",
    "Secret",
    "SecretsManager",
    "SelfSubjectRulesReview",
    "ServiceAccount",
    "ServiceAccountTokens",
    "Stalled",
    "Status",
    "Synced",
    "Vault",
    "Warning",
];

fn is_word(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphabetic())
        && text.chars().any(|c| c.is_ascii_lowercase())
}

/// The words between two `mark`s on one line.
fn words(text: &str, mark: char) -> BTreeSet<String> {
    text.lines()
        .flat_map(|line| line.split(mark).skip(1).step_by(2))
        .filter(|word| is_word(word))
        .map(str::to_owned)
        .collect()
}

fn in_the_code() -> BTreeSet<String> {
    let mut folders: Vec<PathBuf> =
        ["controller", "stores"].map(|name| workspace().join("crates").join(name).join("src")).into();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("\n#[cfg(test)]").next().unwrap_or_default();
                found.extend(words(code, '"'));
            }
        }
    }
    found
}

#[test]
fn every_reason_is_explained_and_no_other() {
    let page = fs::read_to_string(workspace().join("docs/errors.md")).unwrap();
    let (_, cluster) = page.split_once("\n## SealedSecrets\n").unwrap();
    let rows: BTreeSet<String> = cluster
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(reason, _)| reason.to_owned()))
        .collect();
    let (_, events) = page.split_once("\n## Events\n").unwrap();
    let explained: BTreeSet<String> = rows.union(&words(events, '`')).cloned().chain(["Digest".to_owned()]).collect();

    let code = in_the_code();
    let others: BTreeSet<String> = NO_REASONS.map(str::to_owned).into();
    let gone: Vec<_> = others.difference(&code).collect();
    assert!(gone.is_empty(), "no longer in the code: {gone:?}");
    let reasons: BTreeSet<String> = code.difference(&others).cloned().collect();
    assert!(reasons.len() >= 40, "reasons went missing: {reasons:?}");
    let unexplained: Vec<_> = reasons.difference(&explained).collect();
    assert!(unexplained.is_empty(), "docs/errors.md has no row for {unexplained:?}");
    let invented: Vec<_> = explained.difference(&reasons).collect();
    assert!(invented.is_empty(), "docs/errors.md explains what nobody says: {invented:?}");
}

#[test]
fn what_the_page_says_of_exit_codes_is_on_their_page() {
    let errors = fs::read_to_string(workspace().join("docs/errors.md")).unwrap();
    let codes = fs::read_to_string(workspace().join("docs/exit-codes.md")).unwrap();
    let (commands, _) = errors.split_once("\n## SealedSecrets\n").unwrap();
    let named: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .flat_map(|(numbers, _)| numbers.split(", "))
        .filter(|number| number.parse::<i32>().is_ok())
        .collect();
    assert!(named.len() >= 17, "{named:?}");
    for code in named {
        assert!(codes.contains(&format!("\n| {code} | ")), "{code}");
    }
}
