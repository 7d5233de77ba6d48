//! YAML and JSON documents under one tree, edited in place.
//!
//! ```text
//! bytes ─ yaml | json ─ Document: the bytes, and a tree in SOPS' order ─ Edits ─ bytes
//! ```
//!
//! A [`Document`] is its bytes plus a tree of places in them. Its *branches* are ordered mappings: every document of a
//! YAML stream, or the one object of a JSON file. Comments are entries of the container that they belong to, one entry
//! a line, as SOPS sees them, because that decides what they are authenticated against; aliases are expanded. An
//! operation reads the tree and yields [`Edits`]; what no edit touches keeps its bytes.
//!
//! Source of the order of entries: sops 3.13.3 `stores/yaml/store.go`, `stores/json/store.go`.
//!
//! Invariants: `Document::parse(x)?.to_bytes() == x`; no recursion on the nesting of the input; no error carries text of
//! the input.

mod edit;
mod error;
mod json;
mod metadata;
mod owned;
mod spell;
mod tree;
mod yaml;

pub use bulla_yaml::{Position, Timestamp};
pub use edit::{EditError, Edits};
pub use error::{Expected, ParseError};
pub use metadata::{with_metadata, with_metadata_of, without_metadata};
pub use owned::{Item, Scalar, Tree, write};
pub use tree::{Children, Document, Kind, Node, NodeId, Step, Value, Walk};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML as go-yaml v3 reads it.
    Yaml,
    /// JSON with an object at its top.
    Json,
}

/// Is `spelling`, as [`Node::spelling`] gives it, read back as `value`?
///
/// Decryption asks this before it believes a spelling that was stored beside a value.
pub fn reads_as(spelling: &str, value: &Value<'_>, format: Format) -> bool {
    spell::reads_as(spelling, value, format)
}
