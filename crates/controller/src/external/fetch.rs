//! Everything that an ExternalSecret asks for, fetched: several at a time, put together in the order of the specification.
//!
//! `dataFrom` in the order of the list, later ones before earlier ones, then `data` before all of them. What a store does not have (any
//! more) is an error under `deletionPolicy: Retain` and left out under the others. Source: external-secrets 2.9.0
//! `pkg/controllers/externalsecret/externalsecret_controller_secret.go`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bulla_api::ExternalSecret;
use bulla_api::external_secret::{DeletionPolicy, RemoteReference, Source};
use bulla_stores::{Remote, SelectError};
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;

use super::broker::{Broker, BrokerError};
use super::index::StoreName;
use super::open::OpenError;
use super::values::{self, ValueError, Values};

/// Questions of one object at once.
const QUESTIONS: usize = 8;

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// By the keys of the Secret.
    pub(crate) values: Values,
    /// When the oldest of it was asked for.
    pub(crate) oldest: Option<Instant>,
    /// What the stores do not have, by its field.
    pub(crate) missing: Vec<String>,
    /// Whether there was something that the stores do have, were it empty.
    pub(crate) found: bool,
}

/// Why not everything could be fetched.
#[derive(Debug, thiserror::Error)]
#[error("`{field}` (key `{key}`): {problem}")]
pub(crate) struct FetchFailure {
    /// The field of the specification.
    pub(crate) field: String,
    /// The key in the store.
    pub(crate) key: String,
    /// What happened.
    pub(crate) problem: Problem,
    /// The store.
    pub(crate) store: Option<StoreName>,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("no store: neither `spec.secretStoreRef` nor a `sourceRef` names one")]
    NoStore,
    #[error(transparent)]
    Open(Arc<OpenError>),
    #[error(transparent)]
    Broker(BrokerError),
    #[error(transparent)]
    Select(SelectError),
    #[error(transparent)]
    Value(ValueError),
}

impl Problem {
    /// One word for programs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoStore => "InvalidExternalSecret",
            Self::Open(error) => error.reason(),
            Self::Broker(error) => error.reason(),
            Self::Select(error) => error.reason(),
            Self::Value(ValueError::NotEncoded(_)) => "NotEncoded",
            Self::Value(_) => "UnfitContent",
        }
    }

    fn is_missing(&self) -> bool {
        match self {
            Self::Broker(error) => error.is_not_found(),
            Self::Select(error) => error.is_missing(),
            Self::NoStore | Self::Open(_) | Self::Value(_) => false,
        }
    }
}

struct Item<'a> {
    field: String,
    reference: &'a RemoteReference,
    store: Option<StoreName>,
    /// The key of the Secret; `None`: every field becomes one.
    secret_key: Option<&'a str>,
}

/// Fetches all that `object` asks for; values that were fetched for others count if they are no older than `age`. `open` gives the broker of
/// a store, and is asked once for each.
pub(crate) async fn fetch<O, F>(object: &ExternalSecret, age: Duration, open: O) -> Result<Fetched, FetchFailure>
where
    O: Fn(StoreName) -> F,
    F: Future<Output = Result<Arc<Broker>, OpenError>>,
{
    let items = items_of(object);
    let mut opened = HashMap::new();
    for store in items.iter().filter_map(|item| item.store.as_ref()) {
        if !opened.contains_key(store) {
            opened.insert(store.clone(), open(store.clone()).await.map_err(Arc::new));
        }
    }
    let mut questions = Vec::with_capacity(items.len());
    for item in &items {
        let broker = item.store.as_ref().and_then(|store| opened.get(store));
        questions.push(one(item, age, broker).boxed());
    }
    let mut answers = stream::iter(questions).buffered(QUESTIONS);
    let mut fetched = Fetched { values: Values::new(), oldest: None, missing: Vec::new(), found: false };
    while let Some(answer) = answers.next().await {
        match answer {
            Ok((values, asked)) => {
                fetched.values.extend(values);
                fetched.oldest = Some(fetched.oldest.map_or(asked, |oldest| oldest.min(asked)));
                fetched.found = true;
            }
            Err(failure)
                if failure.problem.is_missing() && object.spec.target.deletion_policy != DeletionPolicy::Retain =>
            {
                fetched.missing.push(format!("{} (key `{}`)", failure.field, failure.key));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(fetched)
}

fn items_of(object: &ExternalSecret) -> Vec<Item<'_>> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let store = |source: Option<&Source>| object.store_of(source).map(|store| StoreName::of(store, namespace));
    let mut items = Vec::new();
    for (index, item) in object.spec.data_from.iter().enumerate() {
        if let Some(reference) = &item.extract {
            let field = format!("spec.dataFrom[{index}].extract");
            items.push(Item { field, reference, store: store(item.source_ref.as_ref()), secret_key: None });
        }
    }
    for (index, item) in object.spec.data.iter().enumerate() {
        items.push(Item {
            field: format!("spec.data[{index}]"),
            reference: &item.remote_ref,
            store: store(item.source_ref.as_ref()),
            secret_key: Some(&item.secret_key),
        });
    }
    items
}

/// What one item asks for, of the broker of its store, if there is one.
async fn one(
    item: &Item<'_>,
    age: Duration,
    broker: Option<&Result<Arc<Broker>, Arc<OpenError>>>,
) -> Result<(Values, Instant), FetchFailure> {
    let reference = item.reference;
    let outcome = async {
        let broker = broker.ok_or(Problem::NoStore)?.as_ref().map_err(|error| Problem::Open(error.clone()))?;
        let remote = Remote { key: reference.key.clone(), version: reference.version.clone() };
        let answer = broker.fetch(&remote, age).await.map_err(Problem::Broker)?;
        let property = reference.property.as_deref();
        let values = match item.secret_key {
            Some(key) => {
                let value = match property {
                    Some(property) => answer.payload.property(property),
                    None => answer.payload.whole(),
                };
                let value = values::value(value.map_err(Problem::Select)?, reference).map_err(Problem::Value)?;
                Values::from([(key.to_owned(), value)])
            }
            None => {
                let entries = answer.payload.entries(property).map_err(Problem::Select)?;
                values::entries(entries, reference).map_err(Problem::Value)?
            }
        };
        Ok((values, answer.asked))
    };
    outcome.await.map_err(|problem| FetchFailure {
        field: item.field.clone(),
        key: reference.key.clone(),
        problem,
        store: item.store.clone(),
    })
}
