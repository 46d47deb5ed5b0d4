//! Reading a log: intact records, damage between them, and an end that may move.
//!
//! Rules, in the order they apply at a chunk boundary:
//!
//! | found | consequence |
//! |---|---|
//! | fewer than 7 bytes left in the block | padding, next block |
//! | all-zero header | rest of the block is unused; a record under way is torn |
//! | length past the block, checksum mismatch | rest of the block is damaged |
//! | MIDDLE or LAST where a record should start, unknown type | that chunk is damaged |
//! | FIRST or FULL inside a record | the record under way is torn, the new one is read |
//! | payload is no protobuf message | that record is damaged |
//! | block cannot be read | the block is damaged |
//!
//! Damage is reported with the next intact record, when the gap in record numbers tells how many
//! were lost. Whatever follows the last intact record in the block where the file ends is not
//! judged but described by [`Tail`], since a writer may still be at work there: the next call looks
//! at it again. Orphaned MIDDLE and LAST chunks are skipped one by one (W&B's reader
//! drops their block), so that damage in one block costs no record that starts in the next.
//!
//! Memory: one block, plus one record if it spans chunks, plus at most 8192 gaps.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::event::{Damage, Position, ReadEvent, ReaderStats, RecordRef, Tail};
use crate::format::{
    BLOCK_SIZE, CHUNK_HEADER_SIZE, ChunkHeader, ChunkType, FILE_HEADER, FIRST_CHUNK_OFFSET,
    FORMAT_VERSION, MAX_RECORD_BYTES, block_start, offset_in_block,
};
use crate::frame::record_number;
use crate::numbers::{Numbers, Sighting};
use crate::storage::{Fs, OsFile, ReadAt, read_full_at, uninterrupted};

/// A file with a damaged header is a log if an intact chunk is found within this many bytes.
const HEADERLESS_PROBE_BYTES: u64 = 64 * BLOCK_SIZE as u64;

/// Reads a log from front to back, or onwards from a [`Position`].
#[derive(Debug)]
pub struct Reader<F: ReadAt = OsFile> {
    file: F,
    path: PathBuf,
    header: HeaderState,
    block: Box<[u8]>,
    /// File offset of `block`, and how much of it is filled; `None` if nothing is loaded.
    loaded: Option<(u64, usize)>,
    /// File offset of the next chunk.
    offset: u64,
    /// Payload of a record that spans chunks, and where it began.
    record: Vec<u8>,
    assembling: Option<u64>,
    /// Skipped bytes not reported yet.
    pending: Option<Skipped>,
    /// A record that waits behind the damage before it.
    ready: Option<Found>,
    numbers: Option<Numbers>,
    position: Position,
    stats: ReaderStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderState {
    Unchecked,
    Good,
    /// Not ours; no intact chunk seen yet.
    Suspect,
}

#[derive(Clone, Debug)]
struct Skipped {
    range: Range<u64>,
    zeros_only: bool,
}

#[derive(Clone, Debug)]
struct Found {
    offset: u64,
    end: u64,
    num: Option<u64>,
    /// The payload within the block; `None` if it is in `record`.
    in_block: Option<Range<usize>>,
    repeated: bool,
}

enum Step {
    Continue,
    Found(Found),
    End(Tail),
}

impl<F: ReadAt> Reader<F> {
    /// Opens the log at `path` from its beginning.
    pub fn open<S: Fs<File = F>>(fs: &S, path: &Path) -> Result<Self, Error> {
        Self::open_at(fs, path, Position::START)
    }

    /// Opens the log at `path` behind the record of `position`.
    pub fn open_at<S: Fs<File = F>>(
        fs: &S,
        path: &Path,
        position: Position,
    ) -> Result<Self, Error> {
        let file = uninterrupted(|| fs.open(path)).map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::new(file, path.to_owned(), position))
    }

    /// Reads `file`; `path` is for messages.
    pub fn new(file: F, path: PathBuf, position: Position) -> Self {
        let offset = position.offset.max(FIRST_CHUNK_OFFSET);
        Self {
            file,
            path,
            header: HeaderState::Unchecked,
            block: vec![0; BLOCK_SIZE].into_boxed_slice(),
            loaded: None,
            offset,
            record: Vec::new(),
            assembling: None,
            pending: None,
            ready: None,
            numbers: (position.last_num > 0).then(|| Numbers::seen_up_to(position.last_num)),
            position: Position { offset, ..position },
            stats: ReaderStats::default(),
        }
    }

    /// Behind the last record returned: where [`Reader::open_at`] goes on.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Totals so far.
    pub fn stats(&self) -> ReaderStats {
        let lost_records = self.numbers.as_ref().map_or(0, Numbers::missing);
        ReaderStats {
            lost_records,
            ..self.stats
        }
    }

    /// The next record, damage or end. Blocks on file reads only; never fails because of damage.
    ///
    /// # Errors
    ///
    /// `NotALog`, `UnsupportedVersion`, or `Read` if the file's size cannot be told.
    pub fn next_event(&mut self) -> Result<ReadEvent<'_>, Error> {
        if let Some(found) = self.ready.take() {
            return Ok(self.deliver(found));
        }
        if self.header != HeaderState::Good
            && let Some(tail) = self.check_header()?
        {
            return Ok(ReadEvent::End(tail));
        }
        loop {
            match self.step()? {
                Step::Continue => {}
                Step::Found(found) => return Ok(self.found(found)),
                Step::End(tail) => return Ok(ReadEvent::End(tail)),
            }
        }
    }

    /// Judges the file header; an end if there is none yet.
    fn check_header(&mut self) -> Result<Option<Tail>, Error> {
        let mut bytes = [0; FILE_HEADER.len()];
        let count = match read_full_at(&self.file, &mut bytes, 0) {
            Ok(count) => count,
            // As unreadable as any other block: what follows decides.
            Err(error) => self.unreadable_at(0, error)?.map_or(0, |()| bytes.len()),
        };
        let found = &bytes[..count];
        if found.len() < FILE_HEADER.len() {
            return match found.len() {
                0 => Ok(Some(Tail::Clean)),
                _ if FILE_HEADER.starts_with(found) => Ok(Some(Tail::Partial {
                    offset: 0,
                    length: count as u64,
                })),
                _ => Err(Error::NotALog {
                    path: self.path.clone(),
                }),
            };
        }
        if found == FILE_HEADER {
            self.header = HeaderState::Good;
        } else if found[..6] == FILE_HEADER[..6] && found[6] != FORMAT_VERSION {
            let path = self.path.clone();
            return Err(Error::UnsupportedVersion {
                path,
                found: found[6],
            });
        } else {
            self.header = HeaderState::Suspect;
            if self.offset == FIRST_CHUNK_OFFSET {
                self.skip(0..FIRST_CHUNK_OFFSET, false);
            }
        }
        Ok(None)
    }

    /// Judges one chunk or block boundary; every call moves on or ends.
    fn step(&mut self) -> Result<Step, Error> {
        let Some((start, filled)) = self.load()? else {
            return Ok(Step::Continue);
        };
        let in_block = offset_in_block(self.offset);
        let block_end = start + BLOCK_SIZE as u64;
        if in_block > BLOCK_SIZE - CHUNK_HEADER_SIZE && filled == BLOCK_SIZE {
            self.offset = block_end;
            return Ok(Step::Continue);
        }
        let Some(available) = filled.checked_sub(in_block).filter(|&left| left > 0) else {
            return self.end(0);
        };
        if in_block > BLOCK_SIZE - CHUNK_HEADER_SIZE {
            return self.end(0);
        }
        if available < CHUNK_HEADER_SIZE {
            return self.end_partial(available);
        }
        let header = ChunkHeader::decode(&self.block[in_block..]);
        let size = header.chunk_size();
        if header.is_zero() || in_block + size > BLOCK_SIZE {
            return self.skip_block(filled, header.is_zero());
        }
        if size > available {
            return self.end_partial(available);
        }
        let chunk = &self.block[in_block..in_block + size];
        if crc32fast::hash(&chunk[6..]) != header.crc {
            return self.skip_block(filled, false);
        }
        self.header = HeaderState::Good;
        let payload = in_block + CHUNK_HEADER_SIZE..in_block + size;
        Ok(self.take_chunk(header.type_byte, payload, size as u64))
    }

    /// Adds an intact chunk at `self.offset` to its record.
    fn take_chunk(&mut self, type_byte: u8, payload: Range<usize>, size: u64) -> Step {
        let offset = self.offset;
        let end = offset + size;
        self.offset = end;
        let chunk_type = ChunkType::from_byte(type_byte);
        if matches!(chunk_type, Some(ChunkType::Full | ChunkType::First) | None) {
            self.drop_record(offset);
        }
        match (chunk_type, self.assembling) {
            (Some(ChunkType::Full), _) => self.judge(offset, end, Some(payload)),
            (Some(ChunkType::First), _) => {
                self.record.clear();
                self.record.extend_from_slice(&self.block[payload]);
                self.assembling = Some(offset);
                Step::Continue
            }
            (Some(ChunkType::Middle | ChunkType::Last), Some(began)) => {
                if self.record.len() + payload.len() > MAX_RECORD_BYTES {
                    self.drop_record(end);
                    self.record = Vec::new();
                    return Step::Continue;
                }
                self.record.extend_from_slice(&self.block[payload]);
                if chunk_type == Some(ChunkType::Middle) {
                    return Step::Continue;
                }
                self.assembling = None;
                self.judge(began, end, None)
            }
            (Some(ChunkType::Middle | ChunkType::Last) | None, _) => {
                self.skip(offset..end, false);
                Step::Continue
            }
        }
    }

    /// A complete record, unless its payload is no message.
    fn judge(&mut self, offset: u64, end: u64, in_block: Option<Range<usize>>) -> Step {
        let payload = match &in_block {
            Some(range) => &self.block[range.clone()],
            None => &self.record,
        };
        if let Ok(num) = record_number(payload, in_block.is_none()) {
            return Step::Found(Found {
                offset,
                end,
                num,
                in_block,
                repeated: false,
            });
        }
        self.skip(offset..end, false);
        Step::Continue
    }

    /// Reports what was skipped before `found`, or `found` itself.
    fn found(&mut self, mut found: Found) -> ReadEvent<'_> {
        let skipped = self.pending.take();
        let mut lost_records = None;
        if let Some(num) = found.num {
            // A file that begins intact with a later number is a segment that goes on from another.
            let base = if skipped.is_none() { num - 1 } else { 0 };
            let numbers = self
                .numbers
                .get_or_insert_with(|| Numbers::seen_up_to(base));
            match numbers.see(num) {
                Sighting::New => {}
                Sighting::AfterGap(gap) => lost_records = Some(gap),
                Sighting::Repeated => found.repeated = true,
            }
        }
        let skipped = skipped.filter(|skip| !skip.zeros_only || lost_records.is_some());
        if skipped.is_none() && lost_records.is_none() {
            return self.deliver(found);
        }
        let range = skipped.map_or(found.offset..found.offset, |skip| skip.range);
        let length = range.end - range.start;
        self.stats.damaged_bytes += length;
        self.ready = Some(found);
        ReadEvent::Damage(Damage {
            offset: range.start,
            length,
            lost_records,
        })
    }

    fn deliver(&mut self, found: Found) -> ReadEvent<'_> {
        let last_num = self.numbers.as_ref().map_or(0, Numbers::highest);
        self.position = Position {
            offset: found.end,
            last_num,
        };
        if found.repeated {
            self.stats.repeated_records += 1;
        } else {
            self.stats.records += 1;
        }
        let bytes = match found.in_block {
            Some(range) => &self.block[range],
            None => &self.record,
        };
        let record = RecordRef {
            offset: found.offset,
            end: found.end,
            num: found.num,
            bytes,
        };
        if found.repeated {
            ReadEvent::Repeated(record)
        } else {
            ReadEvent::Record(record)
        }
    }

    /// Makes the block of `self.offset` present. `None` if it cannot be read and was skipped.
    fn load(&mut self) -> Result<Option<(u64, usize)>, Error> {
        let start = block_start(self.offset);
        if let Some(loaded) = self.loaded.filter(|(loaded, _)| *loaded == start) {
            return Ok(Some(loaded));
        }
        if self.header == HeaderState::Suspect && self.offset >= HEADERLESS_PROBE_BYTES {
            return Err(Error::NotALog {
                path: self.path.clone(),
            });
        }
        self.loaded = None;
        match read_full_at(&self.file, &mut self.block, start) {
            Ok(filled) => {
                self.loaded = Some((start, filled));
                Ok(self.loaded)
            }
            Err(error) => {
                if self.unreadable_at(start, error)?.is_none() {
                    // The file ends before this block.
                    self.loaded = Some((start, 0));
                    return Ok(self.loaded);
                }
                let end = start + BLOCK_SIZE as u64;
                self.drop_record(self.offset);
                self.skip(self.offset..end, false);
                self.offset = end;
                Ok(None)
            }
        }
    }

    /// Whether the file reaches behind `offset`, where reading failed with `error`.
    fn unreadable_at(&self, offset: u64, error: io::Error) -> Result<Option<()>, Error> {
        tracing::warn!(%error, offset, path = %self.path.display(), "block of transaction log is unreadable");
        match uninterrupted(|| self.file.size()) {
            Ok(size) if size > offset => Ok(Some(())),
            Ok(_) => Ok(None),
            Err(_) => Err(Error::Read {
                path: self.path.clone(),
                offset,
                source: error,
            }),
        }
    }

    /// Skips the rest of the block, or ends there if the file does.
    fn skip_block(&mut self, filled: usize, zeros: bool) -> Result<Step, Error> {
        let start = block_start(self.offset);
        if filled < BLOCK_SIZE {
            let end = start + filled as u64;
            let rest_is_zero = zeros
                && self.block[offset_in_block(self.offset)..filled]
                    .iter()
                    .all(|&b| b == 0);
            return match (rest_is_zero, self.assembling) {
                (true, None) => self.end_as(self.offset, end, |offset, length| Tail::Zeros {
                    offset,
                    length,
                }),
                (_, began) => {
                    let resume = began.unwrap_or(self.offset);
                    self.end_as(resume, end, |offset, length| Tail::Damaged {
                        offset,
                        length,
                    })
                }
            };
        }
        let end = start + BLOCK_SIZE as u64;
        let torn = self.drop_record(self.offset);
        self.skip(self.offset..end, zeros && !torn);
        self.offset = end;
        Ok(Step::Continue)
    }

    /// The file ends `available` bytes into a chunk.
    fn end_partial(&mut self, available: usize) -> Result<Step, Error> {
        if self.assembling.is_some() {
            return self.end(available as u64);
        }
        let end = self.offset + available as u64;
        self.end_as(self.offset, end, |offset, length| Tail::Partial {
            offset,
            length,
        })
    }

    /// The file ends `extra` bytes behind `self.offset`, at a chunk boundary if 0.
    fn end(&mut self, extra: u64) -> Result<Step, Error> {
        let end = self.offset + extra;
        if let Some(began) = self.assembling {
            return self.end_as(began, end, |offset, length| Tail::Partial {
                offset,
                length,
            });
        }
        let tail = match &self.pending {
            None => Tail::Clean,
            Some(skipped) => {
                let (offset, length) = (skipped.range.start, end - skipped.range.start);
                if skipped.zeros_only {
                    Tail::Zeros { offset, length }
                } else {
                    Tail::Damaged { offset, length }
                }
            }
        };
        self.end_with(self.offset, tail)
    }

    /// Ends with the bytes from `resume` to `end` undecided, and damage before them if any.
    fn end_as(
        &mut self,
        resume: u64,
        end: u64,
        tail: impl Fn(u64, u64) -> Tail,
    ) -> Result<Step, Error> {
        let tail = match &self.pending {
            Some(Skipped {
                range,
                zeros_only: false,
            }) => Tail::Damaged {
                offset: range.start,
                length: end - range.start,
            },
            Some(Skipped {
                range,
                zeros_only: true,
            }) => tail(range.start, end - range.start),
            None => tail(resume, end - resume),
        };
        self.end_with(resume, tail)
    }

    /// Ends for now; the next call reads afresh from `resume` on.
    fn end_with(&mut self, resume: u64, tail: Tail) -> Result<Step, Error> {
        let suspect = self.header == HeaderState::Suspect;
        self.offset = resume;
        self.assembling = None;
        // Bytes behind `resume` may be rewritten by a recovering writer: no cached block may mix with them.
        self.loaded = None;
        if suspect {
            return Err(Error::NotALog {
                path: self.path.clone(),
            });
        }
        Ok(Step::End(tail))
    }

    /// Gives up the record under way, if any, as damage up to `end`.
    fn drop_record(&mut self, end: u64) -> bool {
        let Some(began) = self.assembling.take() else {
            return false;
        };
        self.skip(began..end, false);
        true
    }

    fn skip(&mut self, range: Range<u64>, zeros: bool) {
        match &mut self.pending {
            Some(skipped) => {
                skipped.range.end = range.end;
                skipped.zeros_only &= zeros;
            }
            None => {
                self.pending = Some(Skipped {
                    range,
                    zeros_only: zeros,
                });
            }
        }
    }
}
