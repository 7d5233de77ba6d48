//! Variants of a text, for finding inputs on which two programs differ. All from a seed: the same seed gives the same
//! variants on every machine, so a difference is reported as its seed and found again.
//!
//! ```
//! use bulla_testkit::mutate::{Random, mutate};
//! let mut random = Random::new(7);
//! let variant = mutate(&mut random, b"a: 1\nb: [2, 3]\n", b"other: text\n");
//! assert_eq!(variant, mutate(&mut Random::new(7), b"a: 1\nb: [2, 3]\n", b"other: text\n"));
//! ```

use std::ops::Range;

/// A stream of numbers from a seed (xorshift64*). For tests; nothing secret may come from it.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        // Seeds that are near each other must not begin with similar numbers, and the state must not be 0 (splitmix64).
        let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((state ^ (state >> 31)).max(1))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound as u64).expect("it is below a usize")
    }

    /// True once in `times`.
    ///
    /// # Panics
    /// If `times` is 0.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number().to_le_bytes()[7]).collect()
    }
}

/// A variant of `input`: one to six changes, each a small one that matters to YAML or JSON. `other` is a text that pieces
/// are taken from; it may be `input` itself.
pub fn mutate(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut text = input.to_vec();
    for _ in 0..=random.below(6) {
        change(random, &mut text, other);
    }
    text
}

/// What means something to YAML, JSON or the reader of characters, wherever it stands.
const TOKENS: &[&[u8]] = &[
    b"- ",
    b": ",
    b":",
    b"? ",
    b"#",
    b" # beside",
    b"'",
    b"\"",
    b"|",
    b">",
    b"|-",
    b"|+",
    b"|2-",
    b">1",
    b"&a ",
    b"*a",
    b"&a",
    b"*a : ",
    b"<<: *a",
    b"!",
    b"! ",
    b"!!int ",
    b"!!str ",
    b"!!float ",
    b"!!binary ",
    b"!!null ",
    b"!local ",
    b"!<tag:yaml.org,2002:str> ",
    b"!!",
    b"\t",
    b" ",
    b"  ",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\r",
    b"---\n",
    b"--- ",
    b"...\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b", ",
    b"[]",
    b"{}",
    b"[a, b]",
    b"{a: b}",
    b"%YAML 1.1\n---\n",
    b"%YAML 1.2\n---\n",
    b"%TAG !e! tag:example.org,2000:\n---\n",
    b"%",
    b"@",
    b"`",
    b"\\",
    b"\\n",
    b"\\\n",
    b"\\x41",
    b"\\u263A",
    b"\\U0001F600",
    b"\\ud83d\\ude00",
    b"\\'",
    b"\\/",
    b"''",
    b"~",
    b"null",
    b"true",
    b"yes",
    b"0",
    b"0755",
    b"0o17",
    b"0x1F",
    b"0b11",
    b"1_000",
    b"-1",
    b"+1",
    b"1.50",
    b"1e3",
    b".5",
    b".inf",
    b".nan",
    b"12:30:45",
    b"9223372036854775808",
    b"18446744073709551616",
    b"2001-01-01",
    b"2001-12-14t21:59:43.10-05:00",
    b"=",
    b"<<",
    b"\xEF\xBB\xBF",     // byte order mark
    b"\xC3\xA9",         // two bytes
    b"\xE2\x82\xAC",     // three
    b"\xF0\x9F\x98\x80", // four
    b"\xC2\x85",         // next line
    b"\xE2\x80\xA8",     // line separator
    b"\xE2\x80\xA9",     // paragraph separator
    b"\xC2\xA0",         // no-break space
    b"\xEF\xBF\xBE",     // not a character
    b"\xED\xA0\x80",     // a surrogate
    b"\xC0\x80",         // overlong
    b"\xFF",
    b"\0",
    b"\x07",
    b"\x7F",
];

/// Whole lines: comments above all, because what they belong to depends on everything around them.
const LINES: &[&[u8]] = &[
    b"",
    b"# one",
    b"# two",
    b"#",
    b"#three",
    b"- # four",
    b"- item",
    b"- - item",
    b"-",
    b"key:",
    b"key: value",
    b"key: value # five",
    b"key: # six",
    b"key: |",
    b"key: >-",
    b"key: [ # seven",
    b"key: {",
    b"]",
    b"}",
    b"? key",
    b"? # eight",
    b": value",
    b": # nine",
    b"&a",
    b"!!map",
    b"---",
    b"--- # ten",
    b"...",
    b"... # eleven",
    b"\"text",
    b"text\"",
];

fn change(random: &mut Random, text: &mut Vec<u8>, other: &[u8]) {
    match random.below(20) {
        0..=3 => {
            let place = place(random, text);
            insert(text, place, random.pick(TOKENS));
        }
        4..=6 => {
            let place = line(random, text).start;
            let mut new = indentation(random, text, place);
            new.extend_from_slice(random.pick(LINES));
            new.push(b'\n');
            insert(text, place, &new);
        }
        7 => {
            let piece = piece(random, text, 16);
            text.drain(piece);
        }
        8 => {
            let line = line(random, text);
            text.drain(line);
        }
        9 => {
            let line = line(random, text);
            let copy = text[line.clone()].to_vec();
            insert(text, line.end, &copy);
        }
        10 => {
            let (one, two) = (line(random, text), line(random, text));
            let (first, second) = if one.start <= two.start { (one, two) } else { (two, one) };
            if first.end <= second.start {
                let swapped = [&text[second.clone()], &text[first.end..second.start], &text[first.clone()]].concat();
                text.splice(first.start..second.end, swapped);
            }
        }
        11..=13 => indent(random, text),
        14 | 15 => {
            let (source, place) = (piece(random, other, 60), place(random, text));
            insert(text, place, &other[source]);
        }
        16 => {
            let source = line(random, other);
            let place = line(random, text).start;
            insert(text, place, &other[source]);
        }
        17 => {
            let piece = piece(random, text, 1);
            let token = random.pick(TOKENS);
            text.splice(piece, token.iter().copied());
        }
        18 => {
            // Two lines become one, or only the line break changes.
            let end = line(random, text).end;
            if end > 0 && text[end - 1] == b'\n' {
                let separator = random.pick(&[b"".as_slice(), b" ", b"\r\n", b"\r", b"\xE2\x80\xA8"]);
                text.splice(end - 1..end, separator.iter().copied());
            }
        }
        _ => {
            // Mostly near the end, so that something is left to look at.
            let kept = if random.once_in(2) {
                random.below(text.len() + 1)
            } else {
                text.len().saturating_sub(random.below(20))
            };
            text.truncate(kept);
        }
    }
}

fn insert(text: &mut Vec<u8>, place: usize, new: &[u8]) {
    text.splice(place..place, new.iter().copied());
}

/// A place in the text: any, or where a token most likely means something.
fn place(random: &mut Random, text: &[u8]) -> usize {
    if random.once_in(2) {
        return random.below(text.len() + 1);
    }
    let line = line(random, text);
    let bytes = &text[line.clone()];
    match random.below(4) {
        0 => line.start,
        1 => line.start + bytes.iter().take_while(|&&byte| byte == b' ' || byte == b'-').count(),
        2 => bytes.iter().position(|&byte| byte == b':').map_or(line.start, |colon| line.start + colon + 1),
        _ => line.end - usize::from(bytes.ends_with(b"\n")),
    }
}

/// A range of up to `longest` bytes.
fn piece(random: &mut Random, text: &[u8], longest: usize) -> Range<usize> {
    let start = random.below(text.len() + 1);
    let end = start + 1 + random.below(longest);
    start..end.min(text.len())
}

/// A line with its line break.
fn line(random: &mut Random, text: &[u8]) -> Range<usize> {
    let inside = random.below(text.len() + 1);
    let start = text[..inside].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let end = text[inside..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| inside + end + 1);
    start..end
}

/// The indentation of the line that begins at `place`, or one near it.
fn indentation(random: &mut Random, text: &[u8], place: usize) -> Vec<u8> {
    let depth = text[place..].iter().take_while(|&&byte| byte == b' ').count();
    let depth = match random.below(5) {
        0 => 0,
        1 => depth.saturating_sub(2),
        2 => depth + 2,
        3 => depth + random.below(4),
        _ => depth,
    };
    vec![b' '; depth]
}

/// Moves one to four lines to the left or right.
fn indent(random: &mut Random, text: &mut Vec<u8>) {
    let mut start = line(random, text).start;
    let (left, by) = (random.once_in(2), 1 + random.below(4));
    let tab = random.once_in(20);
    for _ in 0..=random.below(4) {
        if left {
            let spaces = text[start..].iter().take_while(|&&byte| byte == b' ').count();
            text.drain(start..start + spaces.min(by));
        } else if tab {
            insert(text, start, b"\t");
        } else {
            insert(text, start, &vec![b' '; by]);
        }
        match text[start..].iter().position(|&byte| byte == b'\n') {
            Some(end) => start += end + 1,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const TEXT: &[u8] = b"# head\na: 1\nb:\n  - x # one\n  - |\n    text\nc: {d: e}\n";

    #[test]
    fn the_same_seed_gives_the_same_variants_on_every_machine() {
        let variants = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| mutate(&mut random, TEXT, TEXT)).collect::<Vec<_>>()
        };
        assert_eq!(variants(1), variants(1));
        assert_ne!(variants(1), variants(2));
        assert_eq!(Random::new(0).number(), 0x7BBC_B40D_5506_82D0);
    }

    #[test]
    fn variants_differ_and_stay_near() {
        let mut random = Random::new(3);
        let variants: HashSet<Vec<u8>> = (0..1000).map(|_| mutate(&mut random, TEXT, b"other: text\n")).collect();
        assert!(variants.len() > 900, "only {} distinct variants of 1000", variants.len());
        assert!(variants.iter().all(|variant| variant.len() < 2 * TEXT.len() + 400));
    }

    #[test]
    fn every_input_has_variants() {
        let mut random = Random::new(4);
        for input in [b"".as_slice(), b"\n", b"a", b"\xFF", b"\r\n"] {
            for _ in 0..1000 {
                mutate(&mut random, input, b"");
            }
        }
    }

    #[test]
    fn numbers_are_spread() {
        let mut random = Random::new(5);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            counts[random.below(10)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
