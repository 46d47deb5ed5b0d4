//! The control service: what the command line and supervisors ask of a running daemon, over gRPC on a socket of its own.
//!
//! ```text
//! server    the socket, who may connect, which service a call is for
//! service   the calls of `runlane.control.v1.Control`
//! lookup    the open runs, and which of them a caller means
//! tail      a run's rows from its log, as a stream
//! ```
//!
//! Nothing here owns state of a run: questions go to its actor, rows come from its log. Its connections do not keep the
//! daemon from ending when it is idle.

mod lookup;
mod server;
mod service;
mod tail;

#[allow(
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "generated from proto/runlane_control.proto"
)]
mod generated {
    include!("gen/runlane.control.v1.rs");
}

/// A client of the service, over any HTTP/2 connection.
pub use generated::control_client::ControlClient;

pub(crate) use server::{Server, remove_socket};

/// Name of the socket in the runtime directory.
pub const SOCKET_NAME: &str = "daemon-v1-control.sock";
/// The service's name, for calls and for `grpc.health.v1.Health`.
pub const SERVICE_NAME: &str = generated::control_server::SERVICE_NAME;
