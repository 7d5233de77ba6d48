use super::*;

fn text(text: &str) -> Tree {
    Tree::string(text)
}

fn emitted(tree: &Tree, format: Format) -> String {
    match emit(std::slice::from_ref(tree), format, &Layout::default()) {
        Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_a_format_has_no_room_for_is_refused_with_its_place() {
    let list = Tree::mapping([("a", Tree::mapping([("b", Tree::sequence([text("x")]))]))]);
    let bytes = Tree::mapping([("data", Tree::Scalar(Scalar::String(Wiping::new(vec![0xff]))))]);
    for (tree, format, message) in [
        (
            &list,
            Format::Dotenv,
            "cannot write `[\"a\"]` as dotenv: it is no single value, and there is room for texts only",
        ),
        (
            &list,
            Format::Ini,
            "cannot write `[\"a\"][\"b\"]` as ini: it is no single value, and there is room for texts only",
        ),
        (
            &Tree::mapping([("a", text("b"))]),
            Format::Ini,
            "cannot write `[\"a\"]` as ini: it is no mapping, and there must be one at the top for each section",
        ),
        (
            &list,
            Format::Binary,
            "cannot write the file as binary: there is no text `data` at the top, which is all that a binary file holds",
        ),
        (
            &bytes,
            Format::Json,
            "cannot write `[\"data\"]` as json: it is not UTF-8 text, and would be damaged; a binary file or YAML can hold it",
        ),
        (
            &Tree::mapping([("a\nb", text("c"))]),
            Format::Dotenv,
            "cannot write `[\"a\\nb\"]` as dotenv: its key cannot be spelt there so that it is read back",
        ),
        (
            &Tree::mapping([("a", Tree::sequence([Tree::Scalar(Scalar::Float(f64::NAN))]))]),
            Format::Json,
            "cannot write `[\"a\"][0]` as json: infinity and what is not a number have no spelling there",
        ),
    ] {
        assert_eq!(emitted(tree, format), message);
    }
    let two = [Tree::mapping([("a", text("b"))]), Tree::mapping([("a", text("b"))])];
    for format in [Format::Json, Format::Dotenv, Format::Ini, Format::Binary] {
        let error = emit(&two, format, &Layout::default()).unwrap_err();
        assert_eq!(error.reason, Unwritable::Documents);
    }
    let deep = (0..2_000).fold(text("x"), |tree, _| Tree::sequence([tree]));
    assert_eq!(
        emit(&[Tree::mapping([("a", deep)])], Format::Json, &Layout::default()).unwrap_err().reason,
        Unwritable::Depth
    );
}

#[test]
fn levels_are_indented_as_the_configuration_says() {
    let tree = [Tree::mapping([("a", Tree::mapping([("b", text("c"))]))])];
    let emitted = |format, layout| String::from_utf8(emit(&tree, format, &layout).unwrap().to_vec()).unwrap();
    let layout = Layout { yaml: Some(2), json: Some(0), json_binary: None };
    assert_eq!(emitted(Format::Yaml, layout), "a:\n  b: c\n");
    assert_eq!(emitted(Format::Json, layout), "{\n\"a\": {\n\"b\": \"c\"\n}\n}\n");
    assert_eq!(emitted(Format::Yaml, Layout { yaml: Some(0), ..layout }), "a:\n    b: c\n");
    assert_eq!(
        emitted(Format::Json, Layout { json: Some(3), ..layout }),
        "{\n   \"a\": {\n      \"b\": \"c\"\n   }\n}\n"
    );
}
