//! From bytes to characters: encoding, byte order mark, and the characters that YAML allows.
//!
//! Source: YAML 1.1 §5.1–5.2. A byte order mark chooses the encoding; without one it is UTF-8.

use zeroize::Zeroizing;

use crate::error::{Expected, ParseError, Position};

/// How the input spells its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a byte order mark.
    Utf8,
    /// UTF-8 behind a byte order mark.
    Utf8WithMark,
    /// UTF-16, little end first, behind a byte order mark.
    Utf16Little,
    /// UTF-16, big end first, behind a byte order mark.
    Utf16Big,
}

const LIMIT: usize = 1 << 30;

impl Encoding {
    /// Spells `text` in this encoding, byte order mark included.
    pub fn encode(self, text: &str) -> Zeroizing<Vec<u8>> {
        match self {
            Encoding::Utf8 => Zeroizing::new(text.as_bytes().to_vec()),
            Encoding::Utf8WithMark => {
                let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() + 3));
                bytes.extend_from_slice(b"\xef\xbb\xbf");
                bytes.extend_from_slice(text.as_bytes());
                bytes
            }
            Encoding::Utf16Little => encode_utf16(text, u16::to_le_bytes),
            Encoding::Utf16Big => encode_utf16(text, u16::to_be_bytes),
        }
    }
}

fn encode_utf16(text: &str, spell: fn(u16) -> [u8; 2]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
    bytes.extend_from_slice(&spell(0xfeff));
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&spell(unit));
    }
    bytes
}

/// The characters of `input` without its byte order mark, all of them allowed in YAML.
pub(crate) fn decode(input: &[u8]) -> Result<(Encoding, Zeroizing<String>), ParseError> {
    if input.len() > LIMIT {
        return Err(ParseError { position: Position { line: 1, column: 1 }, expected: Expected::Size });
    }
    let (encoding, text) = if let Some(rest) = input.strip_prefix(b"\xff\xfe") {
        (Encoding::Utf16Little, decode_utf16(rest, u16::from_le_bytes)?)
    } else if let Some(rest) = input.strip_prefix(b"\xfe\xff") {
        (Encoding::Utf16Big, decode_utf16(rest, u16::from_be_bytes)?)
    } else if let Some(rest) = input.strip_prefix(b"\xef\xbb\xbf") {
        (Encoding::Utf8WithMark, decode_utf8(rest)?)
    } else {
        (Encoding::Utf8, decode_utf8(input)?)
    };
    check(&text)?;
    Ok((encoding, text))
}

fn decode_utf8(bytes: &[u8]) -> Result<Zeroizing<String>, ParseError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            // `valid_up_to` ends a valid prefix, so it decodes.
            let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
            Err(ParseError { position: position(before, before.len()), expected: Expected::Encoding("UTF-8") })
        }
    }
}

fn decode_utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Result<Zeroizing<String>, ParseError> {
    let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() / 2 * 3));
    for character in char::decode_utf16(units) {
        let Ok(character) = character else {
            let expected = Expected::Encoding("UTF-16");
            return Err(ParseError { position: position(&text, text.len()), expected });
        };
        text.push(character);
    }
    if bytes.len() % 2 == 1 {
        return Err(ParseError { position: position(&text, text.len()), expected: Expected::Encoding("UTF-16") });
    }
    Ok(text)
}

/// Refuses the characters that go-yaml's reader refuses, and a second byte order mark at the start, which it misreads.
fn check(text: &str) -> Result<(), ParseError> {
    let bytes = text.as_bytes();
    let fault = |offset| ParseError { position: position(text, offset), expected: Expected::Printable };
    for (offset, &byte) in bytes.iter().enumerate() {
        let allowed = match byte {
            b' '..=b'~' | b'\n' | b'\t' | b'\r' => true,
            0..=0x7f => false,
            // U+0080 to U+009F but for U+0085, the next line.
            0xc2 => bytes[offset + 1] >= 0xa0 || bytes[offset + 1] == 0x85,
            // U+FFFE and U+FFFF.
            0xef => !(bytes[offset + 1] == 0xbf && bytes[offset + 2] >= 0xbe),
            _ => true,
        };
        if !allowed {
            return Err(fault(offset));
        }
    }
    if text.starts_with('\u{feff}') {
        return Err(ParseError { position: position(text, 0), expected: Expected::ByteOrderMark });
    }
    Ok(())
}

/// Line and column of a byte offset. Line breaks are those of YAML 1.1.
pub(crate) fn position(text: &str, offset: usize) -> Position {
    let mut position = Position { line: 1, column: 1 };
    let mut characters = text[..offset].chars().peekable();
    while let Some(character) = characters.next() {
        let line_break = match character {
            '\r' => characters.peek() != Some(&'\n'),
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => true,
            _ => false,
        };
        if line_break {
            position.line += 1;
            position.column = 1;
        } else {
            position.column += 1;
        }
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_read_and_spelt_again() {
        for encoding in [Encoding::Utf8, Encoding::Utf8WithMark, Encoding::Utf16Little, Encoding::Utf16Big] {
            let bytes = encoding.encode("a: é😀\n");
            let (read, text) = decode(&bytes).unwrap();
            assert_eq!((read, text.as_str()), (encoding, "a: é😀\n"));
        }
    }

    #[test]
    fn a_forbidden_character_is_refused_at_its_place() {
        for (input, line, column) in [
            (&b"a: b\n\x00"[..], 2, 1),
            (b"a: \x7f", 1, 4),
            (b"\xc3\xa9\xc2\x80", 1, 2),
            (b"a\r\nb\xef\xbf\xbe", 2, 2),
            (b"a: \xff", 1, 4),
            (b"\xff\xfea", 1, 1),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", 1, 1),
        ] {
            let error = decode(input).unwrap_err();
            assert_eq!(error.position, Position { line, column }, "{input:?}");
        }
    }
}
