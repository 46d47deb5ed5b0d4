//! The framed bytes that no sync has covered yet, kept so that a failed sync loses nothing.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use crate::error::Error;
use crate::event::{Position, ReadEvent};
use crate::reader::Reader;
use crate::storage::ReadAt;
use crate::sync_policy::MAX_UNSYNCED_BYTES;

/// A copy of the end of the log: at most [`MAX_UNSYNCED_BYTES`], or the last batch if it is larger.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    bytes: VecDeque<u8>,
    batches: VecDeque<Batch>,
    unproven: Option<Unproven>,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    /// File offsets of its bytes, padding before its first record included.
    start: u64,
    end: u64,
    first_num: u64,
}

impl Batch {
    fn len(&self) -> usize {
        usize::try_from(self.end - self.start).expect("a batch fits in memory")
    }
}

/// Records let go before a sync covered them, for lack of room.
#[derive(Clone, Copy, Debug)]
struct Unproven {
    first_num: u64,
    end: u64,
}

impl Retained {
    /// Keeps the framed `bytes` of one batch that stand at file offset `start`.
    pub(crate) fn keep(&mut self, bytes: &[u8], start: u64, first_num: u64) {
        while !self.batches.is_empty() && self.bytes.len() + bytes.len() > limit() {
            let batch = self.drop_first();
            let first_num = self
                .unproven
                .map_or(batch.first_num, |before| before.first_num);
            self.unproven = Some(Unproven {
                first_num,
                end: batch.end,
            });
        }
        self.bytes.extend(bytes);
        self.batches.push_back(Batch {
            start,
            end: start + bytes.len() as u64,
            first_num,
        });
    }

    /// Lets go of what lies before `synced_len`.
    pub(crate) fn release(&mut self, synced_len: u64) {
        while self
            .batches
            .front()
            .is_some_and(|batch| batch.end <= synced_len)
        {
            self.drop_first();
        }
        self.unproven = self.unproven.filter(|unproven| unproven.end > synced_len);
        if self.bytes.capacity() > 2 * limit() {
            self.bytes.shrink_to(limit());
        }
    }

    /// First number that was let go although no sync has covered it.
    pub(crate) fn first_unproven(&self) -> Option<u64> {
        self.unproven.map(|unproven| unproven.first_num)
    }

    /// First number of what is kept.
    pub(crate) fn first_num(&self) -> Option<u64> {
        self.batches.front().map(|batch| batch.first_num)
    }

    /// The payloads kept, numbers included, in order.
    pub(crate) fn payloads(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let (Some(first), Some(last_num)) = (
            self.batches.front().copied(),
            self.first_num().and_then(|num| num.checked_sub(1)),
        ) else {
            return Ok(Vec::new());
        };
        let bytes = self.bytes.make_contiguous();
        let view = View {
            bytes,
            batches: &self.batches,
        };
        let position = Position {
            offset: first.start,
            last_num,
        };
        let mut reader = Reader::over_chunks(view, PathBuf::from("unsynced tail"), position);
        let mut payloads = Vec::new();
        loop {
            match reader.next_event()? {
                ReadEvent::Record(record) => payloads.push(record.bytes.to_vec()),
                ReadEvent::End(_) => return Ok(payloads),
                ReadEvent::Repeated(_) | ReadEvent::Damage(_) => {}
            }
        }
    }

    fn drop_first(&mut self) -> Batch {
        let batch = self.batches.pop_front().expect("the caller saw one");
        self.bytes.drain(..batch.len());
        batch
    }
}

fn limit() -> usize {
    usize::try_from(MAX_UNSYNCED_BYTES).expect("a mebibyte fits in memory")
}

/// The batches at their file offsets, zeros between them.
struct View<'a> {
    bytes: &'a [u8],
    batches: &'a VecDeque<Batch>,
}

impl ReadAt for View<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let index = self.batches.partition_point(|batch| batch.end <= offset);
        let Some(batch) = self.batches.get(index) else {
            return Ok(0);
        };
        let room = buffer.len();
        if offset < batch.start {
            let gap = usize::try_from(batch.start - offset)
                .unwrap_or(room)
                .min(room);
            buffer[..gap].fill(0);
            return Ok(gap);
        }
        let before: usize = self.batches.iter().take(index).map(Batch::len).sum();
        let skip = usize::try_from(offset - batch.start).expect("within a batch");
        let count = (batch.len() - skip).min(room);
        buffer[..count].copy_from_slice(&self.bytes[before + skip..before + skip + count]);
        Ok(count)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.batches.back().map_or(0, |batch| batch.end))
    }
}
