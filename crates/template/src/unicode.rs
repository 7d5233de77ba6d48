//! Characters as Go sees them: its decoding of bytes that are not UTF-8, its letters, its cases.

use std::cmp::Ordering;

use crate::tables::{CASES, DIGITS, LETTERS, PRINTABLE, Run, SPACES};

/// The first character of `bytes` and its length. A byte that begins none is U+FFFD of length 1, as in Go's `utf8`.
pub(crate) fn decode(bytes: &[u8]) -> (char, usize) {
    let Some(&first) = bytes.first() else {
        return (char::REPLACEMENT_CHARACTER, 0);
    };
    let length = match first {
        0..=0x7f => return (char::from(first), 1),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    let character = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
    character.map_or((char::REPLACEMENT_CHARACTER, 1), |character| (character, length))
}

/// The characters of `bytes`, each with its bytes.
pub(crate) fn characters(bytes: &[u8]) -> impl Iterator<Item = (char, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (character, length) = decode(rest);
        let (bytes, behind) = rest.split_at(length);
        rest = behind;
        Some((character, bytes))
    })
}

/// `utf8.RuneCount`.
pub(crate) fn count(bytes: &[u8]) -> usize {
    characters(bytes).count()
}

/// `unicode.IsLetter`.
pub(crate) fn is_letter(character: char) -> bool {
    if character.is_ascii() { character.is_ascii_alphabetic() } else { contains(LETTERS, character) }
}

/// `unicode.IsDigit`.
pub(crate) fn is_digit(character: char) -> bool {
    if character.is_ascii() { character.is_ascii_digit() } else { contains(DIGITS, character) }
}

/// `unicode.IsPrint`, which is `strconv.IsPrint`.
pub(crate) fn is_printable(character: char) -> bool {
    if character.is_ascii() { (' '..='~').contains(&character) } else { contains(PRINTABLE, character) }
}

/// `unicode.IsSpace`.
pub(crate) fn is_space(character: char) -> bool {
    contains(SPACES, character)
}

/// `unicode.ToUpper`.
pub(crate) fn upper(character: char) -> char {
    mapped(character, 0)
}

/// `unicode.ToLower`.
pub(crate) fn lower(character: char) -> char {
    mapped(character, 1)
}

/// `unicode.ToTitle`.
pub(crate) fn title(character: char) -> char {
    mapped(character, 2)
}

fn contains(runs: &[Run], character: char) -> bool {
    let code = u32::from(character);
    let place = runs.binary_search_by(|&(first, last, _)| compare(first, last, code));
    place.is_ok_and(|place| (code - runs[place].0).is_multiple_of(runs[place].2))
}

/// Where upper and lower letters alternate, this stands instead of a distance.
const ALTERNATING: i32 = 0x11_0000;

/// `case`: 0 upper, 1 lower, 2 title, as in Go.
fn mapped(character: char, case: usize) -> char {
    let code = u32::from(character);
    let Ok(place) = CASES.binary_search_by(|&(first, last, _)| compare(first, last, code)) else {
        return character;
    };
    let (first, _, distances) = CASES[place];
    let to = match distances[case] {
        ALTERNATING => first + ((code - first) & !1 | u32::from(case == 1)),
        distance => code.wrapping_add_signed(distance),
    };
    char::from_u32(to).unwrap_or(character)
}

fn compare(first: u32, last: u32, code: u32) -> Ordering {
    if last < code {
        Ordering::Less
    } else if first > code {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// Whether there is nothing but space.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    characters(bytes).all(|(character, _)| is_space(character))
}
