//! Names as messages show them. Files hold any text as a name: it stays on one line, and a terminal gets nothing that it would obey.

use std::fmt::{self, Write as _};

/// Whether a terminal would do something else with it than to show it: control characters, and marks that reorder text, so that what is
/// shown would not be what is there.
pub fn steers(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text with line breaks, control characters and marks that reorder text as escapes.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\n' => f.write_str("\\n"),
            _ if steers(character) => write!(f, "{}", character.escape_unicode()),
            _ => f.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(OneLine("a\u{1b}[2K\u{202e}\n\u{9b}é").to_string(), "a\\u{1b}[2K\\u{202e}\\n\\u{9b}é");
    }
}
