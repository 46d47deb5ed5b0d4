//! Generated protobuf types, nothing else: W&B's records, the frames of runlane's local socket, the messages
//! of its control service.
//!
//! Sources are in `proto/`; `make proto` writes `src/gen`, which is committed.

/// The records of a transaction log (package `wandb_internal`).
#[expect(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/wandb_internal.proto"
)]
pub mod wandb_internal {
    include!("gen/wandb_internal.rs");
}

/// The frames of the local socket (package `runlane.local.v1`).
#[expect(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/runlane_local.proto"
)]
pub mod local {
    include!("gen/runlane.local.v1.rs");
}

/// The messages of the daemon's control service (package `runlane.control.v1`).
#[expect(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/runlane_control.proto"
)]
pub mod control {
    include!("gen/runlane.control.v1.rs");
}
