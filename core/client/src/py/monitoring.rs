//! What a run records by itself: `MetricSettings` and `ConsoleSettings` from mappings, samples to dicts.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use runlane_proto::local::{ConsoleSettings, MetricSettings, OpenMetricsFilter, SystemMetrics};

use super::fields::Fields;

/// What is sampled.
pub(super) fn metrics(fields: &Fields<'_>) -> PyResult<MetricSettings> {
    let gpu_device_ids: Option<Vec<i32>> = fields.value("gpu_device_ids")?;
    let settings = MetricSettings {
        interval_secs: fields.value("interval_secs")?,
        pid: fields.value("pid")?,
        process_tree: fields.value("process_tree")?,
        disk_paths: fields.texts("disk_paths")?,
        is_gpu_choice: gpu_device_ids.is_some(),
        gpu_device_ids: gpu_device_ids.unwrap_or_default(),
        no_cgroup: fields.value("no_cgroup")?,
        self_usage: fields.value("self_usage")?,
        buffer_size: fields.value("buffer_size")?,
        neuron_monitor_config_path: fields.text("neuron_monitor_config_path")?,
        dcgm_exporter: fields.text("dcgm_exporter")?,
        open_metrics_endpoints: fields.text_map("open_metrics_endpoints")?,
        open_metrics_filters: fields
            .list_of_fields("open_metrics_filters")?
            .iter()
            .map(filter)
            .collect::<PyResult<_>>()?,
        open_metrics_http_headers: fields.text_map("open_metrics_http_headers")?,
        local_rank: fields.value("local_rank")?,
        dcgm_profiling: fields.value("dcgm_profiling")?,
    };
    fields.finish()?;
    Ok(settings)
}

fn filter(fields: &Fields<'_>) -> PyResult<OpenMetricsFilter> {
    let filter = OpenMetricsFilter {
        name: fields.text("name")?,
        labels: fields.text_map("labels")?,
    };
    fields.finish()?;
    Ok(filter)
}

/// How console output is kept.
pub(super) fn console(fields: &Fields<'_>) -> PyResult<ConsoleSettings> {
    let settings = ConsoleSettings {
        is_multipart: fields.value("is_multipart")?,
        chunk_max_bytes: fields.value("chunk_max_bytes")?,
        chunk_max_secs: fields.value("chunk_max_secs")?,
    };
    fields.finish()?;
    Ok(settings)
}

/// `{key: (timestamps, values)}`.
pub(super) fn samples<'py>(py: Python<'py>, found: &SystemMetrics) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let sorted: BTreeMap<_, _> = found.metrics.iter().collect();
    for (key, samples) in sorted {
        dict.set_item(key, (&samples.timestamp, &samples.value))?;
    }
    Ok(dict)
}
