//! Key paths, as a person writes them, and what is there.
//!
//! ```text
//! db.hosts[0].name     keys behind dots, items of lists by their number from 0; a key with a dot in it in quotes, or as it is
//! data.tls.key         where the document has `tls.key` under `data`, or it is a Secret's
//! ["db"]["hosts"][0]   the grammar of SOPS
//! ```

use std::str::FromStr;

use bulla_crypto::EncryptedValue;
use bulla_doc::{DEPTH_LIMIT, Document, Format, Kind, Layout, Node, Tree, Value};
use bulla_sops::{KeyPath, PathStep};
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::secret_data;

/// A path on the command line. What it means depends on the document: a dot may be one of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathText {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A key in quotes.
    Key(String),
    /// A key between dots; the next one may belong to it.
    Dotted(String),
    Index(usize),
}

impl FromStr for PathText {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        let steps = if text.starts_with('[') { of_sops(text.parse()?) } else { read_dotted(text)? };
        Ok(Self { steps })
    }
}

fn of_sops(path: KeyPath) -> Vec<Step> {
    let step = |step| match step {
        PathStep::Key(key) => Step::Key(key),
        PathStep::Index(index) => Step::Index(index),
    };
    path.steps.into_iter().map(step).collect()
}

/// `a.b`, `a."b.c"`, `a[0]`, `a["b"]`; a backslash takes the next character as it is.
fn read_dotted(text: &str) -> Result<Vec<Step>, CommandError> {
    let wrong = |rest: &str, expected: &str| {
        let offset = text.chars().count() - rest.chars().count() + 1;
        CommandError::new(Exit::Path, format!("at character {offset} of the path: expected {expected}"))
            .hint("a path looks like `db.hosts[0].name` or `[\"db\"][\"hosts\"][0][\"name\"]`")
    };
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').ok_or_else(|| wrong(quoted, "the key's closing quote"))?;
            steps.push(Step::Key(quoted[..end].to_owned()));
            rest = &quoted[end + 1..];
        } else {
            let (key, after) = bare_key(rest);
            if key.is_empty() {
                return Err(wrong(rest, "a key"));
            }
            steps.push(Step::Dotted(key));
            rest = after;
        }
        while rest.starts_with('[') {
            let end = ["\"]", "']"]
                .into_iter()
                .filter(|_| rest[1..].starts_with(['"', '\'']))
                .find_map(|close| rest.get(2..).and_then(|inside| inside.find(close)).map(|end| 2 + end + close.len()));
            let end =
                end.or_else(|| rest.find(']').map(|end| end + 1)).ok_or_else(|| wrong(rest, "the closing `]`"))?;
            let (step, after) = rest.split_at(end);
            steps.extend(of_sops(step.parse().map_err(|_| wrong(&rest[1..], "a quoted key, or a number from 0"))?));
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Ok(steps),
            None => return Err(wrong(rest, "`.` or `[`")),
        }
    }
}

fn bare_key(text: &str) -> (String, &str) {
    let mut key = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '.' | '[' => return (key, &text[at..]),
            '\\' => key.extend(characters.next().map(|(_, next)| next)),
            character => key.push(character),
        }
    }
    (key, "")
}

impl PathText {
    /// What it means in document `branch`, from 0, of the file. What does not exist yet is taken dot by dot, but for keys of Secrets, which
    /// have no others below them.
    pub(crate) fn resolve(&self, document: &Document, branch: usize) -> KeyPath {
        let mut path = KeyPath { branch, steps: Vec::new() };
        let mut node = document.branches().nth(branch);
        let mut rest = self.steps.as_slice();
        while let Some((step, after)) = rest.split_first() {
            let mut used = 1;
            let next = match step {
                Step::Key(key) => PathStep::Key(key.clone()),
                Step::Index(index) => PathStep::Index(*index),
                Step::Dotted(key) => match key.parse() {
                    Ok(index) if node.is_some_and(|node| node.kind() == Kind::Sequence) => PathStep::Index(index),
                    _ => {
                        let (key, length) = dotted_key(rest, node, is_keys_of_secret(document, &path));
                        used = length;
                        PathStep::Key(key)
                    }
                },
            };
            rest = if used == 1 { after } else { &rest[used..] };
            path.steps.push(next);
            node = find(document, &path);
        }
        path
    }
}

/// Is the path that of a Secret's `data` or `stringData`?
fn is_keys_of_secret(document: &Document, path: &KeyPath) -> bool {
    secret_data::in_secret(document, path).is_some_and(|(steps, _)| steps == path.steps.len())
}

/// The key that the first steps name together, and how many they are: the shortest that is there.
fn dotted_key(steps: &[Step], node: Option<Node<'_>>, takes_all: bool) -> (String, usize) {
    let dotted = steps.iter().map_while(|step| if let Step::Dotted(key) = step { Some(key.as_str()) } else { None });
    let keys: Vec<&str> = dotted.collect();
    let is_there = |length: &usize| node.is_some_and(|node| node.get(&keys[..*length].join(".")).is_some());
    let otherwise = if takes_all { keys.len() } else { 1 };
    let length = (1..=keys.len()).find(is_there).unwrap_or(otherwise);
    (keys[..length].join("."), length)
}

/// What `path` leads to. Comments are no items.
pub(crate) fn find<'d>(document: &'d Document, path: &KeyPath) -> Option<Node<'d>> {
    let root = document.branches().nth(path.branch)?;
    path.steps.iter().try_fold(root, |node, step| match step {
        PathStep::Key(key) => node.get(key),
        PathStep::Index(index) if node.kind() == Kind::Sequence => {
            node.children().filter(|item| item.kind() != Kind::Comment && !is_encrypted_comment(*item)).nth(*index)
        }
        PathStep::Index(_) => None,
    })
}

/// SOPS makes items of the comments of a list that it encrypts.
fn is_encrypted_comment(item: Node<'_>) -> bool {
    item.as_str().and_then(EncryptedValue::parse).is_some_and(|value| value.type_name == "comment")
}

/// The error that there is nothing.
pub(crate) fn nothing_at(path: &KeyPath) -> CommandError {
    CommandError::new(Exit::Path, format!("there is nothing at `{path}`")).hint("keys are spelled as in the file")
}

/// What is at `path` of the plain document, by itself: of a text its bytes and no newline, as SOPS; else a document of the same format.
///
/// # Errors
/// [`Exit::Path`] if there is nothing.
pub(crate) fn extract(document: &Document, path: &KeyPath) -> Result<Wiping<Vec<u8>>, CommandError> {
    let format = document.format();
    let node = find(document, path).ok_or_else(|| nothing_at(path))?;
    match (node.kind(), node.value()) {
        // As it is spelt there.
        (Kind::Scalar, value) if !matches!(value, Value::String(_)) => {
            let mut text = Wiping::new(node.spelling().as_bytes().to_vec());
            if format == Format::Yaml {
                text.push(b'\n');
            }
            Ok(text)
        }
        _ if node.is_deeper_than(DEPTH_LIMIT) => Err(CommandError::new(
            Exit::Input,
            format!("what is at `{path}` nests deeper than 1,000 levels, which are not printed anew"),
        )),
        _ => Ok(bulla_doc::emit_value(&Tree::copy_of(node), format, &Layout::default())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulla_testkit::mutate::Random;

    const YAML: &str = "a:\n    b: text\n    c: [1, 'x']\n    d: 0x10\n    # comment\n    e: |\n        one\n\n        two\nf:\n  - # comment\n    g: 1\n    h: |\n      one\n\n        two\n  - true\ni: []\nj: 1.50\n";

    fn extracted(text: &str, format: Format, path: &str) -> String {
        let document = Document::parse(text.as_bytes(), format).unwrap();
        match extract(&document, &path.parse().unwrap()) {
            Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Err(error) => format!("{:?}", error.exit()),
        }
    }

    #[test]
    fn a_text_comes_as_it_is_and_everything_else_as_a_document() {
        for (path, expected) in [
            ("['a']['b']", "text"),
            ("['a']['c']", "- 1\n- x\n"),
            ("['a']['c'][1]", "x"),
            ("['a']['d']", "0x10\n"),
            ("['a']['e']", "one\n\ntwo\n"),
            ("['f'][1]", "true\n"),
            ("['i']", "[]\n"),
            ("['x']", "Path"),
            ("['a'][0]", "Path"),
            ("['f']['g']", "Path"),
            ("['f'][2]", "Path"),
        ] {
            assert_eq!(extracted(YAML, Format::Yaml, path), expected, "{path}");
        }
        for (path, expected) in [("['a']", "\"x\""), ("['b']", "[\n\t1,\n\t{\n\t\t\"c\": 2\n\t}\n]"), ("['b'][0]", "1")]
        {
            let text = "{\"a\":\"\\\"x\\\"\",\"b\":[1,{\"c\":2}]}";
            assert_eq!(extracted(text, Format::Json, path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_means_what_the_document_has() {
        let text = "a.b: {c: 1}\nd:\n  e.f: 2\n  e: {g: 3}\nl: [x, {y.z: 1}]\n";
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {}\ndata: {a: eA==}\n";
        for (document, path, expected) in [
            (text, "a.b.c", r#"["a.b"]["c"]"#),
            (text, "d.e.f", r#"["d"]["e"]["f"]"#),
            (text, "d.\"e.f\"", r#"["d"]["e.f"]"#),
            (text, r"d.e\.f", r#"["d"]["e.f"]"#),
            (text, "d.e.g", r#"["d"]["e"]["g"]"#),
            (text, "l[1].y.z", r#"["l"][1]["y.z"]"#),
            (text, "l.1", r#"["l"][1]"#),
            (text, "l[1][\"y.z\"]", r#"["l"][1]["y.z"]"#),
            (text, "['a.b']['c']", r#"["a.b"]["c"]"#),
            (text, "new.1.x", r#"["new"]["1"]["x"]"#),
            (secret, "data.tls.key", r#"["data"]["tls.key"]"#),
            (secret, "stringData.tls.key", r#"["stringData"]["tls.key"]"#),
            (secret, "metadata.labels.x", r#"["metadata"]["labels"]["x"]"#),
        ] {
            let document = Document::parse(document.as_bytes(), Format::Yaml).unwrap();
            let path: PathText = path.parse().unwrap();
            assert_eq!(path.resolve(&document, 0).to_string(), expected, "{path:?}");
        }
    }

    #[test]
    fn whatever_is_written_as_a_path_is_read_or_refused() {
        let mut random = Random::new(11);
        let document = Document::parse(YAML.as_bytes(), Format::Yaml).unwrap();
        let characters = ['a', 'ä', '.', '[', ']', '"', '\'', '\\', '0', '-', ' '];
        for _ in 0..20_000 {
            let length = random.below(12);
            let text: String = (0..length).map(|_| random.pick(&characters)).collect();
            if let Ok(path) = text.parse::<PathText>() {
                let _ = find(&document, &path.resolve(&document, 0));
            }
        }
    }

    #[test]
    fn encrypted_comments_of_a_list_are_no_items() {
        let enc = |kind| format!("ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:{kind}]");
        let text = format!("l:\n    - {}\n    - {}\n", enc("comment"), enc("str"));
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        let node = find(&document, &"['l'][0]".parse().unwrap()).unwrap();
        assert!(node.as_str().unwrap().contains("type:str"));
    }

    #[test]
    fn what_is_no_path_is_refused_with_the_place() {
        for (text, offset) in
            [("", 1), (".a", 1), ("a..b", 3), ("a.", 3), ("a[x]", 3), ("a[0]b", 5), ("a.\"b", 4), ("a[", 2)]
        {
            let error = text.parse::<PathText>().unwrap_err();
            assert_eq!(error.exit(), Exit::Path);
            assert!(error.render().contains(&format!("at character {offset} of")), "{text}: {}", error.render());
        }
    }

    #[test]
    fn a_part_reads_as_it_did_in_the_whole() {
        let whole = Document::parse(YAML.as_bytes(), Format::Yaml).unwrap();
        for path in ["['a']", "['f']", "['a']['c']"] {
            let path: KeyPath = path.parse().unwrap();
            let part = format!(
                "part:\n{}",
                String::from_utf8(extract(&whole, &path).unwrap().to_vec()).unwrap().replace('\n', "\n ")
            );
            let part = part.replacen("part:\n", "part:\n ", 1);
            let part = Document::parse(part.as_bytes(), Format::Yaml).unwrap();
            let inner = part.branches().next().unwrap().get("part").unwrap();
            let values = |node: Node<'_>| {
                let steps = node.walk().filter_map(|step| match step {
                    bulla_doc::Step::Leaf(leaf) => Some(format!("{:?}={:?}", leaf.key(), leaf.value())),
                    _ => None,
                });
                steps.skip_while(|_| false).collect::<Vec<_>>()
            };
            assert_eq!(values(inner), values(find(&whole, &path).unwrap()));
        }
    }
}
