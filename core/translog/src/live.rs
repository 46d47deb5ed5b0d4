//! The log as its writing process knows it: the file, and the end of the log that is kept in memory.
//!
//! ```text
//!      0                 start      synced      file_len       end
//!      |---- file only ----|---- file and memory ----|- memory -|
//! ```
//!
//! Invariants: the bytes of `memory` stand at file offsets `start..end`; the file holds the bytes up to `file_len`, which
//! may lie within a record; what a sync has not covered, or the file does not hold, is in memory, but for unsynced bytes beyond
//! [`MAX_UNSYNCED_BYTES`] that the file holds; `start` is the beginning of a block if it could be read, so that a file
//! that cannot be read before it costs nothing in memory; `end` is a record boundary.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::format::{block_start, offset_in_block};
use crate::storage::{LogFile, OsFile, ReadAt, read_full_at};
use crate::sync_policy::MAX_UNSYNCED_BYTES;

/// Reads a log through its writer, as far as records were appended: also those that a full disk does not take yet, and
/// those in the file that has replaced one whose sync failed. Needs no descriptor.
#[derive(Debug)]
pub struct LiveLog<F: LogFile = OsFile> {
    inner: Arc<Mutex<Inner<F>>>,
}

impl<F: LogFile> Clone for LiveLog<F> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

#[derive(Debug)]
struct Inner<F> {
    file: Arc<F>,
    file_len: u64,
    start: u64,
    memory: VecDeque<u8>,
    /// Size of the last batch: kept whole until it is synced.
    last_batch: u64,
}

impl<F: LogFile> LiveLog<F> {
    /// A log of which `file` holds `len` bytes.
    pub(crate) fn new(file: Arc<F>, len: u64) -> Self {
        let mut start = block_start(len);
        let mut block = vec![0; offset_in_block(len)];
        match read_full_at(&*file, &mut block, start) {
            Ok(count) if count == block.len() => {}
            _ => {
                block.clear();
                start = len;
            }
        }
        Self {
            inner: Arc::new(Mutex::new(Inner {
                file,
                file_len: len,
                start,
                memory: block.into(),
                last_batch: 0,
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<F>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn file(&self) -> Arc<F> {
        Arc::clone(&self.lock().file)
    }

    /// Bytes of the log that the file holds.
    pub(crate) fn file_len(&self) -> u64 {
        self.lock().file_len
    }

    /// Where the bytes in memory begin.
    pub(crate) fn memory_start(&self) -> u64 {
        self.lock().start
    }

    /// Bytes that only memory holds.
    pub(crate) fn backlog(&self) -> u64 {
        let inner = self.lock();
        inner.end() - inner.file_len
    }

    /// Adds a batch at the end, of which the file has taken the first `written` bytes.
    pub(crate) fn push(&self, batch: &[u8], written: u64) {
        let mut inner = self.lock();
        debug_assert!(written == 0 || inner.file_len == inner.end());
        inner.memory.extend(batch);
        inner.file_len += written;
        inner.last_batch = batch.len() as u64;
        inner.trim();
    }

    /// A copy of at most `limit` bytes in memory from `offset` on; `None` if there are none.
    pub(crate) fn piece(&self, offset: u64, limit: usize) -> Option<Vec<u8>> {
        let inner = self.lock();
        let mut piece = vec![0; inner.memory_from(offset).min(limit)];
        inner.copy(&mut piece, offset);
        (!piece.is_empty()).then_some(piece)
    }

    /// The file has taken `count` bytes of the backlog.
    pub(crate) fn wrote(&self, count: u64) {
        let mut inner = self.lock();
        inner.file_len += count;
        debug_assert!(inner.file_len <= inner.end());
        inner.trim();
    }

    /// Lets go of what a sync has covered.
    pub(crate) fn release(&self, synced_len: u64) {
        let mut inner = self.lock();
        inner.let_go_before(synced_len);
        inner.trim();
        let limit = usize::try_from(MAX_UNSYNCED_BYTES).expect("a mebibyte fits in memory");
        if inner.memory.capacity() > 2 * limit {
            inner.memory.shrink_to(limit);
        }
    }

    /// Forgets everything from `end` on, which the file may hold already.
    pub(crate) fn rewind(&self, end: u64) {
        let mut inner = self.lock();
        let kept = usize::try_from(end.saturating_sub(inner.start)).unwrap_or(usize::MAX);
        inner.memory.truncate(kept);
        inner.start = inner.start.min(end);
        inner.file_len = inner.file_len.min(end);
        inner.last_batch = 0;
    }

    /// Goes on with `file`, which holds `len` bytes of the log.
    pub(crate) fn replace(&self, file: Arc<F>, len: u64) {
        let mut inner = self.lock();
        inner.file = file;
        inner.file_len = inner.file_len.max(len);
    }
}

impl<F> Inner<F> {
    fn end(&self) -> u64 {
        self.start + self.memory.len() as u64
    }

    /// How many bytes of memory there are from `offset` on.
    fn memory_from(&self, offset: u64) -> usize {
        debug_assert!(offset >= self.start);
        usize::try_from(self.end().saturating_sub(offset)).unwrap_or(usize::MAX)
    }

    /// Fills `out` with the bytes in memory from `offset` on.
    fn copy(&self, out: &mut [u8], offset: u64) {
        let from = usize::try_from(offset - self.start).expect("memory is addressable");
        let (left, right) = self.memory.as_slices();
        let from_left = left.get(from..).unwrap_or(&[]);
        let split = from_left.len().min(out.len());
        out[..split].copy_from_slice(&from_left[..split]);
        let from = from.saturating_sub(left.len());
        let rest = &mut out[split..];
        let length = rest.len();
        rest.copy_from_slice(&right[from..from + length]);
    }

    /// Lets go of old bytes that the file holds, beyond what is kept of them until their sync.
    fn trim(&mut self) {
        let kept = MAX_UNSYNCED_BYTES.max(self.last_batch);
        self.let_go_before(self.file_len.saturating_sub(kept));
    }

    fn let_go_before(&mut self, offset: u64) {
        let offset = block_start(offset.min(self.file_len));
        if offset > self.start {
            let count = usize::try_from(offset - self.start).expect("memory is addressable");
            self.memory.drain(..count);
            self.start = offset;
        }
    }
}

impl<F: LogFile> ReadAt for LiveLog<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.lock();
        if offset >= inner.file_len {
            let count = usize::try_from(inner.end().saturating_sub(offset))
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            if count > 0 {
                inner.copy(&mut buffer[..count], offset);
            }
            return Ok(count);
        }
        let file = Arc::clone(&inner.file);
        let in_file = inner.file_len - offset;
        drop(inner);
        let count = usize::try_from(in_file)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        file.read_at(&mut buffer[..count], offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.lock().end())
    }
}
