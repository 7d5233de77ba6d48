//! A view of YAML by keys: aliases and merge keys are followed, and every node knows the way to it.
//!
//! `bulla_yaml` is read directly and not through `bulla_doc`: what SOPS cannot hold (a list at the top, keys that are no
//! strings, a key twice) is no reason not to look at a file. JSON is read as the YAML that it is.
//! Invariant: time is bounded however aliases are nested.

use bulla_sops::{KeyPath, PathStep};
use bulla_yaml::{Kind, Node, Resolved, Stream};

/// One step of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'s> {
    Key(&'s str),
    Index(usize),
}

/// A node, and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Place<'s> {
    /// What it is; of an alias, what that stands for.
    pub(crate) node: Node<'s>,
    /// Which document of the stream.
    pub(crate) branch: usize,
    pub(crate) steps: Vec<Step<'s>>,
}

/// How many entries one mapping may have, those merged into it among them.
const MOST_ENTRIES: usize = 10_000;
/// How deep merge keys may be nested.
const MERGE_DEPTH: usize = 8;

impl<'s> Place<'s> {
    /// The tops of all documents.
    pub(crate) fn tops(stream: &'s Stream) -> Vec<Self> {
        let top = |(branch, document): (usize, bulla_yaml::Document<'s>)| Self {
            node: document.root().target(),
            branch,
            steps: Vec::new(),
        };
        stream.documents().enumerate().map(top).collect()
    }

    fn inner(&self, step: Step<'s>, node: Node<'s>) -> Self {
        let mut steps = Vec::with_capacity(self.steps.len() + 4);
        steps.extend_from_slice(&self.steps);
        steps.push(step);
        Self { node: node.target(), branch: self.branch, steps }
    }

    pub(crate) fn is_mapping(&self) -> bool {
        self.node.kind() == Kind::Mapping
    }

    /// The entry `key`.
    pub(crate) fn get(&self, key: &'s str) -> Option<Self> {
        get(self.node, key).map(|node| self.inner(Step::Key(key), node))
    }

    /// What lies below, by keys.
    pub(crate) fn at(&self, keys: &[&'s str]) -> Option<Self> {
        let mut place = self.clone();
        for key in keys {
            place = place.get(key)?;
        }
        Some(place)
    }

    /// The text of the entry `key`, if it is a scalar.
    pub(crate) fn text_of(&self, key: &str) -> Option<&'s str> {
        get(self.node, key).and_then(text)
    }

    /// All entries, with what is merged into them.
    pub(crate) fn fields(&self) -> Vec<(&'s str, Self)> {
        let mut found: Vec<(&'s str, Node<'s>)> = Vec::new();
        let mut merged = vec![(self.node, 0)];
        while let Some((mapping, depth)) = merged.pop() {
            for (key, value) in pairs(mapping) {
                if found.len() >= MOST_ENTRIES {
                    break;
                }
                if is_merge(key) && depth < MERGE_DEPTH {
                    let value = value.target();
                    match value.kind() {
                        Kind::Mapping => merged.push((value, depth + 1)),
                        Kind::Sequence if merged.len() < MOST_ENTRIES => {
                            // The first of a list counts most, and the last pushed is read first.
                            let mappings: Vec<_> = value.children().map(|item| (item.target(), depth + 1)).collect();
                            merged.extend(mappings.into_iter().rev().filter(|(item, _)| item.kind() == Kind::Mapping));
                        }
                        _ => {}
                    }
                    continue;
                }
                let name = key.target().value();
                if depth == 0 || !found.iter().any(|(known, _)| *known == name) {
                    found.push((name, value));
                }
            }
            if found.len() >= MOST_ENTRIES {
                break;
            }
        }
        found.into_iter().map(|(name, node)| (name, self.inner(Step::Key(name), node))).collect()
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Vec<Self> {
        if self.node.kind() != Kind::Sequence {
            return Vec::new();
        }
        let children = self.node.children().enumerate();
        children.map(|(index, item)| self.inner(Step::Index(index), item)).collect()
    }

    /// The text of a scalar that is not null.
    pub(crate) fn text(&self) -> Option<&'s str> {
        text(self.node)
    }

    /// The last key on the way.
    pub(crate) fn key(&self) -> Option<&'s str> {
        self.steps.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Index(_) => None,
        })
    }

    /// The way, behind that to the text that this is read from.
    pub(crate) fn path(&self, outer: Option<&KeyPath>) -> KeyPath {
        let mut path = outer.cloned().unwrap_or_else(|| KeyPath { branch: self.branch, steps: Vec::new() });
        path.steps.extend(self.steps.iter().map(|step| match step {
            Step::Key(key) => PathStep::Key((*key).to_owned()),
            Step::Index(index) => PathStep::Index(*index),
        }));
        path
    }

    /// Every mapping and scalar below, itself included, in order. What aliases stand for is met at its own place only.
    pub(crate) fn walk(&self, mut visit: impl FnMut(&Place<'s>)) {
        let mut place = self.clone();
        visit(&place);
        let mut open = vec![Frame::new(place.node)];
        while let Some(frame) = open.last_mut() {
            let Some((step, node)) = frame.next() else {
                open.pop();
                if !open.is_empty() {
                    place.steps.pop();
                }
                continue;
            };
            place.steps.push(step);
            place.node = node;
            if node.kind() != Kind::Alias {
                visit(&place);
            }
            if matches!(node.kind(), Kind::Mapping | Kind::Sequence) {
                open.push(Frame::new(node));
            } else {
                place.steps.pop();
            }
        }
    }

    /// What `path` leads to in this document.
    pub(crate) fn find(&self, path: &KeyPath) -> Option<Node<'s>> {
        let mut node = self.node;
        for step in &path.steps {
            node = match step {
                PathStep::Key(key) => get(node, key)?.target(),
                PathStep::Index(index) => node.children().nth(*index)?.target(),
            };
        }
        Some(node)
    }
}

/// A container that a walk is in.
struct Frame<'s> {
    children: bulla_yaml::Children<'s>,
    is_mapping: bool,
    index: usize,
}

impl<'s> Frame<'s> {
    fn new(node: Node<'s>) -> Self {
        Self { children: node.children(), is_mapping: node.kind() == Kind::Mapping, index: 0 }
    }

    fn next(&mut self) -> Option<(Step<'s>, Node<'s>)> {
        let child = self.children.next()?;
        if self.is_mapping {
            return Some((Step::Key(child.target().value()), self.children.next()?));
        }
        self.index += 1;
        Some((Step::Index(self.index - 1), child))
    }
}

fn pairs(mapping: Node<'_>) -> impl Iterator<Item = (Node<'_>, Node<'_>)> {
    let is_mapping = mapping.kind() == Kind::Mapping;
    let mut children = mapping.children();
    std::iter::from_fn(move || if is_mapping { Some((children.next()?, children.next()?)) } else { None })
}

fn is_merge(key: Node<'_>) -> bool {
    key.value() == "<<" && key.resolved() == Resolved::Merge
}

/// The entry of a mapping with this key; those merged into it do not count.
pub(crate) fn get<'s>(mapping: Node<'s>, name: &str) -> Option<Node<'s>> {
    pairs(mapping).find(|(key, _)| key.target().value() == name).map(|(_, value)| value.target())
}

/// The text of a scalar that is not null.
pub(crate) fn text(node: Node<'_>) -> Option<&str> {
    let node = node.target();
    let is_null = node.tag().is_none() && !node.is_string() && node.resolved() == Resolved::Null;
    (node.kind() == Kind::Scalar && !is_null).then(|| node.value())
}
