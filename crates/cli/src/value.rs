//! The one value that `set` and `seal --raw` take: from a file, standard input, or typed without echo.
//!
//! A value on the command line can be seen by every user of the machine (`ps`) and ends in the shell's history, so that way has to be
//! asked for by name.

use std::path::PathBuf;

use bulla_crypto::SecretBytes;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::{read_all, read_file};
use crate::terminal::Terminal;

/// Where the value comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct ValueArgs {
    /// Take the value from this file, as it is (default: standard input; on a terminal it is asked for without echo)
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,

    /// Take the value from the command line, where `ps` shows it to every user of this machine
    #[arg(long, value_name = "VALUE", conflicts_with = "value_file")]
    value: Option<String>,

    /// Keep the newline at the end of a line from standard input
    ///
    /// Without it one newline at the end is dropped if it is the only one, because `echo` adds it and hardly anybody means it.
    #[arg(long)]
    keep_newline: bool,
}

impl ValueArgs {
    /// Reads the value; `what` is what a person is asked for.
    ///
    /// # Errors
    /// [`Exit::Input`]; [`Exit::NoFile`] if a person is asked and does not answer.
    pub(crate) fn read(&self, what: &str, cx: &Context) -> Result<SecretBytes, CommandError> {
        if let Some(path) = &self.value_file {
            return Ok(read_file(path)?.bytes.into());
        }
        if let Some(value) = &self.value {
            return Ok(SecretBytes::new(value.as_bytes().to_vec()));
        }
        if cx.stdin_is_terminal() {
            let asked = Terminal.secret(what);
            return asked.ok_or_else(|| CommandError::new(Exit::NoFile, "no value was given"));
        }
        let mut value = read_all(std::io::stdin().lock(), 0)
            .map_err(|error| CommandError::new(Exit::Input, error).at("standard input"))?;
        // Whoever pipes a variable that is not set, or a program that failed, does not mean the empty text.
        if value.is_empty() {
            return Err(CommandError::new(Exit::Input, "standard input is empty, so there is no value")
                .hint("`--value ''` gives an empty one"));
        }
        if !self.keep_newline {
            drop_newline(&mut value);
        }
        Ok(value.into())
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
