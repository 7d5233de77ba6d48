//! What the API server tells about ExternalSecrets and stores, put into the index.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulla_api::external_secret::StoreKind;
use bulla_api::{ExternalSecret, SecretStore};
use bulla_sealed::KeyRing;
use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::index::{Index, Read, StoreName};
use super::objects::{Objects, external_secrets, stores};
use super::pool::{Pool, locked};
use super::reconcile::External;
use crate::index::Listing;
use crate::metrics::EXTERNAL_SECRET;
use crate::name::ObjectName;
use crate::options::{ExternalOptions, Namespaces};
use crate::queue::Queue;
use crate::record::SecretVersion;
use crate::run::Listed;
use crate::secrets::{Secrets, chain};
use crate::statistics::Statistics;

/// Objects read at a time when all are listed.
const PAGE: u32 = 500;
/// How often answers are forgotten that nobody may take any more.
const SWEEP: Duration = Duration::from_secs(30);
/// How often it is asked again whether the kinds are there.
const KINDS: Duration = Duration::from_secs(30);

/// What ExternalSecrets are worked on with. Nothing runs yet.
pub(crate) fn start(
    client: &Client,
    options: &ExternalOptions,
    ring: watch::Receiver<Arc<KeyRing>>,
    processors: Arc<Semaphore>,
    templates: Arc<Semaphore>,
    statistics: Arc<Statistics>,
) -> External {
    statistics.metrics.expect_kind(EXTERNAL_SECRET);
    External {
        objects: Objects::new(client.clone()),
        secrets: Secrets::new(client.clone()),
        index: Mutex::new(Index::default()),
        pool: Pool::new(options.aws_endpoint.clone()),
        queue: Queue::default(),
        stores: Queue::default(),
        ring,
        processors,
        templates,
        statistics,
        class: options.class.clone(),
        doubted: Mutex::new(HashSet::new()),
    }
}

impl External {
    /// Follows the stores, then the ExternalSecrets as well. Never ends. `listed` hears once all were seen.
    pub(crate) async fn follow(&self, client: &Client, namespaces: &Namespaces, listed: &Listed) {
        let namespaces = namespaces.watches();
        self.wait_for_kinds(|| namespaces.iter().for_each(|_| listed.one())).await;
        // Each namespace of stores, and the cluster stores.
        let stores_listed = Listed::new(namespaces.len() + 1);
        let of_namespaces = namespaces
            .iter()
            .map(|it| self.follow_stores(client, StoreKind::Namespaced, it.as_deref(), &stores_listed));
        let of_cluster = self.follow_stores(client, StoreKind::Cluster, None, &stores_listed);
        let objects = async {
            stores_listed.all().await;
            join_all(namespaces.iter().map(|it| self.follow_objects(client, it.as_deref(), listed))).await;
        };
        let sweeping = async {
            loop {
                tokio::time::sleep(SWEEP).await;
                self.pool.sweep(Instant::now());
            }
        };
        futures::join!(join_all(of_namespaces), of_cluster, objects, sweeping);
    }

    /// Waits until the API server has the kinds; it may get them later than us. `missing` hears if it has not now: nobody is to wait for
    /// that.
    async fn wait_for_kinds(&self, missing: impl Fn()) {
        let mut told = false;
        loop {
            match self.objects.has_kinds().await {
                Ok(true) => return,
                Ok(false) if !told => {
                    told = true;
                    missing();
                    tracing::warn!(
                        "the cluster has no ExternalSecrets: apply deploy/crds/external-secrets; they are waited for"
                    );
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot ask for the kinds of External Secrets"),
            }
            tokio::time::sleep(KINDS).await;
        }
    }

    async fn follow_stores(&self, client: &Client, kind: StoreKind, namespace: Option<&str>, listed: &Listed) {
        let name_of = |metadata: &ObjectMeta| StoreName { kind, name: ObjectName::of(metadata) };
        let see = |object: DynamicObject, listing| {
            let name = name_of(&object.metadata);
            let read = match SecretStore::decode(kind, object.metadata.clone(), &object.data) {
                Ok(store) => Read::Whole(Arc::new(store)),
                Err(error) => Read::Broken(Arc::new((object.metadata, object.data, error))),
            };
            let woken = locked(&self.index).see_store(&name, read, listing);
            self.wake(woken);
        };
        let mut stream = pin!(objects(client, &stores(kind), namespace));
        let mut listing: Listing = 0;
        let mut listed_once = false;
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listing += 1,
                Ok(Event::InitApply(object) | Event::Apply(object)) => see(object, listing),
                Ok(Event::InitDone) => {
                    let woken = locked(&self.index).finish_store_listing(kind, namespace, listing);
                    self.wake(woken);
                    if !listed_once {
                        listed_once = true;
                        listed.one();
                    }
                }
                Ok(Event::Delete(object)) => {
                    let woken = locked(&self.index).forget_store(&name_of(&object.metadata));
                    self.wake(woken);
                }
                Err(error) => {
                    self.statistics.metrics.watch_restarted(match kind {
                        StoreKind::Namespaced => "secretstores",
                        StoreKind::Cluster => "clustersecretstores",
                    });
                    let kind = kind.as_str();
                    tracing::warn!(namespace, kind, error = chain(&error), "watch of the stores interrupted");
                }
            }
        }
    }

    async fn follow_objects(&self, client: &Client, namespace: Option<&str>, listed: &Listed) {
        let mut stream = pin!(objects(client, &external_secrets(), namespace));
        let mut listing: Listing = 0;
        let mut listed_once = false;
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listing += 1,
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    let name = ObjectName::of(&object.metadata);
                    let read = match ExternalSecret::decode(object.metadata.clone(), &object.data) {
                        Ok(object) => Read::Whole(Arc::new(object)),
                        Err(error) => Read::Broken(Arc::new((object.metadata, object.data, error))),
                    };
                    if locked(&self.index).see_object(&name, read, listing) {
                        self.queue.add(name);
                    }
                }
                Ok(Event::InitDone) => {
                    locked(&self.index).finish_object_listing(namespace, listing);
                    if !listed_once {
                        listed_once = true;
                        listed.one();
                    }
                }
                Ok(Event::Delete(object)) => locked(&self.index).forget_object(&ObjectName::of(&object.metadata)),
                Err(error) => {
                    self.statistics.metrics.watch_restarted("externalsecrets");
                    tracing::warn!(namespace, error = chain(&error), "watch of the ExternalSecrets interrupted");
                }
            }
        }
    }

    /// A Secret as the watch tells it; `None`: it is gone.
    pub(crate) fn see_secret(&self, name: &ObjectName, version: Option<&SecretVersion>, listing: Listing) {
        let woken = locked(&self.index).see_secret(name, version, listing);
        self.wake(woken);
    }

    /// A listing of Secrets is complete.
    pub(crate) fn finish_secret_listing(&self, namespace: Option<&str>, listing: Listing) {
        let woken = locked(&self.index).finish_secret_listing(namespace, listing);
        self.wake(woken);
    }

    /// Begins nothing new.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.stores.close();
    }

    /// Whether there is nothing to do now. What is to be done later does not count.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_idle() && self.stores.is_idle()
    }
}

fn objects(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> impl futures::Stream<Item = watcher::Result<Event<DynamicObject>>> + use<> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff()
}
