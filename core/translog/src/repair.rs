//! Replacing a log whose sync failed by a sound copy: same bytes, same offsets, same numbers, another file.
//!
//! The copy is written beside the log as `<log>.runlane-new`, synced, and renamed over it, so that at any moment one whole file
//! has the log's name. Bytes up to the last good sync, and those that memory had to let go of, come from the old file, everything
//! else from memory. What the old file cannot give any more stays zero, which readers skip, and count by the gap in numbers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::{Position, ReadEvent};
use crate::format::FILE_HEADER;
use crate::live::LiveLog;
use crate::reader::Reader;
use crate::storage::{Fs, LogFile, read_full_at, uninterrupted, write_all_at};

const PIECE_BYTES: usize = 1024 * 1024;
/// A piece that cannot be read is tried again in parts of this size.
const SECTOR_BYTES: usize = 4096;

/// The replacement of one log, to run on any thread; hand its outcome back to the writer.
#[derive(Debug)]
#[must_use = "the writer waits for the outcome of `run`"]
pub struct PendingRepair<S: Fs> {
    pub(crate) fs: S,
    pub(crate) path: PathBuf,
    pub(crate) live: LiveLog<S::File>,
    pub(crate) synced_len: u64,
    pub(crate) end: u64,
    pub(crate) last_num: u64,
    pub(crate) missing: u64,
}

/// How a [`PendingRepair`] went.
#[derive(Debug)]
#[must_use = "hand it to `Writer::complete_repair`"]
pub struct RepairOutcome {
    pub(crate) end: u64,
    pub(crate) result: io::Result<RepairReport>,
}

/// What the replacement of a log has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Bytes that could not be read from the old file.
    pub unreadable_bytes: u64,
    /// Records that are missing now and were not before.
    pub lost_records: u64,
}

impl<S: Fs> PendingRepair<S> {
    /// Blocks until the new file has the log's name, on stable storage.
    pub fn run(self) -> RepairOutcome {
        RepairOutcome {
            end: self.end,
            result: self.replace(),
        }
    }

    fn replace(&self) -> io::Result<RepairReport> {
        let mut name = self.path.clone().into_os_string();
        name.push(".runlane-new");
        let beside = PathBuf::from(name);
        let old = self.live.file();
        let new = Arc::new(uninterrupted(|| self.fs.create_replacement(&beside, &old))?);
        let copied = self.fill(&old, &new, &beside).and_then(|report| {
            uninterrupted(|| self.fs.rename(&beside, &self.path)).map(|()| report)
        });
        drop(old);
        match copied {
            Ok(report) => {
                // From here on this is the log, durable or not. The old file is closed: its descriptor is the directory's.
                self.live.replace(Arc::clone(&new), self.end);
                uninterrupted(|| new.sync_directory())?;
                Ok(report)
            }
            Err(error) => {
                if let Err(error) = self.fs.remove(&beside) {
                    tracing::debug!(%error, path = %beside.display(), "unfinished copy stays");
                }
                Err(error)
            }
        }
    }

    /// Copies everything and syncs it.
    fn fill(&self, old: &S::File, new: &Arc<S::File>, beside: &Path) -> io::Result<RepairReport> {
        let mut report = RepairReport::default();
        let memory_start = self.live.memory_start().min(self.end);
        let mut piece = vec![0; PIECE_BYTES];
        let mut offset = 0;
        while offset < memory_start {
            let count = usize::try_from(memory_start - offset)
                .unwrap_or(PIECE_BYTES)
                .min(PIECE_BYTES);
            report.unreadable_bytes += read_what_is_left(old, &mut piece[..count], offset);
            write_all_at(&**new, &piece[..count], offset).map_err(|(_, error)| error)?;
            offset += count as u64;
        }
        // Known whatever the old file says, and what readers tell a log by.
        write_all_at(&**new, &FILE_HEADER, 0).map_err(|(_, error)| error)?;
        while offset < self.end
            && let Some(mut piece) = self.live.piece(offset, PIECE_BYTES)
        {
            piece.truncate(usize::try_from(self.end - offset).unwrap_or(PIECE_BYTES));
            write_all_at(&**new, &piece, offset).map_err(|(_, error)| error)?;
            offset += piece.len() as u64;
        }
        uninterrupted(|| new.sync_data())?;
        if report.unreadable_bytes > 0 || memory_start > self.synced_len {
            let missing = missing_in(new, beside, self.last_num)?;
            report.lost_records = missing.saturating_sub(self.missing);
        }
        Ok(report)
    }
}

/// Fills `piece` from `file`, with zeros where that fails; how many bytes those are.
fn read_what_is_left<F: LogFile>(file: &F, piece: &mut [u8], offset: u64) -> u64 {
    if let Ok(count) = read_full_at(file, piece, offset)
        && count == piece.len()
    {
        return 0;
    }
    let mut unreadable = 0;
    for (index, sector) in piece.chunks_mut(SECTOR_BYTES).enumerate() {
        let at = offset + (index * SECTOR_BYTES) as u64;
        let count = read_full_at(file, sector, at).unwrap_or(0);
        sector[count..].fill(0);
        unreadable += (sector.len() - count) as u64;
    }
    unreadable
}

/// How many records up to number `last_num` are missing in the log that `file` is.
fn missing_in<F: LogFile>(file: &Arc<F>, path: &Path, last_num: u64) -> io::Result<u64> {
    let mut reader = Reader::new(Arc::clone(file), path.to_owned(), Position::START);
    loop {
        match reader.next_event() {
            Ok(ReadEvent::End(_)) => break,
            Ok(_) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    let behind = last_num.saturating_sub(reader.position().last_num);
    Ok(reader.stats().lost_records + behind)
}
