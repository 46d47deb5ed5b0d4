//! Copying one file: a clone that shares its blocks where the file system can, else a copy inside the kernel, else by hand.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::io::Errno;

const BUFFER_BYTES: usize = 1 << 20;

/// Whether `target` became a clone of `source`.
///
/// Errors: none of its own; a file system that cannot do it says no, and so does every other fault, which copying will meet again.
#[cfg(target_os = "linux")]
pub(crate) fn clone_file(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

/// Other systems clone whole paths only.
#[cfg(not(target_os = "linux"))]
pub(crate) fn clone_file(_source: &File, _target: &File) -> bool {
    false
}

/// Copies `source` from where it stands to its end; returns the bytes copied. `advanced` is told how many there are so far and
/// says whether to go on.
///
/// Errors: those of reading and writing; `Interrupted` when `advanced` said no.
pub(crate) fn copy_file(
    source: &File,
    target: &File,
    mut advanced: impl FnMut(u64) -> bool,
) -> io::Result<u64> {
    let mut copied = 0_u64;
    loop {
        match copy_piece(source, target) {
            // Some file systems of the kernel's own say that there is nothing where there is something.
            Ok(0) if copied == 0 => return copy_by_hand(source, target, copied, advanced),
            Ok(0) => return Ok(copied),
            Ok(count) => copied += count as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return copy_by_hand(source, target, copied, advanced);
            }
            Err(error) => return Err(error.into()),
        }
        if !advanced(copied) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

/// Copies some bytes inside the kernel.
#[cfg(target_os = "linux")]
fn copy_piece(source: &File, target: &File) -> Result<usize, Errno> {
    /// What is copied at once, between two looks at whether to go on.
    const PIECE_BYTES: usize = 16 << 20;
    rustix::fs::copy_file_range(source, None, target, None, PIECE_BYTES)
}

#[cfg(not(target_os = "linux"))]
fn copy_piece(_source: &File, _target: &File) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

/// Goes on behind the first `copied` bytes: both files stand there.
fn copy_by_hand(
    mut source: &File,
    mut target: &File,
    mut copied: u64,
    mut advanced: impl FnMut(u64) -> bool,
) -> io::Result<u64> {
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        target.write_all(&buffer[..count])?;
        copied += count as u64;
        if !advanced(copied) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    #[test]
    fn both_ways_copy_every_byte() {
        let content: Vec<u8> = (0..3 * BUFFER_BYTES + 5)
            .map(|at| at.to_le_bytes()[1])
            .collect();
        let mut source = tempfile::tempfile().expect("a file");
        source.write_all(&content).expect("written");
        for by_hand in [false, true] {
            source.rewind().expect("rewound");
            let mut target = tempfile::tempfile().expect("a file");
            let copied = if by_hand {
                copy_by_hand(&source, &target, 0, |_| true)
            } else {
                copy_file(&source, &target, |_| true)
            };
            assert_eq!(copied.expect("copied"), content.len() as u64);
            let mut found = Vec::new();
            target.rewind().expect("rewound");
            target.read_to_end(&mut found).expect("read");
            assert!(found == content, "by hand: {by_hand}");
        }
    }

    #[test]
    fn a_refusal_ends_the_copy() {
        let mut source = tempfile::tempfile().expect("a file");
        source.write_all(&[1; 100]).expect("written");
        source.rewind().expect("rewound");
        let target = tempfile::tempfile().expect("a file");
        let error = copy_file(&source, &target, |_| false).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
