use std::thread;

use bulla_testkit::needs_peers;
use bulla_testkit::oracle::{
    Format, Found, NamedSelector, NodeKind, Oracle, Refusal, Style, TreeItem, WholeFile, YamlNode,
};

#[test]
fn yaml_is_answered_with_every_property_of_a_node() {
    needs_peers!();
    let input = b"# above\na: &x !t [1, 'two'] # beside\n# below\n\nb: *x\n--- |\n  text\n";
    let answer = Oracle::shared().yaml(input).unwrap();
    assert_eq!(answer.error, None);
    assert_eq!(answer.documents.len(), 2);
    let scalar = |tag: &str, value: &str, style: Style, line, column| YamlNode {
        tag: tag.to_owned(),
        value: value.into(),
        style,
        line,
        column,
        ..YamlNode::default()
    };
    let plain = Style::default();
    let expected = [
        YamlNode {
            kind: NodeKind::Document,
            line: 2,
            column: 1,
            length: 1,
            head_comment: vec![],
            ..YamlNode::default()
        },
        YamlNode { kind: NodeKind::Mapping, tag: "!!map".into(), line: 2, column: 1, length: 4, ..YamlNode::default() },
        YamlNode {
            head_comment: b"# above".into(),
            foot_comment: b"# below".into(),
            ..scalar("!!str", "a", plain, 2, 1)
        },
        YamlNode {
            kind: NodeKind::Sequence,
            anchor: "x".into(),
            length: 2,
            line_comment: b"# beside".into(),
            ..scalar("!t", "", Style::TAGGED | Style::FLOW, 2, 4)
        },
        scalar("!!int", "1", plain, 2, 11),
        scalar("!!str", "two", Style::SINGLE_QUOTED, 2, 14),
        scalar("!!str", "b", plain, 5, 1),
        YamlNode { kind: NodeKind::Alias, target: 3, resolved: Some("!t".into()), ..scalar("", "x", plain, 5, 4) },
    ];
    for (node, expected) in answer.documents[0].iter().zip(&expected) {
        assert_eq!(node, expected);
    }
    assert_eq!(answer.documents[0].len(), expected.len());
    assert_eq!(answer.documents[1][1], scalar("!!str", "text\n", Style::LITERAL, 6, 5));
}

#[test]
fn a_yaml_error_comes_with_the_documents_before_it() {
    needs_peers!();
    let answer = Oracle::shared().yaml(b"a: 1\n---\n[b\n").unwrap();
    assert_eq!(answer.documents.len(), 1);
    let error = answer.error.unwrap();
    assert!(error.starts_with("yaml: line "), "{error}");
}

#[test]
fn what_go_yaml_reads_it_writes_again() {
    needs_peers!();
    let input = b"# above\na: &x [1, 'two'] # beside\nb: *x\nc: |-\n  text\n---\nd: !!binary aGk=\n";
    let documents = Oracle::shared().yaml(input).unwrap().documents;
    let output = Oracle::shared().yaml_encode(&documents, 2).unwrap();
    assert_eq!(String::from_utf8_lossy(&output), String::from_utf8_lossy(input));
}

#[test]
fn documents_may_be_thousands_of_levels_deep() {
    needs_peers!();
    let depth = 9_999;
    let input = "[".repeat(depth) + &"]".repeat(depth);
    let answer = Oracle::shared().yaml(input.as_bytes()).unwrap();
    assert_eq!((answer.documents[0].len(), answer.error), (depth + 1, None));
}

fn item(kind: &str, key: Option<&str>, text: &str) -> TreeItem {
    TreeItem { kind: kind.to_owned(), key: key.map(Into::into), text: text.into(), ..TreeItem::default() }
}

#[test]
fn a_sops_tree_has_comments_types_and_texts() {
    needs_peers!();
    let input =
        b"# above\nlist: [a, 1.50, 0x10] # beside\nwhen: 2001-01-01\nbig: 18446744073709551615\nno: ~\ntrue: yes\n";
    let branches = Oracle::shared().sops_tree(input, Format::Yaml).unwrap();
    assert_eq!(
        branches,
        [vec![
            TreeItem { length: 6, ..item("map", None, "") },
            item("comment", None, " above"),
            TreeItem { length: 4, ..item("list", Some("list"), "") },
            item("comment", None, " beside"),
            item("str", None, "a"),
            item("float", None, "1.5"),
            item("int", None, "16"),
            item("time", Some("when"), "2001-01-01T00:00:00Z"),
            item("uint64", Some("big"), "18446744073709551615"),
            item("null", Some("no"), ""),
            TreeItem { key_type: Some("bool".into()), ..item("str", Some("True"), "yes") },
        ]]
    );
}

#[test]
fn a_comment_on_the_line_of_a_value_is_told_from_one_above() {
    needs_peers!();
    let branches = Oracle::shared().sops_tree(b"# above\na: 1 # beside\n", Format::Yaml).unwrap();
    let inline: Vec<bool> = branches[0].iter().map(|item| item.inline).collect();
    assert_eq!(inline, [false, false, true, false]);
}

#[test]
fn sops_writes_the_trees_that_it_reads() {
    needs_peers!();
    let yaml = b"# above\na:\n    - 1\n    - two\nb: 1.5 # beside\nc: {}\n";
    let branches = Oracle::shared().sops_tree(yaml, Format::Yaml).unwrap();
    for (format, indent, expected) in [
        (Format::Yaml, 0, "# above\na:\n    - 1\n    - two\nb: 1.5 # beside\nc: {}\n"),
        (Format::Yaml, 2, "# above\na:\n  - 1\n  - two\nb: 1.5 # beside\nc: {}\n"),
        (Format::Json, -1, "{\n\t\"a\": [\n\t\t1,\n\t\t\"two\"\n\t],\n\t\"b\": 1.5,\n\t\"c\": {}\n}\n"),
        (Format::Json, 1, "{\n \"a\": [\n  1,\n  \"two\"\n ],\n \"b\": 1.5,\n \"c\": {}\n}\n"),
    ] {
        let output = Oracle::shared().sops_emit(&branches, format, indent).unwrap();
        assert_eq!(String::from_utf8_lossy(&output), expected, "{format:?} {indent}");
    }
    let json = Oracle::shared().sops_tree(br#"{"a": [1, 1.0, null], "a": 1e3}"#, Format::Json).unwrap();
    let kinds: Vec<&str> = json[0].iter().map(|item| item.kind.as_str()).collect();
    assert_eq!(kinds, ["map", "list", "int", "float", "null", "float"]);
}

#[test]
fn errors_and_panics_of_the_libraries_are_told_apart() {
    needs_peers!();
    let oracle = Oracle::shared();
    let error = oracle.sops_tree(b"a: 1\na: 2\n", Format::Yaml).unwrap_err();
    assert_eq!(
        error,
        Refusal::Error("yaml: unmarshal errors:\n  line 2: mapping key \"a\" already defined at line 1".to_owned())
    );
    // Go cannot catch what SOPS does here; the oracle says so and goes on.
    let panic = oracle.sops_tree(b"{}\n---\na: &a [*a]\n", Format::Yaml).unwrap_err();
    assert!(matches!(&panic, Refusal::Panic(message) if message.starts_with("stack overflow")), "{panic}");
    let panic = oracle.sops_emit(&[vec![item("list", None, "")]], Format::Json, -1).unwrap_err();
    assert!(matches!(panic, Refusal::Panic(_)), "{panic}");
}

/// A throw-away identity, and who it is.
const IDENTITY: &str = "AGE-SECRET-KEY-1JX0ZW0TDL98P0SAH80KAUCKGWS4EMPQP9SU2K0TGYLHKRXYZZY0SF0UJPQ";
const RECIPIENT: &str = "age1qea037edq40udfgmp6eanx5ej40s9t9x2w6858ywl9yg85a5r4gsc3rqk0";

#[test]
fn whole_files_of_every_format_are_encrypted_and_decrypted_as_sops_does() {
    needs_peers!();
    let oracle = Oracle::shared();
    let groups = vec![vec![RECIPIENT.to_owned()]; 2];
    for (format, plain) in [
        (Format::Yaml, &b"# about\na: b\n"[..]),
        (Format::Json, b"{\n\t\"a\": \"b\"\n}\n"),
        (Format::Dotenv, b"#about\nA=b\n"),
        (Format::Ini, b"[s]\na = b\n"),
        (Format::Binary, b"\x00\xff"),
    ] {
        let file = WholeFile { groups: &groups, ..WholeFile::new(plain, format) };
        let encrypted = oracle.sops_encrypt(&file).unwrap();
        let file = WholeFile { identities: IDENTITY, ..WholeFile::new(&encrypted, format) };
        assert_eq!(oracle.sops_decrypt(&file).unwrap(), plain, "{format:?}");
        assert_eq!(oracle.sops_library(&file).unwrap(), plain, "{format:?}");
        let stranger = WholeFile::new(&encrypted, format);
        let Err(Refusal::Error(reason)) = oracle.sops_decrypt(&stranger) else { panic!("{format:?}: it was opened") };
        assert!(reason.contains("only 0 part(s) were successfully recovered"), "{reason}");
    }
}

#[test]
fn a_manifest_is_decrypted_as_a_cluster_does() {
    needs_peers!();
    let groups = [vec![RECIPIENT.to_owned()]];
    let selector = Some(NamedSelector { selector: "encrypted_regex", pattern: "^data$" });
    let plain =
        WholeFile { groups: &groups, selector, ..WholeFile::new(b"kind: Secret\ndata: {b: c}\n", Format::Yaml) };
    let encrypted = Oracle::shared().sops_encrypt(&plain).unwrap();
    assert!(String::from_utf8_lossy(&encrypted).starts_with("kind: Secret\ndata:\n    b: ENC["));
    let file = WholeFile { identities: IDENTITY, ..WholeFile::new(&encrypted, Format::Yaml) };
    let resource = Oracle::shared().sops_resource(&file).unwrap();
    assert_eq!(resource, b"{\n\t\"data\": {\n\t\t\"b\": \"c\"\n\t},\n\t\"kind\": \"Secret\"\n}\n");
}

#[test]
fn regular_expressions_are_gos() {
    needs_peers!();
    let found = Oracle::shared().regex(br"(b)|\d+$", &[b"ab12", "٣".as_bytes(), b""]).unwrap();
    let none = Found { is_match: false, span: None, all: None };
    let all = Some(vec![vec![1, 2, 1, 2], vec![2, 4, -1, -1]]);
    assert_eq!(found, [Found { is_match: true, span: Some((1, 2)), all }, none.clone(), none]);
    let error = Oracle::shared().regex(b"(", &[]).unwrap_err();
    assert_eq!(error, Refusal::Error("error parsing regexp: missing closing ): `(`".to_owned()));
}

#[test]
fn threads_ask_at_the_same_time_and_get_their_own_answers() {
    needs_peers!();
    let (threads, requests) = (4, 500);
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for request in 0..requests {
                    let input = format!("a: {thread}-{request}\nb: [1, 2, 3] # beside\n");
                    let answer = Oracle::shared().yaml(input.as_bytes()).unwrap();
                    let value = &answer.documents[0][3].value;
                    assert_eq!(*value, format!("{thread}-{request}").into_bytes());
                }
            });
        }
    });
}
