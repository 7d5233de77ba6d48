//! Whether a store may be asked now. Pure: the time is handed in.
//!
//! ```text
//! closed ── some failures in a row, or it says "too often" ──▶ open until … ── one may try ──▶ closed, or open for longer
//! ```
//! Failures are those of the store, not of one key: unreachable, unavailable, too often. While it is open nobody waits for an answer that
//! does not come, and a store that comes back is not met by all who waited.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which it opens.
const PATIENCE: u32 = 3;
/// The first time for which it opens.
const FIRST: Duration = Duration::from_secs(2);
/// The longest.
const LONGEST: Duration = Duration::from_mins(2);

/// The state of one store.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    trying: bool,
}

impl Breaker {
    /// Whether one may ask now; if not, for how long nobody may. Who asks has to tell what came of it.
    pub(crate) fn enter(&mut self, now: Instant) -> Result<(), Duration> {
        let Some(until) = self.open_until else { return Ok(()) };
        if until > now {
            return Err(until - now);
        }
        if self.trying {
            return Err(FIRST);
        }
        self.trying = true;
        Ok(())
    }

    /// The store answered, whatever it said. True if it did not before.
    pub(crate) fn answered(&mut self) -> bool {
        let was_open = self.open_until.is_some();
        *self = Self::default();
        was_open
    }

    /// It did not. `asked_for` is how long it wants to be left alone, if it says so.
    pub(crate) fn failed(&mut self, now: Instant, asked_for: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.trying = false;
        if self.failures >= PATIENCE || asked_for.is_some() || self.open_until.is_some() {
            let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(PATIENCE)));
            let wait = doubled.max(asked_for.unwrap_or_default()).min(LONGEST);
            self.open_until = Some(now + wait);
        }
    }

    /// Whoever was to try gave up without having asked.
    pub(crate) fn abandoned(&mut self) {
        self.trying = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_opens_after_some_failures_and_lets_one_try() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..PATIENCE {
            breaker.enter(start).unwrap();
            breaker.failed(start, None);
        }
        assert_eq!(breaker.enter(start).unwrap_err(), FIRST);
        let later = start + FIRST;
        breaker.enter(later).unwrap();
        breaker.enter(later).expect_err("one tries already");
        breaker.failed(later, None);
        assert_eq!(breaker.enter(later).unwrap_err(), 2 * FIRST, "longer each time");
        let later = later + 2 * FIRST;
        breaker.enter(later).unwrap();
        assert!(breaker.answered());
        breaker.enter(later).unwrap();
        assert!(!breaker.answered());
    }

    #[tokio::test]
    async fn what_the_store_asks_for_counts_at_once_and_has_a_limit() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        breaker.enter(start).unwrap();
        breaker.failed(start, Some(Duration::from_secs(7)));
        assert_eq!(breaker.enter(start).unwrap_err(), Duration::from_secs(7));
        breaker.failed(start, Some(Duration::from_hours(24)));
        assert_eq!(breaker.enter(start).unwrap_err(), LONGEST);
    }

    #[tokio::test]
    async fn who_gives_up_lets_another_try() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        breaker.failed(start, Some(FIRST));
        breaker.enter(start + FIRST).unwrap();
        breaker.abandoned();
        breaker.enter(start + FIRST).unwrap();
    }
}
