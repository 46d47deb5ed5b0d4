//! The shelf: a small file in memory (tmpfs) into which a training process writes its rows as they are logged.
//!
//! The file is mapped into the process, so that a row is out of its hands when the call returns, without a system call, and
//! survives a SIGKILL of the process and of the daemon. The daemon gets the rows over the socket soon afterwards; the shelf
//! is read only after its writer has died. It does not survive the machine, and need not: what is not in the log by then was
//! not promised to be on stable storage.
//!
//! Layout, little-endian:
//!
//! ```text
//! header  8 bytes  magic "RLSHELF1"
//!         8 bytes  u64 writer (OpenRun.writer)
//!         8 bytes  u64 process id of the owner
//!         8 bytes  u64 start of the owner, in clock ticks since boot (field 22 of /proc/PID/stat)
//!         8 bytes  u64 inode of the owner's process-id namespace
//!         4 bytes  u32 length of the path that follows
//!         n bytes  absolute path of the writer's spill file, which says whose run this is
//! at TABLE_OFFSET, for each of SLOTS slots:
//!         8 bytes  u64 sequence number of the first entry
//!         8 bytes  u64 entries << 32 | bytes; 0 while the slot is empty
//! at SLOTS_OFFSET, SLOTS times SLOT_BYTES: the `entry` fields of a `runlane.local.v1.Batch`
//! ```
//!
//! Invariants: a slot's second word is stored after the bytes that it counts, and in one store, so that a reader sees whole
//! entries only; the slots that are not empty hold every entry of the writer that is neither acknowledged nor in the spill
//! file nor in ordinary memory, in any order.

use std::path::{Path, PathBuf};

/// First bytes of a shelf; the digit is the format version.
pub const MAGIC: [u8; 8] = *b"RLSHELF1";
/// Slots of a shelf.
pub const SLOTS: usize = 16;
/// Bytes of one slot.
pub const SLOT_BYTES: usize = 64 << 10;
/// Where the table of slots begins.
pub const TABLE_OFFSET: usize = 8192 - SLOTS * TABLE_ENTRY_BYTES;
/// Where the slots begin.
pub const SLOTS_OFFSET: usize = 8192;
/// Bytes of a whole shelf.
pub const FILE_BYTES: usize = SLOTS_OFFSET + SLOTS * SLOT_BYTES;
/// Bytes of a slot's entry in the table.
pub const TABLE_ENTRY_BYTES: usize = 16;

const PATH_OFFSET: usize = 44;

/// The directory of this user's shelves. It is in memory, and the same for every process of the user.
#[must_use]
pub fn directory_of(uid: u32) -> PathBuf {
    PathBuf::from(format!("/dev/shm/runlane-{uid}"))
}

/// Whose a shelf is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `OpenRun.writer`.
    pub writer: u64,
    /// The process that writes.
    pub owner: Owner,
    /// The writer's spill file.
    pub spill_path: PathBuf,
}

/// A process, told from later ones with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Process id.
    pub pid: u64,
    /// Start in clock ticks since boot.
    pub started_ticks: u64,
    /// Inode of the process-id namespace.
    pub namespace: u64,
}

impl Owner {
    /// Asks `/proc` for a running process; `None` if there is none, or no `/proc`.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything; 20 fields on from the state comes the start.
        let fields = stat.rsplit_once(')')?.1;
        let started_ticks = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self {
            pid: pid.into(),
            started_ticks,
            namespace: own_namespace()?,
        })
    }

    /// Whether the process is gone for certain: it was in this namespace, and is not there any more.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        if own_namespace() != Some(self.namespace) {
            return false;
        }
        let running = u32::try_from(self.pid).ok().and_then(Self::of);
        running.is_none_or(|running| running.started_ticks != self.started_ticks)
    }
}

fn own_namespace() -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(std::fs::metadata("/proc/self/ns/pid").ok()?.ino())
}

impl Header {
    /// The first bytes of the file; `None` if the path is too long for them.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt;
        let path = self.spill_path.as_os_str().as_bytes();
        if PATH_OFFSET + path.len() > TABLE_OFFSET {
            return None;
        }
        let mut bytes = MAGIC.to_vec();
        let owner = self.owner;
        for word in [self.writer, owner.pid, owner.started_ticks, owner.namespace] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&u32::try_from(path.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(path);
        Some(bytes)
    }

    /// Reads the first bytes of a file; `None` if it is no shelf.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt;
        let rest = bytes.strip_prefix(&MAGIC)?;
        let word = |at: usize| Some(u64::from_le_bytes(rest.get(at..at + 8)?.try_into().ok()?));
        let length = u32::from_le_bytes(rest.get(32..36)?.try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        let path = rest.get(36..)?.get(..length)?;
        Some(Self {
            writer: word(0)?,
            owner: Owner {
                pid: word(8)?,
                started_ticks: word(16)?,
                namespace: word(24)?,
            },
            spill_path: Path::new(std::ffi::OsStr::from_bytes(path)).to_owned(),
        })
    }
}

/// The second word of a slot's entry in the table.
#[must_use]
pub const fn slot_state(entries: u32, bytes: u32) -> u64 {
    (entries as u64) << 32 | bytes as u64
}

/// The entries in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot<'a> {
    /// Sequence number of the first entry.
    pub first_seq: u64,
    /// Number of entries.
    pub entries: u32,
    /// The entries.
    pub bytes: &'a [u8],
}

/// The slots of a whole shelf that are not empty, by sequence number.
#[must_use]
pub fn slots(file: &[u8]) -> Vec<Slot<'_>> {
    let word = |at: usize| Some(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?));
    let slot = |index: usize| {
        let entry = TABLE_OFFSET + index * TABLE_ENTRY_BYTES;
        let (first_seq, state) = (word(entry)?, word(entry + 8)?);
        let (entries, bytes) = ((state >> 32) as u32, (state & 0xffff_ffff) as usize);
        if first_seq == 0 || entries == 0 || bytes > SLOT_BYTES {
            return None;
        }
        let start = SLOTS_OFFSET + index * SLOT_BYTES;
        Some(Slot {
            first_seq,
            entries,
            bytes: file.get(start..start + bytes)?,
        })
    };
    let mut found: Vec<Slot<'_>> = (0..SLOTS).filter_map(slot).collect();
    found.sort_by_key(|slot| slot.first_seq);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(path: &str) -> Header {
        let owner = Owner::of(std::process::id()).expect("this process");
        Header {
            writer: 0xfeed,
            owner,
            spill_path: PathBuf::from(path),
        }
    }

    #[test]
    fn header_comes_back() {
        let header = header("/tmp/run/run-x.000000000000feed.runlane-spill");
        let mut bytes = header.to_bytes().expect("short enough");
        bytes.resize(FILE_BYTES, 0);
        assert_eq!(Header::parse(&bytes), Some(header));
        assert_eq!(Header::parse(&bytes[..40]), None);
        assert_eq!(Header::parse(b"RLSHELF2"), None);
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        assert_eq!(header(&"x".repeat(TABLE_OFFSET)).to_bytes(), None);
    }

    #[test]
    fn slots_come_in_order_and_broken_ones_not_at_all() {
        let mut file = vec![0; FILE_BYTES];
        let too_long = u32::try_from(SLOT_BYTES + 1).expect("small");
        let table = [
            (9, slot_state(1, 3)),
            (0, slot_state(1, 3)),
            (4, slot_state(2, 5)),
            (7, slot_state(1, too_long)),
        ];
        for (index, (first_seq, state)) in table.into_iter().enumerate() {
            let at = TABLE_OFFSET + index * TABLE_ENTRY_BYTES;
            file[at..at + 8].copy_from_slice(&u64::to_le_bytes(first_seq));
            file[at + 8..at + 16].copy_from_slice(&state.to_le_bytes());
        }
        let found: Vec<(u64, u32, usize)> = slots(&file)
            .iter()
            .map(|slot| (slot.first_seq, slot.entries, slot.bytes.len()))
            .collect();
        assert_eq!(found, [(4, 2, 5), (9, 1, 3)]);
        assert!(slots(&file[..100]).is_empty());
    }

    #[test]
    fn this_process_is_alive_and_another_with_its_number_is_not() {
        let owner = Owner::of(std::process::id()).expect("this process");
        assert!(!owner.is_dead());
        let earlier = Owner {
            started_ticks: owner.started_ticks - 1,
            ..owner
        };
        assert!(earlier.is_dead());
        let elsewhere = Owner {
            namespace: owner.namespace + 1,
            ..earlier
        };
        assert!(!elsewhere.is_dead(), "not for this process to say");
    }
}
