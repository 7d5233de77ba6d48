//! Waits for a future without a runtime: age needs none, and starting one costs more than a small file.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Runs `future` to its end on this thread.
///
/// May be nested: a worker of rayon that waits inside a future can pick up another file and wait for that one too.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let alarm = Arc::new(Alarm { thread: thread::current(), rang: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        // The flag and not the token of `park` decides: a nested wait may have used up the token.
        while !alarm.rang.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

struct Alarm {
    thread: Thread,
    rang: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pending until another thread has woken it, `turns` times.
    async fn woken_elsewhere(turns: u32) -> u32 {
        let mut left = turns;
        std::future::poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(turns);
            }
            left -= 1;
            let waker = context.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        })
        .await
    }

    #[test]
    fn a_wait_ends_when_the_future_does() {
        assert_eq!(block_on(async { 7 }), 7);
        assert_eq!(block_on(woken_elsewhere(50)), 50);
    }

    #[test]
    fn a_wait_inside_a_wait_takes_nothing_from_the_outer_one() {
        let outer = async {
            let first = woken_elsewhere(3).await;
            let inner = block_on(woken_elsewhere(5));
            first + inner + woken_elsewhere(3).await
        };
        assert_eq!(block_on(outer), 11);
    }
}
