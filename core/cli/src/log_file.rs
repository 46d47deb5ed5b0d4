//! A log file of bounded size: full, it becomes `<name>.1` and a new one begins.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of the file before it is turned over; two of them are kept.
const MAX_BYTES: u64 = 4 << 20;

/// The file, shared by all threads.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    bytes: u64,
}

impl LogFile {
    /// Opens `path` for appending, readable by its owner only.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let state =
            open(path).with_context(|| format!("cannot open the log file `{}`", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    fn write_line(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.bytes + line.len() as u64 > MAX_BYTES {
            let mut old = self.path.as_os_str().to_owned();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            *state = open(&self.path)?;
        }
        state.bytes += line.len() as u64;
        state.file.write_all(line)
    }
}

fn open(path: &Path) -> io::Result<State> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let bytes = file.metadata()?.len();
    Ok(State { file, bytes })
}

/// Writes one event.
#[derive(Debug)]
pub(crate) struct LineWriter<'a>(&'a LogFile);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// Sends all tracing to `file`; `RUNLANE_LOG` chooses what is written.
pub(crate) fn start_tracing(file: LogFile) {
    let filter =
        EnvFilter::try_from_env("RUNLANE_LOG").unwrap_or_else(|_unset| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(file)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_turned_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("daemon.log");
        let file = LogFile::open(&path).expect("opened");
        let line = vec![b'x'; 3 << 20];
        file.write_line(&line).expect("written");
        file.write_line(b"next\n").expect("written");
        file.write_line(&line).expect("written");
        assert_eq!(
            std::fs::metadata(directory.path().join("daemon.log.1"))
                .expect("kept")
                .len(),
            (3 << 20) + 5
        );
        assert_eq!(std::fs::metadata(&path).expect("new").len(), 3 << 20);
    }
}
