//! Which stream a call of this process goes to: a child of `fork` joins the run of its parent with one of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use super::connection::DaemonError;
use super::run_base::RunBase;
use crate::fork;
use crate::hub::{Command, Hub, OpenSpec, Stream, StreamState};
use crate::io::shelf::Shelf;

impl RunBase {
    /// The stream that takes a call in this process; `None` after the misuse hook was content.
    #[inline]
    pub(super) fn stream_for_call(&self, py: Python<'_>) -> PyResult<Option<&Arc<Stream>>> {
        match self.streams.newest() {
            Some(stream)
                if stream.generation == fork::generation()
                    && stream.state() == StreamState::Open =>
            {
                Ok(Some(stream))
            }
            newest => self.unusual_stream(py, newest),
        }
    }

    #[cold]
    fn unusual_stream<'a>(
        &'a self,
        py: Python<'_>,
        newest: Option<&'a Arc<Stream>>,
    ) -> PyResult<Option<&'a Arc<Stream>>> {
        if self.closed.load(Ordering::Relaxed) {
            return self.hooks.misuse(py, "finished", "").map(|()| None);
        }
        let Some(stream) = newest else {
            return self.hooks.misuse(py, "not_open", "").map(|()| None);
        };
        if stream.generation == fork::generation() {
            return self.hooks.misuse(py, "finished", "").map(|()| None);
        }
        match self.adopt(stream) {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => {
                let text =
                    format!("rows of this process are lost: it cannot reach the daemon: {error}");
                self.warn_by_bit(py, 1 << 31, 40, &text);
                Ok(None)
            }
        }
    }

    /// In a child of `fork`: joins the run of the parent with a writer of its own. Does not wait for the daemon.
    fn adopt(&self, parent: &Arc<Stream>) -> std::io::Result<&Arc<Stream>> {
        let generation = fork::generation();
        let hub = fork::hub_for(&parent.hub.config)?;
        let spec = parent.spec.for_child(fork::process_name());
        let stream = Arc::new(new_stream(&hub, Arc::new(spec))?);
        let chosen = self.streams.push_unless(Arc::clone(&stream), |newest| {
            newest.generation == generation
        });
        if chosen.id == stream.id {
            hub.send(Command::Open {
                stream,
                attach: true,
                preface: Vec::new(),
                slot: None,
            });
        }
        Ok(chosen)
    }

    /// The stream that this process opened.
    pub(super) fn own_stream(&self) -> Option<&Arc<Stream>> {
        self.streams
            .newest()
            .filter(|stream| stream.generation == fork::generation())
    }

    /// The stream for a question to the daemon.
    pub(super) fn open_stream(&self) -> PyResult<&Arc<Stream>> {
        match self.streams.newest() {
            Some(stream) if stream.generation == fork::generation() => Ok(stream),
            Some(parent) if !self.closed.load(Ordering::Relaxed) => self
                .adopt(parent)
                .map_err(|error| DaemonError::new_err(format!("cannot reach the daemon: {error}"))),
            _ => Err(DaemonError::new_err("the run is not open in this process")),
        }
    }
}

/// A stream of this process with a writer id of its own.
pub(super) fn new_stream(hub: &Arc<Hub>, spec: Arc<OpenSpec>) -> std::io::Result<Stream> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    let writer = u64::from_ne_bytes(bytes).max(1);
    Ok(Stream::new(
        Arc::clone(hub),
        spec,
        writer,
        fork::generation(),
        |writer, spill_path| Shelf::create(writer, spill_path).ok(),
    ))
}
