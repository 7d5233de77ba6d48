//! YAML as SOPS reads it, with the place of everything, and edits that leave the rest alone.
//!
//! SOPS authenticates values by their key path and comments by the container that they are attached to. To open what it
//! wrote, and to write what it opens, a document has to be *seen* exactly as its reader sees it. That reader is
//! go-yaml v3.0.4: the algorithm of libyaml 0.1 with its own rules for comments, tags and scalars. This crate follows
//! that behaviour, so it accepts what go-yaml accepts, refuses what it refuses, and gives the same values and comments;
//! unlike it, it also knows which bytes of the input spell each of them.
//!
//! ```text
//! bytes ─ source: encoding, characters ─ scan: tokens, comments ─ parse: productions ─ tree: nodes with spans
//!                                                                            resolve: what a plain scalar means
//!                                                   write: a new document, laid out as go-yaml lays it out
//! ```
//!
//! Source of the behaviour: YAML 1.1 and 1.2 grammars, libyaml's documented token and event grammar, and observation of
//! `go.yaml.in/yaml/v3` v3.0.4, against which the tests compare every event, value and comment.
//!
//! Invariants: no recursion on the input's nesting; every span lies on character boundaries of [`Stream::text`]; no
//! error carries text of the input.

mod error;
mod parse;
mod resolve;
mod scan;
mod source;
mod spell;
mod time;
mod tree;
mod write;

use bulla_wipe::Wiping;

pub use error::{Expected, ParseError, Position};
pub use resolve::{Resolved, resolve};
pub use source::Encoding;
pub use spell::{can_be_literal, double_quoted, reads_back_plain, single_quoted, string_style};
pub use time::Timestamp;
pub use tree::{Children, Comment, Comments, Document, Kind, Node, NodeId, Span, Stream, Style};
pub use write::{Writer, literal};

/// Reads a stream of YAML documents.
///
/// `input` may be UTF-8, with or without a byte order mark, or UTF-16 with one. Its size is limited to 1 GiB.
///
/// # Errors
/// [`ParseError`] with the line and column where reading stopped, and what was expected there.
pub fn parse(input: &[u8]) -> Result<Stream, ParseError> {
    parse_owned(Wiping::new(input.to_vec()))
}

/// [`parse`] that takes over the bytes: in UTF-8 without a byte order mark they are not copied.
///
/// # Errors
/// As [`parse`].
pub fn parse_owned(input: Wiping<Vec<u8>>) -> Result<Stream, ParseError> {
    let (encoding, text) = source::decode(input)?;
    parse::parse(encoding, text)
}
