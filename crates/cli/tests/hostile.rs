//! Files that were made to exhaust the program: it says so, in time that grows with the file.

use std::time::{Duration, Instant};

use crate::fixture::Place;

/// Levels, of which a document may have a few more.
const DEEP: usize = 9_900;

#[test]
fn a_deep_document_is_printed_as_it_is_or_refused() {
    let place = Place::new();
    let deep = format!("{}1{}", "[".repeat(DEEP), "]".repeat(DEEP));
    place.write("a.json", format!("{{\"a\": {deep}, \"b\": {{\"c\": \"d\"}}}}"));
    place.write("a.yaml", format!("a: {deep}\nb: {{c: d}}\n"));
    place.write("s.yaml", format!("apiVersion: v1\nkind: Secret\ndata: {{k: eA==}}\na: {deep}\nb: {{c: d}}\n"));
    for name in ["a.json", "a.yaml", "s.yaml"] {
        place.does(&format!("bulla encrypt --in-place --age $ALICE {name}"));
        for line in ["get --json FILE", "get --json FILE b.c a", "get FILE a"] {
            let finished = place.run(&format!("bulla {}", line.replace("FILE", name)));
            let message = finished.stderr_text();
            assert_eq!(finished.code(), Some(2), "{line} {name}: {message}");
            assert!(message.contains("nests deeper than 1,000 levels"), "{line} {name}: {message}");
            assert_eq!(finished.stdout_text(), "", "{line} {name}");
        }
        assert_eq!(place.does(&format!("bulla get --json {name} b")), "{\n  \"c\": \"d\"\n}\n");
        place.does(&format!("bulla decrypt {name} > plain"));
    }
}

#[test]
fn json_is_what_it_was() {
    let place = Place::new();
    place.write(
        "a.yaml",
        "a: [1, 2.50, -0.0, 1e21, .inf, true, null, 2026-01-02, 'q\"\\', \"\\u0001<é\\n\"] # note\nb: {}\nc: []\nd:\n  - {e: 0x1F}\n",
    );
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let expected = r#"{
  "a": [
    1,
    2.5,
    -0.0,
    1e+21,
    ".inf",
    true,
    null,
    "2026-01-02",
    "q\"\\",
    "\u0001<é\n"
  ],
  "b": {},
  "c": [],
  "d": [
    {
      "e": 31
    }
  ]
}
"#;
    assert_eq!(place.does("bulla get --json a.yaml"), expected);
    assert_eq!(
        place.does("bulla get --json a.yaml d c 'a[0]' c"),
        "{\n  \"d\": [\n    {\n      \"e\": 31\n    }\n  ],\n  \"c\": [],\n  \"a[0]\": 1\n}\n"
    );
}

#[test]
fn no_deep_value_is_written() {
    let place = Place::new();
    place.write("a.yaml", "a: x\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let before = place.read("a.yaml");
    let deep = format!("{}1{}", "{\"k\":".repeat(DEEP), "}".repeat(DEEP));
    place.write("deep", deep);
    for line in
        ["bulla set --json-value --value-file deep a.yaml b", "bulla sops set --value-file a.yaml '[\"b\"]' deep"]
    {
        let finished = place.run(line);
        let message = finished.stderr_text();
        assert!(finished.code() != Some(0) && message.contains("nests deeper than 1,000 levels"), "{line}: {message}");
        assert_eq!(place.read("a.yaml"), before);
    }
    let path = format!("a{}", ".b".repeat(5_000));
    let finished = place.run(&format!("echo x | bulla set a.yaml c{}", &path[1..]));
    assert!(finished.stderr_text().contains("deeper than 1,000 levels"), "{}", finished.stderr_text());
    assert_eq!(place.read("a.yaml"), before);
}

#[test]
fn an_expression_in_a_file_does_not_hold_up_the_commands() {
    let place = Place::new();
    let keys = (0..5_000).map(|number| format!("service_{number}_password: x\n")).collect::<Vec<_>>().concat();
    let metadata =
        "sops:\n    age: [{recipient: age1x, enc: x}]\n    lastmodified: '2026-01-02T03:04:05Z'\n    version: 3.13.3\n";
    for (expression, message) in
        [(".?".repeat(20_000) + "zz$", "expression too large"), (r"(.?){500}\Bzz$".to_owned(), "takes too much work")]
    {
        place.write("a.yaml", format!("{keys}{metadata}    encrypted_regex: '{expression}'\n"));
        for line in ["bulla verify a.yaml", "bulla check .", "bulla status a.yaml", "bulla decrypt a.yaml"] {
            let start = Instant::now();
            let finished = place.run(line);
            assert_ne!(finished.code(), Some(0), "{line}");
            let told = finished.stderr_text() + &finished.stdout_text();
            assert!(line == "bulla decrypt a.yaml" || told.contains(message), "{line}: {told}");
            assert!(start.elapsed() < Duration::from_secs(30), "{line} took {:?}", start.elapsed());
        }
    }
}
