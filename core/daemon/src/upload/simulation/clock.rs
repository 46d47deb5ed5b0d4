//! A clock that jumps to the next thing that somebody waits for, when nobody has anything else to do.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// Turns that every task gets before the clock jumps.
const TURNS: usize = 8;

#[derive(Debug, Clone)]
pub(super) struct JumpingClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    now: Mutex<Instant>,
    sleepers: Mutex<BTreeMap<(Instant, u64), Waker>>,
    ids: AtomicU64,
}

impl JumpingClock {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        Self(Arc::new(Inner {
            start,
            now: Mutex::new(start),
            sleepers: Mutex::default(),
            ids: AtomicU64::new(0),
        }))
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now() - self.0.start
    }

    /// Lets time pass until `done`, or so much has passed since the start; whether it was done.
    pub(super) async fn run(&self, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
        loop {
            for _turn in 0..TURNS {
                tokio::task::yield_now().await;
                if done() {
                    return true;
                }
            }
            let next = self.0.sleepers.lock().expect("unpoisoned").pop_first();
            let Some(((at, _id), waker)) = next else {
                return false;
            };
            if at - self.0.start > limit {
                let mut now = self.0.now.lock().expect("unpoisoned");
                *now = (*now).max(self.0.start + limit);
                drop(now);
                waker.wake();
                return false;
            }
            let mut now = self.0.now.lock().expect("unpoisoned");
            *now = (*now).max(at);
            drop(now);
            waker.wake();
        }
    }
}

impl Clock for JumpingClock {
    fn unix_secs(&self) -> f64 {
        1.8e9 + self.elapsed().as_secs_f64()
    }

    fn now(&self) -> Instant {
        *self.0.now.lock().expect("unpoisoned")
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        let id = clock.0.ids.fetch_add(1, Ordering::Relaxed);
        let guard = Sleeper {
            clock: clock.clone(),
            key: (at, id),
        };
        Box::pin(poll_fn(move |context| {
            if clock.now() >= guard.key.0 {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            let mut sleepers = clock.0.sleepers.lock().expect("unpoisoned");
            sleepers.insert(guard.key, waker);
            Poll::Pending
        }))
    }
}

/// Takes a sleeper off the list when its future is dropped.
struct Sleeper {
    clock: JumpingClock,
    key: (Instant, u64),
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let mut sleepers = self.clock.0.sleepers.lock().expect("unpoisoned");
        sleepers.remove(&self.key);
    }
}
