//! Memory that is a file: shared mappings.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file mapped for reading and writing; what is written is in the file at once.
///
/// The file must have all its bytes, allocated, for as long as the mapping exists. Callers see to it that no two of them use the
/// same bytes at the same time.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: plain memory, valid on every thread until it is dropped.
unsafe impl Send for Mapping {}
// SAFETY: shared access is either atomic or to bytes that only one caller uses, as the type demands.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of `file`, which may be closed afterwards.
    pub(crate) fn of(file: impl AsFd, length: usize) -> std::io::Result<Self> {
        // SAFETY: a new mapping at an address of the system's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_fd().as_raw_fd(),
                0,
            )
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { start, length }),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Copies `bytes` to `offset`. Nobody else may use that range meanwhile.
    #[inline]
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: the range lies within the mapping; the caller has it for itself.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(offset), bytes.len());
        }
    }

    /// The bytes at `offset`. Nobody may write to them while the slice is used.
    #[inline]
    pub(crate) fn slice(&self, offset: usize, length: usize) -> &[u8] {
        self.check(offset, length);
        // SAFETY: the range lies within the mapping, which outlives the slice; nobody writes to it meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset), length) }
    }

    /// Stores a word, after everything that this thread has written before.
    #[inline]
    pub(crate) fn store(&self, offset: usize, value: u64) {
        self.check(offset, 8);
        assert_eq!(offset % 8, 0, "words are aligned");
        // SAFETY: aligned (mappings begin at a page) and within the mapping; words are only ever used through this.
        let word = unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) };
        word.store(value.to_le(), Ordering::Release);
    }

    #[inline]
    fn check(&self, offset: usize, length: usize) {
        assert!(
            offset <= self.length && length <= self.length - offset,
            "within the mapping"
        );
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; slices of it cannot outlive `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_in_the_file() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(4096).expect("room");
        let mapping = Mapping::of(&file, 4096).expect("mapped");
        mapping.write(100, b"row");
        mapping.store(8, 0x0102);
        assert_eq!(mapping.slice(100, 3), b"row");
        let mut bytes = [0; 128];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).expect("read");
        assert_eq!(&bytes[100..103], b"row");
        assert_eq!(&bytes[8..10], [2, 1]);
    }

    #[test]
    #[should_panic(expected = "within the mapping")]
    fn nothing_is_written_beyond_the_end() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(4096).expect("room");
        Mapping::of(&file, 4096).expect("mapped").write(4095, b"ab");
    }
}
