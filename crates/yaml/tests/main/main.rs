//! Against the real go-yaml: the same documents accepted, with the same values, tags, styles, aliases and comments, and
//! every span on the characters that it says.

mod cases;
mod layout;
mod same;

use bulla_testkit::mutate::{Random, mutate};
use bulla_testkit::{corpus, needs_peers, vectors};
use same::{Outcome, compare};

#[test]
fn written_cases_read_as_go_yaml_reads_them() {
    needs_peers!();
    for case in cases::CASES {
        compare(case.as_bytes()).unwrap_or_else(|difference| panic!("{case:?}: {difference}"));
    }
}

#[test]
fn real_manifests_read_as_go_yaml_reads_them() {
    needs_peers!();
    let mut read = 0;
    for file in corpus::yaml() {
        let text = std::fs::read(&file.path).unwrap();
        let outcome = compare(&text).unwrap_or_else(|difference| panic!("{}: {difference}", file.name));
        read += usize::from(outcome == Outcome::Read);
    }
    assert!(read > 3000, "only {read} manifests were read");
}

#[test]
fn the_yaml_test_suite_reads_as_go_yaml_reads_it() {
    needs_peers!();
    let Some(folder) = vectors::shared_data("yaml-test-suite") else { return };
    let mut inputs = 0;
    for file in vectors::files(folder).into_iter().filter(|file| file.name.ends_with(".yaml")) {
        for input in suite_inputs(&std::fs::read(&file.path).unwrap()) {
            // A byte order mark inside a document is misread by go-yaml, in a way that depends on its buffers.
            if input.contains('\u{feff}') {
                continue;
            }
            compare(input.as_bytes()).unwrap_or_else(|difference| panic!("{}: {difference}", file.name));
            inputs += 1;
        }
    }
    assert!(inputs > 380, "only {inputs} inputs were found");
}

/// The inputs of one file of the suite, with its visible stand-ins for invisible characters undone.
fn suite_inputs(file: &[u8]) -> Vec<String> {
    let stream = bulla_yaml::parse(file).unwrap();
    let mut inputs = Vec::new();
    for test in stream.documents().flat_map(|document| document.root().children().collect::<Vec<_>>()) {
        let mut children = test.children();
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            if key.value() == "yaml" {
                let text = value.value().replace('␣', " ").replace('↵', "").replace("∎\n", "").replace('⇔', "\u{feff}");
                let text = text.replace("———»", "\t").replace("——»", "\t").replace("—»", "\t").replace('»', "\t");
                inputs.push(text.replace('←', "\r"));
            }
        }
    }
    inputs
}

#[test]
fn mutated_documents_read_as_go_yaml_reads_them() {
    needs_peers!();
    let small = |text: &Vec<u8>| text.len() < 1500;
    let mut seeds: Vec<Vec<u8>> = cases::CASES.iter().map(|case| case.as_bytes().to_vec()).collect();
    let manifests = corpus::yaml().into_iter().step_by(7);
    seeds.extend(manifests.map(|file| std::fs::read(file.path).unwrap()).filter(small).take(400));

    let mut random = Random::new(1);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..12_000 {
        let (input, other) = (random.below(seeds.len()), random.below(seeds.len()));
        let text = mutate(&mut random, &seeds[input], &seeds[other]);
        if text.windows(3).any(|bytes| bytes == "\u{feff}".as_bytes()) {
            continue;
        }
        match compare(&text) {
            Ok(Outcome::Read) => read += 1,
            Ok(Outcome::Refused) => refused += 1,
            Err(difference) => panic!("{:?}: {difference}", String::from_utf8_lossy(&text)),
        }
    }
    assert!(read > 2000 && refused > 2000, "{read} read, {refused} refused");
}

#[test]
fn deep_nesting_and_flat_size_are_read_without_recursion_or_quadratic_time() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        let deep = format!("{}x{}\n", open.repeat(9_000), close.repeat(9_000));
        assert!(bulla_yaml::parse(deep.as_bytes()).is_ok(), "{open}");
        let deeper = format!("{}x{}\n", open.repeat(10_001), close.repeat(10_001));
        let error = bulla_yaml::parse(deeper.as_bytes()).unwrap_err();
        assert_eq!(error.expected, bulla_yaml::Expected::Depth, "{open}");
    }
    let lines: Vec<_> = (0..200_000).map(|number| format!("key{number}: value\n")).collect();
    let flat = lines.concat();
    let stream = bulla_yaml::parse(flat.as_bytes()).unwrap();
    assert_eq!(stream.documents().next().unwrap().root().children().count(), 400_000);
}

#[test]
fn an_error_tells_the_place_and_never_the_text() {
    for (input, place) in [
        ("a: 1\nb: [secret\n", "line 3, column 1"),
        ("a: 'secret\n", "line 1, column 4"),
        ("a: \"\\q secret\"\n", "line 1, column 5"),
        ("a: secret\n\tb: 1\n", "line 2, column 1"),
        ("a: secret\n  b: 1\n", "line 2, column 4"),
        ("a: *secret\n", "line 1, column 4"),
        ("a: @secret\n", "line 1, column 4"),
        ("%YAML 1.2\n---\nsecret\n", "line 1, column 1"),
    ] {
        let error = bulla_yaml::parse(input.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(place), "{input:?}: {error}");
        assert!(!error.contains("secret"), "{input:?}: {error}");
    }
}
