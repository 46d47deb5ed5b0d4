//! `_request` and `_finish`: what is asked of the daemon, in order behind the entries.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use runlane_proto::local::request::Request as Kind;
use runlane_proto::local::{
    Flush, GetArtifact, GetStatus, GetStep, GetSummary, GetSystemMetrics, Level, Pause, Resume,
    SampledHistory,
};

use super::fields::Fields;

/// The request of `kind`.
///
/// Errors: `ValueError` for an unknown kind, field or level.
pub(crate) fn request(kind: &str, payload: &Bound<'_, PyAny>, timeout_secs: f64) -> PyResult<Kind> {
    let fields = Fields::new("request", payload)?;
    let request = match kind {
        "summary" => Kind::GetSummary(GetSummary {}),
        "step" => Kind::GetStep(GetStep {}),
        "status" => Kind::GetStatus(GetStatus {}),
        "pause" => Kind::Pause(Pause {}),
        "resume" => Kind::Resume(Resume {}),
        "system_metrics" => Kind::GetSystemMetrics(GetSystemMetrics {}),
        "artifact" => Kind::GetArtifact(GetArtifact {
            client_id: fields.text("client_id")?,
            timeout_secs,
        }),
        "sampled_history" => Kind::SampledHistory(SampledHistory {
            samples: fields.value("samples")?,
        }),
        "flush" => Kind::Flush(Flush {
            level: level(&fields.text("level")?)?.into(),
            timeout_secs,
        }),
        unknown => {
            return Err(PyValueError::new_err(format!(
                "there is no request `{unknown}`"
            )));
        }
    };
    fields.finish()?;
    Ok(request)
}

fn level(word: &str) -> PyResult<Level> {
    match word {
        "logged" => Ok(Level::Logged),
        "synced" => Ok(Level::Synced),
        "uploaded" => Ok(Level::Uploaded),
        unknown => Err(PyValueError::new_err(format!(
            "level must be logged, synced or uploaded, not `{unknown}`"
        ))),
    }
}
