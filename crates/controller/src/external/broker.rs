//! One question to a store for all who want to know the same.
//!
//! ```text
//! fetch(store, key, version, not older than …) ─┬─ somebody asks already: wait for that answer
//!                                               ├─ an answer is young enough: take it
//!                                               └─ ask: as many at once as the store may be asked, unless it is to be left alone
//! ```
//! An answer is kept for as long as somebody may take it, at most five minutes, and wiped then. A failure counts for those who waited for
//! it. Invariant: for one store, key and version there is never more than one question under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bulla_stores::{FetchError, Payload, Remote, Store};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::breaker::Breaker;

/// Questions to one store at once.
const QUESTIONS: usize = 16;
/// How long an answer is kept.
const KEPT: Duration = Duration::from_mins(5);
/// How long one question may take, retries of the client included.
const TIME_LIMIT: Duration = Duration::from_mins(2);

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// The store said why.
    #[error(transparent)]
    Fetch(Arc<FetchError>),
    /// It is not asked for a while, because of this.
    #[error("the store is not asked for {} seconds: {error}", .wait.as_secs().max(1))]
    Resting {
        /// For how long.
        wait: Duration,
        /// What it answered last, or why it did not.
        error: Arc<FetchError>,
    },
    /// It took longer than anybody should wait.
    #[error("no answer within {} seconds", TIME_LIMIT.as_secs())]
    TimedOut,
}

impl BrokerError {
    /// One word for programs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Fetch(error) | Self::Resting { error, .. } => error.reason(),
            Self::TimedOut => "StoreUnreachable",
        }
    }

    /// Whether the store says that it has no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Fetch(error) if matches!(**error, FetchError::NotFound { .. }))
    }

    /// How long to wait at least before asking again.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Resting { wait, .. } => Some(*wait),
            Self::Fetch(_) | Self::TimedOut => None,
        }
    }
}

/// What a store answered, and when it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// What it has.
    pub(crate) payload: Arc<Payload>,
    /// When it was asked.
    pub(crate) asked: Instant,
}

/// The questions to one store. It goes when the store is opened anew: other credentials may see other things.
#[derive(Debug)]
pub(crate) struct Broker {
    store: Arc<dyn Store>,
    slots: Mutex<HashMap<Remote, Arc<Slot>>>,
    questions: Semaphore,
    breaker: Mutex<(Breaker, Option<Arc<FetchError>>)>,
}

/// When something was asked for, and what came of it.
type Last = (Instant, Result<Arc<Payload>, BrokerError>);

/// What is known of one key.
#[derive(Debug, Default)]
struct Slot {
    /// Held by whoever asks.
    last: tokio::sync::Mutex<Option<Last>>,
}

impl Broker {
    /// A broker before `store`.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, slots: Mutex::default(), questions: Semaphore::new(QUESTIONS), breaker: Mutex::default() }
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What the store has under `remote`, asked no longer than `age` ago.
    pub(crate) async fn fetch(&self, remote: &Remote, age: Duration) -> Result<Answer, BrokerError> {
        let arrived = Instant::now();
        let slot = self.slot(remote);
        let mut last = slot.last.lock().await;
        if let Some((asked, outcome)) = &*last {
            let acceptable = match outcome {
                Ok(_) => *asked + age >= arrived,
                // For those who waited while it was asked.
                Err(_) => *asked >= arrived,
            };
            if acceptable {
                let asked = *asked;
                return outcome.clone().map(|payload| Answer { payload, asked });
            }
        }
        let asked = Instant::now();
        let outcome = self.ask(remote).await.map(Arc::new);
        // Those who wait arrived before this is over, and their question was answered by it if they came before it began.
        *last = Some((if outcome.is_err() { Instant::now() } else { asked }, outcome.clone()));
        drop(last);
        outcome.map(|payload| Answer { payload, asked })
    }

    async fn ask(&self, remote: &Remote) -> Result<Payload, BrokerError> {
        // Nobody closes it; if somebody did, there would be no bound, and no harm.
        let _question = self.questions.acquire().await;
        self.enter()?;
        let mut outcome = Leaving { broker: self, told: false };
        let Ok(answer) = tokio::time::timeout(TIME_LIMIT, self.store.fetch(remote)).await else {
            self.breaker().0.failed(Instant::now(), None);
            outcome.told = true;
            return Err(BrokerError::TimedOut);
        };
        outcome.told = true;
        match answer {
            Ok(payload) => {
                self.breaker().0.answered();
                Ok(payload)
            }
            Err(error) => {
                let error = Arc::new(error);
                let mut breaker = self.breaker();
                match &*error {
                    FetchError::Throttled { retry_after, .. } => {
                        breaker.0.failed(Instant::now(), Some(retry_after.unwrap_or(Duration::from_secs(1))));
                        breaker.1 = Some(error.clone());
                    }
                    FetchError::Unreachable { .. } | FetchError::Unavailable { .. } => {
                        breaker.0.failed(Instant::now(), None);
                        breaker.1 = Some(error.clone());
                    }
                    _ => {
                        breaker.0.answered();
                    }
                }
                Err(BrokerError::Fetch(error))
            }
        }
    }

    fn enter(&self) -> Result<(), BrokerError> {
        let mut breaker = self.breaker();
        let entered = breaker.0.enter(Instant::now());
        entered.map_err(|wait| match &breaker.1 {
            Some(error) => BrokerError::Resting { wait, error: error.clone() },
            None => BrokerError::TimedOut,
        })
    }

    fn slot(&self, remote: &Remote) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(remote.clone()).or_default().clone()
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, (Breaker, Option<Arc<FetchError>>)> {
        // Each change of it is whole before anything could panic.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets, and so wipes, what nobody may take any more.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| {
            // Whoever holds it, or waits for it, keeps it.
            if Arc::strong_count(slot) > 1 {
                return true;
            }
            slot.last.try_lock().is_ok_and(|last| last.as_ref().is_some_and(|(asked, _)| *asked + KEPT > now))
        });
    }
}

/// A question that is dropped before it is answered is none.
struct Leaving<'a> {
    broker: &'a Broker,
    told: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.broker.breaker().0.abandoned();
        }
    }
}
