//! Patterns from the grammar, and what becomes of them when single characters change.

use std::fmt::Write;

use bulla_pattern::{Pattern, PatternErrorKind};
use bulla_testkit::needs_peers;

use crate::compare::same_as_go;

const PATTERNS: u64 = 20_000;

#[test]
fn patterns_of_the_grammar_match_what_go_matches() {
    needs_peers!();
    let mut accepted = 0;
    for seed in 0..PATTERNS {
        let mut random = Random(seed);
        let pattern = random.pattern();
        accepted += u64::from(compare(&mut random, &pattern));
    }
    assert!(accepted > PATTERNS * 8 / 10, "only {accepted} were accepted");
}

#[test]
fn patterns_with_single_characters_changed_match_what_go_matches() {
    needs_peers!();
    let mut accepted = 0;
    for seed in 0..PATTERNS {
        let mut random = Random(seed.wrapping_add(1 << 32));
        let mut pattern = random.pattern();
        for _ in 0..=random.below(3) {
            pattern = random.changed(&pattern);
        }
        accepted += u64::from(compare(&mut random, &pattern));
    }
    assert!((PATTERNS * 2 / 10..PATTERNS * 8 / 10).contains(&accepted), "{accepted} were accepted");
}

/// Whether Go accepts the pattern, and we have not found it too large. In all else we must be the same.
fn compare(random: &mut Random, pattern: &str) -> bool {
    let haystacks: Vec<Vec<u8>> = (0..8).map(|_| random.haystack(pattern)).collect();
    // A change can make `\pL{901}` of `\pL{01}`.
    if let Err(error) = Pattern::new(pattern)
        && error.kind() == PatternErrorKind::TooLarge
    {
        assert!(pattern.len() < 200 && pattern.contains("\\p"), "{pattern:?} is not large");
        return false;
    }
    same_as_go(pattern, &haystacks.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// SplitMix64, so that a seed gives the same pattern for ever.
struct Random(u64);

/// Few, so that texts match; letters with other cases inside and outside ASCII, and what borders on classes.
const LETTERS: &[&str] = &[
    "a", "b", "c", "ab", "k", "K", "s", "S", "z", "Z", "0", "7", "_", "-", " ", "\n", "\t", "\x0B", "~", "&&", "é",
    "É", "Δ", "δ", "ß", "ẞ", "\u{17F}", "\u{212A}", "θ", "ϴ", "\u{345}", "ι", "漢", "🔑", "\u{FFFD}", "\0", "\x7F",
    "\u{85}", "\u{A0}",
];

const ESCAPES: &[&str] = &[
    r"\.",
    r"\\",
    r"\-",
    r"\]",
    r"\[",
    r"\_",
    r"\n",
    r"\t",
    r"\v",
    r"\a",
    r"\f",
    r"\r",
    r"\0",
    r"\01",
    r"\101",
    r"\60",
    r"\x61",
    r"\x4B",
    r"\x{61}",
    r"\x{212a}",
    r"\x{10FFFF}",
    r"\x{FFFD}",
    r"\377",
    r"\&",
    r"\~",
    r"\/",
    r"\ ",
];

const CLASSES: &[&str] = &[
    r"\d",
    r"\D",
    r"\s",
    r"\S",
    r"\w",
    r"\W",
    r"\pL",
    r"\PL",
    r"\p{Lu}",
    r"\P{Ll}",
    r"\p{^Lu}",
    r"\P{^Lu}",
    r"\p{Greek}",
    r"\p{Latin}",
    r"\pN",
    r"\p{Cyrillic}",
    r"\p{Any}",
    r"\p{ASCII}",
    r"\p{Nd}",
    r"\p{Lt}",
    r"\p{Mn}",
    r"\p{Common}",
    r"\pZ",
];

const POSIX: &[&str] = &[
    "[:alpha:]",
    "[:^alpha:]",
    "[:word:]",
    "[:digit:]",
    "[:space:]",
    "[:upper:]",
    "[:^lower:]",
    "[:punct:]",
    "[:^ascii:]",
    "[:cntrl:]",
    "[:print:]",
    "[:^xdigit:]",
];

const LOOKS: &[&str] = &["^", "$", r"\A", r"\z", r"\b", r"\B"];

const REPEATS: &[&str] = &[
    "*", "+", "?", "{2}", "{1,2}", "{0,2}", "{1,}", "{0}", "{0,}", "{2,}", "{1}", "{0,1}", "{3,5}", "{,2}", "{01}", "{",
];

const FLAGS: &[&str] = &["i", "m", "s", "U", "im", "-i", "i-s", "-m", "s-U", "imsU", "-s", "U-i", ""];

/// What a change puts in; what matters to the syntax is there more often than letters.
const CHANGES: &str = r"()[]{}|*+?\^$.-:,<>=!&#~P019abikmpsuxzABDEQUWZ_ é";

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn pattern(&mut self) -> String {
        let mut pattern = String::new();
        if self.one_in(4) {
            pattern = format!("(?{})", self.pick(&FLAGS[..FLAGS.len() - 1]));
        }
        let depth = self.below(5);
        self.choice(&mut pattern, depth);
        pattern
    }

    fn choice(&mut self, pattern: &mut String, depth: usize) {
        let branches = [1, 1, 1, 2, 2, 3][self.below(6)];
        let start = pattern.len();
        self.sequence(pattern, depth);
        for _ in 1..branches {
            let end = pattern.len();
            pattern.push('|');
            // A beginning in common, which Go factors out.
            if self.one_in(3) {
                let shared: String = pattern[start..end].chars().take(self.below(6)).collect();
                if !shared.contains(['(', ')', '[', '\\']) {
                    pattern.push_str(&shared);
                }
            }
            self.sequence(pattern, depth);
        }
    }

    fn sequence(&mut self, pattern: &mut String, depth: usize) {
        for _ in 0..self.below(5) {
            self.piece(pattern, depth);
        }
    }

    fn piece(&mut self, pattern: &mut String, depth: usize) {
        match self.below(16) {
            0..5 => pattern.push_str(self.pick(LETTERS)),
            5 => pattern.push_str(self.pick(ESCAPES)),
            6 => pattern.push_str(self.pick(CLASSES)),
            7 | 8 => self.class(pattern),
            9 => pattern.push('.'),
            10 => pattern.push_str(self.pick(LOOKS)),
            11 => match self.below(4) {
                0 => write!(pattern, "(?{})", self.pick(FLAGS)).unwrap(),
                1 => write!(pattern, r"\Q{}.*\E", self.pick(LETTERS)).unwrap(),
                _ => pattern.push_str(self.pick(LETTERS)),
            },
            _ if depth > 0 => {
                match self.below(4) {
                    0 => pattern.push('('),
                    1 | 2 => write!(pattern, "(?{}:", self.pick(FLAGS)).unwrap(),
                    _ => pattern.push_str(["(?P<n>", "(?<n>"][self.below(2)]),
                }
                self.choice(pattern, depth - 1);
                pattern.push(')');
            }
            _ => pattern.push_str(self.pick(LETTERS)),
        }
        if self.one_in(3) {
            pattern.push_str(self.pick(REPEATS));
            if self.one_in(4) {
                pattern.push('?');
            }
        }
    }

    fn class(&mut self, pattern: &mut String) {
        pattern.push_str(if self.one_in(3) { "[^" } else { "[" });
        if self.one_in(10) {
            pattern.push_str(["]", "-"][self.below(2)]);
        }
        for _ in 0..=self.below(4) {
            match self.below(8) {
                0 => pattern.push_str(self.pick(CLASSES)),
                1 => pattern.push_str(self.pick(POSIX)),
                2 => pattern.push_str(self.pick(ESCAPES)),
                3 | 4 => pattern.push_str(self.pick(&[
                    "a-c",
                    "0-9",
                    "A-Z",
                    "!-~",
                    "é-Δ",
                    r"\x00-\x40",
                    "K-k",
                    "\u{17F}-θ",
                    "+--",
                ])),
                5 => pattern.push_str(self.pick(&["[", "&&", "--", "~~", ".", "^", "$", "*", "|", "(", "{2}", ":"])),
                _ => pattern.push_str(self.pick(LETTERS)),
            }
        }
        if self.one_in(10) {
            pattern.push('-');
        }
        pattern.push(']');
    }

    /// With one character put in, taken out, exchanged or doubled.
    fn changed(&mut self, pattern: &str) -> String {
        let mut characters: Vec<char> = pattern.chars().collect();
        let place = self.below(characters.len() + 1);
        let changes: Vec<char> = CHANGES.chars().collect();
        let new = changes[self.below(changes.len())];
        match self.below(5) {
            0 if place < characters.len() => _ = characters.remove(place),
            1 if place < characters.len() => characters[place] = new,
            2 if place < characters.len() => {
                let other = self.below(characters.len());
                characters.swap(place, other);
            }
            3 if place < characters.len() => characters.insert(place, characters[place]),
            _ => characters.insert(place, new),
        }
        characters.into_iter().collect()
    }

    /// Up to a dozen letters, some of them from the pattern itself, some not UTF-8.
    fn haystack(&mut self, pattern: &str) -> Vec<u8> {
        let mut haystack = Vec::new();
        let from_pattern: Vec<char> = pattern.chars().collect();
        for _ in 0..self.below(13) {
            if self.one_in(4) && !from_pattern.is_empty() {
                let character = from_pattern[self.below(from_pattern.len())];
                haystack.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            } else if self.one_in(2) {
                haystack.push(b"aabbckKsS07"[self.below(11)]);
            } else {
                haystack.extend_from_slice(self.pick(LETTERS).as_bytes());
            }
        }
        if self.one_in(8) && !haystack.is_empty() {
            let place = self.below(haystack.len());
            haystack[place] = [0xFF, 0xC3, 0x80, 0xED, 0xF0][self.below(5)];
        }
        haystack
    }
}
