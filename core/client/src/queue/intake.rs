//! Where callers put their entries.
//!
//! Entries are appended to the open chunk under a lock that is held for one copy and never across I/O. The writer thread
//! swaps the chunk out. Chunks lie on the shelf while it has a free slot, else in memory; both come back after the
//! acknowledgement, so that nothing is allocated in a steady state.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::Budget;
use super::buffer::{BUFFER_BYTES, Buffer};
use super::loss::{Kind, Losses};
use crate::io::shelf::Shelf;

/// A chunk is sealed when the next entry would not fit; it makes one frame.
pub(crate) const CHUNK_BYTES: usize = BUFFER_BYTES;
/// Buffers kept for reuse, per stream.
const SPARE_BUFFERS: usize = 128;

/// Consecutive entries of one stream, encoded as the `entry` fields of a `Batch`.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Sequence number of the first entry.
    pub(crate) first_seq: u64,
    /// Number of entries.
    pub(crate) entries: u32,
    /// The entries.
    pub(crate) bytes: Buffer,
}

/// An entry that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Its sequence number.
    pub(crate) seq: u64,
    /// It survives the process already.
    pub(crate) is_safe: bool,
}

impl Chunk {
    /// Sequence number of the last entry.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.entries) - 1
    }
}

/// Why an entry was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The budget is used up.
    Full,
    /// The stream takes no more entries.
    Closed,
}

/// The entries of one stream that the writer thread has not seen yet.
pub(crate) struct Intake {
    inner: Mutex<Inner>,
}

struct Inner {
    shelf: Option<Arc<Shelf>>,
    open: Chunk,
    sealed: Vec<Chunk>,
    spare: Vec<Vec<u8>>,
    next_seq: u64,
    writer: u64,
    lost: u64,
    unmarked: Losses,
    is_marked: bool,
    closed: bool,
}

impl Intake {
    /// An empty intake of a writer; the first entry gets sequence number 1.
    pub(crate) fn new(writer: u64, shelf: Option<Arc<Shelf>>) -> Self {
        let slot = shelf.as_ref().and_then(|shelf| shelf.take(1));
        let bytes = slot.map_or_else(|| Vec::with_capacity(CHUNK_BYTES).into(), Buffer::Shelf);
        let open = Chunk {
            first_seq: 1,
            entries: 0,
            bytes,
        };
        let inner = Inner {
            shelf,
            open,
            sealed: Vec::new(),
            spare: Vec::new(),
            next_seq: 1,
            writer,
            lost: 0,
            unmarked: Losses::default(),
            is_marked: true,
            closed: false,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// Appends one entry.
    #[inline]
    pub(crate) fn append(&self, entry: &[u8], budget: &Budget) -> Result<Taken, Refused> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refused::Closed);
        }
        if !budget.take(entry.len()) {
            return Err(Refused::Full);
        }
        if !inner.is_marked {
            inner.mark_losses(budget);
        }
        let seq = inner.next_seq;
        inner.put(entry);
        Ok(Taken {
            seq,
            is_safe: inner.open.bytes.is_safe(),
        })
    }

    /// Counts an entry that could not be kept; returns how many there are now. A marker takes its place before the next one.
    pub(crate) fn count_lost(&self, kind: Kind) -> u64 {
        let mut inner = self.lock();
        inner.lost += 1;
        inner.unmarked.add(kind);
        inner.is_marked = false;
        inner.lost
    }

    /// Puts the marker of what was lost, if it is not there yet; it is small, and not refused for want of memory.
    pub(crate) fn mark_losses(&self, budget: &Budget) {
        self.lock().mark_losses(budget);
    }

    /// Entries that could not be kept so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Moves everything out, in order.
    pub(crate) fn take(&self, into: &mut Vec<Chunk>) {
        let mut inner = self.lock();
        into.append(&mut inner.sealed);
        if inner.open.entries > 0 {
            inner.seal(0);
            into.append(&mut inner.sealed);
        }
    }

    /// Says whether nothing waits here.
    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.sealed.is_empty() && inner.open.entries == 0
    }

    /// Whether everything that waits here survives the process.
    pub(crate) fn is_safe(&self) -> bool {
        let inner = self.lock();
        inner.open.bytes.is_safe() && inner.sealed.iter().all(|chunk| chunk.bytes.is_safe())
    }

    /// Where the shelf is, if there is one.
    pub(crate) fn shelf(&self) -> Option<Arc<Shelf>> {
        self.lock().shelf.clone()
    }

    /// Sequence number of the newest entry, 0 if there was none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.lock().next_seq - 1
    }

    /// Takes no entries from now on.
    pub(crate) fn close(&self, budget: &Budget) {
        let mut inner = self.lock();
        inner.mark_losses(budget);
        inner.closed = true;
    }

    /// Makes sure that so many buffers lie ready, with their pages mapped: a fault costs more than a call.
    pub(crate) fn stock(&self, wanted: usize) {
        let missing = wanted
            .min(SPARE_BUFFERS)
            .saturating_sub(self.lock().spare.len());
        if missing == 0 {
            return;
        }
        // Any byte but zero: zeroed memory is mapped only when it is written to.
        let mut made: Vec<Vec<u8>> = (0..missing).map(|_| vec![1; CHUNK_BYTES]).collect();
        self.recycle(&mut made);
    }

    /// Takes buffers back.
    pub(crate) fn recycle(&self, buffers: &mut Vec<Vec<u8>>) {
        let mut inner = self.lock();
        while inner.spare.len() < SPARE_BUFFERS
            && let Some(mut buffer) = buffers.pop()
        {
            if buffer.capacity() == CHUNK_BYTES {
                buffer.clear();
                inner.spare.push(buffer);
            }
        }
        drop(inner);
        buffers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    #[cold]
    fn mark_losses(&mut self, budget: &Budget) {
        self.is_marked = true;
        for entry in self.unmarked.take_entries(self.writer) {
            budget.force(entry.len());
            self.put(&entry);
        }
    }

    #[inline]
    fn put(&mut self, entry: &[u8]) {
        if !self.open.bytes.has_room(entry.len()) {
            self.seal(entry.len());
        }
        self.open.bytes.push(entry);
        self.open.entries += 1;
        self.next_seq += 1;
    }

    /// Seals the open chunk and opens one with room for `bytes`.
    #[cold]
    fn seal(&mut self, bytes: usize) {
        let next = Chunk {
            first_seq: self.next_seq,
            entries: 0,
            bytes: self.buffer(bytes),
        };
        let full = mem::replace(&mut self.open, next);
        if full.entries > 0 {
            self.sealed.push(full);
        }
    }

    fn buffer(&mut self, bytes: usize) -> Buffer {
        if bytes > CHUNK_BYTES {
            return Vec::with_capacity(bytes).into();
        }
        let slot = self
            .shelf
            .as_ref()
            .and_then(|shelf| shelf.take(self.next_seq));
        if let Some(slot) = slot {
            return Buffer::Shelf(slot);
        }
        let spare = self.spare.pop();
        spare
            .unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(taken: Result<Taken, Refused>) -> Result<u64, Refused> {
        taken.map(|taken| taken.seq)
    }

    #[test]
    fn entries_come_out_in_order_with_dense_numbers() {
        let budget = Budget::new(usize::MAX);
        let intake = Intake::new(1, None);
        let big = vec![7; CHUNK_BYTES / 2 + 1];
        for entry in [&b"a"[..], &b"b"[..], &big, &big] {
            intake.append(entry, &budget).expect("room");
        }
        let mut chunks = Vec::new();
        intake.take(&mut chunks);
        let shape: Vec<(u64, u32)> = chunks
            .iter()
            .map(|chunk| (chunk.first_seq, chunk.entries))
            .collect();
        assert_eq!(shape, [(1, 3), (4, 1)]);
        assert!(intake.is_empty());
        assert_eq!(number(intake.append(b"c", &budget)), Ok(5));
        assert_eq!(budget.used(), 3 + 2 * big.len());
    }

    #[test]
    fn an_entry_larger_than_a_chunk_gets_its_own() {
        let budget = Budget::new(usize::MAX);
        let intake = Intake::new(1, None);
        intake.append(b"a", &budget).expect("room");
        intake
            .append(&vec![1; CHUNK_BYTES * 3], &budget)
            .expect("room");
        intake.append(b"b", &budget).expect("room");
        let mut chunks = Vec::new();
        intake.take(&mut chunks);
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[2].last_seq(), 3);
    }

    #[test]
    fn a_refused_entry_takes_no_number() {
        let budget = Budget::new(1);
        let intake = Intake::new(1, None);
        assert_eq!(intake.append(b"ab", &budget), Err(Refused::Full));
        assert_eq!(number(intake.append(b"a", &budget)), Ok(1));
        intake.close(&budget);
        assert_eq!(intake.append(b"", &budget), Err(Refused::Closed));
    }

    #[test]
    fn one_marker_stands_where_entries_were_lost() {
        let budget = Budget::new(1);
        let intake = Intake::new(7, None);
        assert_eq!(number(intake.append(b"a", &budget)), Ok(1));
        for count in 1..=3 {
            assert_eq!(intake.append(b"b", &budget), Err(Refused::Full));
            assert_eq!(intake.count_lost(Kind::History), count);
        }
        budget.give(1);
        assert_eq!(
            number(intake.append(b"c", &budget)),
            Ok(3),
            "the marker has number 2"
        );
        intake.count_lost(Kind::Console);
        intake.close(&budget);
        let mut chunks = Vec::new();
        intake.take(&mut chunks);
        assert_eq!((chunks.len(), chunks[0].entries), (1, 4));
        assert_eq!(intake.lost(), 4);
        assert_eq!(budget.used(), chunks[0].bytes.len() - 1);
    }

    #[test]
    fn buffers_are_reused() {
        let budget = Budget::new(usize::MAX);
        let intake = Intake::new(1, None);
        let mut chunks = Vec::new();
        intake.append(b"a", &budget).expect("room");
        intake.take(&mut chunks);
        let address = chunks[0].bytes.bytes().as_ptr();
        intake.recycle(&mut chunks.remove(0).bytes.recycled().into_iter().collect());
        for _ in 0..2 {
            intake.append(b"a", &budget).expect("room");
            intake.take(&mut chunks);
        }
        assert!(
            chunks
                .iter()
                .any(|chunk| chunk.bytes.bytes().as_ptr() == address)
        );
    }
}
