//! Time is linear, also in what is made to cost much. What a file costs is measured by `make bench`; here only that nothing explodes.

use std::time::{Duration, Instant};

use bulla_check::output::text;
use bulla_check::{Alone, Configuration, check};
use bulla_testkit::mutate::{Random, mutate};

use crate::twins::{Twin, twins};

#[test]
fn hostile_files_take_no_longer_than_their_size() {
    let laughs = (0..30).fold("kind: Secret\na0: &a0 {x: Secret}\n".to_owned(), |text, level| {
        format!("{text}a{}: &a{} [*a{level}, *a{level}, *a{level}]\n", level + 1, level + 1)
    });
    let merges = (0..200).fold("a0: &a0 {x: y}\n".to_owned(), |text, level| {
        format!("{text}a{}: &a{} {{<<: [*a{level}, *a{level}], k{level}: v}}\n", level + 1, level + 1)
    }) + "kind: Secret\nstringData: {<<: [*a200, *a200]}\n";
    let cycle = "kind: Secret\nstringData: &a\n  <<: *a\n  x: *a\n".to_owned();
    let actions = format!("kind: Secret\n{}", "{{ a }}".repeat(20_000));
    let texts = format!(
        "kind: ConfigMap\ndata:\n  a: |\n{}",
        "    kind: Secret\n    stringData: {a: b}\n    ---\n".repeat(5_000)
    );
    let many = format!(
        "kind: Secret\nstringData:\n{}",
        (0..20_000).map(|n| format!("  k{n}: value{n}")).collect::<Vec<_>>().join("\n")
    );
    for (name, text) in [
        ("laughs", laughs),
        ("merges", merges),
        ("cycle", cycle),
        ("deep", format!("Secret: {}", "[".repeat(9_000) + &"]".repeat(9_000))),
        ("actions", actions),
        ("texts", texts),
        ("many", many),
    ] {
        for path in ["x.yaml", "chart/templates/x.yaml", "values.yaml"] {
            let started = Instant::now();
            check(path, text.as_bytes(), &Alone, &Configuration::default());
            let taken = started.elapsed();
            assert!(taken < Duration::from_secs(3), "{name} as {path} took {taken:?}");
        }
    }
}

#[test]
fn whatever_a_file_holds_findings_lie_in_it_in_order() {
    let twins: Vec<Twin> = twins();
    let mut random = Random::new(1);
    let mut found = 0;
    for _ in 0..6_000 {
        let (one, other) = (&twins[random.below(twins.len())], &twins[random.below(twins.len())]);
        let bytes = mutate(&mut random, &one.bytes, &other.bytes);
        let report = check(&one.path, &bytes, &Alone, &Configuration::default());
        let lines = 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        for pair in report.findings.windows(2) {
            assert!(pair[0].start <= pair[1].start);
        }
        for finding in &report.findings {
            assert!(finding.start <= finding.end && finding.end.line <= lines, "{}: {finding:?}", one.name);
        }
        found += report.findings.len();
        text(&[report]);
    }
    assert!(found > 300, "only {found} findings");
}
