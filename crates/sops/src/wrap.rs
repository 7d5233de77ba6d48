//! Wrapping a data key for whoever is to open a file.
//!
//! ```text
//! one group         data key ──▶ every key wraps the data key: any of them opens the file
//! several groups    data key ─ shamir::split ─▶ a share for each group, wrapped by every key of the group:
//!                   any key of as many groups as the threshold says opens the file
//! ```
//! Keys of services are asked at the same time, a bounded number of them; their order in the file is that of the groups.
//!
//! Source: sops 3.13.3 `sops.go` (`UpdateMasterKeysWithKeyServices`). Unlike SOPS, which writes `enc: ""` for a key that failed where it
//! adds a group, every key must have wrapped.

use bulla_crypto::shamir::{self, SplitError};
use bulla_crypto::{DataKey, SecretBytes};
use bulla_keys::{KeyId, MasterKey, WrapError};
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rand_core::CryptoRng;

use crate::metadata::{KeyEntry, LastModified, Metadata};

/// How many keys of one file are asked at once. What a client bears of all files together is its own bound.
const CALLS: usize = 8;

/// The keys of a file by group.
pub type Groups<'a> = [Vec<&'a dyn MasterKey>];

/// Why a data key could not be wrapped for all who are to have it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapKeysError {
    /// Nobody could open the file.
    #[error("no key to encrypt for: name at least one recipient")]
    NoKeys,
    /// Nobody could give this group's share.
    #[error("group {number} of {groups} names no key: nobody could give its share of the data key")]
    EmptyGroup {
        /// Which, from 1.
        number: usize,
        /// How many there are.
        groups: usize,
    },
    /// The same key is named twice in one group.
    #[error("the key {0} is named twice")]
    DuplicateKey(KeyId),
    /// The data key cannot be shared so.
    #[error("the data key cannot be split for {groups} groups of keys")]
    Split {
        /// How many there are.
        groups: usize,
        /// Why.
        source: SplitError,
    },
    /// A master key failed.
    #[error("cannot wrap the data key for {id}")]
    Wrap {
        /// Which key.
        id: KeyId,
        /// Why.
        source: WrapError,
    },
}

/// A wrapped data key, for the metadata.
#[derive(Debug)]
pub(crate) struct Wrapped {
    pub(crate) groups: Vec<Vec<KeyEntry>>,
    /// As the metadata has it: never 0 with several groups.
    pub(crate) threshold: usize,
}

impl Wrapped {
    /// Keys that the file `before` had keep their dates, as under `sops rotate`.
    pub(crate) fn keep_dates(&mut self, before: &Metadata) {
        for group in &mut self.groups {
            for entry in group {
                if let Some(known) = before.keys().find(|known| known.name() == entry.name()) {
                    *entry = entry.clone().dated_as(known);
                }
            }
        }
    }
}

/// Wraps `data_key` for every key of `groups`, at the moment `now`. `rng` gives the shares, if there are several groups.
pub(crate) async fn wrap(
    data_key: &DataKey,
    groups: &Groups<'_>,
    threshold: usize,
    now: LastModified,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Wrapped, WrapKeysError> {
    check(groups)?;
    let (shares, threshold) = match groups {
        [_] => (vec![data_key.to_secret_bytes()], threshold),
        groups => {
            let needed = needed(groups.len(), threshold);
            let shares = shamir::split(&data_key.to_secret_bytes(), groups.len(), needed, rng);
            (shares.map_err(|source| WrapKeysError::Split { groups: groups.len(), source })?, needed)
        }
    };
    let mut calls = Vec::new();
    for (group, share) in groups.iter().zip(&shares) {
        calls.extend(group.iter().map(|key| wrap_for(*key, share, now).boxed()));
    }
    let entries: Vec<_> = stream::iter(calls).buffered(CALLS).try_collect().await?;
    let mut entries = entries.into_iter();
    let groups = groups.iter().map(|group| entries.by_ref().take(group.len()).collect()).collect();
    Ok(Wrapped { groups, threshold })
}

async fn wrap_for(key: &dyn MasterKey, share: &SecretBytes, now: LastModified) -> Result<KeyEntry, WrapKeysError> {
    let enc = key.wrap(share).await;
    let enc = enc.map_err(|source| WrapKeysError::Wrap { id: key.name().id(), source })?;
    Ok(KeyEntry::new(key.name(), enc, now))
}

/// How many of several groups must give their share: all of them where nothing is said.
pub(crate) const fn needed(groups: usize, threshold: usize) -> usize {
    if threshold == 0 { groups } else { threshold }
}

/// Nothing is asked of a service for a file that could not be opened.
fn check(groups: &Groups<'_>) -> Result<(), WrapKeysError> {
    if groups.iter().all(Vec::is_empty) {
        return Err(WrapKeysError::NoKeys);
    }
    if let Some(empty) = groups.iter().position(Vec::is_empty) {
        return Err(WrapKeysError::EmptyGroup { number: empty + 1, groups: groups.len() });
    }
    for group in groups {
        let mut ids: Vec<KeyId> = Vec::with_capacity(group.len());
        for key in group {
            let id = key.name().id();
            if ids.contains(&id) {
                return Err(WrapKeysError::DuplicateKey(id));
            }
            ids.push(id);
        }
    }
    Ok(())
}
