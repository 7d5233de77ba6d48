//! Sets of code points: what a character class matches.
//!
//! Surrogates are members like all others until [`CodePoints::to_hir`], as in Go: `\x{D800}` is a valid pattern, and no
//! text has it.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir};

use crate::tables::{FOLDS, LONGEST_FOLD, LONGEST_ORBIT};

const LAST: u32 = char::MAX as u32;

/// A set of code points, as ranges with both ends included. The ranges are in order and apart from each other only
/// after [`tidy`](Self::tidy).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CodePoints {
    ranges: Vec<(u32, u32)>,
}

impl CodePoints {
    pub(crate) fn of(ranges: &[(u32, u32)]) -> Self {
        Self { ranges: ranges.to_vec() }
    }

    pub(crate) fn all() -> Self {
        Self::of(&[(0, LAST)])
    }

    /// The code points that differ from `letter` only in case, `letter` included.
    pub(crate) fn cases(letter: u32) -> Self {
        Self::of(&[(letter, letter)]).folded()
    }

    pub(crate) fn add(&mut self, first: u32, last: u32) {
        self.ranges.push((first, last));
    }

    pub(crate) fn add_all(&mut self, other: Self) {
        self.ranges.extend(other.ranges);
    }

    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// How many code points a tidy set has.
    pub(crate) fn len(&self) -> u32 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Brings the ranges in order, and joins those that touch or overlap.
    pub(crate) fn tidy(&mut self) {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|later, earlier| {
            let joins = later.0 <= earlier.1 + 1;
            if joins {
                earlier.1 = earlier.1.max(later.1);
            }
            joins
        });
    }

    /// All code points but these.
    pub(crate) fn negated(mut self) -> Self {
        self.tidy();
        let mut others = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = 0;
        for (first, last) in self.ranges {
            if next < first {
                others.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            others.push((next, LAST));
        }
        Self { ranges: others }
    }

    /// These, and all that differ from one of them only in case.
    pub(crate) fn folded(mut self) -> Self {
        // Folding leads from each of a letter's code points to the next, in a circle.
        let mut turned = self.clone();
        for _ in 1..LONGEST_ORBIT {
            turned = turned.next_cases();
            if turned.ranges.is_empty() {
                break;
            }
            self.ranges.extend_from_slice(&turned.ranges);
        }
        self.tidy();
        self
    }

    fn next_cases(&self) -> Self {
        let mut next = Self::default();
        for &(first, last) in &self.ranges {
            let reached = FOLDS.partition_point(|run| run.0 + LONGEST_FOLD < first);
            for &(run_first, run_last, step, add) in FOLDS[reached..].iter().take_while(|run| run.0 <= last) {
                let from = run_first + first.saturating_sub(run_first).next_multiple_of(step);
                let to = last.min(run_last);
                // From a letter the table leads to a letter, so these sums stay among the code points.
                if step == 1 && from <= to {
                    next.add(from.wrapping_add_signed(add), to.wrapping_add_signed(add));
                } else {
                    for letter in (from..=to).step_by(step as usize) {
                        let letter = letter.wrapping_add_signed(add);
                        next.add(letter, letter);
                    }
                }
            }
        }
        next.tidy();
        next
    }

    /// An expression that matches one character of the set. A set of surrogates matches nothing.
    pub(crate) fn to_hir(&self) -> Hir {
        const SURROGATES: (u32, u32) = (0xD800, 0xDFFF);
        let mut characters = Vec::with_capacity(self.ranges.len() + 1);
        for &(first, last) in &self.ranges {
            for (first, last) in [(first, last.min(SURROGATES.0 - 1)), (first.max(SURROGATES.1 + 1), last)] {
                // Both are characters or the range is empty: its ends stop short of the surrogates.
                if let (true, Some(first), Some(last)) = (first <= last, char::from_u32(first), char::from_u32(last)) {
                    characters.push(ClassUnicodeRange::new(first, last));
                }
            }
        }
        Hir::class(Class::Unicode(ClassUnicode::new(characters)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negated_set_is_all_the_others() {
        for (set, others) in [
            (&[][..], &[(0, LAST)][..]),
            (&[(0, LAST)], &[]),
            (&[(0, 4)], &[(5, LAST)]),
            (&[(7, LAST)], &[(0, 6)]),
            (&[(20, 30), (1, 3), (4, 5), (25, 40)], &[(0, 0), (6, 19), (41, LAST)]),
        ] {
            assert_eq!(CodePoints::of(set).negated().ranges(), others, "{set:?}");
        }
    }

    #[test]
    fn a_folded_set_has_every_case_of_its_letters() {
        for (letter, cases) in [
            ('a', "Aa"),
            ('K', "Kk\u{212A}"),
            ('s', "Ss\u{17F}"),
            ('θ', "Θθϑϴ"),
            ('\u{345}', "\u{345}Ιι\u{1FBE}"),
            ('ß', "ßẞ"),
            ('İ', "İ"),
            ('1', "1"),
        ] {
            let mut expected = CodePoints::default();
            for case in cases.chars() {
                expected.add(case.into(), case.into());
            }
            expected.tidy();
            assert_eq!(CodePoints::cases(letter.into()), expected, "{letter}");
        }
    }

    #[test]
    fn a_folded_range_is_folded_letter_by_letter() {
        for (first, last) in [(0, 0x3FF), (0x40, 0x60), (0x101, 0x101), (0x1E00, 0x2200), (0xFFFF, LAST)] {
            let mut each = CodePoints::default();
            for letter in first..=last.min(0x1_F000) {
                each.add_all(CodePoints::cases(letter));
            }
            each.add(first, last);
            each.tidy();
            assert_eq!(CodePoints::of(&[(first, last)]).folded(), each, "{first:#x} to {last:#x}");
        }
    }

    #[test]
    fn surrogates_are_in_no_text() {
        assert_eq!(CodePoints::of(&[(0xD800, 0xDFFF)]).to_hir(), Hir::fail());
        assert_eq!(CodePoints::all().to_hir(), CodePoints::of(&[(0, 0xD7FF), (0xE000, LAST)]).to_hir());
    }
}
