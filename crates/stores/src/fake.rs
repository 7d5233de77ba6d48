//! The store that holds what stands in itself: for trying things out, and for tests.
//!
//! Source: external-secrets 2.9.0 `providers/v1/fake`. Two differences: key and version are compared each for itself, and what somebody
//! pushes is not remembered.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use bulla_crypto::SecretBytes;

use crate::text::{Rule, Text, copy};
use crate::{FetchError, Payload, Remote, Store, Usable};

/// What such a store says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It can be used.
    #[default]
    Ready,
    /// Nobody knows.
    Unknown,
    /// It cannot.
    Error,
}

/// A fake store.
pub struct Fake {
    data: HashMap<Remote, SecretBytes>,
    verdict: Verdict,
}

impl Fake {
    /// With `data`; of values for the same key and version the last one counts.
    pub fn new(data: impl IntoIterator<Item = (Remote, SecretBytes)>, verdict: Verdict) -> Self {
        Self { data: data.into_iter().collect(), verdict }
    }
}

/// How messages call it.
const SHOWN: &str = "the fake store";

#[async_trait]
impl Store for Fake {
    async fn fetch(&self, remote: &Remote) -> Result<Payload, FetchError> {
        let value = self.data.get(remote).ok_or_else(|| FetchError::NotFound {
            store: SHOWN.to_owned(),
            key: remote.to_string(),
            advice: "see `spec.provider.fake.data`, its version included".to_owned(),
        })?;
        Ok(Payload::new(Text { bytes: copy(value.expose_secret()), rule: Rule::Path }))
    }

    async fn check(&self) -> Result<Usable, FetchError> {
        match self.verdict {
            Verdict::Ready => Ok(Usable::Yes),
            Verdict::Unknown => Ok(Usable::Unknown),
            Verdict::Error => Err(FetchError::Settings {
                store: SHOWN.to_owned(),
                reason: "its `validationResult` says so".to_owned(),
            }),
        }
    }
}

/// Which keys, not what they hold.
impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys: Vec<_> = self.data.keys().collect();
        keys.sort();
        f.debug_struct("Fake").field("keys", &keys).field("verdict", &self.verdict).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SelectError;

    fn store() -> Fake {
        let secret = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
        Fake::new(
            [
                (Remote::current("db"), secret("old")),
                (
                    Remote::current("db"),
                    secret(r#"{"user": "u", "ports": [1, 2], "none": null, "deep": {"a.b": "<&>"}}"#),
                ),
                (Remote::version("db", "v2"), secret("plain hunter2")),
            ],
            Verdict::Ready,
        )
    }

    fn text(secret: &SecretBytes) -> &str {
        str::from_utf8(secret.expose_secret()).unwrap()
    }

    #[tokio::test]
    async fn a_value_is_given_whole_by_property_and_by_entry() {
        let payload = store().fetch(&Remote::current("db")).await.unwrap();
        assert!(text(&payload.whole().unwrap()).starts_with(r#"{"user": "u""#));
        assert_eq!(text(&payload.property("ports.1").unwrap()), "2");
        assert_eq!(text(&payload.property(r"deep.a\.b").unwrap()), "<&>");
        assert_eq!(payload.property("pass").unwrap_err(), SelectError::Missing("pass".to_owned()));
        assert!(payload.property("pass").unwrap_err().is_missing());
        let entries = payload.entries(None).unwrap();
        let entries: Vec<_> = entries.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        assert_eq!(entries, [("deep", r#"{"a.b": "<&>"}"#), ("none", ""), ("ports", "[1, 2]"), ("user", "u")]);
        let entries = payload.entries(Some("deep")).unwrap();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["a.b"]);
        assert!(matches!(payload.entries(Some("user")), Err(SelectError::NotJson { .. })));
        assert!(matches!(payload.entries(Some("ports")), Err(SelectError::NoObject { .. })));
    }

    #[tokio::test]
    async fn a_version_is_another_value_and_a_missing_one_is_told() {
        let store = store();
        let payload = store.fetch(&Remote::version("db", "v2")).await.unwrap();
        assert_eq!(text(&payload.whole().unwrap()), "plain hunter2");
        let error = payload.property("user").unwrap_err();
        assert!(matches!(error, SelectError::NotJson { offset: 0, .. }) && !error.to_string().contains("hunter2"));
        let error = store.fetch(&Remote::version("db", "v3")).await.unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), ("SecretNotFound", false));
        assert!(error.to_string().contains("`db` (version `v3`)"), "{error}");
        assert!(!format!("{store:?} {payload:?}").contains("hunter2"));
        assert_eq!(store.check().await.unwrap(), Usable::Yes);
    }
}
