//! Threads that read samplers. One does it all as long as nothing takes long; a sampler that hangs keeps its thread, and
//! another one goes on with the rest.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runlane_metrics::{Group, Host, Reading, SampleError, Sampler, Shown, with_ancestors};
use tokio::sync::mpsc;

use super::pool::Outcome;

/// When the first of what waits has waited for so long, another thread helps.
pub(super) const HELP_AFTER: Duration = Duration::from_millis(20);
/// A process tree is not followed upwards for more users of a device than these.
const MAX_USERS: usize = 256;

/// A sampler to be read, and for which tick.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) tick: u64,
    pub(super) sampler: Box<dyn Sampler>,
}

/// A sampler that was read.
pub(super) struct Done {
    pub(super) id: String,
    pub(super) tick: u64,
    pub(super) sampler: Box<dyn Sampler>,
    pub(super) outcome: Outcome,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    moved_at: Option<Instant>,
    threads: usize,
}

/// Reads samplers on threads of the runtime's blocking pool.
pub(super) struct Workers {
    host: Arc<dyn Host>,
    queue: Arc<Mutex<Queue>>,
    done: mpsc::Sender<Done>,
}

impl Workers {
    pub(super) fn new(host: Arc<dyn Host>, done: mpsc::Sender<Done>) -> Self {
        Self {
            host,
            queue: Arc::default(),
            done,
        }
    }

    /// Reads samplers in this order.
    pub(super) fn push(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() {
            queue.moved_at = Some(Instant::now());
        }
        queue.waiting.extend(jobs);
        if queue.threads == 0 {
            self.add_thread(&mut queue);
        }
    }

    /// Adds a thread if what waits does not move. Returns when to look again, `None` if nothing waits.
    pub(super) fn help(&self) -> Option<Instant> {
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() {
            return None;
        }
        let now = Instant::now();
        let due = queue.moved_at.map_or(now, |moved| moved + HELP_AFTER);
        if due > now {
            return Some(due);
        }
        // There are no more threads than samplers, since one that is being read is not read again.
        queue.moved_at = Some(now);
        self.add_thread(&mut queue);
        Some(now + HELP_AFTER)
    }

    fn add_thread(&self, queue: &mut Queue) {
        queue.threads += 1;
        let (host, done) = (Arc::clone(&self.host), self.done.clone());
        let shared = Arc::clone(&self.queue);
        drop(tokio::task::spawn_blocking(move || {
            while let Some(job) = next(&shared) {
                let read = read(job, &*host);
                if done.blocking_send(read).is_err() {
                    // The monitor is gone, and with it everybody who wants readings.
                    lock(&shared).threads -= 1;
                    return;
                }
            }
        }));
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next job; without one, this thread ends.
fn next(shared: &Mutex<Queue>) -> Option<Job> {
    let mut queue = lock(shared);
    queue.moved_at = Some(Instant::now());
    let job = queue.waiting.pop_front();
    if job.is_none() {
        queue.threads -= 1;
    }
    job
}

fn read(mut job: Job, host: &dyn Host) -> Done {
    let sampled = catch_unwind(AssertUnwindSafe(|| {
        let mut reading = job.sampler.sample(host)?;
        let cut = reading.cut();
        if cut > 0 {
            reading
                .troubles
                .push(format!("{cut} metrics are too many and were left out"));
        }
        name_owners(&mut reading, host);
        Ok(reading)
    }));
    let outcome = sampled.unwrap_or_else(|_panic| {
        // The hook has told of it; the other samplers must not suffer.
        Err(SampleError::Failed(
            "an error in the sampler itself".to_owned(),
        ))
    });
    Done {
        id: job.id,
        tick: job.tick,
        sampler: job.sampler,
        outcome,
    }
}

/// A run owns what its processes and their descendants use: the ancestors of the users are users too.
fn name_owners(reading: &mut Reading, host: &dyn Host) {
    for Group { shown, .. } in &mut reading.groups {
        if let Shown::Users(pids) = shown {
            let mut owners: Vec<u32> = pids
                .iter()
                .take(MAX_USERS)
                .flat_map(|&pid| with_ancestors(host, pid))
                .collect();
            owners.sort_unstable();
            owners.dedup();
            *pids = owners;
        }
    }
}
