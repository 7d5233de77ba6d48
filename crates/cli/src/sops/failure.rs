//! How a run fails: the exit code and the first line of sops, which scripts and programs look for, and after it what we know about it.
//!
//! ```text
//! Error unmarshalling file: line 2, column 5: expected a key
//! hint: …
//! ```
//! What goes wrong in a library arrives as a [`CommandError`]; each command says which code and which words sops has for it.

use crate::error::CommandError;
use crate::exit::Exit;
use crate::shown::escape;

use super::go::{Level, log_line, quoted};

/// The codes of sops that are not ours, or not for the same.
pub(super) mod code {
    /// Anything without a code of its own.
    pub(in crate::sops) const FAILED: u8 = 1;
    /// The input cannot be read.
    pub(in crate::sops) const INPUT: u8 = 2;
    /// The output cannot be written.
    pub(in crate::sops) const OUTPUT: u8 = 3;
    /// The output cannot be spelt in its format.
    pub(in crate::sops) const DUMPING: u8 = 4;
    /// `--encryption-context` is malformed.
    pub(in crate::sops) const CONTEXT: u8 = 6;
    /// A path or value to set is malformed.
    pub(in crate::sops) const SET_FORMAT: u8 = 7;
    /// Flags that exclude each other.
    pub(in crate::sops) const CONFLICT: u8 = 8;
    /// A value cannot be encrypted.
    pub(in crate::sops) const ENCRYPTING: u8 = 23;
    /// A value cannot be decrypted.
    pub(in crate::sops) const DECRYPTING: u8 = 25;
    /// Keys are added to a file that is not there.
    pub(in crate::sops) const KEYS_WITHOUT_FILE: u8 = 49;
    /// The file was changed after it was encrypted, or has no MAC.
    pub(in crate::sops) const MAC: u8 = 51;
    /// `--extract` is malformed.
    pub(in crate::sops) const TREE_PATH: u8 = 91;
    /// There is nothing in the file.
    pub(in crate::sops) const EMPTY: u8 = 92;
    /// No file, or none that is there.
    pub(in crate::sops) const NO_FILE: u8 = 100;
    /// `--decryption-order` names a kind twice.
    pub(in crate::sops) const DUPLICATE_ORDER: u8 = 112;
    /// The data key could not be had.
    pub(in crate::sops) const DATA_KEY: u8 = 128;
    /// The editor changed nothing.
    pub(in crate::sops) const UNCHANGED: u8 = 200;
    /// There is no editor, or it failed.
    pub(in crate::sops) const EDITOR: u8 = 201;
    /// The file is encrypted already.
    pub(in crate::sops) const ENCRYPTED: u8 = 203;
}

/// Why a run failed.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
    /// Is the message a line of the log?
    is_logged: bool,
    /// Lines below it.
    below: Vec<String>,
}

impl Failure {
    /// A message as it is, and a code.
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_logged: false, below: Vec::new() }
    }

    /// What sops writes to its log last of all; code 1.
    pub(super) fn fatal(message: impl Into<String>) -> Self {
        Self { is_logged: true, ..Self::new(code::FAILED, message) }
    }

    /// `message`, and behind it what `error` says.
    pub(super) fn of(code: u8, message: &str, error: impl Into<CommandError>) -> Self {
        let error = error.into();
        let sentence = error.sentence();
        let message = if message.is_empty() { sentence } else { format!("{message}: {sentence}") };
        Self { below: lines_of(&error), ..Self::new(code, message) }
    }

    /// `message`, and below it what `error` says.
    pub(super) fn above(code: u8, message: impl Into<String>, error: impl Into<CommandError>) -> Self {
        let error = error.into();
        let mut below = vec![format!("  cause: {}", error.sentence())];
        below.extend(lines_of(&error));
        Self { below, ..Self::new(code, message) }
    }

    /// `message`, and below it where was looked and what can be done, as `error` says it.
    pub(super) fn below(code: u8, message: impl Into<String>, error: impl Into<CommandError>) -> Self {
        Self { below: lines_of(&error.into()), ..Self::new(code, message) }
    }

    /// What can be done about it.
    pub(super) fn hint(mut self, hint: &str) -> Self {
        self.below.push(format!("hint: {hint}"));
        self
    }

    /// The same message between `before` and `behind`.
    pub(super) fn within(self, before: &str, behind: &str) -> Self {
        Self { message: format!("{before}{}{behind}", self.message), ..self }
    }

    /// The same in other words.
    pub(super) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// The same as the last line of the log, unless it has a code of its own.
    pub(super) fn logged(self) -> Self {
        Self { is_logged: self.code == code::FAILED, ..self }
    }

    /// As an error of a command, for what asks for one.
    pub(super) fn into_error(self) -> CommandError {
        let hints: Vec<&str> = self.below.iter().filter_map(|line| line.strip_prefix("hint: ")).collect();
        hints.into_iter().fold(CommandError::new(Exit::Failed, self.message.clone()), CommandError::hint)
    }

    pub(super) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// The message alone.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// What standard error gets.
    pub(super) fn render(&self, now: jiff::Timestamp) -> String {
        let mut text = if self.is_logged {
            log_line("CMD", Level::Fatal, &self.message, &[], now)
        } else if self.message.is_empty() {
            String::new()
        } else {
            self.message.split('\n').map(escape_line).collect::<Vec<_>>().join("\n") + "\n"
        };
        for line in &self.below {
            text += &escape_line(line);
            text.push('\n');
        }
        text
    }
}

/// Without what could write to a terminal in our name. Blanks at the end stay.
fn escape_line(line: &str) -> String {
    let blanks = line.len() - line.trim_end().len();
    escape(line) + &" ".repeat(blanks)
}

fn lines_of(error: &CommandError) -> Vec<String> {
    let details = error.details().iter().map(|detail| format!("  {detail}"));
    details.chain(error.hints().iter().map(|hint| format!("hint: {}", under_our_name(hint)))).collect()
}

/// A hint for whoever knows this program as `sops`.
fn under_our_name(hint: &str) -> String {
    ["encrypt", "decrypt", "edit", "set", "unset", "rotate"]
        .iter()
        .fold(hint.to_owned(), |hint, command| hint.replace(&format!("`bulla {command}"), &format!("`sops {command}")))
}

/// With the code that sops has for the same, which is 1 where it has none.
impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let code = match error.exit() {
            Exit::Input => code::INPUT,
            Exit::Output | Exit::ChangedMeanwhile => code::OUTPUT,
            Exit::Conflict => code::CONFLICT,
            Exit::Value => code::DECRYPTING,
            Exit::MacMismatch | Exit::MacMissing => code::MAC,
            Exit::NoFile => code::NO_FILE,
            Exit::NoKey => code::DATA_KEY,
            Exit::Unchanged => code::UNCHANGED,
            Exit::Editor => code::EDITOR,
            Exit::AlreadyEncrypted => code::ENCRYPTED,
            _ => code::FAILED,
        };
        Self::of(code, "", error)
    }
}

/// `Error: cannot operate on non-existent file "/x"`, and what stands behind it.
pub(super) fn missing(code: u8, what: &str, file: &std::path::Path, behind: &str) -> Failure {
    Failure::new(code, format!("Error: cannot {what} non-existent file {}{behind}", quoted(&file.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_that_of_sops_and_ours_follow() {
        let error = CommandError::new(Exit::Input, "expected a key").at("line 2").detail("so").hint("try `bulla edit`");
        let now = jiff::Timestamp::UNIX_EPOCH;
        assert_eq!(
            Failure::of(2, "Error unmarshalling file", error).render(now),
            "Error unmarshalling file: line 2: expected a key\n  so\nhint: try `sops edit`\n"
        );
        assert_eq!(Failure::new(8, "one\n\n  two").render(now), "one\n\n  two\n");
        assert_eq!(
            Failure::fatal("no\x1b").render(now),
            "[CMD]\t time=\"1970-01-01T00:00:00Z\" level=fatal msg=\"no\\x1b\"\n"
        );
    }
}
