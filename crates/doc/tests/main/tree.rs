//! Our tree and that of SOPS' own stores, side by side.

use bulla_doc::{Document, Expected, Format, Kind, Node, ParseError, Step, Value};
use bulla_testkit::mutate::{Random, mutate};
use bulla_testkit::oracle::{self, Branch, Oracle, TreeItem};
use bulla_testkit::{corpus, needs_peers};

/// Whether SOPS and we read the same from `input`; `Ok(false)` if both refuse it, or we refuse what SOPS would lose.
pub(crate) fn compare(input: &[u8], format: Format) -> Result<bool, String> {
    let their_format = match format {
        Format::Yaml => oracle::Format::Yaml,
        Format::Json => oracle::Format::Json,
        Format::Dotenv => oracle::Format::Dotenv,
        Format::Ini => oracle::Format::Ini,
        Format::Binary => oracle::Format::Binary,
    };
    let theirs = Oracle::shared().sops_tree(input, their_format);
    let ours = Document::parse(input, format);
    let (theirs, ours) = match (theirs, ours) {
        (Err(_), Err(_)) => return Ok(false),
        // SOPS has no name for a file without any document.
        (Err(_), Ok(ours)) if ours.branches().len() == 0 => return Ok(false),
        (Err(refusal), Ok(_)) => return Err(format!("SOPS refuses it ({refusal:?}), we read it")),
        (Ok(theirs), Err(error)) if would_be_lost(&theirs, &error) => return Ok(false),
        (Ok(_), Err(error)) => return Err(format!("we refuse what SOPS reads: {error}")),
        (Ok(theirs), Ok(ours)) => (theirs, ours),
    };
    if ours.to_bytes().as_slice() != input {
        return Err("our bytes are not those of the input".to_owned());
    }
    let mut branches: Vec<_> = ours.branches().map(items).collect();
    if format == Format::Ini {
        // SOPS loses the comments at the end of the file.
        let sections = branches[0].iter().skip(1).filter(|item| item.kind == "map").count();
        let last = branches[0].iter().rposition(|item| item.kind != "comment" || item.length > 0).unwrap_or_default();
        let (top, extra) = (branches[0][0].length, branches[0][0].length - sections);
        let keep = branches[0].len() - extra;
        if extra > 0 && keep > last {
            branches[0].truncate(keep);
            branches[0][0].length = top - extra;
        }
    }
    for (number, (ours, theirs)) in branches.iter().zip(&theirs).enumerate() {
        for (place, (our, their)) in ours.iter().zip(theirs).enumerate() {
            if our != their {
                return Err(format!("branch {number}, entry {place}:\n  we   {our:?}\n  SOPS {their:?}"));
            }
        }
        if ours.len() != theirs.len() {
            return Err(format!("branch {number}: SOPS has {} entries, we {}", theirs.len(), ours.len()));
        }
    }
    if branches.len() != theirs.len() {
        return Err(format!("SOPS has {} branches, we {}", theirs.len(), branches.len()));
    }
    Ok(true)
}

/// Is our refusal one that SOPS should have made? It cannot encrypt such a tree, or reads less than there is.
fn would_be_lost(theirs: &[Branch], error: &ParseError) -> bool {
    match &error.expected {
        Expected::Key => theirs.iter().flatten().any(|item| item.key_type.is_some()),
        // A document that is a spelt `null` is dropped.
        Expected::Mapping => theirs.iter().any(|branch| branch.len() == 1),
        // A value that does not fit its tag becomes null in all documents but the first.
        Expected::Tag(_) | Expected::Merge => theirs.len() > 1,
        // Only the first document's keys are checked by SOPS, and those of JSON never. What follows JSON's object, and
        // what was cut off, is dropped; bytes that are not UTF-8 are replaced. What is refused of INI, SOPS does not write again.
        Expected::Duplicate(_) | Expected::Json(_) | Expected::Text | Expected::Ini(_) => true,
        _ => false,
    }
}

fn items(branch: Node<'_>) -> Vec<TreeItem> {
    branch
        .walk()
        .filter_map(|step| match step {
            Step::Leave(_) => None,
            Step::Enter(node) | Step::Leaf(node) | Step::Comment(node) => Some(item(node)),
        })
        .collect()
}

fn item(node: Node<'_>) -> TreeItem {
    let (kind, text) = match node.kind() {
        Kind::Mapping => ("map", Vec::new()),
        // An empty list is nil in SOPS' tree only inside Go.
        Kind::Sequence => ("list", Vec::new()),
        Kind::Comment => ("comment", node.comment().as_bytes().to_vec()),
        Kind::Scalar => match node.value() {
            Value::Null => ("null", Vec::new()),
            Value::Bool(value) => ("bool", if value { b"True".to_vec() } else { b"False".to_vec() }),
            Value::Int(value) => ("int", value.to_string().into_bytes()),
            Value::Unsigned(_) => ("uint64", Vec::new()),
            Value::Float(value) => ("float", go_float(value).into_bytes()),
            Value::Time(value) => ("time", value.to_string().into_bytes()),
            Value::String(bytes) => ("str", bytes.to_vec()),
        },
    };
    TreeItem {
        kind: kind.to_owned(),
        text,
        key: node.key().map(|key| key.as_bytes().to_vec()),
        key_type: None,
        inline: node.is_inline(),
        length: node.children().count(),
    }
}

fn go_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

#[test]
fn real_manifests_have_the_tree_that_sops_sees() {
    needs_peers!();
    let mut read = 0;
    for file in corpus::manifests().into_iter().step_by(2) {
        let format = if file.name.ends_with(".json") { Format::Json } else { Format::Yaml };
        let text = std::fs::read(&file.path).unwrap();
        read += usize::from(compare(&text, format).unwrap_or_else(|error| panic!("{}: {error}", file.name)));
    }
    assert!(read > 2000, "only {read} files were read");
}

#[test]
fn mutated_files_have_the_tree_that_sops_sees() {
    needs_peers!();
    let small = |text: &Vec<u8>| text.len() < 1200;
    let texts = |format: &str| -> Vec<Vec<u8>> {
        let manifests = corpus::manifests().into_iter().filter(|file| file.name.ends_with(format));
        manifests.step_by(5).map(|file| std::fs::read(file.path).unwrap()).filter(small).take(200).collect()
    };
    let mut random = Random::new(2);
    for (format, seeds) in [(Format::Yaml, texts(".yaml")), (Format::Json, texts(".json"))] {
        let mut read = 0;
        for _ in 0..4_000 {
            let (input, other) = (random.below(seeds.len()), random.below(seeds.len()));
            let text = mutate(&mut random, &seeds[input], &seeds[other]);
            if text.windows(3).any(|bytes| bytes == "\u{feff}".as_bytes()) {
                continue;
            }
            let same = compare(&text, format);
            read += usize::from(same.unwrap_or_else(|error| panic!("{:?}: {error}", String::from_utf8_lossy(&text))));
        }
        assert!(read > 100, "only {read} files were read");
    }
}

#[test]
fn what_would_be_lost_or_never_end_is_refused_with_its_place() {
    for (input, format, message) in [
        ("- a\n", Format::Yaml, "line 1, column 1: expected a mapping at the top"),
        (
            "a: 1\na: secret\n",
            Format::Yaml,
            "line 2, column 1: expected each key once; the same key is already on line 1",
        ),
        ("a: 1\n---\nb: 1\nb: 2\n", Format::Yaml, "line 4, column 1: expected each key once"),
        ("a: !!int secret\n", Format::Yaml, "line 1, column 4: expected a value that fits its tag `!!int`"),
        ("a: !!binary '%'\n", Format::Yaml, "line 1, column 4: expected a value that fits its tag `!!binary`"),
        ("1: a\n", Format::Yaml, "line 1, column 1: expected a string as key"),
        ("? [a]\n: b\n", Format::Yaml, "line 1, column 3: expected a string as key"),
        ("a: &x [*x]\n", Format::Yaml, "line 1, column 8: expected an alias to something else"),
        ("<<: 1\n", Format::Yaml, "line 1, column 5: expected a mapping or a list of mappings"),
        ("[]", Format::Json, "line 1, column 1: expected `{`"),
        ("{\"a\": 1, \"b\":", Format::Json, "line 1, column 14: expected a value"),
        ("{\"a\": 1} {}", Format::Json, "line 1, column 10: expected nothing behind the object"),
        ("{\"a\": 1,\n \"a\": 2}", Format::Json, "line 2, column 2: expected each key once"),
        ("{\"a\": \"secret", Format::Json, "line 1, column 7: expected the closing quote"),
    ] {
        let error = Document::parse(input.as_bytes(), format).unwrap_err().to_string();
        assert!(error.starts_with(message), "{input:?}: {error}");
        assert!(!error.contains("secret"), "{input:?}: {error}");
    }
}

#[test]
fn aliases_that_expand_without_bound_are_refused() {
    let line = |level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
    let bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned() + &(1..10).map(line).collect::<Vec<_>>().concat();
    let error = Document::parse(bomb.as_bytes(), Format::Yaml).unwrap_err();
    assert_eq!(error.expected, Expected::Aliases);
}

#[test]
fn aliases_expand_to_a_bounded_number_of_bytes() {
    const TEXT: usize = 1 << 20;
    let of_values = |copies: usize| {
        let aliases = (0..copies).map(|number| format!("k{number}_unencrypted: *a\n")).collect::<Vec<_>>().concat();
        format!("a: &a {}\n{aliases}", "x".repeat(TEXT))
    };
    // A key has less than a kilobyte.
    let keys = (0..1_000).map(|number| format!("  {}{number}: 1\n", "k".repeat(1_000)));
    let keys = keys.collect::<Vec<_>>().concat();
    let keys = format!("a: &a\n{keys}l: [{}]\n", "*a,".repeat(100));
    let comments = format!("a: &a\n  # {}\n  b: 1\nl: [{}]\n", "c".repeat(TEXT), "*a,".repeat(1_000));
    for bomb in [of_values(100), keys, comments] {
        let error = Document::parse(bomb.as_bytes(), Format::Yaml).unwrap_err();
        assert_eq!(error.expected, Expected::AliasBytes);
    }
    assert!(Document::parse(of_values(60).as_bytes(), Format::Yaml).is_ok());
    // A large file may have more.
    let large = format!("{}b: {}\n", of_values(60), "y".repeat(10 * TEXT));
    let more = large + &(100..120).map(|number| format!("k{number}: *a\n")).collect::<Vec<_>>().concat();
    assert!(Document::parse(more.as_bytes(), Format::Yaml).is_ok());
}

#[test]
fn deep_documents_are_read_and_written_without_recursion() {
    let json = format!("{{\"a\": {}1{}}}", "[".repeat(9_000), "]".repeat(9_000));
    let yaml = format!("a: {}1{}\n", "[".repeat(9_000), "]".repeat(9_000));
    for (text, format) in [(json, Format::Json), (yaml, Format::Yaml)] {
        let document = Document::parse(text.as_bytes(), format).unwrap();
        let branch = document.branches().next().unwrap();
        assert_eq!(branch.walk().filter(|step| matches!(step, Step::Leaf(_))).count(), 1);
        assert_eq!(document.to_bytes().as_slice(), text.as_bytes());
    }
}
