//! Go's quoted strings and characters, written and read (`strconv.Quote`, `strconv.Unquote`).

use bulla_wipe::Wiping;

use crate::unicode::{characters, decode, is_printable};
use crate::value::Text;

/// `bytes` between `quote`s; with `ascii`, all other characters are escaped.
pub(crate) fn quote(bytes: &[u8], quote: char, ascii: bool) -> Wiping<Vec<u8>> {
    let mut quoted = Wiping::<Vec<u8>>::with_capacity(bytes.len() + bytes.len() / 4 + 2);
    let mut buffer = [0; 4];
    quoted.append(quote.encode_utf8(&mut buffer).as_bytes());
    for (character, spelling) in characters(bytes) {
        if character == char::REPLACEMENT_CHARACTER && spelling.len() == 1 {
            quoted.append(format!("\\x{:02x}", spelling[0]).as_bytes());
        } else if character == quote || character == '\\' {
            quoted.append(b"\\");
            quoted.append(spelling);
        } else if is_printable(character) && (character.is_ascii() || !ascii) {
            quoted.append(spelling);
        } else {
            quoted.append(escape(character).as_bytes());
        }
    }
    quoted.append(quote.encode_utf8(&mut buffer).as_bytes());
    quoted
}

fn escape(character: char) -> String {
    match character {
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\0'..=' ' | '\u{7f}' => format!("\\x{:02x}", u32::from(character)),
        '\u{80}'..='\u{ffff}' => format!("\\u{:04x}", u32::from(character)),
        _ => format!("\\U{:08x}", u32::from(character)),
    }
}

/// `strconv.CanBackquote`.
pub(crate) fn can_be_raw(bytes: &[u8]) -> bool {
    characters(bytes).all(|(character, spelling)| match character {
        '\u{feff}' | '`' | '\u{7f}' => false,
        char::REPLACEMENT_CHARACTER => spelling.len() > 1,
        character => character >= ' ' || character == '\t',
    })
}

/// What a string in quotes or backquotes says; `None` if it is malformed.
pub(crate) fn unquote(spelling: &[u8]) -> Option<Text> {
    let (&quote, rest) = spelling.split_first()?;
    let (&last, mut rest) = rest.split_last()?;
    if last != quote {
        return None;
    }
    if quote == b'`' {
        return Some(Text::from(rest.iter().copied().filter(|&byte| byte != b'\r').collect::<Vec<u8>>()));
    }
    let mut text = Wiping::<Vec<u8>>::with_capacity(rest.len());
    while !rest.is_empty() {
        let (unit, length) = unit(rest, quote)?;
        match unit {
            Unit::Byte(byte) => text.append(&[byte]),
            // A byte that is not UTF-8 becomes U+FFFD, as in Go.
            Unit::Character(character) => text.append(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = &rest[length..];
    }
    Some(Text::from(text))
}

/// The number of a character in `'`; `None` if it is malformed.
pub(crate) fn unquote_character(spelling: &[u8]) -> Option<u32> {
    let rest = &spelling[1..];
    let (unit, length) = unit(rest, b'\'')?;
    (rest[length..] == *b"'").then_some(match unit {
        Unit::Byte(byte) => u32::from(byte),
        Unit::Character(character) => u32::from(character),
    })
}

enum Unit {
    Byte(u8),
    Character(char),
}

fn unit(text: &[u8], quote: u8) -> Option<(Unit, usize)> {
    if text.first() != Some(&b'\\') {
        let (character, length) = decode(text);
        return (length > 0 && text[0] != quote && text[0] != b'\n').then_some((Unit::Character(character), length));
    }
    let byte = |byte, length| Some((Unit::Byte(byte), length));
    let digits = |length: usize, radix: u32| {
        let digits = text.get(2..2 + length)?;
        let valid = digits.iter().all(|&digit| char::from(digit).is_digit(radix));
        u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| valid)?, radix).ok()
    };
    match text.get(1)? {
        b'a' => byte(7, 2),
        b'b' => byte(8, 2),
        b'f' => byte(12, 2),
        b'n' => byte(b'\n', 2),
        b'r' => byte(b'\r', 2),
        b't' => byte(b'\t', 2),
        b'v' => byte(11, 2),
        b'\\' => byte(b'\\', 2),
        &mark @ (b'\'' | b'"') if mark == quote => byte(mark, 2),
        b'x' => byte(u8::try_from(digits(2, 16)?).ok()?, 4),
        b'u' => Some((Unit::Character(char::from_u32(digits(4, 16)?)?), 6)),
        b'U' => Some((Unit::Character(char::from_u32(digits(8, 16)?)?), 10)),
        first @ b'0'..=b'7' => {
            let code = u32::from(first - b'0') << 6 | digits(2, 8)?;
            byte(u8::try_from(code).ok()?, 4)
        }
        _ => None,
    }
}
