//! One run: its state, its log, and the actor that owns both.

pub(crate) mod actor;
pub(crate) mod console;
mod decode;
pub(crate) mod encode;
mod finish;
pub(crate) mod journal;
mod key_budget;
pub(crate) mod loss;
mod mirrored;
mod open;
pub(crate) mod output_file;
pub(crate) mod pending;
pub(crate) mod recover;
mod samples;
mod seal;
pub(crate) mod shelved;
pub(crate) mod spilled;
pub(crate) mod state;
mod uploaded;
