//! What may be asked of a person: passphrases of identity files and SSH keys, and whatever a plugin wants.

use std::fmt;
use std::sync::Arc;

use age::Callbacks;
use age::secrecy::SecretString;
use bulla_crypto::SecretBytes;

/// Asks a person. Calls block until there is an answer, and come one at a time from one [`super::AgeIdentities`].
///
/// The answers `None` mean that there is nobody to ask, or that they gave up; it is not asked again for the same thing.
pub trait Prompt: fmt::Debug + Send + Sync {
    /// A passphrase or PIN, without echo.
    fn passphrase(&self, request: &PassphraseRequest<'_>) -> Option<SecretBytes>;

    /// A text that is no secret, for a plugin.
    fn text(&self, plugin: &str, question: &str) -> Option<String>;

    /// A choice between `yes` and `no` (there may be no `no`), for a plugin.
    fn confirm(&self, plugin: &str, question: &str, yes: &str, no: Option<&str>) -> Option<bool>;

    /// A message from a plugin: "touch your key".
    fn message(&self, plugin: &str, message: &str);
}

/// What a passphrase is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseRequest<'a> {
    /// What it opens.
    pub purpose: Purpose<'a>,
    /// 1 at first; higher if the answer before was wrong.
    pub attempt: u32,
}

/// What a passphrase opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// The identity file of this name, encrypted with age.
    IdentityFile(&'a str),
    /// The SSH key of this name.
    SshKey(&'a str),
    /// Whatever the plugin of this name asks, in its words.
    Plugin {
        /// Name of the plugin.
        plugin: &'a str,
        /// Its question.
        question: &'a str,
    },
}

/// Nobody to ask: in a controller, or with `--no-prompt`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn passphrase(&self, _: &PassphraseRequest<'_>) -> Option<SecretBytes> {
        None
    }

    fn text(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _: &str, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _: &str, _: &str) {}
}

/// [`Prompt`] in the form in which the `age` crate's plugin client wants it.
#[derive(Clone)]
pub(super) struct PluginCallbacks {
    pub(super) prompt: Arc<dyn Prompt>,
    pub(super) plugin: String,
}

impl Callbacks for PluginCallbacks {
    fn display_message(&self, message: &str) {
        self.prompt.message(&self.plugin, message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.prompt.confirm(&self.plugin, message, yes, no)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.prompt.text(&self.plugin, description)
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let purpose = Purpose::Plugin { plugin: &self.plugin, question: description };
        let answer = self.prompt.passphrase(&PassphraseRequest { purpose, attempt: 1 })?;
        secret_string(&answer)
    }
}

/// A passphrase as the `age` crate takes it. `None` if it is not UTF-8.
pub(super) fn secret_string(passphrase: &SecretBytes) -> Option<SecretString> {
    let text = std::str::from_utf8(passphrase.expose_secret()).ok()?;
    // A box of the exact size: turning a `String` into one could leave a copy behind.
    Some(SecretString::new(text.into()))
}
