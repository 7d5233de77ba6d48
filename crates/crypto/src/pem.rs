//! PEM: DER between `-----BEGIN x-----` and `-----END x-----`. Read as Go's `encoding/pem` reads it, since key Secrets and
//! certificates are written for Go programs.
//!
//! Text around the blocks is skipped, and so is a block that is broken: labels that differ, base64 that is not. Blanks and tabs in
//! the base64 are ignored, headers (`Proc-Type: …`) are skipped. Written here and not taken from a crate because the crates at hand
//! leave unwiped copies of private keys behind. Source: Go 1.26 `encoding/pem`; vectors in `tests/vectors/crypto/pem`.

use std::fmt;

use zeroize::Zeroizing;

use crate::encoding;
use crate::secret::SecretBytes;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";

/// One block. Its content may be a private key, so it is treated as one.
pub struct Block<'a> {
    /// What stands after `BEGIN`: `CERTIFICATE`, `RSA PRIVATE KEY`, …
    pub label: &'a [u8],
    /// Whether there are headers between the label and the base64, as in encrypted keys of the old kind.
    pub has_headers: bool,
    /// The decoded content.
    pub content: SecretBytes,
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("label", &String::from_utf8_lossy(self.label)).finish_non_exhaustive()
    }
}

/// The blocks of `text`, in order.
pub fn blocks(text: &[u8]) -> Blocks<'_> {
    Blocks { rest: text }
}

/// Iterator of [`blocks`].
#[derive(Debug)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest;
        loop {
            // The first END, and the last BEGIN before it: a BEGIN without END is passed over.
            let end = find(rest, END)?;
            let after_end = &rest[end + END.len()..];
            match find_last(&rest[..end], BEGIN) {
                Some(begin) if begin == 0 || rest[begin - 1] == b'\n' => {
                    // The newline before END stays with the lines above it.
                    let inner = &rest[begin + BEGIN.len()..=end];
                    if let Some((block, after)) = read_block(inner, after_end) {
                        self.rest = after;
                        return Some(block);
                    }
                }
                _ => {}
            }
            rest = after_end;
        }
    }
}

/// Writes one block: lines of 64 digits, a newline at the end. The text wipes itself, since it may be a private key.
pub fn encode(label: &str, content: &[u8]) -> Zeroizing<String> {
    let digits = Zeroizing::new(encoding::encode(content));
    let lines = digits.len().div_ceil(64);
    let mut text = Zeroizing::new(String::with_capacity(
        digits.len() + lines + 2 * (label.len() + BEGIN.len() + DASHES.len() + 1),
    ));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in digits.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Reads a block from the text after `BEGIN ` up to and with the newline before `-----END`, and the text after `END `.
fn read_block<'a>(inner: &'a [u8], after_end: &'a [u8]) -> Option<(Block<'a>, &'a [u8])> {
    let (label, mut body) = first_line(inner);
    let label = label.strip_suffix(DASHES)?;
    let (end_line, after) = first_line(after_end);
    if end_line != [label, DASHES].concat() {
        return None;
    }
    let mut has_headers = false;
    loop {
        let (line, next) = first_line(body);
        if !line.contains(&b':') {
            break;
        }
        has_headers = true;
        body = next;
    }
    if has_headers && body.is_empty() {
        // Headers that run into END without an empty line.
        return None;
    }
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(body.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t')).collect());
    let content = SecretBytes::new(encoding::decode_go(&digits).ok()?);
    Some((Block { label, has_headers, content }, after))
}

/// The first line without its line break and trailing blanks, and what follows.
fn first_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[][..]),
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let kept = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    (&line[..kept], rest)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn find_last(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).rposition(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, Vec<u8>)> {
        blocks(text.as_bytes())
            .map(|block| {
                let label = String::from_utf8(block.label.to_vec()).unwrap();
                (label, block.content.expose_secret().to_vec())
            })
            .collect()
    }

    #[test]
    fn text_around_blocks_and_broken_blocks_are_skipped() {
        let hello = ("X".to_owned(), b"hello".to_vec());
        for (text, expected) in [
            ("", vec![]),
            ("-----BEGIN X-----\naGVsbG8=\n-----END X-----", vec![hello.clone()]),
            ("-----BEGIN X-----\r\naGVs\r\nbG8=\r\n-----END X-----\r\n", vec![hello.clone()]),
            ("subject: me\n\n-----BEGIN X-----  \n aGVs bG8=\n-----END X-----\t\nbye", vec![hello.clone()]),
            ("junk -----BEGIN X-----\naGVsbG8=\n-----END X-----\n", vec![]),
            ("-----BEGIN X-----\naGVsbG8=\n-----END Y-----\n", vec![]),
            ("-----BEGIN X-----\naGVsbG8\n-----END X-----\n", vec![]),
            ("-----BEGIN X-----\naGVsbG8=\n-----END X----- no\n", vec![]),
            ("-----BEGIN X-----\n-----BEGIN X-----\naGVsbG8=\n-----END X-----\n", vec![hello.clone()]),
            ("-----BEGIN X-----\nA: b\n\naGVsbG8=\n-----END X-----\n", vec![hello.clone()]),
            (
                "-----BEGIN X-----\n*\n-----END X-----\n-----BEGIN X-----\naGVsbG8=\n-----END X-----\n",
                vec![hello.clone()],
            ),
            ("-----BEGIN X-----\n-----END X-----\n", vec![("X".to_owned(), vec![])]),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn debug_shows_the_label_only() {
        let block = blocks(b"-----BEGIN X-----\naGVsbG8=\n-----END X-----").next().unwrap();
        assert_eq!(format!("{block:?}"), "Block { label: \"X\", .. }");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(contents in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let text: String = contents.iter().map(|content| encode("RSA PRIVATE KEY", content).to_string()).collect();
            let expected: Vec<_> = contents.into_iter().map(|content| ("RSA PRIVATE KEY".to_owned(), content)).collect();
            prop_assert_eq!(read(&text), expected);
        }

        #[test]
        fn garbage_never_panics(text in "(-----BEGIN |-----END |X|-----|\n|\r|:| |aGVs|=|\\*)*") {
            let _ = read(&text);
        }
    }
}
