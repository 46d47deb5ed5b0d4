//! TensorBoard event files become rows of a run.
//!
//! The process says which directories its writers use (`tbrecord` records). A [`Mirror`] finds the event files in them, follows
//! each as it grows, and gives rows; the run's actor appends these to the log with how far each file is in it
//! (`control.runlane_mirror`). So the log alone says where another daemon goes on, and nothing is in it twice.
//!
//! Nothing here knows of the actor or the log: bytes and the time come in, rows and remarks go out.

mod convert;
mod disk;
mod event;
mod exchange;
mod framing;
mod media;
mod mirror;
mod names;
mod roots;
mod tail;

pub(crate) use self::disk::OsDisk;
#[cfg(test)]
pub(crate) use self::event::writing;
pub(crate) use self::exchange::{Logged, Mirrored, Opened, Polled, Row, Told};
#[cfg(test)]
pub(crate) use self::framing::framed;
pub(crate) use self::mirror::Mirror;
