//! dotenv as SOPS reads it: nothing is trimmed, and nothing unquoted.
//!
//! ```text
//! #comment          KEY=value          `\n` in a value is a line break, and there is no other escape
//! ```
//! A carriage return at the end of a line is part of the value. Empty lines are no entries; they stay where they are.

use super::{Builder, DOTENV_PREFIX, Field, Token, span};
use crate::error::{Expected, ParseError};
use crate::tree::{EntryKind, NONE};

pub(super) fn read(builder: &mut Builder<'_>) -> Result<(), ParseError> {
    let text = builder.text;
    let top = Token::verbatim(0..text.len());
    let top = builder.push(top);
    let root = builder.entry(EntryKind::Mapping, top, NONE, NONE);
    let mut fields = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let lines = span(start..offset);
        let line = line.strip_suffix('\n').unwrap_or(line);
        let end = start + line.len();
        if line.is_empty() {
            continue;
        }
        if line.starts_with('#') {
            let mut token = Token::verbatim(start + 1..end);
            token.lines = lines;
            let token = builder.push(token);
            builder.entry(EntryKind::Comment, token, NONE, root);
            continue;
        }
        let Some(equals) = line.find('=') else {
            let expected = if line.trim_start().starts_with('#') {
                "a comment to begin at the start of its line; SOPS reads no other"
            } else if line.trim().is_empty() {
                "an empty line to hold nothing, not even blanks or a carriage return; SOPS reads no other"
            } else {
                "`KEY=value`, or `#` and a comment"
            };
            return builder.fault(start, Expected::Dotenv(expected));
        };
        let spelling = start + equals + 1..end;
        let mut value = if text[spelling.clone()].contains("\\n") {
            let decoded = bulla_wipe::Wiping::new(text[spelling.clone()].replace("\\n", "\n"));
            builder.decoded(spelling, &decoded)
        } else {
            Token::verbatim(spelling)
        };
        value.lines = lines;
        if let Some(name) = line[..equals].strip_prefix(DOTENV_PREFIX) {
            let key = start + equals - name.len()..start + equals;
            fields.push(Field { key, value });
            continue;
        }
        let mut key = Token::verbatim(start..start + equals);
        key.lines = lines;
        let key = builder.push(key);
        let value = builder.push(value);
        builder.entry(EntryKind::Scalar, value, key, root);
    }
    if let Some(first) = fields.first() {
        let start = first.key.start - DOTENV_PREFIX.len();
        let key = Token::verbatim(start..first.key.start);
        builder.nest(key, root, &fields)?;
    }
    builder.close(root);
    Ok(())
}
