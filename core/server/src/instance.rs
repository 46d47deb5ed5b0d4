//! The data directory as others see it: who serves it, where, and with which credentials.
//!
//! - `server.pid`: locked (`flock`) by the serving process for as long as it lives; two lines, process id and URL.
//!   The lock, not the number, tells whether a server runs, so a stale file after a crash does no harm.
//! - `credentials.json` (0600): `{"username","entity","api_key"}`, the only place of the clear key.
//! - the registry file: `{"base_url","pid","data_dir","credentials"}` of the server that this user runs.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::error::ServerError;

/// Name and key of the single user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Login name.
    pub username: String,
    /// Default entity.
    pub entity: String,
    /// API key in clear.
    pub api_key: String,
}

/// What clients are told about a running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Where it answers.
    pub base_url: String,
    /// Its process id.
    pub pid: u32,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its credentials file.
    pub credentials: PathBuf,
}

/// Whether a server runs on a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Running {
        /// Its process id.
        pid: u32,
        /// Where it answers; empty for a moment while it starts.
        base_url: String,
    },
    /// None runs.
    Stopped,
}

/// What a shell needs to use the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Value of `WANDB_BASE_URL`.
    pub base_url: String,
    /// Value of `WANDB_API_KEY`.
    pub api_key: String,
}

fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> ServerError + 'a {
    move |source| ServerError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn pid_path(data_dir: &Path) -> PathBuf {
    data_dir.join("server.pid")
}

/// The credentials file of a data directory.
pub fn credentials_path(data_dir: &Path) -> PathBuf {
    data_dir.join("credentials.json")
}

/// Tells whether a server runs on `data_dir`.
pub fn status(data_dir: &Path) -> Result<Status, ServerError> {
    let path = pid_path(data_dir);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Status::Stopped),
        Err(error) => return Err(io_error("open", &path)(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Status::Stopped),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let (pid, base_url) = read_pid(&mut file).map_err(io_error("read", &path))?;
            Ok(Status::Running { pid, base_url })
        }
        Err(errno) => Err(io_error("lock", &path)(errno.into())),
    }
}

fn read_pid(file: &mut File) -> std::io::Result<(u32, String)> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    Ok((pid, lines.next().unwrap_or_default().to_owned()))
}

/// Asks the server on `data_dir` to end (SIGTERM) and waits until it has; blocks. The process id it had.
pub fn stop(data_dir: &Path, timeout: Duration) -> Result<u32, ServerError> {
    let Status::Running { pid, .. } = status(data_dir)? else {
        return Err(ServerError::NotRunning {
            data_dir: data_dir.to_owned(),
        });
    };
    let path = pid_path(data_dir);
    let target = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| ServerError::Malformed {
            what: "process id",
            reason: "the server has not written it yet".into(),
            path: path.clone(),
        })?;
    match kill_process(target, Signal::TERM) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(io_error("signal the server of", &path)(errno.into())),
    }
    let started = Instant::now();
    while status(data_dir)? != Status::Stopped {
        if started.elapsed() > timeout {
            return Err(ServerError::StopTimeout {
                pid,
                waited_secs: timeout.as_secs(),
            });
        }
        // The lock is released by the kernel; there is no event to wait for across processes.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(pid)
}

/// Address and key of the server that runs on `data_dir`.
pub fn environment(data_dir: &Path) -> Result<Environment, ServerError> {
    match status(data_dir)? {
        Status::Running { base_url, .. } if !base_url.is_empty() => {
            let credentials =
                read_credentials(data_dir)?.ok_or_else(|| ServerError::Malformed {
                    what: "credentials",
                    reason: "the file is missing".into(),
                    path: credentials_path(data_dir),
                })?;
            Ok(Environment {
                base_url,
                api_key: credentials.api_key,
            })
        }
        _ => Err(ServerError::NotRunning {
            data_dir: data_dir.to_owned(),
        }),
    }
}

/// The credentials in a data directory; none if it is new.
pub fn read_credentials(data_dir: &Path) -> Result<Option<Credentials>, ServerError> {
    let path = credentials_path(data_dir);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", &path)(error)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| ServerError::Malformed {
            what: "credentials",
            reason: error.to_string(),
            path,
        })
}

/// Writes the credentials, readable by their owner only.
pub(crate) fn write_credentials(
    data_dir: &Path,
    credentials: &Credentials,
) -> Result<(), ServerError> {
    write_private(&credentials_path(data_dir), credentials)
}

fn write_private(path: &Path, content: &impl Serialize) -> Result<(), ServerError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let text = serde_json::to_string_pretty(content)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(io_error("write", path))
}

/// Creates the data directory, private to its owner.
pub(crate) fn create_data_dir(data_dir: &Path) -> Result<(), ServerError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(io_error("create", data_dir))
}

/// Exclusive ownership of a data directory; given up when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    file: File,
    path: PathBuf,
}

impl DataDirLock {
    /// Takes the directory, or tells who has it.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, ServerError> {
        let path = pid_path(data_dir);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file, path }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let (pid, base_url) = read_pid(&mut file).map_err(io_error("read", &path))?;
                Err(ServerError::AlreadyRunning { pid, base_url })
            }
            Err(errno) => Err(io_error("lock", &path)(errno.into())),
        }
    }

    /// Says where this process serves.
    pub(crate) fn announce(&mut self, base_url: &str) -> Result<(), ServerError> {
        let text = format!("{}\n{base_url}\n", std::process::id());
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write(&mut self.file).map_err(io_error("write", &self.path))
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Emptied, not removed: another process may already wait on this very file.
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(error = %error, "pid file not emptied");
        }
    }
}

/// The entry in the user's registry; removed when dropped, if it is still ours.
#[derive(Debug)]
pub(crate) struct RegistryEntry {
    path: PathBuf,
    registration: Registration,
}

impl RegistryEntry {
    /// Announces a server to this user's clients.
    pub(crate) fn write(path: &Path, registration: Registration) -> Result<Self, ServerError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(io_error("create", directory))?;
        }
        write_private(path, &registration)?;
        Ok(Self {
            path: path.to_owned(),
            registration,
        })
    }
}

impl Drop for RegistryEntry {
    fn drop(&mut self) {
        if read_registry(&self.path).is_ok_and(|found| found.as_ref() == Some(&self.registration))
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(error = %error, "registry entry not removed");
        }
    }
}

/// The server announced at `path`, if one is; it may be gone by now, [`status`] of its data directory tells.
pub fn read_registry(path: &Path) -> Result<Option<Registration>, ServerError> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| ServerError::Malformed {
                what: "server registry",
                reason: error.to_string(),
                path: path.to_owned(),
            }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lock_tells_who_serves_and_ends_with_its_holder() {
        let dir = tempfile::tempdir().expect("temp dir");
        assert_eq!(status(dir.path()).expect("readable"), Status::Stopped);
        let mut lock = DataDirLock::take(dir.path()).expect("free");
        lock.announce("http://127.0.0.1:1").expect("writable");
        let running = Status::Running {
            pid: std::process::id(),
            base_url: "http://127.0.0.1:1".into(),
        };
        assert_eq!(status(dir.path()).expect("readable"), running);
        let error = DataDirLock::take(dir.path())
            .expect_err("taken")
            .to_string();
        assert!(error.contains("http://127.0.0.1:1"), "{error}");
        drop(lock);
        assert_eq!(status(dir.path()).expect("readable"), Status::Stopped);
        DataDirLock::take(dir.path()).expect("free again");
    }

    #[test]
    fn credentials_are_private() {
        let dir = tempfile::tempdir().expect("temp dir");
        let credentials = Credentials {
            username: "a".into(),
            entity: "a".into(),
            api_key: "local-x".into(),
        };
        write_credentials(dir.path(), &credentials).expect("writable");
        assert_eq!(
            read_credentials(dir.path()).expect("readable"),
            Some(credentials)
        );
        let mode = std::fs::metadata(credentials_path(dir.path()))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn registry_entry_of_another_server_is_left_alone() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("config/server.runlane.json");
        let registration = |port: u16| Registration {
            base_url: format!("http://127.0.0.1:{port}"),
            pid: 1,
            data_dir: "d".into(),
            credentials: "c".into(),
        };
        let first = RegistryEntry::write(&path, registration(1)).expect("writable");
        let second = RegistryEntry::write(&path, registration(2)).expect("writable");
        drop(first);
        assert_eq!(
            read_registry(&path).expect("readable"),
            Some(registration(2))
        );
        drop(second);
        assert_eq!(read_registry(&path).expect("readable"), None);
    }
}
