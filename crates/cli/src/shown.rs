//! How texts of others are shown: names, keys and patterns of files, and whatever a service said.
//!
//! ```text
//! a message       escape     control characters and marks that reorder text as `\u{…}`; a new line is indented
//! a name in it    one_line   the same, and a new line is `\n`
//! for programs    json       the same characters as JSON's `\u…`, which means the same to whoever reads it
//! ```
//! So no file can write to the terminal in our name: neither escape sequences nor lines that look like ours.

use std::fmt::Write as _;

use bulla_keys::steers;

/// `text` without control characters, which could move the cursor or start an escape sequence. Line breaks are indented.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' => escaped.push_str("\n  "),
            '\t' => escaped.push('\t'),
            character if steers(character) => {
                let _ = write!(escaped, "{}", character.escape_unicode());
            }
            character => escaped.push(character),
        }
    }
    escaped
}

/// The same on one line: a name, which stands among other words.
pub(crate) fn one_line(text: &str) -> String {
    escape(&text.replace('\n', "\\n"))
}

/// A report for programs, with a line break behind it.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let text = format!("{value:#}\n");
    if !text.chars().any(|character| steers(character) && character != '\n') {
        return text;
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        // Line breaks are the report's own: those of texts are escaped already, as are all characters below U+0020.
        if steers(character) && character != '\n' {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}[2Kok\u{202e}\r\u{9b}1\nPLAIN\u{7f}";

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(escape(HOSTILE), "\\u{1b}[2Kok\\u{202e}\\u{d}\\u{9b}1\n  PLAIN\\u{7f}");
        assert_eq!(one_line(HOSTILE), "\\u{1b}[2Kok\\u{202e}\\u{d}\\u{9b}1\\nPLAIN\\u{7f}");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ "name": HOSTILE, "plain": "é😀" });
        let text = json(&value);
        assert!(!text.chars().any(|character| steers(character) && character != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert!(text.contains("é😀"));
    }
}
