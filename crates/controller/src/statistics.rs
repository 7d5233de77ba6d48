//! What the controller has done so far, counted. Tests hold it against the promise that an idle cluster is silent.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::{Metrics, Written};

/// Counters that grow only.
#[derive(Debug, Default)]
pub struct Statistics {
    pub(crate) reconciliations: AtomicU64,
    pub(crate) secret_writes: AtomicU64,
    pub(crate) status_writes: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) keys_created: AtomicU64,
    /// What is counted with labels, for Prometheus.
    pub metrics: Metrics,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// SealedSecrets worked on; one that is recognised as unchanged does not count.
    pub reconciliations: u64,
    /// Secrets created or replaced.
    pub secret_writes: u64,
    /// Statuses written.
    pub status_writes: u64,
    /// Events written.
    pub events: u64,
    /// Sealing keys made.
    pub keys_created: u64,
    /// Private-key operations: about 5 ms of a processor each.
    pub private_key_operations: u64,
}

impl Statistics {
    /// Something was written because of an object of `kind`.
    pub(crate) fn wrote(&self, kind: &'static str, object: Written) {
        count(match object {
            Written::Secret => &self.secret_writes,
            Written::Status => &self.status_writes,
            Written::Event => &self.events,
            Written::Key => &self.keys_created,
        });
        self.metrics.wrote(kind, object);
    }

    pub(crate) fn counts(&self, private_key_operations: u64) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            reconciliations: read(&self.reconciliations),
            secret_writes: read(&self.secret_writes),
            status_writes: read(&self.status_writes),
            events: read(&self.events),
            keys_created: read(&self.keys_created),
            private_key_operations,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
