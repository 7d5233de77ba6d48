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
    /// It is not asked for a while, because of this. Said in the same words, so that waiting is no news.
    #[error("{error}")]
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
                Err(_) => *asked > arrived,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use bulla_crypto::SecretBytes;
    use bulla_stores::Usable;
    use bulla_stores::fake::{Fake, Verdict};
    use futures::future::join_all;

    use super::*;

    /// A store that counts, takes its time, and fails as long as it is told to.
    #[derive(Debug)]
    struct Slow {
        fake: Fake,
        asked: AtomicUsize,
        at_once: AtomicUsize,
        most_at_once: AtomicUsize,
        failures: AtomicUsize,
    }

    impl Slow {
        fn new(keys: usize) -> Arc<Self> {
            let values = (0..keys).map(|key| (Remote::current(key.to_string()), SecretBytes::new(vec![b'x'])));
            let count = AtomicUsize::default;
            Arc::new(Self {
                fake: Fake::new(values, Verdict::Ready),
                asked: count(),
                at_once: count(),
                most_at_once: count(),
                failures: count(),
            })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl Store for Slow {
        async fn fetch(&self, remote: &Remote) -> Result<Payload, FetchError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            if self.failures.load(Ordering::SeqCst) > 0 {
                self.failures.fetch_sub(1, Ordering::SeqCst);
                return Err(FetchError::Unreachable { store: "it".to_owned(), reason: "silence".to_owned() });
            }
            self.fake.fetch(remote).await
        }

        async fn check(&self) -> Result<Usable, FetchError> {
            Ok(Usable::Yes)
        }
    }

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn one_question_serves_all_who_ask_for_the_same() {
        let store = Slow::new(100);
        let broker = Broker::new(store.clone());
        let remotes: Vec<_> = (0..1000).map(|number| Remote::current((number % 100).to_string())).collect();
        let answers = join_all(remotes.iter().map(|remote| broker.fetch(remote, Duration::ZERO))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(store.asked(), 100);
        assert!(store.most_at_once.load(Ordering::SeqCst) <= QUESTIONS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_taken_while_it_is_young_enough() {
        let store = Slow::new(1);
        let broker = Broker::new(store.clone());
        let remote = Remote::current("0");
        for (age, expected) in [(LONG, 1), (LONG, 1), (Duration::ZERO, 2), (LONG, 2)] {
            broker.fetch(&remote, age).await.unwrap();
            assert_eq!(store.asked(), expected);
        }
        tokio::time::advance(2 * LONG).await;
        broker.fetch(&remote, LONG).await.unwrap();
        assert_eq!(store.asked(), 3);
        broker.sweep(Instant::now());
        broker.fetch(&remote, LONG).await.unwrap();
        assert_eq!(store.asked(), 3, "it is still young");
        tokio::time::advance(2 * KEPT).await;
        broker.sweep(Instant::now());
        assert!(broker.slots.lock().unwrap().is_empty(), "what nobody may take is wiped");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_left_alone_and_asked_by_one_again() {
        let store = Slow::new(50);
        let broker = Broker::new(store.clone());
        store.failures.store(usize::MAX, Ordering::SeqCst);
        let mut failed = 0;
        for number in 0..50 {
            let error = broker.fetch(&Remote::current(number.to_string()), LONG).await.unwrap_err();
            assert_eq!(error.reason(), "StoreUnreachable");
            assert_eq!(
                error.to_string(),
                "it cannot be reached: silence; see its address, the network policies in between and its certificate"
            );
            failed += usize::from(error.wait().is_none());
        }
        assert_eq!((failed, store.asked()), (3, 3), "after that nobody waits for it");
        store.failures.store(0, Ordering::SeqCst);
        tokio::time::advance(LONG).await;
        broker.fetch(&Remote::current("0"), LONG).await.unwrap();
        broker.fetch(&Remote::current("1"), LONG).await.unwrap();
        assert_eq!(store.asked(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_no_fault_of_the_store() {
        let store = Slow::new(1);
        let broker = Broker::new(store.clone());
        for _ in 0..10 {
            let error = broker.fetch(&Remote::current("nothing"), LONG).await.unwrap_err();
            assert!(error.is_not_found());
        }
        broker.fetch(&Remote::current("0"), LONG).await.unwrap();
        assert_eq!(store.asked(), 11);
    }
}
