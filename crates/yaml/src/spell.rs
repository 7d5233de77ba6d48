//! How a scalar is spelt: which styles can carry a text, and the text in each of them.
//!
//! Two questions are different. [`string_style`] chooses for a new value and quotes whatever any YAML reader might take
//! for something else (`yes`, `12:30:45`), as go-yaml does when it writes. [`reads_back_plain`] asks whether a spelling
//! that somebody else chose means what it should, as go-yaml does when it reads.

use crate::resolve::{Resolved, resolve};
use crate::tree::Style;

/// The style in which go-yaml writes a string: plain, single-quoted, double-quoted or literal.
pub fn string_style(text: &str, in_flow: bool) -> Style {
    let analysis = Analysis::of(text);
    if text.contains('\n') {
        return if analysis.block && !in_flow { Style::Literal } else { Style::DoubleQuoted };
    }
    if resolve(text) != Resolved::String || is_old_bool(text) || is_base_60(text) {
        return Style::DoubleQuoted;
    }
    let plain = if in_flow { analysis.plain_in_flow } else { analysis.plain_in_block };
    if plain {
        Style::Plain
    } else if analysis.single_quoted {
        Style::SingleQuoted
    } else {
        Style::DoubleQuoted
    }
}

/// Characters of a plain scalar that do not depend on what stands around them.
const FITS_ANYWHERE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        table[byte as usize] = !matches!(byte, b':' | b'#' | b',' | b'?' | b'[' | b']' | b'{' | b'}');
        byte += 1;
    }
    table
};

/// Does `text`, written without quotes on one line, read back as itself?
pub fn reads_back_plain(text: &str, in_flow: bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    let blank = |byte: u8| matches!(byte, b' ' | b'\t');
    let starts = match first {
        b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@'
        | b'`' => false,
        b'-' => bytes.len() > 1 && !blank(bytes[1]),
        b'?' | b':' => !in_flow && bytes.len() > 1 && !blank(bytes[1]),
        _ => !blank(first),
    };
    if !starts || blank(last) || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    if bytes.iter().all(|&byte| FITS_ANYWHERE[byte as usize]) {
        return true;
    }
    let mut previous = first;
    for (place, character) in text.char_indices() {
        let byte = bytes[place];
        let fits = match byte {
            b':' => bytes.get(place + 1).is_some_and(|&next| !blank(next)),
            b'#' => !blank(previous),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => !in_flow,
            b'\t' | b' '..=b'~' => true,
            _ => is_allowed(character) && !is_break(character) && character != '\u{feff}',
        };
        if !fits {
            return false;
        }
        previous = byte;
    }
    true
}

/// `text` between single quotes, if it can be spelt so on one line.
pub fn single_quoted(text: &str) -> Option<String> {
    let fits = text.chars().all(|character| is_allowed(character) && !is_break(character) && character != '\u{feff}');
    fits.then(|| format!("'{}'", text.replace('\'', "''")))
}

/// `text` between double quotes, on one line, with go-yaml's choice of escapes.
pub fn double_quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut spelling = String::with_capacity(text.len() + 2);
    spelling.push('"');
    for character in text.chars() {
        match character {
            '"' => spelling.push_str("\\\""),
            '\\' => spelling.push_str("\\\\"),
            '\0' => spelling.push_str("\\0"),
            '\x07' => spelling.push_str("\\a"),
            '\x08' => spelling.push_str("\\b"),
            '\t' => spelling.push_str("\\t"),
            '\n' => spelling.push_str("\\n"),
            '\x0b' => spelling.push_str("\\v"),
            '\x0c' => spelling.push_str("\\f"),
            '\r' => spelling.push_str("\\r"),
            '\x1b' => spelling.push_str("\\e"),
            '\u{85}' => spelling.push_str("\\N"),
            '\u{2028}' => spelling.push_str("\\L"),
            '\u{2029}' => spelling.push_str("\\P"),
            // Writing to a string cannot fail.
            _ if !is_printable(character) => drop(match u32::from(character) {
                code @ ..=0xff => write!(spelling, "\\x{code:02X}"),
                code @ ..=0xffff => write!(spelling, "\\u{code:04X}"),
                code => write!(spelling, "\\U{code:08X}"),
            }),
            _ => spelling.push(character),
        }
    }
    spelling.push('"');
    spelling
}

/// Can `text` stand in a literal block with lines indented by spaces, and be read back?
pub fn can_be_literal(text: &str) -> bool {
    text.chars().all(|character| {
        is_allowed(character) && !matches!(character, '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
    })
}

/// Is a literal block go-yaml's own choice for it?
pub(crate) fn may_be_literal(text: &str) -> bool {
    Analysis::of(text).block
}

/// What go-yaml's writer finds out about a text before it chooses a style.
#[expect(clippy::struct_excessive_bools, reason = "four answers to four questions")]
struct Analysis {
    plain_in_block: bool,
    plain_in_flow: bool,
    single_quoted: bool,
    block: bool,
}

impl Analysis {
    fn of(text: &str) -> Analysis {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Analysis { plain_in_block: true, plain_in_flow: false, single_quoted: true, block: false };
        }
        let mut block_indicator = text.starts_with("---") || text.starts_with("...");
        let mut flow_indicator = block_indicator;
        let (mut breaks, mut special, mut tabs) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let (mut previous_space, mut previous_break) = (false, false);
        let mut after_white = true;
        let last = text.chars().next_back().unwrap_or_default();
        for (place, character) in text.char_indices() {
            let next = bytes.get(place + character.len_utf8());
            let before_white = next.is_none_or(|next| matches!(next, b' ' | b'\t'));
            match character {
                '#' if place > 0 && !after_white => {}
                ',' | '[' | ']' | '{' | '}' | '?' if place > 0 => flow_indicator = true,
                '?' | ':' => {
                    flow_indicator = true;
                    block_indicator |= before_white;
                }
                '-' if place == 0 && before_white => {
                    flow_indicator = true;
                    block_indicator = true;
                }
                '#' => {
                    flow_indicator = true;
                    block_indicator = true;
                }
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
                    if place == 0 =>
                {
                    flow_indicator = true;
                    block_indicator = true;
                }
                _ => {}
            }
            if character == '\t' {
                tabs = true;
            } else if !is_printable(character) {
                special = true;
            }
            if character == ' ' {
                break_space |= previous_break;
                previous_space = true;
                previous_break = false;
            } else if is_break(character) {
                breaks = true;
                space_break |= previous_space;
                previous_space = false;
                previous_break = true;
            } else {
                previous_space = false;
                previous_break = false;
            }
            after_white = matches!(character, ' ' | '\t') || is_break(character) || character == '\0';
        }
        let outer = |character: char| character == ' ' || is_break(character);
        let edges = text.starts_with(outer) || text.ends_with(outer);
        let broken = space_break || special;
        let plain = !(edges || breaks || break_space || broken || tabs);
        Analysis {
            plain_in_block: plain && !block_indicator,
            plain_in_flow: plain && !flow_indicator,
            single_quoted: !(break_space || broken || tabs),
            block: last != ' ' && !broken,
        }
    }
}

fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml's writer does not escape. It has no characters beyond the basic plane.
fn is_printable(character: char) -> bool {
    matches!(character, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && character != '\u{feff}'
}

/// What a reader accepts unescaped.
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// Booleans of YAML 1.1 that YAML 1.2 reads as strings.
fn is_old_bool(text: &str) -> bool {
    matches!(text, "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON")
        || matches!(text, "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF")
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`, a number to base 60 of YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (number, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = number.split(':');
    let head = parts.next().unwrap_or_default();
    let digit = |character: char| character.is_ascii_digit();
    let mut more = parts.peekable();
    head.starts_with(digit)
        && head.chars().all(|character| digit(character) || character == '_')
        && fraction.chars().all(|character| digit(character) || character == '_')
        && more.peek().is_some()
        && more.all(|part| match part.as_bytes() {
            [unit] | [b'0'..=b'5', unit] => unit.is_ascii_digit(),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_string_gets_the_style_that_go_yaml_gives_it() {
        use Style::{DoubleQuoted, Literal, Plain, SingleQuoted};
        for (text, expected) in [
            ("word", Plain),
            ("two words", Plain),
            ("", DoubleQuoted),
            ("yes", DoubleQuoted),
            ("1", DoubleQuoted),
            ("12:30:45", DoubleQuoted),
            ("1:2", DoubleQuoted),
            ("a:b", Plain),
            ("a: b", SingleQuoted),
            ("a #b", SingleQuoted),
            ("a#b", Plain),
            (" a", SingleQuoted),
            ("-", SingleQuoted),
            ("-a", Plain),
            ("it's", Plain),
            ("'it", SingleQuoted),
            ("a\tb", DoubleQuoted),
            ("😀", DoubleQuoted),
            ("é", Plain),
            ("a\nb", Literal),
            ("a \nb", DoubleQuoted),
            ("a\n ", DoubleQuoted),
            ("---", SingleQuoted),
            ("2024-01-01", DoubleQuoted),
            ("<<", DoubleQuoted),
            ("@a", SingleQuoted),
        ] {
            assert_eq!(string_style(text, false), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_said_to_read_back_plain_does() {
        for text in [
            "a",
            "a b",
            "a:b",
            "a: b",
            "a:",
            "a #b",
            "a#b",
            "-",
            "- a",
            "-a",
            "?a",
            "? a",
            ":a",
            "[a",
            "a[",
            "a,b",
            "#a",
            "---",
            "--- a",
            "...",
            "a\tb",
            "é",
            "😀",
            "a\u{85}b",
            "\u{feff}a",
            "a\u{feff}",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "|",
            ">a",
            "'a",
            "\"a",
            "a'b",
            "yes",
            "a ",
            " a",
            "a\r",
            "\u{7f}",
            "a?b",
            "a}",
            "a]",
        ] {
            for in_flow in [false, true] {
                let document = if in_flow { format!("[{text}]") } else { format!("k: {text}\n") };
                let reads = crate::parse(document.as_bytes()).is_ok_and(|stream| {
                    let root = stream.documents().next().map(|document| document.root());
                    let values: Vec<_> = root.iter().flat_map(crate::Node::children).map(|node| node.value()).collect();
                    values.last() == Some(&text) && values.len() == if in_flow { 1 } else { 2 }
                });
                let said = reads_back_plain(text, in_flow);
                assert!(reads || !said, "{text:?} in {document:?} does not read back");
                // Here it is said of any place, where the test tries only one.
                let depends = text.contains('\u{feff}') || text.starts_with("---") || text.starts_with("...");
                if !(depends || in_flow && text.ends_with([':', '-'])) {
                    assert_eq!(said, reads, "{text:?} in {document:?}");
                }
            }
        }
    }

    #[test]
    fn quoted_spellings_read_back() {
        for text in ["", "a", "it's \"so\"", "\0\x07\x1b\t\n\r", "é\u{a0}\u{2028}😀\u{85}\u{feff}", "\\", "  a  "] {
            let stream = crate::parse(double_quoted(text).as_bytes()).unwrap();
            assert_eq!(stream.documents().next().unwrap().root().value(), text);
            if let Some(spelling) = single_quoted(text) {
                let stream = crate::parse(spelling.as_bytes()).unwrap();
                assert_eq!(stream.documents().next().unwrap().root().value(), text);
            }
        }
    }
}
