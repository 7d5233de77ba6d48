//! Go's regular expressions, exactly.
//!
//! SOPS decides by regular expressions which values it encrypts (`encrypted_regex` and its kin) and which rule applies to
//! a file (`path_regex`). They are Go's, and Rust's differ from them silently: `\d`, `\w`, `\s` and `\b` are ASCII in Go,
//! `[a&&b]` is a set of three characters, `\pL` has the letters of another Unicode version. Where one of them matched a
//! key that the other does not, a password would stay readable. So patterns are read here by Go's rules:
//! ```text
//! pattern ─ parse ─ pieces ─ regex_syntax::hir::Hir ─ regex_automata::meta ─ is_match, find; Groups
//!            │         └ one text, class, sequence, choice; height and copies, as Go counts them
//!            └ class, code_points, tables: named classes and cases, from Go's own Unicode tables
//! ```
//! The same patterns are refused as by Go 1.26's `regexp.Compile`, for the same reason, and the same text matches at the
//! same place; the tests ask Go. What is left:
//! - Limits on size are our own (see [`PatternErrorKind::TooLarge`]), and smaller: Go lets a pattern have gigabytes. For patterns
//!   of strangers there are smaller ones still ([`BoundedPattern`]).
//! - Go factors common beginnings out of a choice before it measures how deeply a pattern nests, so of those that nest to
//!   hundreds of levels it refuses some that are accepted here.
//! - A surrogate written as an escape (`\x{D800}`) never matches here. In Go it matches U+FFFD in the literal beginning of
//!   some patterns that start with `^`, by an oversight.

mod bounded;
mod class;
mod code_points;
mod error;
mod groups;
mod parse;
mod piece;
#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "code points are written without separators")]
mod tables;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::thread;

use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, meta};
use regex_syntax::hir::{Hir, Look};

pub use crate::bounded::{BoundedPattern, BoundedSearch, TooMuchWork};
pub use crate::error::{PatternError, PatternErrorKind};
pub use crate::groups::{Groups, Match};
use crate::parse::Parsed;

/// How long a pattern may be, in bytes.
const LONGEST: usize = 256 << 10;

/// How much memory an automaton of a pattern may take, in bytes; there are two or three of them.
const LARGEST: usize = 32 << 20;

/// How many levels of expressions are compiled on the caller's stack; each takes up to 3 KiB.
const SHALLOW: usize = 50;

/// The stack, in bytes, on which more levels are compiled; there are 1000 at most.
const DEEP_STACK: usize = 32 << 20;

/// A regular expression, compiled. Cheap to clone.
///
/// Searching takes time linear in the text, whatever the pattern.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: meta::Regex,
    /// Whether there is a `\B`, which also matches inside a character, where no match may be.
    inside_characters: bool,
}

impl Pattern {
    /// Compiles `pattern` as Go's `regexp.Compile` does.
    ///
    /// # Errors
    /// Those of Go. [`PatternErrorKind::TooLarge`] also if `pattern` is longer than 256 KiB, or if an automaton for it would
    /// take more than 32 MiB: `\w{1000}` takes less than a hundredth of that, `\pL{500}` most of it.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > LONGEST {
            return Err(too_large(pattern));
        }
        let Parsed { expression, height, .. } = parse::parse(pattern)?;
        Ok(Self {
            text: pattern.into(),
            regex: compile(&expression, height, WhichCaptures::Implicit, LARGEST).ok_or_else(|| too_large(pattern))?,
            inside_characters: needs_spans(&expression),
        })
    }

    /// The same pattern, to be searched for with its groups. It is compiled anew, and slower.
    ///
    /// # Errors
    /// [`PatternErrorKind::TooLarge`]: with its groups a pattern takes more.
    pub fn groups(&self) -> Result<Groups, PatternError> {
        let parsed = parse::parse_with_groups(&self.text)?;
        Groups::new(&parsed).ok_or_else(|| too_large(&self.text))
    }

    /// Whether the pattern matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        if self.inside_characters {
            // `Regex::is_match` stops at the first match that ends, and if that is one inside a character, goes on behind
            // it: it overlooks that `θ.|\B` matches "bθb", where `θ.` had only begun.
            return self.regex.find(text).is_some();
        }
        self.regex.is_match(text)
    }

    /// Whether the pattern matches anywhere in `text`, of which each byte that is not UTF-8 counts as one U+FFFD.
    pub fn is_match_bytes(&self, text: &[u8]) -> bool {
        match std::str::from_utf8(text) {
            Ok(text) => self.is_match(text),
            Err(_) => self.is_match(&replace_invalid(text)),
        }
    }

    /// The first match in `text`, as byte offsets. Of those that start there it is the one that a backtracking search
    /// would find.
    pub fn find(&self, text: &str) -> Option<Range<usize>> {
        self.regex.find(text).map(|found| found.range())
    }

    /// The first match that starts at `from` or behind it. Unlike in `text[from..]`, a pattern sees what is before: `^` and `\b` mean the
    /// same as in the whole text.
    ///
    /// # Panics
    /// If `from` is behind the end of `text`.
    pub fn find_at(&self, text: &str, from: usize) -> Option<Range<usize>> {
        self.regex.search(&Input::new(text).range(from..)).map(|found| found.range())
    }

    /// How many bytes it takes, compiled. Making it, and searching for it at worst, takes time that grows with that.
    pub fn size(&self) -> usize {
        self.regex.memory_usage()
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(pattern: &str) -> Result<Self, PatternError> {
        Self::new(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

/// Is there a `\B`?
fn needs_spans(expression: &Hir) -> bool {
    expression.properties().look_set().contains(Look::WordAsciiNegate)
}

/// All that an expression can be refused for is its size: there is no Unicode `\b` in Go.
fn compile(expression: &Hir, height: usize, captures: WhichCaptures, largest: usize) -> Option<meta::Regex> {
    let config = meta::Config::new().which_captures(captures).nfa_size_limit(Some(largest));
    on_stack_for(height, || meta::Builder::new().configure(config.clone()).build_from_hir(expression).ok())
}

/// The compiler calls itself on each level, and a worker's stack may be too small.
fn on_stack_for<T: Send>(height: usize, build: impl Fn() -> Option<T> + Sync) -> Option<T> {
    if height <= SHALLOW {
        return build();
    }
    thread::scope(|scope| {
        let compiler = thread::Builder::new().stack_size(DEEP_STACK).spawn_scoped(scope, &build);
        compiler.ok()?.join().ok()?
    })
}

fn too_large(pattern: &str) -> PatternError {
    PatternError::new(PatternErrorKind::TooLarge, 0, pattern)
}

fn replace_invalid(text: &[u8]) -> String {
    let mut valid = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        valid.push_str(chunk.valid());
        valid.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    valid
}
