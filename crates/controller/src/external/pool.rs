//! Stores that are open: one client for each, for as long as its specification and its credentials stay what they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bulla_api::SecretStore;
use bulla_api::external_secret::StoreKind;
use bulla_pattern::Pattern;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::{Selector, SelectorExt as _};
use tokio::time::Instant;

use super::broker::Broker;
use super::index::{Index, Read, StoreName};
use super::objects::Objects;
use super::open::{OpenError, Opening};
use crate::name::ObjectName;
use crate::record::SecretVersion;
use crate::secrets::Secrets;

/// A store, and on whose behalf it is open: some cluster stores take their credentials from the namespace that asks.
type Key = (StoreName, Option<String>);

/// The open stores.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    opened: Mutex<HashMap<Key, Opened>>,
    /// Held while a store is opened, so that it is opened once for all who ask.
    opening: Mutex<HashMap<StoreName, Arc<tokio::sync::Mutex<()>>>>,
    aws_endpoint: Option<String>,
}

#[derive(Debug)]
struct Opened {
    broker: Arc<Broker>,
    /// Uid and generation of the specification.
    of: (String, i64),
    credentials: Vec<(ObjectName, Option<SecretVersion>)>,
}

impl Pool {
    /// With no store open. `aws_endpoint` is where AWS is asked, if not where a store's region is.
    pub(crate) fn new(aws_endpoint: Option<String>) -> Self {
        Self { aws_endpoint, ..Self::default() }
    }

    /// The store `name` for an object in `namespace`, opened if it is not.
    pub(crate) async fn get(
        &self,
        name: &StoreName,
        namespace: &str,
        index: &Mutex<Index>,
        objects: &Objects,
        secrets: &Secrets,
    ) -> Result<Arc<Broker>, OpenError> {
        let store = locked(index).store(name);
        let store = match store {
            None => return Err(OpenError::NoStore(name.to_string())),
            Some(Read::Broken(broken)) => return Err(OpenError::Broken(name.to_string(), broken.2.clone())),
            Some(Read::Whole(store)) => store,
        };
        if let [first, ..] = store.unsupported.as_slice() {
            return Err(OpenError::Unsupported { store: name.to_string(), field: first.clone() });
        }
        admit(name, &store, namespace, objects).await?;
        self.open(name, namespace, &store, index, objects, secrets).await
    }

    /// The same for a store that is known, whoever may use it. `namespace` is empty where nobody asks.
    pub(crate) async fn open(
        &self,
        name: &StoreName,
        namespace: &str,
        store: &SecretStore,
        index: &Mutex<Index>,
        objects: &Objects,
        secrets: &Secrets,
    ) -> Result<Arc<Broker>, OpenError> {
        if let Some(broker) = self.open_already(name, namespace, store, index) {
            return Ok(broker);
        }
        let opening = locked(&self.opening).entry(name.clone()).or_default().clone();
        let _opening = opening.lock().await;
        if let Some(broker) = self.open_already(name, namespace, store, index) {
            return Ok(broker);
        }
        let mut work = Opening::new(name, namespace, index, objects, secrets);
        work.aws_endpoint.clone_from(&self.aws_endpoint);
        let opened = work.open(store).await;
        locked(index).note_credentials(name, work.used.iter().map(|(secret, _)| secret.clone()));
        let broker = Arc::new(Broker::new(opened?));
        let key = (name.clone(), work.referent.then(|| namespace.to_owned()));
        let opened = Opened { broker: broker.clone(), of: identity(store), credentials: work.used };
        let before = locked(&self.opened).insert(key, opened);
        close(before);
        Ok(broker)
    }

    fn open_already(
        &self,
        name: &StoreName,
        namespace: &str,
        store: &SecretStore,
        index: &Mutex<Index>,
    ) -> Option<Arc<Broker>> {
        let (opened, index) = (locked(&self.opened), locked(index));
        let keys = [None, Some(namespace.to_owned())].map(|referent| (name.clone(), referent));
        let found = keys.iter().filter_map(|key| opened.get(key)).find(|opened| is_current(opened, store, &index));
        found.map(|opened| opened.broker.clone())
    }

    /// Closes what is open with another specification or other credentials than the store has now. True if there was something.
    pub(crate) fn close_outdated(&self, name: &StoreName, store: &SecretStore, index: &Mutex<Index>) -> bool {
        let (mut opened, index) = (locked(&self.opened), locked(index));
        let outdated = opened.iter().filter(|((it, _), opened)| it == name && !is_current(opened, store, &index));
        let outdated: Vec<_> = outdated.map(|(key, _)| key.clone()).collect();
        for key in &outdated {
            close(opened.remove(key));
        }
        !outdated.is_empty()
    }

    /// Opens a store anew for whoever asks next.
    pub(crate) fn forget(&self, name: &StoreName) {
        let mut opened = locked(&self.opened);
        let keys: Vec<_> = opened.keys().filter(|(store, _)| store == name).cloned().collect();
        for key in keys {
            close(opened.remove(&key));
        }
    }

    /// Wipes answers that nobody may take any more.
    pub(crate) fn sweep(&self, now: Instant) {
        for opened in locked(&self.opened).values() {
            opened.broker.sweep(now);
        }
    }

    /// Gives back what stores lent, before the controller ends.
    pub(crate) async fn close(&self) {
        let opened: Vec<_> = locked(&self.opened).drain().map(|(_, opened)| opened.broker).collect();
        futures::future::join_all(opened.iter().map(|broker| broker.store().close())).await;
    }
}

/// Gives back what a store lent, in the background: nobody waits for it.
fn close(opened: Option<Opened>) {
    if let Some(opened) = opened {
        tokio::spawn(async move { opened.broker.store().close().await });
    }
}

fn is_current(opened: &Opened, store: &SecretStore, index: &Index) -> bool {
    opened.of == identity(store) && opened.credentials.iter().all(|(secret, version)| index.secret(secret) == *version)
}

fn identity(store: &SecretStore) -> (String, i64) {
    (store.metadata.uid.clone().unwrap_or_default(), store.metadata.generation.unwrap_or_default())
}

/// Whether objects in `namespace` may use the store.
async fn admit(name: &StoreName, store: &SecretStore, namespace: &str, objects: &Objects) -> Result<(), OpenError> {
    if name.kind == StoreKind::Namespaced || store.spec.conditions.is_empty() {
        return Ok(());
    }
    let mut labels: Option<ObjectMeta> = None;
    for condition in &store.spec.conditions {
        if condition.namespaces.iter().any(|it| it == namespace) {
            return Ok(());
        }
        for expression in &condition.namespace_regexes {
            let pattern = Pattern::new(expression)
                .map_err(|error| OpenError::Condition(name.to_string(), format!("`{expression}`: {error}")))?;
            if pattern.is_match(namespace) {
                return Ok(());
            }
        }
        if let Some(selector) = &condition.namespace_selector {
            if labels.is_none() {
                labels = Some(objects.namespace(namespace).await.map_err(OpenError::Api)?);
            }
            if labels.as_ref().is_some_and(|metadata| selects(selector, metadata)) {
                return Ok(());
            }
        }
    }
    Err(OpenError::NotAllowed { store: name.to_string(), namespace: namespace.to_owned() })
}

/// Whether the labels of `metadata` match; an empty selector matches all, and one that is none matches nothing.
fn selects(selector: &LabelSelector, metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.clone().unwrap_or_default();
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(&labels))
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is kept is whole after each method; a panic elsewhere does not make it less so.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_match_as_the_api_servers() {
        let metadata: ObjectMeta = serde_json::from_value(json!({"labels": {"team": "shop", "env": "prod"}})).unwrap();
        for (selector, expected) in [
            (json!({}), true),
            (json!({"matchLabels": {"team": "shop"}}), true),
            (json!({"matchLabels": {"team": "shop", "env": "dev"}}), false),
            (json!({"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "dev"]}]}), true),
            (json!({"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["prod"]}]}), true),
            (json!({"matchExpressions": [{"key": "env", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}), false),
            (json!({"matchExpressions": [{"key": "env", "operator": "Other"}]}), false),
        ] {
            let read: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(selects(&read, &metadata), expected, "{selector}");
        }
    }
}
