//! Appending: one `write` per batch, no bytes held back, and a file that stays consistent.
//!
//! Invariants: `len` is a record boundary in the file; bytes behind it are a torn write that the
//! next append removes; a record is counted as appended only when all its bytes are in the page
//! cache; after a failed sync nothing is appended any more.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::format::{FILE_HEADER, FIRST_CHUNK_OFFSET, MAX_RECORD_BYTES, round_up_to_block};
use crate::frame::{NumPrefix, frame_record, framed_size_bound};
use crate::retained::Retained;
use crate::storage::{Fs, LogFile, OsFile, uninterrupted, write_all_at};

/// A scratch buffer that has grown beyond this is given back after its batch.
const SCRATCH_KEPT_BYTES: usize = 1024 * 1024;

/// Where one appended record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordSpan {
    /// The number it was given.
    pub num: u64,
    /// File offset of its first chunk.
    pub offset: u64,
    /// File offset behind its last chunk.
    pub end: u64,
}

/// What a batch became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended<'a> {
    /// Its records in order.
    pub records: &'a [RecordSpan],
    /// Bytes that the file has grown by.
    pub bytes: u64,
}

/// The only writer of one log.
///
/// Calls may block on the page cache, not on the disk's cache: the slow part, `fdatasync`, is
/// handed out as a [`PendingSync`].
#[derive(Debug)]
pub struct Writer<F: LogFile = OsFile> {
    path: PathBuf,
    file: Arc<F>,
    len: u64,
    next_num: u64,
    synced_len: u64,
    state: State,
    directory_synced: bool,
    sync_in_flight: bool,
    retained: Retained,
    scratch: Vec<u8>,
    spans: Vec<RecordSpan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// Bytes of an unfinished write lie between `len` and here.
    Torn(u64),
    Suspect,
}

/// A sync to run on any thread; hand its outcome back to the writer.
#[derive(Debug)]
#[must_use = "the writer waits for the outcome of `run`"]
pub struct PendingSync<F: LogFile = OsFile> {
    file: Arc<F>,
    covered: u64,
    directory: bool,
}

/// How a [`PendingSync`] went.
#[derive(Debug)]
#[must_use = "hand it to `Writer::complete_sync`"]
pub struct SyncOutcome {
    covered: u64,
    result: io::Result<()>,
}

/// What [`Writer::rollover`] carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollover {
    /// Numbers of the records that the new segment begins with; synced before the call returns.
    pub carried: Option<RangeInclusive<u64>>,
    /// Numbers that only the old segment holds, unsynced, because they were too many to keep.
    pub unproven: Option<RangeInclusive<u64>>,
}

impl<F: LogFile> PendingSync<F> {
    /// Blocks until the bytes and, the first time, the directory entry are on stable storage.
    pub fn run(self) -> SyncOutcome {
        let mut result = uninterrupted(|| self.file.sync_data());
        if result.is_ok() && self.directory {
            result = uninterrupted(|| self.file.sync_directory());
        }
        SyncOutcome {
            covered: self.covered,
            result,
        }
    }
}

impl<F: LogFile> Writer<F> {
    /// Creates the log and writes its file header. Nothing is durable before the first sync, which
    /// covers the directory entry too.
    ///
    /// # Errors
    ///
    /// `Create`, with `AlreadyExists` if there is such a file; it is left as it is.
    pub fn create<S: Fs<File = F>>(fs: &S, path: &Path) -> Result<Self, Error> {
        let create_error = |source| Error::Create {
            path: path.to_owned(),
            source,
        };
        let file = uninterrupted(|| fs.create_new(path)).map_err(create_error)?;
        let mut writer = Self::at(path, Arc::new(file), 0, 1);
        writer.write_file_header().map_err(create_error)?;
        Ok(writer)
    }

    /// A writer at the record boundary `len` of an existing file.
    pub(crate) fn at(path: &Path, file: Arc<F>, len: u64, next_num: u64) -> Self {
        Self {
            path: path.to_owned(),
            file,
            len,
            next_num,
            synced_len: 0,
            state: State::Ready,
            directory_synced: false,
            sync_in_flight: false,
            retained: Retained::default(),
            scratch: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Declares what lies between the present end and `torn_end` to be rubbish.
    pub(crate) fn set_torn(&mut self, torn_end: u64) {
        self.state = State::Torn(torn_end);
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// End of the last record: where the next one goes, padding aside.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the log has no record.
    pub fn is_empty(&self) -> bool {
        self.len <= FIRST_CHUNK_OFFSET
    }

    /// The number that the next record gets.
    pub fn next_num(&self) -> u64 {
        self.next_num
    }

    /// Bytes from the start of the file that are known to be on stable storage.
    pub fn synced_len(&self) -> u64 {
        self.synced_len
    }

    /// Bytes appended that no sync has covered yet.
    pub fn unsynced_bytes(&self) -> u64 {
        self.len.saturating_sub(self.synced_len)
    }

    /// Whether a sync has failed, so that only [`Writer::rollover`] goes on.
    pub fn is_suspect(&self) -> bool {
        self.state == State::Suspect
    }

    /// Appends one encoded `Record`; see [`Writer::append_batch`].
    pub fn append(&mut self, record: &[u8]) -> Result<RecordSpan, Error> {
        let appended = self.append_batch([record])?;
        Ok(appended.records[0])
    }

    /// Appends encoded `Record`s with one `write`; they are in the page cache when it returns.
    ///
    /// The records must not contain field 1 (`num`): the writer puts the next number before each.
    ///
    /// # Errors
    ///
    /// `Append` says how many of the batch were kept; the call may be repeated with the rest.
    /// `RecordTooLarge` and `Suspect` leave the log as it was.
    pub fn append_batch<R: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Appended<'_>, Error> {
        self.make_ready()?;
        self.scratch.clear();
        self.spans.clear();
        for (num, record) in (self.next_num..).zip(records) {
            let body = record.as_ref();
            let prefix = NumPrefix::new(num);
            let bytes = prefix.as_bytes().len() + body.len();
            if bytes > MAX_RECORD_BYTES {
                return Err(Error::RecordTooLarge {
                    path: self.path.clone(),
                    bytes: body.len(),
                });
            }
            self.frame(num, prefix.as_bytes(), body);
        }
        self.write_scratch()
    }

    /// Appends payloads that carry their numbers, from `next_num` on.
    fn append_numbered(&mut self, payloads: &[Vec<u8>]) -> Result<Appended<'_>, Error> {
        self.make_ready()?;
        self.scratch.clear();
        self.spans.clear();
        for (num, payload) in (self.next_num..).zip(payloads) {
            self.frame(num, &[], payload);
        }
        self.write_scratch()
    }

    fn frame(&mut self, num: u64, head: &[u8], body: &[u8]) {
        self.scratch
            .reserve(framed_size_bound(head.len() + body.len()));
        let position = self.len + self.scratch.len() as u64;
        let offset = frame_record(&mut self.scratch, position, head, body);
        let end = self.len + self.scratch.len() as u64;
        self.spans.push(RecordSpan { num, offset, end });
    }

    /// Writes the framed batch. On failure keeps the records that are complete.
    fn write_scratch(&mut self) -> Result<Appended<'_>, Error> {
        let start = self.len;
        let result = write_all_at(&*self.file, &self.scratch, start);
        if let Err((written, _)) = &result {
            let written_end = start + *written as u64;
            self.spans
                .truncate(self.spans.partition_point(|span| span.end <= written_end));
            self.state = State::Torn(written_end);
        }
        if let Some(last) = self.spans.last() {
            self.len = last.end;
            self.next_num = last.num + 1;
            let kept = usize::try_from(self.len - start).expect("a batch fits in memory");
            self.retained
                .keep(&self.scratch[..kept], start, self.spans[0].num);
        }
        if self.scratch.capacity() > SCRATCH_KEPT_BYTES {
            self.scratch = Vec::new();
        }
        match result {
            Ok(()) => Ok(Appended {
                records: &self.spans,
                bytes: self.len - start,
            }),
            Err((_, source)) => {
                // Tried at once, so that readers see a clean end; if it fails, the next append tries again.
                if let Err(error) = self.repair() {
                    tracing::warn!(%error, path = %self.path.display(), "torn record stays for now");
                }
                let appended = self.spans.len() as u64;
                Err(Error::Append {
                    path: self.path.clone(),
                    appended,
                    source,
                })
            }
        }
    }

    fn make_ready(&mut self) -> Result<(), Error> {
        if self.state == State::Suspect {
            return Err(Error::Suspect {
                path: self.path.clone(),
            });
        }
        let append_error = |path: &Path, source| {
            let path = path.to_owned();
            Error::Append {
                path,
                appended: 0,
                source,
            }
        };
        self.repair()
            .map_err(|source| append_error(&self.path, source))?;
        if self.len < FIRST_CHUNK_OFFSET {
            self.write_file_header()
                .map_err(|source| append_error(&self.path, source))?;
        }
        Ok(())
    }

    /// Removes a torn write: cuts it off or, where that fails, zeroes it up to a block boundary,
    /// which readers take for unused space.
    pub(crate) fn repair(&mut self) -> io::Result<()> {
        let State::Torn(torn_end) = self.state else {
            return Ok(());
        };
        if torn_end > self.len
            && let Err(error) = uninterrupted(|| self.file.truncate(self.len))
        {
            tracing::warn!(%error, path = %self.path.display(), "transaction log cannot be truncated");
            let boundary = round_up_to_block(torn_end);
            let zeros = [0; 4096];
            let mut offset = self.len;
            while offset < boundary {
                let count = usize::try_from(boundary - offset)
                    .map_or(zeros.len(), |left| left.min(zeros.len()));
                write_all_at(&*self.file, &zeros[..count], offset).map_err(|(_, error)| error)?;
                offset += count as u64;
            }
            self.len = boundary;
        }
        self.state = State::Ready;
        Ok(())
    }

    fn write_file_header(&mut self) -> io::Result<()> {
        // Overwrites whatever part of it an earlier attempt left.
        write_all_at(&*self.file, &FILE_HEADER, 0).map_err(|(_, error)| error)?;
        self.len = FIRST_CHUNK_OFFSET;
        Ok(())
    }

    /// Starts a sync of everything appended so far; `None` while one is running or none is allowed.
    pub fn begin_sync(&mut self) -> Option<PendingSync<F>> {
        if self.sync_in_flight || self.state == State::Suspect {
            return None;
        }
        self.sync_in_flight = true;
        Some(PendingSync {
            file: Arc::clone(&self.file),
            covered: self.len,
            directory: !self.directory_synced,
        })
    }

    /// Takes note of a sync's outcome.
    ///
    /// # Errors
    ///
    /// `SyncFailed` makes the log suspect for good.
    pub fn complete_sync(&mut self, outcome: SyncOutcome) -> Result<(), Error> {
        self.sync_in_flight = false;
        match outcome.result {
            Ok(()) => {
                self.directory_synced = true;
                self.synced_len = self.synced_len.max(outcome.covered);
                self.retained.release(self.synced_len);
                Ok(())
            }
            Err(source) => {
                // The kernel may have marked the pages clean: a later success would prove nothing.
                self.state = State::Suspect;
                let (path, synced_len) = (self.path.clone(), self.synced_len);
                Err(Error::SyncFailed {
                    path,
                    synced_len,
                    source,
                })
            }
        }
    }

    /// Syncs everything appended so far; blocks on the disk.
    ///
    /// # Errors
    ///
    /// `SyncFailed`, or `Suspect` after an earlier one. A sync handed out by
    /// [`Writer::begin_sync`] must have been completed first.
    pub fn sync(&mut self) -> Result<(), Error> {
        match self.begin_sync() {
            Some(pending) => self.complete_sync(pending.run()),
            None => Err(Error::Suspect {
                path: self.path.clone(),
            }),
        }
    }

    /// Creates the segment that follows this one, with all records that no sync has covered; it is
    /// synced when the call returns. On failure `self` is unchanged; try another path.
    ///
    /// Numbers go on from this log, so that a record that is in both segments is known as one.
    pub fn rollover<S: Fs<File = F>>(
        &mut self,
        fs: &S,
        path: &Path,
    ) -> Result<(Self, Rollover), Error> {
        let payloads = self.retained.payloads()?;
        let first = self.retained.first_num().unwrap_or(self.next_num);
        let unproven = self
            .retained
            .first_unproven()
            .map(|unproven| unproven..=first - 1);
        let mut next = Self::create(fs, path)?;
        next.next_num = first;
        next.append_numbered(&payloads)?;
        next.sync()?;
        let carried = (!payloads.is_empty()).then(|| first..=next.next_num - 1);
        next.next_num = self.next_num;
        Ok((next, Rollover { carried, unproven }))
    }
}
