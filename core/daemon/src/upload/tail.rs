//! Reading a log that may still grow, one decoded record at a time.

use std::path::Path;

use runlane_proto::wandb_internal as pb;
use runlane_translog::{OsFs, ReadEvent, Reader};

/// A log's records in order.
#[derive(Debug)]
pub(crate) struct LogTail {
    reader: Reader,
    waiting: Option<(pb::Record, u64)>,
    /// What was found that is no record.
    pub(crate) undecodable: u64,
    /// The log ends inside a record, as far as one can tell now.
    pub(crate) ends_torn: bool,
}

impl LogTail {
    pub(crate) fn open(path: &Path) -> Result<Self, runlane_translog::Error> {
        let reader = Reader::open(&OsFs, path)?;
        Ok(Self {
            reader,
            waiting: None,
            undecodable: 0,
            ends_torn: false,
        })
    }

    /// The next record and where it ends; `None` at the present end. Blocks on file reads.
    pub(crate) fn next(&mut self) -> Result<Option<(pb::Record, u64)>, runlane_translog::Error> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        loop {
            match self.reader.next_event()? {
                ReadEvent::Record(found) => match super::projection::decode(found.bytes) {
                    Some(record) => return Ok(Some((record, found.end))),
                    None => self.undecodable += 1,
                },
                ReadEvent::Repeated(_) | ReadEvent::Damage(_) => {}
                ReadEvent::End(tail) => {
                    self.ends_torn = tail != runlane_translog::Tail::Clean;
                    return Ok(None);
                }
            }
        }
    }

    /// Gives a record back; `next` returns it again.
    pub(crate) fn put_back(&mut self, record: pb::Record, end: u64) {
        self.waiting = Some((record, end));
    }

    /// Behind the last record read.
    pub(crate) fn offset(&self) -> u64 {
        self.reader.position().offset
    }

    /// Records that damage has cost.
    pub(crate) fn lost(&self) -> u64 {
        self.reader.stats().lost_records + self.undecodable
    }
}
