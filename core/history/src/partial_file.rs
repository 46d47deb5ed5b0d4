//! Columns of a Parquet chunk without the rest of its bytes.
//!
//! A chunk of system metrics has hundreds of columns, a panel asks for a few. The end of the file says where each column
//! is: [`FileIndex`] reads it once, names the byte ranges of the columns that some keys need, and decodes these alone.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, buf::Reader};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FooterTail, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};

use crate::chunk::Chunk;
use crate::error::HistoryError;
use crate::parquet_file::{decode, wanted_columns};

/// Bytes at the very end of a file that say how long its index is.
const TAIL_BYTES: usize = 8;

/// Where the columns of one file are; cheap to clone.
#[derive(Clone, Debug)]
pub struct FileIndex {
    metadata: ArrowReaderMetadata,
    file_bytes: u64,
}

impl FileIndex {
    /// How many bytes at the end of a file hold its index, told by any part of that end, of 8 bytes or more.
    ///
    /// # Errors
    ///
    /// `Parquet` or `Damaged` if `end` is not the end of a Parquet file.
    pub fn needed_bytes(end: &[u8]) -> Result<usize, HistoryError> {
        let tail = end
            .last_chunk::<TAIL_BYTES>()
            .ok_or_else(|| HistoryError::damaged("its end is cut off"))?;
        Ok(FooterTail::try_new(tail)?.metadata_length() + TAIL_BYTES)
    }

    /// Reads the index in `end`, the last bytes of a file of `file_bytes`, at least as many as [`Self::needed_bytes`].
    ///
    /// # Errors
    ///
    /// `Parquet` or `Damaged` if it is none.
    pub fn read(end: &[u8], file_bytes: u64) -> Result<Self, HistoryError> {
        let needed = Self::needed_bytes(end)?;
        let start = end
            .len()
            .checked_sub(needed)
            .ok_or_else(|| HistoryError::damaged("its index is cut off"))?;
        let metadata = ParquetMetaDataReader::decode_metadata(&end[start..end.len() - TAIL_BYTES])?;
        let metadata =
            ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::default())?;
        Ok(Self {
            metadata,
            file_bytes,
        })
    }

    /// The bytes that [`Self::decode`] needs for `keys`, or for everything; ascending, without overlaps.
    pub fn ranges(&self, keys: Option<&[&str]>) -> Vec<Range<u64>> {
        let wanted = wanted_columns(self.metadata.schema(), keys);
        let groups = self.metadata.metadata().row_groups();
        let mut ranges: Vec<Range<u64>> = groups
            .iter()
            .flat_map(|group| {
                let columns = group.columns();
                wanted.iter().filter_map(|place| columns.get(*place))
            })
            .map(|column| {
                let (start, length) = column.byte_range();
                start..start.saturating_add(length)
            })
            .collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// Decodes the columns of `keys`, or all, from the bytes of [`Self::ranges`].
    ///
    /// # Errors
    ///
    /// `Parquet` or `Damaged` if the bytes are not what [`Chunk::to_parquet`] wrote.
    pub fn decode(&self, parts: Vec<Bytes>, keys: Option<&[&str]>) -> Result<Chunk, HistoryError> {
        let ranges = self.ranges(keys);
        if ranges.len() != parts.len() {
            return Err(HistoryError::damaged("some of its columns are missing"));
        }
        let parts = ranges.iter().map(|range| range.start).zip(parts).collect();
        let file = Parts {
            parts,
            file_bytes: self.file_bytes,
        };
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        decode(builder, keys)
    }
}

/// The parts of a file that were fetched, by where they begin.
struct Parts {
    parts: Vec<(u64, Bytes)>,
    file_bytes: u64,
}

impl Parts {
    /// What is known from `start` on.
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let place = self.parts.partition_point(|(begin, _)| *begin <= start);
        let found = place.checked_sub(1).and_then(|place| {
            let (begin, bytes) = &self.parts[place];
            let skipped = usize::try_from(start - begin).ok()?;
            (skipped < bytes.len()).then(|| bytes.slice(skipped..))
        });
        found.ok_or_else(|| ParquetError::General(format!("byte {start} was not fetched")))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Parts {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from {start} on were not fetched"
            )));
        }
        Ok(bytes.slice(..length))
    }
}
