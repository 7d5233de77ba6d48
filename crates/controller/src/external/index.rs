//! What is known of every ExternalSecret and every store, and whom a change concerns.
//!
//! ```text
//! ExternalSecret changed          itself              Secret changed    the ExternalSecrets whose target it is, unless they wrote it;
//! store changed                   its users                             the stores whose credentials are in it, and their users
//! ```
//! Specifications are kept, values are not. What only differs in its status wakes nobody.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use bulla_api::external_secret::{StoreKind, StoreReference};
use bulla_api::{DecodeError, ExternalSecret, SecretStore};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;

use super::hash::synced_version;
use crate::index::{Listing, older};
use crate::name::ObjectName;
use crate::record::SecretVersion;

/// Names a store of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StoreName {
    /// Its kind.
    pub(crate) kind: StoreKind,
    /// Its name; a cluster store has no namespace.
    pub(crate) name: ObjectName,
}

impl StoreName {
    /// The store that `reference` means in `namespace`.
    pub(crate) fn of(reference: &StoreReference, namespace: &str) -> Self {
        let namespace = match reference.kind {
            StoreKind::Namespaced => namespace.to_owned(),
            StoreKind::Cluster => String::new(),
        };
        Self { kind: reference.kind, name: ObjectName { namespace, name: reference.name.clone() } }
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StoreKind::Namespaced => write!(f, "the SecretStore `{}`", self.name.name),
            StoreKind::Cluster => write!(f, "the ClusterSecretStore `{}`", self.name.name),
        }
    }
}

/// An object as the watch told it: read, or its metadata and why it could not be.
#[derive(Clone, Debug)]
pub(crate) enum Read<T> {
    /// It is well-formed.
    Whole(Arc<T>),
    /// It is not.
    Broken(Arc<(ObjectMeta, serde_json::Value, DecodeError)>),
}

/// What a worker has to know before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// The object.
    pub(crate) object: Read<ExternalSecret>,
    /// The version of its Secret that was found to be right.
    pub(crate) checked: Option<SecretVersion>,
    /// The version of its Secret that exists.
    pub(crate) secret: Option<SecretVersion>,
    /// Failures in a row so far.
    pub(crate) attempts: u32,
}

/// What a worker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All is well; this is its Secret, if it has one.
    Right(Option<SecretVersion>),
    /// It is to be tried again.
    Again,
    /// Somebody has to change something.
    Stuck,
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    objects: HashMap<ObjectName, Known>,
    stores: HashMap<StoreName, KnownStore>,
    secrets: HashMap<ObjectName, (SecretVersion, Listing)>,
    by_target: HashMap<ObjectName, BTreeSet<ObjectName>>,
    by_store: HashMap<StoreName, BTreeSet<ObjectName>>,
    by_credentials: HashMap<ObjectName, BTreeSet<StoreName>>,
}

#[derive(Debug)]
struct Known {
    object: Read<ExternalSecret>,
    resource_version: String,
    /// What of it would make another Secret.
    seen: (String, String, bool),
    target: ObjectName,
    stores: Vec<StoreName>,
    checked: Option<SecretVersion>,
    attempts: u32,
    running: bool,
    /// Its Secret went while a worker was at it.
    lost: bool,
    listing: Listing,
}

#[derive(Debug)]
struct KnownStore {
    store: Read<SecretStore>,
    seen: (String, i64),
    attempts: u32,
    listing: Listing,
}

/// Whom a change concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Woken {
    /// ExternalSecrets to be worked on.
    pub(crate) objects: Vec<ObjectName>,
    /// Stores to be opened anew.
    pub(crate) stores: Vec<StoreName>,
}

impl FromIterator<Self> for Woken {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        let mut together = Self::default();
        for Self { objects, stores } in all {
            together.objects.extend(objects);
            together.stores.extend(stores);
        }
        together
    }
}

impl Index {
    /// How many ExternalSecrets are known.
    pub(crate) fn count(&self) -> usize {
        self.objects.len()
    }

    /// An ExternalSecret as the watch tells it. True if it has to be worked on.
    pub(crate) fn see_object(&mut self, name: &ObjectName, object: Read<ExternalSecret>, listing: Listing) -> bool {
        let metadata = object.metadata();
        let resource_version = metadata.resource_version.clone().unwrap_or_default();
        let uid = metadata.uid.clone().unwrap_or_default();
        let seen = (uid, synced_version(metadata), metadata.deletion_timestamp.is_some());
        let (target, stores) = relations(name, &object);
        if let Some(before) = self.objects.get_mut(name).filter(|before| before.seen.0 == seen.0) {
            before.listing = listing;
            if older(&resource_version, &before.resource_version) {
                return false;
            }
        }
        let before = self.objects.get(name);
        // Another object of the same name starts from nothing.
        let same = before.filter(|before| before.seen.0 == seen.0);
        let is_news = before.is_none_or(|before| before.seen != seen);
        let known = Known {
            object,
            resource_version,
            checked: same.and_then(|before| before.checked.clone()),
            attempts: same.filter(|_| !is_news).map_or(0, |before| before.attempts),
            running: before.is_some_and(|before| before.running),
            lost: before.is_some_and(|before| before.lost),
            seen,
            target,
            stores,
            listing,
        };
        self.unrelate(name);
        self.by_target.entry(known.target.clone()).or_default().insert(name.clone());
        for store in &known.stores {
            self.by_store.entry(store.clone()).or_default().insert(name.clone());
        }
        self.objects.insert(name.clone(), known);
        is_news
    }

    fn unrelate(&mut self, name: &ObjectName) {
        let Some(known) = self.objects.get(name) else { return };
        remove(&mut self.by_target, &known.target, name);
        for store in &known.stores {
            remove(&mut self.by_store, store, name);
        }
    }

    /// An ExternalSecret is gone.
    pub(crate) fn forget_object(&mut self, name: &ObjectName) {
        self.unrelate(name);
        self.objects.remove(name);
    }

    /// A listing of the ExternalSecrets of `namespace` (`None`: of all) is complete: those that it lacks are gone.
    pub(crate) fn finish_object_listing(&mut self, namespace: Option<&str>, listing: Listing) {
        let here = |name: &ObjectName| namespace.is_none_or(|it| it == name.namespace);
        for name in names(&self.objects, |name, known| known.listing < listing && here(name)) {
            self.forget_object(&name);
        }
    }

    /// A store as the watch tells it. True if it has to be opened anew.
    pub(crate) fn see_store(&mut self, name: &StoreName, store: Read<SecretStore>, listing: Listing) -> Woken {
        let metadata = store.metadata();
        let seen = (metadata.uid.clone().unwrap_or_default(), metadata.generation.unwrap_or_default());
        if let Some(known) = self.stores.get_mut(name).filter(|known| known.seen == seen) {
            known.listing = listing;
            known.store = store;
            return Woken::default();
        }
        self.stores.insert(name.clone(), KnownStore { store, seen, attempts: 0, listing });
        Woken { objects: self.users(name), stores: vec![name.clone()] }
    }

    /// A store is gone. Those who used it will say so.
    pub(crate) fn forget_store(&mut self, name: &StoreName) -> Woken {
        self.stores.remove(name);
        self.by_credentials.retain(|_, stores| {
            stores.remove(name);
            !stores.is_empty()
        });
        Woken { objects: self.users(name), stores: vec![name.clone()] }
    }

    /// A listing of the stores of `kind` in `namespace` (`None`: of all) is complete: those that it lacks are gone.
    pub(crate) fn finish_store_listing(&mut self, kind: StoreKind, namespace: Option<&str>, listing: Listing) -> Woken {
        let here = |name: &StoreName| name.kind == kind && namespace.is_none_or(|it| it == name.name.namespace);
        let gone = names(&self.stores, |name, known| known.listing < listing && here(name));
        gone.iter().map(|name| self.forget_store(name)).collect()
    }

    /// Credentials of a store lie in these Secrets, too: it may take others for each namespace that asks. One that it does not take any
    /// more costs a look at the store when it changes.
    pub(crate) fn note_credentials(&mut self, store: &StoreName, secrets: impl IntoIterator<Item = ObjectName>) {
        for secret in secrets {
            self.by_credentials.entry(secret).or_default().insert(store.clone());
        }
    }

    /// A Secret as the watch tells it; `None`: it is gone.
    pub(crate) fn see_secret(&mut self, name: &ObjectName, version: Option<&SecretVersion>, listing: Listing) -> Woken {
        let before = match version {
            Some(version) => self.secrets.insert(name.clone(), (version.clone(), listing)),
            None => self.secrets.remove(name),
        };
        if before.as_ref().map(|(before, _)| before) == version {
            return Woken::default();
        }
        let mut woken = Woken::default();
        for object in self.by_target.get(name).into_iter().flatten() {
            let Some(known) = self.objects.get_mut(object) else { continue };
            // A worker looks at the end what the Secret is now.
            if known.running {
                known.lost |= version.is_none();
            } else if known.checked.as_ref() != version {
                woken.objects.push(object.clone());
            }
        }
        if let Some(stores) = self.by_credentials.get(name) {
            for store in stores {
                woken.stores.push(store.clone());
                woken.objects.extend(self.users(store));
            }
        }
        woken
    }

    /// A listing of the Secrets of `namespace` (`None`: of all) is complete: those that it lacks are gone.
    pub(crate) fn finish_secret_listing(&mut self, namespace: Option<&str>, listing: Listing) -> Woken {
        let here = |name: &ObjectName| namespace.is_none_or(|it| it == name.namespace);
        let gone = names(&self.secrets, |name, (_, seen)| *seen < listing && here(name));
        gone.iter().map(|name| self.see_secret(name, None, listing)).collect()
    }

    /// The ExternalSecrets that use a store.
    pub(crate) fn users(&self, store: &StoreName) -> Vec<ObjectName> {
        self.by_store.get(store).into_iter().flatten().cloned().collect()
    }

    /// The store of this name.
    pub(crate) fn store(&self, name: &StoreName) -> Option<Read<SecretStore>> {
        self.stores.get(name).map(|known| known.store.clone())
    }

    /// The version of a Secret as far as it is known.
    pub(crate) fn secret(&self, name: &ObjectName) -> Option<SecretVersion> {
        self.secrets.get(name).map(|(version, _)| version.clone())
    }

    /// A worker takes `name`; `None` if there is no such object.
    pub(crate) fn start(&mut self, name: &ObjectName) -> Option<Work> {
        let known = self.objects.get_mut(name)?;
        known.running = true;
        known.lost = false;
        let secret = self.secrets.get(&known.target).map(|(version, _)| version.clone());
        Some(Work { object: known.object.clone(), checked: known.checked.clone(), secret, attempts: known.attempts })
    }

    /// The worker is done. True if the Secret was changed by somebody else meanwhile.
    pub(crate) fn finish(&mut self, name: &ObjectName, found: Found) -> bool {
        let Some(known) = self.objects.get_mut(name) else { return false };
        known.running = false;
        match found {
            Found::Right(version) => {
                known.attempts = 0;
                known.checked = version;
                let secret = self.secrets.get(&known.target).map(|(version, _)| version);
                match (&known.checked, secret) {
                    (Some(checked), Some(secret)) => {
                        secret != checked && !older(&secret.resource_version, &checked.resource_version)
                    }
                    // It went after it was written, or before the watch told of that.
                    (Some(_), None) => known.lost,
                    (None, _) => false,
                }
            }
            Found::Again => {
                known.attempts = known.attempts.saturating_add(1);
                known.checked = None;
                false
            }
            Found::Stuck => {
                known.checked = None;
                false
            }
        }
    }

    /// Failures of a store in a row; counts one more, or forgets them.
    pub(crate) fn count_store(&mut self, name: &StoreName, failed: bool) -> u32 {
        let Some(known) = self.stores.get_mut(name) else { return 0 };
        known.attempts = if failed { known.attempts.saturating_add(1) } else { 0 };
        known.attempts
    }
}

impl<T> Read<T> {
    /// What `decode` makes of an object.
    pub(crate) fn of(
        object: DynamicObject,
        decode: impl FnOnce(ObjectMeta, &serde_json::Value) -> Result<T, DecodeError>,
    ) -> Self {
        match decode(object.metadata.clone(), &object.data) {
            Ok(read) => Self::Whole(Arc::new(read)),
            Err(error) => Self::Broken(Arc::new((object.metadata, object.data, error))),
        }
    }
}

impl Read<ExternalSecret> {
    /// Its metadata.
    pub(crate) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Whole(object) => &object.metadata,
            Self::Broken(broken) => &broken.0,
        }
    }
}

impl Read<SecretStore> {
    /// Its metadata.
    pub(crate) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Whole(store) => &store.metadata,
            Self::Broken(broken) => &broken.0,
        }
    }
}

fn relations(name: &ObjectName, object: &Read<ExternalSecret>) -> (ObjectName, Vec<StoreName>) {
    match object {
        Read::Whole(object) => {
            let target = ObjectName { namespace: name.namespace.clone(), name: object.target_name().to_owned() };
            (target, object.stores().into_iter().map(|store| StoreName::of(store, &name.namespace)).collect())
        }
        Read::Broken(_) => (name.clone(), Vec::new()),
    }
}

/// The names of those for which `is_meant` holds.
fn names<K: Clone, V>(known: &HashMap<K, V>, is_meant: impl Fn(&K, &V) -> bool) -> Vec<K> {
    known.iter().filter(|(name, value)| is_meant(name, value)).map(|(name, _)| name.clone()).collect()
}

fn remove<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<ObjectName>>, key: &K, name: &ObjectName) {
    if let Some(names) = map.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            map.remove(key);
        }
    }
}
