//! What the API server tells about ExternalSecrets and stores, put into the index.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulla_api::external_secret::StoreKind;
use bulla_api::{ExternalSecret, SecretStore, external_secret, secret_store};
use bulla_sealed::KeyRing;
use futures::future::join_all;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::index::{Index, Read, StoreName};
use super::objects::{Objects, external_secrets, stores};
use super::pool::{Pool, locked};
use super::reconcile::External;
use crate::follow::{Listed, Told, follow};
use crate::index::Listing;
use crate::metrics::EXTERNAL_SECRET;
use crate::name::ObjectName;
use crate::options::{ExternalOptions, Namespaces};
use crate::queue::Queue;
use crate::record::SecretVersion;
use crate::secrets::Secrets;
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
        let name_of = |object: &DynamicObject| StoreName { kind, name: ObjectName::of(&object.metadata) };
        let resource = stores(kind);
        let (stream, metrics) = (objects(client, &resource, namespace), &self.statistics.metrics);
        let plural = match kind {
            StoreKind::Namespaced => secret_store::PLURAL,
            StoreKind::Cluster => secret_store::CLUSTER_PLURAL,
        };
        follow(stream, plural, namespace, metrics, listed, |told| {
            let mut index = locked(&self.index);
            let woken = match told {
                Told::Is(object, listing) => {
                    let name = name_of(&object);
                    let read = Read::of(object, |metadata, data| SecretStore::decode(kind, metadata, data));
                    index.see_store(&name, read, listing)
                }
                Told::Complete(listing) => index.finish_store_listing(kind, namespace, listing),
                Told::Gone(object, _) => index.forget_store(&name_of(&object)),
            };
            drop(index);
            self.wake(woken);
        })
        .await;
    }

    async fn follow_objects(&self, client: &Client, namespace: Option<&str>, listed: &Listed) {
        let (stream, metrics) = (objects(client, &external_secrets(), namespace), &self.statistics.metrics);
        follow(stream, external_secret::PLURAL, namespace, metrics, listed, |told| match told {
            Told::Is(object, listing) => {
                let name = ObjectName::of(&object.metadata);
                let is_news = locked(&self.index).see_object(&name, Read::of(object, ExternalSecret::decode), listing);
                if is_news {
                    self.queue.add(name);
                }
            }
            Told::Complete(listing) => locked(&self.index).finish_object_listing(namespace, listing),
            Told::Gone(object, _) => locked(&self.index).forget_object(&ObjectName::of(&object.metadata)),
        })
        .await;
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
    watcher(api, watcher::Config::default().page_size(PAGE))
}
