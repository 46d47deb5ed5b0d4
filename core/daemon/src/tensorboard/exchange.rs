//! What the mirror is told, and what it gives.

use runlane_model::json::Value;
use runlane_model::key_path::KeyPath;

use crate::run::state::Remark;

/// A log directory that a process told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// Who told it.
    pub(crate) writer: u64,
    /// Absolute, without `.` and `..`.
    pub(crate) directory: String,
    /// Empty for none.
    pub(crate) root: String,
    /// Whether the files themselves become files of the run.
    pub(crate) save: bool,
    /// Where they go if no root is known: the directory's path below the process's; empty if it does not lie there.
    pub(crate) save_path: String,
    pub(crate) any_time: bool,
    /// As the writers of the process put it into file names; `None` for files of every host.
    pub(crate) host: Option<String>,
}

/// How far a file is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Logged {
    pub(crate) path: String,
    pub(crate) inode: u64,
    pub(crate) namespace: String,
    /// Events that end here or before are in rows of the log.
    pub(crate) end: u64,
}

/// A file whose rows follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// From 1, in the order of opening.
    pub(crate) file: u32,
    pub(crate) logged: Logged,
    /// Its name among the files of the run, if it is one.
    pub(crate) saved_as: Option<String>,
}

/// A row for the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) file: u32,
    pub(crate) writer: u64,
    /// Leaves, `global_step` and `_timestamp` among them.
    pub(crate) items: Vec<(KeyPath, Value)>,
    /// Names of media files that belong to it.
    pub(crate) files: Vec<String>,
    pub(crate) end: u64,
}

/// What one poll found, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mirrored {
    Opened(Opened),
    Row(Row),
}

/// The outcome of one poll.
#[derive(Debug, Default)]
pub(crate) struct Polled {
    pub(crate) found: Vec<Mirrored>,
    pub(crate) remarks: Vec<Remark>,
    /// There is more to read right now.
    pub(crate) more: bool,
    /// At the end: everything that was there is read.
    pub(crate) done: bool,
}
