//! YAML as go-yaml prints it for SOPS.

use base64::Engine as _;
use bulla_wipe::Wiping;
use bulla_yaml::Writer;

use crate::owned::{Item, Tree, feed_scalar};
use crate::spell::{LINE_BREAKS, plain_value, shortest};
use crate::tree::Value;

/// Characters of base64 on one line.
const BINARY_LINE: usize = 70;

pub(super) fn documents(branches: &[Tree], indent: Option<usize>) -> Wiping<Vec<u8>> {
    let mut writer = Writer::new(indent.filter(|indent| *indent > 0).unwrap_or(4));
    for branch in branches {
        writer.start_document();
        if let Tree::Mapping(items) = branch {
            feed(items, &mut writer);
        }
        writer.end_document();
    }
    let mut text = writer.finish();
    Wiping::new(std::mem::take(&mut *text).into_bytes())
}

/// A list or value by itself.
pub(super) fn value(tree: &Tree) -> Wiping<Vec<u8>> {
    const KEY: &[u8] = b"list:";
    const INDENT: usize = 4;
    if let Tree::Scalar(scalar) = tree {
        let mut text = Wiping::new(spelling(&scalar.as_value()).into_bytes());
        text.append(b"\n");
        return text;
    }
    // Written below a key, which is then taken away with the indentation.
    let below = documents(&[Tree::mapping([("list", tree.clone())])], Some(INDENT));
    let rest = below.strip_prefix(KEY).unwrap_or(&below);
    let mut text = Wiping::new(Vec::with_capacity(rest.len()));
    for line in rest.trim_ascii_start().split_inclusive(|byte| *byte == b'\n') {
        let blanks = line.iter().take(INDENT).take_while(|byte| **byte == b' ').count();
        text.extend_from_slice(&line[blanks..]);
    }
    text
}

/// No deeper than [`super::DEPTH_LIMIT`], where that was checked.
fn feed(items: &[Item], writer: &mut Writer) {
    for item in items {
        match item {
            Item::Comment { text, inline: true } => writer.inline_comment(text),
            Item::Comment { text, inline: false } => comment(text, writer),
            Item::Entry { key, value } => {
                writer.key(key);
                feed_tree(value, writer);
            }
            Item::Element(value) => feed_tree(value, writer),
        }
    }
}

fn feed_tree(tree: &Tree, writer: &mut Writer) {
    let items = match tree {
        Tree::Scalar(scalar) => {
            return match scalar.as_value() {
                Value::Float(number) => writer.plain(&float(number)),
                Value::String(bytes) if str::from_utf8(&bytes).is_err() && bytes.len() > BINARY_LINE / 4 * 3 => {
                    let spelt = base64::engine::general_purpose::STANDARD.encode(&bytes);
                    let mut lines = String::with_capacity(spelt.len() + spelt.len() / BINARY_LINE + 1);
                    for (place, character) in spelt.chars().enumerate() {
                        lines.push(character);
                        if (place + 1) % BINARY_LINE == 0 {
                            lines.push('\n');
                        }
                    }
                    if !lines.ends_with('\n') {
                        lines.push('\n');
                    }
                    writer.tagged_lines("!!binary", &lines);
                }
                value => feed_scalar(&value, writer),
            };
        }
        Tree::Mapping(items) => {
            writer.start_mapping();
            items
        }
        Tree::Sequence(items) => {
            writer.start_sequence();
            items
        }
    };
    feed(items, writer);
    writer.end();
}

/// A comment of INI may have several lines, each with its sign.
fn comment(text: &str, writer: &mut Writer) {
    for (number, line) in text.split(LINE_BREAKS).enumerate() {
        match (number, line.strip_prefix('#')) {
            (0, _) => writer.comment(line),
            (_, Some(rest)) => writer.comment(rest),
            (_, None) if line.is_empty() => {}
            (_, None) => writer.comment(&format!(" {line}")),
        }
    }
}

fn spelling(value: &Value<'_>) -> String {
    match value {
        Value::Float(number) => float(*number),
        value => plain_value(value).unwrap_or_default(),
    }
}

/// Go's `%g`: an integral number comes without a point.
fn float(value: f64) -> String {
    if value.is_finite() { shortest(value, -4, 6, 2) } else { plain_value(&Value::Float(value)).unwrap_or_default() }
}
