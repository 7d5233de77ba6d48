//! Edits in place: what changed gets new ciphertext, everything else keeps its bytes.

use bulla_doc::{Document, Format, Scalar, Tree};
use bulla_sops::{Change, EditError, Edited, EncryptedFile, KeyPath, NewValue};
use bulla_testkit::mutate::Random;
use bulla_testkit::needs_peers;
use bulla_wipe::Wiping;

use crate::generate::Yaml;
use crate::support::{Rule, Sops, chain, decrypt, encrypt, essence, now, random, ring, trees};

fn later() -> jiff::Timestamp {
    "2026-02-03T00:00:00Z".parse().unwrap()
}

fn change(encrypted: &[u8], format: Format, changes: Vec<Change>) -> Result<Edited, EditError> {
    let file = EncryptedFile::read(encrypted, format).unwrap();
    let key = now(file.data_key(&ring())).unwrap();
    file.open(&key).unwrap().change(changes, later(), &mut random(99))
}

fn update(encrypted: &[u8], format: Format, plain: &[u8]) -> Result<Edited, EditError> {
    let file = EncryptedFile::read(encrypted, format).unwrap();
    let key = now(file.data_key(&ring())).unwrap();
    file.open(&key).unwrap().update(plain, later(), &mut random(99))
}

fn path(text: &str) -> KeyPath {
    text.parse().unwrap()
}

fn set(at: &str, value: Tree) -> Change {
    Change::Set { path: path(at), value: NewValue::Tree(value) }
}

fn set_text(at: &str, text: &str) -> Change {
    Change::Set { path: path(at), value: NewValue::Text(Wiping::new(text.to_owned())) }
}

fn insert(at: &str, value: Tree) -> Change {
    Change::Insert { path: path(at), value }
}

fn remove(at: &str) -> Change {
    Change::Remove { path: path(at) }
}

/// The lines of `new` that are not in `old`, by what stands before their `ENC[`.
fn new_lines(old: &[u8], new: &[u8]) -> Vec<String> {
    let (old, new) = (std::str::from_utf8(old).unwrap(), std::str::from_utf8(new).unwrap());
    let lines: Vec<&str> = old.lines().collect();
    let changed = new.lines().filter(|line| !lines.contains(line));
    changed.map(|line| line.split("ENC[").next().unwrap().trim_end().to_owned()).collect()
}

const PLAIN: &str = "\
# top
db:
    user: admin # who
    password: 'hunter2'
    port: 0x1538
    hosts:
        # first
        - a
        - a
        - b
    flow: {x: 1.50, y: [true]}
text: |
    two
    lines
name_unencrypted: public
";

#[test]
fn a_change_touches_its_own_lines_and_no_other() {
    let encrypted = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let always = ["    lastmodified: \"2026-02-03T00:00:00Z\"", "    mac:"];
    for (changes, lines, plain) in [
        (
            vec![set(r#"["db"]["password"]"#, Tree::string("other"))],
            vec!["    password: '"],
            PLAIN.replace("'hunter2'", "'other'"),
        ),
        (vec![set_text(r#"["db"]["port"]"#, "7")], vec!["    port:"], PLAIN.replace("0x1538", "7")),
        (
            vec![set(r#"["name_unencrypted"]"#, Tree::string("x"))],
            vec!["name_unencrypted: x"],
            PLAIN.replace("public", "x"),
        ),
        (
            vec![set(r#"["db"]["hosts"][1]"#, Tree::string("c"))],
            vec!["        -"],
            PLAIN.replacen("- a\n        - b", "- c\n        - b", 1),
        ),
        (vec![remove(r#"["db"]["hosts"][2]"#)], vec![], PLAIN.replace("        - b\n", "")),
        (vec![remove(r#"["db"]["port"]"#)], vec![], PLAIN.replace("    port: 0x1538\n", "")),
        (vec![insert(r#"["new"]"#, Tree::string("v"))], vec!["new:"], format!("{PLAIN}new: v\n")),
        (
            vec![set(r#"["db"]["deep"]["er"]"#, Tree::Scalar(Scalar::Int(5)))],
            vec!["    deep:", "        er:"],
            PLAIN.replace("y: [true]}\n", "y: [true]}\n    deep:\n        er: 5\n"),
        ),
        (
            vec![insert(r#"["db"]["hosts"][3]"#, Tree::string("c"))],
            vec!["        - \""],
            PLAIN.replace("        - b\n", "        - b\n        - \"c\"\n"),
        ),
        (
            vec![insert(r#"["db"]["hosts"][2]"#, Tree::string("c"))],
            vec!["        - \""],
            PLAIN.replace("        - b\n", "        - \"c\"\n        - b\n"),
        ),
        (
            vec![set(r#"["db"]["user"]"#, Tree::string("root")), remove(r#"["text"]"#)],
            vec!["    user:"],
            PLAIN.replace("admin", "root").replace("text: |\n    two\n    lines\n", ""),
        ),
    ] {
        let context = format!("{changes:?}");
        let edited =
            change(&encrypted, Format::Yaml, changes).unwrap_or_else(|error| panic!("{context}: {}", chain(&error)));
        let text = String::from_utf8_lossy(&edited.bytes);
        let mut expected: Vec<&str> = lines;
        expected.extend(always);
        assert_eq!(new_lines(&encrypted, &edited.bytes), expected, "{context}\n{text}");
        let decrypted =
            decrypt(&edited.bytes, Format::Yaml).unwrap_or_else(|error| panic!("{context}: {error}\n{text}"));
        assert_eq!(String::from_utf8_lossy(&decrypted), plain, "{context}");
    }
}

#[test]
fn nothing_changed_means_nothing_written() {
    let encrypted = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    for edited in [
        change(&encrypted, Format::Yaml, vec![set(r#"["db"]["user"]"#, Tree::string("admin"))]).unwrap(),
        change(&encrypted, Format::Yaml, vec![]).unwrap(),
        update(&encrypted, Format::Yaml, PLAIN.as_bytes()).unwrap(),
    ] {
        assert!(edited.summary.is_none());
        assert_eq!(*edited.bytes, *encrypted);
    }
}

#[test]
fn what_cannot_be_changed_is_refused_with_its_place() {
    let plain = format!("{PLAIN}base: &b {{x: 1}}\nlike_unencrypted: 1\n");
    let encrypted = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    for (changes, message) in [
        (remove(r#"["db"]["no"]"#), r#"there is nothing at `["db"]["no"]`"#),
        (remove(r#"["no"]["no"]"#), r#"there is nothing at `["no"]`"#),
        (remove(r#"["sops"]"#), r#"`["sops"]` is not a value of the document"#),
        (set(r#"["sops"]["mac"]"#, Tree::string("x")), r#"`["sops"]["mac"]` is not a value of the document"#),
        (set(r#"["db"]["user"]["x"]"#, Tree::string("x")), r#"`["db"]["user"]` (line 3, column 5) is a single value"#),
        (set(r#"["db"]["hosts"]["x"]"#, Tree::string("x")), r#"`["db"]["hosts"]` (line 6, column 5) is a list"#),
        (set(r#"["db"][0]"#, Tree::string("x")), r#"`["db"]` (line 2, column 1) is a mapping"#),
        (
            set(r#"["db"]["hosts"][4]"#, Tree::string("x")),
            r#"the list at `["db"]["hosts"]` (line 6, column 5) has 3 items"#,
        ),
        (
            insert(r#"["db"]["user"]"#, Tree::string("x")),
            r#"there is something at `["db"]["user"]` (line 3, column 5) already"#,
        ),
        (insert(r#"["x"]["y"]"#, Tree::string("x")), r#"there is nothing at `["x"]`"#),
        (set_text(r#"["db"]["port"]"#, "x"), r#"the value at `["db"]["port"]` (line 5, column 5) is of another type"#),
    ] {
        let context = format!("{changes:?}");
        let error = change(&encrypted, Format::Yaml, vec![changes]).expect_err(&context);
        assert!(error.to_string().starts_with(message), "{context}: {error}");
    }
    let branch =
        Change::Set { path: KeyPath { branch: 1, ..path(r#"["a"]"#) }, value: NewValue::Tree(Tree::string("x")) };
    let error = change(&encrypted, Format::Yaml, vec![branch]).unwrap_err();
    assert_eq!(error.to_string(), "there is nothing at `document 2: [\"a\"]`");
}

#[test]
fn an_edited_text_gets_new_ciphertext_only_where_it_changed() {
    let encrypted = encrypt(PLAIN.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let edited = PLAIN
        .replace("- a\n        - a\n", "- a\n        - a\n        - a\n")
        .replace("# who", "# who else")
        .replace("    flow:", "\n    flow:");
    let result = update(&encrypted, Format::Yaml, edited.as_bytes()).unwrap();
    assert_eq!(decrypt(&result.bytes, Format::Yaml).unwrap().as_slice(), edited.as_bytes());
    let lines = new_lines(&encrypted, &result.bytes);
    // The comment stands on the line of a value that keeps its text.
    let expected = ["    user:", "        -", "", "    lastmodified: \"2026-02-03T00:00:00Z\"", "    mac:"];
    assert_eq!(lines, expected);

    for (text, message) in [
        ("a: [", "cannot read the edited document: line "),
        ("", "the edited document is empty"),
        ("a: 1\nsops: x\n", "the edited document has an entry `sops` at `[\"sops\"]` (line 2, column 1)"),
    ] {
        let error = chain(&update(&encrypted, Format::Yaml, text.as_bytes()).unwrap_err());
        assert!(error.starts_with(message), "{text}: {error}");
    }
}

/// `plain` with one of its lines twice, gone, or with another letter in it.
fn edit_by_chance(plain: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = plain.split_inclusive('\n').map(str::to_owned).collect();
    let at = random.below(lines.len());
    match random.below(3) {
        0 => drop(lines.remove(at)),
        1 => lines[at] = lines[at].replacen('a', "z", 1),
        _ => lines.insert(at, "# another comment\n".to_owned()),
    }
    lines.concat()
}

#[test]
fn any_edited_text_comes_back_byte_for_byte() {
    let mut done = 0;
    for seed in 0..1500 {
        let plain = Yaml::new(seed).generate();
        let Ok(encrypted) = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, seed) else { continue };
        let edited = edit_by_chance(&plain, &mut Random::new(seed));
        match Document::parse(edited.as_bytes(), Format::Yaml) {
            Ok(document) if document.branches().len() > 0 && !bulla_sops::has_metadata(&document) => {}
            _ => continue,
        }
        let context = || {
            format!(
                "seed {seed}\n{plain}\n---- edited\n{edited}\n---- encrypted\n{}",
                String::from_utf8_lossy(&encrypted.bytes)
            )
        };
        let result = update(&encrypted.bytes, Format::Yaml, edited.as_bytes())
            .unwrap_or_else(|error| panic!("{}\n{}", chain(&error), context()));
        let decrypted = decrypt(&result.bytes, Format::Yaml).unwrap_or_else(|error| {
            panic!("{error}\n{}\n---- result\n{}", context(), String::from_utf8_lossy(&result.bytes))
        });
        assert!(
            decrypted.as_slice() == edited.as_bytes(),
            "{}\n---- result\n{}\n---- decrypted\n{}",
            context(),
            String::from_utf8_lossy(&result.bytes),
            String::from_utf8_lossy(&decrypted)
        );
        done += 1;
    }
    assert!(done > 700, "only {done} documents were usable");
}

/// Every value with its path.
fn values(bytes: &[u8]) -> Vec<(KeyPath, String)> {
    let document = Document::parse(bytes, Format::Yaml)
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(bytes)));
    let leaves = document.branches().flat_map(bulla_doc::Node::walk).filter_map(|step| match step {
        bulla_doc::Step::Leaf(leaf) => Some((KeyPath::of(leaf, &document), format!("{:?}", leaf.value()))),
        _ => None,
    });
    leaves.collect()
}

#[test]
fn any_value_can_be_set_or_removed_and_the_others_stay() {
    let (mut done, mut refused) = (0, 0);
    for seed in 0..600 {
        let plain = Yaml::new(seed).generate();
        let Ok(encrypted) = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, seed) else { continue };
        let before = values(plain.as_bytes());
        let mut random = Random::new(seed);
        let (path, _) = before[random.below(before.len())].clone();
        let is_set = random.once_in(2);
        let change_of = |path: &KeyPath| {
            let path = path.clone();
            if is_set {
                Change::Set { path, value: NewValue::Tree(Tree::string("new value")) }
            } else {
                Change::Remove { path }
            }
        };
        let context = || format!("seed {seed}, {:?}\n{plain}", change_of(&path));
        let edited = match change(&encrypted.bytes, Format::Yaml, vec![change_of(&path)]) {
            Ok(edited) => edited,
            // Nothing that shares its line can be removed.
            Err(EditError::Remove { .. }) => continue,
            // Nor can what leaves an empty mapping below its dash, yet.
            Err(EditError::Parse(_)) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{}\n{}", chain(&error), context()),
        };
        let after = decrypt(&edited.bytes, Format::Yaml).unwrap_or_else(|error| panic!("{error}\n{}", context()));
        let shown = String::from_utf8_lossy(&after);
        let after = values(&after);
        if is_set {
            let expected: Vec<_> = before
                .iter()
                .map(|(at, value)| {
                    if *at == path {
                        (at, format!("{:?}", bulla_doc::Value::text("new value")))
                    } else {
                        (at, value.clone())
                    }
                })
                .collect();
            assert_eq!(
                after.iter().map(|(at, value)| (at, value.clone())).collect::<Vec<_>>(),
                expected,
                "{}\n{shown}",
                context()
            );
        } else {
            let expected: Vec<_> = before.iter().filter(|(at, _)| *at != path).map(|(_, value)| value).collect();
            assert_eq!(after.iter().map(|(_, value)| value).collect::<Vec<_>>(), expected, "{}\n{shown}", context());
        }
        done += 1;
    }
    assert!(done > 300 && refused < 1, "{done} documents, {refused} refused");
}

#[test]
fn a_file_of_sops_keeps_its_lines_under_a_change() {
    needs_peers!();
    let sops = Sops::new();
    let plain = PLAIN.replace("flow: {x: 1.50, y: [true]}", "flow: {x: 1.50, y: [true], 'no': 'yes'}");
    let encrypted = sops.encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT).unwrap();
    let edited = change(&encrypted, Format::Yaml, vec![set(r#"["db"]["user"]"#, Tree::string("root"))]).unwrap();
    let lines = new_lines(&encrypted, &edited.bytes);
    assert_eq!(lines, ["    user:", "    lastmodified: \"2026-02-03T00:00:00Z\"", "    mac:"]);
    let decrypted = sops.decrypt(&edited.bytes, Format::Yaml).unwrap();
    let expected = plain.replace("admin", "root");
    assert_eq!(essence(trees(&decrypted, Format::Yaml)), essence(trees(expected.as_bytes(), Format::Yaml)));

    // And bulla opens what SOPS made of its file.
    let by_sops = sops.change(&["set"], &[r#"["db"]["user"]"#, "\"third\""], &edited.bytes, Format::Yaml).unwrap();
    let decrypted = decrypt(&by_sops, Format::Yaml).unwrap();
    let expected = plain.replace("admin", "third");
    assert_eq!(essence(trees(&decrypted, Format::Yaml)), essence(trees(expected.as_bytes(), Format::Yaml)));
}

#[test]
fn comments_that_sops_made_items_stay_items_under_a_change_and_become_comments_in_an_edited_text() {
    needs_peers!();
    let plain = "l:\n    # first\n    - a\n    # second\n    - b\nm: x\n";
    let encrypted = Sops::new().encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT).unwrap();
    let changed = change(&encrypted, Format::Yaml, vec![set(r#"["l"][1]"#, Tree::string("c"))]).unwrap();
    let lines = new_lines(&encrypted, &changed.bytes);
    assert_eq!(lines, ["    -", "    lastmodified: \"2026-02-03T00:00:00Z\"", "    mac:"]);
    assert_eq!(decrypt(&changed.bytes, Format::Yaml).unwrap().as_slice(), plain.replace("- b", "- c").as_bytes());

    let edited = plain.replace('x', "y");
    let updated = update(&encrypted, Format::Yaml, edited.as_bytes()).unwrap();
    assert_eq!(decrypt(&updated.bytes, Format::Yaml).unwrap().as_slice(), edited.as_bytes());
    let lines = new_lines(&encrypted, &updated.bytes);
    assert_eq!(lines, ["    #", "    #", "m:", "    lastmodified: \"2026-02-03T00:00:00Z\"", "    mac:"]);
    // Their ciphertext is the old one.
    let texts = |bytes: &[u8]| -> Vec<String> {
        let text = std::str::from_utf8(bytes).unwrap();
        let comments = text.lines().filter(|line| line.ends_with("type:comment]"));
        comments.map(|line| line[line.find("ENC[").unwrap()..].to_owned()).collect()
    };
    assert_eq!(texts(&updated.bytes), texts(&encrypted));
}

#[test]
fn a_block_that_ends_the_file_without_a_line_break_gets_none_by_an_edit() {
    needs_peers!();
    let sops = Sops::new();
    let plain = "b: 1\na: |\n  text";
    let expected = essence(trees(b"b: 2\na: text\n", Format::Yaml));
    let encrypted = encrypt(plain.as_bytes(), Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    for edited in [
        change(&encrypted, Format::Yaml, vec![set(r#"["b"]"#, Tree::Scalar(Scalar::Int(2)))]).unwrap(),
        update(&encrypted, Format::Yaml, plain.replace('1', "2").as_bytes()).unwrap(),
    ] {
        assert_eq!(String::from_utf8_lossy(&decrypt(&edited.bytes, Format::Yaml).unwrap()), plain.replace('1', "2"));
        let by_sops = sops.decrypt(&edited.bytes, Format::Yaml).unwrap();
        assert_eq!(essence(trees(&by_sops, Format::Yaml)), expected);
    }
    // Nor does one that comes to stand last lose the one it has.
    let encrypted = encrypt(b"a: |\n  text\nb: 1", Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let edited = change(&encrypted, Format::Yaml, vec![remove(r#"["b"]"#)]).unwrap();
    assert_eq!(decrypt(&edited.bytes, Format::Yaml).unwrap().as_slice(), b"a: |\n  text\n");
}

#[test]
fn unknown_metadata_and_its_layout_are_kept() {
    let encrypted = encrypt(b"a: 1\nb: 2\n", Format::Yaml, &Rule::DEFAULT, 1).unwrap().bytes;
    let text = String::from_utf8(encrypted.to_vec()).unwrap();
    let text = text.replace("    lastmodified:", "    # ours\n    future: {x: [1, 2]}\n    lastmodified:");
    for edited in [
        change(text.as_bytes(), Format::Yaml, vec![set(r#"["a"]"#, Tree::Scalar(Scalar::Int(3)))]).unwrap(),
        update(text.as_bytes(), Format::Yaml, b"a: 3\nb: 2\n").unwrap(),
    ] {
        let lines = new_lines(text.as_bytes(), &edited.bytes);
        assert_eq!(lines, ["a:", "    lastmodified: \"2026-02-03T00:00:00Z\"", "    mac:"]);
        assert_eq!(decrypt(&edited.bytes, Format::Yaml).unwrap().as_slice(), b"a: 3\nb: 2\n");
    }
}

#[test]
fn json_is_changed_in_place_too() {
    let plain = "{\n  \"a\": 1.50,\n  \"l\": [1, 1],\n  \"o\": {\"x\": \"y\"}\n}\n";
    let encrypted = encrypt(plain.as_bytes(), Format::Json, &Rule::DEFAULT, 1).unwrap().bytes;
    assert_eq!(decrypt(&encrypted, Format::Json).unwrap().as_slice(), plain.as_bytes());
    let changes = vec![set(r#"["o"]["x"]"#, Tree::string("z")), remove(r#"["l"][0]"#)];
    let edited = change(&encrypted, Format::Json, changes).unwrap();
    let expected = plain.replace("\"y\"", "\"z\"").replace("[1, 1]", "[1]");
    assert_eq!(String::from_utf8_lossy(&decrypt(&edited.bytes, Format::Json).unwrap()), expected);
}
