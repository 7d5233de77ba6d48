//! What whoever starts the controller may decide. The defaults are upstream's (sealed-secrets 0.38.4).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bulla_sealed::KeyOrder;
use jiff::{SignedDuration, Timestamp};

const HOUR: u64 = 3600;

/// How the controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// A kubeconfig; `None` takes the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the controller, where its keys lie; `None` takes that of the pod, or else of the kubeconfig.
    pub namespace: Option<String>,
    /// Where SealedSecrets are looked after.
    pub namespaces: Namespaces,
    /// Label selector that SealedSecrets must match; empty for all.
    pub label_selector: String,
    /// The sealing keys.
    pub keys: KeyOptions,
    /// Whether objects of the old format, `spec.data`, are read.
    pub accept_deprecated_data: bool,
    /// What is done about Secrets that others have changed.
    pub drift: Drift,
    /// Where the certificate and the health are served; port 0 takes a free one. `None` serves nothing.
    pub listen: Option<SocketAddr>,
    /// Where the metrics are served; port 0 takes a free one. `None` serves none.
    pub listen_metrics: Option<SocketAddr>,
    /// ExternalSecrets; `None` leaves them alone.
    pub external: Option<ExternalOptions>,
    /// Objects of each kind in work at a time. Decryption itself is bounded by the number of processors.
    pub concurrency: usize,
}

/// How ExternalSecrets are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalOptions {
    /// Of the stores that name a controller, those that name this one are ours; so are those that name none.
    pub class: String,
    /// Where AWS is asked, instead of where a store's region is; the SDK looks in the environment by itself (`AWS_ENDPOINT_URL`).
    pub aws_endpoint: Option<String>,
}

/// Where SealedSecrets are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// In the whole cluster.
    All,
    /// In these namespaces only; roles in them suffice.
    Only(Vec<String>),
}

/// What is done about Secrets that others have changed. One that was deleted comes back in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// Nothing until the SealedSecret changes or the controller starts, as upstream.
    #[default]
    Ignore,
    /// The Secret becomes again what the SealedSecret says.
    Revert,
}

/// The sealing keys.
#[derive(Clone, Debug)]
pub struct KeyOptions {
    /// What the names of key Secrets start with. A Secret of exactly this name is a key too, labelled or not.
    pub prefix: String,
    /// Length of new keys in bits.
    pub size: usize,
    /// Validity of new certificates.
    pub valid_for: SignedDuration,
    /// Age of the newest key at which a new one is made; `None` for never.
    pub renew_period: Option<Duration>,
    /// A newest key from before this time is replaced at start. Old keys open on.
    pub cutoff: Option<Timestamp>,
    /// What decides which key is the newest.
    pub order: KeyOrder,
    /// Common name of new certificates; may be empty.
    pub common_name: String,
    /// Further labels of new key Secrets.
    pub labels: BTreeMap<String, String>,
    /// Annotations of new key Secrets.
    pub annotations: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            namespace: None,
            namespaces: Namespaces::All,
            label_selector: String::new(),
            keys: KeyOptions::default(),
            accept_deprecated_data: true,
            drift: Drift::default(),
            listen: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))),
            listen_metrics: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8081))),
            external: None,
            concurrency: 16,
        }
    }
}

impl Default for KeyOptions {
    fn default() -> Self {
        Self {
            prefix: "sealed-secrets-key".to_owned(),
            size: 4096,
            valid_for: SignedDuration::from_hours(87_600),
            renew_period: Some(Duration::from_secs(720 * HOUR)),
            cutoff: None,
            order: KeyOrder::default(),
            common_name: String::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }
}

impl Default for ExternalOptions {
    fn default() -> Self {
        Self { class: "default".to_owned(), aws_endpoint: None }
    }
}

impl Namespaces {
    /// One entry for each watch that is needed: a namespace, or `None` for the whole cluster.
    pub(crate) fn watches(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Only(names) => {
                let mut names = names.clone();
                names.sort();
                names.dedup();
                names.into_iter().map(Some).collect()
            }
        }
    }
}
