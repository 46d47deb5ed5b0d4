//! What can go wrong with a log, by what the caller can do about it.

use std::io;
use std::path::PathBuf;

/// A failed operation on a transaction log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be created; `AlreadyExists` means that another log has this name.
    #[error("cannot create transaction log: {source}: `{}`", path.display())]
    Create {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file could not be opened.
    #[error("cannot open transaction log: {source}: `{}`", path.display())]
    Open {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process writes this log.
    #[error("transaction log is being written by another process: `{}`", path.display())]
    Locked {
        /// The log.
        path: PathBuf,
    },
    /// The file is something else: no intact chunk and no file header.
    #[error("not a transaction log: `{}`", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// The log was written by a newer format.
    #[error(
        "transaction log has format version {found}, this release reads version 0: `{}`\n\
         hint: upgrade runlane to a release that reads version {found}", path.display()
    )]
    UnsupportedVersion {
        /// The log.
        path: PathBuf,
        /// Its version byte.
        found: u8,
    },
    /// The file could not be read at all (a damaged block is not an error but a `Damage`).
    #[error("cannot read transaction log at offset {offset}: {source}: `{}`", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The file takes nothing now.
    #[error("cannot write transaction log: {source}: `{}`", path.display())]
    Append {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// So much waits in memory for a file that takes nothing that no more is taken in.
    #[error("{bytes} bytes wait in memory for the transaction log: `{}`", path.display())]
    BacklogFull {
        /// The log.
        path: PathBuf,
        /// Bytes that wait.
        bytes: u64,
    },
    /// A record is larger than protobuf allows; nothing of its batch was written.
    #[error("record of {bytes} bytes exceeds the limit of 2 GiB: `{}`", path.display())]
    RecordTooLarge {
        /// The log.
        path: PathBuf,
        /// Size of the record.
        bytes: usize,
    },
    /// `fdatasync` failed. The file must not be trusted from `synced_len` on, whatever a later sync
    /// says: continue with [`Writer::begin_repair`](crate::Writer::begin_repair).
    #[error("cannot sync transaction log beyond byte {synced_len}: {source}: `{}`", path.display())]
    SyncFailed {
        /// The log.
        path: PathBuf,
        /// Bytes that an earlier sync made durable.
        synced_len: u64,
        /// Why.
        source: io::Error,
    },
    /// An earlier sync of this log failed and the file has not been replaced yet.
    #[error("transaction log is suspect since a sync failed: `{}`", path.display())]
    Suspect {
        /// The log.
        path: PathBuf,
    },
    /// A suspect log could not be replaced by a sound copy.
    #[error("cannot replace transaction log whose sync failed: {source}: `{}`", path.display())]
    RepairFailed {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The I/O error underneath, if there is one.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Create { source, .. }
            | Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Append { source, .. }
            | Self::SyncFailed { source, .. }
            | Self::RepairFailed { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the disk or a quota is full: the same append may succeed once there is space.
    pub fn is_out_of_space(&self) -> bool {
        self.io_error().is_some_and(is_out_of_space)
    }

    /// Whether trying again on the same file can help.
    pub fn is_retryable(&self) -> bool {
        self.is_out_of_space()
            || matches!(
                self,
                Self::Locked { .. }
                    | Self::Read { .. }
                    | Self::BacklogFull { .. }
                    | Self::RepairFailed { .. }
            )
    }
}

/// Whether the disk or a quota is full.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::WriteZero
    )
}
