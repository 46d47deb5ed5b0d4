//! Taking over what a dead writer left in its spill file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use runlane_model::spill::{FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, parse_file_header};

use crate::wire::{Field, Fields};

/// Entries of a spill file, frame by frame; memory is bounded by one frame.
#[derive(Debug)]
pub(crate) struct SpillReader {
    file: io::BufReader<File>,
    writer: u64,
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
        let mut file = io::BufReader::new(file);
        let mut header = [0; HEADER_BYTES];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        Ok(parse_file_header(&header).map(|writer| Self { file, writer }))
    }

    /// Whose entries these are.
    pub(crate) fn writer(&self) -> u64 {
        self.writer
    }

    /// The next whole frame; `None` at the end, or at a torn or damaged frame.
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<SpillFrame>> {
        let mut header = [0; FRAME_HEADER_BYTES];
        if !read_whole(&mut self.file, &mut header)? {
            return Ok(None);
        }
        let Some(header) = FrameHeader::parse(&header) else {
            return Ok(None);
        };
        let mut payload = vec![0; header.payload_bytes];
        if !read_whole(&mut self.file, &mut payload)? || !header.matches(&payload) {
            return Ok(None);
        }
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

fn read_whole(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
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
}
