//! Where something is in a document: `["db"]["hosts"][0]`, the path grammar of SOPS' command line.
//!
//! Keys stand in double or single quotes, without escapes; numbers count the items of a list from 0. Comments are no items: SOPS
//! counts them in `--extract` and `set`, so that an index changes when a comment is written. The encrypted items that SOPS makes of
//! comments of a list are none either.

use std::fmt;
use std::str::FromStr;

use bulla_doc::{Document, Kind, Node, Position};

use crate::walk::TYPED_COMMENT_ITEMS;

/// A path from the top of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyPath {
    /// Which document of the file, from 0.
    pub branch: usize,
    /// From the outermost to the innermost.
    pub steps: Vec<PathStep>,
}

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathStep {
    /// Into an entry of a mapping.
    Key(String),
    /// Into an item of a list, counted without comments.
    Index(usize),
}

impl KeyPath {
    /// The way to `node`; of a comment, to what it lies in.
    pub fn of(node: Node<'_>, document: &Document) -> Self {
        let mut steps = Vec::new();
        let mut inner = node;
        while let Some(outer) = inner.parent() {
            if let Some(key) = inner.key() {
                steps.push(PathStep::Key(key.to_owned()));
            } else if inner.kind() != Kind::Comment {
                let items = outer.children().filter(|item| is_item(*item));
                steps.push(PathStep::Index(items.take_while(|item| item.id() != inner.id()).count()));
            }
            inner = outer;
        }
        steps.reverse();
        let branch = document.branches().take_while(|branch| branch.id() != inner.id()).count();
        Self { branch, steps }
    }

    /// What the path leads to, or how many steps of it exist.
    pub(crate) fn find<'d>(&self, document: &'d Document) -> Result<Node<'d>, Found<'d>> {
        let Some(mut node) = document.branches().nth(self.branch) else {
            return Err(Found { steps: 0, node: None });
        };
        for (steps, step) in self.steps.iter().enumerate() {
            let next = match step {
                PathStep::Key(key) => node.get(key),
                PathStep::Index(index) if node.kind() == Kind::Sequence => {
                    node.children().filter(|item| is_item(*item)).nth(*index)
                }
                PathStep::Index(_) => None,
            };
            node = next.ok_or(Found { steps, node: Some(node) })?;
        }
        Ok(node)
    }
}

/// Does it count in its list?
pub(crate) fn is_item(node: Node<'_>) -> bool {
    node.kind() != Kind::Comment && !node.as_str().is_some_and(TYPED_COMMENT_ITEMS)
}

/// The part of a path that exists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'d> {
    /// How many steps.
    pub(crate) steps: usize,
    /// What they lead to; `None` if there is no such document.
    pub(crate) node: Option<Node<'d>>,
}

/// As it is written on the command line; the number of the document goes before it if it is not the first.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.branch > 0 {
            write!(f, "document {}: ", self.branch + 1)?;
        }
        for step in &self.steps {
            match step {
                PathStep::Key(key) if key.contains('"') && !key.contains('\'') => write!(f, "['{key}']")?,
                PathStep::Key(key) => write!(f, "[\"{key}\"]")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        if self.steps.is_empty() {
            f.write_str("the top")?;
        }
        Ok(())
    }
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {offset} of the path: expected {expected}; a path looks like `[\"db\"][\"hosts\"][0]`")]
pub struct PathError {
    /// Counted from 1.
    pub offset: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl FromStr for KeyPath {
    type Err = PathError;

    /// Reads a path in the first document. A key may hold any character but its own closing (`"]`).
    fn from_str(text: &str) -> Result<Self, PathError> {
        let error =
            |rest: &str, expected| PathError { offset: text[..text.len() - rest.len()].chars().count() + 1, expected };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let inside = rest.strip_prefix('[').ok_or_else(|| error(rest, "`[`"))?;
            let (step, after) = match inside.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let close = if quote == '"' { "\"]" } else { "']" };
                    let key = &inside[1..];
                    let end = key.find(close).ok_or_else(|| error(key, "the key's closing quote and `]`"))?;
                    (PathStep::Key(key[..end].to_owned()), &key[end + close.len()..])
                }
                _ => {
                    let end = inside.find(']').ok_or_else(|| error(inside, "a quoted key or a number, and `]`"))?;
                    let index = inside[..end].parse().map_err(|_| error(inside, "a quoted key, or a number from 0"))?;
                    (PathStep::Index(index), &inside[end + 1..])
                }
            };
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            return Err(error("", "at least one step"));
        }
        Ok(Self { branch: 0, steps })
    }
}

/// How many places are named where there may be many. Finding each takes time linear in the file.
pub(crate) const MOST_PLACES: usize = 100;

/// A place in a file, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The way there.
    pub path: KeyPath,
    /// Line and column.
    pub position: Position,
}

impl Place {
    /// The place of `node`. Takes time linear in it.
    pub fn of(node: Node<'_>, document: &Document) -> Self {
        Self { path: KeyPath::of(node, document), position: node.position() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.path, self.position)
    }
}

#[cfg(test)]
mod tests {
    use bulla_doc::Format;

    use super::*;

    fn key(key: &str) -> PathStep {
        PathStep::Key(key.to_owned())
    }

    #[test]
    fn paths_are_read_as_sops_reads_them() {
        for (text, expected) in [
            (r#"["a"]"#, vec![key("a")]),
            (r#"["a"]['b'][3]"#, vec![key("a"), key("b"), PathStep::Index(3)]),
            (r#"["a\"b"]"#, vec![key("a\\\"b")]),
            (r#"['"']"#, vec![key("\"")]),
            (r#"["a[0]"]"#, vec![key("a[0]")]),
            (r#"[""]"#, vec![key("")]),
        ] {
            assert_eq!(text.parse::<KeyPath>().unwrap().steps, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_the_place() {
        for (text, offset) in
            [("", 1), ("a", 1), ("[a]", 2), ("[-1]", 2), ("[", 2), ("[]", 2), (r#"["a"#, 3), (r#"["ä"]x"#, 6)]
        {
            assert_eq!(text.parse::<KeyPath>().unwrap_err().offset, offset, "{text}");
        }
    }

    #[test]
    fn every_node_is_found_by_its_own_path() {
        let text = b"a:\n    # c\n    - 1\n    # d\n    - b: x\n---\nk'\": 2\n";
        let document = Document::parse(text, Format::Yaml).unwrap();
        let mut seen = Vec::new();
        for node in document.branches().flat_map(Node::walk).filter_map(|step| match step {
            bulla_doc::Step::Enter(node) | bulla_doc::Step::Leaf(node) => Some(node),
            _ => None,
        }) {
            let path = KeyPath::of(node, &document);
            assert_eq!(path.find(&document).unwrap().id(), node.id());
            seen.push(path.to_string());
        }
        assert_eq!(
            seen,
            [
                "the top",
                r#"["a"]"#,
                r#"["a"][0]"#,
                r#"["a"][1]"#,
                r#"["a"][1]["b"]"#,
                "document 2: the top",
                r#"document 2: ["k'""]"#
            ]
        );
    }
}
