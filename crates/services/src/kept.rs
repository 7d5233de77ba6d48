//! Something that is expensive to get and good for a while: a token. It is got once for all who ask, and anew before it is over.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ServiceError;

/// How long a failure counts for those who ask next: a thousand files wait once for a server that is none.
const FAILURE_COUNTS: Duration = Duration::from_secs(30);

/// Kept until it is over, or nobody accepts it any more.
pub(crate) struct Kept<T>(Mutex<State<T>>);

enum State<T> {
    Nothing,
    Good { value: Arc<T>, until: Option<Instant> },
    Failed { error: ServiceError, at: Instant },
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(State::Nothing))
    }
}

impl<T> Kept<T> {
    /// What is kept, else what `get` gives, and for how long that is good: for ever, if it does not say.
    ///
    /// # Errors
    /// Those of `get`, now or a moment ago.
    pub(crate) async fn get<F>(&self, get: impl FnOnce() -> F) -> Result<Arc<T>, ServiceError>
    where
        F: Future<Output = Result<(T, Option<Duration>), ServiceError>>,
    {
        let mut state = self.0.lock().await;
        match &*state {
            State::Good { value, until } if until.is_none_or(|until| Instant::now() < until) => {
                return Ok(Arc::clone(value));
            }
            State::Failed { error, at } if at.elapsed() < FAILURE_COUNTS => return Err(error.clone()),
            _ => {}
        }
        let asked_at = Instant::now();
        match get().await {
            Ok((value, life)) => {
                let value = Arc::new(value);
                // A tenth before its end, so that no call arrives behind it.
                let until = life.and_then(|life| asked_at.checked_add(life.mul_f64(0.9)));
                *state = State::Good { value: Arc::clone(&value), until };
                Ok(value)
            }
            Err(error) => {
                *state = State::Failed { error: error.clone(), at: Instant::now() };
                Err(error)
            }
        }
    }

    /// Nobody accepts `value` any more. Another one, which somebody else got meanwhile, is kept.
    pub(crate) async fn forget(&self, value: &Arc<T>) {
        let mut state = self.0.lock().await;
        if matches!(&*state, State::Good { value: known, .. } if Arc::ptr_eq(known, value)) {
            *state = State::Nothing;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn it_is_got_once_and_anew_before_it_is_over() {
        let (kept, count) = (Kept::default(), AtomicU32::new(0));
        let get = |life| {
            let count = &count;
            move || async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok((count.fetch_add(1, Ordering::SeqCst), life))
            }
        };
        let (long, short) = (Some(Duration::from_hours(1)), Some(Duration::from_secs(1)));
        let (first, second) = tokio::join!(kept.get(get(short)), kept.get(get(short)));
        assert_eq!((*first.unwrap(), *second.unwrap()), (0, 0));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let anew = kept.get(get(long)).await.unwrap();
        assert_eq!((*anew, *kept.get(get(long)).await.unwrap()), (1, 1));
        kept.forget(&Arc::new(1)).await;
        assert_eq!(*kept.get(get(long)).await.unwrap(), 1, "that was another one");
        kept.forget(&anew).await;
        assert_eq!(*kept.get(get(None)).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_failure_counts_for_those_who_ask_next() {
        let (kept, count) = (Kept::<()>::default(), AtomicU32::new(0));
        let get = || async {
            count.fetch_add(1, Ordering::SeqCst);
            Err(ServiceError::Settings("none".to_owned()))
        };
        for _ in 0..3 {
            kept.get(get).await.unwrap_err();
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
