//! Continuing a log that another process left behind.

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::event::{Position, ReadEvent, ReaderStats, Tail};
use crate::format::{FILE_HEADER, FIRST_CHUNK_OFFSET, round_up_to_block};
use crate::reader::Reader;
use crate::storage::{Fs, LogFile, uninterrupted, write_all_at};
use crate::writer::{Writer, clear_end};

/// What [`Writer::open_append`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// What the log held.
    pub stats: ReaderStats,
    /// How it ended. A torn or zero-filled end was cut off; a damaged one stays, and records go on
    /// in the next block.
    pub tail: Tail,
}

impl<F: LogFile> Writer<F> {
    /// Opens an existing log for appending behind its last intact record; numbers continue.
    ///
    /// Reads the whole file. `synced_len` starts at 0, for nobody knows what was synced: sync once
    /// before claiming that earlier records are durable.
    ///
    /// # Errors
    ///
    /// `Locked` while another process writes it; `NotALog`, `UnsupportedVersion`: file untouched; `Append` if its end cannot
    /// be put in order.
    pub fn open_append<S: Fs<File = F>>(fs: &S, path: &Path) -> Result<(Self, Recovery), Error> {
        let file = uninterrupted(|| fs.open_exclusive(path)).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                std::io::ErrorKind::ResourceBusy => Error::Locked { path },
                _ => Error::Open { path, source },
            }
        })?;
        let file = Arc::new(file);
        let mut reader = Reader::new(Arc::clone(&file), path.to_owned(), Position::START);
        let tail = loop {
            if let ReadEvent::End(tail) = reader.next_event()? {
                break tail;
            }
        };
        let stats = reader.stats();
        let Position {
            offset: end,
            last_num,
        } = reader.position();
        // Logs of old clients have no numbers: count their records instead.
        let next_num = last_num.max(stats.records) + 1;
        let size = uninterrupted(|| file.size()).map_err(|source| {
            let path = path.to_owned();
            Error::Read {
                path,
                offset: end,
                source,
            }
        })?;
        let append_error = |source| Error::Append {
            path: path.to_owned(),
            source,
        };
        let len = match tail {
            // Damage may hide more than a torn write: nothing is cut off.
            Tail::Damaged { .. } => round_up_to_block(size),
            // No complete file header yet. It overwrites whatever part of it is there.
            _ if size < end => {
                write_all_at(&*file, &FILE_HEADER, 0).map_err(|(_, error)| append_error(error))?;
                FIRST_CHUNK_OFFSET
            }
            // Space that a dead process reserved is given back as well.
            Tail::Clean | Tail::Partial { .. } | Tail::Zeros { .. } => {
                clear_end(&*file, end, size).map_err(append_error)?
            }
        };
        let last = Position {
            offset: len,
            last_num: next_num - 1,
        };
        let writer = Self::at(path, file, last, stats.lost_records);
        Ok((writer, Recovery { stats, tail }))
    }
}
