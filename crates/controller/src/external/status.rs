//! What an ExternalSecret and a store tell about themselves: the next status, if it differs. Pure.
//!
//! `Ready` comes first, with upstream's reasons and words where it is true. Where it is false, upstream says `SecretSyncedError` and keeps
//! what happened to its log; here the reason is the cause and the message says it whole. A failure leaves `refreshTime` and
//! `syncedResourceVersion` as they are.

use bulla_api::external_secret::{Binding, Condition, ExternalSecretStatus};
use bulla_api::secret_store::SecretStoreStatus;
use bulla_api::{ConditionStatus, ExternalSecret, SecretStore};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::hash::synced_version;
use crate::status::shortened;

/// The condition that is written.
pub(crate) const READY: &str = "Ready";
/// Longest message of a condition, in bytes.
const LONGEST_MESSAGE: usize = 2048;

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The Secret is as it should be.
    Synced {
        /// One word for programs.
        reason: &'static str,
        /// One sentence for people.
        message: String,
        /// When the oldest of its values was fetched; `None`: nothing was fetched.
        refreshed: Option<Timestamp>,
        /// What was done to the Secret, if anything.
        wrote: Option<Wrote>,
    },
    /// It is not.
    Failed {
        /// One word for programs.
        reason: &'static str,
        /// One sentence for people, with what helps.
        message: String,
    },
}

/// What was done to a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was deleted.
    Deleted,
}

/// A status that differs from the one before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The whole of it, as a merge patch of `status`.
    pub(crate) status: Value,
    /// Whether it says something new, and not only another time.
    pub(crate) news: bool,
}

/// The status of `object` after `outcome`; `None` if it has it already.
pub(crate) fn next(object: &ExternalSecret, outcome: &Outcome, now: Timestamp) -> Option<Change> {
    let old = &object.status;
    let generation = object.metadata.generation;
    let (ready, reason, message) = match outcome {
        Outcome::Synced { reason, message, .. } => (true, *reason, message),
        Outcome::Failed { reason, message } => (false, *reason, message),
    };
    let (condition, news) = condition(&old.conditions, ready, reason, message, now);
    let mut status = ExternalSecretStatus {
        conditions: with_others(condition, &old.conditions),
        observed_generation: generation,
        ..old.clone()
    };
    if let Outcome::Synced { refreshed: Some(refreshed), wrote, .. } = outcome {
        status.refresh_time = Some(Time(seconds(*refreshed)));
        status.synced_resource_version = Some(synced_version(&object.metadata));
        let gone = *wrote == Some(Wrote::Deleted);
        status.binding = (!gone).then(|| Binding { name: object.target_name().to_owned() });
    }
    // The API server may not know this field: then it is absent for ever, which is no difference.
    let same = status.conditions == old.conditions
        && status.refresh_time == old.refresh_time
        && status.synced_resource_version == old.synced_resource_version
        && status.binding == old.binding
        && (status.observed_generation == old.observed_generation || old.observed_generation.is_none() && !news);
    if same {
        return None;
    }
    Some(Change {
        status: json!({
            "conditions": status.conditions,
            "refreshTime": status.refresh_time,
            "syncedResourceVersion": status.synced_resource_version,
            "binding": status.binding,
            "observedGeneration": status.observed_generation,
        }),
        news,
    })
}

/// The status of `store`: ready, with this reason and message; `None` if it has it already.
pub(crate) fn next_of_store(
    store: &SecretStore,
    ready: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Option<Change> {
    let old = &store.status;
    let (condition, news) = condition(&old.conditions, ready, reason, message, now);
    let status = SecretStoreStatus {
        conditions: with_others(condition, &old.conditions),
        capabilities: Some("ReadOnly".to_owned()),
        observed_generation: store.metadata.generation,
    };
    let known_generation = old.observed_generation.is_some();
    if !news
        && status.capabilities == old.capabilities
        && (!known_generation || status.observed_generation == old.observed_generation)
    {
        return None;
    }
    Some(Change {
        status: json!({
            "conditions": status.conditions,
            "capabilities": status.capabilities,
            "observedGeneration": status.observed_generation,
        }),
        news,
    })
}

/// Whether the store was found to be good as it is now, so that a controller which starts need not ask it again.
pub(crate) fn is_settled(store: &SecretStore) -> bool {
    let ready = store.status.condition(READY).is_some_and(|it| it.status == ConditionStatus::True);
    ready && store.status.observed_generation.is_some() && store.status.observed_generation == store.metadata.generation
}

fn condition(old: &[Condition], ready: bool, reason: &str, message: &str, now: Timestamp) -> (Condition, bool) {
    let status = if ready { ConditionStatus::True } else { ConditionStatus::False };
    let old = old.iter().find(|condition| condition.kind == READY);
    let message = shortened(message, LONGEST_MESSAGE);
    let unchanged = old.filter(|old| {
        old.status == status
            && old.reason.as_deref() == Some(reason)
            && old.message.as_deref().unwrap_or_default() == message
    });
    let condition = Condition {
        kind: READY.to_owned(),
        status,
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: old
            .filter(|old| old.status == status)
            .and_then(|old| old.last_transition_time.clone())
            .or_else(|| Some(Time(seconds(now)))),
    };
    match unchanged {
        Some(unchanged) => (unchanged.clone(), false),
        None => (condition, true),
    }
}

fn with_others(condition: Condition, old: &[Condition]) -> Vec<Condition> {
    let others = old.iter().filter(|other| other.kind != condition.kind).cloned().collect::<Vec<_>>();
    std::iter::once(condition).chain(others).collect()
}

/// Whole seconds: all that the API server keeps of a time.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(status: ExternalSecretStatus) -> ExternalSecret {
        let mut object = ExternalSecret { status, ..ExternalSecret::default() };
        object.metadata.generation = Some(2);
        object.metadata.name = Some("db".to_owned());
        object
    }

    fn synced(refreshed: Option<i64>) -> Outcome {
        Outcome::Synced {
            reason: "SecretSynced",
            message: "secret synced".to_owned(),
            refreshed: refreshed.map(at),
            wrote: None,
        }
    }

    fn failed(message: &str) -> Outcome {
        Outcome::Failed { reason: "SecretNotFound", message: message.to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status_of(change: &Change) -> ExternalSecretStatus {
        ExternalSecretStatus::from_json(&change.status)
    }

    #[test]
    fn the_same_again_is_not_written() {
        let change = next(&object(ExternalSecretStatus::default()), &synced(Some(10)), at(11)).unwrap();
        assert!(change.news);
        let status = status_of(&change);
        assert_eq!(status.binding.as_ref().unwrap().name, "db");
        assert_eq!(next(&object(status.clone()), &synced(Some(10)), at(99)), None);
        assert_eq!(next(&object(status.clone()), &synced(None), at(99)), None, "nothing was fetched");
        let again = next(&object(status.clone()), &synced(Some(70)), at(99)).unwrap();
        assert!(!again.news, "another time is no news");
        assert_eq!(status_of(&again).conditions, status.conditions);
        let change = next(&object(status), &failed("x"), at(99)).unwrap();
        assert!(change.news);
        assert_eq!(next(&object(status_of(&change)), &failed("x"), at(100)), None);
        assert!(next(&object(status_of(&change)), &failed("y"), at(100)).unwrap().news);
    }

    #[test]
    fn a_failure_leaves_what_was_synced() {
        let status = status_of(&next(&object(ExternalSecretStatus::default()), &synced(Some(10)), at(11)).unwrap());
        let after = status_of(&next(&object(status.clone()), &failed("x"), at(99)).unwrap());
        assert_eq!(after.refresh_time, status.refresh_time);
        assert_eq!(after.synced_resource_version, status.synced_resource_version);
        let (before, now) = (status.condition(READY).unwrap(), after.condition(READY).unwrap());
        assert_ne!(before.last_transition_time, now.last_transition_time);
    }

    #[test]
    fn a_pruned_generation_does_not_count_as_a_difference() {
        let mut status = status_of(&next(&object(ExternalSecretStatus::default()), &synced(Some(10)), at(11)).unwrap());
        status.observed_generation = None;
        assert_eq!(next(&object(status), &synced(Some(10)), at(99)), None);
    }

    #[test]
    fn a_store_that_was_found_good_is_settled_until_it_changes() {
        let data = json!({"spec": {"provider": {"fake": {"data": []}}}});
        let metadata = object(ExternalSecretStatus::default()).metadata;
        let kind = bulla_api::external_secret::StoreKind::Namespaced;
        let mut store = SecretStore::decode(kind, metadata, &data).unwrap();
        assert!(!is_settled(&store));
        let change = next_of_store(&store, true, "Valid", "store validated", at(1)).unwrap();
        store.status = SecretStoreStatus::from_json(&change.status);
        assert!(is_settled(&store));
        assert_eq!(next_of_store(&store, true, "Valid", "store validated", at(2)), None);
        store.metadata.generation = Some(3);
        assert!(!is_settled(&store));
        assert!(next_of_store(&store, true, "Valid", "store validated", at(2)).is_some());
    }
}
