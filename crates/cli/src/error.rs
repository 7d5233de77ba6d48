//! From an error of a library to what a person sees: place, message, cause, next step, and the exit code.
//!
//! ```text
//! error: shop.yaml: cannot decrypt the value at `db.password`
//!   cause: the value was changed, or moved here from another key
//! hint: restore the file from Git, or set the value anew with `bulla set`
//! ```
//!
//! Invariant: what is shown comes from libraries that put no secret into an error. Control characters of file names and keys are
//! escaped, so that no file can write to the terminal in our name.

mod buckets;
mod keys;
mod sealed;
mod sops;

use std::error::Error;
use std::fmt::{self, Write as _};
use std::path::Path;

use crate::exit::Exit;
use crate::shown::{escape, one_line};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CommandError {
    exit: Exit,
    place: Option<String>,
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
    /// Details below the cause: one line each.
    details: Vec<String>,
}

impl CommandError {
    pub(crate) fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit, place: None, error: error.into(), hints: Vec::new(), details: Vec::new() }
    }

    /// What can be done about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A line of its own below the message: what was tried.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Where it happened. What is said later lies around what was said before, and is not said twice.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        let place = one_line(&place.to_string());
        self.place = Some(match self.place.take() {
            Some(inner) if inner.starts_with(&place) => inner,
            Some(inner) => format!("{place}: {inner}"),
            None => place,
        });
        self
    }

    /// The same with another next step than the one so far.
    pub(crate) fn hint_instead(mut self, hint: impl Into<String>) -> Self {
        self.hints.clear();
        self.hint(hint)
    }

    /// The same with another exit code.
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Place, message and causes in one line.
    pub(crate) fn sentence(&self) -> String {
        let mut text = self.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let mut said = self.error.to_string();
        text.push_str(&said);
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !said.contains(&message) {
                let _ = write!(text, ": {message}");
            }
            said = message;
            cause = error.source();
        }
        text
    }

    /// What was tried.
    pub(crate) fn details(&self) -> &[String] {
        &self.details
    }

    /// What can be done about it.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The lines for standard error, escaped, with `error:` and `hint:` in colour.
    pub(crate) fn render(&self) -> String {
        // Nothing to do is an exit code, and no error.
        let mut text = match self.exit {
            Exit::Unchanged => String::new(),
            _ => format!("{} ", Styles.error("error:")),
        };
        if let Some(place) = &self.place {
            let _ = write!(text, "{}: ", escape(place));
        }
        let message = self.error.to_string();
        text.push_str(&escape(&message));
        let mut said = message;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // Some libraries repeat their cause in their own message.
            if !said.contains(&message) {
                let _ = write!(text, "\n  cause: {}", escape(&message));
            }
            said = message;
            cause = error.source();
        }
        for detail in &self.details {
            let _ = write!(text, "\n  {}", escape(detail));
        }
        for hint in &self.hints {
            let _ = write!(text, "\n{} {}", Styles.hint("hint:"), escape(hint));
        }
        text.push('\n');
        text
    }
}

/// Says which file a result is about.
pub(crate) trait InFile<T> {
    fn in_file(self, path: &Path) -> Result<T, CommandError>;
}

impl<T, E: Into<CommandError>> InFile<T> for Result<T, E> {
    fn in_file(self, path: &Path) -> Result<T, CommandError> {
        self.map_err(|error| error.into().at(path.display()))
    }
}

/// Colours of `error:`, `warning:` and `hint:`. `anstream` takes them away where they are not wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Styles;

impl Styles {
    pub(crate) fn error(self, label: &str) -> String {
        self.paint("1;31", label)
    }

    pub(crate) fn warning(self, label: &str) -> String {
        self.paint("1;33", label)
    }

    pub(crate) fn hint(self, label: &str) -> String {
        self.paint("1;36", label)
    }

    #[expect(clippy::unused_self, reason = "the style may come to depend on an option")]
    fn paint(self, code: &str, label: &str) -> String {
        format!("\x1b[{code}m{label}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    fn plain(error: &CommandError) -> String {
        anstream::adapter::strip_str(&error.render()).to_string()
    }

    #[test]
    fn an_error_shows_place_message_causes_details_and_hints() {
        let error = CommandError::new(Exit::Failed, Outer(std::io::Error::other("inner")))
            .detail("tried this")
            .hint("do that")
            .at("a.yaml: line 1")
            .at("a.yaml")
            .at("b.yaml");
        assert_eq!(
            plain(&error),
            "error: b.yaml: a.yaml: line 1: outer\n  cause: inner\n  tried this\nhint: do that\n"
        );
    }

    #[test]
    fn a_cause_that_was_said_already_is_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Repeating(#[source] std::io::Error);
        let error = CommandError::new(Exit::Failed, Repeating(std::io::Error::other("inner")));
        assert_eq!(plain(&error), "error: outer: inner\n");
    }

    #[test]
    fn no_name_can_write_to_the_terminal() {
        let error = CommandError::new(Exit::Failed, "bad").at("\x1b[2Kok\u{202e}\r\u{9b}");
        assert_eq!(plain(&error), "error: \\u{1b}[2Kok\\u{202e}\\u{d}\\u{9b}: bad\n");
    }
}
