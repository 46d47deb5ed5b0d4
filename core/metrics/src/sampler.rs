//! What every source of metrics implements.

use std::io;

use thiserror::Error;

use crate::{Host, Reading};

/// One source of metrics: a resource of the host, a device family, a process, an endpoint.
pub trait Sampler: Send {
    /// Takes one reading; may block for as long as its [`Pace`] says. Never called twice at once.
    ///
    /// # Errors
    ///
    /// [`SampleError::Absent`] is silent; [`SampleError::Failed`] warns the user once. In both cases the sampler is asked again
    /// later, ever more rarely, and may recover: it must not rely on being called at equal intervals.
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError>;
}

/// How long a reading takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Files of `/proc` and `/sys` only, well below a millisecond: read first.
    Quick,
    /// Commands, HTTP, drivers, file systems that may hang: read behind the quick ones. One that takes long keeps its thread,
    /// and others go on with the rest. It must bound its waiting by the timeouts of [`Command`](crate::Command) and
    /// [`HttpRequest`](crate::HttpRequest) where it can; what takes longer than a tick waits for it comes as a record of its own.
    Slow,
}

/// A sampler that somebody wants: what tells it from others, and how to make it.
pub struct Spec {
    /// The sampler's name, for warnings and logs: `disk`, `nvidia`, `openmetrics node1`.
    pub name: String,
    /// Equal ids mean the same readings: whatever settings go into [`Spec::make`] stand in it.
    pub id: String,
    /// How long a reading takes.
    pub pace: Pace,
    /// Makes the sampler; does no I/O, the first reading does.
    pub make: Box<dyn FnOnce() -> Box<dyn Sampler> + Send>,
}

impl Spec {
    /// A sampler that is the same for all runs of the host: its name is its id.
    pub fn of_host<S: Sampler + 'static>(
        name: &str,
        pace: Pace,
        make: impl FnOnce() -> S + Send + 'static,
    ) -> Self {
        Self::new(name, name.to_owned(), pace, make)
    }

    /// A sampler with an id of its own.
    pub fn new<S: Sampler + 'static>(
        name: impl Into<String>,
        id: String,
        pace: Pace,
        make: impl FnOnce() -> S + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            id,
            pace,
            make: Box::new(move || Box::new(make())),
        }
    }
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Spec")
            .field("id", &self.id)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// Why there is no reading.
#[derive(Debug, Error)]
pub enum SampleError {
    /// The hardware, driver, tool or process is not here. Nobody is told.
    #[error("not present on this host")]
    Absent,
    /// It is here, or was asked for by name, and does not work: lower case, says what failed on what.
    #[error("{0}")]
    Failed(String),
}

impl SampleError {
    /// A failure to read `what`; a missing file or program means that it is [`SampleError::Absent`].
    pub fn reading(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            _ => Self::Failed(format!("cannot read `{what}`: {error}")),
        }
    }

    /// What was read has another shape.
    pub fn unreadable(what: &str) -> Self {
        Self::Failed(format!("`{what}` has an unknown format"))
    }
}
