//! Continuing a log that another process left behind.

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::event::{Position, ReadEvent, ReaderStats, Tail};
use crate::format::round_up_to_block;
use crate::reader::Reader;
use crate::storage::{Fs, LogFile, uninterrupted};
use crate::writer::Writer;

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
    /// `Locked` while another process writes it; `NotALog`, `UnsupportedVersion`: file untouched.
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
        let mut writer = match tail {
            // Damage may hide more than a torn write: nothing is cut off.
            Tail::Damaged { .. } => Self::at(path, file, round_up_to_block(size), next_num),
            Tail::Clean | Tail::Partial { .. } | Tail::Zeros { .. } => {
                // No complete file header yet: the first append writes it.
                let len = if size < end { 0 } else { end };
                let mut writer = Self::at(path, file, len, next_num);
                if len > 0 && size > len {
                    writer.set_torn(size);
                }
                writer
            }
        };
        if let Err(error) = writer.repair() {
            tracing::warn!(%error, path = %path.display(), "torn end of transaction log stays for now");
        }
        Ok((writer, Recovery { stats, tail }))
    }
}
