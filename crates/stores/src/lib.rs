//! External stores of secrets: one narrow trait, [`Store`], and one file per store.
//!
//! ```text
//! Remote {key, version} ─ Store::fetch ─▶ Payload ─┬─ whole()            remoteRef without property
//!                            │                     ├─ property("a.b")    remoteRef.property, by the store's own rule
//!                            ▼                     └─ entries(…)         dataFrom.extract
//!                         FetchError: not found, forbidden, rejected, throttled, unreachable, unavailable, malformed, settings
//!
//! vault       KV 2 and KV 1 of HashiCorp Vault and OpenBao
//! kubernetes  Secrets of a cluster, this one or another
//! aws         AWS Secrets Manager
//! fake        what stands in the store itself
//! ```
//! A payload is kept as the store gave it, so one fetch serves everybody who needs something of it; what is selected follows External
//! Secrets to the byte: Go's JSON ([`json`]) and GJSON's paths ([`path`]). Whoever builds a store hands in plain values; nothing here
//! knows of custom resources, files or the environment. Invariant: no error here carries a value or a part of one.
//!
//! Source: external-secrets 2.9.0 `providers/v1`, `runtime/esutils`.

pub mod aws;
mod error;
pub mod fake;
pub mod json;
pub mod kubernetes;
pub mod path;
mod text;
pub mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bulla_crypto::SecretBytes;

use bulla_services::Limits;
pub use bulla_services::{TokenError, TokenSource};
pub use error::{FetchError, SelectError};

/// What a store waits for. Whoever asks stores for many keys knows better when to ask a busy one again, so it is told at once.
pub const LIMITS: Limits = Limits {
    attempts: 3,
    silent_attempts: 2,
    throttled_attempts: 1,
    first_wait: Duration::from_millis(250),
    longest_wait: Duration::from_secs(2),
    attempt: Duration::from_secs(15),
    calls: 16,
    // A Secret of Kubernetes has a mebibyte at most; base64 and what surrounds it make it longer.
    answer: 4 << 20,
};

/// A store of secrets, connected with certain credentials. It lives as long as those are right: connections and logins are kept.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// What the store holds under `remote` now. One call, or as few as can be: whoever needs the same asks once.
    ///
    /// # Errors
    /// [`FetchError`]
    async fn fetch(&self, remote: &Remote) -> Result<Payload, FetchError>;

    /// Whether the store can be used with these credentials, told without reading a secret.
    ///
    /// # Errors
    /// [`FetchError`], if it cannot.
    async fn check(&self) -> Result<Usable, FetchError>;

    /// Gives back what was lent, such as the token of a login. The store is not asked any more.
    async fn close(&self) {}
}

/// Whether a store can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    /// Its credentials are good.
    Yes,
    /// That cannot be told without asking for a secret.
    Unknown,
}

/// What is asked of a store: `remoteRef` without what selects a part of the answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Remote {
    /// Its key there: a name or a path.
    pub key: String,
    /// Its version, as the store writes it; `None` for the current one.
    pub version: Option<String>,
}

impl Remote {
    /// The current version of `key`.
    pub fn current(key: impl Into<String>) -> Self {
        Self { key: key.into(), version: None }
    }

    /// `version` of `key`; an empty one is the current one, as in a manifest.
    pub fn version(key: impl Into<String>, version: impl Into<String>) -> Self {
        Self { key: key.into(), version: Some(version.into()).filter(|version: &String| !version.is_empty()) }
    }
}

/// As messages write it.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.key)?;
        match &self.version {
            Some(version) => write!(f, " (version `{version}`)"),
            None => Ok(()),
        }
    }
}

/// What one fetch brought, as the store gave it. Wiped when it is dropped; `Debug` shows nothing of it.
pub struct Payload(Box<dyn Content>);

impl Payload {
    fn new(content: impl Content + 'static) -> Self {
        Self(Box::new(content))
    }

    /// All of it: what `remoteRef` without `property` gives.
    ///
    /// # Errors
    /// [`SelectError`]
    pub fn whole(&self) -> Result<SecretBytes, SelectError> {
        self.0.whole()
    }

    /// What `remoteRef.property` gives. An empty one is none.
    ///
    /// # Errors
    /// [`SelectError`]
    pub fn property(&self, path: &str) -> Result<SecretBytes, SelectError> {
        if path.is_empty() { self.0.whole() } else { self.0.property(path) }
    }

    /// What `dataFrom.extract` gives: all entries, or those of the object that `property` names.
    ///
    /// # Errors
    /// [`SelectError`]
    pub fn entries(&self, property: Option<&str>) -> Result<BTreeMap<String, SecretBytes>, SelectError> {
        self.0.entries(property.filter(|property| !property.is_empty()))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(..)")
    }
}

/// What a store's payload is made of, and by which rule something of it is selected. One in each store's file.
trait Content: Send + Sync {
    fn whole(&self) -> Result<SecretBytes, SelectError>;
    fn property(&self, path: &str) -> Result<SecretBytes, SelectError>;
    fn entries(&self, property: Option<&str>) -> Result<BTreeMap<String, SecretBytes>, SelectError>;
}
