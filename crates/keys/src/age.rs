//! age: one recipient a master key, any number of identities to unwrap with.
//!
//! ```text
//! recipient   age1…  age1pq1…  ssh-ed25519 …  ssh-rsa …  age1name1… (plugin)
//! enc         an ASCII-armored age file for that one recipient, with a newline at its end
//! ```
//!
//! The `age` crate reads and writes the files, X25519, passphrases and plugins; post-quantum and SSH keys are ours, on its traits.
//! Wrapping and unwrapping is computation and runs in place: 0.2 ms for X25519. What takes long says so: an identity file with a
//! passphrase costs scrypt's second or more, a plugin or a [`Prompt`] waits for a person. None of it may run on a thread of an
//! asynchronous runtime that others wait for: give it to `spawn_blocking` with [`AgeKey::unwrap_blocking`], or have the runtime to
//! yourself. Randomness is the operating system's: the `age` crate takes no other.
//!
//! Sources: c2sp.org/age, filippo.io/age 1.3.1, sops 3.13.3 `age/`; C2SP's test vectors.

mod curve;
mod generate;
mod identities;
mod identity;
mod openssh;
mod places;
mod post_quantum;
mod prompt;
mod source;
mod ssh;
mod stanza;
#[cfg(test)]
mod vectors;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bulla_crypto::SecretBytes;

pub use generate::{GeneratedIdentity, KeyKind, generate_identity};
pub use identities::AgeIdentities;
pub use places::{IdentityKind, Place, Reading, configuration_directory, identity_places};
pub use prompt::{NoPrompt, PassphraseRequest, Prompt, Purpose};
pub use source::{IdentitySource, ReadForRecipient, SourceContent};

use crate::one_line::OneLine;
use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};
use age::armor::{ArmoredWriter, Format};
use age::{EncryptError, Encryptor};

/// Why a text is not a recipient of age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an age recipient: {reason}", OneLine(recipient))]
pub struct RecipientError {
    /// The text, shortened. Recipients are public.
    pub recipient: String,
    /// What is wrong with it.
    pub reason: String,
}

/// One age recipient of a file, with the identities that this command has.
#[derive(Debug)]
pub struct AgeKey {
    recipient: String,
    identities: Arc<AgeIdentities>,
    started: AtomicUsize,
}

impl AgeKey {
    /// The key for `recipient`, which is kept as it is spelled; blanks around it are dropped. Whether it is a recipient shows when it
    /// wraps: to unwrap, a file's recipient need not be one that this program knows. [`check_recipient`] tells beforehand.
    pub fn new(recipient: &str, identities: Arc<AgeIdentities>) -> Self {
        Self { recipient: recipient.trim().to_owned(), identities, started: AtomicUsize::new(0) }
    }

    /// The recipient, as the metadata spells it.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// [`MasterKey::wrap`] without the future: computation, and for plugins their program.
    ///
    /// # Errors
    /// As [`MasterKey::wrap`].
    pub fn wrap_blocking(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        let recipient = Recipient::parse(&self.recipient)?;
        // Plugins are asked about their recipients, too; whoever wraps has given the same prompt.
        let recipient = recipient.for_age(&self.identities.prompt())?;
        let armored = encrypt(&*recipient, secret).map_err(|error| self.wrap_error(&error))?;
        Ok(WrappedKey::new(armored))
    }

    /// [`MasterKey::unwrap`] without the future: for threads that may block.
    ///
    /// # Errors
    /// As [`MasterKey::unwrap`].
    pub fn unwrap_blocking(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let started = |programs| {
            self.started.fetch_add(programs, Ordering::Relaxed);
        };
        self.identities.unwrap(&self.recipient, wrapped, started)
    }

    fn wrap_error(&self, error: &EncryptError) -> WrapError {
        match Recipient::parse(&self.recipient) {
            Ok(Recipient::Plugin(plugin)) => WrapError::Plugin {
                program: format!("age-plugin-{}", plugin.plugin()),
                reason: match error {
                    EncryptError::PluginResolve(_) => "not found in PATH".to_owned(),
                    error => error.to_string(),
                },
            },
            _ => WrapError::Failed(error.to_string()),
        }
    }
}

#[async_trait]
impl MasterKey for AgeKey {
    fn name(&self) -> KeyName {
        KeyName::Age(self.recipient.clone())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        self.wrap_blocking(secret)
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        self.unwrap_blocking(wrapped)
    }

    async fn unwrap_quietly(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        self.identities.unwrap_quietly(&self.recipient, wrapped)
    }

    /// Commands that print identities, and plugins.
    fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    async fn is_likely(&self) -> bool {
        self.identities.fit(&self.recipient)
    }

    fn tried(&self) -> Vec<Tried> {
        self.identities.tried()
    }
}

/// Whether `recipient` is one that this program can encrypt to. Of a plugin's recipient, only the form is checked.
///
/// # Errors
/// [`RecipientError`] says why not.
pub fn check_recipient(recipient: &str) -> Result<(), RecipientError> {
    Recipient::parse(recipient.trim()).map(drop)
}

/// A recipient, by its kind.
enum Recipient {
    X25519(age::x25519::Recipient),
    PostQuantum(Box<post_quantum::Recipient>),
    Ssh(ssh::Recipient),
    Plugin(age::plugin::Recipient),
}

impl Recipient {
    /// Tells the kinds apart as SOPS does.
    fn parse(text: &str) -> Result<Self, RecipientError> {
        let refuse = |reason: String| RecipientError { recipient: shortened(text), reason };
        if text.starts_with("age1pq1") {
            match post_quantum::Recipient::parse(text) {
                Ok(recipient) => Ok(Self::PostQuantum(Box::new(recipient))),
                Err(error) => Err(refuse(error.to_string())),
            }
        } else if text.starts_with("age1") && text.matches('1').count() > 1 {
            text.parse().map(Self::Plugin).map_err(|reason: &str| refuse(reason.to_owned()))
        } else if text.starts_with("age1") {
            let checked = stanza::from_bech32::<32>("age", text).map_err(|error| refuse(error.to_string()));
            checked.and_then(|_| text.parse().map(Self::X25519).map_err(|reason: &str| refuse(reason.to_owned())))
        } else if text.starts_with("ssh-") {
            ssh::Recipient::parse(text).map(Self::Ssh).map_err(|error| refuse(error.to_string()))
        } else if text.starts_with("AGE-SECRET-KEY-") || text.starts_with("AGE-PLUGIN-") {
            // Never to be repeated: it is a secret, in the wrong place.
            let recipient = "AGE-…".to_owned();
            Err(RecipientError {
                recipient,
                reason: "it is an identity, a secret; its recipient starts with `age1`".into(),
            })
        } else {
            Err(refuse("expected `age1…`, `age1pq1…`, `age1NAME1…`, `ssh-ed25519 …` or `ssh-rsa …`".to_owned()))
        }
    }

    fn for_age(self, prompt: &Arc<dyn Prompt>) -> Result<Box<dyn age::Recipient>, WrapError> {
        Ok(match self {
            Self::X25519(recipient) => Box::new(recipient),
            Self::PostQuantum(recipient) => recipient,
            Self::Ssh(recipient) => Box::new(recipient),
            Self::Plugin(recipient) => {
                let name = recipient.plugin().to_owned();
                let callbacks = prompt::PluginCallbacks { prompt: Arc::clone(prompt), plugin: name.clone() };
                let plugin = age::plugin::RecipientPluginV1::new(&name, &[recipient], &[], callbacks);
                Box::new(plugin.map_err(|_| WrapError::Plugin {
                    program: format!("age-plugin-{name}"),
                    reason: "not found in PATH".to_owned(),
                })?)
            }
        })
    }
}

/// Writes the armored file.
fn encrypt(recipient: &dyn age::Recipient, secret: &SecretBytes) -> Result<String, EncryptError> {
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient))?;
    let armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armored)?;
    writer.write_all(secret.expose_secret())?;
    let text = writer.finish()?.finish()?;
    String::from_utf8(text).map_err(|error| EncryptError::Io(std::io::Error::other(error)))
}

/// The start of a long text: enough to find it, short enough for a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Encrypts an identity file with a passphrase, as `age -p` does: armored, scrypt with a work of 2^18, about a second.
///
/// # Errors
/// [`WrapError::Failed`], for an empty passphrase or one that is not UTF-8.
pub fn encrypt_identity_file(file: &SecretBytes, passphrase: &SecretBytes) -> Result<String, WrapError> {
    if passphrase.is_empty() {
        return Err(WrapError::Failed("an empty passphrase protects nothing".to_owned()));
    }
    let passphrase =
        prompt::secret_string(passphrase).ok_or_else(|| WrapError::Failed("the passphrase is not UTF-8".to_owned()))?;
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    // The `age` crate would measure this machine, and write less work on a busy one.
    recipient.set_work_factor(18);
    encrypt(&recipient, file).map_err(|error| WrapError::Failed(error.to_string()))
}
