//! A person who answers, for tests.

use std::sync::Mutex;

use bulla_crypto::SecretBytes;
use bulla_keys::age::{PassphraseRequest, Prompt, Purpose};

use crate::secret;

/// Gives the same answer each time, and remembers what was asked.
#[derive(Debug, Default)]
pub(crate) struct Person {
    pub(crate) passphrase: Option<String>,
    asked: Mutex<Vec<String>>,
}

impl Person {
    pub(crate) fn answering(passphrase: Option<&str>) -> Self {
        Self { passphrase: passphrase.map(str::to_owned), asked: Mutex::default() }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn remember(&self, question: String) {
        self.asked.lock().unwrap().push(question);
    }
}

impl Prompt for Person {
    fn passphrase(&self, request: &PassphraseRequest<'_>) -> Option<SecretBytes> {
        let what = match request.purpose {
            Purpose::IdentityFile(name) => format!("file {name}"),
            Purpose::SshKey(name) => format!("ssh {name}"),
            Purpose::Plugin { plugin, question } => format!("plugin {plugin}: {question}"),
        };
        self.remember(format!("{what} ({})", request.attempt));
        self.passphrase.as_ref().map(secret)
    }

    fn text(&self, plugin: &str, question: &str) -> Option<String> {
        self.remember(format!("text {plugin}: {question}"));
        None
    }

    fn confirm(&self, plugin: &str, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.remember(format!("confirm {plugin}: {question} {yes} {no:?}"));
        Some(true)
    }

    fn message(&self, plugin: &str, message: &str) {
        self.remember(format!("message {plugin}: {message}"));
    }
}
