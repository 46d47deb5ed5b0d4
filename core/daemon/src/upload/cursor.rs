//! How far a log is uploaded, beside the log: `run-<id>.wandb.runlane-cursor`, one entry per server, entity, project and
//! run. Losing it costs sending again, never data.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stream::Offsets;
use crate::own_file;

/// Progress towards one server's run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Target {
    /// Lines that the server had before this log.
    pub(crate) history_base: u64,
    pub(crate) events_base: u64,
    pub(crate) output_base: u64,
    /// How often the run had been rewound when this log began, as our server tells it.
    pub(crate) generation: Option<i64>,
    /// Lines of this log that the server has.
    pub(crate) history: u64,
    pub(crate) events: u64,
    pub(crate) output: u64,
    /// Bytes of the log whose alerts and signals are delivered.
    pub(crate) bytes: u64,
    /// Added to the log's steps and runtimes.
    pub(crate) step_shift: i64,
    pub(crate) runtime_shift: f64,
    /// The end of the run is stored as well.
    pub(crate) complete: bool,
    /// The run's names at the server.
    pub(crate) entity: String,
    pub(crate) project: String,
    /// MD5 of each run file that is stored.
    pub(crate) files: BTreeMap<String, String>,
    /// The server's id of each artifact that is stored, by where its record ends in the log.
    pub(crate) artifacts: BTreeMap<u64, String>,
}

impl Target {
    pub(crate) fn base(&self) -> Offsets {
        Offsets {
            history: self.history_base,
            events: self.events_base,
            output: self.output_base,
        }
    }

    pub(crate) fn stored(&self) -> Offsets {
        Offsets {
            history: self.history,
            events: self.events,
            output: self.output,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    targets: BTreeMap<String, Target>,
}

const VERSION: u32 = 1;

/// The cursor file of one log, for one target.
#[derive(Debug)]
pub(crate) struct CursorFile {
    path: PathBuf,
    key: String,
    saved: Option<Target>,
}

impl CursorFile {
    /// The cursor of `log` towards a run; `key` names server, entity, project and run.
    pub(crate) fn beside(log: &Path, key: [&str; 4]) -> Self {
        let mut name = log.as_os_str().to_owned();
        name.push(".runlane-cursor");
        Self {
            path: PathBuf::from(name),
            key: key.join(" "),
            saved: None,
        }
    }

    /// What was saved; nothing if there is no file or it cannot be read as one.
    pub(crate) fn load(&mut self) -> Option<Target> {
        self.saved = self.document().targets.remove(&self.key);
        self.saved.clone()
    }

    fn document(&self) -> Document {
        let Ok(text) = std::fs::read(&self.path) else {
            return Document::default();
        };
        match serde_json::from_slice::<Document>(&text) {
            Ok(document) if document.version == VERSION => document,
            Ok(_) | Err(_) => {
                tracing::warn!(path = %self.path.display(), "upload cursor not readable: everything is sent again");
                Document::default()
            }
        }
    }

    /// Saves progress atomically, if it has changed; on stable storage when it returns.
    pub(crate) fn save(&mut self, target: &Target) -> io::Result<()> {
        if self.saved.as_ref() == Some(target) {
            return Ok(());
        }
        let mut document = self.document();
        document.version = VERSION;
        document.targets.insert(self.key.clone(), target.clone());
        let temporary = self.path.with_extension("runlane-cursor-new");
        let mut file = own_file::options()
            .write(true)
            .truncate(true)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec(&document)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        self.saved = Some(target.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_kept_apart_and_rubbish_is_ignored() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("run-x.wandb");
        let mut one = CursorFile::beside(&log, ["http://a", "e", "p", "x"]);
        let mut two = CursorFile::beside(&log, ["http://b", "e", "p", "x"]);
        assert_eq!(one.load(), None);
        let progress = Target {
            history: 7,
            complete: true,
            ..Target::default()
        };
        one.save(&progress).expect("saved");
        two.save(&Target::default()).expect("saved");
        assert_eq!(one.load(), Some(progress));
        assert_eq!(two.load(), Some(Target::default()));
        std::fs::write(directory.path().join("run-x.wandb.runlane-cursor"), b"{").expect("written");
        assert_eq!(one.load(), None);
        one.save(&Target::default()).expect("replaced");
        assert_eq!(one.load(), Some(Target::default()));
    }
}
