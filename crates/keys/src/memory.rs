//! What services unwrapped in this command: each wrapped key is asked for once, however many files hold it, and whoever asks for it
//! at the same time waits for the one answer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bulla_crypto::SecretBytes;
use tokio::sync::OnceCell;

use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};

/// Data keys, by the key and the text that they were unwrapped from. They are wiped with it.
#[derive(Default)]
pub struct Memory {
    known: Mutex<HashMap<Question, Arc<Unwrapped>>>,
}

/// What a service is asked.
type Question = (KeyName, WrappedKey);

/// Empty until it was asked for and came.
type Unwrapped = OnceCell<SecretBytes>;

impl Memory {
    /// The same key, which remembers what it unwrapped.
    pub fn of(self: &Arc<Self>, key: impl MasterKey + 'static) -> Box<dyn MasterKey> {
        Box::new(Remembering { key, memory: Arc::clone(self) })
    }

    fn place(&self, key: &dyn MasterKey, wrapped: &WrappedKey) -> Arc<Unwrapped> {
        // A panic elsewhere leaves at worst a place empty, which is filled again.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry((key.name(), wrapped.clone())).or_default())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

#[derive(Debug)]
struct Remembering<K> {
    key: K,
    memory: Arc<Memory>,
}

#[async_trait]
impl<K: MasterKey> MasterKey for Remembering<K> {
    fn name(&self) -> KeyName {
        self.key.name()
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        self.key.wrap(secret).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let place = self.memory.place(&self.key, wrapped);
        // What failed is not remembered: it may work for the next file.
        let unwrap = || async { self.key.unwrap(wrapped).await.map_err(Some)?.ok_or(None) };
        match place.get_or_try_init(unwrap).await {
            Ok(secret) => Ok(Some(SecretBytes::new(secret.expose_secret().to_vec()))),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    async fn unwrap_quietly(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let place = self.memory.place(&self.key, wrapped);
        match place.get() {
            Some(secret) => Ok(Some(SecretBytes::new(secret.expose_secret().to_vec()))),
            None => self.key.unwrap_quietly(wrapped).await,
        }
    }

    fn started(&self) -> usize {
        self.key.started()
    }

    async fn is_likely(&self) -> bool {
        self.key.is_likely().await
    }

    fn tried(&self) -> Vec<Tried> {
        self.key.tried()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Fails the first time, and counts.
    #[derive(Debug, Default)]
    struct Counting(Arc<AtomicUsize>);

    #[async_trait]
    impl MasterKey for Counting {
        fn name(&self) -> KeyName {
            KeyName::Age("k".to_owned())
        }

        async fn wrap(&self, _: &SecretBytes) -> Result<WrappedKey, WrapError> {
            Err(WrapError::Failed("not asked".to_owned()))
        }

        async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Err(UnwrapError::Damaged),
                _ if wrapped.as_str() == "none" => Ok(None),
                _ => Ok(Some(SecretBytes::new(wrapped.as_str().as_bytes().to_vec()))),
            }
        }
    }

    #[tokio::test]
    async fn what_worked_is_asked_for_once_and_what_failed_again() {
        let (calls, memory) = (Arc::new(AtomicUsize::new(0)), Arc::new(Memory::default()));
        // A file makes its own key, and asks the same memory.
        let unwrap = async |text: &str| {
            let key = memory.of(Counting(Arc::clone(&calls)));
            key.unwrap(&WrappedKey::new(text)).await.map(|secret| secret.map(|secret| secret.expose_secret().to_vec()))
        };
        assert!(unwrap("a").await.is_err());
        for _ in 0..3 {
            assert_eq!(unwrap("a").await.unwrap().unwrap(), b"a");
        }
        assert_eq!(unwrap("b").await.unwrap().unwrap(), b"b");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        assert!(unwrap("none").await.unwrap().is_none() && unwrap("none").await.unwrap().is_none());
        assert_eq!(calls.load(Ordering::SeqCst), 5);
    }
}
