//! A writer's shelf: buffers that survive the process. The format is `runlane_model::shelf`'s.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use runlane_model::shelf::{
    self, FILE_BYTES, Header, Owner, SLOT_BYTES, SLOTS, SLOTS_OFFSET, TABLE_ENTRY_BYTES,
    TABLE_OFFSET,
};

use crate::sys::mapping::Mapping;

/// The shelf of one stream.
#[derive(Debug)]
pub(crate) struct Shelf {
    path: PathBuf,
    mapping: Mapping,
    /// One bit for each slot that is free.
    free: AtomicU32,
}

impl Shelf {
    /// Makes the shelf of the writer that spills to `spill_path`. Fails where there is no memory file system, or no room in it:
    /// everything works without a shelf too, only less cheaply.
    pub(crate) fn create(writer: u64, spill_path: &Path) -> io::Result<Arc<Self>> {
        let uid = rustix::process::geteuid().as_raw();
        Self::create_in(&shelf::directory_of(uid), writer, spill_path)
    }

    /// As `create`, in another directory.
    pub(crate) fn create_in(
        directory: &Path,
        writer: u64,
        spill_path: &Path,
    ) -> io::Result<Arc<Self>> {
        make_private(directory)?;
        let owner = Owner::of(std::process::id()).ok_or(io::ErrorKind::Unsupported)?;
        let header = Header {
            writer,
            owner,
            spill_path: spill_path.to_owned(),
        };
        let header = header.to_bytes().ok_or(io::ErrorKind::InvalidInput)?;
        let path = directory.join(format!("{writer:016x}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let made = (|| {
            // All of it now: a page that cannot be had later would kill the process.
            rustix::fs::fallocate(
                &file,
                rustix::fs::FallocateFlags::empty(),
                0,
                FILE_BYTES as u64,
            )?;
            let mapping = Mapping::of(&file, FILE_BYTES)?;
            mapping.write(0, &header);
            Ok(mapping)
        })();
        match made {
            Ok(mapping) => Ok(Arc::new(Self {
                path,
                mapping,
                free: AtomicU32::new((1 << SLOTS) - 1),
            })),
            Err(error) => {
                // Nobody would find a use for it.
                _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a free slot for entries from `first_seq` on.
    pub(crate) fn take(self: &Arc<Self>, first_seq: u64) -> Option<Slot> {
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            if free == 0 {
                return None;
            }
            let index = free.trailing_zeros();
            match self.free.compare_exchange_weak(
                free,
                free & !(1 << index),
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    let slot = Slot {
                        shelf: Arc::clone(self),
                        index,
                        entries: 0,
                        length: 0,
                    };
                    self.mapping.store(slot.table(), first_seq);
                    return Some(slot);
                }
                Err(now) => free = now,
            }
        }
    }

    /// Removes the file; the mapping stays as long as it is used.
    pub(crate) fn remove(&self) {
        // One that stays is empty, and removed by the next daemon.
        _ = std::fs::remove_file(&self.path);
    }
}

/// A buffer on a shelf. It is empty again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    shelf: Arc<Shelf>,
    index: u32,
    entries: u32,
    length: u32,
}

impl Slot {
    /// Bytes that fit.
    pub(crate) const CAPACITY: usize = SLOT_BYTES;

    /// Appends an entry; it survives the process from here on.
    #[inline]
    pub(crate) fn push(&mut self, entry: &[u8]) {
        let length = self.length as usize;
        assert!(
            entry.len() <= Self::CAPACITY - length,
            "callers ask for room first"
        );
        self.shelf.mapping.write(self.start() + length, entry);
        self.entries += 1;
        #[expect(clippy::cast_possible_truncation, reason = "at most the capacity")]
        let added = entry.len() as u32;
        self.length += added;
        let state = shelf::slot_state(self.entries, self.length);
        self.shelf.mapping.store(self.table() + 8, state);
    }

    /// The entries.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.shelf.mapping.slice(self.start(), self.length as usize)
    }

    fn start(&self) -> usize {
        SLOTS_OFFSET + self.index as usize * SLOT_BYTES
    }

    fn table(&self) -> usize {
        TABLE_OFFSET + self.index as usize * TABLE_ENTRY_BYTES
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shelf.mapping.store(self.table() + 8, 0);
        // Empty before the next owner's number and bytes are there.
        fence(Ordering::SeqCst);
        self.shelf.free.fetch_or(1 << self.index, Ordering::AcqRel);
    }
}

/// Makes the directory, or makes sure that the one that is there belongs to this user alone.
fn make_private(directory: &Path) -> io::Result<()> {
    let uid = rustix::process::geteuid().as_raw();
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(directory: &Path) -> io::Result<Arc<Shelf>> {
        Shelf::create_in(&directory.join("shelves"), 7, Path::new("/run/run-x.spill"))
    }

    #[test]
    fn entries_are_in_the_file_as_they_are_pushed_and_gone_with_their_slot() {
        let directory = tempfile::tempdir().expect("a directory");
        let shelf = made(directory.path()).expect("made");
        let read = || std::fs::read(shelf.path()).expect("read");
        let mut slot = shelf.take(5).expect("free");
        assert!(shelf::slots(&read()).is_empty());
        slot.push(b"one");
        slot.push(b"three");
        let file = read();
        let header = Header::parse(&file).expect("a shelf");
        assert_eq!(header.writer, 7);
        assert!(!header.owner.is_dead());
        let found = shelf::slots(&file);
        assert_eq!(
            (found.len(), found[0].first_seq, found[0].entries),
            (1, 5, 2)
        );
        assert_eq!(found[0].bytes, b"onethree");
        assert_eq!(slot.bytes(), b"onethree");
        drop(slot);
        assert!(shelf::slots(&read()).is_empty());
    }

    #[test]
    fn slots_run_out_and_come_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let shelf = made(directory.path()).expect("made");
        let mut taken: Vec<Slot> = (1..).map_while(|seq| shelf.take(seq)).take(100).collect();
        assert_eq!(taken.len(), SLOTS);
        taken.swap_remove(3);
        assert!(shelf.take(99).is_some());
    }

    #[test]
    fn a_directory_of_somebody_else_is_not_used() {
        let directory = tempfile::tempdir().expect("a directory");
        let shelves = directory.path().join("shelves");
        DirBuilder::new()
            .mode(0o755)
            .create(&shelves)
            .expect("made");
        std::fs::set_permissions(
            &shelves,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("open to all");
        assert_eq!(
            made(directory.path()).expect_err("refused").kind(),
            io::ErrorKind::PermissionDenied
        );
    }
}
