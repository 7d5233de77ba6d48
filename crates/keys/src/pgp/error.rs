//! Why gpg did not do it.

use std::fmt;

use super::PgpNameError;

/// Why gpg did not wrap or unwrap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpgError {
    /// There is no such program.
    #[error("`{program}` is not installed, or not in PATH")]
    NotInstalled {
        /// What was looked for.
        program: String,
    },
    /// It is there and does not start.
    #[error("cannot run `{program}`: {reason}")]
    NotRun {
        /// What was run.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// The name of the key is none.
    #[error(transparent)]
    Name(#[from] PgpNameError),
    /// The key cannot be encrypted to.
    #[error(transparent)]
    CannotBeUsed(#[from] Unusable),
    /// The secret key is not there.
    #[error("{why}")]
    NoSecretKey {
        /// The keys that the message is encrypted to, by their ids.
        of: Vec<String>,
        /// What is there instead.
        why: HeldBack,
    },
    /// A person was asked for the passphrase or PIN and gave none.
    #[error("the question for the passphrase was cancelled")]
    Cancelled,
    /// Nobody answered in time.
    #[error("nobody answered the question for the passphrase in time")]
    NotAnswered,
    /// What was given does not open it.
    #[error("the passphrase that was given does not open its secret key")]
    WrongPassphrase,
    /// The PIN of the card is wrong, or the card is locked after wrong ones.
    #[error("the smartcard refuses: {reason}")]
    Card {
        /// In gpg's words.
        reason: String,
    },
    /// The passphrase cannot be asked for on a terminal.
    #[error("its secret key has a passphrase, and gpg knows no terminal on which to ask for it")]
    NoTerminal,
    /// There is no program that asks.
    #[error("its secret key has a passphrase, and gpg-agent has no pinentry that would ask for it")]
    NoPinentry,
    /// The agent, which holds secret keys, cannot be started or reached.
    #[error("gpg cannot reach its agent, which holds the secret keys{}", after_colon(.reason))]
    NoAgent {
        /// In gpg's words.
        reason: String,
    },
    /// It ended well and wrote nothing: a version that does not know the cipher (AEAD) of a newer one.
    #[error(
        "gpg ended well and gave nothing back; a newer version may have encrypted it in a way that this one does not know"
    )]
    Nothing,
    /// It wrote more than there can be.
    #[error("gpg wrote more than {longest} bytes")]
    TooMuch {
        /// How many there may be.
        longest: usize,
    },
    /// Anything else.
    #[error("gpg failed ({status}){}", after_colon(.said))]
    Failed {
        /// Its exit code, or the signal that ended it.
        status: String,
        /// Its words.
        said: String,
    },
}

impl GpgError {
    /// Is it about a person who was asked, or could not be? Then it is no use to try the next file with the same key.
    pub(super) fn is_of_a_person(&self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::NotAnswered
                | Self::WrongPassphrase
                | Self::Card { .. }
                | Self::NoTerminal
                | Self::NoPinentry
        )
    }
}

/// Why a key cannot be encrypted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// gpg does not know it.
    #[error("gpg has no public key of this fingerprint")]
    NotThere,
    /// Its time is over.
    #[error("the key is expired")]
    Expired,
    /// The key itself is good; those of its subkeys that encrypt are expired or revoked.
    #[error("no subkey that encrypts is valid any more: they are expired or revoked")]
    SubkeysExpired,
    /// Its owner took it back.
    #[error("the key is revoked")]
    Revoked,
    /// It was switched off in this keyring.
    #[error("the key is disabled in gpg's keyring")]
    Disabled,
    /// It is for signing only.
    #[error("the key is not for encrypting: it has no subkey that can")]
    SignsOnly,
    /// Several keys are called so.
    #[error("several keys of gpg's keyring match it")]
    Ambiguous,
    /// gpg does not take it and does not say why.
    #[error("gpg takes the key for unusable")]
    Unknown,
}

/// What there is in place of a secret key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldBack {
    /// gpg does not know the key.
    Unknown,
    /// The public key only.
    PublicOnly,
    /// Secret keys of this key, and not the one to which it is encrypted: by its id.
    OtherSubkeys(String),
    /// It is on the smartcard of this number, which is not there.
    OnCard(String),
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("gpg has no secret key of this fingerprint, and does not know its public key"),
            Self::PublicOnly => f.write_str("gpg has no secret key of this fingerprint, only the public one"),
            Self::OtherSubkeys(id) => {
                write!(
                    f,
                    "gpg has secret keys of this fingerprint, but not that of the subkey {id}, to which it is encrypted"
                )
            }
            Self::OnCard(serial) => {
                write!(f, "its secret key is on the smartcard with the number {serial}, which is not there")
            }
        }
    }
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
