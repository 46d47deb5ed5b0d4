//! What the server does not take, beside the log: `run-<id>.wandb.runlane-dead`, one JSON object a line, for people to
//! read and for `runlane sync --retry-quarantined` to send again.
//!
//! ```text
//! {"file": "wandb-history.jsonl", "line": 7, "status": 422, "reason": "…", "text": "{…}"}   refused
//! {"file": "wandb-history.jsonl", "line": 7, "at": 1000}                                    about to be sent again, there
//! {"file": "wandb-history.jsonl", "line": 7, "done": true}                                  stored
//! ```
//!
//! The file is only appended to, until everything in it is done. An upload that starts over may quarantine a line twice:
//! file and line number tell them apart.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stream::Quarantined;
use crate::own_file;

/// Beyond this, nothing is quarantined any more.
const MAX_BYTES: u64 = 64 << 20;

/// The dead-letter file of one log.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    path: PathBuf,
}

/// One unit that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) file: String,
    pub(crate) line: Option<u64>,
    pub(crate) text: String,
    /// Where it was sent, or was about to be, the last time.
    pub(crate) at: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    done: bool,
}

impl DeadLetters {
    /// Those of the log at `log`.
    pub(crate) fn beside(log: &Path) -> Self {
        let mut name = log.as_os_str().to_owned();
        name.push(".runlane-dead");
        Self {
            path: PathBuf::from(name),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a unit; on stable storage when it returns.
    pub(crate) fn add(&self, unit: &Quarantined, status: u16, reason: &str) -> io::Result<()> {
        self.append(&Entry {
            file: unit.file.to_owned(),
            line: unit.line,
            status: Some(status),
            reason: Some(reason.to_owned()),
            text: Some(unit.text.clone()),
            ..Entry::default()
        })
    }

    /// `letter` is about to be sent as line `at`.
    pub(crate) fn note_place(&self, letter: &DeadLetter, at: u64) -> io::Result<()> {
        self.append(&Entry {
            file: letter.file.clone(),
            line: letter.line,
            at: Some(at),
            ..Entry::default()
        })
    }

    /// `letter` is stored.
    pub(crate) fn note_done(&self, letter: &DeadLetter) -> io::Result<()> {
        self.append(&Entry {
            file: letter.file.clone(),
            line: letter.line,
            done: true,
            ..Entry::default()
        })
    }

    fn append(&self, entry: &Entry) -> io::Result<()> {
        let mut file = own_file::options().append(true).open(&self.path)?;
        if entry.text.is_some() && file.metadata()?.len() >= MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "it has 64 MiB already",
            ));
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
    }

    /// What is not done, in order, each once; lines that are none are left out.
    pub(crate) fn read(&self) -> io::Result<Vec<DeadLetter>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut letters: Vec<Option<DeadLetter>> = Vec::new();
        let mut places: HashMap<(String, Option<u64>), usize> = HashMap::new();
        for line in BufReader::new(file).split(b'\n') {
            let Ok(entry) = serde_json::from_slice::<Entry>(&line?) else {
                continue;
            };
            let key = (entry.file, entry.line);
            let index = *places.entry(key.clone()).or_insert_with(|| {
                letters.push(None);
                letters.len() - 1
            });
            let letter = &mut letters[index];
            match (letter.as_mut(), entry.text) {
                _ if entry.done => *letter = None,
                (Some(known), None) => known.at = entry.at,
                (Some(known), Some(text)) => known.text = text,
                (None, Some(text)) => {
                    *letter = Some(DeadLetter {
                        file: key.0,
                        line: key.1,
                        text,
                        at: None,
                    });
                }
                (None, None) => {}
            }
        }
        Ok(letters.into_iter().flatten().collect())
    }

    /// Removes the file: everything in it is done.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn letters_are_kept_until_they_are_done() {
        let directory = tempfile::tempdir().expect("a directory");
        let dead = DeadLetters::beside(&directory.path().join("run-x.wandb"));
        assert_eq!(dead.read().expect("no file"), []);
        let unit = |line, text: &str| Quarantined {
            file: "wandb-history.jsonl",
            line: Some(line),
            text: text.to_owned(),
        };
        for (line, text) in [(3, "a"), (9, "b\nc"), (3, "a")] {
            dead.add(&unit(line, text), 422, "no").expect("added");
        }
        let letters = dead.read().expect("readable");
        assert_eq!(letters.len(), 2);
        dead.note_place(&letters[1], 100).expect("noted");
        // A line that was cut off by a crash.
        let mut file = File::options()
            .append(true)
            .open(dead.path())
            .expect("there");
        file.write_all(b"{\"file\": \"wandb-hist\n")
            .expect("written");
        dead.note_done(&letters[0]).expect("noted");
        let letters = dead.read().expect("readable");
        assert_eq!(letters.len(), 1);
        assert_eq!(
            (letters[0].text.as_str(), letters[0].at),
            ("b\nc", Some(100))
        );
        let mode = std::fs::metadata(dead.path())
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        dead.remove().expect("removed");
        dead.remove().expect("gone already");
        assert_eq!(dead.read().expect("no file"), []);
    }
}
