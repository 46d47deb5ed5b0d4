//! What the log's tests share: a faulty in-memory file system and an independent reader.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::allow_attributes,
    reason = "what is unused differs by test file"
)]

use std::collections::{BTreeMap, VecDeque};
use std::io;
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
}

/// Files in memory, with faults waiting for the next calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryFs {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    writes: VecDeque<Fault>,
    truncates: VecDeque<Fault>,
    syncs: VecDeque<Fault>,
    directory_syncs: u64,
    /// Disk size; writes beyond it are short, then fail with `StorageFull`.
    capacity: Option<usize>,
    unreadable: Vec<std::ops::Range<u64>>,
    write_calls: u64,
}

/// A file of [`MemoryFs`].
#[derive(Debug)]
pub(crate) struct MemoryFile {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl MemoryFs {
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        self.state.lock().unwrap().files[Path::new(path)].clone()
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.state
            .lock()
            .unwrap()
            .files
            .insert(path.into(), bytes.to_vec());
    }

    pub(crate) fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().writes.extend(faults);
    }

    pub(crate) fn fail_truncates(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().truncates.extend(faults);
    }

    pub(crate) fn fail_syncs(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().syncs.extend(faults);
    }

    pub(crate) fn set_capacity(&self, capacity: Option<usize>) {
        self.state.lock().unwrap().capacity = capacity;
    }

    pub(crate) fn set_unreadable(&self, ranges: Vec<std::ops::Range<u64>>) {
        self.state.lock().unwrap().unreadable = ranges;
    }

    pub(crate) fn write_calls(&self) -> u64 {
        self.state.lock().unwrap().write_calls
    }

    pub(crate) fn directory_syncs(&self) -> u64 {
        self.state.lock().unwrap().directory_syncs
    }

    fn file(&self, path: &Path) -> MemoryFile {
        MemoryFile {
            state: Arc::clone(&self.state),
            path: path.to_owned(),
        }
    }
}

impl Fs for MemoryFs {
    type File = MemoryFile;

    fn create_new(&self, path: &Path) -> io::Result<MemoryFile> {
        let mut state = self.state.lock().unwrap();
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.insert(path.to_owned(), Vec::new());
        drop(state);
        Ok(self.file(path))
    }

    fn open_exclusive(&self, path: &Path) -> io::Result<MemoryFile> {
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<MemoryFile> {
        if self.state.lock().unwrap().files.contains_key(path) {
            return Ok(self.file(path));
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

fn take(queue: &mut VecDeque<Fault>) -> io::Result<usize> {
    match queue.pop_front().unwrap_or(Fault::None) {
        Fault::None => Ok(usize::MAX),
        Fault::Short(count) => Ok(count),
        Fault::Interrupted => Err(io::ErrorKind::Interrupted.into()),
        Fault::Error(kind) => Err(kind.into()),
    }
}

impl ReadAt for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock().unwrap();
        if state.unreadable.iter().any(|range| range.contains(&offset)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let bytes = &state.files[&self.path];
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().files[&self.path].len() as u64)
    }
}

impl LogFile for MemoryFile {
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        state.write_calls += 1;
        let offset = usize::try_from(offset).unwrap();
        let room = state
            .capacity
            .map_or(usize::MAX, |capacity| capacity.saturating_sub(offset));
        let count = take(&mut state.writes)?.min(buffer.len());
        if room == 0 && count > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = count.min(room);
        let bytes = state.files.get_mut(&self.path).unwrap();
        if bytes.len() < offset + count {
            bytes.resize(offset + count, 0);
        }
        bytes[offset..offset + count].copy_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        take(&mut state.truncates)?;
        let size = usize::try_from(size).unwrap();
        state.files.get_mut(&self.path).unwrap().resize(size, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        take(&mut self.state.lock().unwrap().syncs).map(drop)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.state.lock().unwrap().directory_syncs += 1;
        Ok(())
    }
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
