//! Reading a log that may still grow, one decoded record at a time.

use std::io;
use std::path::Path;

use runlane_proto::wandb_internal as pb;
use runlane_translog::{Error, Fs, LiveLog, OsFile, OsFs, Position, ReadAt, ReadEvent, Reader};

/// Where a log's bytes come from.
#[derive(Debug)]
enum Source {
    /// Its writer in this process: also what a full disk does not take yet.
    Live(LiveLog),
    /// The file, and the one that replaces it.
    File(OsFile),
}

impl Source {
    fn of(path: &Path, live: Option<&LiveLog>) -> Result<Self, Error> {
        match live {
            Some(live) => Ok(Self::Live(live.clone())),
            None => OsFs
                .open(path)
                .map(Self::File)
                .map_err(|source| Error::Open {
                    path: path.to_owned(),
                    source,
                }),
        }
    }
}

/// The bytes of the record that begins at `begin`; empty if none does any more. Blocks on file reads.
pub(crate) fn record_at(path: &Path, live: Option<&LiveLog>, begin: u64) -> Result<Vec<u8>, Error> {
    let position = Position {
        offset: begin,
        last_num: 0,
    };
    let mut reader = Reader::new(Source::of(path, live)?, path.to_owned(), position);
    loop {
        match reader.next_event()? {
            ReadEvent::Record(found) if found.offset == begin => return Ok(found.bytes.to_vec()),
            ReadEvent::Record(_) | ReadEvent::End(_) => return Ok(Vec::new()),
            ReadEvent::Repeated(_) | ReadEvent::Damage(_) => {}
        }
    }
}

impl ReadAt for Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Live(log) => log.read_at(buffer, offset),
            Self::File(file) => file.read_at(buffer, offset),
        }
    }

    fn size(&self) -> io::Result<u64> {
        match self {
            Self::Live(log) => log.size(),
            Self::File(file) => file.size(),
        }
    }
}

/// A log's records in order.
#[derive(Debug)]
pub(crate) struct LogTail {
    reader: Reader<Source>,
    waiting: Option<(pb::Record, u64)>,
    /// Where the record begins that was read last.
    begin: u64,
    /// What was found that is no record.
    pub(crate) undecodable: u64,
    /// The log ends inside a record, as far as one can tell now.
    pub(crate) ends_torn: bool,
}

impl LogTail {
    /// The log at `path`, read through its writer if that is in this process.
    pub(crate) fn open(path: &Path, live: Option<&LiveLog>) -> Result<Self, Error> {
        Ok(Self {
            reader: Reader::new(Source::of(path, live)?, path.to_owned(), Position::START),
            waiting: None,
            begin: 0,
            undecodable: 0,
            ends_torn: false,
        })
    }

    /// The next record and where it ends; `None` at the present end. Blocks on file reads.
    pub(crate) fn next(&mut self) -> Result<Option<(pb::Record, u64)>, Error> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        loop {
            match self.reader.next_event()? {
                ReadEvent::Record(found) => match super::projection::decode(found.bytes) {
                    Some(record) => {
                        self.begin = found.offset;
                        return Ok(Some((record, found.end)));
                    }
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

    /// Where the record begins that `next` returned last.
    pub(crate) fn begin(&self) -> u64 {
        self.begin
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
