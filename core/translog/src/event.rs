//! What a reader reports.

use std::ops::RangeInclusive;

use crate::format::FIRST_CHUNK_OFFSET;

/// One intact record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// File offset of its first chunk: where a later reader can start.
    pub offset: u64,
    /// File offset behind its last chunk.
    pub end: u64,
    /// Its number; logs of old clients may have none.
    pub num: Option<u64>,
    /// The encoded `Record`.
    pub bytes: &'a [u8],
}

/// Bytes that hold no readable record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes until something intact; 0 if records are missing without a trace.
    pub length: u64,
    /// Numbers missing between the records before and after; `None` if none is.
    pub lost_records: Option<RangeInclusive<u64>>,
}

/// What lies behind the last intact record at the end of the file, as far as one can tell now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// The beginning of a record: it was torn, or is being written.
    Partial {
        /// Where it begins.
        offset: u64,
        /// Its bytes.
        length: u64,
    },
    /// Only zeros: allocated, never written.
    Zeros {
        /// Where they begin.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// Bytes that are no chunk.
    Damaged {
        /// Where they begin.
        offset: u64,
        /// How many.
        length: u64,
    },
}

/// What [`Reader::next_event`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadEvent<'a> {
    /// An intact record.
    Record(RecordRef<'a>),
    /// An intact record whose number was already returned: a copied sector. Not to be applied.
    Repeated(RecordRef<'a>),
    /// Damage before the record that the next call returns.
    Damage(Damage),
    /// The end for now; call again after the file has grown.
    End(Tail),
}

/// A place between two records, to be stored and resumed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// File offset behind the last record.
    pub offset: u64,
    /// Its number; 0 before the first record.
    pub last_num: u64,
}

impl Position {
    /// Before the first record.
    pub const START: Self = Self {
        offset: FIRST_CHUNK_OFFSET,
        last_num: 0,
    };
}

/// Totals since the reader was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderStats {
    /// Records returned, without repeated ones.
    pub records: u64,
    /// Copies returned as [`ReadEvent::Repeated`].
    pub repeated_records: u64,
    /// Numbers that are missing so far, below the highest one seen.
    pub lost_records: u64,
    /// Bytes reported as damage.
    pub damaged_bytes: u64,
}
