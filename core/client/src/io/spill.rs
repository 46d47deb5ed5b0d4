//! The spill file on disk; its bytes are those of [`runlane_model::spill`].

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use runlane_model::spill::{FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, file_header};

use crate::engine::ports::SpillFile;

/// An open spill file; only this process writes to it.
pub(crate) struct Spill {
    file: File,
    end: u64,
}

impl Spill {
    /// Creates the file; one of the same name is replaced (the name has the writer in it, so it is our own).
    pub(crate) fn create(path: &Path, writer: u64) -> io::Result<Self> {
        let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(path)?;
        let mut spill = Self { file, end: 0 };
        spill.write(&file_header(writer), &[])?;
        spill.end = HEADER_BYTES as u64;
        Ok(spill)
    }

    /// Writes behind the last whole frame; on an error nothing of it stays.
    fn write(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let written = self.write_all(head, body);
        if written.is_err() {
            // If this fails too, the torn frame is what a reader stops at, and the next frame is written over it.
            _ = self.file.set_len(self.end);
        }
        written
    }

    fn write_all(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let total = head.len() + body.len();
        let mut done = 0;
        while done < total {
            let head = head.get(done..).unwrap_or_default();
            let body = &body[done.saturating_sub(total - body.len())..];
            match rustix::io::pwritev(
                &self.file,
                &[IoSlice::new(head), IoSlice::new(body)],
                self.end + done as u64,
            ) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => done += length,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl SpillFile for Spill {
    fn append(&mut self, entries_bytes: &[u8], entries: u32, first_seq: u64) -> io::Result<u64> {
        let header = FrameHeader::of(entries_bytes, entries, first_seq);
        self.write(&header.to_bytes(), entries_bytes)?;
        let place = self.end;
        self.end += (FRAME_HEADER_BYTES + entries_bytes.len()) as u64;
        Ok(place)
    }

    fn read(&mut self, place: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut header = [0; FRAME_HEADER_BYTES];
        self.file.read_exact_at(&mut header, place)?;
        let damaged = || io::Error::new(ErrorKind::InvalidData, "spilled frame is damaged");
        let header = FrameHeader::parse(&header)
            .filter(|header| header.payload_bytes == len)
            .ok_or_else(damaged)?;
        let mut payload = vec![0; len];
        self.file
            .read_exact_at(&mut payload, place + FRAME_HEADER_BYTES as u64)?;
        if header.matches(&payload) {
            Ok(payload)
        } else {
            Err(damaged())
        }
    }

    fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runlane_model::spill::{frames, parse_file_header};

    #[test]
    fn frames_come_back_and_are_readable_by_others() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("run-x.spill");
        let mut spill = Spill::create(&path, 7).expect("created");
        let first = spill.append(b"one", 1, 5).expect("written");
        let second = spill.append(b"two and three", 2, 6).expect("written");
        assert_eq!(spill.read(second, 13).expect("read"), b"two and three");
        assert_eq!(spill.read(first, 3).expect("read"), b"one");
        assert_eq!(
            spill.read(first, 4).expect_err("wrong length").kind(),
            ErrorKind::InvalidData
        );
        let bytes = std::fs::read(&path).expect("read");
        assert_eq!(parse_file_header(&bytes), Some(7));
        let found: Vec<(u64, &[u8])> = frames(&bytes[HEADER_BYTES..])
            .map(|(header, payload)| (header.first_seq, payload))
            .collect();
        assert_eq!(found, [(5, &b"one"[..]), (6, &b"two and three"[..])]);
    }

    #[test]
    fn damage_is_noticed_when_a_frame_is_read_back() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("run-x.spill");
        let mut spill = Spill::create(&path, 7).expect("created");
        let place = spill.append(b"entries", 1, 1).expect("written");
        let other = OpenOptions::new().write(true).open(&path).expect("open");
        other
            .write_all_at(b"X", place + FRAME_HEADER_BYTES as u64)
            .expect("damage");
        assert_eq!(
            spill.read(place, 7).expect_err("damaged").kind(),
            ErrorKind::InvalidData
        );
    }
}
