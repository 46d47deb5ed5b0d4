//! `Later`: what the conversion hook returns for a value that is made in the background. `HeldCall`: a call that waits for such.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use crate::encode::Held;
use crate::fork;
use crate::hub::Stream;
use crate::queue::gate::Waiting;
use crate::queue::loss::Kind;

/// A value that `job()` makes, later. The call that has it is given to `defer(call)`.
#[pyclass(frozen, module = "runlane._core")]
pub(crate) struct Later {
    pub(crate) job: Py<PyAny>,
    pub(crate) defer: Py<PyAny>,
}

#[pymethods]
impl Later {
    #[new]
    fn new(job: Py<PyAny>, defer: Py<PyAny>) -> Self {
        Self { job, defer }
    }
}

/// A call whose place in the run is kept.
#[pyclass(frozen, module = "runlane._core")]
pub(crate) struct HeldCall {
    held: Mutex<Option<Held>>,
    stream: Arc<Stream>,
    ticket: u64,
    now_micros: u64,
    size: usize,
}

impl HeldCall {
    /// Keeps the place behind what was appended so far.
    pub(crate) fn new(held: Held, stream: &Arc<Stream>, now_micros: u64) -> Self {
        Self {
            size: held.size(),
            held: Mutex::new(Some(held)),
            stream: Arc::clone(stream),
            ticket: stream.hold(),
            now_micros,
        }
    }

    fn take(&self) -> Option<Held> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[pymethods]
impl HeldCall {
    /// What the call keeps in memory until it is complete, in bytes, beside the values that are missing.
    #[getter]
    const fn size(&self) -> usize {
        self.size
    }

    /// Make the values that are missing, and let the call and what waits behind it go on. A second call does nothing.
    pub(crate) fn complete(&self, py: Python<'_>) -> PyResult<()> {
        let Some(held) = self.take() else {
            return Ok(());
        };
        let (entry, failure) = held.complete(py);
        let made = entry.map(|entry| Waiting {
            entry,
            kind: Kind::History,
            now_micros: self.now_micros,
        });
        py.detach(|| self.stream.release(self.ticket, made));
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for HeldCall {
    fn drop(&mut self) {
        // In a child of `fork` the call is its parent's.
        if self.take().is_some() && self.stream.generation == fork::generation() {
            self.stream.release(self.ticket, None);
        }
    }
}
