//! Getting the data key: the file's master keys, tried in SOPS' order with what this command has.

use std::fmt;
use std::sync::Arc;

use bulla_crypto::{DataKey, DataKeyLengthError};
use bulla_keys::age::{AgeIdentities, AgeKey};
use bulla_keys::{KeyId, KeyName, KeySources, MasterKey, Source, Tried, UnwrapError};
use bulla_services::NamedBy;

use crate::metadata::{KeyEntry, Metadata};

/// So many keys in services are asked for one file. Whoever writes a file with thousands does not have them all called by us.
const MOST_IN_SERVICES: usize = 50;

/// The means of a command to unwrap data keys.
pub trait KeyRing: fmt::Debug + Sync {
    /// The master key that `entry` names, ready to unwrap; `None` for a kind that is not there.
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>>;

    /// The kinds to try first, in this order; the others follow as the file has them.
    fn order(&self) -> &[Source] {
        &[Source::Age, Source::Pgp]
    }
}

/// age only.
impl KeyRing for Arc<AgeIdentities> {
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
        match entry.name() {
            KeyName::Age(recipient) => Some(Box::new(AgeKey::new(recipient, Self::clone(self)))),
            _ => None,
        }
    }
}

/// Keys of every kind that can be used.
impl KeyRing for KeySources<'_> {
    fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
        self.key(entry.name(), NamedBy::File)
    }
}

/// No data key could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataKeyError {
    /// No master key gave the data key.
    #[error("none of {} could unwrap the data key{}", count(.failures), list(.failures))]
    NoKey {
        /// Why each did not, in the order tried.
        failures: Vec<KeyFailure>,
        /// Where the means to unwrap were looked for, each place once.
        tried: Vec<Tried>,
    },
    /// The data key is split between groups.
    #[error("the data key is split into shares for {groups} groups of keys (`key_groups`), which cannot be joined yet")]
    Groups {
        /// How many.
        groups: usize,
    },
}

/// Why a master key did not give the data key.
#[derive(Debug, thiserror::Error)]
#[error("{id}: {reason}")]
pub struct KeyFailure {
    /// The key.
    pub id: KeyId,
    /// Why.
    pub reason: KeyReason,
}

/// Why a master key did not give the data key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyReason {
    /// There is no way to use keys of this kind.
    #[error("keys of this kind cannot be used")]
    Unsupported,
    /// The entry has no `enc`.
    #[error("the file holds no wrapped data key for it")]
    Empty,
    /// Too many others lie in services, too.
    #[error("not asked: {MOST_IN_SERVICES} other keys in services were, and did not work")]
    TooMany,
    /// Nothing that is here opens it.
    #[error("no identity here fits it")]
    NotOurs,
    /// It should have worked.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// It worked, and what came out is no data key.
    #[error(transparent)]
    Length(#[from] DataKeyLengthError),
}

fn count(failures: &[KeyFailure]) -> String {
    match failures.len() {
        1 => "the file's 1 master key".to_owned(),
        count => format!("the file's {count} master keys"),
    }
}

fn list(failures: &[KeyFailure]) -> String {
    failures.iter().fold(String::new(), |text, failure| text + "\n  " + &failure.to_string())
}

/// Unwraps the data key with the first master key that can.
///
/// # Errors
/// [`DataKeyError`], with a reason for every key.
pub(crate) async fn data_key(metadata: &Metadata, ring: &dyn KeyRing) -> Result<DataKey, DataKeyError> {
    let [group] = metadata.groups.as_slice() else {
        return Err(DataKeyError::Groups { groups: metadata.groups.len() });
    };
    let order = ring.order();
    let rank = |entry: &KeyEntry| order.iter().position(|source| *source == entry.source()).unwrap_or(order.len());
    let mut entries: Vec<&KeyEntry> = group.iter().collect();
    entries.sort_by_key(|entry| rank(entry));

    let (mut failures, mut tried, mut asked) = (Vec::new(), Vec::new(), 0);
    for entry in entries {
        asked += usize::from(entry.source().is_in_a_service());
        if entry.source().is_in_a_service() && asked > MOST_IN_SERVICES {
            failures.push(KeyFailure { id: entry.id(), reason: KeyReason::TooMany });
            continue;
        }
        match unwrap(entry, ring, &mut tried).await {
            Ok(key) => return Ok(key),
            Err(reason) => failures.push(KeyFailure { id: entry.id(), reason }),
        }
    }
    Err(DataKeyError::NoKey { failures, tried })
}

async fn unwrap(entry: &KeyEntry, ring: &dyn KeyRing, tried: &mut Vec<Tried>) -> Result<DataKey, KeyReason> {
    let key = ring.master_key(entry).ok_or(KeyReason::Unsupported)?;
    if entry.wrapped().as_str().is_empty() {
        return Err(KeyReason::Empty);
    }
    let outcome = key.unwrap(entry.wrapped()).await;
    if !matches!(outcome, Ok(Some(_))) {
        for place in key.tried() {
            if !tried.contains(&place) {
                tried.push(place);
            }
        }
    }
    let secret = outcome?.ok_or(KeyReason::NotOurs)?;
    Ok(DataKey::try_from(&secret)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bulla_crypto::SecretBytes;
    use bulla_doc::{Document, Format};
    use bulla_keys::fake::{Behaviour, FakeKey};

    use super::*;

    #[derive(Debug, Default)]
    struct Fakes(HashMap<(Source, String), Behaviour>);

    impl KeyRing for Fakes {
        fn master_key(&self, entry: &KeyEntry) -> Option<Box<dyn MasterKey>> {
            let KeyId { source, name } = entry.id();
            let behaviour = *self.0.get(&(source, name.clone()))?;
            Some(Box::new(FakeKey::new(source, name, behaviour)))
        }
    }

    fn ring(keys: &[(Source, &str, Behaviour)]) -> Fakes {
        Fakes(keys.iter().map(|(source, name, behaviour)| ((*source, (*name).to_owned()), *behaviour)).collect())
    }

    async fn wrapped(source: Source, name: &str, length: usize) -> String {
        let key = FakeKey::new(source, name, Behaviour::Works);
        key.wrap(&SecretBytes::new(vec![7; length])).await.unwrap().into_string()
    }

    fn metadata(keys: &str) -> Metadata {
        let text = format!("sops: {{lastmodified: '2026-01-02T03:04:05Z', version: 3.13.3, {keys}}}\n");
        Metadata::read(&Document::parse(text.as_bytes(), Format::Yaml).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn every_key_is_tried_in_order_and_every_reason_is_told() {
        let long = wrapped(Source::Kms, "long", 33).await;
        let metadata = metadata(&format!(
            "kms: [{{arn: none, enc: x}}, {{arn: fails, enc: x}}, {{arn: long, enc: {long}}}], \
             age: [{{recipient: other, enc: x}}, {{recipient: empty}}]"
        ));
        let ring = ring(&[
            (Source::Kms, "fails", Behaviour::Fails),
            (Source::Kms, "long", Behaviour::Works),
            (Source::Age, "other", Behaviour::KnowsNothing),
            (Source::Age, "empty", Behaviour::Works),
        ]);
        let error = data_key(&metadata, &ring).await.unwrap_err();
        let expected = "none of the file's 5 master keys could unwrap the data key
  age other: no identity here fits it
  age empty: the file holds no wrapped data key for it
  kms none: keys of this kind cannot be used
  kms fails: no identity fits: `the fake`: Fails
  kms long: a data key has 32 bytes, this one has 33";
        assert_eq!(error.to_string(), expected);
        let DataKeyError::NoKey { tried, .. } = error else { panic!("another error") };
        assert_eq!(tried.len(), 2);
    }

    #[tokio::test]
    async fn the_first_key_that_works_is_enough() {
        let enc = wrapped(Source::Pgp, "works", 32).await;
        let metadata = metadata(&format!("kms: [{{arn: fails, enc: x}}], pgp: [{{fp: works, enc: {enc}}}]"));
        let ring = ring(&[(Source::Kms, "fails", Behaviour::Fails), (Source::Pgp, "works", Behaviour::Works)]);
        assert_eq!(data_key(&metadata, &ring).await.unwrap().expose_secret(), &[7; 32]);
    }

    #[tokio::test]
    async fn a_file_does_not_have_thousands_of_services_called() {
        let enc = wrapped(Source::Kms, "last", 32).await;
        let list = |count: usize| -> String { (0..count).map(|_| "{arn: fails, enc: x}, ").collect() };
        let ring = ring(&[(Source::Kms, "fails", Behaviour::Fails), (Source::Kms, "last", Behaviour::Works)]);
        let most = metadata(&format!("kms: [{}{{arn: last, enc: {enc}}}]", list(MOST_IN_SERVICES - 1)));
        assert!(data_key(&most, &ring).await.is_ok());
        let more = metadata(&format!("kms: [{}{{arn: last, enc: {enc}}}]", list(MOST_IN_SERVICES)));
        let error = data_key(&more, &ring).await.unwrap_err().to_string();
        assert!(error.ends_with("kms last: not asked: 50 other keys in services were, and did not work"), "{error}");
    }

    #[tokio::test]
    async fn several_groups_are_refused() {
        let metadata = metadata("key_groups: [{age: [{recipient: a, enc: x}]}, {age: [{recipient: b, enc: x}]}]");
        let error = data_key(&metadata, &Fakes::default()).await.unwrap_err();
        assert!(matches!(error, DataKeyError::Groups { groups: 2 }), "{error}");
    }
}
