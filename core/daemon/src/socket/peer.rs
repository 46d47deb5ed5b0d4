//! Who is on the other end of a connection, and when that process has died.

use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

/// The process at the other end.
#[derive(Debug)]
pub(crate) struct PeerProcess {
    /// Its number; 0 if the kernel cannot say (another pid namespace).
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    alive: Option<AsyncFd<OwnedFd>>,
}

impl PeerProcess {
    /// Asks the kernel who connected.
    pub(crate) fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().unwrap_or(0);
        Ok(Self {
            pid,
            uid: credentials.uid(),
            alive: watch(pid),
        })
    }

    /// Whether the process's death can be seen.
    pub(crate) fn can_be_watched(&self) -> bool {
        self.alive.is_some()
    }

    /// Resolves when the process is dead; never, if it cannot be watched.
    pub(crate) async fn died(&self) {
        match &self.alive {
            Some(descriptor) => {
                if descriptor.readable().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(target_os = "linux")]
fn watch(pid: i32) -> Option<AsyncFd<OwnedFd>> {
    let pid = rustix::process::Pid::from_raw(pid)?;
    // A descriptor of the process itself: its number may be given to another one, the descriptor never is.
    let descriptor =
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK).ok()?;
    #[expect(
        unsafe_code,
        reason = "registering asks for a promise that an owned descriptor keeps"
    )]
    // SAFETY: the `AsyncFd` owns the descriptor and gives it up only when it is dropped, after deregistering it.
    let watched =
        unsafe { AsyncFd::register_with_interest(descriptor, tokio::io::Interest::READABLE) };
    watched.ok()
}

#[cfg(not(target_os = "linux"))]
fn watch(_pid: i32) -> Option<AsyncFd<OwnedFd>> {
    None
}
