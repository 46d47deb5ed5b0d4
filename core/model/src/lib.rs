//! The rules of runlane, pure: what a value, a row, a summary, a config and a run state are. No I/O, no async, no
//! clock; everything a rule needs is an argument.

pub mod artifact;
pub mod backoff;
pub mod config;
pub mod environment;
pub mod json;
pub mod key_path;
pub mod limits;
pub mod metric;
pub mod names;
pub mod row;
pub mod run_filter;
pub mod run_state;
pub mod shelf;
pub mod spill;
pub mod step_sync;
pub mod summary;
pub mod telemetry;
pub mod tree;
