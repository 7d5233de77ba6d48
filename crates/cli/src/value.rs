//! The one value that `set` and `seal --raw` take: from a file, standard input, a generator, or typed without echo, twice.
//!
//! Never from the command line: every user of the machine sees it there (`ps`), and the shell writes it into its history.

mod generate;

use std::path::PathBuf;

use bulla_crypto::SecretBytes;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{read_all, read_file};
use crate::terminal::Terminal;
use generate::Alphabet;

/// Where the value comes from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The value")]
pub(crate) struct ValueArgs {
    /// Take the value from this file, as it is (default: standard input; on a terminal it is asked for without echo)
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,

    /// Make a random value of so many characters; it is not shown
    #[arg(long, value_name = "LENGTH", conflicts_with = "value_file", value_parser = clap::value_parser!(u16).range(1..))]
    generate: Option<u16>,

    /// Of which characters: alphanumeric, digits, hex, printable, or the characters themselves, such as `abc123`
    #[arg(long, value_name = "ALPHABET", requires = "generate", default_value = "alphanumeric")]
    alphabet: Alphabet,

    /// The value is the empty text
    #[arg(long, conflicts_with_all = ["value_file", "generate"])]
    empty: bool,

    // Taken only to say why it is not.
    #[arg(long, hide = true)]
    value: Option<String>,

    /// Keep the newline at the end of a line from standard input
    ///
    /// Without it one newline at the end is dropped if it is the only one, because `echo` adds it and hardly anybody means it.
    #[arg(long)]
    keep_newline: bool,
}

/// Why a value on the command line is not taken.
pub(crate) fn refuse_on_command_line() -> CommandError {
    CommandError::new(
        Exit::Usage,
        "a value is not taken from the command line: every user of this machine can see it there, and the shell keeps it in its history",
    )
    .hint("leave it out to be asked for it; or pipe it in, name a file with `--value-file`, or let it be made with `--generate 32`")
}

impl ValueArgs {
    /// Reads the value; `what` is what a person is asked for.
    ///
    /// # Errors
    /// [`Exit::Input`]; [`Exit::NoFile`] if a person is asked and does not answer; [`Exit::Usage`] for a value on the command line.
    pub(crate) fn read(&self, what: &str, cx: &Context) -> Result<SecretBytes, CommandError> {
        if self.value.is_some() {
            return Err(refuse_on_command_line());
        }
        if self.empty {
            return Ok(SecretBytes::default());
        }
        if let Some(length) = self.generate {
            return Ok(self.alphabet.generate(usize::from(length), &mut cx.rng()?));
        }
        if let Some(path) = &self.value_file {
            return Ok(read_file(path)?.bytes.into());
        }
        if cx.stdin_is_terminal() {
            return ask(what);
        }
        let mut value = read_all(std::io::stdin().lock(), 0)
            .map_err(|error| CommandError::new(Exit::Input, error).at("standard input"))?;
        // Whoever pipes a variable that is not set, or a program that failed, does not mean the empty text.
        if value.is_empty() {
            return Err(CommandError::new(Exit::Input, "standard input is empty, so there is no value")
                .hint("`--empty` gives an empty one"));
        }
        if !self.keep_newline {
            drop_newline(&mut value);
        }
        Ok(value.into())
    }
}

/// Asks twice: nobody sees what they type.
fn ask(what: &str) -> Result<SecretBytes, CommandError> {
    loop {
        let given_up = || CommandError::new(Exit::NoFile, "no value was given");
        let first = Terminal.secret(what).ok_or_else(given_up)?;
        let second = Terminal.secret("Once more").ok_or_else(given_up)?;
        if first.expose_secret() == second.expose_secret() {
            if first.is_empty() {
                return Err(given_up().hint("`--empty` gives an empty one"));
            }
            return Ok(first);
        }
        Terminal.say("The two are not the same.");
    }
}

/// Drops a newline at the end that is the only one.
fn drop_newline(value: &mut Vec<u8>) {
    if value.iter().position(|byte| *byte == b'\n').is_some_and(|first| first + 1 == value.len()) {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newline_of_a_single_line_is_dropped() {
        for (value, expected) in [
            ("", ""),
            ("x", "x"),
            ("x\n", "x"),
            ("x\r\n", "x"),
            ("\n", ""),
            ("x\n\n", "x\n\n"),
            ("x\ny\n", "x\ny\n"),
            ("x\ny", "x\ny"),
        ] {
            let mut bytes = value.as_bytes().to_vec();
            drop_newline(&mut bytes);
            assert_eq!(bytes, expected.as_bytes(), "{value:?}");
        }
    }
}
