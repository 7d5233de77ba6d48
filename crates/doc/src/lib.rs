//! Documents of every format of SOPS under one tree, edited in place.
//!
//! ```text
//! bytes ─ yaml | json | flat (dotenv, INI) ─ Document: the bytes, and a tree in SOPS' order ─ Edits ─ bytes
//! ```
//!
//! A [`Document`] is its bytes plus a tree of places in them. Its *branches* are ordered mappings: every document of a YAML stream, the
//! one object of a JSON file, the lines of a dotenv file, the sections of an INI file. Comments are entries of the container that they
//! belong to, one entry a line, as SOPS sees them, because that decides what they are authenticated against; aliases are expanded. An
//! operation reads the tree and yields [`Edits`]; what no edit touches keeps its bytes.
//!
//! Source of the order of entries: sops 3.13.3 `stores/yaml/store.go`, `stores/json/store.go`.
//!
//! Invariants: `Document::parse(x)?.to_bytes() == x`; no recursion on the nesting of the input; no error carries text of
//! the input.

mod edit;
mod error;
mod flat;
mod json;
mod metadata;
mod owned;
mod spell;
mod text;
mod tree;
mod write;
mod yaml;

pub use bulla_yaml::{Position, Timestamp};
pub use edit::{EditError, Edits, comment_reads};
pub use error::{Expected, ParseError};
pub use metadata::{with_metadata, with_metadata_of, without_metadata};
pub use owned::{Item, Scalar, Tree};
pub use tree::{Children, Document, Kind, Node, NodeId, Step, Value, Walk};
pub use write::{DEPTH_LIMIT, Layout, Path, Unwritable, WriteError, emit, emit_value, write};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML as go-yaml v3 reads it.
    Yaml,
    /// JSON with an object at its top.
    Json,
    /// `KEY=value`, line by line.
    Dotenv,
    /// Sections of `key = value`.
    Ini,
    /// Any bytes: one value, whose key is `data`.
    Binary,
}

impl Format {
    /// Its name in SOPS' options.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }

    /// The key at the top under which the metadata of an encrypted document lies in the tree.
    ///
    /// In dotenv the metadata has no key of its own, and there may be a variable `sops`; it lies under what its keys begin with.
    pub const fn metadata_key(self) -> &'static str {
        match self {
            Self::Dotenv => flat::DOTENV_PREFIX,
            Self::Yaml | Self::Json | Self::Ini | Self::Binary => "sops",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Is `spelling`, as [`Node::spelling`] gives it, read back as `value`?
///
/// Decryption asks this before it believes a spelling that was stored beside a value.
pub fn reads_as(spelling: &str, value: &Value<'_>, format: Format) -> bool {
    spell::reads_as(spelling, value, format)
}
