//! What is known of every SealedSecret and every Secret, in a few hundred bytes each, and what a change means.
//!
//! Each thing that the watches tell goes in here, and what comes out says whether the SealedSecret of that name has to be worked on:
//! [`Wake`]. Neither specifications nor values are kept; a worker reads the object anew.
//!
//! ```text
//!            first seen, no record that holds            worker takes it
//!   (new) ──────────────────────────────▶ Pending ─────────────────────▶ Running
//!     │ record holds                      ▲   ▲  changed, key ring,         │ finish
//!     └────────▶ Done | Refused ──────────┘   └──── Secret gone ────────────┴──▶ Done | Refused | Pending again
//! ```

use std::collections::HashMap;
use std::time::Duration;

use bulla_sealed::KeyRing;

use crate::name::ObjectName;
use crate::options::Drift;
use crate::plan::{Existing, Obstacle};
use crate::record::{Fingerprint, Record, SecretVersion, Verdict};

/// How long the place of a Secret that was in the way has to be empty before it is taken. Whoever deletes a Secret may be about to
/// create another one.
const AFTER_OBSTACLE: Duration = Duration::from_secs(1);

/// How long a change that somebody else made to a Secret stays before it is reverted: two who revert each other shall not do so as fast
/// as the API server allows.
const BEFORE_REVERTING: Duration = Duration::from_secs(1);

/// Whether a SealedSecret has to be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// It need not be.
    No,
    /// As soon as possible.
    Now,
    /// Later.
    After(Duration),
}

/// What a watch tells about a SealedSecret.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// What its Secret depends on.
    pub fingerprint: Fingerprint,
    /// The record that it carries, beside a status that fits.
    pub record: Option<Record>,
}

/// What a worker found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The Secret, in this version, holds what is sealed, opened by the keys with these ids.
    Done(SecretVersion, Vec<String>),
    /// Something has to change first.
    Refused(Obstacle),
    /// It is to be tried again.
    Again,
}

/// What a worker has to know before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// `metadata.resourceVersion` of the SealedSecret as far as it is known; what is read must not be older.
    pub resource_version: String,
    /// Whether a Secret of that name exists.
    pub secret_exists: bool,
    /// Failures in a row so far.
    pub attempts: u32,
}

/// The index.
#[derive(Debug)]
pub struct Index {
    sealed: HashMap<ObjectName, Known>,
    secrets: HashMap<ObjectName, (Existing, Listing)>,
    drift: Drift,
}

/// Number of the listing in which an object was seen last; one that a later listing lacks is gone.
pub type Listing = u64;

#[derive(Debug)]
struct Known {
    uid: String,
    resource_version: String,
    fingerprint: Fingerprint,
    state: State,
    attempts: u32,
    listing: Listing,
}

#[derive(Debug)]
enum State {
    Pending,
    Running(Meanwhile),
    Done { version: SecretVersion, keys: Vec<String> },
    Refused(Obstacle),
}

/// What happened while a worker was at it.
#[derive(Debug, Default)]
struct Meanwhile {
    deleted: bool,
    secret_changed: bool,
    keys_changed: bool,
}

impl Index {
    /// An index that knows nothing.
    pub fn new(drift: Drift) -> Self {
        Self { sealed: HashMap::new(), secrets: HashMap::new(), drift }
    }

    /// A SealedSecret as the watch tells it. The Secrets have to be known before.
    pub fn see_sealed(&mut self, name: &ObjectName, seen: Seen, listing: Listing, ring: &KeyRing) -> Wake {
        if let Some(known) = self.sealed.get_mut(name).filter(|known| known.uid == seen.uid) {
            known.listing = listing;
            if older(&seen.resource_version, &known.resource_version) {
                return Wake::No;
            }
            known.resource_version = seen.resource_version;
            if known.fingerprint == seen.fingerprint {
                return Wake::No;
            }
            known.fingerprint = seen.fingerprint;
            known.attempts = 0;
            known.state = State::Pending;
            return Wake::Now;
        }
        let existing = self.secrets.get(name).map(|(existing, _)| &existing.version);
        let state = seen.record.filter(|record| record.holds(seen.fingerprint, existing, ring)).map(|record| {
            match (record.verdict, existing) {
                (Verdict::Opened, Some(version)) => {
                    State::Done { version: version.clone(), keys: record.keys().to_vec() }
                }
                (Verdict::Blocked, _) => State::Refused(Obstacle::Secret),
                (Verdict::Opened | Verdict::Refused, _) => State::Refused(Obstacle::Keys),
            }
        });
        let wake = if state.is_some() { Wake::No } else { Wake::Now };
        self.sealed.insert(
            name.clone(),
            Known {
                uid: seen.uid,
                resource_version: seen.resource_version,
                fingerprint: seen.fingerprint,
                state: state.unwrap_or(State::Pending),
                attempts: 0,
                listing,
            },
        );
        wake
    }

    /// How many SealedSecrets are known.
    pub fn count(&self) -> usize {
        self.sealed.len()
    }

    /// Whether this SealedSecret is known.
    pub fn knows(&self, name: &ObjectName) -> bool {
        self.sealed.contains_key(name)
    }

    /// A SealedSecret is gone, or about to be. Its Secret follows it by the garbage collector's hand.
    pub fn forget_sealed(&mut self, name: &ObjectName) {
        self.sealed.remove(name);
    }

    /// A listing of the SealedSecrets of `namespace` (`None`: of all) is complete: those that it lacks are gone.
    pub fn finish_sealed_listing(&mut self, namespace: Option<&str>, listing: Listing) {
        self.sealed.retain(|name, known| known.listing >= listing || namespace.is_some_and(|it| it != name.namespace));
    }

    /// A Secret as the watch tells it.
    pub fn see_secret(&mut self, name: &ObjectName, existing: Existing, listing: Listing) -> Wake {
        let before = self.secrets.insert(name.clone(), (existing, listing));
        let Some((existing, known)) = self.secrets.get(name).zip(self.sealed.get_mut(name)) else { return Wake::No };
        let (existing, _) = existing;
        if before.is_some_and(|(before, _)| before == *existing) {
            return Wake::No;
        }
        match &mut known.state {
            State::Running(meanwhile) => {
                meanwhile.secret_changed = true;
                Wake::No
            }
            State::Done { version, .. } if deviates(&existing.version, version, self.drift) => {
                known.state = State::Pending;
                Wake::After(BEFORE_REVERTING)
            }
            State::Refused(Obstacle::Secret) => {
                known.state = State::Pending;
                Wake::Now
            }
            State::Done { .. } | State::Refused(_) | State::Pending => Wake::No,
        }
    }

    /// A Secret is gone.
    pub fn forget_secret(&mut self, name: &ObjectName) -> Wake {
        let Some((existing, _)) = self.secrets.remove(name) else { return Wake::No };
        let Some(known) = self.sealed.get_mut(name) else { return Wake::No };
        let ours = existing.belongs_to(Some(&known.uid));
        match &mut known.state {
            State::Running(meanwhile) => {
                meanwhile.deleted |= ours;
                meanwhile.secret_changed = true;
                Wake::No
            }
            State::Done { .. } if ours => {
                known.state = State::Pending;
                Wake::Now
            }
            // It may be waiting for just this.
            State::Pending if ours => Wake::Now,
            State::Refused(Obstacle::Secret) => {
                known.state = State::Pending;
                if ours { Wake::Now } else { Wake::After(AFTER_OBSTACLE) }
            }
            State::Done { .. } | State::Refused(_) | State::Pending => Wake::No,
        }
    }

    /// A listing of the Secrets of `namespace` (`None`: of all) is complete: those that it lacks are gone. Tells what that wakes.
    pub fn finish_secret_listing(&mut self, namespace: Option<&str>, listing: Listing) -> Vec<(ObjectName, Wake)> {
        let gone: Vec<_> = self
            .secrets
            .iter()
            .filter(|(name, (_, seen))| *seen < listing && namespace.is_none_or(|it| it == name.namespace))
            .map(|(name, _)| name.clone())
            .collect();
        gone.into_iter().map(|name| (name.clone(), self.forget_secret(&name))).collect()
    }

    /// The key ring is another one: who may open now, and who was opened with a key that is gone.
    pub fn see_keys(&mut self, ring: &KeyRing) -> Vec<ObjectName> {
        let mut woken = Vec::new();
        for (name, known) in &mut self.sealed {
            let concerned = match &mut known.state {
                State::Running(meanwhile) => {
                    meanwhile.keys_changed = true;
                    false
                }
                State::Refused(Obstacle::Keys) => true,
                State::Done { keys, .. } => keys.iter().any(|id| ring.by_id(id).is_none()),
                State::Refused(_) | State::Pending => false,
            };
            if concerned {
                known.state = State::Pending;
                woken.push(name.clone());
            }
        }
        woken
    }

    /// A worker takes `name`; `None` if there is nothing to do for it.
    pub fn start(&mut self, name: &ObjectName) -> Option<Work> {
        let known = self.sealed.get_mut(name)?;
        if !matches!(known.state, State::Pending) {
            return None;
        }
        known.state = State::Running(Meanwhile::default());
        Some(Work {
            resource_version: known.resource_version.clone(),
            secret_exists: self.secrets.contains_key(name),
            attempts: known.attempts,
        })
    }

    /// The worker has read the object, which may be newer than what the watch told.
    pub fn read(&mut self, name: &ObjectName, seen: &Seen) {
        if let Some(known) = self.sealed.get_mut(name) {
            known.uid.clone_from(&seen.uid);
            known.resource_version.clone_from(&seen.resource_version);
            known.fingerprint = seen.fingerprint;
        }
    }

    /// The fingerprint of an object as it is known.
    pub fn fingerprint(&self, name: &ObjectName) -> Option<Fingerprint> {
        self.sealed.get(name).map(|known| known.fingerprint)
    }

    /// The worker is done with the object of this `fingerprint`.
    pub fn finish(&mut self, name: &ObjectName, fingerprint: Fingerprint, finding: Finding) -> Wake {
        let Some(known) = self.sealed.get_mut(name) else { return Wake::No };
        let State::Running(meanwhile) = &known.state else {
            return Wake::No; // It changed meanwhile, and is in line again.
        };
        let secret = self.secrets.get(name).map(|(existing, _)| &existing.version);
        let wake = match &finding {
            _ if known.fingerprint != fingerprint => Wake::Now,
            Finding::Again => Wake::Now,
            Finding::Done(..) if meanwhile.deleted => Wake::Now,
            Finding::Done(version, _) if secret.is_some_and(|secret| deviates(secret, version, self.drift)) => {
                Wake::After(BEFORE_REVERTING)
            }
            Finding::Refused(Obstacle::Keys) if meanwhile.keys_changed => Wake::Now,
            Finding::Refused(Obstacle::Secret) if meanwhile.secret_changed => Wake::After(AFTER_OBSTACLE),
            Finding::Done(..) | Finding::Refused(_) => Wake::No,
        };
        known.attempts = if finding == Finding::Again { known.attempts.saturating_add(1) } else { 0 };
        known.state = match finding {
            _ if wake != Wake::No => State::Pending,
            Finding::Done(version, keys) => State::Done { version, keys },
            Finding::Refused(obstacle) => State::Refused(obstacle),
            Finding::Again => State::Pending,
        };
        wake
    }
}

/// Whether a Secret that is `found` has to be compared with what it should be, given that it was right as `checked`.
fn deviates(found: &SecretVersion, checked: &SecretVersion, drift: Drift) -> bool {
    let newer = found != checked && !older(&found.resource_version, &checked.resource_version);
    newer && (found.uid != checked.uid || drift == Drift::Revert)
}

/// Whether `a` is a version from before `b`. Resource versions are numbers that grow (Kubernetes 1.35 promises it); where they are not,
/// nothing is older.
pub(crate) fn older(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a < b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use bulla_crypto::PrivateKey;
    use bulla_sealed::{CertificateError, KeyOrder, SealingKey};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    use super::*;

    static KEYS: LazyLock<Vec<Arc<SealingKey>>> = LazyLock::new(|| {
        let key = |index: usize| {
            let private = PrivateKey::generate(2048).unwrap();
            SealingKey::new(&format!("key-{index}"), Timestamp::UNIX_EPOCH, private, Err(CertificateError::Absent))
        };
        (0..2).map(|index| Arc::new(key(index))).collect()
    });

    fn ring(indices: &[usize]) -> KeyRing {
        let mut ring = KeyRing::new(KeyOrder::default());
        for index in indices {
            ring.insert(KEYS[*index].clone());
        }
        ring
    }

    fn name() -> ObjectName {
        ObjectName { namespace: "shop".to_owned(), name: "db".to_owned() }
    }

    fn fingerprint(generation: i64) -> Fingerprint {
        Fingerprint::of(&ObjectMeta { generation: Some(generation), ..ObjectMeta::default() }, &json!({}))
    }

    fn seen(generation: i64, resource_version: &str) -> Seen {
        Seen {
            uid: "mine".to_owned(),
            resource_version: resource_version.to_owned(),
            fingerprint: fingerprint(generation),
            record: None,
        }
    }

    fn version(resource_version: &str) -> SecretVersion {
        SecretVersion { uid: "s".to_owned(), resource_version: resource_version.to_owned() }
    }

    fn secret(resource_version: &str, controller: Option<&str>) -> Existing {
        Existing {
            version: version(resource_version),
            controller: controller.map(str::to_owned),
            managed: false,
            patch: false,
            terminating: false,
        }
    }

    /// An index with one object, whose worker found `finding`.
    fn settled(drift: Drift, finding: Finding) -> Index {
        let mut index = Index::new(drift);
        assert_eq!(index.see_sealed(&name(), seen(1, "1"), 1, &ring(&[0])), Wake::Now);
        assert!(index.start(&name()).is_some());
        index.see_secret(&name(), secret("5", Some("mine")), 1);
        assert_eq!(index.finish(&name(), fingerprint(1), finding), Wake::No);
        index
    }

    fn done() -> Finding {
        Finding::Done(version("5"), vec![KEYS[0].id().to_owned()])
    }

    #[test]
    fn an_object_is_worked_on_once_until_it_changes() {
        let mut index = settled(Drift::Ignore, done());
        assert_eq!(index.start(&name()), None);
        assert_eq!(index.see_sealed(&name(), seen(1, "6"), 1, &ring(&[0])), Wake::No, "its status was written");
        assert_eq!(index.see_sealed(&name(), seen(2, "7"), 1, &ring(&[0])), Wake::Now);
        let work = Work { resource_version: "7".to_owned(), secret_exists: true, attempts: 0 };
        assert_eq!(index.start(&name()), Some(work));
        assert_eq!(index.start(&name()), None, "it is in work");
        let other = Seen { uid: "another".to_owned(), ..seen(2, "9") };
        assert_eq!(index.see_sealed(&name(), other, 1, &ring(&[0])), Wake::Now, "deleted and made anew");
    }

    #[test]
    fn a_change_during_the_work_is_not_lost() {
        let mut index = settled(Drift::Ignore, done());
        index.see_sealed(&name(), seen(2, "7"), 1, &ring(&[0]));
        index.start(&name()).unwrap();
        assert_eq!(index.see_sealed(&name(), seen(3, "8"), 1, &ring(&[0])), Wake::Now);
        assert_eq!(index.finish(&name(), fingerprint(2), done()), Wake::No);
        assert!(index.start(&name()).is_some(), "still to be done");
        // The worker may read what the watch has not told yet.
        index.read(&name(), &seen(4, "9"));
        assert_eq!(index.see_sealed(&name(), seen(3, "8"), 1, &ring(&[0])), Wake::No, "that is older");
        assert_eq!(index.finish(&name(), fingerprint(4), done()), Wake::No);
        assert_eq!(index.start(&name()), None);
        assert_eq!(index.see_sealed(&name(), seen(4, "9"), 1, &ring(&[0])), Wake::No);
    }

    #[test]
    fn a_failure_counts_until_a_success_or_a_change() {
        let mut index = Index::new(Drift::Ignore);
        index.see_sealed(&name(), seen(1, "1"), 1, &ring(&[0]));
        for attempts in 0..3 {
            assert_eq!(index.start(&name()).unwrap().attempts, attempts);
            assert_eq!(index.finish(&name(), fingerprint(1), Finding::Again), Wake::Now);
        }
        index.see_sealed(&name(), seen(2, "2"), 1, &ring(&[0]));
        assert_eq!(index.start(&name()).unwrap().attempts, 0);
    }

    #[test]
    fn a_deleted_secret_comes_back_if_it_was_ours() {
        for (controller, managed, expected) in [
            (Some("mine"), false, Wake::Now),
            (None, true, Wake::Now),
            (None, false, Wake::No),
            (Some("x"), false, Wake::No),
        ] {
            let mut index = settled(Drift::Ignore, done());
            index.see_secret(&name(), Existing { managed, ..secret("5", controller) }, 1);
            assert_eq!(index.forget_secret(&name()), expected, "{controller:?} {managed}");
            assert_eq!(index.forget_secret(&name()), Wake::No, "told twice");
        }
        // While the worker is at it: noticed when it is done.
        let mut index = settled(Drift::Ignore, done());
        index.see_sealed(&name(), seen(2, "7"), 1, &ring(&[0]));
        index.start(&name()).unwrap();
        assert_eq!(index.forget_secret(&name()), Wake::No);
        assert_eq!(index.finish(&name(), fingerprint(2), done()), Wake::Now);
    }

    #[test]
    fn a_changed_secret_matters_as_far_as_the_drift_option_says() {
        for (drift, expected) in [(Drift::Ignore, Wake::No), (Drift::Revert, Wake::After(BEFORE_REVERTING))] {
            let mut index = settled(drift, done());
            assert_eq!(index.see_secret(&name(), secret("5", Some("mine")), 1), Wake::No, "our own write");
            assert_eq!(index.see_secret(&name(), secret("4", Some("mine")), 1), Wake::No, "an old story");
            assert_eq!(index.see_secret(&name(), secret("6", Some("mine")), 1), expected, "{drift:?}");
        }
        let mut index = settled(Drift::Ignore, done());
        let another = Existing { version: SecretVersion { uid: "t".to_owned(), ..version("9") }, ..secret("9", None) };
        assert_eq!(index.see_secret(&name(), another, 1), Wake::After(BEFORE_REVERTING), "another Secret in its place");
    }

    #[test]
    fn a_secret_in_the_way_is_looked_at_again_when_it_changes_and_given_time_when_it_goes() {
        let refused = || {
            let mut index = settled(Drift::Ignore, Finding::Refused(Obstacle::Object));
            index.see_secret(&name(), secret("6", None), 1);
            index.sealed.get_mut(&name()).unwrap().state = State::Refused(Obstacle::Secret);
            index
        };
        let mut index = refused();
        assert_eq!(index.see_secret(&name(), Existing { managed: true, ..secret("7", None) }, 1), Wake::Now);
        let mut index = refused();
        assert_eq!(index.see_secret(&name(), secret("6", None), 1), Wake::No, "told twice");
        assert_eq!(index.forget_secret(&name()), Wake::After(AFTER_OBSTACLE));
        assert!(index.start(&name()).is_some());
        let mut index = settled(Drift::Ignore, Finding::Refused(Obstacle::Object));
        assert_eq!(index.see_secret(&name(), secret("7", None), 1), Wake::No, "the obstacle is the object");
        assert_eq!(index.forget_secret(&name()), Wake::No);
    }

    #[test]
    fn a_key_that_comes_or_goes_wakes_whom_it_concerns() {
        let mut index = settled(Drift::Ignore, done());
        assert!(index.see_keys(&ring(&[0, 1])).is_empty());
        assert_eq!(index.see_keys(&ring(&[1])), [name()], "opened with a key that is gone");
        let mut index = settled(Drift::Ignore, Finding::Refused(Obstacle::Keys));
        assert_eq!(index.see_keys(&ring(&[0, 1])), [name()]);
        let mut index = settled(Drift::Ignore, Finding::Refused(Obstacle::Object));
        assert!(index.see_keys(&ring(&[0, 1])).is_empty());
        // While the worker is at it.
        let mut index = settled(Drift::Ignore, done());
        index.see_sealed(&name(), seen(2, "7"), 1, &ring(&[0]));
        index.start(&name()).unwrap();
        assert!(index.see_keys(&ring(&[1])).is_empty());
        assert_eq!(index.finish(&name(), fingerprint(2), Finding::Refused(Obstacle::Keys)), Wake::Now);
    }

    #[test]
    fn a_record_that_holds_spares_the_work() {
        let ring = ring(&[0]);
        let opened = Record::opened(fingerprint(1), &version("5"), &[KEYS[0].clone()], &ring);
        let refused = Record::refused(fingerprint(1), &ring);
        let blocked = Record::blocked(fingerprint(1), &version("5"), &[KEYS[0].clone()], &ring);
        for (record, secret_version, expected) in [
            (opened.clone(), Some("5"), Wake::No),
            (opened.clone(), Some("6"), Wake::Now),
            (opened, None, Wake::Now),
            (refused.clone(), Some("5"), Wake::No),
            (refused, None, Wake::No),
            (blocked.clone(), Some("5"), Wake::No),
            (blocked, Some("6"), Wake::Now),
            (None, Some("5"), Wake::Now),
        ] {
            let mut index = Index::new(Drift::Ignore);
            if let Some(version) = secret_version {
                index.see_secret(&name(), secret(version, Some("mine")), 1);
            }
            let wake = index.see_sealed(&name(), Seen { record: record.clone(), ..seen(1, "1") }, 1, &ring);
            assert_eq!(wake, expected, "{record:?} {secret_version:?}");
            assert_eq!(index.start(&name()).is_some(), expected == Wake::Now);
        }
    }

    #[test]
    fn what_a_listing_lacks_is_gone_in_its_namespace_only() {
        let mut index = settled(Drift::Ignore, done());
        assert!(index.finish_secret_listing(Some("pay"), 2).is_empty());
        assert_eq!(index.finish_secret_listing(Some("shop"), 1), [], "it was in this one");
        assert_eq!(index.finish_secret_listing(None, 2), [(name(), Wake::Now)]);
        index.finish_sealed_listing(Some("pay"), 2);
        assert!(index.start(&name()).is_some());
        index.finish_sealed_listing(Some("shop"), 2);
        assert_eq!(index.start(&name()), None);
        assert!(index.sealed.is_empty());
    }
}
