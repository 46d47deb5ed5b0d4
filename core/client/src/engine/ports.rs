//! The seams of the engine: everything that touches the outside.

use std::io::{self, IoSlice};
use std::path::Path;
use std::time::Duration;

/// A non-blocking stream socket to the daemon.
pub(crate) trait Socket {
    /// Fails if the descriptor does not stand for the socket any more. Ask once a turn, before the others.
    fn check(&self) -> io::Result<()>;
    /// Sends a prefix of the parts; `WouldBlock` if the socket takes nothing.
    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Receives what is there; 0 at the end of the stream, `WouldBlock` if nothing is.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize>;
}

/// A spill file that is open.
pub(crate) trait SpillFile {
    /// Appends one frame whole or not at all; returns its place.
    fn append(&mut self, entries_bytes: &[u8], entries: u32, first_seq: u64) -> io::Result<u64>;
    /// Reads a frame back; `InvalidData` if it is damaged.
    fn read(&mut self, place: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Says whether somebody removed the file: a daemon that took this process for dead has applied what is in it.
    fn is_gone(&mut self) -> bool;
}

/// A daemon that was started and is not listening yet.
pub(crate) trait Starting {
    /// Says how far it is.
    fn progress(&mut self) -> Progress;
}

/// How far a start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing heard yet.
    Waiting,
    /// It listens.
    Listening,
    /// It ended before it listened.
    Died,
}

/// What came of an attempt to start the daemon.
pub(crate) enum Attempt<S, T> {
    /// Somebody else was faster: here is the connection.
    Connected(S),
    /// Somebody else is starting it just now.
    Busy,
    /// It was started.
    Started(T),
}

/// The outside.
pub(crate) trait Ports {
    /// See [`Socket`].
    type Socket: Socket;
    /// See [`SpillFile`].
    type Spill: SpillFile;
    /// See [`Starting`].
    type Starting: Starting;
    /// See `wait_for`.
    type Wait;

    /// Connects to a daemon that listens; `NotFound` or `ConnectionRefused` if there is none.
    fn connect(&mut self) -> io::Result<Self::Socket>;
    /// Starts the daemon, unless somebody else does. The start lock is held until the result is dropped.
    fn start_daemon(&mut self) -> io::Result<Attempt<Self::Socket, Self::Starting>>;
    /// Creates the spill file of a writer.
    fn create_spill(&mut self, path: &Path, writer: u64) -> io::Result<Self::Spill>;
    /// Removes a spill file.
    fn remove_spill(&mut self, path: &Path) -> io::Result<()>;
    /// What is to be waited for until something can go on, at most `timeout`: the socket (with its room, if the flag is set), or
    /// the start. The waiting itself is done without the engine, so that others can use it meanwhile.
    fn wait_for(
        &self,
        socket: Option<(&Self::Socket, bool)>,
        starting: Option<&Self::Starting>,
        timeout: Option<Duration>,
    ) -> Self::Wait;
}
