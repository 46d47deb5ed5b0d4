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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, sync_channel};

    use runlane_metrics::{Http, HttpRequest, SystemHost, UnaryRequest};

    use super::*;

    struct NoHttp;

    impl Http for NoHttp {
        fn get(&self, _request: &HttpRequest) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn unary(&self, _request: &UnaryRequest) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    enum Does {
        Reads,
        Panics,
        /// Until the sender is gone.
        Hangs(Receiver<()>),
        /// Its own process uses a device.
        Owns,
    }

    impl Sampler for Does {
        fn sample(&mut self, _host: &dyn Host) -> Outcome {
            match self {
                Self::Reads => Ok(Reading::default()),
                Self::Panics => panic!("a mistake"),
                Self::Hangs(until) => {
                    // An error says that the test is over.
                    _ = until.recv();
                    Ok(Reading::default())
                }
                Self::Owns => {
                    let users = Shown::Users(vec![std::process::id()]);
                    let group = Group::of_device(0).shown_to(users);
                    Ok(Reading::of(Duration::ZERO, group))
                }
            }
        }
    }

    fn job(id: &str, does: Does) -> Job {
        Job {
            id: id.to_owned(),
            tick: 1,
            sampler: Box::new(does),
        }
    }

    fn workers() -> (Workers, mpsc::Receiver<Done>) {
        let (sender, done) = mpsc::channel(8);
        let host = Arc::new(SystemHost::new(Arc::new(NoHttp)));
        (Workers::new(host, sender), done)
    }

    async fn next(workers: &Workers, done: &mut mpsc::Receiver<Done>) -> Done {
        loop {
            let pause = match workers.help() {
                Some(at) => at.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(10),
            };
            tokio::select! {
                read = done.recv() => return read.expect("workers live"),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_sampler_that_hangs_or_panics_holds_nobody_up() {
        let (workers, mut done) = workers();
        let (release, until) = sync_channel(1);
        workers.push(vec![
            job("hangs", Does::Hangs(until)),
            job("panics", Does::Panics),
            job("reads", Does::Reads),
        ]);
        let mut others = [
            next(&workers, &mut done).await,
            next(&workers, &mut done).await,
        ];
        others.sort_by(|one, other| one.id.cmp(&other.id));
        assert_eq!(
            others.each_ref().map(|read| read.id.as_str()),
            ["panics", "reads"]
        );
        assert!(matches!(others[0].outcome, Err(SampleError::Failed(_))));
        assert!(others[1].outcome.is_ok());
        // The next tick finds a thread as well.
        workers.push(vec![job("again", Does::Reads)]);
        assert_eq!(next(&workers, &mut done).await.id, "again");
        drop(release);
        assert_eq!(next(&workers, &mut done).await.id, "hangs");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_ancestors_of_a_device_s_users_own_it_too() {
        if !std::path::Path::new("/proc/self/stat").exists() {
            return;
        }
        let (workers, mut done) = workers();
        workers.push(vec![job("owns", Does::Owns)]);
        let reading = next(&workers, &mut done).await.outcome.expect("read");
        let Shown::Users(owners) = &reading.groups[0].shown else {
            panic!("of processes");
        };
        assert!(owners.contains(&std::process::id()));
        assert!(owners.contains(&std::os::unix::process::parent_id()));
    }
}
