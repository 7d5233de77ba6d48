//! Edits in place: what is encrypted and restored comes back byte for byte, whatever it looked like.

use bulla_doc::{Document, Edits, Format, Kind, Node, Tree, Value};
use bulla_testkit::mutate::{Random, mutate};
use bulla_testkit::{corpus, needs_peers};

use crate::round_trip::round_trip;

#[test]
fn real_manifests_come_back_byte_for_byte() {
    needs_peers!();
    let mut values = 0;
    for file in corpus::manifests().into_iter().step_by(3) {
        let format = if file.name.ends_with(".json") { Format::Json } else { Format::Yaml };
        let text = std::fs::read(&file.path).unwrap();
        values += round_trip(&text, format).unwrap_or_else(|error| panic!("{}: {error}", file.name));
    }
    assert!(values > 100_000, "only {values} values were replaced");
}

#[test]
fn mutated_files_come_back_byte_for_byte() {
    needs_peers!();
    let small = |text: &Vec<u8>| text.len() < 2000;
    let texts = |format: &str| -> Vec<Vec<u8>> {
        let manifests = corpus::manifests().into_iter().filter(|file| file.name.ends_with(format));
        manifests.step_by(5).map(|file| std::fs::read(file.path).unwrap()).filter(small).take(300).collect()
    };
    let mut random = Random::new(3);
    for (format, seeds) in [(Format::Yaml, texts(".yaml")), (Format::Json, texts(".json"))] {
        let mut files = 0;
        for _ in 0..20_000 {
            let (input, other) = (random.below(seeds.len()), random.below(seeds.len()));
            let text = mutate(&mut random, &seeds[input], &seeds[other]);
            let values = round_trip(&text, format);
            let values = values.unwrap_or_else(|error| panic!("{:?}: {error}", String::from_utf8_lossy(&text)));
            files += usize::from(values > 0);
        }
        assert!(files > 1000, "only {files} files had values");
    }
}

#[test]
fn odd_spellings_come_back_byte_for_byte() {
    for text in [
        "a: 0x1F\nb: 1.50\nc: True\nd: ~\ne: 2024-01-01\nf: +1\n",
        "a: >\n  folded\n  text\n\n  more\nb: |\n  literal\n   deeper\n\n  end\n",
        "a: |2\n    indented\n  x\nb: |-\n\n  x\nc: |+\n  x\n\n\nd: 1\n",
        "a: \"\\x41\\u00e9\"\nb: 'it''s'\nc: \"multi\n  line\"\nd: plain\n  on two\n",
        "d: |+\n  line\n\n  x: ''   # a comment\n  ",
        "a: |\u{2028}  x\ty\n\n  z\nb: 1\n",
        "a: |\r  x\r  y\rb: 1\r",
        "a: >+\n  x\n  y\n\n\n# c\nb: |+\n  x\n \n\nc: 1\n",
        // Blocks that begin a line of their own, as far left as their key, and with line breaks that no block can keep.
        "a:\n>+\n x\r y\nb: 1\n",
        "m:\n  a:\n   |\n    x\u{85}    y\n  b: 1\n",
        "a: !t\n>-\n x\r y\n",
        "a:  >+\r\r\r",
        "a:\n\n>+#  >\n x\r y",
        "a: |+\n\n\n\nb: 1\n",
        "\n!$6  666:\n>+\n #\r\n [6''+\r &[666 6",
        "{a: b, c: [d, 1, \"e\"], f: }\n",
        "{}\n",
        "{a: 1, }",
        "---\n",
        "--- # comment\n...\n",
        "  a: 1\n  b: 2\n",
        "a: 1",
        "a: |\n  x",
        "a: >-\n  x",
        "a: 1\n# end",
        "a: 1\n---\nb: 2\n---\n# only a comment\n---\nc: 3",
        "a: 1\r\nb: |\r\n  x\r\n  y\r\nc: >\r\n  z\r\n",
        "\u{feff}a: 1\n",
        "? a\n: b\n",
        "a: &x 1\nb: !!int &y 2\nc: !local 3\nd: &z !!str 4\n",
        "a:\n  - # head\n    b: 1 # inline\n    # foot\n\n# end\n\n\n",
        "a: '😀'\nb: \"\\U0001F600\"\nc: 😀\n",
        "a: -\nb: - \n",
        "a: |\n\n \n  x\n \n\nb: 1\n",
    ] {
        round_trip(text.as_bytes(), Format::Yaml).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
    for text in [
        "{}",
        "{ }\n",
        "{\"a\":1}",
        "{\n  \"a\": 1.50,\n  \"b\": [1e3, -0, \"\\u0041\\/\", true, null],\n  \"c\": {}\n}\n",
        "\n{\t\"a\" :\t\"x\" }\n\n",
        "{\r\n\t\"a\": {\r\n\t\t\"b\": 1\r\n\t}\r\n}\r\n",
    ] {
        round_trip(text.as_bytes(), Format::Json).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
}

/// The document with one edit.
fn edited(text: &str, format: Format, edit: impl for<'d> FnOnce(&mut Edits<'d>, Node<'d>)) -> String {
    let document = Document::parse(text.as_bytes(), format).unwrap();
    let mut edits = Edits::new(&document);
    edit(&mut edits, document.branches().next().unwrap());
    let text = String::from_utf8(edits.apply().to_vec()).unwrap();
    Document::parse(text.as_bytes(), format).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    text
}

#[test]
fn a_new_value_keeps_the_style_of_the_old_one_where_it_can() {
    for (text, value, expected) in [
        ("a: x # c\n", Value::text("z"), "a: z # c\n"),
        ("a: x\n", Value::text("yes"), "a: \"yes\"\n"),
        ("a: 'x'\n", Value::text("it's"), "a: 'it''s'\n"),
        ("a: \"x\"\n", Value::text("y\n"), "a: \"y\\n\"\n"),
        ("a: 'x'\n", Value::text("y\nz"), "a: \"y\\nz\"\n"),
        ("a: 'x'\n", Value::Int(5), "a: 5\n"),
        ("a:\nb: 1\n", Value::text("x"), "a: x\nb: 1\n"),
        ("a: |\n  x\nb: 1\n", Value::text("y\nz\n"), "a: |\n  y\n  z\nb: 1\n"),
        ("a: | # c\n  x\nb: 1\n", Value::text("y\nz"), "a: |- # c\n  y\n  z\nb: 1\n"),
        ("a: |-\n  x\nb: 1\n", Value::text("y\n\n"), "a: \"y\\n\\n\"\nb: 1\n"),
        ("a: |+\n  x\n\nb: 1\n", Value::text("y\n\n"), "a: |+\n  y\n\nb: 1\n"),
        ("a: |+\n  x\n\nb: 1\n", Value::text("y"), "a: |-\n  y\n\nb: 1\n"),
        ("a: >\n  x\nb: 1\n", Value::text("y\nz\n"), "a: |\n  y\n  z\nb: 1\n"),
        ("a: |\n  x\nb: 1\n", Value::text("  y"), "a: \"  y\"\nb: 1\n"),
        ("{a: x}\n", Value::text("y, z"), "{a: 'y, z'}\n"),
        ("a: x\n", Value::String(vec![0xff].into()), "a: !!binary /w==\n"),
        ("a: x\n", Value::Float(2.0), "a: 2.0\n"),
    ] {
        let after = edited(text, Format::Yaml, |edits, branch| edits.set_value(branch.get("a").unwrap(), &value));
        assert_eq!(after, expected);
        let document = Document::parse(after.as_bytes(), Format::Yaml).unwrap();
        assert_eq!(document.branches().next().unwrap().get("a").unwrap().value(), value, "{after}");
    }
}

#[test]
fn entries_are_added_and_removed_with_their_lines_only() {
    type Edit = for<'d> fn(&mut Edits<'d>, Node<'d>);
    let add: Edit = |edits, branch| edits.append(branch.get("m").unwrap(), "k", &Tree::string("x"));
    let item: Edit = |edits, branch| edits.append_item(branch.get("m").unwrap(), &Tree::string("x"));
    let before: Edit = |edits, branch| edits.insert_before(branch.get("m").unwrap(), Some("k"), &Tree::string("x"));
    let first: Edit = |edits, branch| {
        let item = branch.get("m").unwrap().children().next().unwrap();
        edits.insert_before(item, None, &Tree::string("x"));
    };
    let comment: Edit = |edits, branch| {
        let mut item = branch.get("m").unwrap();
        while item.kind() == Kind::Sequence {
            item = item.children().next().unwrap();
        }
        edits.set_item_comment(item, "c").unwrap();
    };
    let inner: Edit = |edits, branch| {
        let is_entry = |node: &Node<'_>| node.kind() != Kind::Comment;
        let item = branch.get("m").unwrap().children().find(is_entry).unwrap();
        edits.remove(item.children().find(is_entry).unwrap()).unwrap();
    };
    let remove: Edit = |edits, branch| edits.remove(branch.get("m").unwrap().children().next().unwrap()).unwrap();
    let cases: &[(Edit, Format, &str, &str)] = &[
        (add, Format::Yaml, "m:\n  a: 1 # c\n# d\nb: 2\n", "m:\n  a: 1 # c\n  k: x\n# d\nb: 2\n"),
        (add, Format::Yaml, "m:\n  a: 1", "m:\n  a: 1\n  k: x"),
        (add, Format::Yaml, "m: {}\n", "m: {k: \"x\"}\n"),
        (add, Format::Yaml, "m: {a: 1, }\n", "m: {a: 1, k: \"x\", }\n"),
        (add, Format::Json, "{\"m\": {\n  \"a\": 1\n}}", "{\"m\": {\n  \"a\": 1,\n  \"k\": \"x\"\n}}"),
        (item, Format::Yaml, "m:\n- a # c\nb: 1\n", "m:\n- a # c\n- \"x\"\nb: 1\n"),
        (item, Format::Yaml, "m:\n  - a", "m:\n  - a\n  - \"x\""),
        (item, Format::Yaml, "m: []\n", "m: [\"x\"]\n"),
        (item, Format::Json, "{\"m\": [1]}", "{\"m\": [1, \"x\"]}"),
        (before, Format::Yaml, "a: 1\n# d\nm: 2\n", "a: 1\n# d\nk: x\nm: 2\n"),
        (before, Format::Yaml, "{m: 2}\n", "{k: \"x\", m: 2}\n"),
        (before, Format::Json, "{\n  \"m\": 2\n}", "{\n  \"k\": \"x\",\n  \"m\": 2\n}"),
        (first, Format::Yaml, "m:\n  - a\n", "m:\n  - \"x\"\n  - a\n"),
        (first, Format::Json, "{\"m\": [1]}", "{\"m\": [\"x\", 1]}"),
        (comment, Format::Yaml, "m:\n  - a\n  - b\n", "m:\n  #c\n  - b\n"),
        (comment, Format::Yaml, "m:\n  - a\nn: 1\n", "m: []\n  #c\nn: 1\n"),
        (comment, Format::Yaml, "m:\n  - - a\n    - b\n", "m:\n  - #c\n    - b\n"),
        (comment, Format::Yaml, "m:\n  - - a\n  - b\n", "m:\n  - [] #c\n  - b\n"),
        (comment, Format::Json, "{\"m\": [\"a\", 1]}", "{\"m\": [1]}"),
        (remove, Format::Yaml, "m:\n  a: |\n    x\n  b: 2\n", "m:\n  b: 2\n"),
        (remove, Format::Yaml, "m:\n  a: 1\nb: 2\n", "m: {}\nb: 2\n"),
        (inner, Format::Yaml, "m:\n  -\n    k: v\n  - b\n", "m:\n  - {}\n  - b\n"),
        (inner, Format::Yaml, "m:\n  - # a-b\n    # c\n    k: v\n", "m:\n  - {} # a-b\n    # c\n"),
        (remove, Format::Yaml, "m:\n- a\n- b\n", "m:\n- b\n"),
        (remove, Format::Yaml, "m:\n  - a\n", "m: []\n"),
        (remove, Format::Yaml, "m: {a: 1, b: 2}\n", "m: {b: 2}\n"),
        (remove, Format::Json, "{\"m\": [1, 2]}", "{\"m\": [2]}"),
        (remove, Format::Json, "{\"m\": {\"a\": 1}}", "{\"m\": {}}"),
    ];
    for (edit, format, text, expected) in cases {
        assert_eq!(edited(text, *format, edit), *expected);
    }
}
