//! What Prometheus is told: counted here, written out in [`exposition`].
//!
//! ```text
//! sealed_secrets_controller_*   upstream's names and labels, so that its dashboards and alerts go on working
//! bulla_controller_*            our own, for every kind of object: work, queue, writes, watches, keys
//! process_*                     the usual four of the process
//! ```
//! Each series that can be named in advance is there from the start, with 0: a rate over a series that appears with its first error
//! shows nothing of that error. Invariant: labels hold names of objects, namespaces and words of this program; never the name of an
//! item, a value or a message.
//!
//! Source: sealed-secrets 0.38.4 `pkg/controller/metrics.go`; Prometheus's conventions for names and units.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bulla_api::SealedSecretStatus;
use bulla_api::sealed_secret::ConditionStatus;
use kube::api::DynamicObject;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::name::ObjectName;
use crate::plan::Refusal;
use crate::status::Outcome;

pub mod exposition;

/// Kinds of objects, as a label.
pub const SEALED_SECRET: &str = "SealedSecret";
/// As above.
pub const EXTERNAL_SECRET: &str = "ExternalSecret";

/// The label that upstream repeats in `condition_info`.
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Upper bounds in seconds: those that Prometheus's libraries take when nothing else is said.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What became of one object in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// What should be was written.
    Written,
    /// It was so already.
    Unchanged,
    /// It cannot be until somebody changes something.
    Refused,
    /// It is tried again.
    Failed,
    /// The object is gone.
    Gone,
}

/// What was written to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Secret,
    Status,
    Event,
    Key,
}

/// Why a SealedSecret did not become a Secret, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnsealFailure {
    Fetch,
    Status,
    Unseal,
    Update,
    Unmanaged,
}

/// All that is counted beside [`Statistics`](crate::Statistics).
pub struct Metrics {
    passes: Family<PassLabels, Counter>,
    durations: Family<KindLabels, Histogram, fn() -> Histogram>,
    writes: Family<WriteLabels, Counter>,
    unseal_requests: Counter,
    unseal_errors: Family<UnsealErrorLabels, Counter>,
    watch_restarts: Family<ResourceLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_durations: Family<PathLabels, Histogram, fn() -> Histogram>,
    synced: Mutex<HashMap<ObjectName, Synced>>,
    /// Seconds since the epoch.
    started: f64,
}

/// The condition of one SealedSecret: -1 false, 0 unknown or absent, 1 true.
struct Synced {
    instance: Box<str>,
    value: i64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PassLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    object: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UnsealErrorLabels {
    reason: &'static str,
    namespace: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResourceLabels {
    resource: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    path: &'static str,
    code: u16,
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PathLabels {
    path: &'static str,
    method: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            passes: Family::default(),
            durations: Family::new_with_constructor(histogram),
            writes: Family::default(),
            unseal_requests: Counter::default(),
            unseal_errors: Family::default(),
            watch_restarts: Family::default(),
            requests: Family::default(),
            request_durations: Family::new_with_constructor(histogram),
            synced: Mutex::default(),
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        };
        metrics.expect_kind(SEALED_SECRET);
        metrics.expect_writes(SEALED_SECRET, Written::Key);
        metrics
    }
}

impl Metrics {
    /// Shows the series of a kind of object that this controller looks after, before anything happened.
    pub fn expect_kind(&self, kind: &'static str) {
        for pass in [Pass::Written, Pass::Unchanged, Pass::Refused, Pass::Failed, Pass::Gone] {
            drop(self.passes.get_or_create(&PassLabels { kind, result: pass.word() }));
        }
        drop(self.durations.get_or_create(&KindLabels { kind }));
        for object in [Written::Secret, Written::Status, Written::Event] {
            self.expect_writes(kind, object);
        }
    }

    fn expect_writes(&self, kind: &'static str, object: Written) {
        drop(self.writes.get_or_create(&WriteLabels { kind, object: object.word() }));
    }

    /// What became of an object of `kind` that was worked on.
    pub fn passed(&self, kind: &'static str, pass: Pass) {
        self.passes.get_or_create(&PassLabels { kind, result: pass.word() }).inc();
    }

    /// How long the work on one object of `kind` took.
    pub fn took(&self, kind: &'static str, took: Duration) {
        self.durations.get_or_create(&KindLabels { kind }).observe(took.as_secs_f64());
    }

    /// A watch of `resource` was interrupted, and is begun anew.
    pub fn watch_restarted(&self, resource: &'static str) {
        self.watch_restarts.get_or_create(&ResourceLabels { resource }).inc();
    }

    pub(crate) fn wrote(&self, kind: &'static str, object: Written) {
        self.writes.get_or_create(&WriteLabels { kind, object: object.word() }).inc();
    }

    /// A SealedSecret is worked on.
    pub(crate) fn unseals(&self) {
        self.unseal_requests.inc();
    }

    pub(crate) fn unseal_failed(&self, failure: UnsealFailure, namespace: &str) {
        let labels = UnsealErrorLabels { reason: failure.word(), namespace: namespace.to_owned() };
        self.unseal_errors.get_or_create(&labels).inc();
    }

    pub(crate) fn answered(&self, path: &'static str, method: &'static str, code: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { path, code, method }).inc();
        self.request_durations.get_or_create(&PathLabels { path, method }).observe(took.as_secs_f64());
    }

    /// A SealedSecret as the watch tells it.
    pub(crate) fn see_condition(&self, name: &ObjectName, object: &DynamicObject) {
        let status = object.data.get("status").and_then(SealedSecretStatus::from_json);
        let conditions = status.map(|status| status.conditions).unwrap_or_default();
        let synced = conditions.iter().find(|condition| condition.kind == "Synced").map(|condition| condition.status);
        let Some(synced) = synced else { return };
        let instance = object.metadata.labels.as_ref().and_then(|labels| labels.get(INSTANCE_LABEL));
        let value = match synced {
            ConditionStatus::False => -1,
            ConditionStatus::Unknown => 0,
            ConditionStatus::True => 1,
        };
        let instance = Box::from(instance.map_or("", String::as_str));
        self.synced().insert(name.clone(), Synced { instance, value });
    }

    pub(crate) fn forget_condition(&self, name: &ObjectName) {
        self.synced().remove(name);
    }

    /// Forgets those that are not `known`.
    pub(crate) fn keep_conditions(&self, known: impl Fn(&ObjectName) -> bool) {
        self.synced().retain(|name, _| known(name));
    }

    fn synced(&self) -> MutexGuard<'_, HashMap<ObjectName, Synced>> {
        // It is whole after each of its changes.
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Pass {
    fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }

    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Synced { wrote: true, .. } => Self::Written,
            Outcome::Synced { wrote: false, .. } => Self::Unchanged,
            Outcome::Refused(_) => Self::Refused,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

impl Written {
    fn word(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::Status => "status",
            Self::Event => "Event",
            Self::Key => "key",
        }
    }
}

impl UnsealFailure {
    fn word(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Status => "status",
            Self::Unseal => "unseal",
            Self::Update => "update",
            Self::Unmanaged => "unmanaged",
        }
    }

    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Synced { .. } => None,
            Outcome::Refused(Refusal::Malformed(_) | Refusal::Unseal(_)) => Some(Self::Unseal),
            Outcome::Refused(Refusal::NotManaged { .. }) => Some(Self::Unmanaged),
            Outcome::Refused(_) | Outcome::Failed(_) => Some(Self::Update),
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}
