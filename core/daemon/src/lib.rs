//! The per-user daemon: socket, run state, transaction log, uploads; and the `sync` engine, which is the same upload
//! over logs that lie on disk.
//!
//! ```text
//! socket/   frames, connections, peers        → commands
//! run/      one actor per run: log, then apply, then acknowledge
//! upload/   a cursor over the log: what to send next, over HTTP
//! control/  what is asked of the daemon as a whole, over gRPC
//! sync      uploads logs without a daemon
//! log_rows  the last rows of a log
//! ```

mod clock;
pub mod control;
mod daemon;
pub mod log_rows;
mod metrics;
mod own_file;
mod run;
pub mod socket;
pub mod sync;
mod tensorboard;
mod upload;
mod wire;

pub use clock::{Clock, SystemClock};
pub use daemon::{Options, serve, serve_with};

/// This release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
