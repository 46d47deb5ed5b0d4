//! The spill file on disk; its bytes are those of [`runlane_model::spill`].

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use runlane_model::spill::{FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, file_header};

use super::descriptor::Descriptor;
use crate::engine::ports::SpillFile;

/// An open spill file; only this process writes to it.
pub(crate) struct Spill {
    path: PathBuf,
    file: Descriptor,
    end: u64,
}

impl Spill {
    /// Creates the file; one of the same name is replaced (the name has the writer in it, so it is our own).
    pub(crate) fn create(path: &Path, writer: u64) -> io::Result<Self> {
        let file = open(path, OpenOptions::new().create(true).truncate(true))?;
        let mut spill = Self {
            path: path.to_owned(),
            file,
            end: 0,
        };
        spill.write(&file_header(writer), &[])?;
        spill.end = HEADER_BYTES as u64;
        Ok(spill)
    }

    /// Makes sure that the descriptor is the file; opens it again if the program has closed it.
    fn check(&mut self) -> io::Result<()> {
        if self.file.is_ours() {
            return Ok(());
        }
        let again = open(&self.path, &mut OpenOptions::new())?;
        if again.identity() != self.file.identity() {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "the spill file was replaced",
            ));
        }
        self.file = again;
        Ok(())
    }

    /// Writes behind the last whole frame; on an error nothing of it stays.
    fn write(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        self.check()?;
        let written = self.write_all(head, body);
        if written.is_err() {
            // If this fails too, the torn frame is what a reader stops at, and the next frame is written over it.
            _ = rustix::fs::ftruncate(&self.file, self.end);
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

    fn read_exact_at(&self, into: &mut [u8], place: u64) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            match rustix::io::pread(&self.file, &mut into[done..], place + done as u64) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => done += length,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Descriptor> {
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(flags);
    // A disk may stall: nobody may have to wait for it in order to fork.
    let file = options.open(path)?;
    Descriptor::make(|| Ok(file.into()))
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
        self.check()?;
        let mut header = [0; FRAME_HEADER_BYTES];
        self.read_exact_at(&mut header, place)?;
        let damaged = || io::Error::new(ErrorKind::InvalidData, "spilled frame is damaged");
        let header = FrameHeader::parse(&header)
            .filter(|header| header.payload_bytes == len)
            .ok_or_else(damaged)?;
        let mut payload = vec![0; len];
        self.read_exact_at(&mut payload, place + FRAME_HEADER_BYTES as u64)?;
        if header.matches(&payload) {
            Ok(payload)
        } else {
            Err(damaged())
        }
    }

    fn is_gone(&mut self) -> bool {
        match self.check() {
            Ok(()) => rustix::fs::fstat(&self.file).is_ok_and(|found| found.st_nlink == 0),
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
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
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[usize::try_from(place).expect("small") + FRAME_HEADER_BYTES] = b'X';
        std::fs::write(&path, bytes).expect("damage");
        assert_eq!(
            spill.read(place, 7).expect_err("damaged").kind(),
            ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_file_whose_descriptor_was_closed_is_opened_again() {
        use std::os::fd::{AsFd as _, AsRawFd as _};

        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("run-x.spill");
        let mut spill = Spill::create(&path, 7).expect("created");
        let first = spill.append(b"one", 1, 1).expect("written");
        let number = spill.file.as_fd().as_raw_fd();
        crate::sys::descriptors::close_if(number, |_| true);
        let mut foreign = tempfile::tempfile().expect("file");
        crate::sys::descriptors::duplicate_to(&foreign, number);
        let second = spill.append(b"two", 1, 2).expect("written");
        assert_eq!(spill.read(first, 3).expect("read"), b"one");
        assert_eq!(spill.read(second, 3).expect("read"), b"two");
        assert!(!spill.is_gone());
        let mut found = Vec::new();
        std::io::Read::read_to_end(&mut foreign, &mut found).expect("read");
        assert!(found.is_empty(), "a file of the user's was written to");
        std::fs::remove_file(&path).expect("removed");
        assert!(spill.is_gone());
        crate::sys::descriptors::close_if(number, |_| true);
    }
}
