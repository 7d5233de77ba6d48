//! Tokens of service accounts for stores: asked for when one is needed, kept until shortly before they expire.
//!
//! The API server makes them (TokenRequest), bound to the audiences of the store. Permission: `create` on `serviceaccounts/token`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bulla_crypto::SecretBytes;
use bulla_services::token::{TokenError, TokenSource};
use jiff::{SignedDuration, Timestamp};

use super::objects::Objects;
use super::pool::locked;
use crate::name::ObjectName;

/// How long before its end a token is not given out any more.
const REMAINING: SignedDuration = SignedDuration::from_secs(120);

/// Tokens of one service account of this cluster.
pub(crate) struct ServiceAccountTokens {
    objects: Objects,
    account: ObjectName,
    audiences: Vec<String>,
    /// How long a token is to be valid, in seconds.
    seconds: i64,
    last: Mutex<Option<(Arc<SecretBytes>, Timestamp)>>,
}

impl ServiceAccountTokens {
    /// Of `account`, for `audiences` (the API server itself, if there are none).
    pub(crate) fn new(objects: Objects, account: ObjectName, audiences: Vec<String>, seconds: i64) -> Self {
        Self { objects, account, audiences, seconds, last: Mutex::new(None) }
    }
}

impl std::fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccountTokens").field("account", &self.account).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for ServiceAccountTokens {
    fn service_account(&self) -> String {
        self.account.to_string()
    }

    async fn token(&self) -> Result<Arc<SecretBytes>, TokenError> {
        let now = Timestamp::now();
        let last = locked(&self.last).clone();
        if let Some((token, _)) = last.filter(|(_, until)| until.duration_since(now) > REMAINING) {
            return Ok(token);
        }
        let made = self.objects.token(&self.account, self.audiences.clone(), self.seconds).await;
        let (token, until) = made.map_err(|error| TokenError {
            is_transient: !error.is_not_found() && !error.is_permanent(),
            reason: if error.is_not_found() {
                "there is no such service account".to_owned()
            } else {
                error.to_string()
            },
        })?;
        let token = Arc::new(token);
        *locked(&self.last) = Some((token.clone(), until));
        Ok(token)
    }

    fn reject(&self) {
        *locked(&self.last) = None;
    }
}

/// The token of the controller's own pod, which the kubelet renews in its file.
#[derive(Debug)]
pub(crate) struct PodToken {
    path: PathBuf,
}

impl PodToken {
    /// Where a pod has it.
    pub(crate) fn new() -> Self {
        Self { path: PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/token") }
    }
}

#[async_trait]
impl TokenSource for PodToken {
    fn service_account(&self) -> String {
        "of the controller's pod".to_owned()
    }

    async fn token(&self) -> Result<Arc<SecretBytes>, TokenError> {
        let read = std::fs::read(&self.path).map(SecretBytes::new);
        let token = read
            .map_err(|error| TokenError { reason: format!("{}: {error}", self.path.display()), is_transient: false })?;
        Ok(Arc::new(SecretBytes::new(token.expose_secret().trim_ascii().to_vec())))
    }
}
