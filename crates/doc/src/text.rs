//! The text of a file of any format but YAML, which has a reader of its own, and places in it.

use bulla_wipe::Wiping;
use bulla_yaml::Position;

use crate::error::{Expected, ParseError};

/// The text that `bytes` are, which must be UTF-8 and have less than 4 GiB. `expected` is told where they are something else.
pub(crate) fn read(bytes: Wiping<Vec<u8>>, expected: Expected) -> Result<Wiping<String>, ParseError> {
    let text = bytes.into_text().map_err(|(bytes, valid)| {
        // What comes before the fault is UTF-8.
        let before = str::from_utf8(&bytes[..valid]).unwrap_or_default();
        ParseError { position: position(before, before.len()), expected }
    })?;
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError { position: Position { line: 1, column: 1 }, expected: Expected::Depth });
    }
    Ok(text)
}

/// Line and column of a byte, both counted from 1, columns in characters.
pub(crate) fn position(text: &str, offset: usize) -> Position {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |place| place + 1);
    Position { line: 1 + before.matches('\n').count(), column: 1 + before[line_start..].chars().count() }
}
