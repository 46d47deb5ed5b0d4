//! The seam to the file system, and its real implementation.
//!
//! The calls are those of POSIX, with their freedom to do less than asked: `write_at` may be short,
//! anything may fail with `Interrupted`. The helpers at the end deal with that in one place.
//!
//! Descriptors: a log that is open for writing holds two, the file and its directory. The second is needed for the first
//! sync, and gives its place to the file that replaces a log whose sync failed, so that a process that has run out
//! of descriptors can still do both.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use crate::claim::Claim;

/// A process out of descriptors waits this long for one, this often.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);
const DESCRIPTOR_TRIES: u32 = 50;

/// Positioned reads.
pub trait ReadAt {
    /// Reads into `buffer` from `offset` on; 0 means end of file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The present size in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// An open log file. Every call may block.
pub trait LogFile: ReadAt + Debug + Send + Sync + 'static {
    /// Writes the beginning of `buffer` at `offset`, returns how much.
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to `size` bytes and gives back what was reserved behind them.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Sets the disk space of bytes `from..to` aside for this file; its size stays. Fails as a full disk does, or with
    /// `Unsupported`.
    fn reserve(&self, from: u64, to: u64) -> io::Result<()>;

    /// `fdatasync`: content and size reach stable storage.
    fn sync_data(&self) -> io::Result<()>;

    /// `fsync` of the directory that names the file.
    fn sync_directory(&self) -> io::Result<()>;

    /// Whether `path` names this file; true if that cannot be told.
    fn is_at(&self, path: &Path) -> bool;
}

/// Opens log files.
pub trait Fs: Debug + Send + Sync {
    /// What it opens.
    type File: LogFile;

    /// Creates a file that must not exist yet, for reading and writing by this process alone.
    ///
    /// Fails with `AlreadyExists`, or `ResourceBusy` if someone else locked it first.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing by this process alone.
    ///
    /// Fails with `ResourceBusy` if another process holds it.
    fn open_exclusive(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading. At its end, the file that has replaced it goes on.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Creates the file at `path` that is to replace `old`, in place of any that was left there by an earlier attempt.
    fn create_replacement(&self, path: &Path, old: &Self::File) -> io::Result<Self::File>;

    /// Gives `from` the name `to`, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFs;

/// [`OsFs`] as it is on a file system without `flock`.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LocklessFs;

/// A file of [`OsFs`].
#[derive(Debug)]
pub struct OsFile {
    path: PathBuf,
    file: Handle,
    /// Held for the first sync and as a reserve.
    directory: Mutex<Option<File>>,
    /// What stands for a lock where there is none.
    _claim: Option<Claim>,
}

#[derive(Debug)]
enum Handle {
    Writing(File),
    /// Of a reader: replaced when the log is.
    Reading(Mutex<Arc<File>>),
}

impl OsFile {
    fn writing(path: &Path, file: File, locks: Locks, directory: Option<File>) -> io::Result<Self> {
        let claim = lock(&file, path, locks)?;
        Ok(Self {
            path: path.to_owned(),
            file: Handle::Writing(file),
            directory: Mutex::new(directory),
            _claim: claim,
        })
    }

    fn directory(&self) -> MutexGuard<'_, Option<File>> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, call: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match &self.file {
            Handle::Writing(file) => call(file),
            Handle::Reading(file) => call(&Arc::clone(&current(file))),
        }
    }

    /// Takes the file that has this one's name now, if it is another one; whether it is.
    fn follow(&self) -> io::Result<bool> {
        let Handle::Reading(file) = &self.file else {
            return Ok(false);
        };
        let Ok(named) = std::fs::metadata(&self.path) else {
            return Ok(false);
        };
        let held = Arc::clone(&current(file)).metadata()?;
        if (named.ino(), named.dev()) == (held.ino(), held.dev()) {
            return Ok(false);
        }
        let opened = open_regular(OpenOptions::new().read(true), &self.path)?;
        *current(file) = Arc::new(opened);
        Ok(true)
    }
}

fn current(file: &Mutex<Arc<File>>) -> MutexGuard<'_, Arc<File>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fs for OsFs {
    type File = OsFile;

    fn create_new(&self, path: &Path) -> io::Result<OsFile> {
        create_new(path, Locks::Kernel)
    }

    fn open_exclusive(&self, path: &Path) -> io::Result<OsFile> {
        open_exclusive(path, Locks::Kernel)
    }

    fn open(&self, path: &Path) -> io::Result<OsFile> {
        let file = open_regular(OpenOptions::new().read(true), path)?;
        Ok(OsFile {
            path: path.to_owned(),
            file: Handle::Reading(Mutex::new(Arc::new(file))),
            directory: Mutex::default(),
            _claim: None,
        })
    }

    fn create_replacement(&self, path: &Path, old: &OsFile) -> io::Result<OsFile> {
        remove_if_there(path)?;
        // Its descriptor is the one that the new file needs.
        old.directory().take();
        let file = create_file(path)?;
        OsFile::writing(path, file, Locks::Kernel, None)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

impl Fs for LocklessFs {
    type File = OsFile;

    fn create_new(&self, path: &Path) -> io::Result<OsFile> {
        create_new(path, Locks::None)
    }

    fn open_exclusive(&self, path: &Path) -> io::Result<OsFile> {
        open_exclusive(path, Locks::None)
    }

    fn open(&self, path: &Path) -> io::Result<OsFile> {
        OsFs.open(path)
    }

    fn create_replacement(&self, path: &Path, old: &OsFile) -> io::Result<OsFile> {
        OsFs.create_replacement(path, old)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFs.remove(path)
    }
}

impl ReadAt for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.with(|file| file.read_at(buffer, offset))?;
        if count == 0 && !buffer.is_empty() && self.follow()? {
            return self.with(|file| file.read_at(buffer, offset));
        }
        Ok(count)
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.metadata()?.len()))
    }
}

impl LogFile for OsFile {
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|file| file.write_at(buffer, offset))
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.with(|file| file.set_len(size))
    }

    fn reserve(&self, from: u64, to: u64) -> io::Result<()> {
        self.with(|file| {
            rustix::fs::fallocate(
                file,
                FallocateFlags::KEEP_SIZE,
                from,
                to.saturating_sub(from),
            )
            .map_err(io::Error::from)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(File::sync_data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut directory = self.directory();
        let directory = match &mut *directory {
            Some(directory) => directory,
            none => none.insert(open_directory(directory_of(&self.path))?),
        };
        match directory.sync_all() {
            // Some network file systems have no fsync for directories; there is nothing to wait for.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        let Ok(own) = self.with(File::metadata) else {
            return true;
        };
        match std::fs::metadata(path) {
            Ok(named) => (named.ino(), named.dev()) == (own.ino(), own.dev()),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Opens a directory, waiting a while for a descriptor: without one, a sync cannot even be tried.
fn open_directory(path: &Path) -> io::Result<File> {
    let mut tries = 0;
    loop {
        match File::open(path) {
            Err(error) if out_of_descriptors(&error) && tries < DESCRIPTOR_TRIES => {
                tries += 1;
                std::thread::sleep(DESCRIPTOR_PAUSE);
            }
            result => return result,
        }
    }
}

fn out_of_descriptors(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno == Some(Errno::MFILE) || errno == Some(Errno::NFILE)
}

fn create_file(path: &Path) -> io::Result<File> {
    // create_new: an existing log is never truncated or shared.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
}

fn create_new(path: &Path, locks: Locks) -> io::Result<OsFile> {
    let directory = File::open(directory_of(path))?;
    let file = create_file(path)?;
    OsFile::writing(path, file, locks, Some(directory))
}

fn open_exclusive(path: &Path, locks: Locks) -> io::Result<OsFile> {
    let file = open_regular(OpenOptions::new().read(true).write(true), path)?;
    let opened = file.metadata()?;
    let directory = File::open(directory_of(path))?;
    let file = OsFile::writing(path, file, locks, Some(directory))?;
    // Its owner may have replaced the log since it was opened, and has then let go of this one.
    let named = std::fs::metadata(path)?;
    if (named.ino(), named.dev()) == (opened.ino(), opened.dev()) {
        Ok(file)
    } else {
        Err(io::Error::from(io::ErrorKind::ResourceBusy))
    }
}

fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // NONBLOCK: opening a FIFO that nobody writes would wait forever.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("open flags fit in a C int");
    let file = options.custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !kind.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    Ok(file)
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What keeps two processes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locks {
    Kernel,
    None,
}

/// Makes this process the only writer; `ResourceBusy` if another one is.
fn lock(file: &File, path: &Path, locks: Locks) -> io::Result<Option<Claim>> {
    if locks == Locks::Kernel {
        match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(None),
            Err(Errno::WOULDBLOCK) => return Err(io::Error::from(io::ErrorKind::ResourceBusy)),
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "file system without locks");
            }
        }
    }
    Claim::on(path).map(Some)
}

/// Writes all of `buffer`; on failure says how many bytes are in the file.
pub(crate) fn write_all_at<F: LogFile>(
    file: &F,
    buffer: &[u8],
    offset: u64,
) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < buffer.len() {
        match file.write_at(&buffer[written..], offset + written as u64) {
            Ok(0) => return Err((written, io::Error::from(io::ErrorKind::WriteZero))),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_full_at<F: ReadAt>(
    file: &F,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Repeats `call` while it is interrupted.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
