//! What SOPS' MAC leaves out of a file: the selector, keys, structure, nulls, types, where one value ends and the next begins, comments.
//!
//! ```text
//! walk ─ in document order, `sops` left out ─┬─ { [ } with keys, null, type and length of each value ─┐
//!                                            └─ each encrypted comment: its place, its text           ├─ Outline ─ nonce of the MAC
//! ```
//! Comments that the rule leaves plain are for anybody to change, as under SOPS. With `mac_only_encrypted`, so is all that is not encrypted:
//! type and length of encrypted values only, and encrypted comments without a place. Integers and floats are one type, as SOPS prints the float `1.0` as `1`. Comments in what an alias stands for
//! do not count: they are lost when it is written out.

use bulla_crypto::ValueKind;
use bulla_crypto::outline::{Outline, OutlineDigest};
use bulla_doc::{Document, Format, Kind, Node, NodeId, Step, Value};

use crate::selector::Selector;
use crate::walk::{Leaf, Role};

/// Outlines a document whose leaves are named one by one, in their order.
pub(crate) struct Outliner<'d> {
    /// `None` where only what is encrypted counts.
    steps: Option<Steps<'d>>,
    outline: Outline,
    /// How many values, nulls and borders of containers there were.
    values: u64,
}

impl<'d> Outliner<'d> {
    pub(crate) fn new(document: &'d Document, selector: &Selector, only_encrypted: bool) -> Self {
        let steps = (!only_encrypted).then(|| Steps::new(document));
        let mut outliner = Self { steps, outline: Outline::new(), values: 0 };
        outliner.add_text(selector.kind().as_str());
        outliner.add_text(selector.text());
        outliner
    }

    /// Adds the next leaf of the plan, a value whose text has this length.
    pub(crate) fn value(&mut self, leaf: &Leaf<'d>, kind: ValueKind, length: usize) {
        if self.advance_to(leaf) {
            self.add(kind_of(kind), leaf.node.key(), Some(length));
        }
    }

    /// Adds the next leaf of the plan, a comment.
    pub(crate) fn comment(&mut self, leaf: &Leaf<'d>, text: &[u8]) {
        if !self.advance_to(leaf) || !leaf.encrypted || (leaf.role == Role::Comment && leaf.node.is_expanded()) {
            return;
        }
        self.outline.add_comment(&self.values.to_le_bytes());
        self.outline.add_comment(&(text.len() as u64).to_le_bytes());
        self.outline.add_comment(text);
    }

    /// Adds the line breaks at the very end of the file, behind the metadata, if they are part of the last of these leaves once the metadata is
    /// gone: a plain block scalar. An encrypted one has its own.
    ///
    /// A file that has no metadata yet will end in one line break.
    pub(crate) fn end(&mut self, document: &Document, leaves: &[Leaf<'_>], has_metadata: bool) {
        let last = leaves.iter().rfind(|leaf| leaf.role == Role::Value).filter(|leaf| !leaf.encrypted);
        let Some(last) = last.filter(|_| self.steps.is_some() && document.format() == Format::Yaml) else { return };
        let spelling = last.node.spelling();
        if !spelling.starts_with(['|', '>']) {
            return;
        }
        let ends = document.text().bytes().rev().take_while(|byte| matches!(byte, b'\n' | b'\r'));
        self.advance(None);
        let breaks = if has_metadata { ends.filter(|byte| *byte == b'\n').count() as u64 } else { 1 };
        let keeps = spelling.lines().next().is_some_and(|header| header.contains('+'));
        self.outline.add_value(b".");
        self.outline.add_value(&(if keeps { breaks } else { breaks.min(1) }).to_le_bytes());
    }

    /// Adds what stands behind the last leaf.
    pub(crate) fn finish(mut self) -> OutlineDigest {
        self.advance(None);
        self.outline.finish()
    }

    /// Adds everything before `leaf`; does it count itself?
    fn advance_to(&mut self, leaf: &Leaf<'d>) -> bool {
        if self.steps.is_none() {
            return leaf.encrypted;
        }
        self.advance(Some(leaf.node.id()));
        true
    }

    /// Adds everything up to the leaf `end`, which is passed.
    fn advance(&mut self, end: Option<NodeId>) {
        while let Some(step) = self.steps.as_mut().and_then(Steps::next) {
            match step {
                Step::Leaf(node) | Step::Comment(node) if Some(node.id()) == end => return,
                Step::Enter(node) => {
                    let sign = if node.kind() == Kind::Sequence { b'[' } else { b'{' };
                    self.add(sign, node.key(), None);
                }
                Step::Leave(_) => self.add(b'}', None, None),
                Step::Leaf(node) if node.value() == Value::Null => self.add(b'0', node.key(), None),
                // Every other leaf is one of the plan's.
                Step::Leaf(_) | Step::Comment(_) => {}
            }
        }
    }

    fn add(&mut self, sign: u8, key: Option<&str>, length: Option<usize>) {
        if self.steps.is_some() {
            self.values += 1;
        }
        self.outline.add_value(&[sign, u8::from(key.is_some())]);
        if let Some(key) = key {
            self.add_text(key);
        }
        if let Some(length) = length {
            self.outline.add_value(&(length as u64).to_le_bytes());
        }
    }

    fn add_text(&mut self, text: &str) {
        self.outline.add_value(&(text.len() as u64).to_le_bytes());
        self.outline.add_value(text.as_bytes());
    }
}

fn kind_of(kind: ValueKind) -> u8 {
    match kind {
        ValueKind::Str | ValueKind::Bytes => b's',
        ValueKind::Int | ValueKind::Float => b'n',
        ValueKind::Bool => b'b',
        ValueKind::Time => b't',
        ValueKind::Comment => b'#',
    }
}

/// All steps of a document but those of its metadata.
struct Steps<'d> {
    branches: Vec<Node<'d>>,
    walk: Option<bulla_doc::Walk<'d>>,
    depth: usize,
    metadata_key: &'static str,
}

impl<'d> Steps<'d> {
    fn new(document: &'d Document) -> Self {
        let mut branches: Vec<_> = document.branches().collect();
        branches.reverse();
        Self { branches, walk: None, depth: 0, metadata_key: document.format().metadata_key() }
    }

    fn next(&mut self) -> Option<Step<'d>> {
        loop {
            let Some(step) = self.walk.as_mut().and_then(Iterator::next) else {
                self.walk = Some(self.branches.pop()?.walk());
                continue;
            };
            let is_metadata = |node: Node<'d>| self.depth == 1 && node.key() == Some(self.metadata_key);
            match step {
                Step::Enter(node) if is_metadata(node) => self.pass_container(),
                Step::Leaf(node) if is_metadata(node) => {}
                Step::Enter(_) => {
                    self.depth += 1;
                    return Some(step);
                }
                Step::Leave(_) => {
                    self.depth -= 1;
                    return Some(step);
                }
                Step::Leaf(_) | Step::Comment(_) => return Some(step),
            }
        }
    }

    /// Goes on behind the container that was just entered.
    fn pass_container(&mut self) {
        let mut open = 1_usize;
        for step in self.walk.iter_mut().flatten() {
            match step {
                Step::Enter(_) => open += 1,
                Step::Leave(_) => open -= 1,
                Step::Leaf(_) | Step::Comment(_) => {}
            }
            if open == 0 {
                return;
            }
        }
    }
}
