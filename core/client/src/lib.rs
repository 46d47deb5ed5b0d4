//! The pyo3 extension `runlane._core`: encode a call, hand it over.
//!
//! ```text
//! caller's thread                                writer thread (no interpreter)
//! log() -> encode -> Intake (bytes, seq) ......> Outbox -> socket -> daemon, kept until acknowledged
//!           on the shelf, else in memory            '----> spill file, if that takes too long
//! ```
//!
//! `artifact` stages and hashes files, `encode` turns a call into bytes, `console` takes in what is printed, `histogram` counts tensors for `watch`, `rows` reads the history of stored runs, `table` writes rows of tables as JSON, `queue` is the pure state between a call and its acknowledgement, `engine` is the writer
//! thread's work behind seams, `io` the real outside, `hub` what both threads share, `py` the adapters, `fork` what
//! a child process has to know, `sys` the only `unsafe` code.

mod artifact;
mod console;
mod counting;
mod encode;
mod engine;
mod fork;
mod histogram;
mod hub;
mod io;
mod media;
mod py;
mod queue;
mod rows;
mod sys;
mod table;
mod wire;

/// The native part of the SDK.
#[pyo3::pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::py::artifacts::{
        Digester, PyStaging, StagedFile, check_artifact_text, digest_file, hand_over_files,
        list_tree, manifest_digest,
    };
    #[pymodule_export]
    use crate::py::connection::{Connection, DaemonError};
    #[pymodule_export]
    use crate::py::histogram::{count_in_bins, finite_range, histogram_edges, histogram_of_memory};
    #[pymodule_export]
    use crate::py::later::{HeldCall, Later};
    #[pymodule_export]
    use crate::py::media::encode_png;
    #[pymodule_export]
    use crate::py::renamed::Renamed;
    #[pymodule_export]
    use crate::py::rows::{FrameColumns, unpack_rows};
    #[pymodule_export]
    use crate::py::run_base::RunBase;
    #[pymodule_export]
    use crate::py::table::table_rows;

    /// Send what is still in this process's buffers; False if the time ran out.
    #[pyfunction]
    fn flush_at_exit(py: Python<'_>, timeout_secs: f64) -> bool {
        let timeout = crate::py::waiting::duration(timeout_secs);
        py.detach(|| crate::fork::flush_all(timeout))
    }

    /// Wait until what was written to the other of the two captured streams has arrived, if both go to one place.
    #[pyfunction]
    fn keep_order(py: Python<'_>, is_error: bool) {
        py.detach(|| crate::console::redirect::keep_order(is_error));
    }

    /// Name this process: rows that it logs to a run of its parent carry the name.
    #[pyfunction]
    fn name_process(name: String) {
        crate::fork::name_process(name);
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::sys::descriptors::watch_forks();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
