//! dotenv and INI: the tree that SOPS sees, bytes that stay, and what is refused.

use bulla_doc::{Document, EditError, Edits, Format, Step, Tree, Value};
use bulla_testkit::mutate::{Random, mutate};
use bulla_testkit::needs_peers;

use crate::round_trip::round_trip;
use crate::tree::compare;

const DOTENV: &[&str] = &[
    "",
    "A=1\n",
    "A=1\nB=two words\n#comment\n# another \nC=\n=x\nD=a=b\nexport E='q'\nF=\"x\\ny\"\n",
    "A=1\n\n\nB=2",
    "A=1\r\nB=2\r\n#c\r\n",
    "#only a comment",
    "A=\\\\n\nA=1\nA=1\nsops=7\nSOPS_x=1\n",
    "é=ü\n#日本\nX=😀\u{2028}\n",
    "A = b \n\tB=\t\n",
];

const INI: &[&str] = &[
    "",
    "a = 1\n",
    "; head\n\n[s]\n; above\n# two\nk = v ; behind\nl: w\n\n[t] # of t\n\n; the end\n",
    "[s]\r\nk = v\r\n; c\r\n; d\r\nl=\"q\"\r\n",
    "k = 'x'\nl = \"y z\"\nm = `a # b`\nn = \"\"\"one\ntwo\n  three\"\"\"\no = \"\"\"in one\"\"\"\n",
    "k = one \\\n   two \\\nthree\nl = a\\\n\nm = 1\n",
    "k =\nl = \nm = ; c\nn\t=\t#d\n",
    "\u{feff}; first\n[a]\nk=1",
    "[a]\nk = 1\n[a]\nk = 2\n[DEFAULT]\nx = y\n",
    "  ;indented\n\n   # more\n  k   =   v   ;; x\n   ;;  last  \n",
    "\"quoted key\" = 1\n`a=b` = 2\n\"\"\"x\"y\"\"\" : 3\n",
    "[ spaced ]\n[a] ; see [b]\nk.x/y = -1\nurl = http://x/?a=b\n",
    "k = it's\nl = a'b'c\nm = 'it\"s'\nn = \"it's\"\no = ''\np = \"\"\n",
    "k = \"\"\"a\nb\"\"\" ; behind several lines\nl = 1\n",
    ";\nk = 1 ; x\n; \n; y\nl = 2\n",
    "k = \"\"\"\nfirst line is empty\"\"\"\n",
];

#[test]
fn the_tree_is_the_one_that_sops_sees() {
    needs_peers!();
    for (texts, format) in [(DOTENV, Format::Dotenv), (INI, Format::Ini)] {
        for text in texts {
            assert!(!text.contains("sops_"));
            assert_eq!(compare(text.as_bytes(), format), Ok(true), "{text:?}");
        }
    }
}

#[test]
fn mutated_files_have_the_tree_that_sops_sees_and_come_back() {
    needs_peers!();
    let mut random = Random::new(7);
    for (texts, format) in [(DOTENV, Format::Dotenv), (INI, Format::Ini)] {
        let mut read = 0;
        for _ in 0..6_000 {
            let (input, other) = (random.below(texts.len()), random.below(texts.len()));
            let mut text = mutate(&mut random, texts[input].as_bytes(), texts[other].as_bytes());
            if random.once_in(2) {
                let third = random.below(texts.len());
                text = mutate(&mut random, &text, texts[third].as_bytes());
            }
            let shown = String::from_utf8_lossy(&text).into_owned();
            if shown.contains("sops") {
                continue;
            }
            let same = compare(&text, format).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
            read += usize::from(same);
            round_trip(&text, format).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        }
        assert!(read > 1_000, "only {read} files were read");
    }
}

#[test]
fn every_file_comes_back() {
    for (texts, format) in [(DOTENV, Format::Dotenv), (INI, Format::Ini)] {
        for text in texts {
            round_trip(text.as_bytes(), format).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let windows = text.replace("\r\n", "\n").replace('\n', "\r\n");
            round_trip(windows.as_bytes(), format).unwrap_or_else(|error| panic!("{windows:?}: {error}"));
            let cut = text.trim_end_matches('\n');
            round_trip(cut.as_bytes(), format).unwrap_or_else(|error| panic!("{cut:?}: {error}"));
        }
    }
}

#[test]
fn what_sops_would_lose_is_refused_with_its_place() {
    for (input, format, message) in [
        ("A=1\nsecret\n", Format::Dotenv, "line 2, column 1: expected `KEY=value`, or `#` and a comment"),
        ("A=1\n  # secret\n", Format::Dotenv, "line 2, column 1: expected a comment to begin at the start of its line"),
        ("A=1\r\n\r\n", Format::Dotenv, "line 2, column 1: expected an empty line to hold nothing"),
        ("sops_a=1\nsops_a=2\n", Format::Dotenv, "line 2, column 6: expected each field once in the metadata"),
        (
            "sops_a=1\nsops_a__map_b=2\n",
            Format::Dotenv,
            "line 1, column 6: expected a field to be a value, a mapping or a list",
        ),
        ("sops_a__list_1=1\n", Format::Dotenv, "line 1, column 14: expected lists without gaps"),
        ("k = pass#word\n", Format::Ini, "line 1, column 9: expected a blank before a comment"),
        ("k = \"a ; secret\"\n", Format::Ini, "line 1, column 8: expected backquotes around a value"),
        ("k = `x` ; secret\n", Format::Ini, "line 1, column 9: expected nothing behind the closing quotes"),
        ("k = `secret\n", Format::Ini, "line 1, column 5: expected the closing quotes"),
        ("[s] secret\n", Format::Ini, "line 1, column 5: expected nothing but a comment behind `]`"),
        ("[s\n", Format::Ini, "line 1, column 1: expected `]`"),
        ("[]\n", Format::Ini, "line 1, column 1: expected a name between"),
        ("- = secret\n", Format::Ini, "line 1, column 1: expected a name for the key"),
        (
            "k = 1\nk = secret\n",
            Format::Ini,
            "line 2, column 1: expected each key once; the same key is already on line 1",
        ),
        ("secret\n", Format::Ini, "line 1, column 1: expected `key = value`"),
        ("\"k\" secret = 1\n", Format::Ini, "line 1, column 4: expected `=` behind the quoted key"),
        ("= secret\n", Format::Ini, "line 1, column 1: expected a key before the `=`"),
    ] {
        let error = Document::parse(input.as_bytes(), format).unwrap_err().to_string();
        assert!(error.starts_with(message), "{input:?}: {error}");
        assert!(!error.contains("secret"), "{input:?}: {error}");
    }
    let error = Document::parse(b"A=1\nB=\xff\n", Format::Dotenv).unwrap_err().to_string();
    assert!(error.starts_with("line 2, column 3: expected UTF-8 text"), "{error}");
}

fn fields(text: &str, format: Format) -> Vec<String> {
    let document = Document::parse(text.as_bytes(), format).unwrap();
    let metadata = document.branches().next().unwrap().get(format.metadata_key()).unwrap();
    let shown = metadata.walk().filter_map(|step| match step {
        Step::Enter(node) => Some(format!("{}({}", node.key().unwrap_or("-"), node.position().line)),
        Step::Leave(_) => Some(")".to_owned()),
        Step::Leaf(node) => Some(format!("{}={:?}", node.key().unwrap_or("-"), node.as_str().unwrap())),
        Step::Comment(_) => None,
    });
    shown.collect()
}

#[test]
fn the_metadata_is_nested_whatever_its_layout() {
    let expected = |first, list, item| {
        [
            format!("{first}(1"),
            "version=\"3\"".to_owned(),
            format!("age({list}"),
            format!("-({item}"),
            "enc=\"a\\nb\"".to_owned(),
            ")".to_owned(),
            "-(3".to_owned(),
            "enc=\"c\"".to_owned(),
            ")".to_owned(),
            ")".to_owned(),
            ")".to_owned(),
        ]
    };
    let dotenv = "sops_version=3\nsops_age__list_0__map_enc=a\\nb\nsops_age__list_1__map_enc=c\nA=1\n";
    assert_eq!(fields(dotenv, Format::Dotenv), expected("sops_", 2, 2));
    for ini in [
        "[sops] ; x\nversion = 3\nage__list_1__map_enc = c\nage__list_0__map_enc = a\\nb\n",
        "[sops]\nversion = 3\n; comment\nage__list_0__map_enc = \"\"\"a\nb\"\"\"\nage__list_1__map_enc=c\n",
    ] {
        let shown: Vec<String> = fields(ini, Format::Ini).into_iter().filter(|step| !step.contains('(')).collect();
        assert_eq!(shown, ["version=\"3\"", "enc=\"a\\nb\"", ")", "enc=\"c\"", ")", ")", ")"], "{ini}");
    }
    let deep = format!("sops_a{}=1\n", "__map_a".repeat(100));
    assert!(Document::parse(deep.as_bytes(), Format::Dotenv).is_err());
}

fn edited(text: &str, format: Format, edit: impl for<'d> FnOnce(&mut Edits<'d>, bulla_doc::Node<'d>)) -> String {
    let document = Document::parse(text.as_bytes(), format).unwrap();
    let mut edits = Edits::new(&document);
    edit(&mut edits, document.branches().next().unwrap());
    let bytes = edits.apply();
    Document::parse(&bytes, format).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn values_are_set_added_and_removed_in_place() {
    let dotenv = "# c\nA=1\n\nB=2\nsops_mac=x\n";
    let set = |edits: &mut Edits<'_>, text: &str| {
        // The borrow of the document outlives the edits.
        let node = edits.document().branches().next().unwrap().get("A").unwrap();
        edits.set_value(node, &Value::text(text));
    };
    assert_eq!(edited(dotenv, Format::Dotenv, |edits, _| set(edits, "x\ny")), "# c\nA=x\\ny\n\nB=2\nsops_mac=x\n");
    let added = edited(dotenv, Format::Dotenv, |edits, top| edits.append(top, "C", &Tree::string("3")));
    assert_eq!(added, "# c\nA=1\n\nB=2\nC=3\nsops_mac=x\n");
    let removed = edited(dotenv, Format::Dotenv, |edits, top| edits.remove(top.get("A").unwrap()).unwrap());
    assert_eq!(removed, "# c\n\nB=2\nsops_mac=x\n");

    let ini = "x = 1\n\n; of s\n[s]\nk = `v` \nlong = w ; c\n\n; end\n\n[sops]\nmac = x\n";
    let set = |section: &'static str, key: &'static str, text: &'static str| {
        edited(ini, Format::Ini, |edits, top| {
            edits.set_value(top.get(section).unwrap().get(key).unwrap(), &Value::text(text));
        })
    };
    assert_eq!(set("s", "k", "a;b"), ini.replace("`v`", "`a;b`"));
    assert_eq!(set("s", "long", "a;b"), ini.replace("long = w ; c\n", "; c\nlong = `a;b`\n"));
    assert_eq!(set("s", "long", "a b"), ini.replace("= w ;", "= a b ;"));
    assert_eq!(set("DEFAULT", "x", " 2"), ini.replace("x = 1", "x = \" 2\""));
    let in_section =
        edited(ini, Format::Ini, |edits, top| edits.append(top.get("s").unwrap(), "n", &Tree::string("3")));
    assert_eq!(in_section, ini.replace("; c\n", "; c\nn = 3\n"));
    let section = Tree::mapping([("a", Tree::string("1")), ("bb", Tree::string("#"))]);
    let new = edited(ini, Format::Ini, |edits, top| edits.append(top, "t", &section));
    assert_eq!(new, ini.replace("; c\n", "; c\n\n[t]\na  = 1\nbb = `#`\n"));
    let replaced = edited(ini, Format::Ini, |edits, top| edits.set_tree(top.get("s").unwrap(), &section));
    assert_eq!(replaced, ini.replace("k = `v` \nlong = w ; c\n", "a  = 1\nbb = `#`\n"));
    let removed = edited(ini, Format::Ini, |edits, top| edits.remove(top.get("s").unwrap()).unwrap());
    assert_eq!(removed, "x = 1\n\n; of s\n; end\n\n[sops]\nmac = x\n");
    let default = edited("[s]\nk = v\n", Format::Ini, |edits, top| {
        edits.append(top.get("DEFAULT").unwrap(), "a", &Tree::string("1"));
    });
    assert_eq!(default, "a = 1\n\n[s]\nk = v\n");
}

#[test]
fn what_a_file_of_lines_cannot_hold_is_refused() {
    let text = |text| Tree::string(text);
    let list = Tree::sequence([Tree::string("x")]);
    for (format, key, tree, fits) in [
        (Format::Dotenv, "A", text("a\nb"), true),
        (Format::Dotenv, "A", text("a\\nb"), false),
        (Format::Dotenv, "A=", text("a"), false),
        (Format::Dotenv, "#A", text("a"), false),
        (Format::Dotenv, "sops_a", text("a"), false),
        (Format::Dotenv, "A", list.clone(), false),
        (Format::Ini, "A", text("a"), false),
        (Format::Ini, "A", list.clone(), false),
        (Format::Ini, "A", Tree::mapping([("k", text("a\nb"))]), true),
        (Format::Ini, "A", Tree::mapping([("k", list.clone())]), false),
        (Format::Ini, "A", Tree::mapping([("k", text("`\"\"\"\n"))]), false),
        (Format::Ini, "A", Tree::mapping([("#k", text("a"))]), false),
        (Format::Ini, "A]", Tree::mapping([("k", text("a"))]), false),
        (Format::Json, "A", list.clone(), true),
    ] {
        let bytes: &[u8] = if format == Format::Json { b"{}" } else { b"" };
        let document = Document::parse(bytes, format).unwrap();
        let outcome = Edits::new(&document).accepts(document.branches().next().unwrap(), Some(key), &tree);
        assert_eq!(outcome.is_ok(), fits, "{format} {key} {outcome:?}");
        assert!(matches!(outcome, Ok(()) | Err(EditError::Unwritable(_))));
    }
}
