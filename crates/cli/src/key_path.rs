//! What is at a key path of a document: for `--extract`, and to see whether a value that was set is encrypted.

use bulla_doc::{Document, Format, Kind, Node, Tree, Value};
use bulla_sops::{KeyPath, PathStep};
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;

/// What `path` leads to. Comments are no items.
pub(crate) fn find<'d>(document: &'d Document, path: &KeyPath) -> Option<Node<'d>> {
    let root = document.branches().nth(path.branch)?;
    path.steps.iter().try_fold(root, |node, step| match step {
        PathStep::Key(key) => node.get(key),
        PathStep::Index(index) if node.kind() == Kind::Sequence => {
            node.children().filter(|item| item.kind() != Kind::Comment).nth(*index)
        }
        PathStep::Index(_) => None,
    })
}

/// What is at `path` of the plain document, by itself: of a text its bytes and no newline, as SOPS; else a document of the same format.
///
/// # Errors
/// [`Exit::Path`] if there is nothing.
pub(crate) fn extract(document: &Document, path: &KeyPath) -> Result<Wiping<Vec<u8>>, CommandError> {
    let format = document.format();
    let node = find(document, path).ok_or_else(|| {
        CommandError::new(Exit::Path, format!("there is nothing at `{path}`")).hint("keys are spelled as in the file")
    })?;
    Ok(match (node.kind(), format) {
        (Kind::Mapping, _) | (Kind::Sequence, Format::Json) => bulla_doc::write(&[Tree::copy_of(node)], format, None),
        (Kind::Sequence, Format::Yaml) => yaml_list(node),
        (Kind::Scalar | Kind::Comment, _) => match node.value() {
            Value::String(text) => Wiping::new(text.into_owned()),
            _ => {
                let mut text = Wiping::new(node.spelling().as_bytes().to_vec());
                if format == Format::Yaml {
                    text.push(b'\n');
                }
                text
            }
        },
    })
}

/// A list by itself: written below a key, which is then taken away with the indentation.
fn yaml_list(list: Node<'_>) -> Wiping<Vec<u8>> {
    const KEY: &[u8] = b"list:";
    const INDENT: usize = 4;
    let below = bulla_doc::write(&[Tree::mapping([("list", Tree::copy_of(list))])], Format::Yaml, Some(INDENT));
    let rest = below.strip_prefix(KEY).unwrap_or(&below);
    let mut text = Wiping::new(Vec::with_capacity(rest.len()));
    for line in rest.trim_ascii_start().split_inclusive(|byte| *byte == b'\n') {
        let blanks = line.iter().take(INDENT).take_while(|byte| **byte == b' ').count();
        text.extend_from_slice(&line[blanks..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (path, expected) in
            [("['a']", "\"x\""), ("['b']", "[\n\t1,\n\t{\n\t\t\"c\": 2\n\t}\n]\n"), ("['b'][0]", "1")]
        {
            let text = "{\"a\":\"\\\"x\\\"\",\"b\":[1,{\"c\":2}]}";
            assert_eq!(extracted(text, Format::Json, path), expected, "{path}");
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
