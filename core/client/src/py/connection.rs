//! `Connection`: the process's way to the daemon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use super::waiting::duration;
use crate::fork;
use crate::hub::{Command, Hub, HubConfig};

create_exception!(
    _core,
    DaemonError,
    PyException,
    "The daemon could not be started, reached, or refused a request."
);

/// Failed attempts after which `open` gives up before its time is over.
const ATTEMPTS: u32 = 3;

/// The process's one connection to the daemon. Thread-safe. Forgotten (not closed) in a forked child.
#[pyclass(frozen, module = "runlane._core")]
pub(crate) struct Connection {
    config: HubConfig,
    hub: Arc<Hub>,
    generation: u32,
}

impl Connection {
    /// The hub of this process: in a child of `fork` another one than that of the parent.
    pub(crate) fn hub(&self) -> PyResult<Arc<Hub>> {
        if self.generation == fork::generation() && !self.hub.status().stopped {
            return Ok(Arc::clone(&self.hub));
        }
        fork::hub_for(&self.config).map_err(|error| cannot_connect(&error.to_string()))
    }
}

#[pymethods]
impl Connection {
    /// Connect, starting the daemon under a lock if none answers. Blocks up to `timeout_secs`.
    #[staticmethod]
    fn open(
        py: Python<'_>,
        runtime_dir: PathBuf,
        binary: PathBuf,
        timeout_secs: f64,
    ) -> PyResult<Self> {
        let config = HubConfig {
            runtime_dir,
            binary,
        };
        let hub = fork::hub_for(&config).map_err(|error| cannot_connect(&error.to_string()))?;
        let deadline = Instant::now() + duration(timeout_secs);
        loop {
            let until = deadline.min(Instant::now() + Duration::from_millis(50));
            let settled = |status: &crate::hub::Status| {
                status.daemon_pid.is_some() || status.stopped || status.failures >= ATTEMPTS
            };
            py.detach(|| hub.wait_until(until, settled));
            let status = hub.status();
            if status.daemon_pid.is_some() {
                return Ok(Self {
                    config,
                    hub,
                    generation: fork::generation(),
                });
            }
            let over = Instant::now() >= deadline;
            if over || status.stopped || status.failures >= ATTEMPTS {
                hub.send(Command::Stop);
                let reason = status
                    .failure
                    .unwrap_or_else(|| format!("no answer within {timeout_secs} s"));
                return Err(cannot_connect(&reason));
            }
            if let Err(error) = py.check_signals() {
                hub.send(Command::Stop);
                return Err(error);
            }
        }
    }

    /// Process id of the daemon that answered last, 0 if none did.
    #[getter]
    fn daemon_pid(&self) -> PyResult<u32> {
        Ok(self.hub()?.status().daemon_pid.unwrap_or(0))
    }
}

fn cannot_connect(reason: &str) -> PyErr {
    DaemonError::new_err(format!("no connection to the runlane daemon: {reason}"))
}
