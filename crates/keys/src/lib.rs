//! Keys that wrap data keys: one narrow trait, [`MasterKey`], and one file per source.
//!
//! ```text
//! data key, or one share of it ─ MasterKey::wrap ─▶ WrappedKey, the `enc` of the file's metadata
//! WrappedKey ─ MasterKey::unwrap ─▶ the same bytes, or "not for me", or why not
//!
//! age      recipients and identities: X25519, post-quantum, SSH, plugins, passphrase-protected files
//! vault    transit keys of HashiCorp Vault and OpenBao
//! aws      keys of AWS KMS
//! gcp      keys of Google Cloud KMS
//! azure    keys of Azure Key Vault
//! huawei   keys of Huawei Cloud KMS
//! cloud    what these three have in common: a client, and where credentials were looked for
//! pgp      keys of OpenPGP, by the user's gpg
//!
//! service  SOPS' key service: another program that has the key; its client and its server
//! name     what any of them is called
//! sources  the means of a command: a name becomes a key
//! order    which kinds of keys are tried first
//! memory   what services unwrapped: each wrapped key is asked for once a command
//! fake     for tests (feature `fake`)
//! ```
//! How a service is called that holds a key is `bulla_services`'.
//!
//! A master key is one entry of a file's metadata: an age recipient, a transit key, an ARN, a fingerprint. Several of them wrap
//! the same bytes for several readers. What is expensive and shared, the identities of age and the clients of services, is an `Arc`
//! that the keys of one command have in common.
//!
//! No file, environment variable or terminal is met here: callers hand in what they read ([`age::IdentitySource`]) and what may be
//! asked ([`age::Prompt`]). [`age::identity_places`] says where SOPS looks. Three exceptions: plugins of age and gpg are programs
//! found in `PATH`, and have the environment of this process; the system's certificates are where OpenSSL looks for them; and the SDK
//! of AWS finds credentials and endpoints by itself ([`bulla_services::aws`]). Invariant: no error here carries a secret.

pub mod age;
pub mod aws;
pub mod azure;
mod cloud;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod gcp;
pub mod huawei;
pub mod memory;
mod name;
mod one_line;
mod order;
pub mod pgp;
pub mod service;
mod sources;
pub mod vault;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bulla_crypto::SecretBytes;
use bulla_services::ServiceError;
pub use bulla_services::Tried;
pub use name::{KeyName, KeyNameError};
use one_line::OneLine;
pub use one_line::steers;
pub use order::{DecryptionOrder, OrderError};
use pgp::GpgError;
pub use sources::{KeySources, Later};

/// A key that wraps data keys (or shares of one) and unwraps them again.
///
/// One file per source: `age.rs`, `vault.rs`, `aws.rs` and the others; `fake.rs` for tests.
#[async_trait]
pub trait MasterKey: fmt::Debug + Send + Sync {
    /// What the metadata calls it.
    fn name(&self) -> KeyName;

    /// Wraps `secret`: a data key of 32 bytes, or a share of 33.
    ///
    /// # Errors
    /// [`WrapError`].
    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError>;

    /// Unwraps what [`MasterKey::wrap`] made. `Ok(None)`: wrapped for another key, try the next. `Err`: this key should have worked
    /// and did not, which matters only if no other key works.
    ///
    /// # Errors
    /// [`UnwrapError`].
    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError>;

    /// What of [`MasterKey::unwrap`] starts no program, calls no service and asks nobody. `Ok(None)` also where nothing can be done so.
    ///
    /// # Errors
    /// [`UnwrapError`].
    async fn unwrap_quietly(&self, _: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        Ok(None)
    }

    /// How many programs this key has started to unwrap, and how often a service was called: for who bounds what a file may cause.
    fn started(&self) -> usize {
        1
    }

    /// Whether something that is here fits, as far as that shows without unwrapping: of several keys, such are tried first.
    async fn is_likely(&self) -> bool {
        false
    }

    /// Where this key looked for the means to unwrap, and what was there: for the message when no key at all works. Keys that share
    /// their means give the same places, so the reader of several lists drops what repeats.
    fn tried(&self) -> Vec<Tried> {
        Vec::new()
    }
}

/// The kinds of master keys that the SOPS format names.
///
/// An enum though sources are an open set: the *names* are a closed one, fixed by the file format, and `decryption_order` may name
/// all of them whether or not this program can use them. Code for a new source is a file of this crate; this list does not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `kms`: AWS KMS.
    Kms,
    /// `gcp_kms`: Google Cloud KMS.
    GcpKms,
    /// `hckms`: Huawei Cloud KMS.
    HcKms,
    /// `azure_kv`: Azure Key Vault.
    AzureKv,
    /// `hc_vault`: HashiCorp Vault and OpenBao, transit engine.
    HcVault,
    /// `pgp`: OpenPGP.
    Pgp,
    /// `age`
    Age,
}

impl Source {
    /// All of them, in the order in which SOPS reads them from a file.
    pub const ALL: [Self; 7] =
        [Self::Kms, Self::GcpKms, Self::HcKms, Self::AzureKv, Self::HcVault, Self::Pgp, Self::Age];

    /// The name of its list in the metadata, and in `decryption_order`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HcKms => "hckms",
            Self::AzureKv => "azure_kv",
            Self::HcVault => "hc_vault",
            Self::Pgp => "pgp",
            Self::Age => "age",
        }
    }

    /// Do keys of this kind lie in a service, which is called to use them?
    pub const fn is_in_a_service(self) -> bool {
        !matches!(self, Self::Age | Self::Pgp)
    }

    /// The fields of the metadata that name a key of this kind, the most important first; never empty.
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Age => &["recipient"],
            Self::Pgp => &["fp"],
            Self::Kms => &["arn", "role", "aws_profile"],
            Self::GcpKms => &["resource_id"],
            Self::HcKms => &["key_id"],
            Self::AzureKv => &["vault_url", "name", "version"],
            Self::HcVault => &["vault_address", "engine_path", "key_name"],
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is not one of a key source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown key type `{0}`: expected `age`, `pgp`, `kms`, `gcp_kms`, `azure_kv`, `hc_vault` or `hckms`")]
pub struct UnknownSource(String);

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let source = Self::ALL.into_iter().find(|source| source.as_str() == name);
        source.ok_or_else(|| UnknownSource(name.to_owned()))
    }
}

/// Names one master key. Two keys with equal ids are the same key, wherever they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    /// Its kind.
    pub source: Source,
    /// What SOPS identifies it by within its kind: the recipient, ARN, fingerprint or address.
    pub name: String,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, OneLine(&self.name))
    }
}

/// A wrapped data key as text, as the metadata's `enc` holds it: armored, base64 or a token, by source. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WrappedKey(String);

impl WrappedKey {
    /// Takes the text of an `enc`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text for an `enc`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<String> for WrappedKey {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Why a key could not wrap. The caller knows which key it was ([`MasterKey::name`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The recipient is not one.
    #[error(transparent)]
    Recipient(#[from] age::RecipientError),
    /// A plugin is missing, failed, or refused.
    #[error("the plugin `{program}` could not encrypt: {reason}")]
    Plugin {
        /// The program that was run or looked for.
        program: String,
        /// What it said, or that it was not found.
        reason: String,
    },
    /// The service that holds the key did not do it.
    #[error(transparent)]
    Service(Box<ServiceError>),
    /// gpg did not do it.
    #[error(transparent)]
    Gpg(#[from] GpgError),
    /// Neither here nor by a key service.
    #[error("{0}")]
    Nobody(service::NobodyDid<Self>),
    /// Nothing that should happen.
    #[error("encrypting failed: {0}")]
    Failed(String),
}

/// Why a key that could have unwrapped did not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The text is not what the source writes. The file was damaged.
    #[error("the wrapped key is damaged: {0}")]
    Malformed(String),
    /// A key opened it, and what is inside was changed.
    #[error("the wrapped key is damaged: it does not authenticate under the key that fits")]
    Damaged,
    /// Nothing that was found fits, and something that might have could not be read or used: see the list.
    #[error("no identity fits{}", list(.0))]
    NoIdentity(Vec<Tried>),
    /// The service that holds the key did not do it.
    #[error(transparent)]
    Service(Box<ServiceError>),
    /// gpg did not do it.
    #[error(transparent)]
    Gpg(#[from] GpgError),
    /// Neither here nor by a key service.
    #[error("{0}")]
    Nobody(service::NobodyDid<Self>),
}

impl From<ServiceError> for WrapError {
    fn from(error: ServiceError) -> Self {
        Self::Service(Box::new(error))
    }
}

impl From<ServiceError> for UnwrapError {
    fn from(error: ServiceError) -> Self {
        Self::Service(Box::new(error))
    }
}

fn list(tried: &[Tried]) -> String {
    let mut text = String::new();
    for (index, tried) in tried.iter().enumerate() {
        text.push_str(if index == 0 { ": " } else { "; " });
        text.push_str(&tried.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_the_names_of_the_format() {
        for source in Source::ALL {
            assert_eq!(source.as_str().parse::<Source>().unwrap(), source);
        }
        let error = "aws".parse::<Source>().unwrap_err();
        assert!(error.to_string().starts_with("unknown key type `aws`: expected `age`"));
    }

    #[test]
    fn an_error_lists_what_was_tried() {
        let tried = |place: &str, outcome: &str| Tried { place: place.into(), outcome: outcome.into() };
        let error = UnwrapError::NoIdentity(vec![
            tried("SOPS_AGE_KEY", "not set"),
            tried("keys.txt", "line 3: unknown identity type"),
        ]);
        assert_eq!(
            error.to_string(),
            "no identity fits: `SOPS_AGE_KEY`: not set; `keys.txt`: line 3: unknown identity type"
        );
    }
}
