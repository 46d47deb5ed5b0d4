//! The same work on many files, on several threads, with a caller that can be interrupted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::hashing::threads;

/// So many files keep one thread busy for about a millisecond.
const FILES_PER_THREAD: usize = 32;
/// How often the caller looks around while it waits.
const LOOK: Duration = Duration::from_millis(50);

/// Calls `work` with every index below `count`; results in order, or the first error.
///
/// `work` gets a function that says whether to go on. `look` is called on the caller's thread every 50 ms; when it says no, the
/// work ends soon, and the result is what `work` returns then.
pub(crate) fn for_each<T: Send, E: Send>(
    count: usize,
    work: impl Fn(usize, &dyn Fn() -> bool) -> Result<T, E> + Sync,
    mut look: impl FnMut() -> bool,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let going_on = || !stopped.load(Ordering::Relaxed);
    let run = || {
        let mut done = Vec::new();
        while going_on() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            match work(index, &going_on) {
                Ok(result) => done.push((index, result)),
                Err(error) => {
                    stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let running = Running::default();
    let mut all = Vec::with_capacity(count);
    let parts: Vec<_> = thread::scope(|scope| {
        let wanted = threads().min(count.div_ceil(FILES_PER_THREAD)).max(1);
        let started: Vec<_> = (0..wanted)
            .map_while(|_| {
                let guard = running.one_more();
                thread::Builder::new()
                    .name("runlane-stage".to_owned())
                    .spawn_scoped(scope, || {
                        let _guard = guard;
                        crate::sys::signals::block_all_in_this_thread();
                        run()
                    })
                    .ok()
            })
            .collect();
        if started.is_empty() {
            return vec![run()];
        }
        running.wait(|| {
            if !look() {
                stopped.store(true, Ordering::Relaxed);
            }
        });
        started
            .into_iter()
            .map(|one| {
                one.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    for part in parts {
        all.extend(part?);
    }
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

/// How many threads are at work.
#[derive(Default)]
struct Running {
    count: Mutex<usize>,
    ended: Condvar,
}

struct One<'a>(&'a Running);

impl Running {
    fn one_more(&self) -> One<'_> {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        One(self)
    }

    fn wait(&self, mut meanwhile: impl FnMut()) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count > 0 {
            let waited = self.ended.wait_timeout(count, LOOK);
            count = waited.map_or_else(|error| error.into_inner().0, |waited| waited.0);
            if *count > 0 {
                drop(count);
                meanwhile();
                count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_the_first_error_ends_it() {
        let found = for_each(1_000, |index, _| Ok::<_, ()>(index * 2), || true);
        assert_eq!(found, Ok((0..1_000).map(|index| index * 2).collect()));
        let failed = for_each(
            1_000,
            |index, _| if index == 700 { Err(index) } else { Ok(index) },
            || true,
        );
        assert_eq!(failed, Err(700));
    }

    #[test]
    fn a_caller_that_is_interrupted_ends_the_work() {
        let ended = for_each(
            1,
            |_, going_on| {
                while going_on() {
                    thread::yield_now();
                }
                Ok::<_, ()>("ended")
            },
            || false,
        );
        assert_eq!(ended, Ok(vec!["ended"]));
    }
}
