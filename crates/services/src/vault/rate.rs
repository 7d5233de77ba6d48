//! How many calls a second a server is asked, at most: a bucket that fills at a steady pace, and of which each call takes one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many calls there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// In a second; more than 0.
    pub per_second: f64,
    /// At once, after a pause; at least one is allowed.
    pub at_once: u32,
}

/// What was taken of it.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls that may be made at once; below zero while some wait.
    left: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        let rate = Rate { at_once: rate.at_once.max(1), ..rate };
        Self { state: Mutex::new(State { left: f64::from(rate.at_once), at: Instant::now() }), rate }
    }

    /// Waits until there may be one more.
    pub(super) async fn wait(&self) {
        let wait = self.take(Instant::now());
        tokio::time::sleep(wait).await;
    }

    /// How long to wait for the next one.
    fn take(&self, now: Instant) -> Duration {
        // A panic elsewhere leaves numbers, whichever.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(state.at).as_secs_f64();
        state.left = (state.left + since * self.rate.per_second).min(f64::from(self.rate.at_once)) - 1.0;
        state.at = now;
        Duration::try_from_secs_f64(-state.left.min(0.0) / self.rate.per_second).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_allowed_at_once_and_then_one_after_the_other() {
        let pace = Pace::new(Rate { per_second: 4.0, at_once: 2 });
        let start = Instant::now();
        let waits = [0, 0, 250, 500].map(Duration::from_millis);
        assert_eq!([(); 4].map(|()| pace.take(start)), waits);
        // After half a second, those two have been let through, and one more must wait.
        assert_eq!(pace.take(start + Duration::from_millis(500)), Duration::from_millis(250));
        // After a pause there are two again, however long it was.
        let later = start + Duration::from_hours(1);
        assert_eq!([(); 3].map(|()| pace.take(later)), [0, 0, 250].map(Duration::from_millis));
    }
}
