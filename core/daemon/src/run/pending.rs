//! The pending file: calls of a row that is still open, kept so that killing the daemon loses none of them.
//!
//! Layout, little-endian: magic `RLPEND1\n`, then frames:
//!
//! ```text
//! 4 bytes  u32 payload length, at most 32 MiB
//! 4 bytes  u32 CRC-32 (IEEE) over the rest of the header and the payload
//! 8 bytes  u64 writer
//! 8 bytes  u64 sequence number
//! n bytes  payload: one `PartialHistoryRequest`
//! ```
//!
//! Invariants: a call is acknowledged only when its row is in the log or its frame is here; a frame whose number is not
//! above that of the writer's last logged row is stale. The file is only appended to, emptied when no row is open, and
//! replaced by a rename when it holds much that is stale.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::encode::Mark;
use super::state::OpenCalls;

const MAGIC: &[u8; 8] = b"RLPEND1\n";
const HEADER_BYTES: usize = 24;
const MAX_PAYLOAD_BYTES: usize = 32 << 20;
/// Stale bytes that are left in the file before it is replaced.
const STALE_BYTES: u64 = 1 << 20;

/// The pending file of one run; created when a row first stays open.
#[derive(Debug)]
pub(crate) struct PendingFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    /// Written since the last look of [`PendingFile::take_written`].
    written: u64,
    /// The directory does not durably name this file yet.
    is_unnamed: bool,
}

impl PendingFile {
    /// The file beside `log`; nothing is touched yet.
    pub(crate) fn beside(log: &Path) -> Self {
        Self {
            path: path_of(log),
            file: None,
            bytes: 0,
            written: 0,
            is_unnamed: false,
        }
    }

    /// Brings the file up to the open row. In the page cache when it returns.
    pub(crate) fn save(&mut self, open: &mut OpenCalls) -> io::Result<()> {
        if open.calls.is_empty() {
            if open.stale {
                if let Some(file) = &self.file {
                    file.set_len(MAGIC.len() as u64)?;
                    self.bytes = MAGIC.len() as u64;
                }
                open.stale = false;
            }
            return Ok(());
        }
        if open.saved == open.calls.len() {
            return Ok(());
        }
        if open.stale && self.bytes > STALE_BYTES {
            return self.replace(open);
        }
        let mut frames = Vec::new();
        if self.file.is_none() {
            self.file = Some(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&self.path)?,
            );
            // A file that is there already was read before: its calls are open again and saved anew.
            self.is_unnamed = true;
            self.bytes = self
                .file
                .as_ref()
                .map_or(Ok(0), |file| file.metadata().map(|data| data.len()))?;
            if self.bytes == 0 {
                frames.extend_from_slice(MAGIC);
            }
        }
        put_frames(&mut frames, &open.calls[open.saved..]);
        if let Some(file) = &mut self.file {
            file.write_all(&frames)?;
            self.bytes += frames.len() as u64;
            self.written += frames.len() as u64;
        }
        open.saved = open.calls.len();
        open.stale = false;
        Ok(())
    }

    /// Bytes that were written since it was asked before: they wait for a sync, as those of the log do.
    pub(crate) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// `fdatasync`, and `fsync` of the directory behind a new file.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        file.sync_data()?;
        if self.is_unnamed {
            if let Some(directory) = self.path.parent() {
                File::open(directory)?.sync_all()?;
            }
            self.is_unnamed = false;
        }
        Ok(())
    }

    /// Removes the file; a run that has ended has no open row.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        self.bytes = 0;
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn replace(&mut self, open: &mut OpenCalls) -> io::Result<()> {
        let temporary = self.path.with_extension("runlane-pending-new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&temporary)?;
        let mut bytes = MAGIC.to_vec();
        put_frames(&mut bytes, &open.calls);
        file.write_all(&bytes)?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = Some(OpenOptions::new().append(true).open(&self.path)?);
        self.bytes = bytes.len() as u64;
        self.written += self.bytes;
        self.is_unnamed = true;
        open.saved = open.calls.len();
        open.stale = false;
        Ok(())
    }
}

/// The calls in the pending file beside `log`, in order; empty if there is none. Stops at the first torn frame.
pub(crate) fn read(log: &Path) -> io::Result<Vec<(Mark, Vec<u8>)>> {
    let bytes = match std::fs::read(path_of(log)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    Ok(frames_of(&bytes))
}

/// The path of the pending file of a log.
pub(crate) fn path_of(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".runlane-pending");
    PathBuf::from(name)
}

fn put_frames(out: &mut Vec<u8>, calls: &[(Mark, Box<[u8]>)]) {
    for (mark, payload) in calls {
        let mut rest = Vec::with_capacity(16);
        rest.extend_from_slice(&mark.writer.to_le_bytes());
        rest.extend_from_slice(&mark.seq.to_le_bytes());
        // Frames of the socket bound an entry to 32 MiB.
        out.extend_from_slice(
            &u32::try_from(payload.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        out.extend_from_slice(&checksum(&rest, payload).to_le_bytes());
        out.extend_from_slice(&rest);
        out.extend_from_slice(payload);
    }
}

fn frames_of(bytes: &[u8]) -> Vec<(Mark, Vec<u8>)> {
    let mut found = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return found;
    };
    while let Some((header, behind)) = rest.split_at_checked(HEADER_BYTES) {
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let length = word(0) as usize;
        if length > MAX_PAYLOAD_BYTES {
            break;
        }
        let Some((payload, next)) = behind.split_at_checked(length) else {
            break;
        };
        if word(4) != checksum(&header[8..], payload) {
            break;
        }
        found.push((
            Mark {
                writer: long(8),
                seq: long(16),
            },
            payload.to_vec(),
        ));
        rest = next;
    }
    found
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(seq: u64) -> Mark {
        Mark {
            writer: 0xfeed_beef_0000_0001,
            seq,
        }
    }

    #[test]
    fn calls_read_back_until_their_row_is_committed() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("run-x.wandb");
        let mut file = PendingFile::beside(&log);
        let mut open = OpenCalls::default();
        file.save(&mut open).expect("nothing to do");
        assert!(!path_of(&log).exists());
        open.calls.push((mark(1), Box::from(*b"one")));
        file.save(&mut open).expect("saved");
        open.calls.push((mark(2), Box::from(*b"two")));
        file.save(&mut open).expect("saved");
        let found = read(&log).expect("readable");
        assert_eq!(
            found,
            [(mark(1), b"one".to_vec()), (mark(2), b"two".to_vec())]
        );

        open.calls.clear();
        open.saved = 0;
        open.stale = true;
        file.save(&mut open).expect("emptied");
        assert_eq!(read(&log).expect("readable"), []);
        file.remove().expect("removed");
        assert!(!path_of(&log).exists());
    }

    #[test]
    fn a_file_full_of_stale_calls_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("run-x.wandb");
        let mut file = PendingFile::beside(&log);
        let mut open = OpenCalls::default();
        open.calls.push((mark(1), vec![7; 2 << 20].into()));
        file.save(&mut open).expect("saved");
        open.calls.clear();
        open.saved = 0;
        open.stale = true;
        open.calls.push((mark(2), Box::from(*b"small")));
        file.save(&mut open).expect("saved");
        assert!(std::fs::metadata(path_of(&log)).expect("there").len() < 100);
        assert_eq!(
            read(&log).expect("readable"),
            [(mark(2), b"small".to_vec())]
        );
    }

    #[test]
    fn torn_and_damaged_frames_end_the_file() {
        let mut bytes = MAGIC.to_vec();
        put_frames(
            &mut bytes,
            &[(mark(1), Box::from(*b"one")), (mark(2), Box::from(*b"two"))],
        );
        assert_eq!(frames_of(&bytes[..bytes.len() - 1]).len(), 1);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(frames_of(&bytes).len(), 1);
        assert_eq!(frames_of(b"something else").len(), 0);
    }
}
