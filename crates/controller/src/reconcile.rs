//! One SealedSecret, from reading it to reporting what became of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bulla_api::{SealedSecret, SealedSecretStatus};
use bulla_sealed::{Hint, KeyRing, SealingKey, UnsealOptions};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, GetParams};
use kube::core::{ApiResource, Request};
use kube::{Api, Client, Resource as _};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::apply::{Applied, ApplyError, apply};
use crate::event;
use crate::index::{Finding, Index, Seen, Wake, Work};
use crate::metrics::{Pass, SEALED_SECRET, UnsealFailure, Written};
use crate::name::ObjectName;
use crate::plan::{Existing, Plaintext, Plan, Refusal, plan};
use crate::queue::Queue;
use crate::record::{Fingerprint, Record};
use crate::secrets::{ApiError, Secrets, answer, metadata_only, parameters};
use crate::statistics::{Statistics, count};
use crate::status::{self, Change, Outcome};

/// First and longest wait after a failure that may pass.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// Rounds against others who write the same status.
const STATUS_ROUNDS: usize = 5;

/// What reconciling needs.
pub struct Context {
    /// The API.
    pub client: Client,
    /// What is known of all objects.
    pub index: Mutex<Index>,
    /// What is to be worked on.
    pub queue: Queue,
    /// The keys.
    pub ring: watch::Receiver<Arc<KeyRing>>,
    /// As many permits as processors: decryption takes nothing else.
    pub processors: Arc<Semaphore>,
    /// Two permits: objects with templates that are rendered at a time, whose memory is bounded one by one.
    pub templates: Arc<Semaphore>,
    /// What was done.
    pub statistics: Arc<Statistics>,
    /// Whether `spec.data` is read.
    pub accept_deprecated_data: bool,
}

impl Context {
    /// The index, for a moment.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        // The index is whole after each of its methods; a panic elsewhere does not make it less so.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `name` in line as `wake` says.
    pub fn wake(&self, name: &ObjectName, wake: Wake) {
        match wake {
            Wake::No => {}
            Wake::Now => self.queue.add(name.clone()),
            Wake::After(delay) => self.queue.add_after(name.clone(), delay),
        }
    }

    /// Works on what is in line until the queue is closed.
    pub async fn work(&self) {
        while let Some(name) = self.queue.next().await {
            let started = Instant::now();
            if let Some(pass) = self.reconcile(&name).await {
                self.statistics.metrics.passed(SEALED_SECRET, pass);
                self.statistics.metrics.took(SEALED_SECRET, started.elapsed());
            }
            self.queue.done(&name);
        }
    }

    /// What became of it; `None` if there was nothing to do.
    async fn reconcile(&self, name: &ObjectName) -> Option<Pass> {
        let work = self.index().start(name)?;
        count(&self.statistics.reconciliations);
        self.statistics.metrics.unseals();
        let not_older = GetParams::at(&work.resource_version);
        let object = match self.read(name, &not_older).await {
            Ok(Some(object)) if object.metadata.deletion_timestamp.is_none() => object,
            Ok(_) => {
                self.index().forget_sealed(name);
                return Some(Pass::Gone);
            }
            Err(error) => {
                tracing::warn!(sealedsecret = %name, %error, "SealedSecret cannot be read");
                self.statistics.metrics.unseal_failed(UnsealFailure::Fetch, &name.namespace);
                self.finish_unread(name, &work);
                return Some(Pass::Failed);
            }
        };
        let seen = seen(&object);
        self.index().read(name, &seen);

        let ring = self.ring.borrow().clone();
        let (sealed, settled) = match SealedSecret::decode(object.metadata.clone(), &object.data) {
            Ok(sealed) => {
                let sealed = Arc::new(sealed);
                let settled = self.settle(name, &sealed, seen.fingerprint, &work, &ring).await;
                (sealed, settled)
            }
            Err(error) => {
                let status = object.data.get("status").and_then(SealedSecretStatus::from_json);
                let sealed = SealedSecret { metadata: object.metadata, status, ..SealedSecret::default() };
                (Arc::new(sealed), Settled::refused(error.into(), None))
            }
        };
        log(name, &settled.outcome);
        let pass = Pass::of(&settled.outcome);
        if let Some(failure) = UnsealFailure::of(&settled.outcome) {
            self.statistics.metrics.unseal_failed(failure, &name.namespace);
        }
        let reported = match settled.outcome {
            // Most first failures have passed a second later; nobody needs to read about them.
            Outcome::Failed(_) if work.attempts == 0 => Ok(()),
            _ => self.report(name, &sealed, seen.fingerprint, &settled).await,
        };
        let finding = match reported {
            Ok(()) => settled.finding,
            Err(error) => {
                tracing::warn!(sealedsecret = %name, %error, "status not written");
                self.statistics.metrics.unseal_failed(UnsealFailure::Status, &name.namespace);
                Finding::Again
            }
        };
        self.finish(name, seen.fingerprint, finding, &work);
        Some(pass)
    }

    /// Opens the object and makes its Secret so.
    async fn settle(
        &self,
        name: &ObjectName,
        sealed: &Arc<SealedSecret>,
        fingerprint: Fingerprint,
        work: &Work,
        ring: &Arc<KeyRing>,
    ) -> Settled {
        let secrets = Secrets::new(self.client.clone());
        let existing = match if work.secret_exists { secrets.get(name).await } else { Ok(None) } {
            Ok(existing) => existing,
            Err(error) => return Settled::failed(&error),
        };
        if existing.as_ref().is_some_and(|secret| secret.expose_secret().metadata.deletion_timestamp.is_some()) {
            return Settled::failed_with("the Secret is being deleted; it is made anew once it is gone".to_owned());
        }
        let Plan { desired, keys } = match self.plan(sealed, existing.as_ref(), ring).await {
            Ok(plan) => plan,
            Err(refusal @ Refusal::Unseal(_)) => {
                return Settled::refused(refusal, Record::refused(fingerprint, ring));
            }
            Err(refusal) => return Settled::refused(refusal, None),
        };
        match apply(&secrets, sealed, existing, &desired).await {
            Ok(Applied { secret, wrote }) => {
                if wrote {
                    self.statistics.wrote(SEALED_SECRET, Written::Secret);
                }
                Settled::synced(fingerprint, secret, wrote, &desired, &keys, ring)
            }
            Err(ApplyError::Refused(refusal, Some(secret))) => {
                Settled::refused(refusal, Record::blocked(fingerprint, &secret.version, &keys, ring))
            }
            Err(ApplyError::Refused(refusal, None)) => Settled::refused(refusal, Record::refused(fingerprint, ring)),
            Err(ApplyError::Failed(error)) => Settled::failed(&error),
        }
    }

    /// Decides on a thread of its own, as many at a time as there are processors.
    async fn plan(
        &self,
        sealed: &Arc<SealedSecret>,
        existing: Option<&Plaintext>,
        ring: &Arc<KeyRing>,
    ) -> Result<Plan, Refusal> {
        let options = UnsealOptions { accept_deprecated_data: self.accept_deprecated_data, hint: hint_of(sealed) };
        let existing = existing.map(|secret| Existing::of(&secret.expose_secret().metadata));
        let (sealed, ring) = (sealed.clone(), ring.clone());
        let template =
            if sealed.spec.template.data.is_empty() { None } else { self.templates.clone().acquire_owned().await.ok() };
        let permit = self.processors.clone().acquire_owned().await;
        let planned = tokio::task::spawn_blocking(move || {
            let _permits = (template, permit);
            plan(&sealed, existing.as_ref(), &ring, &options)
        });
        planned.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Writes status and event, as far as they are news.
    async fn report(
        &self,
        name: &ObjectName,
        sealed: &SealedSecret,
        fingerprint: Fingerprint,
        settled: &Settled,
    ) -> Result<(), ApiError> {
        let now = Timestamp::now();
        let change = status::next(sealed, &settled.outcome, settled.record.as_ref(), now);
        let wrote = matches!(settled.outcome, Outcome::Synced { wrote: true, .. });
        let news = wrote || change.as_ref().is_some_and(|change| change.news);
        if let Some(change) = change {
            self.write_status(name, sealed, fingerprint, change).await?;
        }
        if news {
            let event = event::of(&sealed.metadata, &settled.outcome, now);
            if event::write(&self.client, &event).await {
                self.statistics.wrote(SEALED_SECRET, Written::Event);
            }
        }
        Ok(())
    }

    async fn write_status(
        &self,
        name: &ObjectName,
        sealed: &SealedSecret,
        fingerprint: Fingerprint,
        change: Change,
    ) -> Result<(), ApiError> {
        let mut resource_version = sealed.metadata.resource_version.clone();
        for _ in 0..STATUS_ROUNDS {
            // The API server takes nothing but the status from this; the version makes it a replacement of what was read.
            let body = json!({
                "apiVersion": SealedSecret::api_version(&()), "kind": SealedSecret::kind(&()),
                "metadata": {"name": name.name, "namespace": name.namespace, "resourceVersion": resource_version},
                "spec": {"encryptedData": {}},
                "status": change.status,
            });
            match self.put_status(name, body.to_string().into_bytes()).await {
                Ok(()) => {
                    self.statistics.wrote(SEALED_SECRET, Written::Status);
                    return Ok(());
                }
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) if error.is_race() => match self.read(name, &GetParams::default()).await? {
                    // Only its status or its metadata changed: what we have to say still holds.
                    Some(object) if seen(&object).fingerprint == fingerprint => {
                        resource_version = object.metadata.resource_version;
                    }
                    _ => return Ok(()),
                },
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::Unreachable("others keep changing it".to_owned()))
    }

    async fn put_status(&self, name: &ObjectName, body: Vec<u8>) -> Result<(), ApiError> {
        let path = SealedSecret::url_path(&(), Some(&name.namespace));
        let request = Request::new(path)
            .replace_subresource("status", &name.name, &parameters(), body)
            .map(metadata_only)
            .map_err(|error| ApiError::Unreachable(error.to_string()))?;
        answer(self.client.request_text(request)).await.map(drop)
    }

    async fn read(&self, name: &ObjectName, parameters: &GetParams) -> Result<Option<DynamicObject>, ApiError> {
        let resource = ApiResource::erase::<SealedSecret>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &name.namespace, &resource);
        match answer(api.get_with(&name.name, parameters)).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn finish(&self, name: &ObjectName, fingerprint: Fingerprint, finding: Finding, work: &Work) {
        let again = finding == Finding::Again;
        let wake = self.index().finish(name, fingerprint, finding);
        let wake = if again && wake == Wake::Now { Wake::After(delay(work.attempts)) } else { wake };
        self.wake(name, wake);
    }

    fn finish_unread(&self, name: &ObjectName, work: &Work) {
        let fingerprint = self.index().fingerprint(name);
        if let Some(fingerprint) = fingerprint {
            self.finish(name, fingerprint, Finding::Again, work);
        }
    }
}

/// What became of one object.
struct Settled {
    outcome: Outcome,
    finding: Finding,
    record: Option<Record>,
}

impl Settled {
    fn synced(
        fingerprint: Fingerprint,
        secret: Existing,
        wrote: bool,
        desired: &Plaintext,
        keys: &[Arc<SealingKey>],
        ring: &KeyRing,
    ) -> Self {
        let values = desired.expose_secret().data.as_ref().map_or(0, std::collections::BTreeMap::len);
        let record = Record::opened(fingerprint, &secret.version, keys, ring);
        let keys = keys.iter().map(|key| key.id().to_owned()).collect();
        Self { outcome: Outcome::Synced { wrote, values }, finding: Finding::Done(secret.version, keys), record }
    }

    fn refused(refusal: Refusal, record: Option<Record>) -> Self {
        Self { finding: Finding::Refused(refusal.obstacle()), outcome: Outcome::Refused(refusal), record }
    }

    fn failed(error: &ApiError) -> Self {
        Self::failed_with(error.to_string())
    }

    fn failed_with(message: String) -> Self {
        Self { outcome: Outcome::Failed(message), finding: Finding::Again, record: None }
    }
}

/// What the index wants to know of an object.
pub fn seen(object: &DynamicObject) -> Seen {
    let metadata = &object.metadata;
    let status = object.data.get("status").and_then(SealedSecretStatus::from_json);
    Seen {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        fingerprint: Fingerprint::of(metadata, &object.data),
        record: status::record_of(status.as_ref(), metadata.generation),
    }
}

/// Keys that opened it before, as its record tells, and when its specification was last changed.
fn hint_of(sealed: &SealedSecret) -> Hint {
    let record = sealed.status.as_ref().and_then(status::any_record_of);
    Hint {
        keys: record.map(|record| record.keys().to_vec()).unwrap_or_default(),
        changed: last_change(&sealed.metadata),
    }
}

fn last_change(metadata: &ObjectMeta) -> Option<Timestamp> {
    let main = metadata.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none());
    let writes = main.filter_map(|entry| entry.time.as_ref());
    writes.chain(metadata.creation_timestamp.as_ref()).map(|time| time.0).max()
}

/// The wait after the failure number `attempts + 1` in a row, a fifth more or less so that not all come at once.
pub(crate) fn delay(attempts: u32) -> Duration {
    let (first, longest) = RETRY;
    let delay = first.saturating_mul(2_u32.saturating_pow(attempts)).min(longest);
    delay.mul_f64(rand::make_rng::<StdRng>().random_range(0.8..1.2))
}

fn log(name: &ObjectName, outcome: &Outcome) {
    match outcome {
        Outcome::Synced { wrote: true, values } => tracing::info!(sealedsecret = %name, values, "unsealed"),
        Outcome::Synced { wrote: false, .. } => tracing::debug!(sealedsecret = %name, "already as it should be"),
        Outcome::Refused(refusal) => {
            let reason = outcome.reason();
            tracing::warn!(sealedsecret = %name, reason, error = %refusal, "not unsealed");
        }
        Outcome::Failed(error) => tracing::warn!(sealedsecret = %name, error, "not unsealed, will try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Obstacle;

    #[test]
    fn waits_double_up_to_five_minutes() {
        for (attempts, expected) in [(0, 1.0), (1, 2.0), (5, 32.0), (8, 256.0), (9, 300.0), (4_000_000_000, 300.0)] {
            let delay = delay(attempts).as_secs_f64();
            assert!((0.8 * expected..=1.2 * expected).contains(&delay), "{attempts}: {delay}");
        }
    }

    #[test]
    fn the_last_change_is_the_last_write_that_was_not_of_a_status() {
        let metadata: ObjectMeta = serde_json::from_value(json!({
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [
                {"manager": "kubectl", "time": "2026-02-01T00:00:00Z"},
                {"manager": "controller", "subresource": "status", "time": "2026-03-01T00:00:00Z"},
            ],
        }))
        .unwrap();
        assert_eq!(last_change(&metadata), Some("2026-02-01T00:00:00Z".parse().unwrap()));
        assert_eq!(last_change(&ObjectMeta::default()), None);
    }

    #[test]
    fn obstacles_of_refusals_decide_who_wakes_the_object() {
        let name = ObjectName { namespace: "shop".to_owned(), name: "db".to_owned() };
        let settled = Settled::refused(Refusal::Immutable(name), None);
        assert_eq!(settled.finding, Finding::Refused(Obstacle::Secret));
    }
}
