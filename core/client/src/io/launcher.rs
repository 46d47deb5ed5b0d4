//! Starting the daemon: once, whoever comes first.
//!
//! The start lock `daemon-v1.lock` is taken without waiting and held until the daemon listens. The daemon inherits a pipe
//! (`--ready-fd 3`) and writes one byte when it listens; nobody polls for the socket.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::pipe::{PipeFlags, pipe_with};

use super::socket::DaemonSocket;
use crate::engine::ports::{Attempt, Progress, Starting};
use crate::hub::HubConfig;
use crate::sys::spawn::{Detached, INHERITED_FD, spawn_detached};

/// What the daemon keeps of the trainer's environment; settings and credentials travel with each run.
const KEPT_ENVIRONMENT: [&str; 6] = [
    "HOME",
    "PATH",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
    "LANG",
    "RUST_BACKTRACE",
];

/// The daemon's socket in the runtime directory.
pub(crate) fn socket_path(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("daemon-v1.sock")
}

/// A daemon that was started. The lock is released when this is dropped.
pub(crate) struct StartedDaemon {
    ready: Arc<OwnedFd>,
    _lock: File,
}

impl Starting for StartedDaemon {
    fn progress(&mut self) -> Progress {
        let mut byte = [0];
        match rustix::io::read(&self.ready, &mut byte) {
            Ok(0) => Progress::Died,
            Ok(_) => Progress::Listening,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Progress::Waiting,
            Err(_) => Progress::Died,
        }
    }
}

impl StartedDaemon {
    /// The pipe, to wait for it.
    pub(crate) fn ready(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.ready)
    }
}

/// Starts the daemon under the lock, unless somebody else does or has.
pub(crate) fn start(config: &HubConfig) -> io::Result<Attempt<DaemonSocket, StartedDaemon>> {
    ensure_private_dir(&config.runtime_dir)?;
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
        .open(config.runtime_dir.join("daemon-v1.lock"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Attempt::Busy),
        Err(error) => return Err(error.into()),
    }
    // Whoever held the lock before us may have started it.
    match DaemonSocket::connect(&socket_path(&config.runtime_dir)) {
        Ok(socket) => return Ok(Attempt::Connected(socket)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) => {}
        Err(error) => return Err(error),
    }
    let (ready, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let environment: Vec<(&str, OsString)> = KEPT_ENVIRONMENT
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .collect();
    let ready_fd = INHERITED_FD.to_string();
    spawn_detached(&Detached {
        program: config.binary.as_os_str(),
        arguments: &[
            OsStr::new("daemon"),
            OsStr::new("--runtime-dir"),
            config.runtime_dir.as_os_str(),
            OsStr::new("--ready-fd"),
            OsStr::new(&ready_fd),
        ],
        environment: &environment,
        inherited: &[writer.as_raw_fd()],
    })?;
    Ok(Attempt::Started(StartedDaemon {
        ready: Arc::new(ready),
        _lock: lock,
    }))
}

/// Creates the directory for this user alone; refuses one that others can reach or that is not a directory.
fn ensure_private_dir(directory: &Path) -> io::Result<()> {
    match DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
    {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(directory)?;
    let mine = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !mine || found.mode() & 0o077 != 0 {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "the runtime directory must be a directory of this user alone (mode 0700): `{}`\nhint: set \
                 `RUNLANE_RUNTIME_DIR` to another one",
                directory.display()
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn config(directory: &Path, binary: &str) -> HubConfig {
        HubConfig {
            runtime_dir: directory.join("runtime"),
            binary: binary.into(),
        }
    }

    #[test]
    fn a_directory_that_others_can_reach_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let config = config(directory.path(), "/bin/true");
        ensure_private_dir(&config.runtime_dir).expect("created");
        let mode = fs::metadata(&config.runtime_dir)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::set_permissions(&config.runtime_dir, fs::Permissions::from_mode(0o755))
            .expect("changed");
        let error = ensure_private_dir(&config.runtime_dir).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_link_is_no_runtime_directory() {
        let directory = tempfile::tempdir().expect("directory");
        let config = config(directory.path(), "/bin/true");
        std::os::unix::fs::symlink(directory.path(), &config.runtime_dir).expect("linked");
        assert_eq!(
            ensure_private_dir(&config.runtime_dir)
                .expect_err("refused")
                .kind(),
            ErrorKind::PermissionDenied
        );
    }

    #[test]
    fn only_one_starts_and_a_dead_daemon_is_noticed() {
        let directory = tempfile::tempdir().expect("directory");
        let config = config(directory.path(), "/bin/true");
        let Ok(Attempt::Started(mut started)) = start(&config) else {
            panic!("starts")
        };
        assert!(matches!(start(&config), Ok(Attempt::Busy)));
        rustix::event::poll(
            &mut [rustix::event::PollFd::new(
                &started.ready(),
                rustix::event::PollFlags::IN,
            )],
            None,
        )
        .expect("polled");
        assert_eq!(started.progress(), Progress::Died);
        drop(started);
        assert!(
            matches!(start(&config), Ok(Attempt::Started(_))),
            "the lock is free again"
        );
    }

    #[test]
    fn a_missing_binary_is_an_error() {
        let directory = tempfile::tempdir().expect("directory");
        let error = start(&config(directory.path(), "/nonexistent/runlane-core"))
            .err()
            .expect("error");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
