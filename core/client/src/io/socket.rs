//! The Unix socket to the daemon.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, recv, sendmsg, socket_with,
};

use crate::engine::ports::Socket;

/// Sockets that are open in this process, so that a child of `fork` can close its copies: with one left open the daemon would
/// not notice the death of the parent.
static OPEN_SOCKETS: [AtomicI32; 64] = [const { AtomicI32::new(-1) }; 64];

/// A non-blocking socket to a daemon of the same user.
pub(crate) struct DaemonSocket {
    socket: OwnedFd,
    slot: Option<&'static AtomicI32>,
}

impl DaemonSocket {
    /// Connects. Errors: `NotFound` and `ConnectionRefused` if nobody listens, `PermissionDenied` if the other end belongs to
    /// another user.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let slot = OPEN_SOCKETS.iter().find(|slot| {
            slot.compare_exchange(-1, socket.as_raw_fd(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        });
        let connected = Self { socket, slot };
        connect(&connected.socket, &address)?;
        let peer = rustix::net::sockopt::socket_peercred(&connected.socket)?;
        if peer.uid != rustix::process::geteuid() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the daemon's socket belongs to user {}", peer.uid.as_raw()),
            ));
        }
        Ok(connected)
    }
}

impl Drop for DaemonSocket {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.store(-1, Ordering::Release);
        }
    }
}

impl Socket for DaemonSocket {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(sendmsg(
            &self.socket,
            parts,
            &mut SendAncillaryBuffer::default(),
            flags,
        )?)
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.socket, into, RecvFlags::DONTWAIT)?.1)
    }
}

impl AsFd for DaemonSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Closes this process's copies of the parent's sockets. Only for a child of `fork`.
pub(crate) fn close_inherited_sockets() {
    for slot in &OPEN_SOCKETS {
        let descriptor = slot.swap(-1, Ordering::AcqRel);
        if descriptor >= 0 {
            crate::sys::signals::close_inherited(descriptor);
        }
    }
}
