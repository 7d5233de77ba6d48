//! What was found, and what could not be looked at. Neither ever holds a value.

use bulla_sops::KeyPath;
use bulla_yaml::Position;

use crate::rule::{Rule, Severity};

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The file, as it was named.
    pub file: String,
    /// Where what was found begins: a value, not its key.
    pub start: Position,
    /// Behind its last character.
    pub end: Position,
    /// The way to it through the document's keys; `None` where there are none.
    pub path: Option<KeyPath>,
    /// What was found, in one sentence without the value.
    pub message: String,
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.rule.severity()
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        self.rule.hint()
    }
}

/// A file that says that it is YAML or JSON and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The file, as it was named.
    pub file: String,
    /// Where reading stopped.
    pub position: Position,
    /// What was expected there.
    pub expected: String,
}

/// What is to be said about one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By place.
    pub findings: Vec<Finding>,
    /// Set if its documents could not be looked at.
    pub unread: Option<Unread>,
}
