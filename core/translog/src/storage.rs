//! The seam to the file system, and its real implementation.
//!
//! The calls are those of POSIX, with their freedom to do less than asked: `write_at` may be short,
//! anything may fail with `Interrupted`. The helpers at the end deal with that in one place.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

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

    /// Cuts the file to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// `fdatasync`: content and size reach stable storage.
    fn sync_data(&self) -> io::Result<()>;

    /// `fsync` of the directory that names the file.
    fn sync_directory(&self) -> io::Result<()>;
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

    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
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

/// A file of [`OsFs`].
#[derive(Debug)]
pub struct OsFile {
    file: File,
    path: PathBuf,
}

impl Fs for OsFs {
    type File = OsFile;

    fn create_new(&self, path: &Path) -> io::Result<OsFile> {
        // create_new: an existing log is never truncated or shared.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        lock(&file, path)?;
        Ok(OsFile {
            file,
            path: path.to_owned(),
        })
    }

    fn open_exclusive(&self, path: &Path) -> io::Result<OsFile> {
        let file = open_regular(OpenOptions::new().read(true).write(true), path)?;
        lock(&file, path)?;
        Ok(OsFile {
            file,
            path: path.to_owned(),
        })
    }

    fn open(&self, path: &Path) -> io::Result<OsFile> {
        let file = open_regular(OpenOptions::new().read(true), path)?;
        Ok(OsFile {
            file,
            path: path.to_owned(),
        })
    }
}

impl ReadAt for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl LogFile for OsFile {
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buffer, offset)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_directory(&self) -> io::Result<()> {
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match File::open(parent)?.sync_all() {
            // Some network file systems have no fsync for directories; there is nothing to wait for.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
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

fn lock(file: &File, path: &Path) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::from(io::ErrorKind::ResourceBusy)),
        // A file system without locks: O_EXCL at creation is then the only guard.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, path = %path.display(), "transaction log cannot be locked");
            Ok(())
        }
    }
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
