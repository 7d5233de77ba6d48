//! Tokens of service accounts, by which a program in a cluster shows a service who it is.
//!
//! They live for minutes to an hour and come from the API server (TokenRequest), or from a file that the kubelet renews. So they are
//! not handed in once: whoever needs one asks for the current one.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bulla_crypto::SecretBytes;

use crate::ServiceError;

/// Gives the current token of one service account, for certain audiences.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Whose tokens these are, `namespace/name`: for messages.
    fn service_account(&self) -> String;

    /// A token that is good for some minutes. A source keeps the one that it gave, and gets another when that is about to expire.
    ///
    /// # Errors
    /// [`TokenError`]
    async fn token(&self) -> Result<Arc<SecretBytes>, TokenError>;

    /// A service did not accept the last one: the next one must be new.
    fn reject(&self) {}
}

/// Why there is no token of a service account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TokenError {
    /// What happened, and what to do about it.
    pub reason: String,
    /// May there be one later, with nothing changed?
    pub is_transient: bool,
}

/// What is shown to a service as a token: one that stays, or the current one of a service account.
#[derive(Debug, Clone)]
pub enum Bearer {
    /// It was handed in, and is good until it is not.
    Fixed(Arc<SecretBytes>),
    /// It is asked for.
    Source(Arc<dyn TokenSource>),
}

impl Bearer {
    /// The token that is good now.
    ///
    /// # Errors
    /// [`ServiceError::NoToken`]
    pub async fn token(&self) -> Result<Arc<SecretBytes>, ServiceError> {
        match self {
            Self::Fixed(token) => Ok(Arc::clone(token)),
            Self::Source(source) => source.token().await.map_err(|error| ServiceError::NoToken {
                service_account: source.service_account(),
                reason: error.reason,
                is_transient: error.is_transient,
            }),
        }
    }

    /// A service did not accept it. Says whether there may be another one.
    pub fn reject(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Source(source) => {
                source.reject();
                true
            }
        }
    }
}

impl From<SecretBytes> for Bearer {
    fn from(token: SecretBytes) -> Self {
        Self::Fixed(Arc::new(token))
    }
}

impl From<Arc<dyn TokenSource>> for Bearer {
    fn from(source: Arc<dyn TokenSource>) -> Self {
        Self::Source(source)
    }
}
