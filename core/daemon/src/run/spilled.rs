//! Taking over what a dead writer left in its spill file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use runlane_model::spill::{FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, parse_file_header};

use crate::wire::{Field, Fields};

/// A damaged file is searched for its next whole frame in steps of so many bytes.
const SEARCH_BYTES: usize = 1 << 16;

/// Entries of a spill file, frame by frame; memory is bounded by one frame.
#[derive(Debug)]
pub(crate) struct SpillReader {
    file: File,
    writer: u64,
    /// Where the next frame begins, and the last entry of the one before.
    offset: u64,
    last_seq: u64,
}

/// One frame's entries, still encoded, with the number of the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpillFrame {
    pub(crate) first_seq: u64,
    payload: Vec<u8>,
}

impl SpillReader {
    /// Opens a spill file; `None` if there is none or it is something else.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        if !read_whole(&file, &mut header, 0)? {
            return Ok(None);
        }
        Ok(parse_file_header(&header).map(|writer| Self {
            file,
            writer,
            offset: HEADER_BYTES as u64,
            last_seq: 0,
        }))
    }

    /// Whose entries these are.
    pub(crate) fn writer(&self) -> u64 {
        self.writer
    }

    /// The next whole frame; `None` at the end. Damage is skipped up to the next whole frame: the numbers tell what it has cost.
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<SpillFrame>> {
        if let Some(frame) = self.frame_at(self.offset)? {
            return Ok(Some(frame));
        }
        let mut window = vec![0; SEARCH_BYTES];
        let mut start = self.offset + 1;
        loop {
            let count = read_some(&self.file, &mut window, start)?;
            for at in 0..(count + 1).saturating_sub(FRAME_HEADER_BYTES) {
                // Nearly all places are ruled out by what a header can say at all.
                let is_possible = FrameHeader::parse(&window[at..count])
                    .is_some_and(|header| header.first_seq > self.last_seq);
                if is_possible && let Some(frame) = self.frame_at(start + at as u64)? {
                    return Ok(Some(frame));
                }
            }
            if count < window.len() {
                return Ok(None);
            }
            start += (count + 1 - FRAME_HEADER_BYTES) as u64;
        }
    }

    /// The frame that begins at `offset`, if there is a whole one; goes on behind it.
    fn frame_at(&mut self, offset: u64) -> io::Result<Option<SpillFrame>> {
        let mut header = [0; FRAME_HEADER_BYTES];
        if !read_whole(&self.file, &mut header, offset)? {
            return Ok(None);
        }
        let begin = offset + FRAME_HEADER_BYTES as u64;
        let size = self.file.metadata()?.len();
        let fits = |header: &FrameHeader| begin + header.payload_bytes as u64 <= size;
        let Some(header) = FrameHeader::parse(&header).filter(fits) else {
            return Ok(None);
        };
        let mut payload = vec![0; header.payload_bytes];
        if !read_whole(&self.file, &mut payload, begin)? || !header.matches(&payload) {
            return Ok(None);
        }
        self.offset = begin + header.payload_bytes as u64;
        self.last_seq = header.last_seq();
        Ok(Some(SpillFrame {
            first_seq: header.first_seq,
            payload,
        }))
    }
}

impl SpillFrame {
    /// Entries that lie elsewhere.
    pub(crate) fn of(first_seq: u64, payload: Vec<u8>) -> Self {
        Self { first_seq, payload }
    }

    /// The entries in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut fields = Fields::new(&self.payload);
        std::iter::from_fn(move || {
            while let Ok(Some((number, field))) = fields.next_field() {
                if let (3, Field::Bytes(entry)) = (number, field) {
                    return Some(entry);
                }
            }
            None
        })
    }
}

fn read_whole(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads until `buffer` is full or the file ends; how many bytes.
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// The spill files that stand beside `log`, sorted by name.
pub(crate) fn spill_files_of(log: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(directory), Some(stem)) =
        (log.parent(), log.file_stem().and_then(|stem| stem.to_str()))
    else {
        return Ok(Vec::new());
    };
    let prefix = format!("{stem}.");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(&prefix) && name.ends_with(".runlane-spill") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use runlane_model::spill::file_header;
    use runlane_proto::local;

    use super::*;

    #[test]
    fn frames_are_read_up_to_a_torn_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("run-x.wandb");
        let path = directory
            .path()
            .join("run-x.00000000000000ff.runlane-spill");
        let payload = local::Batch {
            entry: vec![local::Entry::default(); 2],
            ..Default::default()
        }
        .encode_to_vec();
        let mut bytes = file_header(0xff).to_vec();
        for seq in [5, 7] {
            bytes.extend_from_slice(&FrameHeader::of(&payload, 2, seq).to_bytes());
            bytes.extend_from_slice(&payload);
        }
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
        assert_eq!(
            spill_files_of(&log).expect("listed"),
            std::slice::from_ref(&path)
        );
        let mut reader = SpillReader::open(&path)
            .expect("readable")
            .expect("a spill file");
        assert_eq!(reader.writer(), 0xff);
        let frame = reader
            .next_frame()
            .expect("readable")
            .expect("a whole frame");
        assert_eq!((frame.first_seq, frame.entries().count()), (5, 2));
        assert_eq!(reader.next_frame().expect("readable"), None);
        assert!(SpillReader::open(&log).expect("absent").is_none());
    }

    #[test]
    fn a_damaged_frame_costs_itself_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.1.runlane-spill");
        let payload = local::Batch {
            entry: vec![local::Entry::default(); 3],
            ..Default::default()
        }
        .encode_to_vec();
        let mut whole = file_header(1).to_vec();
        let frames = 20;
        for frame in 0..frames {
            whole.extend_from_slice(&FrameHeader::of(&payload, 3, 1 + 3 * frame).to_bytes());
            whole.extend_from_slice(&payload);
        }
        let frame_bytes = FRAME_HEADER_BYTES + payload.len();
        let seqs = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            let mut reader = SpillReader::open(&path)
                .expect("readable")
                .expect("a spill file");
            let mut seqs = Vec::new();
            while let Some(frame) = reader.next_frame().expect("readable") {
                seqs.push(frame.first_seq);
            }
            seqs
        };
        let all: Vec<u64> = (0..frames).map(|frame| 1 + 3 * frame).collect();
        assert_eq!(seqs(&whole), all);
        for position in HEADER_BYTES..HEADER_BYTES + 4 * frame_bytes {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x81;
            let hit = (position - HEADER_BYTES) / frame_bytes;
            let mut expected = all.clone();
            expected.remove(hit);
            assert_eq!(seqs(&bytes), expected, "byte {position}");
        }
        // A hole of several frames, and a file longer than what is searched at a time.
        let mut bytes = whole.clone();
        bytes.splice(HEADER_BYTES..HEADER_BYTES, vec![7; 3 * SEARCH_BYTES - 5]);
        assert_eq!(seqs(&bytes), all);
    }
}
