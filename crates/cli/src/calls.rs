//! How often services are called for a plan: one call unwraps a data key, one wraps the new one for each reader that lies in a service.
//!
//! At most, that is: an identity of age that opens a file spares the call, and the first key of a service that the file names is taken for
//! the one that opens it. A data key that several files hold is unwrapped once.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use bulla_keys::{KeyId, Source, WrappedKey};
use bulla_sops::{KeyEntry, Metadata};
use serde_json::{Value, json};

/// What opens a file and may take a call: keys of services, and what they wrapped. One, or one of each group that is needed.
pub(crate) type Opening = Vec<(KeyId, WrappedKey)>;

/// Calls by kind of key: to unwrap, to wrap.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<Source, (usize, usize)>);

/// The calls that open a file with this metadata.
pub(crate) fn opening(metadata: &Metadata) -> Opening {
    let first = |group: &Vec<KeyEntry>| group.iter().find(|entry| entry.source().is_in_a_service()).cloned();
    let keys = metadata.groups.iter().filter_map(first).map(|entry| (entry.id(), entry.wrapped().clone()));
    let needed = if metadata.shamir_threshold == 0 { usize::MAX } else { metadata.threshold().max(2) };
    keys.take(needed).collect()
}

/// The calls of several files, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    unwrapped: HashSet<(KeyId, WrappedKey)>,
    pub(crate) total: Calls,
}

impl Counter {
    /// The calls for a file that is opened so and encrypted for `readers`.
    pub(crate) fn count(&mut self, opening: &[(KeyId, WrappedKey)], readers: &[KeyId]) -> Calls {
        let mut calls = Calls::default();
        for (id, wrapped) in opening {
            if self.unwrapped.insert((id.clone(), wrapped.clone())) {
                calls.0.entry(id.source).or_default().0 += 1;
            }
        }
        for reader in readers.iter().filter(|reader| reader.source.is_in_a_service()) {
            calls.0.entry(reader.source).or_default().1 += 1;
        }
        for (source, (unwraps, wraps)) in &calls.0 {
            let total = self.total.0.entry(*source).or_default();
            *total = (total.0 + unwraps, total.1 + wraps);
        }
        calls
    }
}

impl Calls {
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// `{"kms": {"unwrap": 1, "wrap": 2}}`
    pub(crate) fn to_json(&self) -> Value {
        let of = |(source, (unwrap, wrap)): (&Source, &(usize, usize))| {
            (source.as_str().to_owned(), json!({ "unwrap": unwrap, "wrap": wrap }))
        };
        Value::Object(self.0.iter().map(of).collect())
    }
}

/// `kms 1 to unwrap, 2 to wrap; hc_vault 1 to wrap`
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (source, (unwraps, wraps))) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            let parts = [(*unwraps, "unwrap"), (*wraps, "wrap")].into_iter().filter(|(count, _)| *count > 0);
            let parts: Vec<String> = parts.map(|(count, what)| format!("{count} to {what}")).collect();
            write!(f, "{source} {}", parts.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_is_unwrapped_once_and_wrapped_for_each_reader_in_a_service() {
        let id = |source, name: &str| KeyId { source, name: name.to_owned() };
        let opening = |wrapped: &str| vec![(id(Source::Kms, "A"), WrappedKey::new(wrapped))];
        let readers = [id(Source::Age, "age1"), id(Source::Kms, "A"), id(Source::Kms, "B"), id(Source::HcVault, "v")];
        let mut counter = Counter::default();
        let first = counter.count(&opening("one"), &readers);
        assert_eq!(first.to_string(), "kms 1 to unwrap, 2 to wrap; hc_vault 1 to wrap");
        assert_eq!(first.to_json(), json!({"kms": {"unwrap": 1, "wrap": 2}, "hc_vault": {"unwrap": 0, "wrap": 1}}));
        assert_eq!(counter.count(&opening("one"), &readers[..2]).to_string(), "kms 1 to wrap");
        assert!(counter.count(&[], &readers[..1]).is_none());
        assert_eq!(counter.total.to_string(), "kms 1 to unwrap, 3 to wrap; hc_vault 1 to wrap");
    }
}
