//! Time is linear, also in what is made to cost much. What a file costs is measured by `make bench`; here only that nothing explodes.

use std::time::{Duration, Instant};

use bulla_check::{Alone, Configuration, check};

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
