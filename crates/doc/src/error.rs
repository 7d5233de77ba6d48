//! Why a document could not be read.

use bulla_yaml::Position;

/// Why a document could not be read: the place, and what was expected there. Never the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {expected}")]
#[non_exhaustive]
pub struct ParseError {
    /// Where it stopped.
    pub position: Position,
    /// What was expected there.
    pub expected: Expected,
}

impl ParseError {
    /// Where it stopped.
    pub fn position(&self) -> Position {
        self.position
    }
}

/// What was expected at the place of a [`ParseError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Expected {
    /// The YAML itself is broken.
    #[error(transparent)]
    Yaml(bulla_yaml::Expected),
    /// The JSON itself is broken.
    #[error("expected {0}")]
    Json(&'static str),
    /// A line is none of dotenv.
    #[error("expected {0}")]
    Dotenv(&'static str),
    /// A line is none of INI, or SOPS would lose a part of it.
    #[error("expected {0}")]
    Ini(&'static str),
    /// The flattened fields of the metadata do not fit together.
    #[error("expected {0} in the metadata")]
    Metadata(&'static str),
    /// Bytes that are no text.
    #[error("expected UTF-8 text, found bytes that are not; as a binary file anything can be encrypted")]
    Text,
    /// The top of a document is a list or a single value.
    #[error("expected a mapping at the top of the document; SOPS reads no other, so put this under a key")]
    Mapping,
    /// A key that is no string.
    #[error("expected a string as key; quote it")]
    Key,
    /// The same key twice in one mapping.
    #[error("expected each key once; the same key is already on line {0}")]
    Duplicate(usize),
    /// A tag that the value does not fit.
    #[error("expected a value that fits its tag `{0}`")]
    Tag(String),
    /// A merge key without a mapping.
    #[error("expected a mapping or a list of mappings as the value of `<<`")]
    Merge,
    /// An anchor whose value contains its own alias.
    #[error("expected an alias to something else than the value it lies in")]
    Cycle,
    /// Aliases that expand to more than a document may hold.
    #[error("expected aliases that expand to at most 1,000,000 entries")]
    Aliases,
    /// Aliases that expand to more bytes than a document may hold.
    #[error("expected aliases that expand to at most 64 MiB, or eight times the size of the file if that is more")]
    AliasBytes,
    /// More than 4 GiB, or nesting deeper than 10,000.
    #[error("expected at most 10,000 levels of nesting")]
    Depth,
}
