//! The ends that take the place of a descriptor, and the process that carries on behind this one.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};
use rustix::termios::{LocalModes, OptionalActions, OutputModes};
use rustix::termios::{isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::super::decoder::Decoder;
use super::super::marker::Markers;
use crate::io::descriptor::{Descriptor, Identity};
use crate::sys::spawn::{Detached, INHERITED_FD, spawn_detached};

/// One descriptor.
pub(super) struct Captured {
    pub(super) is_error: bool,
    /// Where its output goes.
    pub(super) before: Descriptor,
    /// What the descriptor is while it is captured.
    pub(super) identity: Identity,
    pub(super) is_terminal: bool,
}

/// What the thread has of a descriptor.
pub(super) struct Source {
    pub(super) stream: Arc<Captured>,
    /// Where its output arrives.
    pub(super) end: Descriptor,
    pub(super) markers: Markers,
    pub(super) decoder: Decoder,
    /// Its number with the heir.
    pub(super) place: u8,
}

impl Captured {
    /// Whether the descriptor is what it was made.
    pub(super) fn is_in_place(&self) -> bool {
        let current = if self.is_error { stderr() } else { stdout() };
        Identity::of(current).is_ok_and(|found| found == self.identity)
    }

    pub(super) fn put_in_place(&self, end: BorrowedFd<'_>) -> io::Result<()> {
        if self.is_error {
            dup2_stderr(end)?;
        } else {
            dup2_stdout(end)?;
        }
        Ok(())
    }
}

impl Source {
    /// Gives the pseudo-terminal the size of the terminal.
    pub(super) fn follow_size(&self) {
        if self.stream.is_terminal
            && let Ok(size) = tcgetwinsize(&self.stream.before)
            && let Ok(had) = tcgetwinsize(&self.end)
            && (size.ws_col, size.ws_row) != (had.ws_col, had.ws_row)
        {
            // If that fails, the next look tries again.
            _ = tcsetwinsize(&self.end, size);
        }
    }
}

/// The two ends that take the place of a descriptor; the second is to be put there.
pub(super) fn prepare(
    is_error: bool,
    standard: BorrowedFd<'_>,
) -> io::Result<(Captured, Descriptor, OwnedFd)> {
    let before = Descriptor::make(|| Ok(rustix::io::fcntl_dupfd_cloexec(standard, 3)?))?;
    let is_terminal = isatty(&before);
    let mut end = None;
    let source = Descriptor::make(|| {
        let (source, other) = if is_terminal {
            pseudo_terminal(before.as_fd())?
        } else {
            pipe_with(PipeFlags::CLOEXEC)?
        };
        end = Some(other);
        Ok(source)
    })?;
    let end = end.ok_or(ErrorKind::NotConnected)?;
    let captured = Captured {
        is_error,
        identity: Identity::of(&end)?,
        before,
        is_terminal,
    };
    Ok((captured, source, end))
}

/// A terminal like `like`, except that it changes nothing of what is written: that is left to the real one.
fn pseudo_terminal(like: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    let source = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&source)?;
    unlockpt(&source)?;
    let name = ptsname(&source, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let end = open(name.as_c_str(), flags, Mode::empty())?;
    let mut modes = tcgetattr(&end)?;
    modes.output_modes.remove(OutputModes::OPOST);
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&end, OptionalActions::Now, &modes)?;
    if let Ok(size) = tcgetwinsize(like) {
        tcsetwinsize(&end, size)?;
    }
    Ok((source, end))
}

/// Starts the heir; it waits until the returned end is closed. Without one everything else works.
pub(super) fn start_heir(sources: &[Source], binary: &Path) -> Option<Descriptor> {
    let mut reading = None;
    let life = Descriptor::make(|| {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        reading = Some(read);
        Ok(write)
    })
    .ok()?;
    let reading =
        Descriptor::make(|| reading.ok_or_else(|| ErrorKind::NotConnected.into())).ok()?;
    let mut inherited = vec![reading.as_fd().as_raw_fd()];
    let mut arguments = vec!["console-heir".to_owned(), INHERITED_FD.to_string()];
    for source in sources {
        let first = i32::try_from(inherited.len()).ok()? + INHERITED_FD;
        arguments.push(format!("{first}:{}", first + 1));
        inherited.push(source.end.as_fd().as_raw_fd());
        inherited.push(source.stream.before.as_fd().as_raw_fd());
    }
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let started = spawn_detached(&Detached {
        program: binary.as_os_str(),
        arguments: &arguments,
        environment: &[],
        inherited: &inherited,
    });
    started.is_ok().then_some(life)
}
