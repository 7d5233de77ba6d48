//! Binary files: one value, wrapped in JSON.
//!
//! ```text
//! any bytes  ⇄  {"data": "ENC[…,type:str]", "sops": {…}}
//! ```
//! JSON holds texts only, so a text stands for the bytes until they are encrypted. All of it is always encrypted, and the metadata names no
//! selector. Source: sops 3.13.3 `stores/json/store.go` (`BinaryStore`).

use bulla_doc::{Document, EditError as Unwritable, Edits, Format, ParseError, Value};
use bulla_wipe::Wiping;

use crate::decrypt::ReadError;
use crate::edit::EditError;
use crate::metadata::MetadataError;
use crate::path::{KeyPath, PathStep};
use crate::walk::{Plan, Role};

/// The key of the value.
const KEY: &str = "data";

/// The JSON of an empty file, indented by so many blanks; by a tab if nothing is said.
pub(crate) fn empty(indent: Option<usize>) -> String {
    let indent = indent.map_or_else(|| "\t".to_owned(), |blanks| " ".repeat(blanks));
    format!("{{\n{indent}\"{KEY}\": \"\"\n}}\n")
}

/// What stands for bytes that are to be encrypted.
const PLACE: &str = "x";

/// How many blanks the JSON of a binary file is indented by; `None` for a tab.
pub(crate) fn indent_of(document: &Document) -> Option<usize> {
    let line = document.text().lines().nth(1)?;
    let blanks = line.len() - line.trim_start_matches(' ').len();
    (!line.starts_with('\t')).then_some(blanks)
}

/// The JSON with a place for `plain`.
pub(crate) fn with_place(envelope: &Document, plain: &[u8]) -> Result<Document, ParseError> {
    let mut edits = Edits::new(envelope);
    if let Some(data) = envelope.branches().next().and_then(|branch| branch.get(KEY)) {
        edits.set_value(data, &Value::text(if plain.is_empty() { "" } else { PLACE }));
    }
    Document::parse_owned(edits.apply(), Format::Json)
}

/// Reads the JSON of an encrypted file. Whatever does not begin as an object is a plain file.
pub(crate) fn read(bytes: Wiping<Vec<u8>>) -> Result<Document, ReadError> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(MetadataError::NotEncrypted.into());
    }
    Ok(Document::parse_owned(bytes, Format::Json)?)
}

/// The number of the value among the leaves.
pub(crate) fn data(plan: &Plan<'_>) -> Option<usize> {
    plan.leaves.iter().position(|leaf| {
        let at_top = leaf.node.parent().is_some_and(|parent| parent.parent().is_none());
        leaf.role == Role::Value && at_top && leaf.node.key() == Some(KEY) && leaf.node.is_str()
    })
}

/// The way to the value.
pub(crate) fn path() -> KeyPath {
    KeyPath { branch: 0, steps: vec![PathStep::Key(KEY.to_owned())] }
}

/// The error that there is nothing but the value.
pub(crate) fn refused(path: KeyPath) -> EditError {
    EditError::Unwritable { path, source: Unwritable::Unwritable("a binary file is one text under the key `data`") }
}
