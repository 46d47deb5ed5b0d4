//! The staging directory: copies of the user's files that wait for their upload.
//!
//! ```text
//! staging/<name>              a file of an artifact that was logged; the daemon moves or removes it after the upload
//! staging/open-<id>/<n>/<name>    a file of an artifact that a process has not logged yet
//! staging/open-<id>.lock      locked as long as that process lives
//! ```
//!
//! What a process has not logged goes with it. If it was killed, the next process that stages something removes the directory: its
//! lock is free, and nothing was added there for an hour, should a program have closed our descriptor and gone on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::fork::generation;

/// How long a directory of a process that seems dead is left alone.
const QUIET: Duration = Duration::from_hours(1);
const PREFIX: &str = "open-";
/// Directories of a process.
const SHARDS: u8 = 8;

/// A file that cannot be staged.
#[derive(Debug, Error)]
#[error("`{path}`: {source}", path = path.display())]
pub(crate) struct StagingError {
    /// The user's file, or ours.
    pub(crate) path: PathBuf,
    #[source]
    pub(crate) source: io::Error,
}

impl StagingError {
    /// Names the path of an error.
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self {
            path: path.clone(),
            source,
        }
    }
}

/// The part of the staging directory that one process has.
pub(crate) struct Staging {
    root: PathBuf,
    /// `open-<id>`.
    own: PathBuf,
    id: String,
    generation: u32,
    next: AtomicU64,
    /// Cleared when a clone fails: the file system has none, or the sources are on another one.
    pub(crate) clones: AtomicBool,
    // Held for a moment, with the interpreter attached: no other thread can fork meanwhile.
    lock: Mutex<Option<File>>,
}

impl Staging {
    /// Takes a part of the staging directory `root`, which is made if it is missing, and removes what dead processes left there.
    pub(crate) fn open(root: &Path) -> Result<Self, StagingError> {
        fs::create_dir_all(root).map_err(StagingError::at(root))?;
        let id = random_id().map_err(StagingError::at(root))?;
        let own = root.join(format!("{PREFIX}{id}"));
        let lock_path = lock_of(&own);
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(StagingError::at(&lock_path))?;
        // Where locks do not work, nothing of others is removed either.
        let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        // The directory comes after the lock: one without a lock is a dead one.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&own)
            .map_err(StagingError::at(&own))?;
        if locked {
            remove_leftovers(root, SystemTime::now());
        }
        Ok(Self {
            root: root.to_owned(),
            own,
            id,
            generation: generation(),
            next: AtomicU64::new(0),
            clones: AtomicBool::new(true),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// The directory of what is not logged yet.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    /// Where a file with this name is until it is logged: in one of a few directories, because threads that make files in one stand
    /// in each other's way.
    pub(crate) fn unlogged(&self, name: &str) -> PathBuf {
        let last = name.bytes().last().unwrap_or_default();
        self.own.join((last % SHARDS).to_string()).join(name)
    }

    /// Calls `make` for the place of a file, which it may have to be called for twice: the first time there is no directory.
    pub(crate) fn at_place<T>(
        &self,
        name: &str,
        make: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let place = self.unlogged(name);
        match make(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(directory) = place.parent() {
                    match fs::create_dir(directory) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                            return Err(error);
                        }
                        _ => {}
                    }
                }
                make(&place)
            }
            done => done,
        }
    }

    /// Where a file with this name goes when it is logged.
    pub(crate) fn logged(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether this process opened it.
    pub(crate) fn is_ours(&self) -> bool {
        self.generation == generation()
    }

    /// A name that no other file in the staging directory has.
    pub(crate) fn new_name(&self) -> io::Result<String> {
        // A child of `fork` counts from the same number.
        if !self.is_ours() {
            return random_id();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(format!("{}-{number}", self.id))
    }

    /// Removes what was not logged. Nothing in a process that did not open it.
    pub(crate) fn close(&self) {
        if !self.is_ours() {
            return;
        }
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.take().is_some() {
            remove(&self.own);
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock_of(own: &Path) -> PathBuf {
    let mut path = own.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn random_id() -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

/// Removes directories of processes that are gone, as far as it can.
fn remove_leftovers(root: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_one = name.to_str().is_some_and(|name| {
            name.strip_prefix(PREFIX)
                .is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        });
        // Of links the link itself: what it leads to is not ours.
        let Some(found) = entry
            .metadata()
            .ok()
            .filter(|found| is_one && found.is_dir())
        else {
            continue;
        };
        let is_quiet = found
            .modified()
            .ok()
            .and_then(|changed| now.duration_since(changed).ok())
            .is_some_and(|age| age > QUIET);
        if is_quiet {
            let own = entry.path();
            match OpenOptions::new().write(true).open(lock_of(&own)) {
                Ok(lock) => {
                    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                        remove(&own);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&own),
                Err(_) => {}
            }
        }
    }
}

/// Removes a process's directory, then its lock: a directory that could not be removed whole keeps a free lock.
fn remove(own: &Path) {
    // What stays is found again by the next process that looks.
    if fs::remove_dir_all(own).is_ok() {
        drop(fs::remove_file(lock_of(own)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().expect("a directory");
        let root = home.path();
        let living = Staging::open(root).expect("opened");
        fs::write(living.own().join("a"), "1").expect("written");
        fs::write(root.join("logged"), "2").expect("written");
        let dead = root.join("open-00000000000000aa");
        fs::create_dir(&dead).expect("made");
        fs::write(dead.join("b"), "3").expect("written");
        fs::write(lock_of(&dead), "").expect("written");
        let foreign = root.join("open-source");
        fs::create_dir(&foreign).expect("made");

        remove_leftovers(root, SystemTime::now());
        assert!(dead.exists(), "it may only seem dead");
        remove_leftovers(root, SystemTime::now() + 2 * QUIET);
        assert!(!dead.exists() && !lock_of(&dead).exists());
        assert!(
            living.own().join("a").exists() && root.join("logged").exists() && foreign.exists()
        );

        let own = living.own().to_owned();
        drop(living);
        assert!(!own.exists() && !lock_of(&own).exists() && root.join("logged").exists());
    }

    #[test]
    fn names_are_given_once() {
        let home = tempfile::tempdir().expect("a directory");
        let staging = Staging::open(home.path()).expect("opened");
        let first = staging.new_name().expect("named");
        assert_ne!(first, staging.new_name().expect("named"));
    }
}
