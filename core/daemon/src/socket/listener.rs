//! Binding the socket, and leaving it when nobody needs the daemon.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::UnixListener;

/// Name of the socket; it carries the protocol's version.
pub const SOCKET_NAME: &str = "daemon-v1.sock";
/// Name of the lock that whoever starts or ends a daemon holds.
pub const LOCK_NAME: &str = "daemon-v1.lock";

/// Why no socket could be bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error("another daemon is listening: `{}`", .0.display())]
    Running(PathBuf),
    /// The directory is not private to the user.
    #[error(
        "the runtime directory is not private: `{}`\nhint: it must belong to you and have mode 0700; or set `RUNLANE_RUNTIME_DIR`",
        .0.display()
    )]
    NotPrivate(PathBuf),
    /// The system refused.
    #[error("cannot listen on `{}`: {source}", path.display())]
    Io {
        /// The socket or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Creates the runtime directory if it is missing, and checks that it is the user's own.
pub fn prepare_directory(directory: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Io {
        path: directory.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    let data = std::fs::symlink_metadata(directory).map_err(failed)?;
    if !data.is_dir()
        || data.uid() != rustix::process::geteuid().as_raw()
        || data.mode() & 0o077 != 0
    {
        return Err(BindError::NotPrivate(directory.to_owned()));
    }
    Ok(())
}

/// Binds the record socket. A socket file that nobody answers on is replaced.
pub fn bind(directory: &Path) -> Result<UnixListener, BindError> {
    bind_named(directory, SOCKET_NAME)
}

/// As [`bind`], for a socket of another name.
pub(crate) fn bind_named(directory: &Path, name: &str) -> Result<UnixListener, BindError> {
    let path = directory.join(name);
    let failed = |source| BindError::Io {
        path: path.clone(),
        source,
    };
    // The caller or its parent holds the start lock, so that nobody else is between these two steps.
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(BindError::Running(path));
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// The start lock while it is held; dropping it releases it.
#[derive(Debug)]
pub struct StartLock {
    _file: File,
}

impl StartLock {
    /// Takes the lock if nobody holds it.
    pub fn try_take(directory: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(directory.join(LOCK_NAME))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Takes the socket away so that the next caller starts a new daemon. Returns the listener if that must not be: somebody
/// starts or connects at this moment.
pub(crate) async fn retire(
    directory: &Path,
    listener: UnixListener,
) -> Result<(), (UnixListener, Option<tokio::net::UnixStream>)> {
    let lock = match StartLock::try_take(directory) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Err((listener, None)),
        // The directory was removed: nobody can find this daemon any more.
        Err(_) if !directory.exists() => return Ok(()),
        Err(error) => {
            tracing::warn!(%error, "start lock cannot be taken");
            return Err((listener, None));
        }
    };
    let path = directory.join(SOCKET_NAME);
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::warn!(%error, "socket file cannot be removed");
    }
    // From here on nobody new can connect; who did before is served, on a fresh socket file.
    let waiting =
        tokio::time::timeout(std::time::Duration::from_millis(1), listener.accept()).await;
    let Ok(Ok((stream, _address))) = waiting else {
        // While the lock is held: the next daemon has a control socket of the same name.
        crate::control::remove_socket(&directory.join(crate::control::SOCKET_NAME));
        return Ok(());
    };
    let result = match bind(directory) {
        Ok(fresh) => Err((fresh, Some(stream))),
        Err(error) => {
            tracing::error!(%error, "socket cannot be bound again");
            Err((listener, Some(stream)))
        }
    };
    drop(lock);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let base = tempfile::tempdir().expect("a directory");
        let directory = base.path().join("runlane");
        prepare_directory(&directory).expect("created");
        drop(bind(&directory).expect("bound"));
        let listener = bind(&directory).expect("the stale file is replaced");
        let mode = std::fs::metadata(directory.join(SOCKET_NAME))
            .expect("there")
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(bind(&directory), Err(BindError::Running(_))));
        drop(listener);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(base.path(), Permissions::from_mode(0o755)).expect("set");
        assert!(matches!(
            prepare_directory(base.path()),
            Err(BindError::NotPrivate(_))
        ));
    }

    #[tokio::test]
    async fn the_socket_stays_while_somebody_starts_or_connects() {
        let base = tempfile::tempdir().expect("a directory");
        let directory = base.path().join("runlane");
        prepare_directory(&directory).expect("created");
        let listener = bind(&directory).expect("bound");
        let lock = StartLock::try_take(&directory)
            .expect("usable")
            .expect("free");
        let (listener, none) = retire(&directory, listener)
            .await
            .expect_err("a start is under way");
        assert!(none.is_none());
        drop(lock);
        let client = std::os::unix::net::UnixStream::connect(directory.join(SOCKET_NAME))
            .expect("connected");
        // The test's own connect is in the backlog before the socket is taken away.
        let (listener, stream) = retire(&directory, listener)
            .await
            .expect_err("somebody connected");
        assert!(stream.is_some() && directory.join(SOCKET_NAME).exists());
        drop((client, stream));
        retire(&directory, listener).await.expect("nobody is there");
        assert!(!directory.join(SOCKET_NAME).exists());
    }

    #[tokio::test]
    async fn a_daemon_whose_directory_is_gone_retires() {
        let base = tempfile::tempdir().expect("a directory");
        let directory = base.path().join("runlane");
        prepare_directory(&directory).expect("created");
        let listener = bind(&directory).expect("bound");
        std::fs::remove_dir_all(&directory).expect("removed");
        retire(&directory, listener).await.expect("nobody can come");
    }
}
