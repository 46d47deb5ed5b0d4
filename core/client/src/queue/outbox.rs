//! What happens to a chunk between the intake and its acknowledgement. No I/O, no clock of its own.
//!
//! Chunks stand in a line, named by dense ids. Three marks divide it, each only moving forward but for a lost connection:
//!
//! ```text
//! base: first chunk that is not acknowledged (everything before is forgotten)
//! next: first chunk that the socket has not taken whole
//! unspilled: first chunk that is not in the spill file
//! ```
//!
//! Invariants: the spill file holds the chunks `[some acknowledged one, unspilled)` in order; a chunk without bytes in memory is
//! in the file; bytes leave memory only by acknowledgement or because they are in the file.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::buffer::Buffer;
use super::intake::Chunk;
use super::loss;

/// What the socket has not taken this long after the call goes to the spill file.
pub(crate) const SOCKET_GRACE: Duration = Duration::from_millis(3);
/// What the daemon has not acknowledged this long after the call goes there too: it is busy or stopped, and what is in the
/// socket would die with it.
pub(crate) const ACK_GRACE: Duration = Duration::from_millis(10);
/// What lies on the shelf survives the process; only a daemon that does nothing at all for so long makes it move on, so that
/// the shelf has room.
pub(crate) const SHELF_GRACE: Duration = Duration::from_millis(250);
/// Chunks behind `next` that stay in memory although they are in the file.
const KEPT_AHEAD: u64 = 8;

/// The chunks of one stream that are not acknowledged.
pub(crate) struct Outbox {
    writer: u64,
    held: VecDeque<Held>,
    base: u64,
    next: u64,
    unspilled: u64,
    logged: u64,
    last_seq: u64,
}

struct Held {
    first_seq: u64,
    entries: u32,
    len: usize,
    bytes: Option<Buffer>,
    taken_at: Instant,
    place: Option<u64>,
}

impl Held {
    /// Whether it survives the process where it is.
    fn is_safe(&self) -> bool {
        self.bytes.as_ref().is_some_and(Buffer::is_safe)
    }

    fn grace(&self, hasty: Duration) -> Duration {
        if self.is_safe() { SHELF_GRACE } else { hasty }
    }
}

/// A chunk in the spill file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Id of the chunk.
    pub(crate) id: u64,
    /// Where its frame is in the file.
    pub(crate) place: u64,
    /// Bytes of its entries.
    pub(crate) len: usize,
}

impl Outbox {
    /// An empty line of a writer.
    pub(crate) fn new(writer: u64) -> Self {
        Self {
            writer,
            held: VecDeque::new(),
            base: 0,
            next: 0,
            unspilled: 0,
            logged: 0,
            last_seq: 0,
        }
    }

    /// Adds a chunk at the end.
    pub(crate) fn push(&mut self, chunk: Chunk, now: Instant) {
        debug_assert_eq!(chunk.first_seq, self.last_seq + 1, "numbers are dense");
        self.last_seq = chunk.last_seq();
        self.held.push_back(Held {
            first_seq: chunk.first_seq,
            entries: chunk.entries,
            len: chunk.bytes.len(),
            bytes: Some(chunk.bytes),
            taken_at: now,
            place: None,
        });
    }

    /// Everything up to `logged` is safe with the daemon. Forgets it; returns the buffers.
    pub(crate) fn acknowledge(&mut self, logged: u64, budget: &Budget, buffers: &mut Vec<Vec<u8>>) {
        self.logged = self.logged.max(logged.min(self.last_seq));
        while let Some(front) = self.held.front()
            && front.first_seq + u64::from(front.entries) - 1 <= self.logged
        {
            if let Some(bytes) = self.held.pop_front().and_then(|held| held.bytes) {
                budget.give(bytes.len());
                buffers.extend(bytes.recycled());
            }
            self.base += 1;
        }
        self.next = self.next.max(self.base);
        self.unspilled = self.unspilled.max(self.base);
    }

    /// The connection is gone: what is not acknowledged has to be sent again.
    pub(crate) fn disconnected(&mut self) {
        self.next = self.base;
    }

    /// The id of the next chunk to send.
    pub(crate) fn next_id(&self) -> Option<u64> {
        (self.next < self.end()).then_some(self.next)
    }

    /// The chunk `id` as it is sent: first sequence number and entries. `None` if it has to be read back first.
    pub(crate) fn chunk(&self, id: u64) -> Option<(u64, &[u8])> {
        let held = self.get(id)?;
        Some((held.first_seq, held.bytes.as_ref()?.bytes()))
    }

    /// The socket has taken chunk `id` whole.
    pub(crate) fn sent(&mut self, id: u64) {
        if id == self.next {
            self.next += 1;
        }
    }

    /// The next chunk to send, if it is only in the file.
    pub(crate) fn to_read(&self) -> Option<Stored> {
        let held = self.get(self.next)?;
        let place = held.place?;
        held.bytes.is_none().then_some(Stored {
            id: self.next,
            place,
            len: held.len,
        })
    }

    /// Chunk `id` was read back; `None` if the file has lost it. Returns the number of entries lost with it.
    ///
    /// A lost chunk becomes a loss marker and empty entries: numbers stay dense.
    pub(crate) fn read(&mut self, id: u64, bytes: Option<Vec<u8>>, budget: &Budget) -> u64 {
        let writer = self.writer;
        let Some(held) = self.get_mut(id) else {
            return 0;
        };
        let lost = if bytes.is_none() {
            u64::from(held.entries)
        } else {
            0
        };
        let bytes =
            bytes.unwrap_or_else(|| loss::in_place_of(writer, held.first_seq, held.entries));
        budget.force(bytes.len());
        held.len = bytes.len();
        held.bytes = Some(bytes.into());
        lost
    }

    /// When the next chunk has to go to the spill file, if nothing else happens.
    pub(crate) fn spill_due(&self) -> Option<Instant> {
        let front = self.get(self.unspilled)?;
        let unacknowledged = front.taken_at + front.grace(ACK_GRACE);
        // What is on the shelf has time; a chunk behind it may not, and the file is in order.
        let hasty = |from: u64, grace: Duration| {
            let index = usize::try_from(from.checked_sub(self.base)?).ok()?;
            let mut behind = self.held.iter().skip(index);
            Some(behind.find(|held| !held.is_safe())?.taken_at + grace)
        };
        let waiting = hasty(self.next.max(self.unspilled), SOCKET_GRACE);
        let sent = hasty(self.unspilled, ACK_GRACE);
        [Some(unacknowledged), waiting, sent]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next chunk to append to the spill file: id, first sequence number, number of entries, entries.
    pub(crate) fn to_spill(&self) -> Option<(u64, u64, u32, &[u8])> {
        let held = self.get(self.unspilled)?;
        Some((
            self.unspilled,
            held.first_seq,
            held.entries,
            held.bytes.as_ref()?.bytes(),
        ))
    }

    /// Chunk `id` is in the file.
    pub(crate) fn spilled(&mut self, id: u64, place: u64) {
        debug_assert_eq!(id, self.unspilled, "the file is in order");
        if let Some(held) = self.get_mut(id) {
            held.place = Some(place);
            self.unspilled = id + 1;
        }
    }

    /// The spill file is gone: what is not acknowledged has to go to a new one. Returns the chunks that were only in the
    /// file.
    pub(crate) fn spill_is_gone(&mut self) -> Vec<Stored> {
        self.unspilled = self.base;
        let ids = self.base..;
        let only_there = |(id, held): (u64, &mut Held)| {
            let place = held.place.take()?;
            held.bytes.is_none().then_some(Stored {
                id,
                place,
                len: held.len,
            })
        };
        ids.zip(&mut self.held).filter_map(only_there).collect()
    }

    /// Says whether the file holds nothing any more that is not acknowledged.
    pub(crate) fn is_spill_drained(&self) -> bool {
        self.unspilled <= self.base
    }

    /// Lets bytes go that are in the file, newest first, until the budget is no longer tight.
    pub(crate) fn release(&mut self, budget: &Budget, buffers: &mut Vec<Vec<u8>>) {
        let ahead = self.next + KEPT_AHEAD;
        for id in (ahead..self.unspilled).rev() {
            // What was spilled before this one was let go before it.
            if !budget.is_tight() || !self.release_one(id, budget, buffers) {
                break;
            }
        }
        for id in self.base..self.next.min(self.unspilled) {
            if !budget.is_tight() {
                break;
            }
            self.release_one(id, budget, buffers);
        }
    }

    fn release_one(&mut self, id: u64, budget: &Budget, buffers: &mut Vec<Vec<u8>>) -> bool {
        let Some(bytes) = self.get_mut(id).and_then(|held| held.bytes.take()) else {
            return false;
        };
        budget.give(bytes.len());
        buffers.extend(bytes.recycled());
        true
    }

    /// Everything up to here is acknowledged.
    pub(crate) fn logged(&self) -> u64 {
        self.logged
    }

    /// Sequence number of the last entry before the next chunk to send.
    pub(crate) fn sent_seq(&self) -> u64 {
        self.get(self.next)
            .map_or(self.last_seq, |held| held.first_seq - 1)
    }

    /// Everything up to here has left this process's memory: the socket took it, or it is on the shelf or in the spill file.
    pub(crate) fn handed_over_seq(&self) -> u64 {
        let behind = self.next.max(self.unspilled) - self.base;
        let mut left = self
            .held
            .iter()
            .skip(usize::try_from(behind).unwrap_or(usize::MAX));
        left.find(|held| !held.is_safe())
            .map_or(self.last_seq, |held| held.first_seq - 1)
    }

    /// Says whether everything is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Forgets everything and gives the memory back.
    pub(crate) fn clear(&mut self, budget: &Budget) {
        for held in self.held.drain(..) {
            budget.give(held.bytes.map_or(0, |bytes| bytes.len()));
        }
    }

    fn end(&self) -> u64 {
        self.base + self.held.len() as u64
    }

    fn get(&self, id: u64) -> Option<&Held> {
        self.held
            .get(usize::try_from(id.checked_sub(self.base)?).ok()?)
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Held> {
        self.held
            .get_mut(usize::try_from(id.checked_sub(self.base)?).ok()?)
    }
}
