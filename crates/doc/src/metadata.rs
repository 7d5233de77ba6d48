//! The entry that SOPS adds to every branch of a file.
//!
//! It is appended behind everything else, comments included, and taken away again without a trace. Whether the file
//! ended with a line break before is kept by the file's end now.

use crate::Tree;
use crate::edit::Edits;
use crate::error::ParseError;
use crate::tree::Document;

/// The document with an entry `key` at the end of every branch.
///
/// # Errors
/// [`ParseError`] if the result is no document. That cannot happen for one without such a key.
pub fn with_metadata(document: &Document, key: &str, tree: &Tree) -> Result<Document, ParseError> {
    let mut edits = Edits::new(document);
    for branch in document.branches() {
        edits.append(branch, key, tree);
    }
    Document::parse(&edits.apply(), document.format())
}

/// The document with the entry `key` of another at the end of every branch, spelt as it is there.
///
/// Branches that the other document does not have get the entry of its first one. Nothing is added if it has none.
///
/// # Errors
/// [`ParseError`] if the result is no document. That cannot happen for one without such a key.
pub fn with_metadata_of(document: &Document, other: &Document, key: &str) -> Result<Document, ParseError> {
    let entries: Vec<_> = other.branches().map(|branch| branch.get(key)).collect();
    let mut edits = Edits::new(document);
    for (place, branch) in document.branches().enumerate() {
        let entry = entries.get(place).copied().flatten().or(entries.first().copied().flatten());
        if let Some(entry) = entry {
            edits.append_copy(branch, entry);
        }
    }
    Document::parse(&edits.apply(), document.format())
}

/// Removes the entry `key` from every branch, as if [`with_metadata`] had never added it.
pub fn without_metadata(edits: &mut Edits<'_>, key: &str) {
    let document = edits.document();
    for branch in document.branches() {
        if let Some(entry) = branch.get(key) {
            // In a file of lines that is all of it, wherever it stands.
            edits.remove_appended(entry);
        }
    }
}
