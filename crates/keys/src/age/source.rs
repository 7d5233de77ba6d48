//! One source of identities: what the caller found there, and what became of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulla_crypto::SecretBytes;

use super::identity::{self, Identity, described};
use super::openssh::{self, LockedKey, SshKey};
use super::places::IdentityKind;
use crate::Tried;

/// Longest encrypted identity file, in bytes, as in SOPS.
const LONGEST_FILE: usize = 1 << 24;

/// One source of identities, as the caller found it.
#[derive(Debug)]
pub struct IdentitySource {
    /// Its name in messages: an environment variable or a path.
    pub name: String,
    /// What kind of identities it should hold.
    pub kind: IdentityKind,
    /// What was found.
    pub content: SourceContent,
}

/// What was found at a source.
pub enum SourceContent {
    /// Nothing, in these words: `not set`, `not there`. No error.
    Absent(String),
    /// Something that could not be read, for this reason.
    Unreadable(String),
    /// The text or file itself.
    Found(SecretBytes),
    /// What a function gives for a recipient: a command's output. It is called when nothing before fits, once per recipient, and may
    /// take its time. The error says why there is none.
    Deferred(Arc<ReadForRecipient>),
}

/// Gives the identities for a recipient, or says why not.
pub type ReadForRecipient = dyn Fn(&str) -> Result<SecretBytes, String> + Send + Sync;

impl fmt::Debug for SourceContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(why) => f.debug_tuple("Absent").field(why).finish(),
            Self::Unreadable(why) => f.debug_tuple("Unreadable").field(why).finish(),
            Self::Found(_) => f.write_str("Found(..)"),
            Self::Deferred(_) => f.write_str("Deferred(..)"),
        }
    }
}

/// A source, read.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) kind: IdentityKind,
    pub(super) state: State,
}

/// What became of a source.
pub(super) enum State {
    Absent(String),
    Broken(String),
    Ready(Vec<Identity>),
    LockedSsh(Box<LockedKey>, Mutex<Lock>),
    LockedFile(SecretBytes, Mutex<Lock>),
    Deferred(Arc<ReadForRecipient>, Mutex<HashMap<String, Arc<Source>>>),
}

/// What a passphrase protects.
pub(super) enum Lock {
    Closed,
    Open(Arc<Vec<Identity>>),
    /// Never to be asked for again, for this reason.
    Stuck(String),
}

impl Source {
    pub(super) fn read(source: IdentitySource) -> Self {
        let IdentitySource { name, kind, content } = source;
        let state = match content {
            SourceContent::Absent(why) => State::Absent(why),
            SourceContent::Unreadable(why) => State::Broken(why),
            SourceContent::Deferred(read) => State::Deferred(read, Mutex::default()),
            SourceContent::Found(content) => match kind {
                IdentityKind::Ssh { .. } => match openssh::read(&content) {
                    Ok(SshKey::Open(identity)) => State::Ready(vec![Identity::Ssh(Box::new(identity))]),
                    Ok(SshKey::Locked(key)) => State::LockedSsh(Box::new(key), Mutex::new(Lock::Closed)),
                    Err(error) => State::Broken(error.to_string()),
                },
                IdentityKind::Age { .. } if identity::is_age_file(&content) => {
                    if content.len() >= LONGEST_FILE {
                        State::Broken("longer than 16 MiB".to_owned())
                    } else {
                        State::LockedFile(content, Mutex::new(Lock::Closed))
                    }
                }
                IdentityKind::Age { several_per_line } => match identity::parse(&content, several_per_line) {
                    Ok(identities) => State::Ready(identities),
                    Err(error) => State::Broken(error.to_string()),
                },
            },
        };
        Self { name, kind, state }
    }

    /// Gives the identities that no passphrase protects, or no longer.
    pub(super) fn with_open<T>(&self, use_them: impl FnOnce(&[Identity]) -> T) -> Option<T> {
        match &self.state {
            State::Ready(identities) => Some(use_them(identities)),
            State::LockedSsh(_, lock) | State::LockedFile(_, lock) => {
                // Somebody is being asked if it is taken: then it is not open yet.
                let identities = match &*lock.try_lock().ok()? {
                    Lock::Open(identities) => Arc::clone(identities),
                    Lock::Closed | Lock::Stuck(_) => return None,
                };
                Some(use_them(&identities))
            }
            State::Absent(_) | State::Broken(_) | State::Deferred(..) => None,
        }
    }

    pub(super) fn tried(&self) -> Tried {
        let outcome = match &self.state {
            State::Absent(why) | State::Broken(why) => why.clone(),
            State::Ready(identities) => described(identities),
            State::LockedSsh(key, _) => format!("{}, with a passphrase", key.recipient()),
            State::LockedFile(_, lock) => match &*locked(lock) {
                Lock::Closed => "an identity file with a passphrase, which was not needed".to_owned(),
                Lock::Open(identities) => described(identities),
                Lock::Stuck(why) => why.clone(),
            },
            State::Deferred(_, cache) => {
                let cache = locked(cache);
                let mut outcomes: Vec<String> = cache.values().map(|source| source.tried().outcome).collect();
                outcomes.sort();
                outcomes.dedup();
                if outcomes.is_empty() { "not run".to_owned() } else { outcomes.join(", ") }
            }
        };
        Tried { place: self.name.clone(), outcome }
    }
}

/// Locks, also after a panic of another thread: what is behind these locks is whole at every moment.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
