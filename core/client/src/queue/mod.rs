//! The queue between a `log()` call and the daemon, without I/O: what waits, what was sent, what is in the spill file.

pub(crate) mod budget;
pub(crate) mod buffer;
pub(crate) mod frame;
pub(crate) mod gate;
pub(crate) mod intake;
pub(crate) mod loss;
pub(crate) mod outbox;
#[cfg(test)]
mod outbox_model;
pub(crate) mod restarts;
