//! One ExternalSecret: what it asks for is fetched, its Secret made so, and what came of it told.
//!
//! ```text
//! well-formed? supported? for us? ─▶ due, or its Secret not as it was written? ─▶ fetch ─▶ plan ─▶ write ─▶ status, event
//!        │ no                              │ no: come back when it is due         │ no
//!        └────────────── status, event ◀───┼──────────────────────────────────────┘ and come back later
//! ```
//! Nothing is written but what differs. An answer that is empty, or none, takes nothing away from a Secret: only a store that says it has
//! no such secret does, where `deletionPolicy` asks for it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulla_api::external_secret::{
    CREATED_BY_LABEL, CreationPolicy, DeletionPolicy, ExternalSecretStatus, FINALIZER, KIND,
};
use bulla_api::{ExternalSecret, SecretStore};
use bulla_sealed::KeyRing;
use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::broker::{Broker, BrokerError};
use super::fetch::{FetchFailure, Fetched, Problem, fetch};
use super::hash::{created_by, field_manager, synced_version};
use super::index::{Found, Index, Read, StoreName, Woken, Work};
use super::objects::{Objects, external_secrets};
use super::open::OpenError;
use super::plan::{Change, PlanError, controls, is_as_written, plan};
use super::pool::{Pool, locked};
use super::refresh::{Cause, Due, acceptable_age, due};
use super::status::{self, Outcome, Wrote};
use super::validate::problem_of;
use crate::metrics::{EXTERNAL_SECRET, Pass, Written};
use crate::name::ObjectName;
use crate::plan::Plaintext;
use crate::queue::Queue;
use crate::reconcile::delay;
use crate::record::SecretVersion;
use crate::secrets::{ApiError, Secrets};
use crate::statistics::{Statistics, count};

/// Rounds against others who write the same object.
const STATUS_ROUNDS: usize = 3;

/// Nothing is fetched more often than this, whatever its interval.
const SHORTEST: Duration = Duration::from_secs(1);

/// What all workers share.
pub(crate) struct External {
    pub(crate) objects: Objects,
    pub(crate) secrets: Secrets,
    pub(crate) index: Mutex<Index>,
    pub(crate) pool: Pool,
    /// ExternalSecrets to be worked on.
    pub(crate) queue: Queue,
    /// Stores to be looked at. A cluster store has no namespace.
    pub(crate) stores: Queue,
    pub(crate) ring: watch::Receiver<Arc<KeyRing>>,
    pub(crate) processors: Arc<Semaphore>,
    /// Objects with templates that are rendered at a time, whose memory is bounded one by one.
    pub(crate) templates: Arc<Semaphore>,
    pub(crate) statistics: Arc<Statistics>,
    /// Which of the stores that name a controller are ours.
    pub(crate) class: String,
    /// Stores that are to be asked though they were found good.
    pub(crate) doubted: Mutex<HashSet<StoreName>>,
}

/// When to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// When something changes.
    Change,
    /// After this.
    After(Duration),
}

impl External {
    /// Works on what is in line until the queue is closed.
    pub(crate) async fn work(&self) {
        while let Some(name) = self.queue.next().await {
            let started = Instant::now();
            self.reconcile(&name).await;
            self.statistics.metrics.took(EXTERNAL_SECRET, started.elapsed());
            self.queue.done(&name);
        }
    }

    /// Puts in line whom a change concerns.
    pub(crate) fn wake(&self, woken: Woken) {
        for name in woken.stores {
            self.stores.add(name.name);
        }
        for name in woken.objects {
            self.queue.add(name);
        }
    }

    async fn reconcile(&self, name: &ObjectName) {
        let Some(work) = locked(&self.index).start(name) else { return };
        let (found, next) = self.pass(name, &work).await;
        let again = found == Found::Again;
        let changed = locked(&self.index).finish(name, found);
        match next {
            _ if changed => self.queue.add_after(name.clone(), Duration::from_secs(1)),
            Next::After(wait) if again => self.queue.add_after(name.clone(), wait.max(delay(work.attempts))),
            Next::After(wait) => self.queue.add_after(name.clone(), wait),
            Next::Change if again => self.queue.add_after(name.clone(), delay(work.attempts)),
            Next::Change => {}
        }
    }

    async fn pass(&self, name: &ObjectName, work: &Work) -> (Found, Next) {
        let object = match &work.object {
            Read::Whole(object) => object.clone(),
            Read::Broken(broken) => {
                let (metadata, value, error) = &**broken;
                if metadata.deletion_timestamp.is_some() {
                    return self.let_go(metadata).await;
                }
                let status = value.get("status").map(ExternalSecretStatus::from_json);
                let object = ExternalSecret {
                    metadata: metadata.clone(),
                    status: status.unwrap_or_default(),
                    ..ExternalSecret::default()
                };
                let outcome = Outcome::Failed { reason: "InvalidExternalSecret", message: error.to_string() };
                return self.report(&object, &outcome, Found::Stuck, Next::Change).await;
            }
        };
        if object.metadata.deletion_timestamp.is_some() {
            return self.let_go(&object.metadata).await;
        }
        if !self.is_ours(&object) {
            return (Found::Stuck, Next::Change);
        }
        count(&self.statistics.reconciliations);
        if let Some(outcome) = problem_of(&object) {
            return self.report(&object, &outcome, Found::Stuck, Next::Change).await;
        }
        let now = Timestamp::now();
        let due_at = due(&object, now);
        if !matches!(due_at, Due::Now(_)) && work.checked.is_some() && work.checked == work.secret {
            self.statistics.metrics.passed(EXTERNAL_SECRET, Pass::Unchanged);
            return (Found::Right(work.checked.clone()), next(due_at, now));
        }
        let target = ObjectName { namespace: name.namespace.clone(), name: object.target_name().to_owned() };
        let existing = match self.secrets.get(&target).await {
            Ok(existing) => existing,
            Err(error) => return self.failed_api(&object, "the Secret cannot be read", &error).await,
        };
        let ring = self.ring.borrow().clone();
        let right = is_right(&object, existing.as_ref().map(Plaintext::expose_secret), &ring);
        let cause = match due_at {
            Due::Now(cause) => cause,
            Due::At(_) | Due::Never if right => {
                self.statistics.metrics.passed(EXTERNAL_SECRET, Pass::Unchanged);
                return (Found::Right(version_of(existing.as_ref())), next(due_at, now));
            }
            // Somebody changed the Secret, or deleted it.
            Due::At(_) | Due::Never => Cause::First,
        };
        let age = acceptable_age(&object, cause);
        let fetched = match fetch(&object, age, |store| self.open(store, &name.namespace).boxed()).await {
            Ok(fetched) => fetched,
            Err(failure) => return self.failed_fetch(&object, &failure).await,
        };
        self.settle(&object, &target, existing, fetched, ring).await
    }

    async fn open(&self, store: StoreName, namespace: &str) -> Result<Arc<Broker>, OpenError> {
        self.pool.get(&store, namespace, &self.index, &self.objects, &self.secrets).await
    }

    /// Makes the Secret hold what was fetched.
    async fn settle(
        &self,
        object: &Arc<ExternalSecret>,
        target: &ObjectName,
        existing: Option<Plaintext>,
        fetched: Fetched,
        ring: Arc<KeyRing>,
    ) -> (Found, Next) {
        let refreshed = fetched.oldest.map_or_else(Timestamp::now, timestamp_of);
        let synced =
            |reason, message: String, wrote| Outcome::Synced { reason, message, refreshed: Some(refreshed), wrote };
        if fetched.values.is_empty() {
            match object.spec.target.deletion_policy {
                DeletionPolicy::Delete if !fetched.found => {
                    let wrote = match self.delete(object, target, existing.as_ref()).await {
                        Ok(deleted) => deleted.then_some(Wrote::Deleted),
                        Err(error) => return self.failed_api(object, "the Secret cannot be deleted", &error).await,
                    };
                    let message = "secret deleted due to DeletionPolicy=Delete".to_owned();
                    let outcome = synced("SecretDeleted", message, wrote);
                    return self.report(object, &outcome, Found::Right(None), Next::Change).await;
                }
                DeletionPolicy::Retain | DeletionPolicy::Delete => {
                    let message = "secret retained due to DeletionPolicy=Retain".to_owned();
                    let version = version_of(existing.as_ref());
                    let outcome = synced("SecretSynced", message, None);
                    return self.report(object, &outcome, Found::Right(version), Next::Change).await;
                }
                DeletionPolicy::Merge => {}
            }
        }
        let Fetched { values, missing, .. } = fetched;
        let mut message = "secret synced".to_owned();
        if !missing.is_empty() {
            message = format!("{message}; the store does not have: {}", missing.join(", "));
        }
        let (shared, existing) = (object.clone(), existing.map(Arc::new));
        let has_templates = object.spec.target.template.as_ref().is_some_and(|template| !template.data.is_empty());
        let template = if has_templates { self.templates.clone().acquire_owned().await.ok() } else { None };
        let permit = self.processors.clone().acquire_owned().await;
        let planned = {
            let existing = existing.clone();
            tokio::task::spawn_blocking(move || {
                let _permits = (permit, template);
                plan(&shared, values, existing.as_deref().map(Plaintext::expose_secret), &ring)
            })
            .await
        };
        let change = match planned.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
            Ok(change) => change,
            Err(error) => return self.failed_plan(object, &error).await,
        };
        let secrets = self.secrets.managed_by(field_manager(object.metadata.name.as_deref().unwrap_or_default()));
        let written = match &change {
            Change::None => Ok((version_of(existing.as_deref()), None)),
            Change::Forbidden(why) => {
                let missing = object.spec.target.creation_policy == CreationPolicy::Merge;
                let reason = if missing { "SecretMissing" } else { "SecretSynced" };
                let outcome = synced(reason, (*why).to_owned(), None);
                return self
                    .report(object, &outcome, Found::Right(version_of(existing.as_deref())), Next::Change)
                    .await;
            }
            Change::Create(secret) => {
                let created = secrets.create(&target.namespace, secret.expose_secret()).await;
                created.map(|metadata| (Some(SecretVersion::of(&metadata)), Some(Wrote::Created)))
            }
            Change::Replace(secret) => {
                let replaced = secrets.replace(secret.expose_secret()).await;
                replaced.map(|metadata| (Some(SecretVersion::of(&metadata)), Some(Wrote::Updated)))
            }
        };
        let (version, wrote) = match written {
            Ok(written) => written,
            // Somebody else was faster. What was fetched is still at hand.
            Err(error) if error.is_race() || error.is_not_found() => return (Found::Again, Next::Change),
            Err(error) => return self.failed_api(object, "the Secret cannot be written", &error).await,
        };
        if wrote.is_some() {
            self.statistics.wrote(EXTERNAL_SECRET, Written::Secret);
        }
        if let Err(error) = self.delete_former(object).await {
            return self.failed_api(object, "the Secret of the former name cannot be deleted", &error).await;
        }
        self.report(object, &synced("SecretSynced", message, wrote), Found::Right(version), Next::Change).await
    }

    /// Deletes the Secret of `object`, if it is its own. True if there was one.
    async fn delete(
        &self,
        object: &ExternalSecret,
        target: &ObjectName,
        existing: Option<&Plaintext>,
    ) -> Result<bool, ApiError> {
        let Some(metadata) = existing.map(|secret| &secret.expose_secret().metadata) else { return Ok(false) };
        if !controls(object, metadata) {
            return Ok(false);
        }
        self.secrets.delete(target, metadata).await?;
        self.statistics.wrote(EXTERNAL_SECRET, Written::Secret);
        Ok(true)
    }

    /// Deletes the Secret that `object` made under another name.
    async fn delete_former(&self, object: &ExternalSecret) -> Result<(), ApiError> {
        let former = object.status.binding.as_ref().map(|binding| binding.name.as_str());
        let Some(former) = former.filter(|name| !name.is_empty() && *name != object.target_name()) else {
            return Ok(());
        };
        if object.spec.target.creation_policy != CreationPolicy::Owner {
            return Ok(());
        }
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let own = created_by(&namespace, object.metadata.name.as_deref().unwrap_or_default());
        let name = ObjectName { namespace, name: former.to_owned() };
        let Some(secret) = self.secrets.get(&name).await? else { return Ok(()) };
        let metadata = &secret.expose_secret().metadata;
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(CREATED_BY_LABEL));
        if label == Some(&own) && controls(object, metadata) {
            self.secrets.delete(&name, metadata).await?;
            self.statistics.wrote(EXTERNAL_SECRET, Written::Secret);
        }
        Ok(())
    }

    /// Whether every store that `object` names leaves it to us.
    fn is_ours(&self, object: &ExternalSecret) -> bool {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let index = locked(&self.index);
        object.stores().into_iter().all(|store| match index.store(&StoreName::of(store, namespace)) {
            Some(Read::Whole(store)) => self.is_our_store(&store),
            Some(Read::Broken(_)) | None => true,
        })
    }

    /// Whether `store` names no controller, or us.
    pub(crate) fn is_our_store(&self, store: &SecretStore) -> bool {
        store.spec.controller.is_empty() || store.spec.controller == self.class
    }

    /// Lets an object go that is being deleted. Its Secret follows it by the garbage collector's hand.
    async fn let_go(&self, metadata: &ObjectMeta) -> (Found, Next) {
        if metadata.finalizers.iter().flatten().any(|it| it == FINALIZER) {
            match self.objects.remove_finalizer(metadata, FINALIZER).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(externalsecret = %ObjectName::of(metadata), %error, "finalizer not removed");
                    return (Found::Again, Next::Change);
                }
            }
        }
        self.statistics.metrics.passed(EXTERNAL_SECRET, Pass::Gone);
        (Found::Stuck, Next::Change)
    }

    async fn failed_fetch(&self, object: &ExternalSecret, failure: &FetchFailure) -> (Found, Next) {
        let (about_store, wait) = match &failure.problem {
            Problem::Broker(error) => (is_about_the_store(error), error.wait()),
            Problem::Open(error) => (!error.is_transient(), None),
            Problem::NoStore | Problem::Select(_) | Problem::Value(_) => (false, None),
        };
        if let Some(store) = failure.store.as_ref().filter(|_| about_store) {
            if failure.problem.reason() == "CredentialsRejected" {
                self.pool.forget(store);
            }
            // It says itself what is wrong with it; and when that is over, wakes those who use it. Once for all who fail.
            if locked(&self.doubted).insert(store.clone()) {
                self.stores.add(store.name.clone());
            }
        }
        let outcome = Outcome::Failed { reason: failure.problem.reason(), message: failure.to_string() };
        self.report(object, &outcome, Found::Again, wait.map_or(Next::Change, Next::After)).await
    }

    async fn failed_plan(&self, object: &ExternalSecret, error: &PlanError) -> (Found, Next) {
        let outcome = Outcome::Failed { reason: error.reason(), message: error.to_string() };
        self.report(object, &outcome, Found::Again, Next::Change).await
    }

    async fn failed_api(&self, object: &ExternalSecret, what: &str, error: &ApiError) -> (Found, Next) {
        let reason = if error.is_permanent() { "SecretRejected" } else { "ApiServerFailed" };
        let outcome = Outcome::Failed { reason, message: format!("{what}: {error}") };
        self.report(object, &outcome, Found::Again, Next::Change).await
    }

    /// Writes status and event, as far as they are news.
    async fn report(
        &self,
        object: &ExternalSecret,
        outcome: &Outcome,
        found: Found,
        next_change: Next,
    ) -> (Found, Next) {
        let now = Timestamp::now();
        log(object, outcome);
        self.statistics.metrics.passed(EXTERNAL_SECRET, pass_of(outcome, &found));
        let mut object = object.clone();
        for _ in 0..STATUS_ROUNDS {
            let change = status::next(&object, outcome, now);
            let wrote = matches!(outcome, Outcome::Synced { wrote: Some(_), .. });
            let news = wrote || change.as_ref().is_some_and(|change| change.news);
            let written = match &change {
                None => Ok(()),
                Some(change) => self.objects.patch_status(&external_secrets(), &object.metadata, &change.status).await,
            };
            match written {
                Ok(()) => {
                    if let Some(change) = change {
                        self.statistics.wrote(EXTERNAL_SECRET, Written::Status);
                        object.status = ExternalSecretStatus::from_json(&change.status);
                    }
                    if news {
                        self.tell(&object, outcome, now).await;
                    }
                    let next = if found == Found::Again { next_change } else { next(due(&object, now), now) };
                    let next = if found == Found::Stuck { Next::Change } else { next };
                    return (found, next);
                }
                Err(error) if error.is_not_found() => return (Found::Stuck, Next::Change),
                Err(error) if error.is_race() => {
                    let name = ObjectName::of(&object.metadata);
                    match self.objects.read(&external_secrets(), &name).await {
                        // Only its status changed, or what no Secret depends on: what we have to say still holds.
                        Ok(Some(read)) if same_specification(&object.metadata, &read.metadata) => {
                            let status = read.data.get("status");
                            let status = status.map(ExternalSecretStatus::from_json);
                            object.metadata = read.metadata;
                            object.status = status.unwrap_or_default();
                        }
                        Ok(_) => return (Found::Again, Next::Change),
                        Err(error) => {
                            tracing::warn!(externalsecret = %name, %error, "status not written");
                            return (Found::Again, Next::Change);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(externalsecret = %ObjectName::of(&object.metadata), %error, "status not written");
                    return (Found::Again, Next::Change);
                }
            }
        }
        (Found::Again, Next::Change)
    }

    async fn tell(&self, object: &ExternalSecret, outcome: &Outcome, now: Timestamp) {
        let said = match outcome {
            Outcome::Synced { wrote: Some(Wrote::Created), .. } => (false, "Created", "secret created"),
            Outcome::Synced { wrote: Some(Wrote::Updated), .. } => (false, "Updated", "secret updated"),
            Outcome::Synced { wrote: Some(Wrote::Deleted), .. } => (false, "Deleted", "secret deleted"),
            Outcome::Synced { reason, message, .. } => (false, *reason, message.as_str()),
            Outcome::Failed { message, .. } => (true, "UpdateFailed", message.as_str()),
        };
        if self.objects.tell(KIND, &object.metadata, said, now).await {
            self.statistics.wrote(EXTERNAL_SECRET, Written::Event);
        }
    }
}

fn pass_of(outcome: &Outcome, found: &Found) -> Pass {
    match outcome {
        Outcome::Synced { wrote: Some(_), .. } => Pass::Written,
        Outcome::Synced { wrote: None, .. } => Pass::Unchanged,
        Outcome::Failed { .. } if *found == Found::Stuck => Pass::Refused,
        Outcome::Failed { .. } => Pass::Failed,
    }
}

fn is_about_the_store(error: &BrokerError) -> bool {
    match error {
        BrokerError::Fetch(error) => error.is_about_the_store(),
        BrokerError::Resting { .. } | BrokerError::TimedOut => true,
    }
}

/// Whether the Secret need not be written before the values are due.
fn is_right(object: &ExternalSecret, existing: Option<&Secret>, ring: &KeyRing) -> bool {
    match object.spec.target.creation_policy {
        CreationPolicy::Orphan | CreationPolicy::None => true,
        CreationPolicy::Merge if existing.is_none() => true,
        CreationPolicy::Owner | CreationPolicy::Merge | CreationPolicy::CreateOrMerge => match existing {
            Some(existing) => is_as_written(existing, ring),
            // What was not to be made, or was deleted as the policy says, is not missing.
            None => object.status.refresh_time.is_some() && object.status.binding.is_none(),
        },
    }
}

fn same_specification(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    a.uid == b.uid && synced_version(a) == synced_version(b) && b.deletion_timestamp.is_none()
}

fn next(due: Due, now: Timestamp) -> Next {
    match due {
        Due::Now(_) => Next::After(SHORTEST),
        Due::At(time) => Next::After(Duration::try_from(time.duration_since(now)).unwrap_or_default().max(SHORTEST)),
        Due::Never => Next::Change,
    }
}

fn version_of(secret: Option<&Plaintext>) -> Option<SecretVersion> {
    secret.map(|secret| SecretVersion::of(&secret.expose_secret().metadata))
}

fn timestamp_of(instant: Instant) -> Timestamp {
    let age = Instant::now().saturating_duration_since(instant);
    Timestamp::now().checked_sub(age).unwrap_or_else(|_| Timestamp::now())
}

fn log(object: &ExternalSecret, outcome: &Outcome) {
    let name = ObjectName::of(&object.metadata);
    match outcome {
        Outcome::Synced { wrote: Some(_), message, .. } => tracing::info!(externalsecret = %name, "{message}"),
        Outcome::Synced { message, .. } => tracing::debug!(externalsecret = %name, "{message}"),
        Outcome::Failed { reason, message } => tracing::warn!(externalsecret = %name, reason, "{message}"),
    }
}
