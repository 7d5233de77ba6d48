//! The sealing keys of the cluster: Secrets in the controller's own namespace, read, watched and made here.
//!
//! ```text
//! label sealedsecrets.bitnami.com/sealed-secrets-key=active ─┐
//! the Secret whose name is the prefix, labelled or not ──────┴─▶ key ring ──▶ watch channel ──▶ whoever opens or hands out
//! none that seals, or the newest too old ──▶ a new key: written first, used then
//! ```
//!
//! A key Secret that is broken is named in the log and left out; the others work on. Keys that appear, change or go are noticed at once.
//! Source: sealed-secrets 0.38.4 `pkg/controller/{main,keys,keyregistry}.go`.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bulla_api::sealed_secret::SEALING_KEY_LABEL;
use bulla_crypto::{PrivateKey, pem};
use bulla_sealed::unseal::wipe;
use bulla_sealed::{Certificate, CertificateError, CertificateRequest, KeyRing, KeySecretError, SealingKey};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::watch;

use crate::metrics::{SEALED_SECRET, Written};
use crate::options::KeyOptions;
use crate::plan::Plaintext;
use crate::secrets::{ApiError, Secrets, answer, chain};
use crate::statistics::Statistics;

/// Longest time by which a renewal is put off, so that two controllers do not both renew.
const RENEWAL_JITTER: Duration = Duration::from_secs(10);
/// Waits between attempts to renew, first and longest.
const RENEWAL_RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));

/// Why there are no keys to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySecretsError {
    /// They cannot be read.
    #[error("cannot list the sealing keys in namespace `{namespace}`")]
    List {
        /// Namespace of the controller.
        namespace: String,
        /// Why not.
        source: ApiError,
    },
    /// A new one cannot be made.
    #[error("cannot generate a sealing key")]
    Generate(#[source] bulla_crypto::KeyError),
    /// Its certificate cannot be made.
    #[error("cannot make the certificate of a sealing key")]
    Certificate(#[source] CertificateError),
    /// A new one cannot be stored, so it is not used.
    #[error("cannot store a new sealing key in namespace `{namespace}`")]
    Store {
        /// Namespace of the controller.
        namespace: String,
        /// Why not.
        source: ApiError,
    },
}

/// Which Secrets are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// By label.
    Labelled,
    /// By name, as the first versions of Sealed Secrets kept their only key.
    Named,
}

/// The sealing keys of one controller.
pub struct KeySecrets {
    api: Api<Secret>,
    secrets: Secrets,
    namespace: String,
    options: KeyOptions,
    statistics: Arc<Statistics>,
    read: Mutex<BTreeMap<(Source, String), Read>>,
    ring: watch::Sender<Arc<KeyRing>>,
}

/// A key Secret as it was read last.
struct Read {
    resource_version: String,
    key: Option<Arc<SealingKey>>,
}

impl KeySecrets {
    /// The keys in `namespace`; none is read yet.
    pub fn new(client: &Client, namespace: &str, options: KeyOptions, statistics: Arc<Statistics>) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            secrets: Secrets::new(client.clone()),
            namespace: namespace.to_owned(),
            ring: watch::Sender::new(Arc::new(KeyRing::new(options.order))),
            options,
            statistics,
            read: Mutex::default(),
        }
    }

    /// The key ring, now and whenever it changes.
    pub fn ring(&self) -> watch::Receiver<Arc<KeyRing>> {
        self.ring.subscribe()
    }

    /// Reads all keys, and makes one if none seals or the newest is from before the cutoff.
    ///
    /// # Errors
    /// [`KeySecretsError`]
    pub async fn load(&self) -> Result<(), KeySecretsError> {
        for source in [Source::Labelled, Source::Named] {
            let parameters = match source {
                Source::Labelled => ListParams::default().labels(&label_selector()),
                Source::Named => ListParams::default().fields(&self.name_selector()),
            };
            let listed = answer(self.api.list(&parameters)).await;
            let list = listed.map_err(|source| KeySecretsError::List { namespace: self.namespace.clone(), source })?;
            self.replace_all(source, list.items);
        }
        let ring = self.current();
        let newest = ring.active().map(|key| ring.ordering_time(key));
        let too_old = |time: Timestamp| self.options.cutoff.is_some_and(|cutoff| time < cutoff);
        if newest.is_none_or(too_old) {
            self.create().await?;
        }
        Ok(())
    }

    /// Follows the key Secrets. Never ends.
    pub async fn follow(&self) {
        futures::join!(self.follow_source(Source::Labelled), self.follow_source(Source::Named));
    }

    /// Makes a new key whenever the newest has reached its age. Never ends.
    pub async fn renew(&self) {
        let Some(period) = self.options.renew_period else { return std::future::pending().await };
        let mut changes = self.ring();
        let mut retry = RENEWAL_RETRY.0;
        loop {
            let due = self.until_renewal(period);
            if let Some(wait) = due {
                let jitter = rand::make_rng::<StdRng>().random_range(Duration::ZERO..RENEWAL_JITTER);
                tokio::select! {
                    () = tokio::time::sleep(wait + jitter) => {}
                    // Somebody added a key: look at the newest again.
                    _ = changes.changed() => {}
                }
                continue;
            }
            match self.create().await {
                Ok(()) => retry = RENEWAL_RETRY.0,
                Err(error) => {
                    tracing::error!(error = chain(&error), again_in = ?retry, "sealing key not renewed");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RENEWAL_RETRY.1);
                }
            }
        }
    }

    /// How long the newest key may still seal; `None` if it has to be renewed now.
    fn until_renewal(&self, period: Duration) -> Option<Duration> {
        let ring = self.current();
        let newest = ring.active().map(|key| ring.ordering_time(key))?;
        let age = Timestamp::now().duration_since(newest).max(SignedDuration::ZERO).unsigned_abs();
        period.checked_sub(age).filter(|rest| !rest.is_zero())
    }

    fn current(&self) -> Arc<KeyRing> {
        self.ring.borrow().clone()
    }

    async fn follow_source(&self, source: Source) {
        let config = match source {
            Source::Labelled => watcher::Config::default().labels(&label_selector()),
            Source::Named => watcher::Config::default().fields(&self.name_selector()),
        };
        let mut stream = pin!(watcher(self.api.clone(), config).default_backoff());
        let mut listed = Vec::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(secret)) => listed.push(secret),
                Ok(Event::InitDone) => self.replace_all(source, std::mem::take(&mut listed)),
                Ok(Event::Apply(secret)) => {
                    self.read_one(source, secret);
                    self.publish();
                }
                Ok(Event::Delete(mut secret)) => {
                    let name = secret.metadata.name.take().unwrap_or_default();
                    wipe(&mut secret);
                    self.read().remove(&(source, name));
                    self.publish();
                }
                Err(error) => {
                    self.statistics.metrics.watch_restarted("keys");
                    tracing::warn!(error = chain(&error), "watch of the sealing keys interrupted");
                }
            }
        }
    }

    fn replace_all(&self, source: Source, secrets: Vec<Secret>) {
        let names: Vec<String> = secrets.iter().filter_map(|secret| secret.metadata.name.clone()).collect();
        for secret in secrets {
            self.read_one(source, secret);
        }
        self.read().retain(|(other, name), _| *other != source || names.contains(name));
        self.publish();
    }

    fn read_one(&self, source: Source, mut secret: Secret) {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let resource_version = secret.metadata.resource_version.clone().unwrap_or_default();
        let entry = (source, name.clone());
        if self.read().get(&entry).is_none_or(|read| read.resource_version != resource_version) {
            let key = key_of(&secret);
            match &key {
                Ok(key) => report(key),
                Err(error) => tracing::error!(secretname = name, %error, "key Secret left out"),
            }
            self.read().insert(entry, Read { resource_version, key: key.ok().map(Arc::new) });
        }
        wipe(&mut secret);
    }

    /// Hands on the ring that is made of what was read, if it is another one than before.
    fn publish(&self) {
        let keys: Vec<Arc<SealingKey>> = self.read().values().filter_map(|read| read.key.clone()).collect();
        self.ring.send_if_modified(|ring| {
            // The clone keeps what was learnt from opening, and the counters.
            let mut next = KeyRing::clone(ring);
            for key in ring.keys() {
                next.remove(key.name());
            }
            for key in keys {
                next.insert(key);
            }
            let same = next.keys().len() == ring.keys().len()
                && next.keys().iter().zip(ring.keys()).all(|(a, b)| Arc::ptr_eq(a, b));
            *ring = Arc::new(next);
            !same
        });
    }

    /// Makes a key. The Secret is written first, so that nothing is ever sealed with a key that is not stored.
    async fn create(&self) -> Result<(), KeySecretsError> {
        let (size, valid_for, common_name) =
            (self.options.size, self.options.valid_for, self.options.common_name.clone());
        let made = tokio::task::spawn_blocking(move || {
            let private = PrivateKey::generate(size).map_err(KeySecretsError::Generate)?;
            let request = CertificateRequest { common_name: &common_name, not_before: Timestamp::now(), valid_for };
            let certificate = Certificate::generate(&private, &request, &mut rand::make_rng::<StdRng>());
            Ok((private, certificate.map_err(KeySecretsError::Certificate)?))
        });
        let (private, certificate) =
            made.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let secret = self.secret_of(&private, &certificate);
        let created = self.secrets.create(&self.namespace, secret.expose_secret()).await;
        let metadata =
            created.map_err(|source| KeySecretsError::Store { namespace: self.namespace.clone(), source })?;
        let name = metadata.name.unwrap_or_default();
        let stored = metadata.creation_timestamp.map_or_else(Timestamp::now, |time| time.0);
        tracing::info!(namespace = self.namespace, name, certificate = certificate.to_pem(), "new sealing key written");
        let key = SealingKey::new(&name, stored, private, Ok(certificate));
        let read = Read { resource_version: metadata.resource_version.unwrap_or_default(), key: Some(Arc::new(key)) };
        self.read().insert((Source::Labelled, name), read);
        self.statistics.wrote(SEALED_SECRET, Written::Key);
        self.publish();
        Ok(())
    }

    fn secret_of(&self, private: &PrivateKey, certificate: &Certificate) -> Plaintext {
        let mut labels = self.options.labels.clone();
        labels.insert(SEALING_KEY_LABEL.to_owned(), "active".to_owned());
        let key = pem::encode("RSA PRIVATE KEY", private.to_pkcs1_der().expose_secret());
        Plaintext::new(Secret {
            metadata: ObjectMeta {
                generate_name: Some(self.options.prefix.clone()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels),
                annotations: Some(self.options.annotations.clone()).filter(|annotations| !annotations.is_empty()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(BTreeMap::from([
                ("tls.key".to_owned(), ByteString(key.as_bytes().to_vec())),
                ("tls.crt".to_owned(), ByteString(certificate.to_pem().into_bytes())),
            ])),
            ..Secret::default()
        })
    }

    fn name_selector(&self) -> String {
        format!("metadata.name={}", self.options.prefix)
    }

    fn read(&self) -> MutexGuard<'_, BTreeMap<(Source, String), Read>> {
        // Every change of the map is whole before anything could panic.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label_selector() -> String {
    format!("{SEALING_KEY_LABEL}=active")
}

fn key_of(secret: &Secret) -> Result<SealingKey, KeySecretError> {
    let field = |name| secret.data.as_ref().and_then(|data| data.get(name)).map(|ByteString(bytes)| bytes.as_slice());
    let created = secret.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    SealingKey::from_secret(name, created, field("tls.key"), field("tls.crt"))
}

fn report(key: &SealingKey) {
    match key.certificate() {
        Ok(certificate) => tracing::info!(
            secretname = key.name(),
            fingerprint = key.fingerprint(),
            not_before = %certificate.not_before(),
            not_after = %certificate.not_after(),
            "registered private key"
        ),
        Err(error) => tracing::error!(
            secretname = key.name(),
            fingerprint = key.fingerprint(),
            error = chain(error),
            "registered private key; it opens but does not seal, because of its `tls.crt`"
        ),
    }
}
