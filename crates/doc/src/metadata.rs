//! The entry that SOPS adds to every branch of a file.
//!
//! It is appended behind everything else, comments included, and taken away again without a trace. Whether the file
//! ended with a line break before is kept by the file's end now.

use crate::edit::Edits;
use crate::error::ParseError;
use crate::tree::Document;
use crate::Tree;

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

/// Removes the entry `key` from every branch, as if [`with_metadata`] had never added it.
pub fn without_metadata(edits: &mut Edits<'_>, key: &str) {
    let document = edits.document();
    for branch in document.branches() {
        if let Some(entry) = branch.get(key) {
            edits.remove_appended(entry);
        }
    }
}
