//! Hashing of large files by threads of our own, behind the copy and beside training.
//!
//! A thread lives while there is something to hash; none waits. The queue holds a pointer per large file that was added and not
//! hashed yet. A child of `fork` has none of the threads: it hashes for itself what was not done when it was made.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use runlane_model::artifact::digest::{Algorithm, Digest, Hasher};

use crate::fork::generation;
use crate::sys::chain::Chain;

/// Threads at most, however many cores there are: the disk is slower.
pub(crate) const THREADS: usize = 8;
const BUFFER_BYTES: usize = 1 << 20;

/// How many threads are worth starting.
pub(crate) fn threads() -> usize {
    thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(THREADS)
}

/// A digest that is known, or will be.
pub(crate) struct Job {
    algorithm: Algorithm,
    /// Where the file is until it is hashed. It is opened then: thousands may wait, descriptors are few.
    path: PathBuf,
    generation: u32,
    outcome: OnceLock<Outcome>,
    /// Bytes that are there to be hashed so far; none once all are.
    behind: Mutex<Behind>,
    changed: Condvar,
}

/// An error is kept as its number, or its kind and text, because many may ask.
type Outcome = Result<Digest, (Option<i32>, io::ErrorKind, String)>;

#[derive(Clone, Copy)]
enum Behind {
    /// The file is being written and has this many bytes.
    Growing(u64),
    /// It has all its bytes.
    Whole,
    /// It will never have.
    Abandoned,
}

impl Job {
    /// A job that is done.
    pub(crate) fn done(algorithm: Algorithm, path: PathBuf, digest: Digest) -> Arc<Self> {
        let job = Self::new(algorithm, path, Behind::Whole);
        // The cell is empty: nobody else has it yet.
        drop(job.outcome.set(Ok(digest)));
        Arc::new(job)
    }

    /// Hashes the file at `path` behind whoever is writing it, from its beginning.
    pub(crate) fn behind_a_copy(algorithm: Algorithm, path: PathBuf) -> Arc<Self> {
        Self::start(Self::new(algorithm, path, Behind::Growing(0)))
    }

    /// Hashes the file at `path`, which is whole.
    pub(crate) fn of_file(algorithm: Algorithm, path: PathBuf) -> Arc<Self> {
        Self::start(Self::new(algorithm, path, Behind::Whole))
    }

    fn new(algorithm: Algorithm, path: PathBuf, behind: Behind) -> Self {
        Self {
            algorithm,
            path,
            generation: generation(),
            outcome: OnceLock::new(),
            behind: Mutex::new(behind),
            changed: Condvar::new(),
        }
    }

    fn start(job: Self) -> Arc<Self> {
        let job = Arc::new(job);
        pool().submit(Arc::clone(&job));
        job
    }

    /// There are this many bytes now.
    pub(crate) fn grown(&self, bytes: u64) {
        self.turn(Behind::Growing(bytes));
    }

    /// There are all bytes now.
    pub(crate) fn whole(&self) {
        self.turn(Behind::Whole);
    }

    /// The file is given up, or nobody wants its digest any more: hashing ends soon.
    pub(crate) fn abandon(&self) {
        if self.generation == generation() && self.outcome.get().is_none() {
            self.turn(Behind::Abandoned);
        }
    }

    fn turn(&self, to: Behind) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = to;
        self.changed.notify_all();
    }

    /// The digest if it is known.
    pub(crate) fn ready(&self) -> Option<io::Result<Digest>> {
        self.outcome.get().map(reported)
    }

    /// Waits for the digest for at most `time`; none if the time ran out.
    pub(crate) fn wait(&self, time: Duration) -> Option<io::Result<Digest>> {
        if self.generation != generation() {
            // The parent's thread does not exist here, and its lock may be held forever.
            return Some(
                self.ready()
                    .unwrap_or_else(|| hash_file(self.algorithm, &self.path)),
            );
        }
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(behind, time, |_| self.outcome.get().is_none());
        drop(waited);
        self.ready()
    }

    fn finish(&self, outcome: io::Result<Digest>) {
        let kept = outcome.map_err(|error| (error.raw_os_error(), error.kind(), error.to_string()));
        // Under the lock, so that nobody looks before and sleeps after.
        let _behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.outcome.set(kept));
        self.changed.notify_all();
    }

    fn run(&self) -> io::Result<Digest> {
        let file = File::open(&self.path)?;
        let mut hasher = Hasher::new(self.algorithm);
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        let mut at = 0_u64;
        loop {
            let end = match self.beyond(at) {
                Behind::Abandoned => return Err(io::ErrorKind::Interrupted.into()),
                Behind::Growing(bytes) => bytes,
                Behind::Whole => u64::MAX,
            };
            let most =
                usize::try_from(end - at).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
            match file.read_at(&mut buffer[..most], at) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until there is something behind the first `at` bytes, or will be nothing.
    fn beyond(&self, at: u64) -> Behind {
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        *self
            .changed
            .wait_while(
                behind,
                |behind| matches!(behind, Behind::Growing(bytes) if *bytes <= at),
            )
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn reported(outcome: &Outcome) -> io::Result<Digest> {
    outcome
        .clone()
        .map_err(|(number, kind, text)| match number {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(kind, text),
        })
}

/// The digest of a file.
pub(crate) fn hash_file(algorithm: Algorithm, path: &Path) -> io::Result<Digest> {
    Job::new(algorithm, path.to_owned(), Behind::Whole).run()
}

/// The threads of one process.
struct Pool {
    generation: u32,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<Arc<Job>>,
    threads: usize,
}

static POOLS: Chain<Pool> = Chain::new();

fn pool() -> &'static Pool {
    let current = generation();
    match POOLS.newest() {
        Some(pool) if pool.generation == current => pool,
        _ => POOLS.push_unless(
            Pool {
                generation: current,
                work: Mutex::default(),
            },
            |newest| newest.generation == current,
        ),
    }
}

impl Pool {
    fn submit(&'static self, job: Arc<Job>) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.waiting.push_back(job);
        if work.threads >= threads() {
            return;
        }
        let started = thread::Builder::new()
            .name("runlane-hash".to_owned())
            .stack_size(256 << 10)
            .spawn(|| self.run());
        match started {
            Ok(_) => work.threads += 1,
            Err(error) if work.threads == 0 => {
                // Nobody will hash: whoever asks for the digest is told why.
                let why = io::Error::new(error.kind(), format!("no thread to hash: {error}"));
                if let Some(job) = work.waiting.pop_back() {
                    drop(work);
                    job.finish(Err(why));
                }
            }
            Err(_) => {}
        }
    }

    fn run(&self) {
        crate::sys::signals::block_all_in_this_thread();
        loop {
            let next = {
                let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
                let next = work.waiting.pop_front();
                if next.is_none() {
                    work.threads -= 1;
                }
                next
            };
            let Some(job) = next else { return };
            job.finish(job.run());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_file_is_hashed_while_it_grows() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("x");
        let mut writer = File::create(&path).expect("made");
        let job = Job::behind_a_copy(Algorithm::Md5, path);
        assert!(job.wait(Duration::ZERO).is_none());
        for part in 1..=3_u64 {
            writer.write_all(&[7; 1_000]).expect("written");
            job.grown(part * 1_000);
        }
        assert!(job.ready().is_none());
        writer.write_all(b"end").expect("written");
        job.whole();
        let mut whole = vec![7; 3_000];
        whole.extend(b"end");
        let digest = job.wait(LONG).expect("in time").expect("hashed");
        assert_eq!(digest, Digest::of(Algorithm::Md5, &whole));
    }

    #[test]
    fn an_abandoned_file_has_no_digest() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("x");
        File::create(&path).expect("made");
        let job = Job::behind_a_copy(Algorithm::Xxh128, path);
        job.abandon();
        assert!(job.wait(LONG).expect("in time").is_err());
    }
}
