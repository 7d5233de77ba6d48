//! Fields of a JSON object, read one by one, with errors that name the field and never its value.
//!
//! `null` counts as absent, as in Go. [`Fields`] remembers what was asked for: what is left over is something that this program does not
//! know, and whoever reads says so instead of passing over it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Why an object is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It says that it is of another kind, or does not say what it is.
    #[error("not a {kind} of {version}: `{field}` is {}", .found.as_deref().map_or("absent".to_owned(), |found| format!("`{found}`")))]
    Kind {
        /// What it should be.
        kind: &'static str,
        /// In which version.
        version: &'static str,
        /// `kind` or `apiVersion`.
        field: &'static str,
        /// What stands there.
        found: Option<String>,
    },
    /// A field that must be there is not.
    #[error("`{field}` is missing")]
    Missing {
        /// Path of the field.
        field: String,
    },
    /// A field has none of the values that it may have.
    #[error("`{field}`: expected {expected}")]
    Value {
        /// Path of the field.
        field: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A field is of the wrong type.
    #[error("`{field}`: expected {expected}, found {found}")]
    Type {
        /// Path of the field, `spec.encryptedData.password` for example.
        field: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there, by its type.
        found: &'static str,
    },
}

/// One object while it is read.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    path: String,
    object: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which stands at `path`.
    pub(crate) fn new(path: &str, value: &'a Value) -> Result<Self, DecodeError> {
        Ok(Self { path: path.to_owned(), object: object(path, value)?, known: Vec::new() })
    }

    /// The path of a field.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// The names of all fields that are not null.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        self.object.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str()).collect()
    }

    /// A field as it is.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        present(self.object.get(name))
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, DecodeError> {
        let value = self.value(name);
        optional_string(&self.path(name), value)
    }

    /// A string that must be there; an empty one is as good as none.
    pub(crate) fn needed_text(&mut self, name: &'static str) -> Result<String, DecodeError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| DecodeError::Missing { field: self.path(name) })
    }

    /// A string that is not empty.
    pub(crate) fn filled_text(&mut self, name: &'static str) -> Result<Option<String>, DecodeError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, DecodeError> {
        let value = self.value(name);
        value.map(|value| value.as_bool().ok_or_else(|| mismatch(self.path(name), "a boolean", value))).transpose()
    }

    pub(crate) fn strings(&mut self, name: &'static str) -> Result<BTreeMap<String, String>, DecodeError> {
        let value = self.value(name);
        strings(&self.path(name), value)
    }

    pub(crate) fn list_of_strings(&mut self, name: &'static str) -> Result<Vec<String>, DecodeError> {
        let value = self.value(name);
        list_of_strings(&self.path(name), value)
    }

    /// An object below.
    pub(crate) fn object(&mut self, name: &'static str) -> Result<Option<Self>, DecodeError> {
        let value = self.value(name);
        value.map(|value| Self::new(&self.path(name), value)).transpose()
    }

    /// The objects of a list below.
    pub(crate) fn objects(&mut self, name: &'static str) -> Result<Vec<Self>, DecodeError> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| mismatch(self.path(name), "a list of objects", value))?;
        let item = |(index, item)| Self::new(&format!("{}[{index}]", self.path(name)), item);
        items.iter().enumerate().map(item).collect()
    }

    /// One word of several; `None` if it is absent or empty.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
        expected: &'static str,
    ) -> Result<Option<T>, DecodeError> {
        let Some(text) = self.filled_text(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| DecodeError::Value { field: self.path(name), expected })
    }

    /// Adds the paths of all fields that nobody asked for, but for those that say nothing.
    pub(crate) fn rest(self, unknown: &mut Vec<String>) {
        let unread = self.object.iter().filter(|(name, _)| !self.known.contains(&name.as_str()));
        unknown.extend(unread.filter(|(_, value)| says_something(value)).map(|(name, _)| self.path(name)));
    }
}

/// Whether a value differs from what its absence means in Go.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Number(_) | Value::Object(_) => true,
    }
}

pub(crate) fn strings(field: &str, value: Option<&Value>) -> Result<BTreeMap<String, String>, DecodeError> {
    let Some(value) = present(value) else { return Ok(BTreeMap::new()) };
    object(field, value)?
        .iter()
        .map(|(key, value)| Ok((key.clone(), string(|| format!("{field}.{key}"), value)?)))
        .collect()
}

pub(crate) fn list_of_strings(field: &str, value: Option<&Value>) -> Result<Vec<String>, DecodeError> {
    let Some(value) = present(value) else { return Ok(Vec::new()) };
    let items = value.as_array().ok_or_else(|| mismatch(field, "a list of strings", value))?;
    items.iter().enumerate().map(|(index, item)| string(|| format!("{field}[{index}]"), item)).collect()
}

pub(crate) fn optional_string(field: &str, value: Option<&Value>) -> Result<Option<String>, DecodeError> {
    present(value).map(|value| string(|| field.to_owned(), value)).transpose()
}

pub(crate) fn string(field: impl FnOnce() -> String, value: &Value) -> Result<String, DecodeError> {
    value.as_str().map(str::to_owned).ok_or_else(|| mismatch(field(), "a string", value))
}

pub(crate) fn object<'a>(field: &str, value: &'a Value) -> Result<&'a Map<String, Value>, DecodeError> {
    let field = if field.is_empty() { "the manifest" } else { field };
    value.as_object().ok_or_else(|| mismatch(field, "an object", value))
}

pub(crate) fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

pub(crate) fn mismatch(field: impl Into<String>, expected: &'static str, value: &Value) -> DecodeError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    DecodeError::Type { field: field.into(), expected, found }
}
