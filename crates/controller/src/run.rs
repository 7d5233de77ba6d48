//! Starts the controller, and ends it whole.
//!
//! Order at start: the HTTP server, the keys, the metadata of all Secrets, then the SealedSecrets, whose records can only be judged when the
//! keys and the Secrets are known. At the end: nothing new is begun, what is in work is finished, the server gives its last answer.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::Duration;

use bulla_api::SealedSecret;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::connection;
use crate::external::{self, External};
use crate::follow::{Listed, Told, follow};
use crate::index::Index;
use crate::key_secrets::{KeySecrets, KeySecretsError};
use crate::metrics::exposition::Exposition;
use crate::name::ObjectName;
use crate::options::Options;
use crate::plan::Existing;
use crate::queue::Queue;
use crate::reconcile::{Context, seen};
use crate::record::SecretVersion;
use crate::server::{self, Shown, serve};
use crate::statistics::{Counts, Statistics};

/// Longest time that work may take to end once the controller shall stop. A pod is killed after 30 seconds.
const LAST_WORK: Duration = Duration::from_secs(20);
/// Stores looked at at a time.
const STORE_WORKERS: usize = 4;
/// SealedSecrets read at a time when all are listed; each may be as large as a megabyte.
const PAGE: u32 = 200;

/// Objects with templates that are rendered at a time.
const TEMPLATES: usize = 2;

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig `{}`", .path.display())]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: Box<kube::config::KubeconfigError>,
    },
    /// There is neither a pod's service account nor a kubeconfig.
    #[error("not in a pod, and no kubeconfig was given")]
    NotInCluster(#[source] kube::config::InClusterError),
    /// The client cannot be made of the configuration.
    #[error("cannot make a client for the API server")]
    Client(#[source] Box<kube::Error>),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There are no keys to work with.
    #[error("no sealing keys")]
    Keys(#[from] KeySecretsError),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
}

/// A controller at work.
pub struct Running {
    address: Option<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    context: Arc<Context>,
    external: Option<Arc<External>>,
    ready: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where the certificate and the health are served, if they are.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where the metrics are served, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Waits until every object was seen once.
    pub async fn ready(&self) {
        // An error means that it is stopping, and then it does not matter.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.context.statistics.counts(self.context.ring.borrow().private_key_operations())
    }

    /// Whether there is nothing to do now. What is to be tried again later does not count.
    pub fn is_idle(&self) -> bool {
        self.context.queue.is_idle() && self.external.as_ref().is_none_or(|external| external.is_idle())
    }

    /// Finishes what is in work and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("address", &self.address)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// [`RunError`] if it cannot start. Once started it runs on, whatever happens to the API server.
pub async fn run(options: Options) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let mut stopped = pin!(stopped);
    let running = tokio::select! {
        running = start(options) => running?,
        () = &mut stopped => return Ok(()),
    };
    stopped.await;
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

/// Starts the controller. It reads its keys, or makes the first, before this returns.
///
/// # Errors
/// [`RunError`]
pub async fn start(options: Options) -> Result<Running, RunError> {
    let config = config(options.kubeconfig.as_ref()).await?;
    let namespace = options.namespace.clone().unwrap_or_else(|| own_namespace(&config));
    let client = Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))?;
    let statistics = Arc::new(Statistics::default());
    let keys = KeySecrets::new(&client, &namespace, options.keys.clone(), statistics.clone());
    let ring = keys.ring();
    let (stop, stopped) = watch::channel(false);
    let ready = watch::Sender::new(false);
    let shown = Shown { ring: ring.clone(), ready: ready.subscribe(), statistics: statistics.clone() };
    let (address, server) = match options.listen {
        Some(address) => {
            let listen = |source| RunError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(listen)?;
            let address = listener.local_addr().map_err(listen)?;
            (Some(address), Some(tokio::spawn(serve(listener, shown, until(stopped.clone())))))
        }
        None => (None, None),
    };
    if let Err(error) = keys.load().await {
        stop.send_replace(true);
        return Err(error.into());
    }
    tracing::info!(namespace, address = address.map(tracing::field::display), "controller started");

    let processors = Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from)));
    let templates = Arc::new(Semaphore::new(TEMPLATES));
    let external = options.external.as_ref().map(|external| {
        let (ring, statistics) = (ring.clone(), statistics.clone());
        Arc::new(external::start(&client, external, ring, processors.clone(), templates.clone(), statistics))
    });
    let context = Arc::new(Context {
        client,
        index: Mutex::new(Index::new(options.drift)),
        queue: Queue::default(),
        ring,
        processors,
        templates,
        statistics,
        accept_deprecated_data: options.accept_deprecated_data,
    });
    let metrics = match options.listen_metrics {
        Some(address) => {
            server::serve_metrics(address, Exposition::new(context.clone(), external.clone()), until(stopped.clone()))
                .await
        }
        None => None,
    };
    let (metrics_address, metrics_server) = metrics.unzip();
    let is_ready = ready.subscribe();
    let servers = server.into_iter().chain(metrics_server).collect();
    let task = tokio::spawn(supervise(context.clone(), external.clone(), keys, options, ready, stopped, servers));
    Ok(Running { address, metrics_address, context, external, ready: is_ready, stop, task })
}

async fn supervise(
    context: Arc<Context>,
    external: Option<Arc<External>>,
    keys: KeySecrets,
    options: Options,
    ready: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    servers: Vec<JoinHandle<()>>,
) {
    let mut workers: Vec<_> = (0..options.concurrency.max(1))
        .map(|_| {
            let context = context.clone();
            tokio::spawn(async move { context.work().await })
        })
        .collect();
    if let Some(external) = &external {
        for _ in 0..options.concurrency.max(1) {
            let external = external.clone();
            workers.push(tokio::spawn(async move { external.work().await }));
        }
        for _ in 0..STORE_WORKERS {
            let external = external.clone();
            workers.push(tokio::spawn(async move { external.work_on_stores().await }));
        }
    }
    // These end only by being dropped.
    tokio::select! {
        () = follow_all(&context, external.as_deref(), &options, &ready) => {}
        () = keys.follow() => {}
        () = keys.renew() => {}
        () = follow_ring(&context) => {}
        () = until(stopped) => {}
    }
    ready.send_replace(false);
    context.queue.close();
    if let Some(external) = &external {
        external.close();
    }
    if tokio::time::timeout(LAST_WORK, join_all(workers)).await.is_err() {
        tracing::warn!("stopped in the middle of work that took too long");
    }
    if let Some(external) = &external {
        let _ = tokio::time::timeout(LAST_WORK, external.pool.close()).await;
    }
    let _ = tokio::time::timeout(LAST_WORK, join_all(servers)).await;
}

/// Ends when the controller shall stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Follows the Secrets, then the SealedSecrets and the ExternalSecrets as well. Never ends.
async fn follow_all(context: &Context, external: Option<&External>, options: &Options, ready: &watch::Sender<bool>) {
    let namespaces = options.namespaces.watches();
    let listed = Listed::new(namespaces.len());
    let secrets = namespaces.iter().map(|namespace| follow_secrets(context, external, namespace.as_deref(), &listed));
    let external_listed = Listed::new(external.map_or(0, |_| namespaces.len()));
    let externals = async {
        listed.all().await;
        if let Some(external) = external {
            external.follow(&context.client, &options.namespaces, &external_listed).await;
        }
    };
    let sealed = async {
        listed.all().await;
        let listed = Listed::new(namespaces.len());
        let sealed =
            namespaces.iter().map(|it| follow_sealed(context, it.as_deref(), &options.label_selector, &listed));
        let done = async {
            listed.all().await;
            external_listed.all().await;
            ready.send_replace(true);
            tracing::info!("ready");
        };
        futures::join!(join_all(sealed), done)
    };
    futures::join!(join_all(secrets), sealed, externals);
}

async fn follow_secrets(context: &Context, external: Option<&External>, namespace: Option<&str>, listed: &Listed) {
    let api: Api<PartialObjectMeta<Secret>> = match namespace {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    };
    let stream = watcher(api, watcher::Config::default());
    let metrics = &context.statistics.metrics;
    follow(stream, "secrets", namespace, metrics, listed, |told| match told {
        Told::Is(secret, listing) => {
            let name = ObjectName::of(&secret.metadata);
            let wake = context.index().see_secret(&name, Existing::of(&secret.metadata), listing);
            context.wake(&name, wake);
            if let Some(external) = external {
                external.see_secret(&name, Some(&SecretVersion::of(&secret.metadata)), listing);
            }
        }
        Told::Complete(listing) => {
            let woken = context.index().finish_secret_listing(namespace, listing);
            for (name, wake) in woken {
                context.wake(&name, wake);
            }
            if let Some(external) = external {
                external.finish_secret_listing(namespace, listing);
            }
        }
        Told::Gone(secret, listing) => {
            let name = ObjectName::of(&secret.metadata);
            let wake = context.index().forget_secret(&name);
            context.wake(&name, wake);
            if let Some(external) = external {
                external.see_secret(&name, None, listing);
            }
        }
    })
    .await;
}

async fn follow_sealed(context: &Context, namespace: Option<&str>, label_selector: &str, listed: &Listed) {
    let resource = ApiResource::erase::<SealedSecret>(&());
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(context.client.clone(), namespace, &resource),
        None => Api::all_with(context.client.clone(), &resource),
    };
    let mut config = watcher::Config::default().page_size(PAGE);
    if !label_selector.is_empty() {
        config = config.labels(label_selector);
    }
    let metrics = &context.statistics.metrics;
    follow(watcher(api, config), "sealedsecrets", namespace, metrics, listed, |told| match told {
        Told::Is(object, listing) => {
            let name = ObjectName::of(&object.metadata);
            if object.metadata.deletion_timestamp.is_some() {
                return forget_sealed(context, &name);
            }
            metrics.see_condition(&name, &object);
            let ring = context.ring.borrow().clone();
            let wake = context.index().see_sealed(&name, seen(&object), listing, &ring);
            context.wake(&name, wake);
        }
        Told::Complete(listing) => {
            let mut index = context.index();
            index.finish_sealed_listing(namespace, listing);
            metrics.keep_conditions(|name| index.knows(name));
        }
        Told::Gone(object, _) => forget_sealed(context, &ObjectName::of(&object.metadata)),
    })
    .await;
}

fn forget_sealed(context: &Context, name: &ObjectName) {
    context.index().forget_sealed(name);
    context.statistics.metrics.forget_condition(name);
}

/// Wakes whom a change of the keys concerns. Never ends.
async fn follow_ring(context: &Context) {
    let mut ring = context.ring.clone();
    while ring.changed().await.is_ok() {
        let now = ring.borrow_and_update().clone();
        let woken = context.index().see_keys(&now);
        for name in woken {
            context.queue.add(name);
        }
    }
    std::future::pending::<()>().await;
}

async fn config(kubeconfig: Option<&PathBuf>) -> Result<Config, RunError> {
    let Some(path) = kubeconfig else { return Config::incluster().map_err(RunError::NotInCluster) };
    let failed = |source| RunError::Kubeconfig { path: path.clone(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
    connection::of_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)
}

/// `POD_NAMESPACE`, or that of the service account or the kubeconfig's context.
fn own_namespace(config: &Config) -> String {
    std::env::var("POD_NAMESPACE").ok().filter(|it| !it.is_empty()).unwrap_or_else(|| config.default_namespace.clone())
}
