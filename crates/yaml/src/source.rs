//! From bytes to characters: encoding, byte order mark, and the characters that YAML allows.
//!
//! Source: YAML 1.1 §5.1–5.2. A byte order mark chooses the encoding; without one it is UTF-8.

use bulla_wipe::Wiping;

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
    pub fn encode(self, text: &str) -> Wiping<Vec<u8>> {
        match self {
            Encoding::Utf8 => Wiping::new(text.as_bytes().to_vec()),
            Encoding::Utf8WithMark => {
                let mut bytes = Wiping::new(Vec::with_capacity(text.len() + 3));
                bytes.extend_from_slice(b"\xef\xbb\xbf");
                bytes.extend_from_slice(text.as_bytes());
                bytes
            }
            Encoding::Utf16Little => encode_utf16(text, u16::to_le_bytes),
            Encoding::Utf16Big => encode_utf16(text, u16::to_be_bytes),
        }
    }
}

fn encode_utf16(text: &str, spell: fn(u16) -> [u8; 2]) -> Wiping<Vec<u8>> {
    let mut bytes = Wiping::new(Vec::with_capacity(2 * text.len() + 2));
    bytes.extend_from_slice(&spell(0xfeff));
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&spell(unit));
    }
    bytes
}

/// The characters of `input` without its byte order mark, all of them allowed in YAML. UTF-8 without a mark is not copied.
pub(crate) fn decode(input: Wiping<Vec<u8>>) -> Result<(Encoding, Wiping<String>), ParseError> {
    if input.len() > LIMIT {
        return Err(ParseError { position: Position { line: 1, column: 1 }, expected: Expected::Size });
    }
    let (encoding, text) = if let Some(rest) = input.strip_prefix(b"\xff\xfe") {
        (Encoding::Utf16Little, decode_utf16(rest, u16::from_le_bytes)?)
    } else if let Some(rest) = input.strip_prefix(b"\xfe\xff") {
        (Encoding::Utf16Big, decode_utf16(rest, u16::from_be_bytes)?)
    } else if let Some(rest) = input.strip_prefix(b"\xef\xbb\xbf") {
        (Encoding::Utf8WithMark, decode_utf8(Wiping::new(rest.to_vec()))?)
    } else {
        (Encoding::Utf8, decode_utf8(input)?)
    };
    check(&text)?;
    Ok((encoding, text))
}

fn decode_utf8(bytes: Wiping<Vec<u8>>) -> Result<Wiping<String>, ParseError> {
    bytes.into_text().map_err(|(bytes, valid)| {
        // A valid prefix decodes.
        let before = str::from_utf8(&bytes[..valid]).unwrap_or_default();
        ParseError { position: position(before, before.len()), expected: Expected::Encoding("UTF-8") }
    })
}

fn decode_utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Result<Wiping<String>, ParseError> {
    let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
    let mut text = Wiping::new(String::with_capacity(bytes.len() / 2 * 3));
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
    let (blocks, _) = bytes.as_chunks::<64>();
    // Nearly all text is plain, which is seen on many bytes at once.
    let is_plain = |block: &[u8; 64]| {
        let mut plain = 0;
        for &byte in block {
            plain += u8::from(matches!(byte, b' '..=b'~')) | u8::from(byte == b'\n');
        }
        plain == 64
    };
    let mut from = 0;
    // The last round is about the rest, of less than 64 bytes.
    for block in blocks.iter().chain([&[0; 64]]) {
        let end = bytes.len().min(from + 64);
        if !is_plain(block)
            && let Some(place) = (from..end).find(|&place| !is_allowed(bytes, place))
        {
            return Err(ParseError { position: position(text, place), expected: Expected::Printable });
        }
        from = end;
    }
    if text.starts_with('\u{feff}') {
        return Err(ParseError { position: position(text, 0), expected: Expected::ByteOrderMark });
    }
    Ok(())
}

/// Is the character that begins at `place` one that YAML allows? Inside a character, yes.
fn is_allowed(bytes: &[u8], place: usize) -> bool {
    match bytes[place] {
        b' '..=b'~' | b'\n' | b'\t' | b'\r' => true,
        0..=0x7f => false,
        // U+0080 to U+009F but for U+0085, the next line.
        0xc2 => bytes[place + 1] >= 0xa0 || bytes[place + 1] == 0x85,
        // U+FFFE and U+FFFF.
        0xef => !(bytes[place + 1] == 0xbf && bytes[place + 2] >= 0xbe),
        _ => true,
    }
}

/// Line and column of a byte offset. Line breaks are those of YAML 1.1.
pub(crate) fn position(text: &str, offset: usize) -> Position {
    let before = &text.as_bytes()[..offset];
    let (mut line, mut line_start) = (1, 0);
    for (place, &byte) in before.iter().enumerate() {
        let next = || before.get(place + 1..).unwrap_or_default();
        let length = match byte {
            b'\n' => 1,
            b'\r' if !next().starts_with(b"\n") => 1,
            0xc2 if next().starts_with(b"\x85") => 2,
            0xe2 if matches!(next(), [0x80, 0xa8 | 0xa9, ..]) => 3,
            _ => continue,
        };
        line += 1;
        line_start = place + length;
    }
    Position { line, column: text[line_start..offset].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_read_and_spelt_again() {
        for encoding in [Encoding::Utf8, Encoding::Utf8WithMark, Encoding::Utf16Little, Encoding::Utf16Big] {
            let bytes = encoding.encode("a: é😀\n");
            let (read, text) = decode(bytes).unwrap();
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
            let error = decode(Wiping::new(input.to_vec())).unwrap_err();
            assert_eq!(error.position, Position { line, column }, "{input:?}");
        }
    }
}
