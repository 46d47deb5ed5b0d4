//! `files/output.log`: the console as plain text.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::console::Line;

/// Appends finished lines to `output.log` in a run's files directory.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    file: Option<File>,
    broken: bool,
}

impl OutputFile {
    /// The file in `files`; created with the first line.
    pub(crate) fn within(files: &Path) -> Self {
        Self {
            path: files.join("output.log"),
            file: None,
            broken: false,
        }
    }

    /// Appends and forgets `lines`. The log has them as well, so a failure costs only this file: it is reported once.
    pub(crate) fn append(&mut self, lines: &mut Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        let mut text = String::new();
        for line in lines.drain(..) {
            text.push_str(&line.text);
            text.push('\n');
        }
        if self.broken {
            return;
        }
        if let Err(error) = self.write(text.as_bytes()) {
            self.broken = true;
            tracing::warn!(%error, path = %self.path.display(), "console file cannot be written");
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(directory) = self.path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            self.file = Some(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&self.path)?,
            );
        }
        self.file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(bytes))
    }
}
