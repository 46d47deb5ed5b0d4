//! The private socket: frames, connections, the process at the other end.

pub(crate) mod acceptor;
pub(crate) mod connection;
pub(crate) mod frame;
pub mod listener;
pub(crate) mod outbox;
pub(crate) mod peer;

pub use frame::FrameError;
