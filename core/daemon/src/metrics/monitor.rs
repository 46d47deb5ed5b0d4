//! The task that reads samplers when they are due, and the handle that a run has on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runlane_metrics::{Host, Settings, SystemHost};
use runlane_proto::control;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use super::board::{Board, Errand, Place, Sample};
use super::network::Network;
use super::workers::{Done, Job, Workers};
use crate::clock::Clock;

/// Readings that wait for the monitor; workers wait when it is full.
const DONE: usize = 64;
/// Samples that wait for a run's actor. An actor whose disk takes nothing loses those beyond: metrics are the first to go.
const SAMPLES: usize = 8;

/// Samples of all runs of this daemon.
pub(crate) struct Monitor {
    clock: Arc<dyn Clock>,
    epoch: Instant,
    state: Mutex<State>,
    changed: Notify,
    is_started: AtomicBool,
}

struct State {
    board: Board,
    sinks: BTreeMap<u64, mpsc::Sender<Sample>>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Monitor")
    }
}

impl Monitor {
    /// Samples nothing until a run wants it.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let board = Board::new(runlane_metrics::wanted, runlane_metrics::wanted_of_process);
        Arc::new(Self {
            epoch: clock.now(),
            clock,
            state: Mutex::new(State {
                board,
                sinks: BTreeMap::new(),
            }),
            changed: Notify::new(),
            is_started: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.epoch)
    }

    /// Begins to sample for a run; ends when the [`Watch`] is dropped. `carried`: the last values of each key that an earlier
    /// daemon recorded.
    pub(crate) fn watch(
        self: &Arc<Self>,
        settings: Settings,
        interval: Duration,
        place: &Place,
        carried: BTreeMap<String, f64>,
    ) -> (Watch, mpsc::Receiver<Sample>) {
        let (sink, samples) = mpsc::channel(SAMPLES);
        let now = self.now();
        let mut state = self.state();
        let run = state.board.add(now, settings, interval, place, carried);
        state.sinks.insert(run, sink);
        drop(state);
        if self.is_started.swap(true, Ordering::Relaxed) {
            self.changed.notify_one();
        } else {
            let http = Network::new(Handle::current());
            let host = Arc::new(SystemHost::new(Arc::new(http)));
            tokio::spawn(Arc::clone(self).run(host));
        }
        let watch = Watch {
            monitor: Arc::clone(self),
            run,
        };
        (watch, samples)
    }

    /// Every sampler that is wanted now, and how it does.
    pub(crate) fn samplers(&self) -> Vec<control::Sampler> {
        self.state().board.views()
    }

    async fn run(self: Arc<Self>, host: Arc<dyn Host>) {
        let (sender, mut done) = mpsc::channel(DONE);
        let workers = Workers::new(host, sender);
        loop {
            let wake = self.advance(&workers);
            let help = workers.help();
            let at = [wake, help].into_iter().flatten().min();
            let pause = async {
                match at {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(read) = done.recv() => self.take(read),
                () = self.changed.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Does what is due; when to come back.
    fn advance(&self, workers: &Workers) -> Option<Instant> {
        let now = self.now();
        let now_secs = self.clock.unix_secs();
        let mut state = self.state();
        let errands = state.board.begin_tick(now, now_secs);
        workers.push(errands.into_iter().map(job).collect());
        let samples = state.board.end_ticks(now);
        state.deliver(samples);
        state.board.next_wake().map(|at| self.epoch + at)
    }

    fn take(&self, done: Done) {
        let now = (self.now(), self.clock.unix_secs());
        let mut state = self.state();
        let Done {
            id,
            tick,
            sampler,
            outcome,
        } = done;
        let late = state.board.take_reading(&id, tick, sampler, &outcome, now);
        state.deliver(late);
    }
}

fn job(errand: Errand) -> Job {
    Job {
        id: errand.id,
        tick: errand.tick,
        sampler: errand.sampler,
    }
}

impl State {
    fn deliver(&mut self, samples: Vec<(u64, Sample)>) {
        for (run, sample) in samples {
            if let Some(sink) = self.sinks.get(&run)
                && sink.try_send(sample).is_err()
            {
                tracing::debug!(
                    run,
                    "a sample of system metrics was not taken and is left out"
                );
            }
        }
    }
}

/// A run is sampled for as long as it holds this.
#[derive(Debug)]
pub(crate) struct Watch {
    monitor: Arc<Monitor>,
    run: u64,
}

impl Watch {
    /// A process logs to the run; with a label, its keys end in `/l:<label>`.
    pub(crate) fn joined(&self, writer: u64, pid: u32, label: &str) {
        self.monitor
            .state()
            .board
            .join(self.run, writer, pid, label);
    }

    /// A process has ended.
    pub(crate) fn left(&self, writer: u64) {
        self.monitor.state().board.leave(self.run, writer);
    }

    /// Nothing is sampled until it is called again with `false`.
    pub(crate) fn pause(&self, is_paused: bool) {
        let now = self.monitor.now();
        self.monitor.state().board.pause(self.run, is_paused, now);
        self.monitor.changed.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.monitor.state();
        state.board.remove(self.run);
        state.sinks.remove(&self.run);
    }
}
