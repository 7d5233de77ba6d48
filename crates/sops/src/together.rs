//! Several calls at once, and no more than so many.
//!
//! ```text
//! calls, in order ─ at most `most` are under way ─▶ what each gave, in the same order
//! ```
//! All of them are polled here, by whoever waits: what needs no service is done on the spot, and what a service does is done elsewhere
//! meanwhile.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Carries out `calls`, at most `most` of them at a time. Once one has failed, none is begun.
///
/// # Errors
/// Of those that failed, the first in their order.
pub(crate) async fn together<T, E, F>(calls: impl IntoIterator<Item = F>, most: usize) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    let mut waiting = calls.into_iter().enumerate().fuse();
    let mut under_way: Vec<(usize, F)> = Vec::new();
    let mut done: Vec<(usize, T)> = Vec::new();
    let mut failed: Option<(usize, E)> = None;
    poll_fn(|context| {
        loop {
            let begun = waiting.by_ref().take(if failed.is_some() { 0 } else { most.max(1) - under_way.len() });
            under_way.extend(begun);
            let at_once = under_way.len();
            under_way.retain_mut(|(number, call)| match Pin::new(call).poll(context) {
                Poll::Pending => true,
                Poll::Ready(Ok(value)) => {
                    done.push((*number, value));
                    false
                }
                Poll::Ready(Err(error)) => {
                    if failed.as_ref().is_none_or(|(first, _)| *number < *first) {
                        failed = Some((*number, error));
                    }
                    false
                }
            });
            if under_way.len() == at_once {
                // Nothing ended, so nothing can begin; where nothing is under way, nothing is left either.
                return if at_once == 0 { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    })
    .await;
    if let Some((_, error)) = failed {
        return Err(error);
    }
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn so_many_are_under_way_and_no_more_and_the_order_stays() {
        for most in [0, 1, 3, 20] {
            let (now, highest) = (Cell::new(0), Cell::new(0));
            let calls = (0..9_u64).map(|number| {
                let (now, highest) = (&now, &highest);
                Box::pin(async move {
                    now.set(now.get() + 1);
                    highest.set(highest.get().max(now.get()));
                    tokio::time::sleep(Duration::from_millis(9 - number)).await;
                    now.set(now.get() - 1);
                    Ok::<_, ()>(number)
                })
            });
            assert_eq!(together(calls, most).await.unwrap(), (0..9).collect::<Vec<_>>());
            assert_eq!(highest.get(), most.clamp(1, 9), "{most}");
        }
        let none: [std::future::Ready<Result<(), ()>>; 0] = [];
        assert!(together(none, 3).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_first_error_in_order_counts_and_nothing_is_begun_after_one() {
        let begun = Cell::new(0);
        let calls = (0..20_u64).map(|number| {
            let begun = &begun;
            Box::pin(async move {
                begun.set(begun.get() + 1);
                // The first one fails last.
                tokio::time::sleep(Duration::from_millis(20 - number * 5)).await;
                if number == 1 { Ok(()) } else { Err(number) }
            })
        });
        assert_eq!(together(calls, 3).await.unwrap_err(), 0);
        assert_eq!(begun.get(), 3);
    }
}
