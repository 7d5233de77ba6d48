//! Dates, as sops gives them back: in full. `2024-01-01` is `2024-01-01T00:00:00Z` once it was encrypted and decrypted, and whoever reads what
//! `sops` prints may count on that. So under this name they are written in full before they are encrypted, and the last line is ended.
//! Everything else keeps its spelling.
//!
//! Source: sops 3.13.3 `functional-tests` (`test_yaml_time`).

use bulla_doc::{Document, Edits, Format, Node, Step, Value};
use bulla_wipe::Wiping;

/// `plain` with its dates in full; `None` if it is as it is to be, or cannot be read.
pub(super) fn in_full(plain: &[u8], format: Format) -> Option<Wiping<Vec<u8>>> {
    if format != Format::Yaml {
        return None;
    }
    let document = Document::parse(plain, format).ok()?;
    let mut edits = Edits::new(&document);
    for step in document.branches().flat_map(Node::walk) {
        let Step::Leaf(leaf) = step else { continue };
        let value = leaf.value();
        let Value::Time(time) = value else { continue };
        if !leaf.is_alias() && !leaf.is_expanded() && leaf.spelling() != time.to_string() {
            edits.set_value(leaf, &value);
        }
    }
    if edits.is_empty() {
        return None;
    }
    let mut text = edits.apply();
    if !text.ends_with(b"\n") {
        let mut ended = Wiping::new(Vec::with_capacity(text.len() + 1));
        ended.extend_from_slice(&text);
        ended.push(b'\n');
        text = ended;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_in_full_and_all_else_stays() {
        for (plain, expected) in [
            ("a: 2024-01-01", Some("a: 2024-01-01T00:00:00Z\n")),
            ("a:   2001-12-14 21:59:43.10 # why\nb: 0x1F\n", Some("a:   2001-12-14T21:59:43.1Z # why\nb: 0x1F\n")),
            ("{a: [2024-1-1, x], b: '2024-01-01'}\n", Some("{a: [2024-01-01T00:00:00Z, x], b: '2024-01-01'}\n")),
            ("a: &x 2024-01-01\nb: *x\n", Some("a: &x 2024-01-01T00:00:00Z\nb: *x\n")),
            ("a: 2006-01-02T15:04:05+07:06", None),
            ("a: '2024-01-01'\nb: 7", None),
            ("a: [", None),
        ] {
            let found = in_full(plain.as_bytes(), Format::Yaml);
            assert_eq!(
                found.as_ref().map(|text| String::from_utf8_lossy(text).into_owned()).as_deref(),
                expected,
                "{plain}"
            );
        }
        assert!(in_full(b"{\"a\": \"2024-01-01\"}", Format::Json).is_none());
    }
}
