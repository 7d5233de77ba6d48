//! JSON as `encoding/json` spells it and `json.Indent` lays it out.

use bulla_wipe::Wiping;

use crate::owned::{Item, Tree};
use crate::spell::shortest;
use crate::tree::Value;

pub(super) fn document(branch: &Tree, indent: Option<usize>) -> Wiping<Vec<u8>> {
    let mut text = value(branch, indent);
    text.append(b"\n");
    text
}

pub(super) fn value(tree: &Tree, indent: Option<usize>) -> Wiping<Vec<u8>> {
    let indent = indent.map_or_else(|| "\t".to_owned(), |spaces| " ".repeat(spaces));
    let mut printer = Printer { text: Wiping::default(), indent: Some(indent) };
    printer.tree(tree, 0);
    let Printer { text, .. } = printer;
    text.into_bytes()
}

/// On one line, as `json.Marshal` prints.
pub(super) fn compact(tree: &Tree) -> Wiping<Vec<u8>> {
    let mut printer = Printer { text: Wiping::default(), indent: None };
    printer.tree(tree, 0);
    let Printer { text, .. } = printer;
    text.into_bytes()
}

struct Printer {
    text: Wiping<String>,
    indent: Option<String>,
}

impl Printer {
    /// No deeper than [`super::DEPTH_LIMIT`], where that was checked.
    fn tree(&mut self, tree: &Tree, depth: usize) {
        let (open, close, items) = match tree {
            Tree::Scalar(scalar) => return self.scalar(&scalar.as_value()),
            Tree::Mapping(items) => ("{", "}", items),
            Tree::Sequence(items) => ("[", "]", items),
        };
        self.text.append(open);
        let mut is_first = true;
        for item in items {
            let value = match item {
                Item::Comment { .. } => continue,
                Item::Entry { value, .. } | Item::Element(value) => value,
            };
            if !is_first {
                self.text.append(",");
            }
            is_first = false;
            self.line(depth + 1);
            if let Item::Entry { key, .. } = item {
                self.string(key);
                self.text.append(if self.indent.is_some() { ": " } else { ":" });
            }
            self.tree(value, depth + 1);
        }
        if !is_first {
            self.line(depth);
        }
        self.text.append(close);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.text.append("\n");
            for _ in 0..depth {
                self.text.append(indent);
            }
        }
    }

    fn scalar(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.text.append("null"),
            Value::Bool(value) => self.text.append(if *value { "true" } else { "false" }),
            Value::Int(value) => self.text.append(&value.to_string()),
            Value::Unsigned(value) => self.text.append(&value.to_string()),
            Value::Float(value) if value.is_finite() => self.text.append(&shortest(*value, -6, 21, 1)),
            // JSON has neither of them.
            Value::Float(value) => self.string(&value.to_string()),
            Value::Time(value) => self.string(&value.to_string()),
            Value::String(bytes) => self.string(&String::from_utf8_lossy(bytes)),
        }
    }

    /// Escapes what could end a script in a page, too, as Go does.
    fn string(&mut self, text: &str) {
        self.text.append("\"");
        let mut from = 0;
        for (place, character) in text.char_indices() {
            let escape = match character {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\x08' => "\\b",
                '\x0c' => "\\f",
                '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => "",
                _ => continue,
            };
            self.text.append(&text[from..place]);
            from = place + character.len_utf8();
            if escape.is_empty() {
                self.text.append(&format!("\\u{:04x}", u32::from(character)));
            } else {
                self.text.append(escape);
            }
        }
        self.text.append(&text[from..]);
        self.text.append("\"");
    }
}
