//! The records that `_publish` appends behind the calls.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_proto::wandb_internal::{
    AlertRecord, ConfigItem, ConfigRecord, DiskInfo, EnvironmentRecord, FilesItem, FilesRecord,
    GpuNvidiaInfo, MemoryInfo, MetricControl, MetricOptions, MetricRecord, MetricSummary,
    OutputLoggerRecord, OutputRawRecord, Record, RunPreemptingRecord, SummaryItem, SummaryRecord,
    files_item, metric_record, output_raw_record,
};

use super::fields::{Fields, pair_of, path_of, text_of};
use super::settings::{git, run_record, telemetry, timestamp, writer_info};
use crate::hub::unix_micros;

/// The record of `kind` with the fields of `mapping`; a field `kind` in there is allowed.
///
/// Errors: `ValueError` for an unknown kind, field or word, `TypeError` for a value of a wrong type.
pub(crate) fn record(kind: &str, mapping: &Bound<'_, PyAny>) -> PyResult<Record> {
    let fields = Fields::new("record", mapping)?;
    fields.get("kind")?;
    let record_type = match kind {
        "config" => RecordType::Config(config(&fields)?),
        "summary" => RecordType::Summary(summary(&fields)?),
        "metric" => RecordType::Metric(metric(&fields)?),
        "run" => RecordType::Run(run_record(&fields)?),
        "files" => RecordType::Files(files(&fields)?),
        "alert" => RecordType::Alert(AlertRecord {
            title: fields.text("title")?,
            text: fields.text("text")?,
            level: fields.text("level")?,
            wait_duration: fields.value("wait_millis")?,
            runlane_time_micros: i64::try_from(unix_micros()).unwrap_or(i64::MAX),
            ..AlertRecord::default()
        }),
        "telemetry" => RecordType::Telemetry(telemetry(&fields)?),
        "environment" => RecordType::Environment(environment(&fields)?),
        "output" => RecordType::OutputRaw(output(&fields)?),
        "output_logger" => RecordType::OutputLogger(OutputLoggerRecord {
            line: fields.text("text")?,
            runlane_timestamp: fields.value::<Option<i64>>("time_micros")?.map(timestamp),
        }),
        "preempting" => RecordType::Preempting(RunPreemptingRecord::default()),
        unknown => {
            return Err(PyValueError::new_err(format!(
                "there is no record of kind `{unknown}`"
            )));
        }
    };
    fields.finish()?;
    Ok(Record {
        record_type: Some(record_type),
        ..Record::default()
    })
}

fn config(fields: &Fields<'_>) -> PyResult<ConfigRecord> {
    let item = |key, nested_key, value_json| ConfigItem {
        key,
        nested_key,
        value_json,
    };
    Ok(ConfigRecord {
        update: updates(fields, item)?,
        remove: removals(fields, item)?,
        ..ConfigRecord::default()
    })
}

fn summary(fields: &Fields<'_>) -> PyResult<SummaryRecord> {
    let item = |key, nested_key, value_json| SummaryItem {
        key,
        nested_key,
        value_json,
    };
    Ok(SummaryRecord {
        update: updates(fields, item)?,
        remove: removals(fields, item)?,
        ..SummaryRecord::default()
    })
}

fn updates<T>(
    fields: &Fields<'_>,
    item: impl Fn(String, Vec<String>, String) -> T,
) -> PyResult<Vec<T>> {
    let Some(updates) = fields.get("update")? else {
        return Ok(Vec::new());
    };
    updates
        .try_iter()?
        .map(|update| {
            let (path, json) = pair_of(&update?)?;
            let (key, nested_key) = path_of(&path)?;
            Ok(item(key, nested_key, text_of(&json)?))
        })
        .collect()
}

fn removals<T>(
    fields: &Fields<'_>,
    item: impl Fn(String, Vec<String>, String) -> T,
) -> PyResult<Vec<T>> {
    let Some(removals) = fields.get("remove")? else {
        return Ok(Vec::new());
    };
    removals
        .try_iter()?
        .map(|path| {
            let (key, nested_key) = path_of(&path?)?;
            Ok(item(key, nested_key, String::new()))
        })
        .collect()
}

fn metric(fields: &Fields<'_>) -> PyResult<MetricRecord> {
    let mut summary = MetricSummary::default();
    let words = fields.texts("summary")?;
    for word in &words {
        match word.as_str() {
            "min" => summary.min = true,
            "max" => summary.max = true,
            "mean" => summary.mean = true,
            "best" => summary.best = true,
            "last" => summary.last = true,
            "none" => summary.none = true,
            "copy" => summary.copy = true,
            "first" => summary.first = true,
            unknown => {
                return Err(PyValueError::new_err(format!(
                    "there is no summary `{unknown}`"
                )));
            }
        }
    }
    let goal = match fields.text("goal")?.as_str() {
        "" => metric_record::MetricGoal::GoalUnset,
        "minimize" => metric_record::MetricGoal::GoalMinimize,
        "maximize" => metric_record::MetricGoal::GoalMaximize,
        unknown => {
            return Err(PyValueError::new_err(format!(
                "there is no goal `{unknown}`"
            )));
        }
    };
    let overwrite = fields.value("overwrite")?;
    Ok(MetricRecord {
        name: fields.text("name")?,
        glob_name: fields.text("glob_name")?,
        step_metric: fields.text("step_metric")?,
        options: Some(MetricOptions {
            step_sync: fields.value("step_sync")?,
            hidden: fields.value("hidden")?,
            defined: true,
        }),
        summary: (!words.is_empty()).then_some(summary),
        goal: goal.into(),
        control: if overwrite {
            Some(MetricControl { overwrite })
        } else {
            None
        },
        ..MetricRecord::default()
    })
}

fn files(fields: &Fields<'_>) -> PyResult<FilesRecord> {
    let Some(files) = fields.get("files")? else {
        return Ok(FilesRecord::default());
    };
    let files = files
        .try_iter()?
        .map(|file| {
            let (path, policy, kind): (String, String, String) = file?.extract()?;
            let policy = match policy.as_str() {
                "now" => files_item::PolicyType::Now,
                "end" => files_item::PolicyType::End,
                "live" => files_item::PolicyType::Live,
                unknown => {
                    return Err(PyValueError::new_err(format!(
                        "there is no upload policy `{unknown}`"
                    )));
                }
            };
            let kind = match kind.as_str() {
                "other" => files_item::FileType::Other,
                "wandb" => files_item::FileType::Wandb,
                "media" => files_item::FileType::Media,
                "artifact" => files_item::FileType::Artifact,
                unknown => {
                    return Err(PyValueError::new_err(format!(
                        "there is no file type `{unknown}`"
                    )));
                }
            };
            Ok(FilesItem {
                path,
                policy: policy.into(),
                r#type: kind.into(),
            })
        })
        .collect::<PyResult<Vec<_>>>()?;
    Ok(FilesRecord {
        files,
        ..FilesRecord::default()
    })
}

fn output(fields: &Fields<'_>) -> PyResult<OutputRawRecord> {
    let output_type = match fields.text("stream")?.as_str() {
        "stdout" => output_raw_record::OutputType::Stdout,
        "stderr" => output_raw_record::OutputType::Stderr,
        unknown => {
            return Err(PyValueError::new_err(format!(
                "there is no output stream `{unknown}`"
            )));
        }
    };
    Ok(OutputRawRecord {
        output_type: output_type.into(),
        timestamp: fields.value::<Option<i64>>("time_micros")?.map(timestamp),
        line: fields.text("text")?,
        ..OutputRawRecord::default()
    })
}

fn environment(fields: &Fields<'_>) -> PyResult<EnvironmentRecord> {
    let disk: HashMap<String, (u64, u64)> = fields.value("disk")?;
    let disk = disk
        .into_iter()
        .map(|(path, (total, used))| (path, DiskInfo { total, used }))
        .collect();
    let gpu_nvidia = fields
        .list_of_fields("gpu_nvidia")?
        .iter()
        .map(|gpu| {
            let info = GpuNvidiaInfo {
                name: gpu.text("name")?,
                memory_total: gpu.value("memory_total")?,
                cuda_cores: gpu.value("cuda_cores")?,
                architecture: gpu.text("architecture")?,
                uuid: gpu.text("uuid")?,
                ..GpuNvidiaInfo::default()
            };
            gpu.finish()?;
            Ok(info)
        })
        .collect::<PyResult<Vec<_>>>()?;
    Ok(EnvironmentRecord {
        os: fields.text("os")?,
        python: fields.text("python")?,
        started_at: fields
            .value::<Option<i64>>("started_at_micros")?
            .map(timestamp),
        docker: fields.text("docker")?,
        args: fields.texts("args")?,
        program: fields.text("program")?,
        code_path: fields.text("code_path")?,
        code_path_local: fields.text("code_path_local")?,
        git: git(fields)?,
        email: fields.text("email")?,
        root: fields.text("root")?,
        host: fields.text("host")?,
        username: fields.text("username")?,
        executable: fields.text("executable")?,
        colab: fields.text("colab")?,
        cpu_count: fields.value("cpu_count")?,
        cpu_count_logical: fields.value("cpu_count_logical")?,
        gpu_type: fields.text("gpu_type")?,
        gpu_count: fields.value("gpu_count")?,
        disk,
        memory: fields
            .value::<Option<u64>>("memory_total")?
            .map(|total| MemoryInfo { total }),
        gpu_nvidia,
        cuda_version: fields.text("cuda_version")?,
        slurm: fields.text_map("slurm")?,
        writer_id: fields.text("writer_id")?,
        runlane_writer: fields
            .fields("writer")?
            .map(|it| writer_info(&it))
            .transpose()?,
        ..EnvironmentRecord::default()
    })
}
