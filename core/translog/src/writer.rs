//! Appending: one `write` per batch, and a file that is always a prefix of the log.
//!
//! Invariants: records are framed once, at the offset that they keep; what the file does not take (no space, an error)
//! waits in memory and is written there later, so that a torn write is completed, not removed; nothing is
//! written to a file whose sync failed, everything waits in memory until the file is replaced ([`PendingRepair`]).
//!
//! A reserve of disk space behind the end of the file can be kept ([`Writer::keep_reserve`]): appends leave it alone, what
//! must be written on a full disk ([`Writer::replace_backlog`]) goes there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, is_out_of_space};
use crate::event::{Position, ReadEvent};
use crate::format::{FILE_HEADER, FIRST_CHUNK_OFFSET, MAX_RECORD_BYTES, round_up_to_block};
use crate::frame::{NumPrefix, frame_record, framed_size_bound};
use crate::live::LiveLog;
use crate::reader::Reader;
use crate::repair::{PendingRepair, RepairOutcome, RepairReport};
use crate::storage::{Fs, LogFile, OsFile, uninterrupted, write_all_at};

/// A scratch buffer that has grown beyond this is given back after its batch.
const SCRATCH_KEPT_BYTES: usize = 1024 * 1024;
/// The backlog is written in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;
/// The reserve is moved on in steps, so that not every append asks for space.
const RESERVE_STEP: u64 = 1024 * 1024;
/// No reserve smaller than this is worth keeping.
const MIN_RESERVE: u64 = 64 * 1024;

/// Once so much waits in memory, no more is taken in.
pub const MAX_BACKLOG_BYTES: u64 = 16 * 1024 * 1024;

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
    /// Bytes that the log has grown by.
    pub bytes: u64,
}

/// The only writer of one log.
///
/// Calls may block on the page cache, not on the disk's cache: the slow part, `fdatasync`, is
/// handed out as a [`PendingSync`].
#[derive(Debug)]
pub struct Writer<F: LogFile = OsFile> {
    path: PathBuf,
    live: LiveLog<F>,
    len: u64,
    next_num: u64,
    /// The end of the log when the file last held all of it.
    written: Position,
    synced_len: u64,
    /// What the running sync covers was rewritten from here on.
    rewound: Option<u64>,
    state: State,
    /// Why the file does not hold all of the log.
    trouble: Option<io::Error>,
    reserve: Reserve,
    /// Records that were missing when the log was opened.
    missing: u64,
    directory_synced: bool,
    sync_in_flight: bool,
    scratch: Vec<u8>,
    spans: Vec<RecordSpan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// A sync has failed.
    Suspect,
    /// The file is being replaced.
    Repairing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reserve {
    bytes: u64,
    /// Space is set aside up to this file offset.
    end: u64,
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
        if let Err((_, error)) = write_all_at(&file, &FILE_HEADER, 0) {
            if let Err(error) = fs.remove(path) {
                tracing::warn!(%error, path = %path.display(), "log without a header stays");
            }
            return Err(create_error(error));
        }
        Ok(Self::at(path, Arc::new(file), Position::START, 0))
    }

    /// A writer behind the last record of an existing file, of which nothing lies behind it.
    pub(crate) fn at(path: &Path, file: Arc<F>, end: Position, missing: u64) -> Self {
        Self {
            path: path.to_owned(),
            live: LiveLog::new(file, end.offset),
            len: end.offset,
            next_num: end.last_num + 1,
            written: end,
            synced_len: 0,
            rewound: None,
            state: State::Ready,
            trouble: None,
            reserve: Reserve::default(),
            missing,
            directory_synced: false,
            sync_in_flight: false,
            scratch: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the log's name still leads to its file; false once somebody has removed or replaced it.
    pub fn is_named(&self) -> bool {
        self.live.file().is_at(&self.path)
    }

    /// A way to read the log, for this process.
    pub fn live(&self) -> LiveLog<F> {
        self.live.clone()
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

    /// Bytes appended that the file does not hold yet; they die with this process.
    pub fn backlog_bytes(&self) -> u64 {
        self.live.backlog()
    }

    /// Why the file does not hold all of the log, if it does not.
    pub fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    /// Whether a sync has failed and the file has not been replaced since.
    pub fn is_suspect(&self) -> bool {
        self.state != State::Ready
    }

    /// Keeps `bytes` of disk space behind the end of the file for [`Writer::replace_backlog`], or less on a small disk;
    /// nothing where the file system cannot.
    pub fn keep_reserve(&mut self, bytes: u64) {
        let mut bytes = bytes;
        while bytes >= MIN_RESERVE {
            self.reserve.bytes = bytes;
            if self.make_room(self.live.file_len()).is_ok() {
                return;
            }
            bytes /= 4;
        }
        self.reserve.bytes = 0;
    }

    /// Gives the reserve back: the run has ended.
    ///
    /// # Errors
    ///
    /// `Append` if the file cannot be cut to its length.
    pub fn release_reserve(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.reserve).end > 0 && self.live.backlog() == 0 {
            self.cut(self.len)?;
        }
        Ok(())
    }

    /// Appends one encoded `Record`; see [`Writer::append_batch`].
    pub fn append(&mut self, record: &[u8]) -> Result<RecordSpan, Error> {
        let appended = self.append_batch([record])?;
        Ok(appended.records[0])
    }

    /// Appends encoded `Record`s with one `write`. They are in the page cache when it returns, unless
    /// [`Writer::backlog_bytes`] says that they wait in memory: then [`Writer::flush`] tries again.
    ///
    /// The records must not contain field 1 (`num`): the writer puts the next number before each.
    ///
    /// # Errors
    ///
    /// `RecordTooLarge` and `BacklogFull` leave the log as it was.
    pub fn append_batch<R: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Appended<'_>, Error> {
        let backlog = self.live.backlog();
        if backlog >= MAX_BACKLOG_BYTES {
            return Err(Error::BacklogFull {
                path: self.path.clone(),
                bytes: backlog,
            });
        }
        let start = self.len;
        let batch = self.frame(records)?;
        // Behind a backlog the batch waits as well: the file stays a prefix of the log.
        let written = if backlog > 0 {
            0
        } else {
            self.write(&batch, start, Room::Ordinary)
        };
        self.take_in(batch, written);
        if backlog > 0 {
            self.flush();
        }
        Ok(Appended {
            records: &self.spans,
            bytes: self.len - start,
        })
    }

    /// Writes what waits in memory; whether the file holds all of the log now.
    pub fn flush(&mut self) -> bool {
        loop {
            let offset = self.live.file_len();
            let Some(piece) = self.live.piece(offset, PIECE_BYTES) else {
                self.all_written();
                return true;
            };
            let written = self.write(&piece, offset, Room::Ordinary);
            self.live.wrote(written as u64);
            if written < piece.len() {
                return false;
            }
        }
    }

    /// As [`Writer::flush`], for those that cannot wait.
    ///
    /// # Errors
    ///
    /// `Append` if something still waits in memory.
    pub fn write_backlog(&mut self) -> Result<(), Error> {
        if self.flush() {
            return Ok(());
        }
        let source = self
            .trouble
            .as_ref()
            .map_or_else(|| io::ErrorKind::WriteZero.into(), again);
        Err(self.append_error(source))
    }

    /// The records that the file does not hold whole, in order, without their numbers.
    ///
    /// # Errors
    ///
    /// `Read` if the file cannot be read where they begin.
    pub fn backlog(&self) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.scan_backlog()?.1)
    }

    /// Disk space for [`Writer::replace_backlog`], in bytes; `None` if no reserve is kept.
    pub fn reserve_left(&self) -> Result<Option<u64>, Error> {
        let (begin, _) = self.scan_backlog()?;
        let reserve = self.reserve;
        Ok((reserve.bytes > 0).then(|| reserve.end.saturating_sub(begin.offset)))
    }

    fn scan_backlog(&self) -> Result<(Position, Vec<Vec<u8>>), Error> {
        let in_file = self.live.file_len();
        let mut begin = self.written;
        let mut records = Vec::new();
        let mut reader = Reader::new(self.live(), self.path.clone(), begin);
        loop {
            match reader.next_event()? {
                ReadEvent::Record(record) if record.end <= in_file => {
                    begin = Position {
                        offset: record.end,
                        last_num: record.num.unwrap_or(begin.last_num + 1),
                    };
                }
                ReadEvent::Record(record) => {
                    let prefix = record
                        .num
                        .map_or(0, |num| NumPrefix::new(num).as_bytes().len());
                    records.push(record.bytes[prefix..].to_vec());
                }
                ReadEvent::Repeated(_) | ReadEvent::Damage(_) => {}
                ReadEvent::End(_) => return Ok((begin, records)),
            }
        }
    }

    /// Writes `records` in the place of [`Writer::backlog`], into the reserve if need be. For the end of a run: a reader of
    /// the live log must not have gone beyond what the file holds.
    ///
    /// # Errors
    ///
    /// `Append` if the file does not take them either: they wait as the backlog. `Suspect`: nothing was changed.
    pub fn replace_backlog<R: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<(), Error> {
        if self.state != State::Ready {
            return Err(Error::Suspect {
                path: self.path.clone(),
            });
        }
        let (begin, _) = self.scan_backlog()?;
        let torn_end = self.live.file_len();
        self.live.rewind(begin.offset);
        (self.len, self.next_num) = (begin.offset, begin.last_num + 1);
        self.written = begin;
        self.synced_len = self.synced_len.min(begin.offset);
        self.rewound = Some(begin.offset);
        let batch = self.frame(records)?;
        let written = self.write(&batch, begin.offset, Room::Reserve);
        self.take_in(batch, written);
        if torn_end > self.len {
            self.cut(self.len)?;
        }
        match self.trouble.take() {
            None => Ok(()),
            Some(source) => {
                self.trouble = Some(again(&source));
                Err(self.append_error(source))
            }
        }
    }

    /// Frames `records` behind the end of the log; their spans are in `spans`.
    fn frame<R: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Vec<u8>, Error> {
        let mut batch = std::mem::take(&mut self.scratch);
        batch.clear();
        self.spans.clear();
        for (num, record) in (self.next_num..).zip(records) {
            let body = record.as_ref();
            let prefix = NumPrefix::new(num);
            let payload = prefix.as_bytes().len() + body.len();
            if payload > MAX_RECORD_BYTES {
                self.scratch = batch;
                return Err(Error::RecordTooLarge {
                    path: self.path.clone(),
                    bytes: body.len(),
                });
            }
            batch.reserve(framed_size_bound(payload));
            let position = self.len + batch.len() as u64;
            let offset = frame_record(&mut batch, position, prefix.as_bytes(), body);
            let end = self.len + batch.len() as u64;
            self.spans.push(RecordSpan { num, offset, end });
        }
        Ok(batch)
    }

    /// Makes a framed batch the end of the log; the file holds its first `written` bytes.
    fn take_in(&mut self, batch: Vec<u8>, written: usize) {
        self.live.push(&batch, written as u64);
        if let Some(last) = self.spans.last() {
            self.len = last.end;
            self.next_num = last.num + 1;
        }
        if written == batch.len() {
            self.all_written();
        }
        if batch.capacity() <= SCRATCH_KEPT_BYTES {
            self.scratch = batch;
        }
    }

    fn all_written(&mut self) {
        if self.live.backlog() == 0 {
            self.trouble = None;
            self.written = Position {
                offset: self.len,
                last_num: self.next_num - 1,
            };
        }
    }

    /// Writes to the file as much as it takes; remembers why it was not all.
    fn write(&mut self, bytes: &[u8], offset: u64, room: Room) -> usize {
        if self.state != State::Ready {
            self.trouble.get_or_insert_with(|| {
                io::Error::other("a sync has failed, the file is being replaced")
            });
            return 0;
        }
        if room == Room::Ordinary
            && let Err(error) = self.make_room(offset + bytes.len() as u64)
        {
            self.trouble = Some(error);
            return 0;
        }
        match write_all_at(&*self.live.file(), bytes, offset) {
            Ok(()) => bytes.len(),
            Err((written, error)) => {
                self.trouble = Some(error);
                written
            }
        }
    }

    /// Moves the reserve behind `end`.
    fn make_room(&mut self, end: u64) -> io::Result<()> {
        let wanted = end + self.reserve.bytes;
        if self.reserve.bytes == 0 || wanted <= self.reserve.end {
            return Ok(());
        }
        let file = self.live.file();
        let from = self.reserve.end.max(self.live.file_len());
        let mut full = None;
        for to in [wanted + RESERVE_STEP, wanted] {
            match uninterrupted(|| file.reserve(from, to)) {
                Ok(()) => {
                    self.reserve.end = to;
                    return Ok(());
                }
                Err(error) if is_out_of_space(&error) => full = Some(error),
                Err(error) => {
                    tracing::debug!(%error, path = %self.path.display(), "no space can be reserved");
                    self.reserve = Reserve::default();
                    return Ok(());
                }
            }
        }
        full.map_or(Ok(()), Err)
    }

    fn cut(&mut self, len: u64) -> Result<(), Error> {
        let file = self.live.file();
        uninterrupted(|| file.truncate(len)).map_err(|source| self.append_error(source))?;
        self.reserve.end = self.reserve.end.min(len);
        Ok(())
    }

    fn append_error(&self, source: io::Error) -> Error {
        Error::Append {
            path: self.path.clone(),
            source,
        }
    }

    /// Starts a sync of everything that the file holds; `None` while one is running or none is allowed.
    pub fn begin_sync(&mut self) -> Option<PendingSync<F>> {
        if self.sync_in_flight || self.state != State::Ready {
            return None;
        }
        self.sync_in_flight = true;
        self.rewound = None;
        Some(PendingSync {
            file: self.live.file(),
            covered: self.live.file_len(),
            directory: !self.directory_synced,
        })
    }

    /// Takes note of a sync's outcome.
    ///
    /// # Errors
    ///
    /// `SyncFailed`: the file takes nothing more and proves nothing; [`Writer::begin_repair`] goes on.
    pub fn complete_sync(&mut self, outcome: SyncOutcome) -> Result<(), Error> {
        self.sync_in_flight = false;
        match outcome.result {
            Ok(()) => {
                let covered = outcome.covered.min(self.rewound.take().unwrap_or(u64::MAX));
                self.directory_synced = true;
                self.synced_len = self.synced_len.max(covered);
                self.live.release(self.synced_len);
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

    /// Syncs everything that the file holds; blocks on the disk.
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

    /// Starts the replacement of a suspect file by a new one with the same content; `None` if it is not suspect or that is
    /// under way. Records can be appended meanwhile; they wait in memory.
    pub fn begin_repair<S: Fs<File = F>>(&mut self, fs: S) -> Option<PendingRepair<S>> {
        if self.state != State::Suspect {
            return None;
        }
        self.state = State::Repairing;
        Some(PendingRepair {
            fs,
            path: self.path.clone(),
            live: self.live(),
            synced_len: self.synced_len,
            end: self.len,
            last_num: self.next_num - 1,
            missing: self.missing,
        })
    }

    /// Takes note of how the replacement went. After a success everything appended before it began is durable.
    ///
    /// # Errors
    ///
    /// `RepairFailed`: try again later, with [`Writer::begin_repair`].
    pub fn complete_repair(&mut self, outcome: RepairOutcome) -> Result<RepairReport, Error> {
        match outcome.result {
            Ok(report) => {
                self.state = State::Ready;
                self.reserve.end = 0;
                self.directory_synced = true;
                self.synced_len = outcome.end;
                self.missing += report.lost_records;
                self.live.release(outcome.end);
                self.flush();
                Ok(report)
            }
            Err(source) => {
                self.state = State::Suspect;
                Err(Error::RepairFailed {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }
}

/// Whether a write may use the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Ordinary,
    Reserve,
}

fn again(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Makes `file` end at `end`: cuts off what a dead writer left behind it or, where that fails, zeroes it up to a block
/// boundary, which readers take for unused space. Returns where the next record goes.
pub(crate) fn clear_end<F: LogFile>(file: &F, end: u64, torn_end: u64) -> io::Result<u64> {
    let Err(error) = uninterrupted(|| file.truncate(end)) else {
        return Ok(end);
    };
    if torn_end <= end {
        return Ok(end);
    }
    tracing::warn!(%error, "end of transaction log cannot be cut off");
    let boundary = round_up_to_block(torn_end);
    let zeros = [0; 4096];
    let mut offset = end;
    while offset < boundary {
        let count =
            usize::try_from(boundary - offset).map_or(zeros.len(), |left| left.min(zeros.len()));
        write_all_at(file, &zeros[..count], offset).map_err(|(_, error)| error)?;
        offset += count as u64;
    }
    Ok(boundary)
}
