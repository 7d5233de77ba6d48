//! The fields of a mapping in the configuration, merge keys included.

use bulla_doc::{Kind, Node, Position, Step, Value};

use super::{RulesError, content};

/// The fields of one mapping. Those that stand there count before those that are merged in.
#[derive(Debug)]
pub(super) struct Fields<'d> {
    mapping: Node<'d>,
    entries: Vec<(&'d str, Node<'d>)>,
}

impl<'d> Fields<'d> {
    /// Those of `mapping`; none if it is something else.
    pub(super) fn new(mapping: Node<'d>) -> Self {
        let mut entries: Vec<(&'d str, Node<'d>)> = Vec::new();
        // The last is the next.
        let mut mappings = vec![mapping];
        while let Some(mapping) = mappings.pop() {
            let mut merged = Vec::new();
            for entry in content(mapping) {
                match (entry.key(), entry.kind()) {
                    (Some("<<"), Kind::Mapping) => merged.push(entry),
                    (Some("<<"), Kind::Sequence) => merged.extend(content(entry)),
                    (Some(key), _) if !entries.iter().any(|(known, _)| *known == key) => entries.push((key, entry)),
                    _ => {}
                }
            }
            mappings.extend(merged.into_iter().rev());
        }
        Self { mapping, entries }
    }

    pub(super) fn position(&self) -> Position {
        self.mapping.position()
    }

    pub(super) fn get(&self, name: &str) -> Option<Node<'d>> {
        self.entries.iter().find(|(key, _)| *key == name).map(|(_, node)| *node)
    }

    /// Refuses keys that are not among `known`.
    pub(super) fn check(&self, known: &'static [&'static str]) -> Result<(), RulesError> {
        self.refuse_unknown(known, |_| false)
    }

    /// As [`Fields::check`], but for keys that are there to hold anchors.
    pub(super) fn check_top(&self, known: &'static [&'static str]) -> Result<(), RulesError> {
        self.refuse_unknown(known, holds_anchors)
    }

    fn refuse_unknown(&self, known: &'static [&'static str], allow: fn(Node<'d>) -> bool) -> Result<(), RulesError> {
        match self.entries.iter().find(|(key, node)| !known.contains(key) && !allow(*node)) {
            Some((key, node)) => {
                Err(RulesError::UnknownKey { key: (*key).to_owned(), known, position: node.position() })
            }
            None => Ok(()),
        }
    }

    /// A text; null is none.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'d str>, RulesError> {
        match self.present(name) {
            None => Ok(None),
            Some(node) => text_of(node).map(Some).ok_or_else(|| expected(name, "a text, in quotes if need be", node)),
        }
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, RulesError> {
        match self.present(name).map(|node| (node, scalar(node))) {
            None => Ok(false),
            Some((_, Some(Value::Bool(flag)))) => Ok(flag),
            Some((node, _)) => Err(expected(name, "`true` or `false`", node)),
        }
    }

    pub(super) fn number(&self, name: &'static str) -> Result<i64, RulesError> {
        match self.present(name).map(|node| (node, scalar(node))) {
            None => Ok(0),
            Some((_, Some(Value::Int(number)))) => Ok(number),
            Some((node, _)) => Err(expected(name, "a number", node)),
        }
    }

    /// The mappings of a list; `None` if there is none.
    pub(super) fn list(
        &self,
        name: &'static str,
        expectation: &'static str,
    ) -> Result<Option<Vec<Node<'d>>>, RulesError> {
        let Some(node) = self.present(name) else { return Ok(None) };
        if node.kind() != Kind::Sequence {
            return Err(expected(name, expectation, node));
        }
        match content(node).find(|item| item.kind() != Kind::Mapping) {
            Some(item) => Err(expected(name, expectation, item)),
            None => Ok(Some(content(node).collect())),
        }
    }

    /// Names in a text, separated by commas, or in a list of such texts.
    pub(super) fn names(&self, name: &'static str) -> Result<Vec<String>, RulesError> {
        const EXPECTATION: &str = "a text with names separated by commas, or a list of names";
        let Some(node) = self.present(name) else { return Ok(Vec::new()) };
        let texts = match node.kind() {
            Kind::Sequence => content(node).collect(),
            _ => vec![node],
        };
        let mut names = Vec::new();
        for node in texts {
            let text = text_of(node).ok_or_else(|| expected(name, EXPECTATION, node))?;
            names.extend(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
        }
        Ok(names)
    }

    /// Texts by name, sorted; none if there is no such mapping.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<(String, String)>, RulesError> {
        const EXPECTATION: &str = "a mapping of names to texts (in quotes if need be)";
        let Some(node) = self.present(name) else { return Ok(Vec::new()) };
        if node.kind() != Kind::Mapping {
            return Err(expected(name, EXPECTATION, node));
        }
        let mut texts = Vec::new();
        for entry in content(node) {
            let text = text_of(entry).ok_or_else(|| expected(name, EXPECTATION, entry))?;
            texts.push((entry.key().unwrap_or_default().to_owned(), text.to_owned()));
        }
        texts.sort();
        Ok(texts)
    }

    /// The field, if it is there and not null.
    fn present(&self, name: &str) -> Option<Node<'d>> {
        self.get(name).filter(|node| scalar(*node) != Some(Value::Null))
    }
}

/// Is there nothing in this list, mapping or text?
pub(super) fn is_empty(node: Node<'_>) -> bool {
    match scalar(node) {
        None => content(node).next().is_none(),
        Some(value) => value == Value::Null || value == Value::text(""),
    }
}

fn holds_anchors(node: Node<'_>) -> bool {
    node.walk().any(|step| match step {
        Step::Enter(node) | Step::Leaf(node) => node.is_anchored(),
        Step::Leave(_) | Step::Comment(_) => false,
    })
}

fn scalar(node: Node<'_>) -> Option<Value<'_>> {
    (node.kind() == Kind::Scalar).then(|| node.value())
}

fn text_of(node: Node<'_>) -> Option<&str> {
    node.as_str()
}

fn expected(key: &'static str, expected: &'static str, node: Node<'_>) -> RulesError {
    RulesError::Expected { key, expected, position: node.position() }
}
