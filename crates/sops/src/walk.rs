//! The one walk over a document that decides everything: which values there are, in which order they are hashed, under which path
//! each is authenticated, and whether it is encrypted. Encrypting, decrypting and reporting all go by its result, a [`Plan`].
//!
//! ```text
//! document ─ walk, top-level `sops` left out ─ Plan: leaves in order ─┬─ encrypt
//!                                              each: path, encrypted?   ├─ decrypt
//!                                                                       └─ status
//! ```
//! The path is the keys from the top, each closed by `:`; an index adds nothing, and a comment has the path of its container, `:` at
//! the top. Source: sops 3.13.3 `sops.go` (`walkBranch`, `walkSlice`, `Encrypt`).
//!
//! In an encrypted list SOPS leaves comments as items `- ENC[…,type:comment]`. They are comments here, where SOPS itself takes them for
//! values that end the reach of the comments before them (getsops/sops#2281).

use std::collections::HashMap;
use std::ops::Range;

use bulla_crypto::EncryptedValue;
use bulla_doc::{Document, Kind, Node, NodeId, Step, Value};

use crate::binary;
use crate::path::Place;
use crate::selector::{Level, Matcher, Selector, SelectorKind};

/// Longest sum of the paths of all containers in bytes: what a document that nests thousands of levels may cost.
const LONGEST_PATHS: usize = 1 << 28;

/// A document takes more than it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooMuch {
    /// Memory for its paths.
    #[error("the document nests so deeply that its paths take more than 256 MiB")]
    Paths,
    /// Time to see which of its keys or comments the rule for what is encrypted matches.
    #[error(
        "`{kind}` is no expression that can be searched for in this document: it takes too much work. It was given up at {place}"
    )]
    Matching {
        /// Which rule.
        kind: SelectorKind,
        /// Up to where it was applied.
        place: Place,
    },
}

/// Tells whether an item of a list, text that would be encrypted, is in truth a comment.
pub(crate) type IsCommentItem<'i> = &'i (dyn Fn(&str) -> bool + Sync);

/// In a document that is not encrypted, no item is a comment.
pub(crate) const NO_COMMENT_ITEMS: IsCommentItem<'static> = &|_| false;

/// In an encrypted document, an item is a comment if its type says so.
pub(crate) const TYPED_COMMENT_ITEMS: IsCommentItem<'static> =
    &|text| EncryptedValue::parse(text).is_some_and(|value| value.type_name == "comment");

/// What a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A value that is not null.
    Value,
    /// A line of a comment.
    Comment,
    /// An item of an encrypted list that was a comment.
    CommentItem,
}

/// A value or comment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf<'d> {
    pub(crate) node: Node<'d>,
    /// The container's path in [`Plan::paths`].
    container: (u32, u32),
    pub(crate) role: Role,
    pub(crate) encrypted: bool,
}

impl<'d> Leaf<'d> {
    /// The text of a comment, or of a value that is a string, as it is parsed when it is encrypted: without the line breaks that a block
    /// scalar puts behind it, and behind which SOPS does not look.
    pub(crate) fn text(&self) -> Option<&'d str> {
        match self.role {
            Role::Comment => Some(self.node.comment()),
            Role::Value | Role::CommentItem => self.node.as_str().map(|text| text.trim_end_matches('\n')),
        }
    }
}

/// An alias in the document's own text.
#[derive(Debug)]
pub(crate) struct Alias<'d> {
    pub(crate) node: Node<'d>,
    /// Its copies of leaves.
    pub(crate) leaves: Range<usize>,
    /// The leaves that they are copies of, if they could be found.
    pub(crate) target: Option<Range<usize>>,
}

/// All leaves of a document in order.
#[derive(Debug)]
pub(crate) struct Plan<'d> {
    pub(crate) leaves: Vec<Leaf<'d>>,
    pub(crate) aliases: Vec<Alias<'d>>,
    paths: Vec<u8>,
    /// The value that loses its last line break.
    cut: Option<NodeId>,
    /// The value of a binary file, for which a text stands in the document.
    binary: Option<(NodeId, &'d [u8])>,
}

impl<'d> Plan<'d> {
    /// Walks `document`.
    pub(crate) fn new(
        document: &'d Document,
        selector: &Selector,
        is_comment_item: IsCommentItem<'_>,
    ) -> Result<Self, TooMuch> {
        let mut walk = Walk {
            plan: Plan { leaves: Vec::new(), aliases: Vec::new(), paths: Vec::new(), cut: None, binary: None },
            document,
            matcher: selector.matcher(),
            metadata_key: document.format().metadata_key(),
            is_comment_item,
            frames: Vec::new(),
            anchored: HashMap::new(),
        };
        for branch in document.branches() {
            walk.branch(branch)?;
        }
        Ok(walk.plan)
    }

    /// Appends the additional data of `leaf` to the empty `path`.
    pub(crate) fn path_of(&self, leaf: &Leaf<'d>, path: &mut Vec<u8>) {
        path.clear();
        path.extend_from_slice(&self.paths[leaf.container.0 as usize..leaf.container.1 as usize]);
        if leaf.role == Role::Value
            && let Some(key) = leaf.node.key()
        {
            path.extend_from_slice(key.as_bytes());
            path.push(b':');
        } else if path.is_empty() {
            path.push(b':');
        }
    }

    /// From now on, the last value is what it would be without the line break that the metadata behind it brought, if it is encrypted.
    pub(crate) fn cut_last_break(&mut self) {
        let last = self.leaves.iter().rfind(|leaf| leaf.role == Role::Value);
        let is_text = |leaf: &&Leaf<'d>| leaf.encrypted && leaf.node.as_str().is_some_and(|text| text.len() > 1);
        self.cut = last.filter(is_text).map(|leaf| leaf.node.id());
    }

    /// From now on, the value of a binary file is `bytes`.
    pub(crate) fn set_binary(&mut self, bytes: &'d [u8]) {
        self.binary = binary::data(self).map(|number| (self.leaves[number].node.id(), bytes));
    }

    /// Is one value another than the document says?
    pub(crate) fn is_binary(&self) -> bool {
        self.binary.is_some()
    }

    /// The value of a leaf.
    pub(crate) fn value(&self, leaf: &Leaf<'d>) -> Value<'d> {
        if let Some((node, bytes)) = self.binary
            && node == leaf.node.id()
        {
            return Value::String(bytes.into());
        }
        match leaf.node.as_str() {
            Some(text) if self.cut == Some(leaf.node.id()) => Value::text(text.strip_suffix('\n').unwrap_or(text)),
            Some(text) => Value::text(text),
            None => leaf.node.value(),
        }
    }

    /// Are there comments?
    pub(crate) fn has_comments(&self) -> bool {
        self.leaves.iter().any(|leaf| leaf.role != Role::Value)
    }

    /// Was anything encrypted in what `alias` stands for, or is anything in its copy?
    pub(crate) fn is_alias_encrypted(&self, alias: &Alias<'d>) -> bool {
        let any = |range: Range<usize>| self.leaves[range].iter().any(|leaf| leaf.encrypted);
        any(alias.leaves.clone()) || alias.target.clone().is_none_or(any)
    }

    /// Are other values encrypted in the copy than in what `alias` stands for?
    pub(crate) fn is_alias_different(&self, alias: &Alias<'d>) -> bool {
        let decisions = |range: Range<usize>| {
            let values = self.leaves[range].iter().filter(|leaf| leaf.role == Role::Value);
            values.map(|leaf| leaf.encrypted)
        };
        match &alias.target {
            Some(target) => !decisions(alias.leaves.clone()).eq(decisions(target.clone())),
            None => true,
        }
    }
}

/// Is the last value of a document, metadata left out, `text` without the line break at its end?
pub(crate) fn lacks_last_break(document: &Document, text: &[u8]) -> bool {
    last_text(document).zip(text.strip_suffix(b"\n")).is_some_and(|(last, text)| last.as_bytes() == text)
}

/// The last value of a document, metadata left out; `None` if it is no text.
pub(crate) fn last_text(document: &Document) -> Option<&str> {
    let key = document.format().metadata_key();
    let is_metadata = |entry: &Node<'_>| entry.key() == Some(key);
    let entries = document.branches().flat_map(|branch| branch.children().filter(move |entry| !is_metadata(entry)));
    let leaves = entries.flat_map(Node::walk).filter_map(|step| match step {
        Step::Leaf(leaf) if leaf.value() != Value::Null => Some(leaf),
        _ => None,
    });
    leaves.last().and_then(Node::as_str)
}

struct Walk<'d, 's> {
    plan: Plan<'d>,
    document: &'d Document,
    matcher: Matcher<'s>,
    metadata_key: &'static str,
    is_comment_item: IsCommentItem<'s>,
    frames: Vec<Frame>,
    /// Leaves of the nodes that aliases stand for.
    anchored: HashMap<NodeId, Range<usize>>,
}

/// A container that the walk is in.
struct Frame {
    path: (u32, u32),
    level: Level,
    kind: Kind,
    first_leaf: usize,
}

impl<'d> Walk<'d, '_> {
    fn branch(&mut self, branch: Node<'d>) -> Result<(), TooMuch> {
        // How deep inside the entry `sops` the walk is.
        let mut skipped = 0_usize;
        for step in branch.walk() {
            match step {
                Step::Enter(_) if skipped > 0 => skipped += 1,
                Step::Leave(_) if skipped > 0 => skipped -= 1,
                _ if skipped > 0 => {}
                Step::Enter(node) if self.is_metadata(node) => skipped = 1,
                Step::Leaf(node) if self.is_metadata(node) => {}
                Step::Enter(node) => self.enter(node)?,
                Step::Leave(node) => self.leave(node),
                Step::Leaf(node) => self.value(node)?,
                Step::Comment(node) => self.comment(node)?,
            }
        }
        Ok(())
    }

    fn is_metadata(&self, node: Node<'d>) -> bool {
        self.frames.len() == 1 && node.key() == Some(self.metadata_key)
    }

    fn enter(&mut self, node: Node<'d>) -> Result<(), TooMuch> {
        let key = node.key();
        let (level, path) = match self.frames.last() {
            None => (Level::default(), (0, 0)),
            Some(outer) => {
                let (start, end) = outer.path;
                let path = match key {
                    None => outer.path,
                    Some(key) => {
                        let paths = &mut self.plan.paths;
                        let first = paths.len();
                        paths.extend_from_within(start as usize..end as usize);
                        paths.extend_from_slice(key.as_bytes());
                        paths.push(b':');
                        if paths.len() > LONGEST_PATHS {
                            return Err(TooMuch::Paths);
                        }
                        (first as u32, paths.len() as u32)
                    }
                };
                let level = outer.level.enter(&mut self.matcher, key);
                (level.map_err(|_| self.too_much(node))?, path)
            }
        };
        let first_leaf = self.plan.leaves.len();
        self.frames.push(Frame { path, level, kind: node.kind(), first_leaf });
        Ok(())
    }

    fn leave(&mut self, node: Node<'d>) {
        let Some(frame) = self.frames.pop() else { return };
        self.pass(node, frame.first_leaf);
    }

    fn value(&mut self, node: Node<'d>) -> Result<(), TooMuch> {
        let first_leaf = self.plan.leaves.len();
        let Some(frame) = self.frames.last() else { return Ok(()) };
        if !node.is_str() && node.value() == Value::Null {
            self.pass(node, first_leaf);
            return Ok(());
        }
        let encrypted = frame.level.selects(&mut self.matcher, node.key()).map_err(|_| self.too_much(node))?;
        let is_comment = encrypted && frame.kind == Kind::Sequence && node.as_str().is_some_and(self.is_comment_item);
        let role = if is_comment { Role::CommentItem } else { Role::Value };
        self.plan.leaves.push(Leaf { node, container: frame.path, role, encrypted });
        if !is_comment {
            self.pass(node, first_leaf);
        }
        Ok(())
    }

    fn comment(&mut self, node: Node<'d>) -> Result<(), TooMuch> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let container = frame.path;
        let encrypted = frame.level.selects_comment(&mut self.matcher, node.comment());
        let encrypted = encrypted.map_err(|_| self.too_much(node))?;
        self.plan.leaves.push(Leaf { node, container, role: Role::Comment, encrypted });
        Ok(())
    }

    fn too_much(&self, node: Node<'d>) -> TooMuch {
        TooMuch::Matching { kind: self.matcher.selector.kind(), place: Place::of(node, self.document) }
    }

    /// Behind an entry or item that is no comment, and whose leaves start with `first_leaf`.
    fn pass(&mut self, node: Node<'d>, first_leaf: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.level.pass();
        }
        if node.is_expanded() {
            return;
        }
        let leaves = first_leaf..self.plan.leaves.len();
        if node.is_alias() {
            let target = node.alias_target().and_then(|target| self.anchored.get(&target)).cloned();
            self.plan.aliases.push(Alias { node, leaves, target });
        } else if node.is_anchored() {
            self.anchored.insert(node.id(), leaves);
        }
    }
}

#[cfg(test)]
mod tests {
    use bulla_doc::Format;

    use super::*;
    use crate::selector::SelectorKind;

    fn plan_of(text: &str, selector: &Selector, items: IsCommentItem<'_>) -> Vec<(String, String, bool)> {
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        let plan = Plan::new(&document, selector, items).unwrap();
        let mut path = Vec::new();
        let leaf = |leaf: &Leaf<'_>| {
            plan.path_of(leaf, &mut path);
            let shown = match leaf.role {
                Role::Value => leaf.node.as_str().unwrap_or("?").to_owned(),
                Role::Comment => format!("#{}", leaf.node.comment()),
                Role::CommentItem => "- #".to_owned(),
            };
            (String::from_utf8(path.clone()).unwrap(), shown, leaf.encrypted)
        };
        plan.leaves.iter().map(leaf).collect()
    }

    fn paths(text: &str) -> Vec<String> {
        plan_of(text, &Selector::default(), NO_COMMENT_ITEMS).into_iter().map(|(path, ..)| path).collect()
    }

    #[test]
    fn additional_data_is_the_keys_each_closed_by_a_colon() {
        for (text, expected) in [
            ("{db: {user: 1}}", vec!["db:user:"]),
            ("{hosts: [{name: 1}]}", vec!["hosts:name:"]),
            ("{l: [a, [b, [c]]]}", vec!["l:", "l:", "l:"]),
            ("{'a:b': {c: 1}, a: {b: {c: 1}}}", vec!["a:b:c:", "a:b:c:"]),
            ("{'': x}", vec![":"]),
            (
                "# t\na: # i\n    # in a\n    b: 1\nl:\n    # in l\n    - x # inline\n",
                vec![":", ":", "a:", "a:b:", "l:", "l:", "l:"],
            ),
            ("{a: null, b: {}, c: []}", vec![]),
            ("{a: {sops: {x: 1}}, sops: {y: 2}, b: 3}", vec!["a:sops:x:", "b:"]),
            ("{sops: 7, b: 3}", vec!["b:"]),
        ] {
            assert_eq!(paths(text), expected, "{text}");
        }
    }

    #[test]
    fn a_comment_before_the_metadata_reaches_what_stands_behind_it() {
        let selector = Selector::new(SelectorKind::EncryptedCommentRegex, "secret").unwrap();
        let plan = plan_of("# secret\nsops:\n    x: 1\nb: v\nc: w\n", &selector, TYPED_COMMENT_ITEMS);
        let shown: Vec<_> = plan.iter().map(|(_, shown, encrypted)| (shown.as_str(), *encrypted)).collect();
        assert_eq!(shown, [("# secret", false), ("v", true), ("w", false)]);
    }

    #[test]
    fn an_encrypted_item_that_was_a_comment_does_not_end_the_reach_of_those_before_it() {
        let selector = Selector::new(SelectorKind::EncryptedCommentRegex, "secret").unwrap();
        let text =
            "l:\n    # secret\n    - ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:comment]\n    - v\n    - w\n";
        let plan = plan_of(text, &selector, TYPED_COMMENT_ITEMS);
        let shown: Vec<_> = plan.iter().map(|(_, shown, encrypted)| (shown.as_str(), *encrypted)).collect();
        assert_eq!(shown, [("# secret", false), ("- #", true), ("v", true), ("w", false)]);
        assert_eq!(
            plan_of(text, &selector, NO_COMMENT_ITEMS)[2].1,
            "v",
            "on the plain side it is a value, and ends the reach"
        );
    }

    #[test]
    fn aliases_know_what_they_stand_for() {
        let text = "a: &a {x: 1}\nb_unencrypted: &b {y: 2}\nc: *a\nd_unencrypted: *b\ne_unencrypted: *a\nf: *b\n";
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        let plan = Plan::new(&document, &Selector::default(), NO_COMMENT_ITEMS).unwrap();
        let shown = |alias: &Alias<'_>| {
            (alias.node.key().unwrap().to_owned(), plan.is_alias_encrypted(alias), plan.is_alias_different(alias))
        };
        let aliases: Vec<_> = plan.aliases.iter().map(shown).collect();
        let expected =
            [("c", true, false), ("d_unencrypted", false, false), ("e_unencrypted", true, true), ("f", true, true)];
        assert_eq!(aliases, expected.map(|(key, encrypted, different)| (key.to_owned(), encrypted, different)));
    }
}
