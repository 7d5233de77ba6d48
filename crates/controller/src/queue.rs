//! Names of objects to be worked on: each at most once in line and never by two workers at a time.
//!
//! A name that is added while it is in work comes again when that work is done. Later additions never delay earlier ones.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::name::ObjectName;

/// The queue. Shared by whoever adds and whoever works.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

/// How many names are in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// To be worked on as soon as a worker is free.
    pub ready: usize,
    /// To be worked on later.
    pub delayed: usize,
    /// In work.
    pub running: usize,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<ObjectName, Slot>,
    ready: VecDeque<ObjectName>,
    /// By time, and by a number of our own where times are equal.
    delayed: BTreeMap<(Instant, u64), ObjectName>,
    number: u64,
    closed: bool,
}

#[derive(Debug)]
enum Slot {
    Ready,
    Delayed((Instant, u64)),
    /// In work; and when to come again, if it was added meanwhile.
    Running(Option<Instant>),
}

impl Queue {
    /// Adds `name`, to be worked on as soon as a worker is free.
    pub fn add(&self, name: ObjectName) {
        self.add_at(name, Instant::now());
    }

    /// Adds `name`, to be worked on after `delay`, or earlier if it is in line for earlier already.
    pub fn add_after(&self, name: ObjectName, delay: Duration) {
        self.add_at(name, Instant::now() + delay);
    }

    fn add_at(&self, name: ObjectName, time: Instant) {
        let mut state = self.state();
        match state.slots.get_mut(&name) {
            Some(Slot::Ready) => return,
            Some(Slot::Running(again)) => {
                *again = Some(again.map_or(time, |earlier| earlier.min(time)));
                return;
            }
            Some(Slot::Delayed(place)) if place.0 <= time => return,
            Some(Slot::Delayed(place)) => {
                let place = *place;
                state.delayed.remove(&place);
            }
            None => {}
        }
        state.enqueue(name, time);
        drop(state);
        self.changed.notify_one();
    }

    /// The next name to work on, in order of their times; `None` once the queue is closed. Each name that is handed out goes back with
    /// [`Queue::done`].
    pub async fn next(&self) -> Option<ObjectName> {
        loop {
            let changed = self.changed.notified();
            let wake = {
                let mut state = self.state();
                if state.closed {
                    drop(state);
                    self.changed.notify_one(); // the next worker shall see it too
                    return None;
                }
                state.move_due(Instant::now());
                if let Some(name) = state.ready.pop_front() {
                    state.slots.insert(name.clone(), Slot::Running(None));
                    let more = !state.ready.is_empty();
                    drop(state);
                    if more {
                        self.changed.notify_one();
                    }
                    return Some(name);
                }
                state.delayed.keys().next().map(|(time, _)| *time)
            };
            match wake {
                Some(time) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(time) => {}
                },
                None => changed.await,
            }
        }
    }

    /// The work on `name` is done, for now.
    pub fn done(&self, name: &ObjectName) {
        let mut state = self.state();
        if let Some(Slot::Running(Some(again))) = state.slots.remove(name) {
            state.enqueue(name.clone(), again);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Whether nothing is in work, nor could be now. What is in line for later does not count.
    pub fn is_idle(&self) -> bool {
        let mut state = self.state();
        state.move_due(Instant::now());
        state.slots.values().all(|slot| matches!(slot, Slot::Delayed(_)))
    }

    /// How many names there are.
    pub fn lengths(&self) -> Lengths {
        let mut state = self.state();
        state.move_due(Instant::now());
        let (ready, delayed) = (state.ready.len(), state.delayed.len());
        Lengths { ready, delayed, running: state.slots.len().saturating_sub(ready + delayed) }
    }

    /// Hands out nothing more. What is in work stays in work.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Every change of the state is whole before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enqueue(&mut self, name: ObjectName, time: Instant) {
        if time <= Instant::now() {
            self.slots.insert(name.clone(), Slot::Ready);
            self.ready.push_back(name);
        } else {
            self.number += 1;
            let place = (time, self.number);
            self.slots.insert(name.clone(), Slot::Delayed(place));
            self.delayed.insert(place, name);
        }
    }

    fn move_due(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let name = entry.remove();
            self.slots.insert(name.clone(), Slot::Ready);
            self.ready.push_back(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn name(name: &str) -> ObjectName {
        ObjectName { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    async fn next_within(queue: &Queue, limit: Duration) -> Option<String> {
        tokio::time::timeout(limit, queue.next()).await.ok().flatten().map(|name| name.name)
    }

    const SOON: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_name_is_in_line_once() {
        let queue = Queue::default();
        for it in ["a", "b", "a"] {
            queue.add(name(it));
        }
        assert_eq!(next_within(&queue, SOON).await.as_deref(), Some("a"));
        assert_eq!(next_within(&queue, SOON).await.as_deref(), Some("b"));
        assert_eq!(next_within(&queue, SOON).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_in_work_waits_until_that_is_done_and_comes_again_once() {
        let queue = Queue::default();
        queue.add(name("a"));
        assert!(next_within(&queue, SOON).await.is_some());
        queue.add(name("a"));
        queue.add(name("a"));
        assert_eq!(next_within(&queue, SOON).await, None, "it is in work");
        queue.done(&name("a"));
        assert_eq!(next_within(&queue, SOON).await.as_deref(), Some("a"));
        queue.done(&name("a"));
        assert_eq!(next_within(&queue, SOON).await, None);
        assert!(queue.state().slots.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_when_nothing_is_in_work_nor_due() {
        let queue = Queue::default();
        assert!(queue.is_idle());
        queue.add_after(name("a"), SOON);
        assert!(queue.is_idle());
        tokio::time::sleep(SOON).await;
        assert!(!queue.is_idle(), "due");
        assert!(next_within(&queue, SOON).await.is_some());
        assert!(!queue.is_idle(), "in work");
        queue.done(&name("a"));
        assert!(queue.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_counts() {
        let queue = Queue::default();
        let second = Duration::from_secs(1);
        queue.add_after(name("a"), 9 * second);
        queue.add_after(name("b"), 3 * second);
        queue.add_after(name("a"), 2 * second);
        queue.add_after(name("a"), 5 * second);
        assert_eq!(next_within(&queue, second).await, None);
        assert_eq!(next_within(&queue, 2 * second).await.as_deref(), Some("a"));
        assert_eq!(next_within(&queue, 2 * second).await.as_deref(), Some("b"));
        queue.add_after(name("b"), 9 * second);
        queue.add(name("b"));
        queue.done(&name("b"));
        assert_eq!(next_within(&queue, SOON).await.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn many_workers_share_the_work_and_all_stop_when_it_is_closed() {
        let queue = Arc::new(Queue::default());
        let worked = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (queue, worked) = (queue.clone(), worked.clone());
                tokio::spawn(async move {
                    while let Some(name) = queue.next().await {
                        tokio::task::yield_now().await;
                        worked.fetch_add(1, Ordering::Relaxed);
                        queue.done(&name);
                    }
                })
            })
            .collect();
        for index in 0..500 {
            queue.add(name(&index.to_string()));
        }
        while worked.load(Ordering::Relaxed) < 500 {
            tokio::task::yield_now().await;
        }
        queue.close();
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!(worked.load(Ordering::Relaxed), 500);
    }
}
