//! A watch that never ends, told as what it means: objects that are there, a listing that is complete, objects that are gone.
//!
//! What a listing lacks is gone without being told, for one of two reasons: it was never there, or it went while the watch was interrupted.
//! So each object comes with the number of the listing in which it was seen; see [`Listing`].

use std::pin::pin;

use futures::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Event, Result};
use tokio::sync::watch;

use crate::index::Listing;
use crate::metrics::Metrics;
use crate::secrets::chain;

/// What a watch tells.
pub(crate) enum Told<T> {
    /// It is there.
    Is(T, Listing),
    /// All that is there was told in this listing, or since it began.
    Complete(Listing),
    /// It is gone.
    Gone(T, Listing),
}

/// Tells everything in `stream`, a watch of `resource` in `namespace` (`None`: in all). `listed` hears once all were told. Never ends.
pub(crate) async fn follow<T>(
    stream: impl Stream<Item = Result<Event<T>>>,
    resource: &'static str,
    namespace: Option<&str>,
    metrics: &Metrics,
    listed: &Listed,
    mut tell: impl FnMut(Told<T>),
) {
    let mut stream = pin!(stream.default_backoff());
    let mut listing: Listing = 0;
    let mut listed_once = false;
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => listing += 1,
            Ok(Event::InitApply(object) | Event::Apply(object)) => tell(Told::Is(object, listing)),
            Ok(Event::InitDone) => {
                tell(Told::Complete(listing));
                if !listed_once {
                    listed_once = true;
                    listed.one();
                }
            }
            Ok(Event::Delete(object)) => tell(Told::Gone(object, listing)),
            Err(error) => {
                metrics.watch_restarted(resource);
                tracing::warn!(namespace, resource, error = chain(&error), "watch interrupted");
            }
        }
    }
}

/// Watches that have seen everything once.
pub(crate) struct Listed {
    missing: watch::Sender<usize>,
}

impl Listed {
    pub(crate) fn new(watches: usize) -> Self {
        Self { missing: watch::Sender::new(watches) }
    }

    pub(crate) fn one(&self) {
        self.missing.send_modify(|missing| *missing = missing.saturating_sub(1));
    }

    pub(crate) async fn all(&self) {
        // It cannot be closed while `self` lives.
        let _ = self.missing.subscribe().wait_for(|missing| *missing == 0).await;
    }
}
