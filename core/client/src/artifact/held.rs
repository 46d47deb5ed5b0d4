//! A file of an artifact that is being made: staged, or left where the user has it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runlane_model::artifact::digest::{Algorithm, Digest};

use super::copying::{clone_file, copy_file};
use super::hashing::{Job, hash_file};
use super::staging::{Staging, StagingError};

/// Files up to this size are read at once, and hashed while they are in memory.
const SMALL_BYTES: u64 = 4 << 20;
/// Staged files are read-only, so that nobody changes them by mistake.
const MODE: u32 = 0o400;

/// A file with a digest that is known, or being found out.
pub(crate) struct Held {
    origin: Origin,
    /// Bytes.
    pub(crate) size: u64,
    /// The digest of those bytes.
    pub(crate) job: Arc<Job>,
}

enum Origin {
    Staged {
        home: Arc<Staging>,
        name: String,
        /// The daemon has the only link.
        is_given: AtomicBool,
    },
    Left {
        path: PathBuf,
        stamp: Stamp,
    },
}

/// Tells whether a file is what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            inode: found.ino(),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// A copy that is removed unless it is kept.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            drop(fs::remove_file(path));
        }
    }
}

/// Whether `path` is a file that is copied in one go.
pub(crate) fn is_small(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() <= SMALL_BYTES)
}

impl Held {
    /// Copies a file in and hashes it; a large one is hashed by other threads, which may go on after this returns. `going_on` is asked
    /// now and then.
    ///
    /// Errors: the file cannot be read or is none, the copy cannot be written, `going_on` said no.
    pub(crate) fn copied(
        home: &Arc<Staging>,
        source: &Path,
        algorithm: Algorithm,
        going_on: &dyn Fn() -> bool,
    ) -> Result<Self, StagingError> {
        let fault = StagingError::at(source);
        let (file, found) = open_regular(source).map_err(&fault)?;
        let name = home.new_name().map_err(&fault)?;
        let path = home.unlogged(&name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(MODE);
        let target = home
            .at_place(&name, |path| options.open(path))
            .map_err(StagingError::at(&path))?;
        let mut unfinished = Unfinished(Some(path.clone()));
        let (size, job) = fill(
            home,
            &file,
            found.len(),
            &target,
            &path,
            algorithm,
            going_on,
        )
        .map_err(&fault)?;
        unfinished.0 = None;
        Ok(Self::staged(home, name, size, job))
    }

    /// Takes over a file that was written into the own directory of `home`.
    pub(crate) fn adopted(
        home: &Arc<Staging>,
        written: &Path,
        algorithm: Algorithm,
    ) -> Result<Self, StagingError> {
        let fault = StagingError::at(written);
        let name = home.new_name().map_err(&fault)?;
        let path = home.unlogged(&name);
        fs::set_permissions(written, fs::Permissions::from_mode(MODE)).map_err(&fault)?;
        home.at_place(&name, |path| fs::rename(written, path))
            .map_err(&fault)?;
        let mut unfinished = Unfinished(Some(path.clone()));
        let size = fs::metadata(&path).map_err(&fault)?.len();
        let job = hashed(&path, size, algorithm).map_err(&fault)?;
        unfinished.0 = None;
        Ok(Self::staged(home, name, size, job))
    }

    /// Hashes a file where it is.
    pub(crate) fn left(source: &Path, algorithm: Algorithm) -> Result<Self, StagingError> {
        let fault = StagingError::at(source);
        let (_, found) = open_regular(source).map_err(&fault)?;
        let size = found.len();
        Ok(Self {
            origin: Origin::Left {
                path: source.to_owned(),
                stamp: Stamp::of(&found),
            },
            size,
            job: hashed(source, size, algorithm).map_err(&fault)?,
        })
    }

    fn staged(home: &Arc<Staging>, name: String, size: u64, job: Arc<Job>) -> Self {
        Self {
            origin: Origin::Staged {
                home: Arc::clone(home),
                name,
                is_given: AtomicBool::new(false),
            },
            size,
            job,
        }
    }

    /// Where the file is now.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.origin {
            Origin::Staged {
                home,
                name,
                is_given,
            } => {
                if is_given.load(Ordering::Relaxed) {
                    home.logged(name)
                } else {
                    home.unlogged(name)
                }
            }
            Origin::Left { path, .. } => path.clone(),
        }
    }

    /// Hands the file over to the daemon, whose it is from now on; returns where it is. Its digest is known.
    ///
    /// Errors: it is gone, or a file that was left in place has changed since it was added.
    pub(crate) fn hand_over(&self) -> Result<PathBuf, StagingError> {
        match &self.origin {
            Origin::Left { path, stamp } => {
                let fault = StagingError::at(path);
                let now = Stamp::of(&fs::metadata(path).map_err(&fault)?);
                if now != *stamp {
                    return Err(fault(io::Error::other(
                        "the file has changed since it was added with `policy=\"immutable\"`",
                    )));
                }
                Ok(path.clone())
            }
            Origin::Staged {
                home,
                name,
                is_given,
            } => {
                let from = self.path();
                let fault = StagingError::at(&from);
                let to = home.logged(&home.new_name().map_err(&fault)?);
                // The own link stays for another time: the daemon moves or removes what it is given. A process that was forked from
                // the owner leaves its file alone.
                match fs::hard_link(&from, &to) {
                    Err(error)
                        if error.kind() != io::ErrorKind::NotFound
                            && home.is_ours()
                            && !is_given.load(Ordering::Relaxed) =>
                    {
                        let to = home.logged(name);
                        fs::rename(&from, &to).map_err(&fault)?;
                        is_given.store(true, Ordering::Relaxed);
                        return Ok(to);
                    }
                    linked => linked.map_err(&fault)?,
                }
                Ok(to)
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.job.abandon();
        if let Origin::Staged {
            home,
            name,
            is_given,
        } = &self.origin
            && home.is_ours()
            && !is_given.load(Ordering::Relaxed)
        {
            drop(fs::remove_file(home.unlogged(name)));
        }
    }
}

/// Fills the copy; its size and digest.
fn fill(
    home: &Staging,
    file: &File,
    size: u64,
    target: &File,
    path: &Path,
    algorithm: Algorithm,
    going_on: &dyn Fn() -> bool,
) -> io::Result<(u64, Arc<Job>)> {
    if size > 0 && home.clones.load(Ordering::Relaxed) {
        if clone_file(file, target) {
            let size = target.metadata()?.len();
            return Ok((size, hashed(path, size, algorithm)?));
        }
        home.clones.store(false, Ordering::Relaxed);
    }
    let mut before = 0;
    if size <= SMALL_BYTES {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        // More than that if the file has grown under our hands: the rest is copied as that of a large one.
        file.take(SMALL_BYTES + 1).read_to_end(&mut content)?;
        let mut target = target;
        target.write_all(&content)?;
        before = content.len() as u64;
        if before <= SMALL_BYTES {
            let digest = Digest::of(algorithm, &content);
            return Ok((before, Job::done(algorithm, path.to_owned(), digest)));
        }
    }
    let job = Job::behind_a_copy(algorithm, path.to_owned());
    let copied = copy_file(file, target, |copied| {
        job.grown(before + copied);
        going_on()
    });
    match copied {
        Ok(copied) => {
            job.whole();
            Ok((before + copied, job))
        }
        Err(error) => {
            job.abandon();
            Err(error)
        }
    }
}

/// The digest of a file that is whole: at once if it is small.
fn hashed(path: &Path, size: u64, algorithm: Algorithm) -> io::Result<Arc<Job>> {
    Ok(if size <= SMALL_BYTES {
        Job::done(algorithm, path.to_owned(), hash_file(algorithm, path)?)
    } else {
        Job::of_file(algorithm, path.to_owned())
    })
}

/// Opens a regular file without waiting for anybody, should it be something else.
fn open_regular(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    if found.is_file() {
        Ok((file, found))
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LONG: Duration = Duration::from_mins(1);

    fn digest(held: &Held) -> Digest {
        held.job.wait(LONG).expect("in time").expect("hashed")
    }

    fn files_below(path: &Path) -> usize {
        let entries = fs::read_dir(path)
            .expect("read")
            .map(|entry| entry.expect("read").path());
        entries
            .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
            .sum()
    }

    fn world() -> (tempfile::TempDir, Arc<Staging>, PathBuf) {
        let home = tempfile::tempdir().expect("a directory");
        let staging = Staging::open(&home.path().join("staging")).expect("opened");
        let source = home.path().join("source");
        (home, Arc::new(staging), source)
    }

    #[test]
    fn a_copy_keeps_what_was_added() {
        let (_home, staging, source) = world();
        for size in [0, 5, 4 << 20, (4 << 20) + 1, (20 << 20) + 3] {
            let content: Vec<u8> = (0..size).map(|at: u32| at.to_le_bytes()[1]).collect();
            fs::write(&source, &content).expect("written");
            let held = Held::copied(&staging, &source, Algorithm::Md5, &|| true).expect("copied");
            fs::write(&source, "something else").expect("written");
            assert_eq!(held.size, u64::from(size));
            assert_eq!(
                digest(&held),
                Digest::of(Algorithm::Md5, &content),
                "{size}"
            );
            assert!(fs::read(held.path()).expect("read") == content, "{size}");
            let mode = fs::metadata(held.path())
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, MODE);
        }
    }

    #[test]
    fn what_is_not_handed_over_is_removed() {
        let (_home, staging, source) = world();
        fs::write(&source, "1").expect("written");
        let copied = |_| Held::copied(&staging, &source, Algorithm::Md5, &|| true).expect("copied");
        let [dropped, logged] = [1, 2].map(copied);
        let (gone, kept) = (dropped.path(), logged.hand_over().expect("handed over"));
        // What the daemon does with it once it is stored.
        fs::remove_file(&kept).expect("removed");
        let again = logged.hand_over().expect("handed over again");
        assert_ne!(again, kept);
        let own = logged.path();
        drop((dropped, logged));
        assert!(!gone.exists() && !own.exists() && again.exists());
    }

    #[test]
    fn a_copy_that_is_stopped_leaves_nothing() {
        let (_home, staging, source) = world();
        fs::write(&source, vec![1; (4 << 20) + 1]).expect("written");
        let stopped = Held::copied(&staging, &source, Algorithm::Md5, &|| false);
        let error = stopped.err().expect("stopped").source;
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert_eq!(files_below(staging.own()), 0);
    }

    #[test]
    fn a_file_that_is_left_must_not_change() {
        let (_home, _staging, source) = world();
        fs::write(&source, "1").expect("written");
        let held = Held::left(&source, Algorithm::Xxh128).expect("hashed");
        assert_eq!(digest(&held), Digest::of(Algorithm::Xxh128, b"1"));
        assert_eq!(held.hand_over().expect("unchanged"), source);
        fs::write(&source, "12").expect("written");
        let error = held.hand_over().expect_err("changed").to_string();
        assert!(error.contains("has changed"), "{error}");
        drop(held);
        assert!(source.exists());
    }

    #[test]
    fn only_regular_files_are_taken() {
        let (home, staging, _) = world();
        let error = Held::copied(&staging, home.path(), Algorithm::Md5, &|| true);
        assert!(
            error
                .err()
                .expect("a directory")
                .to_string()
                .contains("not a regular file")
        );
        assert_eq!(files_below(staging.own()), 0);
    }
}
