//! One store: whether it can be used, told in its status.
//!
//! It is asked when it changes, when its credentials do, when somebody who uses it fails because of it, and after its `refreshInterval`, if
//! it has one. One that was found good is not asked again when the controller starts. Upstream asks every five minutes.

use std::sync::Arc;
use std::time::Duration;

use bulla_api::SecretStore;
use bulla_api::external_secret::StoreKind;
use bulla_api::secret_store::{Provider, SecretStoreSpec, SecretStoreStatus};
use bulla_stores::Usable;
use jiff::Timestamp;

use super::index::{Read, StoreName};
use super::objects::stores;
use super::open::OpenError;
use super::pool::locked;
use super::reconcile::External;
use super::status;
use crate::metrics::Written;
use crate::name::ObjectName;
use crate::reconcile::delay;

/// How long a store may take to say whether it can be used.
const TIME_LIMIT: Duration = Duration::from_mins(2);

/// What was found.
struct Verdict {
    ready: bool,
    reason: &'static str,
    message: String,
    again: bool,
}

impl External {
    /// Works on the stores in line until the queue is closed.
    pub(crate) async fn work_on_stores(&self) {
        while let Some(name) = self.stores.next().await {
            let kind = if name.namespace.is_empty() { StoreKind::Cluster } else { StoreKind::Namespaced };
            self.look_at(&StoreName { kind, name: name.clone() }).await;
            self.stores.done(&name);
        }
    }

    async fn look_at(&self, name: &StoreName) {
        let read = locked(&self.index).store(name);
        let (store, verdict) = match read {
            None => {
                self.pool.forget(name);
                return;
            }
            Some(Read::Broken(broken)) => {
                let (metadata, value, error) = &*broken;
                let verdict =
                    Verdict { ready: false, reason: "InvalidStore", message: error.to_string(), again: false };
                (Arc::new(unread(name, metadata.clone(), value)), verdict)
            }
            Some(Read::Whole(store)) => {
                if !self.is_our_store(&store) {
                    return;
                }
                let doubted = locked(&self.doubted).remove(name);
                // Its credentials may be others than those with which it is open.
                let was_outdated = self.pool.close_outdated(name, &store, &self.index);
                let interval = store.spec.refresh_interval;
                if status::is_settled(&store) && !doubted && interval.is_none() && !was_outdated {
                    return;
                }
                let verdict = self.ask(name, &store).await;
                (store, verdict)
            }
        };
        let attempts = locked(&self.index).count_store(name, !verdict.ready);
        let recovered = self.report_store(name, &store, &verdict).await;
        if recovered {
            for user in locked(&self.index).users(name) {
                self.queue.add(user);
            }
        }
        if verdict.again {
            locked(&self.doubted).insert(name.clone());
            self.stores.add_after(name.name.clone(), delay(attempts.saturating_sub(1)));
        } else if let Some(interval) = store.spec.refresh_interval {
            self.stores.add_after(name.name.clone(), interval);
        }
    }

    async fn ask(&self, name: &StoreName, store: &SecretStore) -> Verdict {
        let failed = |reason, message, again| Verdict { ready: false, reason, message, again };
        if !store.unsupported.is_empty() {
            let message = format!("not supported: `{}`", store.unsupported.join("`, `"));
            return failed("Unsupported", message, false);
        }
        match self.pool.open(name, "", store, &self.index, &self.objects, &self.secrets).await {
            Err(OpenError::Referent) => Verdict {
                ready: true,
                reason: "ValidationUnknown",
                message: "its credentials are in the namespaces of those who use it".to_owned(),
                again: false,
            },
            Err(error) => failed(error.reason(), error.to_string(), true),
            Ok(broker) => match tokio::time::timeout(TIME_LIMIT, broker.store().check()).await {
                Ok(Ok(Usable::Yes)) => {
                    Verdict { ready: true, reason: "Valid", message: "store validated".to_owned(), again: false }
                }
                Ok(Ok(Usable::Unknown)) => Verdict {
                    ready: true,
                    reason: "ValidationUnknown",
                    message: "could not determine validation status".to_owned(),
                    again: false,
                },
                Ok(Err(error)) => {
                    if error.reason() == "CredentialsRejected" {
                        self.pool.forget(name);
                    }
                    failed(error.reason(), error.to_string(), true)
                }
                Err(_) => failed("StoreUnreachable", "no answer in time".to_owned(), true),
            },
        }
    }

    /// Writes status and event, as far as they are news. True if it is ready and was not.
    async fn report_store(&self, name: &StoreName, store: &SecretStore, verdict: &Verdict) -> bool {
        let now = Timestamp::now();
        let Some(change) = status::next_of_store(store, verdict.ready, verdict.reason, &verdict.message, now) else {
            return false;
        };
        match self.objects.patch_status(&stores(name.kind), &store.metadata, &change.status).await {
            Ok(()) => self.statistics.wrote(name.kind.as_str(), Written::Status),
            Err(error) if error.is_not_found() => return false,
            Err(error) => {
                tracing::debug!(store = %name, %error, "status not written");
                locked(&self.doubted).insert(name.clone());
                self.stores.add_after(name.name.clone(), Duration::from_secs(1));
                return false;
            }
        }
        if !change.news {
            return false;
        }
        let (reason, message) = (verdict.reason, &verdict.message);
        if verdict.ready {
            tracing::info!(store = %ObjectName::of(&store.metadata), kind = name.kind.as_str(), reason, "store can be used");
        } else {
            tracing::warn!(store = %ObjectName::of(&store.metadata), kind = name.kind.as_str(), reason, "{message}");
        }
        if self.objects.tell(name.kind.as_str(), &store.metadata, (!verdict.ready, reason, message), now).await {
            self.statistics.wrote(name.kind.as_str(), Written::Event);
        }
        verdict.ready
    }
}

/// A store that could not be read, to write a status about it.
fn unread(
    name: &StoreName,
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    value: &serde_json::Value,
) -> SecretStore {
    SecretStore {
        kind: name.kind,
        metadata,
        spec: SecretStoreSpec {
            controller: String::new(),
            provider: Provider::Unsupported(String::new()),
            conditions: Vec::new(),
            refresh_interval: None,
        },
        status: value.get("status").map(SecretStoreStatus::from_json).unwrap_or_default(),
        unsupported: Vec::new(),
    }
}
