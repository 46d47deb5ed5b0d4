//! The Unix socket to the daemon.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, recv, sendmsg, socket_with,
};

use super::descriptor::Descriptor;
use crate::engine::ports::Socket;

/// A non-blocking socket to a daemon of the same user.
pub(crate) struct DaemonSocket {
    // Shared with whoever waits for it.
    socket: Arc<Descriptor>,
}

impl DaemonSocket {
    /// Connects. Errors: `NotFound` and `ConnectionRefused` if nobody listens, `PermissionDenied` if the other end belongs to
    /// another user.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let make = || {
            let made = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            Ok(made)
        };
        let socket = Descriptor::make(make)?;
        connect(&socket, &address)?;
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        if peer.uid != rustix::process::geteuid() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the daemon's socket belongs to user {}", peer.uid.as_raw()),
            ));
        }
        Ok(Self {
            socket: Arc::new(socket),
        })
    }

    /// The descriptor, to wait for it.
    pub(crate) fn descriptor(&self) -> Arc<Descriptor> {
        Arc::clone(&self.socket)
    }
}

impl Socket for DaemonSocket {
    fn check(&self) -> io::Result<()> {
        self.socket.check()
    }

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
