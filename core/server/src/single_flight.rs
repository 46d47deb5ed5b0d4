//! Work that goes on in this process whoever asks for it: asked for again while it goes on, it is waited for and not begun again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

/// What the work came to; none as long as it goes on.
type Outcome<T> = watch::Receiver<Option<T>>;

/// The work that goes on, by what it is about.
pub(crate) struct Flights<K, T> {
    running: Arc<Mutex<HashMap<K, Outcome<T>>>>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self {
            running: Arc::default(),
        }
    }
}

/// How waiting for work ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited<T> {
    Done(T),
    /// It broke off without an outcome.
    BrokenOff,
    /// It goes on.
    Longer,
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Waits for the work about `key` at most so long; `work` begins it if it does not go on already. It ends with an outcome, or with
    /// the process, whoever stops waiting.
    pub(crate) async fn join<W>(
        &self,
        key: K,
        at_most: Duration,
        work: impl FnOnce() -> W,
    ) -> Waited<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut outcome = self.start(key, work);
        match tokio::time::timeout(at_most, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().map_or(Waited::BrokenOff, Waited::Done),
            Ok(Err(_broken_off)) => Waited::BrokenOff,
            Err(_elapsed) => Waited::Longer,
        }
    }

    fn start<W>(&self, key: K, work: impl FnOnce() -> W) -> Outcome<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut running = self.running.lock();
        // One whose task has ended without a word, in a panic, is begun again.
        let alive = |outcome: &&Outcome<T>| outcome.has_changed().is_ok();
        if let Some(outcome) = running.get(&key).filter(alive) {
            return outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        running.insert(key.clone(), outcome.clone());
        let (work, running) = (work(), Arc::clone(&self.running));
        tokio::spawn(async move {
            let done = work.await;
            running.lock().remove(&key);
            tell.send_replace(Some(done));
        });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn work_is_done_once_for_all_who_wait() {
        let flights = Flights::<i64, u32>::default();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let first = flights.join(1, Duration::ZERO, || async {
            wait.await.expect("told");
            7
        });
        assert_eq!(first.await, Waited::Longer);
        let more = flights.join(1, SECOND, || async { unreachable!("it goes on") });
        let tell = async { go.send(()).expect("somebody waits") };
        assert_eq!(tokio::join!(more, tell).0, Waited::Done(7));
        assert_eq!(
            flights.join(1, SECOND, || async { 8 }).await,
            Waited::Done(8)
        );
    }

    #[tokio::test]
    async fn work_that_broke_off_is_begun_again() {
        let flights = Flights::<i64, u32>::default();
        let broken = flights.join(1, SECOND, || async { panic!("on purpose") });
        assert_eq!(broken.await, Waited::BrokenOff);
        assert_eq!(
            flights.join(1, SECOND, || async { 9 }).await,
            Waited::Done(9)
        );
    }
}
