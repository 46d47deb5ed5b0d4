//! The records that `_publish` appends behind the calls.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_proto::wandb_internal::{
    AlertRecord, ConfigItem, ConfigRecord, FilesItem, FilesRecord, MetricControl, MetricOptions,
    MetricRecord, MetricSummary, OutputLoggerRecord, OutputRawRecord, Record, RunPreemptingRecord,
    SummaryItem, SummaryRecord, TbRecord, files_item, metric_record, output_raw_record,
};

use super::artifact_record as artifact;
use super::environment::environment;
use super::fields::{Fields, pair_of, path_of, text_of};
use super::settings::{run_record, telemetry, timestamp};
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
        "artifact" => RecordType::Artifact(artifact::artifact(&fields)?),
        "use_artifact" => RecordType::UseArtifact(artifact::use_artifact(&fields)?),
        "tensorboard" => RecordType::Tbrecord(TbRecord {
            log_dir: fields.text("log_dir")?,
            root_dir: fields.text("root_dir")?,
            save: fields.value("save")?,
            save_path: fields.text("save_path")?,
            ignore_timestamp: fields.value("any_time")?,
            runlane_host: fields.text("host")?,
            ..TbRecord::default()
        }),
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
