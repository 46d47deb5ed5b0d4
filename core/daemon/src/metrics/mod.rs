//! System metrics of the runs of this host: who wants what, read once for all of them.
//!
//! ```text
//! run actor ──Watch──▶ Board (pure: who is due, what is read) ──▶ Workers (threads that may block) ──▶ Sampler
//!     ▲                  │  ▲                                                                            │
//!     └───── Sample ─────┘  └──────────────────────────── Outcome ───────────────────────────────────────┘
//! ```
//!
//! Ticks lie on a grid that all runs share, so that runs with the same interval are read together, and those with a multiple
//! of it every so often. What a tick reads within [`board::GATHER`] becomes one record per run; a sampler that takes longer
//! has a record of its own when it is done, and is left out of the ticks in between. No run waits for a sampler: samples that an
//! actor does not take are dropped.

mod board;
mod monitor;
mod network;
mod pool;
mod recent;
mod settings;
mod workers;

pub(crate) use self::board::{Place, Sample};
pub(crate) use self::monitor::{Monitor, Watch};
pub(crate) use self::recent::Recent;
pub(crate) use self::settings::{interval_of, settings_of};
