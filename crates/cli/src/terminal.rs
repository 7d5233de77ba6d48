//! Questions to a person, on the terminal that the program was started from: standard input may be the data.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};

use bulla_crypto::SecretBytes;
use bulla_keys::age::{PassphraseRequest, Prompt, Purpose};

use crate::progress::while_asking;
use crate::shown::escape;

/// The terminal of the user, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal;

impl Terminal {
    /// Asks for a secret without echo. `None` if there is no terminal, or the person gave up.
    #[expect(clippy::unused_self, reason = "the terminal answers")]
    pub(crate) fn secret(self, question: &str) -> Option<SecretBytes> {
        let answer = while_asking(|| rpassword::prompt_password(format!("{}: ", escape(question)))).ok()?;
        Some(SecretBytes::new(answer.into_bytes()))
    }

    /// Whether there is one.
    #[expect(clippy::unused_self, reason = "the terminal answers")]
    pub(crate) fn is_there(self) -> bool {
        OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok()
    }

    /// Asks for a line.
    #[expect(clippy::unused_self, reason = "the terminal answers")]
    pub(crate) fn line(self, question: &str) -> Option<String> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let mut line = String::new();
        let read = while_asking(|| {
            write!(&terminal, "{} ", escape(question))?;
            BufReader::new(&terminal).read_line(&mut line)
        });
        match read {
            Ok(length) if length > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            _ => None,
        }
    }

    /// Says something where only a person sees it.
    #[expect(clippy::unused_self, reason = "the terminal shows it")]
    pub(crate) fn say(self, text: &str) {
        if let Ok(terminal) = OpenOptions::new().write(true).open("/dev/tty") {
            let _ = writeln!(&terminal, "{}", escape(text));
        }
    }
}

impl Prompt for Terminal {
    fn passphrase(&self, request: &PassphraseRequest<'_>) -> Option<SecretBytes> {
        let question = match request.purpose {
            Purpose::IdentityFile(name) => format!("Passphrase of the identity file `{name}`"),
            Purpose::SshKey(name) => format!("Passphrase of the SSH key `{name}`"),
            Purpose::Plugin { plugin, question } => format!("age-plugin-{plugin}: {question}"),
        };
        if request.attempt > 1 {
            self.say("That was not it.");
        }
        self.secret(&question)
    }

    fn text(&self, plugin: &str, question: &str) -> Option<String> {
        self.line(&format!("age-plugin-{plugin}: {question}"))
    }

    fn confirm(&self, plugin: &str, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let choices = match no {
            Some(no) => format!("[1] {yes}  [2] {no}"),
            None => format!("[1] {yes}"),
        };
        match self.line(&format!("age-plugin-{plugin}: {question}\n{choices}:"))?.trim() {
            "1" | "y" | "yes" => Some(true),
            "2" | "n" | "no" if no.is_some() => Some(false),
            _ => None,
        }
    }

    fn message(&self, plugin: &str, message: &str) {
        self.say(&format!("age-plugin-{plugin}: {message}"));
    }
}
