//! A command in an environment variable (`SOPS_EDITOR`, `SOPS_AGE_KEY_CMD`), split into words as SOPS splits it: as a shell would, but no
//! shell runs, so nothing is expanded.
//!
//! Source: sops 3.13.3 uses google/shlex: quotes, backslashes, and comments that begin with `#`.

/// Why a command cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WordsError {
    #[error("a quote is not closed")]
    OpenQuote,
    #[error("it ends with a backslash")]
    OpenEscape,
    #[error("it is empty")]
    Empty,
}

/// The program and its arguments.
pub(crate) fn split(command: &str) -> Result<(String, Vec<String>), WordsError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                characters.by_ref().find(|character| *character == '\n');
            }
            '\\' => word.get_or_insert_default().push(characters.next().ok_or(WordsError::OpenEscape)?),
            '\'' => quoted(&mut characters, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut characters, '"', word.get_or_insert_default())?,
            character => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    let mut words = words.into_iter();
    let program = words.next().ok_or(WordsError::Empty)?;
    Ok((program, words.collect()))
}

/// Up to the closing quote. In double quotes a backslash takes the next character as it is.
fn quoted(characters: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Result<(), WordsError> {
    loop {
        match characters.next().ok_or(WordsError::OpenQuote)? {
            character if character == quote => return Ok(()),
            '\\' if quote == '"' => word.push(characters.next().ok_or(WordsError::OpenQuote)?),
            character => word.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would() {
        for (command, expected) in [
            ("vi", &["vi"][..]),
            ("  code\t--wait \n", &["code", "--wait"]),
            (r#"'/my editor/vi' "a b"c\ d ''"#, &["/my editor/vi", "a bc d", ""]),
            (r#""a\"b\\" 'a\b'"#, &["a\"b\\", r"a\b"]),
            ("vi # the best\n-n", &["vi", "-n"]),
            ("pass$HOME `x` *", &["pass$HOME", "`x`", "*"]),
        ] {
            let (program, arguments) = split(command).unwrap();
            assert_eq!([&[program], &arguments[..]].concat(), expected, "{command}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for (command, expected) in [
            ("", WordsError::Empty),
            ("# vi", WordsError::Empty),
            ("vi 'x", WordsError::OpenQuote),
            ("vi \"x\\", WordsError::OpenQuote),
            ("vi \\", WordsError::OpenEscape),
        ] {
            assert_eq!(split(command), Err(expected), "{command}");
        }
    }
}
