//! A master key without cryptography, for tests: it writes its name and the secret in hex, and does what it is told.

use std::fmt::Write as _;
use std::sync::Mutex;

use async_trait::async_trait;
use bulla_crypto::SecretBytes;

use crate::{KeyName, MasterKey, Source, Tried, UnwrapError, WrapError, WrappedKey};

/// What a [`FakeKey`] does when it is asked to unwrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Unwraps what it wrapped; anything else is for another key.
    Works,
    /// Fails: it should have worked.
    Fails,
    /// Everything is for another key.
    KnowsNothing,
}

/// A key that keeps no secrets.
#[derive(Debug)]
pub struct FakeKey {
    name: KeyName,
    behaviour: Behaviour,
    calls: Mutex<Calls>,
}

/// How often a [`FakeKey`] was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls of [`MasterKey::wrap`].
    pub wraps: usize,
    /// Calls of [`MasterKey::unwrap`].
    pub unwraps: usize,
}

impl FakeKey {
    /// A key of this kind; `name` stands in the first field that names such a key.
    pub fn new(source: Source, name: impl Into<String>, behaviour: Behaviour) -> Self {
        let name = name.into();
        let field = |field: &str| if field == source.fields()[0] { name.clone() } else { String::new() };
        Self::named(KeyName::of_fields(source, field, Vec::new()), behaviour)
    }

    /// A key of this name.
    pub fn named(name: KeyName, behaviour: Behaviour) -> Self {
        Self { name, behaviour, calls: Mutex::default() }
    }

    /// What it writes before the secret.
    fn prefix(&self) -> String {
        format!("fake {} ", self.name.fields()[0].1)
    }

    /// How often it was called until now.
    ///
    /// # Panics
    /// If a thread panicked within this key.
    pub fn calls(&self) -> Calls {
        *self.calls.lock().expect("nothing panics while it holds the lock")
    }
}

#[async_trait]
impl MasterKey for FakeKey {
    fn name(&self) -> KeyName {
        self.name.clone()
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        self.calls.lock().expect("nothing panics while it holds the lock").wraps += 1;
        if self.behaviour == Behaviour::Fails {
            return Err(WrapError::Failed("told to fail".to_owned()));
        }
        let mut text = self.prefix();
        for byte in secret.expose_secret() {
            write!(text, "{byte:02x}").expect("a string takes whatever is written to it");
        }
        Ok(WrappedKey::new(text))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        self.calls.lock().expect("nothing panics while it holds the lock").unwraps += 1;
        match self.behaviour {
            Behaviour::Fails => return Err(UnwrapError::NoIdentity(self.tried())),
            Behaviour::KnowsNothing => return Ok(None),
            Behaviour::Works => {}
        }
        let Some(hex) = wrapped.as_str().strip_prefix(&self.prefix()) else { return Ok(None) };
        let malformed = || UnwrapError::Malformed("not hex".to_owned());
        let mut secret = Vec::with_capacity(hex.len() / 2);
        for at in (0..hex.len()).step_by(2) {
            let digits = hex.get(at..at + 2).ok_or_else(malformed)?;
            secret.push(u8::from_str_radix(digits, 16).map_err(|_| malformed())?);
        }
        Ok(Some(SecretBytes::new(secret)))
    }

    fn tried(&self) -> Vec<Tried> {
        vec![Tried { place: "the fake".to_owned(), outcome: format!("{:?}", self.behaviour) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn unwraps_its_own_and_nothing_else() {
        let key = FakeKey::new(Source::Pgp, "one", Behaviour::Works);
        let other = FakeKey::new(Source::Pgp, "two", Behaviour::Works);
        let wrapped = key.wrap(&SecretBytes::new(vec![0, 255, 7])).await.unwrap();
        assert_eq!(wrapped.as_str(), "fake one 00ff07");
        let unwrapped = key.unwrap(&wrapped).await.unwrap().unwrap();
        assert_eq!(unwrapped.expose_secret(), [0, 255, 7]);
        assert!(other.unwrap(&wrapped).await.unwrap().is_none());
        assert!(key.unwrap(&WrappedKey::new("fake one 0")).await.is_err());
        assert_eq!(key.calls(), Calls { wraps: 1, unwraps: 2 });
    }
}
