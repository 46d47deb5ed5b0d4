//! The outside of the engine on Linux: socket, spill file, daemon start, the writer thread.

pub(crate) mod descriptor;
pub(crate) mod launcher;
pub(crate) mod shelf;
pub(crate) mod socket;
pub(crate) mod spill;
pub(crate) mod wake;
pub(crate) mod writer;
