//! Patterns of strangers: small ones only, and searched for with a bound on the work.
//!
//! A pattern's search is linear in the text, and yet a step of it can cost as much as the pattern is large: `(.?){500}` against each
//! of 100,000 keys takes minutes. So here the steps that are not known from an earlier search are counted.
//! ```text
//! pattern ─ nfa ─ lazy dfa ─ step ─┬─ known from before    free
//!                                  └─ computed             costs as many states of the nfa as are looked at for it, or more
//! ```
//! For texts that resemble each other nearly all steps are known soon, whatever the pattern: lists of hundreds of names against
//! hundreds of thousands of keys stay far below the limit.

use std::collections::HashMap;
use std::fmt;
use std::hash::RandomState;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::{Input, MatchKind};

use crate::{Pattern, PatternError, compile, needs_spans, on_stack_for, parse, too_large};

/// How long a bounded pattern may be, in bytes.
const LONGEST: usize = 32 << 10;

/// How much memory its automaton may take, in bytes.
const LARGEST: usize = 4 << 20;

/// How much memory what is known of the search may take, in bytes.
const KNOWN: usize = 16 << 20;

/// What all texts together may cost, in states that are looked at: some seconds.
const WORK: u64 = 1 << 31;

/// What a computed step costs in any case.
const STEP: u64 = 64;

/// By how much more a step costs where the place of a match is looked for.
const SPANS: u64 = 4;

/// A pattern of which neither making it nor searching for it takes long, whoever wrote it. Cheap to clone.
#[derive(Clone)]
pub struct BoundedPattern {
    text: Box<str>,
    automaton: DFA,
    costs: Costs,
    /// The pattern itself where the automaton alone does not tell: see [`Pattern::is_match`].
    with_spans: Option<Pattern>,
}

/// What a step costs at most, as far as the automaton tells.
#[derive(Clone, Copy)]
struct Costs {
    /// What can be gone through without a character.
    empty: u64,
    /// How many ranges of characters a state may have, which are looked at one after the other.
    ranges: u64,
    states: u64,
    /// What a known state takes in memory whatever is in it, in bytes.
    fixed: usize,
}

/// The search for a [`BoundedPattern`] in one text after the other, and what is left of the work that it may be.
#[derive(Clone)]
pub struct BoundedSearch<'p> {
    pattern: &'p BoundedPattern,
    cache: Cache,
    /// What an empty cache takes in memory.
    empty: usize,
    /// Of known states, of how many states of the automaton they are made.
    sizes: HashMap<LazyStateID, u64, RandomState>,
    left: u64,
}

/// Searching on would take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the expression takes too much work to be searched for in so many different texts")]
pub struct TooMuchWork;

impl BoundedPattern {
    /// Compiles `pattern` as [`Pattern::new`] does.
    ///
    /// # Errors
    /// Those of [`Pattern::new`]; [`TooLarge`](crate::PatternErrorKind::TooLarge) if `pattern` is longer than 32 KiB, or if an
    /// automaton for it would take more than 4 MiB: `\pL{200}` takes three quarters of that, a list of a thousand names less.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > LONGEST {
            return Err(too_large(pattern));
        }
        let parsed = parse::parse(pattern)?;
        let config = thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(LARGEST));
        let build = || NFA::compiler().configure(config.clone()).build_from_hir(&parsed.expression).ok();
        let nfa = on_stack_for(parsed.height, build).ok_or_else(|| too_large(pattern))?;
        // A cache that is full begins anew: then what was known is computed again, and counts.
        let config =
            DFA::config().match_kind(MatchKind::LeftmostFirst).cache_capacity(KNOWN).skip_cache_capacity_check(true);
        let automaton = DFA::builder().configure(config).build_from_nfa(nfa).map_err(|_| too_large(pattern))?;
        let with_spans = if needs_spans(&parsed.expression) {
            let regex = compile(&parsed.expression, parsed.height, WhichCaptures::Implicit, LARGEST);
            let regex = regex.ok_or_else(|| too_large(pattern))?;
            Some(Pattern { text: pattern.into(), regex, inside_characters: true })
        } else {
            None
        };
        let costs = Costs::of(&automaton);
        Ok(Self { text: pattern.into(), automaton, costs, with_spans })
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Begins a search, with all the work that it may be.
    pub fn search(&self) -> BoundedSearch<'_> {
        let cache = self.automaton.create_cache();
        let empty = cache.memory_usage();
        BoundedSearch { pattern: self, cache, empty, sizes: HashMap::new(), left: WORK }
    }
}

impl fmt::Debug for BoundedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoundedPattern").field(&self.text).finish()
    }
}

impl fmt::Debug for BoundedSearch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSearch").field("pattern", self.pattern).field("left", &self.left).finish_non_exhaustive()
    }
}

impl Costs {
    fn of(automaton: &DFA) -> Self {
        let states = automaton.get_nfa().states();
        let (mut empty, mut ranges) = (0, 1);
        for state in states {
            match state {
                State::Union { alternates } => empty += alternates.len(),
                State::BinaryUnion { .. } => empty += 2,
                State::Look { .. } => empty += 1,
                State::Sparse(transitions) => ranges = ranges.max(transitions.transitions.len()),
                _ => {}
            }
        }
        // A row of the table, the state itself, and the way back to its number.
        let fixed = (size_of::<LazyStateID>() << automaton.byte_classes().stride2()) + 9 * size_of::<u32>();
        Self { empty: empty as u64, ranges: ranges as u64, states: states.len() as u64, fixed }
    }

    /// Of one step from a state made of `from` to one made of `to`.
    fn step(&self, from: u64, to: u64) -> u64 {
        STEP + self.empty + self.ranges.saturating_mul(from.saturating_add(to))
    }
}

impl BoundedSearch<'_> {
    /// Whether the pattern matches anywhere in `text`.
    ///
    /// # Errors
    /// [`TooMuchWork`], from then on for every text of which not all is known.
    pub fn is_match(&mut self, text: &str) -> Result<bool, TooMuchWork> {
        if let Some(pattern) = &self.pattern.with_spans {
            // Nothing is remembered, and an empty match inside of a character makes the search begin again.
            let inside = text.bytes().filter(|byte| !byte.is_ascii()).count() as u64;
            let steps = (text.len() as u64 + 1).saturating_mul(inside + 1);
            let costs = &self.pattern.costs;
            self.spend(steps.saturating_mul(costs.step(0, costs.states)).saturating_mul(SPANS))?;
            return Ok(pattern.is_match(text));
        }
        let automaton = &self.pattern.automaton;
        let start = Input::new(text);
        let mut state = self.computed(None, |cache| automaton.start_state_forward(cache, &start).ok())?;
        for &byte in text.as_bytes() {
            // An identifier without tag is that of a known state that neither matches nor is dead.
            let known =
                if state.is_tagged() { None } else { Some(automaton.next_state_untagged(&self.cache, state, byte)) };
            state = match known {
                Some(next) if !next.is_unknown() => next,
                _ => self.computed(Some(state), |cache| automaton.next_state(cache, state, byte).ok())?,
            };
            if state.is_match() || state.is_dead() {
                return Ok(state.is_match());
            }
        }
        // A match is seen one step behind it. This step is computed once for each known state.
        let end = automaton.next_eoi_state(&mut self.cache, state).map_err(|_| TooMuchWork)?;
        Ok(end.is_match())
    }

    /// The state behind a step, and what the step costs. The first state of a text costs only when it is new.
    fn computed(
        &mut self,
        from: Option<LazyStateID>,
        step: impl FnOnce(&mut Cache) -> Option<LazyStateID>,
    ) -> Result<LazyStateID, TooMuchWork> {
        if self.left == 0 {
            return Err(TooMuchWork);
        }
        let (before, clears) = (self.cache.memory_usage(), self.cache.clear_count());
        let size_of_from = from.and_then(|from| self.sizes.get(&from).copied());
        let state = step(&mut self.cache).ok_or(TooMuchWork)?;
        let now = self.cache.memory_usage();
        if self.cache.clear_count() != clears {
            // Numbers of states mean others now, and there are but one or two.
            self.sizes.clear();
        }
        let costs = self.pattern.costs;
        let is_new = now != before;
        let size = if state.is_dead() {
            0
        } else if self.sizes.is_empty() {
            now.saturating_sub(self.empty) as u64
        } else if is_new {
            // Each state of the automaton takes a byte at least.
            now.saturating_sub(before).saturating_sub(costs.fixed) as u64
        } else {
            self.sizes.get(&state).copied().unwrap_or(costs.states)
        };
        self.sizes.insert(state, size);
        if from.is_some() || is_new {
            self.spend(costs.step(size_of_from.unwrap_or(costs.states), size))?;
        }
        Ok(state)
    }

    fn spend(&mut self, work: u64) -> Result<(), TooMuchWork> {
        let left = self.left.checked_sub(work);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(TooMuchWork)
    }
}
