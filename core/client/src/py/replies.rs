//! The daemon's answers as dicts.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use runlane_proto::local::{Artifact, FinishProgress, OpenRunReply, Sampled, Status, response};
use runlane_proto::wandb_internal::{ErrorInfo, RunRecord};

/// The answer to `_open`.
pub(crate) fn opened<'py>(py: Python<'py>, reply: &OpenRunReply) -> PyResult<Bound<'py, PyDict>> {
    let empty = RunRecord::default();
    let run = reply.run.as_ref().unwrap_or(&empty);
    let dict = PyDict::new(py);
    for (name, text) in [
        ("entity", &run.entity),
        ("project", &run.project),
        ("run_id", &run.run_id),
        ("display_name", &run.display_name),
        ("notes", &run.notes),
        ("group", &run.run_group),
        ("job_type", &run.job_type),
        ("sweep_id", &run.sweep_id),
        ("storage_id", &run.storage_id),
        ("run_url", &reply.run_url),
        ("project_url", &reply.project_url),
    ] {
        dict.set_item(name, text)?;
    }
    dict.set_item("tags", &run.tags)?;
    dict.set_item("starting_step", run.starting_step)?;
    dict.set_item("runtime", run.runtime)?;
    dict.set_item("resumed", run.resumed)?;
    dict.set_item("forked", run.forked)?;
    dict.set_item("detached", reply.detached)?;
    dict.set_item("code_saving_enabled", reply.code_saving_enabled)?;
    let config = PyDict::new(py);
    for item in run.config.iter().flat_map(|config| &config.update) {
        config.set_item(flat(&item.key, &item.nested_key), &item.value_json)?;
    }
    dict.set_item("config", config)?;
    let summary = PyDict::new(py);
    for item in run.summary.iter().flat_map(|summary| &summary.update) {
        summary.set_item(flat(&item.key, &item.nested_key), &item.value_json)?;
    }
    dict.set_item("summary", summary)?;
    let error = reply
        .error
        .as_ref()
        .filter(|_| reply.stream == 0)
        .map(|error| error_dict(py, error))
        .transpose()?;
    dict.set_item("error", error)?;
    Ok(dict)
}

/// The answer to `_request`.
pub(crate) fn response<'py>(
    py: Python<'py>,
    response: &response::Response,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    match response {
        response::Response::Flushed(flushed) => dict.set_item("reached", flushed.reached)?,
        response::Response::Summary(summary) => dict.set_item("json", &summary.json)?,
        response::Response::Step(step) => dict.set_item("next", step.next)?,
        response::Response::Sampled(sampled) => dict.set_item("items", items(py, sampled)?)?,
        response::Response::Finish(progress) => return finish(py, progress),
        response::Response::Status(found) => status(&dict, found)?,
        response::Response::Paused(paused) => dict.set_item("is_paused", paused.is_paused)?,
        response::Response::SystemMetrics(found) => {
            dict.set_item("metrics", super::monitoring::samples(py, found)?)?;
        }
        response::Response::Artifact(found) => artifact(&dict, found)?,
    }
    Ok(dict)
}

/// How far a finish is.
pub(crate) fn finish<'py>(
    py: Python<'py>,
    progress: &FinishProgress,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("done", progress.done)?;
    dict.set_item("complete", progress.complete)?;
    dict.set_item("rows_total", progress.rows_total)?;
    dict.set_item("rows_uploaded", progress.rows_uploaded)?;
    dict.set_item("bytes_total", progress.bytes_total)?;
    dict.set_item("bytes_uploaded", progress.bytes_uploaded)?;
    dict.set_item("wandb_files", progress.wandb_files)?;
    dict.set_item("media_files", progress.media_files)?;
    dict.set_item("artifact_files", progress.artifact_files)?;
    dict.set_item("other_files", progress.other_files)?;
    dict.set_item("artifacts_left", progress.artifacts_left)?;
    dict.set_item("artifact_bytes_total", progress.artifact_bytes_total)?;
    dict.set_item("artifact_bytes_uploaded", progress.artifact_bytes_uploaded)?;
    dict.set_item("uploaded", progress.uploaded)?;
    dict.set_item("problem", &progress.problem)?;
    if let (Some(summary), Some(step), Some(sampled)) =
        (&progress.summary, &progress.step, &progress.sampled)
    {
        dict.set_item("summary", &summary.json)?;
        dict.set_item("next_step", step.next)?;
        dict.set_item("sampled", items(py, sampled)?)?;
    }
    Ok(dict)
}

fn items<'py>(py: Python<'py>, sampled: &Sampled) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for item in &sampled.item {
        let path = if item.nested_key.is_empty() {
            PyTuple::new(py, [&item.key])?
        } else {
            PyTuple::new(py, &item.nested_key)?
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "these values are drawn, not computed with"
        )]
        let values: Vec<f64> = if item.values_int.is_empty() {
            item.values_float
                .iter()
                .map(|&value| f64::from(value))
                .collect()
        } else {
            item.values_int.iter().map(|&value| value as f64).collect()
        };
        list.append((path, values))?;
    }
    Ok(list)
}

fn status(dict: &Bound<'_, PyDict>, status: &Status) -> PyResult<()> {
    dict.set_item("logged_seq", status.logged_seq)?;
    dict.set_item("synced_seq", status.synced_seq)?;
    dict.set_item("uploaded_rows", status.uploaded_rows)?;
    dict.set_item("rows", status.rows)?;
    dict.set_item("should_stop", status.should_stop)?;
    dict.set_item("problem", &status.problem)?;
    dict.set_item("uploaded_seq", status.uploaded_seq)?;
    dict.set_item("lost", status.lost)?;
    dict.set_item("is_paused", status.is_paused)
}

fn artifact(dict: &Bound<'_, PyDict>, artifact: &Artifact) -> PyResult<()> {
    dict.set_item("done", artifact.done)?;
    dict.set_item("artifact_id", &artifact.artifact_id)?;
    dict.set_item("error", &artifact.error)?;
    dict.set_item("bytes_uploaded", artifact.bytes_uploaded)?;
    dict.set_item("bytes_total", artifact.bytes_total)
}

fn error_dict<'py>(py: Python<'py>, error: &ErrorInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("code", error.code)?;
    dict.set_item("message", &error.message)?;
    Ok(dict)
}

/// The name of a top-level key: the daemon sends whole objects, so that a path has one component.
fn flat(key: &str, nested_key: &[String]) -> String {
    if nested_key.is_empty() {
        key.to_owned()
    } else {
        nested_key.join(".")
    }
}
