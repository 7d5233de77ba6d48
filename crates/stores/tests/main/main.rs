//! Stores against the real servers, and against one that answers what a test tells it; what is selected against the real Go.

mod aws;
mod go;
mod kubernetes;
mod vault;

use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_services::{Surroundings, TokenError, TokenSource};
use bulla_stores::{FetchError, Payload, Remote, Store};

fn secret(text: impl AsRef<[u8]>) -> SecretBytes {
    SecretBytes::new(text.as_ref().to_vec())
}

fn shown(secret: &SecretBytes) -> &str {
    str::from_utf8(secret.expose_secret()).unwrap()
}

fn surroundings() -> Surroundings {
    Surroundings::new(|| Ok(tokio::runtime::Handle::current()), || 0)
}

async fn fetched(store: &dyn Store, key: &str) -> Payload {
    store.fetch(&Remote::current(key)).await.unwrap_or_else(|error| panic!("{key}: {error}"))
}

async fn refused(store: &dyn Store, key: &str) -> FetchError {
    match store.fetch(&Remote::current(key)).await {
        Ok(_) => panic!("{key} was given"),
        Err(error) => error,
    }
}

/// A service account that has one token after the other.
struct Tokens {
    tokens: Vec<Arc<SecretBytes>>,
    rejected: std::sync::atomic::AtomicUsize,
}

impl Tokens {
    fn new(tokens: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Arc<Self> {
        let tokens = tokens.into_iter().map(|token| Arc::new(secret(token))).collect();
        Arc::new(Self { tokens, rejected: 0.into() })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

#[async_trait::async_trait]
impl TokenSource for Tokens {
    fn service_account(&self) -> String {
        "shop/reader".to_owned()
    }

    async fn token(&self) -> Result<Arc<SecretBytes>, TokenError> {
        let rejected = self.rejected.load(std::sync::atomic::Ordering::SeqCst);
        let missing = || TokenError { reason: "the API server has no more".to_owned(), is_transient: true };
        self.tokens.get(rejected).map(Arc::clone).ok_or_else(missing)
    }

    fn reject(&self) {
        self.rejected.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}
