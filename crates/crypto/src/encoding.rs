//! Base64 as Go's `base64.StdEncoding` reads it, which decides what SOPS and Sealed Secrets accept.
//!
//! Standard alphabet. Padding is required; CR and LF are skipped anywhere, between the two `=` included; non-zero trailing bits are
//! tolerated; blanks, tabs and anything after the padding are errors. Writing is canonical, without line breaks.
//!
//! Source: Go 1.26 `encoding/base64`. Vectors, made by it: `tests/vectors/crypto/base64`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Reads text without line breaks, the usual case, at full speed. What it refuses, [`decode_slowly`] judges.
const FAST: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Text that Go's decoder refuses; says where, and not what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {offset}")]
pub struct Base64Error {
    /// Offset in bytes that Go reports for the same input.
    pub offset: usize,
}

/// Decodes `text` as Go's `base64.StdEncoding.DecodeString` does.
///
/// # Errors
/// [`Base64Error`] with Go's offset, where Go fails.
pub fn decode_go(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let mut bytes = vec![0; decoded_capacity(text.len())];
    let length = decode_go_slice(text, &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Encodes `bytes` with padding and without line breaks.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Room that [`decode_go_slice`] needs for a text of `length` bytes.
pub(crate) fn decoded_capacity(length: usize) -> usize {
    length / 4 * 3 + 3
}

/// Decodes `text` to the start of `bytes` and returns how many there are. `bytes` has at least [`decoded_capacity`].
pub(crate) fn decode_go_slice(text: &[u8], bytes: &mut [u8]) -> Result<usize, Base64Error> {
    FAST.decode_slice(text, bytes).or_else(|_| decode_slowly(text, bytes))
}

/// Appends the encoding of `bytes` to `out`.
pub(crate) fn encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_length(bytes.len()), 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written.ok(), Some(out.len() - start));
}

/// Characters in the encoding of `length` bytes.
pub(crate) fn encoded_length(length: usize) -> usize {
    length.div_ceil(3) * 4
}

/// Four digits at a time, with Go's rules for line breaks, padding and what an error points at.
fn decode_slowly(text: &[u8], bytes: &mut [u8]) -> Result<usize, Base64Error> {
    let mut at = 0;
    let mut written = 0;
    loop {
        let mut digits = [0_u8; 4];
        let mut count = 0;
        while count < 4 {
            let Some(&byte) = text.get(at) else {
                // Go counts back by digits, not by bytes: line breaks within the group move the offset.
                return if count == 0 { Ok(written) } else { Err(Base64Error { offset: at - count }) };
            };
            at += 1;
            match byte {
                b'\r' | b'\n' => {}
                b'=' => {
                    let end = end_of_padding(text, at, count)?;
                    debug_assert_eq!(end, text.len());
                    return Ok(written + write_digits(digits, count, &mut bytes[written..]));
                }
                _ => {
                    digits[count] = digit(byte).ok_or(Base64Error { offset: at - 1 })?;
                    count += 1;
                }
            }
        }
        written += write_digits(digits, 4, &mut bytes[written..]);
    }
}

/// Checks what follows the first `=`, which stands just before `at` after `count` digits of its group. Returns the end of the text.
fn end_of_padding(text: &[u8], mut at: usize, count: usize) -> Result<usize, Base64Error> {
    let skip_breaks = |at: &mut usize| {
        while matches!(text.get(*at), Some(b'\r' | b'\n')) {
            *at += 1;
        }
    };
    match count {
        0 | 1 => return Err(Base64Error { offset: at - 1 }),
        2 => {
            skip_breaks(&mut at);
            match text.get(at) {
                None => return Err(Base64Error { offset: text.len() }),
                Some(b'=') => at += 1,
                Some(_) => return Err(Base64Error { offset: at - 1 }),
            }
        }
        _ => {}
    }
    skip_breaks(&mut at);
    if at < text.len() { Err(Base64Error { offset: at }) } else { Ok(at) }
}

/// Writes the whole bytes among `count` digits; returns how many.
fn write_digits(digits: [u8; 4], count: usize, bytes: &mut [u8]) -> usize {
    let [a, b, c, d] = digits;
    let whole = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    let length = count - 1;
    bytes[..length].copy_from_slice(&whole[..length]);
    length
}

/// Value of one digit. Not constant in time: what comes here is ciphertext, or text with a fault.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tolerates_what_go_tolerates() {
        for (text, expected) in [
            ("", &b""[..]),
            ("\r\n\n", b""),
            ("aGVsbG8=", b"hello"),
            ("aGVs\nbG8=", b"hello"),
            ("a\nGVsb\r\nG8=\n\n", b"hello"),
            ("aGVsbA=\n=", b"hell"),
            ("aGVsbG9=", b"hello"), // trailing bits that are not zero
            ("aGVsbB==", b"hell"),
        ] {
            assert_eq!(decode_go(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn refuses_where_go_refuses() {
        for (text, offset) in [
            ("a", 0),
            ("aGVsbG8", 4),
            ("aGVs\nbG8", 5), // Go counts back three digits from the end
            ("aGVsb\nG8", 5),
            ("=", 0),
            ("a===", 1),
            ("aGVsbA=", 7),
            ("aGVsbA=a", 6),
            ("aGVsbG8=a", 8),
            ("aGVs bG8=", 4),
            ("aGVs\tbG8=", 4),
            ("aGVsbG8-", 7),
            ("\u{e9}GVs", 0),
        ] {
            assert_eq!(decode_go(text.as_bytes()), Err(Base64Error { offset }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_slow_reader_agrees_with_the_fast_one(bytes: Vec<u8>) {
            let text = encode(&bytes);
            let mut slow = vec![0; decoded_capacity(text.len())];
            let length = decode_slowly(text.as_bytes(), &mut slow).unwrap();
            prop_assert_eq!(&slow[..length], &bytes[..]);
            prop_assert_eq!(decode_go(text.as_bytes()).unwrap(), bytes);
        }

        #[test]
        fn line_breaks_anywhere_change_nothing(bytes: Vec<u8>, breaks in proptest::collection::vec((any::<prop::sample::Index>(), prop::bool::ANY), 0..6)) {
            let mut text = encode(&bytes);
            for (index, carriage) in breaks {
                text.insert(index.index(text.len() + 1), if carriage { '\r' } else { '\n' });
            }
            prop_assert_eq!(decode_go(text.as_bytes()).unwrap(), bytes);
        }

        #[test]
        fn garbage_never_panics(text: Vec<u8>) {
            let _ = decode_go(&text);
        }
    }
}
