//! Fields of a mapping, read as SOPS reads its metadata: case does not count in names, and types are weak.

use std::borrow::Cow;

use bulla_doc::{Kind, Node, Value};

use super::MetadataError;

/// What should stand in a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected(&'static str);

impl Expected {
    pub(super) const DATE: Self = Self("a date like `\"2026-01-02T03:04:05Z\"` in quotes");
    pub(super) const VERSION: Self = Self("a version like `3.13.3`");
    const TEXT: Self = Self("a text");
    const FLAG: Self = Self("`true` or `false`");
    const NUMBER: Self = Self("a number from 0");
    const LIST: Self = Self("a list of keys");

    pub(super) fn at(self, field: &'static str, node: Node<'_>) -> MetadataError {
        MetadataError::Field { field, expected: self.0, position: node.position() }
    }
}

/// The fields of one mapping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'d> {
    mapping: Node<'d>,
}

impl<'d> Fields<'d> {
    /// Those of `mapping`; none if it is something else.
    pub(super) fn new(mapping: Node<'d>) -> Self {
        Self { mapping }
    }

    /// The field of this very name, the last one if there are several; else the first one that differs in case only.
    pub(super) fn get(&self, name: &str) -> Option<Node<'d>> {
        let named = |same: fn(&str, &str) -> bool| {
            self.mapping.children().filter(move |entry| entry.key().is_some_and(|key| same(key, name)))
        };
        named(|key, name| key == name).last().or_else(|| named(str::eq_ignore_ascii_case).next())
    }

    /// The error that the field `name`, which is there, holds something else.
    pub(super) fn wrong(&self, name: &'static str, expected: Expected) -> MetadataError {
        expected.at(name, self.get(name).unwrap_or(self.mapping))
    }

    /// A text; numbers are spelt, booleans are `1` and `0`, null is none.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, MetadataError> {
        let Some(node) = self.get(name) else { return Ok(None) };
        text(node).map_err(|()| Expected::TEXT.at(name, node))
    }

    /// A boolean; of a text what Go's `ParseBool` says, a number is true unless it is 0.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, MetadataError> {
        let Some(node) = self.get(name) else { return Ok(false) };
        let wrong = || Expected::FLAG.at(name, node);
        Ok(match scalar(node).ok_or_else(wrong)? {
            Value::Null => false,
            Value::Bool(value) => value,
            Value::Int(value) => value != 0,
            Value::Unsigned(value) => value != 0,
            Value::Float(value) => value != 0.0,
            Value::String(text) => match &*text {
                b"" | b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => false,
                b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => true,
                _ => return Err(wrong()),
            },
            Value::Time(_) => return Err(wrong()),
        })
    }

    /// A number that is not negative; a text may spell it in other bases.
    pub(super) fn number(&self, name: &'static str) -> Result<u64, MetadataError> {
        let Some(node) = self.get(name) else { return Ok(0) };
        let number = match scalar(node) {
            Some(Value::Null) => Some(0),
            Some(Value::Bool(value)) => Some(u64::from(value)),
            Some(Value::Int(value)) => u64::try_from(value).ok(),
            Some(Value::Unsigned(value)) => Some(value),
            #[expect(clippy::cast_sign_loss, reason = "checked: it is not negative")]
            Some(Value::Float(value)) if value >= 0.0 => Some(value as u64),
            Some(Value::String(text)) => parse_number(&text),
            _ => None,
        };
        number.ok_or_else(|| Expected::NUMBER.at(name, node))
    }

    /// The mappings of a list; a mapping that stands by itself counts as a list of one.
    pub(super) fn list(&self, name: &'static str) -> Result<Vec<Node<'d>>, MetadataError> {
        let Some(node) = self.get(name) else { return Ok(Vec::new()) };
        let is_content = |node: &Node<'d>| node.kind() != Kind::Comment;
        let list: Vec<_> = match (node.kind(), scalar(node)) {
            (Kind::Sequence, _) => node.children().filter(is_content).collect(),
            (Kind::Mapping, _) if node.children().any(|child| is_content(&child)) => vec![node],
            (Kind::Mapping, _) | (_, Some(Value::Null)) => Vec::new(),
            (_, Some(Value::String(text))) if text.is_empty() => Vec::new(),
            _ => return Err(Expected::LIST.at(name, node)),
        };
        match list.iter().find(|item| item.kind() != Kind::Mapping) {
            Some(item) => Err(Expected::LIST.at(name, *item)),
            None => Ok(list),
        }
    }
}

/// The text that a scalar is as a weakly typed text; none for null.
pub(super) fn text(node: Node<'_>) -> Result<Option<String>, ()> {
    Ok(Some(match scalar(node).ok_or(())? {
        Value::Null => return Ok(None),
        Value::Bool(value) => if value { "1" } else { "0" }.to_owned(),
        Value::Int(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::String(Cow::Borrowed(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Value::String(Cow::Owned(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::Time(_) => return Err(()),
    }))
}

fn scalar(node: Node<'_>) -> Option<Value<'_>> {
    (node.kind() == Kind::Scalar).then(|| node.value())
}

fn parse_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let lower = text.to_ascii_lowercase();
    match (lower.get(..2), lower.as_bytes()) {
        (_, []) => Some(0),
        (Some("0x"), _) => u64::from_str_radix(&lower[2..], 16).ok(),
        (Some("0o"), _) => u64::from_str_radix(&lower[2..], 8).ok(),
        (Some("0b"), _) => u64::from_str_radix(&lower[2..], 2).ok(),
        (_, [b'0', _, ..]) => u64::from_str_radix(&lower[1..], 8).ok(),
        _ => lower.parse().ok(),
    }
}
