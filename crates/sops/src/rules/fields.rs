//! The fields of a mapping in the configuration, merge keys included.
//!
//! Types are what they should be; under the name `sops` they are what Go's decoder takes for it: a number where a text belongs, `yes`
//! where a boolean does.

use bulla_doc::{Kind, Node, Position, Step, Value};

use super::{RulesError, UnknownKeys, content};

/// The fields of one mapping. Those that stand there count before those that are merged in.
#[derive(Debug)]
pub(super) struct Fields<'d> {
    mapping: Node<'d>,
    entries: Vec<(&'d str, Node<'d>)>,
    unknown: UnknownKeys,
}

impl<'d> Fields<'d> {
    /// Those of `mapping`; none if it is something else.
    pub(super) fn new(mapping: Node<'d>, unknown: UnknownKeys) -> Self {
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
        Self { mapping, entries, unknown }
    }

    pub(super) fn position(&self) -> Position {
        self.mapping.position()
    }

    /// Where the field `name` is; where the mapping is, if it is not there.
    pub(super) fn position_of(&self, name: &str) -> Position {
        self.get(name).map_or_else(|| self.position(), Node::position)
    }

    pub(super) fn get(&self, name: &str) -> Option<Node<'d>> {
        self.entries.iter().find(|(key, _)| *key == name).map(|(_, node)| *node)
    }

    /// Refuses keys that are not among `known`, unless they are to be passed over.
    pub(super) fn check(&self, known: &'static [&'static str]) -> Result<(), RulesError> {
        self.refuse_unknown(known, |_| false)
    }

    /// As [`Fields::check`], but for keys that are there to hold anchors.
    pub(super) fn check_top(&self, known: &'static [&'static str]) -> Result<(), RulesError> {
        self.refuse_unknown(known, holds_anchors)
    }

    fn refuse_unknown(&self, known: &'static [&'static str], allow: fn(Node<'d>) -> bool) -> Result<(), RulesError> {
        if self.unknown == UnknownKeys::Ignore {
            return Ok(());
        }
        match self.entries.iter().find(|(key, node)| !known.contains(key) && !allow(*node)) {
            Some((key, node)) => {
                Err(RulesError::UnknownKey { key: (*key).to_owned(), known, position: node.position() })
            }
            None => Ok(()),
        }
    }

    /// A text, empty if there is none.
    pub(super) fn text(&self, name: &'static str) -> Result<String, RulesError> {
        match self.present(name) {
            None => Ok(String::new()),
            Some(node) => self.text_of(node).ok_or_else(|| expected(name, "a text, in quotes if need be", node)),
        }
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, RulesError> {
        let Some(node) = self.present(name) else { return Ok(false) };
        let flag = match (scalar(node), self.unknown) {
            (Some(Value::Bool(flag)), _) => Some(flag),
            (Some(Value::String(text)), UnknownKeys::Ignore) => match &*text {
                b"y" | b"Y" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON" => Some(true),
                b"n" | b"N" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.ok_or_else(|| expected(name, "`true` or `false`", node))
    }

    pub(super) fn number(&self, name: &'static str) -> Result<Option<i64>, RulesError> {
        let Some(node) = self.present(name) else { return Ok(None) };
        let number = match (scalar(node), self.unknown) {
            (Some(Value::Int(number)), _) => Some(number),
            #[expect(clippy::cast_possible_truncation, reason = "a fraction is dropped, as by Go's decoder")]
            (Some(Value::Float(number)), UnknownKeys::Ignore) if number.abs() < 1e15 => Some(number as i64),
            _ => None,
        };
        number.map(Some).ok_or_else(|| expected(name, "a number", node))
    }

    /// A mapping; `None` if there is none.
    pub(super) fn mapping(&self, name: &'static str, expectation: &'static str) -> Result<Option<Self>, RulesError> {
        match self.present(name) {
            None => Ok(None),
            Some(node) if node.kind() == Kind::Mapping => Ok(Some(Self::new(node, self.unknown))),
            Some(node) => Err(expected(name, expectation, node)),
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
        // To Go, null is a mapping without entries.
        let is_null = |item: Node<'_>| self.unknown == UnknownKeys::Ignore && scalar(item) == Some(Value::Null);
        match content(node).find(|item| item.kind() != Kind::Mapping && !is_null(*item)) {
            Some(item) => Err(expected(name, expectation, item)),
            None => Ok(Some(content(node).collect())),
        }
    }

    /// Names in a text, separated by commas, or in a list of such texts; each with its place.
    pub(super) fn names(&self, name: &'static str) -> Result<Vec<(String, Position)>, RulesError> {
        const EXPECTATION: &str = "a text with names separated by commas, or a list of names";
        let Some(node) = self.present(name) else { return Ok(Vec::new()) };
        let texts = match node.kind() {
            Kind::Sequence => content(node).collect(),
            _ => vec![node],
        };
        let mut names = Vec::new();
        for node in texts {
            let text = node.as_str().ok_or_else(|| expected(name, EXPECTATION, node))?;
            names.extend(split(text).map(|name| (name, node.position())));
        }
        Ok(names)
    }

    /// The texts of a list, each with its place.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<(String, Position)>, RulesError> {
        const EXPECTATION: &str = "a list of names";
        let Some(node) = self.present(name) else { return Ok(Vec::new()) };
        if node.kind() != Kind::Sequence {
            return Err(expected(name, EXPECTATION, node));
        }
        let text = |item| self.text_of(item).map(|text| (text, item.position()));
        content(node).map(|item| text(item).ok_or_else(|| expected(name, EXPECTATION, item))).collect()
    }

    /// Texts by name, sorted; none if there is no such mapping.
    pub(super) fn pairs(&self, name: &'static str) -> Result<Vec<(String, String)>, RulesError> {
        const EXPECTATION: &str = "a mapping of names to texts (in quotes if need be)";
        let Some(node) = self.present(name) else { return Ok(Vec::new()) };
        if node.kind() != Kind::Mapping {
            return Err(expected(name, EXPECTATION, node));
        }
        let mut pairs = Vec::new();
        for entry in content(node) {
            let text = self.text_of(entry).ok_or_else(|| expected(name, EXPECTATION, entry))?;
            pairs.push((entry.key().unwrap_or_default().to_owned(), text));
        }
        pairs.sort();
        Ok(pairs)
    }

    /// The field, if it is there and not null.
    pub(super) fn present(&self, name: &str) -> Option<Node<'d>> {
        self.get(name).filter(|node| scalar(*node) != Some(Value::Null))
    }

    /// The text that a scalar is; to Go, whatever its type.
    fn text_of(&self, node: Node<'_>) -> Option<String> {
        match (node.as_str(), self.unknown) {
            (Some(text), _) => Some(text.to_owned()),
            (None, UnknownKeys::Ignore) if node.kind() == Kind::Scalar => Some(node.spelling().into_owned()),
            _ => None,
        }
    }
}

/// The names in a text, without blanks around them and without those that are empty.
pub(super) fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
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

fn expected(key: &'static str, expected: &'static str, node: Node<'_>) -> RulesError {
    RulesError::Expected { key, expected, position: node.position() }
}
