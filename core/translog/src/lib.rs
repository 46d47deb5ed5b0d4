//! The transaction log: append, recover, read.
//!
//! The file is W&B's `.wandb` log (layout in [`format`]); both programs read what the other wrote.
//!
//! - [`Writer`] puts whole framed records into the page cache before it returns, numbers them, and
//!   hands out [`PendingSync`] so that the slow `fdatasync` can run on another thread.
//! - What a full disk does not take waits in memory, at its offset; [`LiveLog`] reads it there. A file whose
//!   sync failed is replaced by a sound copy ([`PendingRepair`]), also on another thread.
//! - [`SyncPolicy`] decides when that is due; it has no clock and no I/O of its own.
//! - [`Reader`] returns every intact record before and after damage and counts what is lost. Its
//!   end is never final: ask again after the file has grown.
//! - [`Fs`] and [`LogFile`] are the seam through which tests inject short writes and full disks.
//!
//! ```
//! use runlane_translog::{OsFs, ReadEvent, Reader, Writer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("run-x.wandb");
//! let mut writer = Writer::create(&OsFs, &path)?;
//! writer.append(b"\xa2\x01\x00")?; // one encoded `Record` without its `num`
//! writer.sync()?;
//!
//! let mut reader = Reader::open(&OsFs, &path)?;
//! while let ReadEvent::Record(record) = reader.next_event()? {
//!     assert_eq!(record.num, Some(1));
//! }
//! # Ok(())
//! # }
//! ```

mod claim;
mod error;
mod event;
pub mod format;
mod frame;
mod live;
mod numbers;
mod reader;
mod recover;
mod repair;
mod storage;
mod sync_policy;
mod writer;

pub use error::Error;
pub use event::{Damage, Position, ReadEvent, ReaderStats, RecordRef, Tail};
pub use live::LiveLog;
pub use reader::Reader;
pub use recover::Recovery;
pub use repair::{PendingRepair, RepairOutcome, RepairReport};
pub use storage::{Fs, LocklessFs, LogFile, OsFile, OsFs, ReadAt};
pub use sync_policy::{Durability, MAX_UNSYNCED_BYTES, MAX_UNSYNCED_DELAY, SyncPolicy};
pub use writer::{Appended, MAX_BACKLOG_BYTES, PendingSync, RecordSpan, SyncOutcome, Writer};
