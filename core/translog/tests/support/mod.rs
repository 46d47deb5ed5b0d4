//! What the log's tests share: a faulty in-memory file system and an independent reader.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::allow_attributes,
    reason = "what is unused differs by test file"
)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use runlane_translog::{Fs, LogFile, ReadAt};

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// At most this many bytes are written.
    Short(usize),
    /// It is interrupted before anything happened.
    Interrupted,
    /// It fails so.
    Error(io::ErrorKind),
    /// It fails with this number.
    Errno(i32),
}

/// What a disk was asked to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Write {
        inode: u64,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        inode: u64,
        size: usize,
    },
    Sync {
        inode: u64,
    },
    Create {
        path: PathBuf,
        inode: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    SyncDirectory,
}

/// Files in memory, with faults waiting for the next calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryFs {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    inodes: BTreeMap<u64, Inode>,
    writes: VecDeque<Fault>,
    truncates: VecDeque<Fault>,
    syncs: VecDeque<Fault>,
    directory_syncs: VecDeque<Fault>,
    directory_sync_count: u64,
    renames: VecDeque<Fault>,
    creates: VecDeque<Fault>,
    /// Disk size; writes beyond it are short, then fail with `StorageFull`.
    capacity: Option<usize>,
    reserves: bool,
    /// Of the files that were there when it was set.
    unreadable: Vec<Range<u64>>,
    unreadable_inodes: u64,
    write_calls: u64,
    trace: Vec<Op>,
}

#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    reserved: usize,
}

impl Inode {
    fn space(&self) -> usize {
        self.bytes.len().max(self.reserved)
    }
}

/// A file of [`MemoryFs`].
#[derive(Debug)]
pub(crate) struct MemoryFile {
    state: Arc<Mutex<State>>,
    inode: u64,
}

impl MemoryFs {
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        state.inodes[&state.names[Path::new(path)]].bytes.clone()
    }

    /// Gives the file this content; readers that have it open see it.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let inode = state.name(Path::new(path));
        state.inodes.get_mut(&inode).unwrap().bytes = bytes.to_vec();
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        let state = self.state.lock().unwrap();
        state.names.contains_key(Path::new(path))
    }

    pub(crate) fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().writes.extend(faults);
    }

    /// No fault waits any more.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.writes.clear();
        state.truncates.clear();
        state.syncs.clear();
        state.directory_syncs.clear();
        state.renames.clear();
        state.creates.clear();
        state.unreadable.clear();
        state.capacity = None;
    }

    pub(crate) fn fail_truncates(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().truncates.extend(faults);
    }

    pub(crate) fn fail_syncs(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().syncs.extend(faults);
    }

    pub(crate) fn fail_directory_syncs(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().directory_syncs.extend(faults);
    }

    pub(crate) fn fail_renames(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().renames.extend(faults);
    }

    pub(crate) fn fail_creates(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().creates.extend(faults);
    }

    pub(crate) fn set_capacity(&self, capacity: Option<usize>) {
        self.state.lock().unwrap().capacity = capacity;
    }

    /// Lets space be reserved; without it, it is not supported.
    pub(crate) fn allow_reserves(&self) {
        self.state.lock().unwrap().reserves = true;
    }

    pub(crate) fn set_unreadable(&self, range: Range<u64>) {
        let mut state = self.state.lock().unwrap();
        state.unreadable = vec![range];
        state.unreadable_inodes = state.inodes.len() as u64;
    }

    /// Bytes of disk that all named files take.
    pub(crate) fn used(&self) -> usize {
        self.state.lock().unwrap().used()
    }

    pub(crate) fn write_calls(&self) -> u64 {
        self.state.lock().unwrap().write_calls
    }

    pub(crate) fn directory_syncs(&self) -> u64 {
        self.state.lock().unwrap().directory_sync_count
    }

    /// Everything that was done so far.
    pub(crate) fn trace(&self) -> Vec<Op> {
        self.state.lock().unwrap().trace.clone()
    }

    fn file(&self, inode: u64) -> MemoryFile {
        MemoryFile {
            state: Arc::clone(&self.state),
            inode,
        }
    }
}

impl State {
    fn name(&mut self, path: &Path) -> u64 {
        let next = self.inodes.len() as u64 + 1;
        let inode = *self.names.entry(path.to_owned()).or_insert(next);
        self.inodes.entry(inode).or_default();
        inode
    }

    fn used(&self) -> usize {
        self.names
            .values()
            .map(|inode| self.inodes[inode].space())
            .sum()
    }

    fn room(&self) -> usize {
        self.capacity.map_or(usize::MAX / 2, |capacity| {
            capacity.saturating_sub(self.used())
        })
    }
}

impl Fs for MemoryFs {
    type File = MemoryFile;

    fn create_new(&self, path: &Path) -> io::Result<MemoryFile> {
        let mut state = self.state.lock().unwrap();
        take(&mut state.creates)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.name(path);
        state.trace.push(Op::Create {
            path: path.to_owned(),
            inode,
        });
        drop(state);
        Ok(self.file(inode))
    }

    fn open_exclusive(&self, path: &Path) -> io::Result<MemoryFile> {
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<MemoryFile> {
        let found = self.state.lock().unwrap().names.get(path).copied();
        match found {
            Some(inode) => Ok(self.file(inode)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create_replacement(&self, path: &Path, _: &MemoryFile) -> io::Result<MemoryFile> {
        self.state.lock().unwrap().names.remove(path);
        self.create_new(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        take(&mut state.renames)?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        let (from, to) = (from.to_owned(), to.to_owned());
        state.trace.push(Op::Rename { from, to });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.state.lock().unwrap().names.remove(path);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
}

fn take(queue: &mut VecDeque<Fault>) -> io::Result<usize> {
    match queue.pop_front().unwrap_or(Fault::None) {
        Fault::None => Ok(usize::MAX),
        Fault::Short(count) => Ok(count),
        Fault::Interrupted => Err(io::ErrorKind::Interrupted.into()),
        Fault::Error(kind) => Err(kind.into()),
        Fault::Errno(number) => Err(io::Error::from_raw_os_error(number)),
    }
}

impl ReadAt for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock().unwrap();
        let bytes = &state.inodes[&self.inode].bytes;
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        let wanted = offset..offset + count as u64;
        let bad = |range: &Range<u64>| range.start < wanted.end && wanted.start < range.end;
        if self.inode <= state.unreadable_inodes && state.unreadable.iter().any(bad) {
            return Err(io::Error::from_raw_os_error(5));
        }
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().inodes[&self.inode].bytes.len() as u64)
    }
}

impl LogFile for MemoryFile {
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        state.write_calls += 1;
        let offset = usize::try_from(offset).unwrap();
        let count = take(&mut state.writes)?.min(buffer.len());
        let room = state.room() + state.inodes[&self.inode].space();
        let room = room.saturating_sub(offset);
        if room == 0 && count > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = count.min(room);
        let bytes = &mut state.inodes.get_mut(&self.inode).unwrap().bytes;
        if bytes.len() < offset + count {
            bytes.resize(offset + count, 0);
        }
        bytes[offset..offset + count].copy_from_slice(&buffer[..count]);
        state.trace.push(Op::Write {
            inode: self.inode,
            offset,
            bytes: buffer[..count].to_vec(),
        });
        Ok(count)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        take(&mut state.truncates)?;
        let size = usize::try_from(size).unwrap();
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        inode.bytes.resize(size, 0);
        inode.reserved = 0;
        let inode = self.inode;
        state.trace.push(Op::Truncate { inode, size });
        Ok(())
    }

    fn reserve(&self, _: u64, to: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if !state.reserves {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let to = usize::try_from(to).unwrap();
        let more = to.saturating_sub(state.inodes[&self.inode].space());
        if more > state.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        inode.reserved = inode.reserved.max(to);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        take(&mut state.syncs)?;
        state.trace.push(Op::Sync { inode: self.inode });
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        take(&mut state.directory_syncs)?;
        state.directory_sync_count += 1;
        state.trace.push(Op::SyncDirectory);
        Ok(())
    }

    fn is_at(&self, path: &Path) -> bool {
        self.state.lock().unwrap().names.get(path) == Some(&self.inode)
    }
}

/// Adds a line to the table of the fault tests, if `RUNLANE_FAULT_TABLE` names its directory.
pub(crate) fn table(id: &str, fault: &str, bound: &str, worst: &str, trials: usize) {
    let Some(directory) = std::env::var_os("RUNLANE_FAULT_TABLE") else {
        return;
    };
    let line = serde_json::json!({
        "id": id, "fault": fault, "bound": bound, "worst": worst, "trials": trials,
    });
    let name = format!(
        "{}-{id}-{:08x}.jsonl",
        std::process::id(),
        slow_crc32(fault.as_bytes())
    );
    std::fs::create_dir_all(&directory).unwrap();
    let mut file = std::fs::File::create(Path::new(&directory).join(name)).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// Whether the full number of trials is wanted.
pub(crate) fn full() -> bool {
    std::env::var("RUNLANE_FAULT_TRIALS").is_ok_and(|trials| trials == "full")
}

/// One record of [`read_all`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: usize,
    pub(crate) payload: Vec<u8>,
}

/// An independent reader of the whole file: scans each block for chunks first, then joins them.
///
/// Written from the format's description alone, with none of the crate's code.
pub(crate) fn read_all(file: &[u8]) -> Vec<Found> {
    const BLOCK: usize = 32_768;
    let mut found = Vec::new();
    let mut open: Option<Found> = None;
    for (number, block) in file.chunks(BLOCK).enumerate() {
        let mut at = if number == 0 { 7 } else { 0 };
        loop {
            let Some(header) = block.get(at..at + 7) else {
                if block.len() == BLOCK || at >= block.len() {
                    break;
                }
                return found;
            };
            let crc = u32::from_le_bytes(header[..4].try_into().unwrap());
            let size = usize::from(u16::from_le_bytes(header[4..6].try_into().unwrap()));
            let good = header != [0; 7]
                && block
                    .get(at + 6..at + 7 + size)
                    .is_some_and(|body| slow_crc32(body) == crc);
            if !good {
                // Rubbish up to the next block; what was open is torn.
                open = None;
                break;
            }
            let payload = &block[at + 7..at + 7 + size];
            let offset = number * BLOCK + at;
            at += 7 + size;
            match header[6] {
                1 => {
                    open = None;
                    found.push(Found {
                        offset,
                        payload: payload.to_vec(),
                    });
                }
                2 => {
                    open = Some(Found {
                        offset,
                        payload: payload.to_vec(),
                    });
                }
                3 | 4 => {
                    if let Some(record) = &mut open {
                        record.payload.extend_from_slice(payload);
                    }
                    if header[6] == 4 {
                        found.extend(open.take());
                    }
                }
                _ => open = None,
            }
        }
    }
    found
}

/// CRC-32 with a table of its own.
pub(crate) fn slow_crc32(bytes: &[u8]) -> u32 {
    static TABLE: std::sync::OnceLock<Vec<u32>> = std::sync::OnceLock::new();
    let table = TABLE.get_or_init(|| {
        (0..256u32)
            .map(|byte| {
                (0..8).fold(byte, |value, _| {
                    (value >> 1) ^ if value & 1 == 1 { 0xEDB8_8320 } else { 0 }
                })
            })
            .collect()
    });
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (crc >> 8) ^ table[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

/// An encoded `Record` without number: one field, 300 to 1999, of `length` bytes, both made from `seed`.
pub(crate) fn record(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_varint(&mut bytes, (300 + seed % 1700) << 3 | 2);
    push_varint(&mut bytes, length as u64);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    bytes.extend(
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .take(length),
    );
    bytes
}

/// What the writer makes of `record` as number `num`.
pub(crate) fn numbered(num: u64, record: &[u8]) -> Vec<u8> {
    let mut bytes = vec![8];
    push_varint(&mut bytes, num);
    bytes.extend_from_slice(record);
    bytes
}

fn push_varint(bytes: &mut Vec<u8>, mut rest: u64) {
    while rest >= 0x80 {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
}

/// Appends a chunk; returns where it begins.
pub(crate) fn push_chunk(file: &mut Vec<u8>, type_byte: u8, payload: &[u8]) -> usize {
    let mut body = vec![type_byte];
    body.extend_from_slice(payload);
    file.extend_from_slice(&slow_crc32(&body).to_le_bytes());
    file.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_le_bytes());
    file.extend_from_slice(&body);
    file.len() - body.len() - 6
}
