//! How far a command over many files is, on a terminal and only there: one line that is overwritten, and gone at the end.
//!
//! Nothing is shown before half a second, and nothing while something is asked: a question must not be written over.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whoever waits less than this needs to know nothing.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the line changes at most.
const EVERY: Duration = Duration::from_millis(100);
/// Back to the start of the line, and nothing in it.
const CLEAR: &str = "\r\x1b[K";

/// Questions that wait for an answer.
static QUESTIONS: AtomicUsize = AtomicUsize::new(0);

/// The files of one command.
#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    done: AtomicUsize,
    /// When the line may change next; `None`: it is not shown at all.
    line: Mutex<Option<Line>>,
}

#[derive(Debug)]
struct Line {
    next: Instant,
    is_there: bool,
}

impl Progress {
    /// Of `total` files; shown on a terminal, unless nothing is to be told.
    pub(crate) fn new(total: usize, is_quiet: bool) -> Self {
        let is_shown = total > 1 && !is_quiet && io::stderr().is_terminal();
        let line = is_shown.then(|| Line { next: Instant::now() + PATIENCE, is_there: false });
        Self { total, done: AtomicUsize::new(0), line: Mutex::new(line) }
    }

    /// One file more.
    pub(crate) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever finds it locked need not wait: another thread shows as much.
        let Ok(mut line) = self.line.try_lock() else { return };
        let Some(line) = &mut *line else { return };
        let now = Instant::now();
        if now < line.next || QUESTIONS.load(Ordering::Relaxed) > 0 {
            return;
        }
        line.next = now + EVERY;
        line.is_there = true;
        show(&format!("{CLEAR}{done} of {} files", self.total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        if line.as_ref().is_some_and(|line| line.is_there) {
            show(CLEAR);
        }
    }
}

/// Asks something, with the line of the progress out of the way.
pub(crate) fn while_asking<T>(ask: impl FnOnce() -> T) -> T {
    struct Asked;
    impl Drop for Asked {
        fn drop(&mut self) {
            QUESTIONS.fetch_sub(1, Ordering::Relaxed);
        }
    }
    QUESTIONS.fetch_add(1, Ordering::Relaxed);
    let _asked = Asked;
    ask()
}

fn show(text: &str) {
    // Where standard error is gone there is nobody to show it to.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
