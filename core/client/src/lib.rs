//! The pyo3 extension `runlane._core`: encode a call, hand it over.
//!
//! ```text
//! caller's thread                                writer thread (no interpreter)
//! log() -> encode -> Intake (bytes, seq) ......> Outbox -> socket -> daemon, kept until acknowledged
//!                                                   '----> spill file, if the socket takes nothing for 10 ms
//! ```
//!
//! `encode` turns a call into bytes, `queue` is the pure state between a call and its acknowledgement, `engine` is the writer
//! thread's work behind seams, `io` the real outside, `hub` what both threads share, `py` the adapters, `fork` what
//! a child process has to know, `sys` the only `unsafe` code.

mod encode;
mod engine;
mod fork;
mod hub;
mod io;
mod py;
mod queue;
mod sys;
mod wire;

/// The native part of the SDK.
#[pyo3::pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    #[pymodule_export]
    use crate::py::connection::{Connection, DaemonError};
    #[pymodule_export]
    use crate::py::run_base::RunBase;

    /// Send what is still in this process's buffers; False if the time ran out.
    #[pyfunction]
    fn flush_at_exit(py: Python<'_>, timeout_secs: f64) -> bool {
        let timeout = crate::py::waiting::duration(timeout_secs);
        py.detach(|| crate::fork::flush_all(timeout))
    }

    #[pyfunction]
    fn after_fork_in_child() {
        crate::fork::after_fork_in_child();
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let py = module.py();
        let hook = PyDict::new(py);
        hook.set_item("after_in_child", module.getattr("after_fork_in_child")?)?;
        py.import("os")?
            .call_method("register_at_fork", (), Some(&hook))?;
        module.delattr("after_fork_in_child")
    }
}
