//! dotenv, and INI as `ini.v1` lays it out.

use bulla_wipe::Wiping;

use crate::flat::DEFAULT_SECTION;
use crate::owned::{Item, Tree};
use crate::spell::flat::{dotenv_value, ini_key, ini_value, text_of};

/// Every entry is a text, and every key one that can be spelt.
pub(super) fn dotenv(branch: &Tree) -> Wiping<Vec<u8>> {
    let mut text = Wiping::<String>::default();
    let Tree::Mapping(items) = branch else { return text.into_bytes() };
    for item in items {
        match item {
            // A comment of INI may have several lines.
            Item::Comment { text: comment, .. } => {
                for line in comment.split('\n') {
                    text.append("#");
                    text.append(line);
                    text.append("\n");
                }
            }
            Item::Entry { key, value } => {
                text.append(key);
                text.append("=");
                if let Tree::Scalar(scalar) = value {
                    text.append(&Wiping::new(dotenv_value(&text_of(&scalar.as_value()))));
                }
                text.append("\n");
            }
            Item::Element(_) => {}
        }
    }
    text.into_bytes()
}

/// Every entry is a section, and every entry of it a text.
pub(super) fn ini(branch: &Tree) -> Wiping<Vec<u8>> {
    let mut text = Wiping::<String>::default();
    let Tree::Mapping(items) = branch else { return text.into_bytes() };
    let sections: Vec<(&String, &[Item])> = items
        .iter()
        .filter_map(|item| match item {
            Item::Entry { key, value: Tree::Mapping(items) } => Some((key, items.as_slice())),
            _ => None,
        })
        .collect();
    for (number, (name, mut items)) in sections.iter().copied().enumerate() {
        if let [Item::Comment { text: comment, .. }, rest @ ..] = items {
            push_comment(comment, false, &mut text);
            items = rest;
        }
        let has_keys = items.iter().any(|item| matches!(item, Item::Entry { .. }));
        if number > 0 || !name.eq_ignore_ascii_case(DEFAULT_SECTION) {
            text.append(&format!("[{name}]\n"));
        } else if !has_keys {
            continue;
        }
        push_keys(items, &mut text);
        if number + 1 < sections.len() {
            text.append("\n");
        }
    }
    text.into_bytes()
}

fn push_keys(items: &[Item], text: &mut Wiping<String>) {
    let width = items.iter().map(|item| if let Item::Entry { key, .. } = item { ini_key(key).len() } else { 0 }).max();
    for (number, item) in items.iter().enumerate() {
        let Item::Entry { key, value: Tree::Scalar(scalar) } = item else { continue };
        // The last comment before the next key is this one's.
        let comments = items[number + 1..].iter().map_while(|item| match item {
            Item::Comment { text, .. } => Some(text),
            _ => None,
        });
        if let Some(comment) = comments.last() {
            push_comment(comment, true, text);
        }
        let key = ini_key(key);
        text.append(&key);
        text.append(&" ".repeat(width.unwrap_or_default() - key.len()));
        text.append(" = ");
        text.append(&Wiping::new(ini_value(&text_of(&scalar.as_value()), None)));
        text.append("\n");
    }
}

fn push_comment(comment: &str, of_key: bool, text: &mut Wiping<String>) {
    if comment.is_empty() {
        return;
    }
    for line in comment.split('\n') {
        match line.strip_prefix(['#', ';']) {
            Some(rest) => {
                text.append(&line[..1]);
                text.append(" ");
                text.append(rest.trim());
            }
            None => {
                text.append("; ");
                text.append(if of_key { line.trim() } else { line });
            }
        }
        text.append("\n");
    }
}
