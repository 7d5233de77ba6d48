//! A pattern with its groups: what `(…)` and `(?P<name>…)` found of a match.
//!
//! Groups are numbered by their opening parentheses, from 1; group 0 is the whole match. One that took part in several turns of a
//! repetition has what it found last, as in Go.

use std::ops::Range;

use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, meta};

use crate::parse::Parsed;

/// A pattern that tells what its groups found. Made by [`Pattern::groups`](crate::Pattern::groups).
#[derive(Clone, Debug)]
pub struct Groups {
    regex: meta::Regex,
    /// Names of the groups from 1 on; empty where there is none.
    names: Vec<Box<str>>,
}

/// Where a pattern and its groups match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match(Vec<Option<Range<usize>>>);

impl Groups {
    pub(crate) fn new(parsed: &Parsed<'_>) -> Option<Self> {
        let regex = crate::compile(&parsed.expression, parsed.height, WhichCaptures::All, crate::LARGEST)?;
        Some(Self { regex, names: parsed.names.iter().map(|name| Box::from(*name)).collect() })
    }

    /// The first match that starts at `from` or behind it, with what is before `from` in sight.
    ///
    /// # Panics
    /// If `from` is behind the end of `text`.
    pub fn find_at(&self, text: &str, from: usize) -> Option<Match> {
        let mut captures = self.regex.create_captures();
        self.regex.search_captures(&Input::new(text).range(from..), &mut captures);
        captures.is_match().then(|| {
            // A group inside of `{0}` is none for the automaton.
            Match((0..=self.names.len()).map(|index| Some(captures.get_group(index)?.range())).collect())
        })
    }

    /// How many bytes it takes, compiled; see [`Pattern::size`](crate::Pattern::size).
    pub fn size(&self) -> usize {
        self.regex.memory_usage()
    }

    /// How many groups there are, the whole match not counted.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The numbers of the groups of this name; Go allows several.
    pub fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        let known = self.names.iter().enumerate().filter(move |(_, known)| !name.is_empty() && ***known == *name);
        known.map(|(index, _)| index + 1)
    }
}

impl Match {
    /// Where the whole pattern matches, as byte offsets.
    pub fn range(&self) -> Range<usize> {
        self.0.first().cloned().flatten().unwrap_or(0..0)
    }

    /// Where the group of this number matches, if it exists and took part.
    pub fn group(&self, index: usize) -> Option<Range<usize>> {
        self.0.get(index).cloned().flatten()
    }
}
