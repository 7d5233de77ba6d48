//! Why a stream could not be read: the place, and what was expected there. Never the text itself.

use std::fmt;

/// A place in a document, counted as an editor does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a YAML stream could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {expected}")]
#[non_exhaustive]
pub struct ParseError {
    /// Where reading stopped.
    pub position: Position,
    /// What was expected there, or what must not stand there.
    pub expected: Expected,
}

/// What was expected at the place of a [`ParseError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Expected {
    /// Bytes that are not UTF-8 (or UTF-16 after its byte order mark).
    #[error("expected {0} text, found bytes that are not")]
    Encoding(&'static str),
    /// A control character, a surrogate or another character that YAML forbids.
    #[error("expected a printable character, found a control character")]
    Printable,
    /// A second byte order mark.
    #[error("expected content, found a second byte order mark")]
    ByteOrderMark,
    /// The input is larger than [`crate::parse`] takes.
    #[error("expected at most 1 GiB of input")]
    Size,
    /// Containers are nested deeper than 10,000 levels.
    #[error("expected at most 10,000 levels of nesting")]
    Depth,
    /// An implicit key without its `:`.
    #[error("expected `:` after the key on the same line")]
    Colon,
    /// A `-`, `?` or `:` where no block entry may start.
    #[error("expected no {0} here; check the indentation")]
    NotAllowed(&'static str),
    /// A character that cannot start a token: `@`, a backtick, a tab in the indentation, `%`.
    #[error("expected a value, found a character that cannot start one; quote the value")]
    Start,
    /// A tab where the indentation needs spaces.
    #[error("expected spaces in the indentation, found a tab")]
    Tab,
    /// A quoted scalar without its end.
    #[error("expected the closing quote before the end of the document")]
    Quote,
    /// An unknown escape, or one with wrong digits.
    #[error("expected a valid escape sequence after the backslash")]
    Escape,
    /// A broken `|` or `>` header.
    #[error("expected a line break after the block scalar's header")]
    BlockHeader,
    /// A broken directive.
    #[error("expected a valid directive: {0}")]
    Directive(&'static str),
    /// A `%YAML` directive of another version than 1.1.
    #[error("expected version 1.1 in the YAML directive, the only one that SOPS reads")]
    Version,
    /// A broken tag.
    #[error("expected a valid tag: {0}")]
    Tag(&'static str),
    /// A broken anchor or alias.
    #[error("expected letters, digits, `-` or `_` in the name of the anchor or alias")]
    Anchor,
    /// An alias to an anchor that was not defined before.
    #[error("expected an anchor of this name before the alias")]
    UnknownAnchor,
    /// Something else than the grammar's next token.
    #[error("expected {0}")]
    Token(&'static str),
}
