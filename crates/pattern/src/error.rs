use std::fmt;

/// Why Go refuses a pattern, and where.
///
/// [`fragment`](Self::fragment) is the piece that Go names in its own message; a pattern is no secret, so it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PatternError {
    kind: PatternErrorKind,
    offset: usize,
    fragment: String,
}

/// What is wrong with a pattern: Go's `syntax.ErrorCode`, in Go's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// A range out of order (`[z-a]`), or a class that does not exist (`[[:letter:]]`, `\p{Klingon}`).
    #[error("invalid character class range")]
    InvalidCharRange,
    /// A backslash before a letter or digit that means nothing there (`\y`, `\1`, `[\b]`, `\x{110000}`).
    #[error("invalid escape sequence")]
    InvalidEscape,
    /// A group's name that is empty, not closed, or has other characters than letters, digits and `_`.
    #[error("invalid named capture")]
    InvalidNamedCapture,
    /// `(?` and then what Go does not know: look-around, atomic groups, unknown flags.
    #[error("invalid or unsupported Perl syntax")]
    InvalidPerlOp,
    /// One repetition directly after another (`a**`, `a++`).
    #[error("invalid nested repetition operator")]
    InvalidRepeatOp,
    /// A count above 1000, out of order, or above 1000 together with those of the repetitions inside.
    #[error("invalid repeat count")]
    InvalidRepeatSize,
    /// `[` without `]`.
    #[error("missing closing ]")]
    MissingBracket,
    /// `(` without `)`.
    #[error("missing closing )")]
    MissingParen,
    /// A repetition of nothing (`*`, `a|+`).
    #[error("missing argument to repetition operator")]
    MissingRepeatArgument,
    /// The pattern ends in a single backslash.
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    /// `)` without `(`.
    #[error("unexpected )")]
    UnexpectedParen,
    /// More than 1000 expressions one inside the other.
    #[error("expression nests too deeply")]
    NestingDepth,
    /// The pattern is so large, or its counts multiply to so much, that matching it would need too much memory.
    #[error("expression too large")]
    TooLarge,
}

impl PatternError {
    pub(crate) fn new(kind: PatternErrorKind, offset: usize, fragment: &str) -> Self {
        Self { kind, offset, fragment: fragment.to_owned() }
    }

    /// What is wrong.
    pub fn kind(&self) -> PatternErrorKind {
        self.kind
    }

    /// Where [`fragment`](Self::fragment) starts in the pattern, in bytes.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The piece of the pattern that is wrong; all of it where that cannot be said more closely, as in a missing `)`.
    pub fn fragment(&self) -> &str {
        &self.fragment
    }
}

impl fmt::Display for PatternError {
    /// As Go words it, with a long fragment cut short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        write!(f, "{}: `", self.kind)?;
        match self.fragment.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…`", &self.fragment[..end]),
            None => write!(f, "{}`", self.fragment),
        }
    }
}
