//! `RunSettings` and the run record from the mappings of `_open`.

use prost_types::Timestamp;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use runlane_proto::local::RunSettings;
use runlane_proto::wandb_internal::{
    BranchPoint, ConfigItem, ConfigRecord, Env, Feature, GitRepoRecord, Imports, RunRecord,
    RunlaneWriter, TelemetryRecord,
};

use super::fields::{Fields, text_of};
use super::monitoring;
use crate::wire::put_varint;

/// The settings of a run, and who logs to it.
pub(crate) fn settings(
    mapping: &Bound<'_, PyAny>,
) -> PyResult<(RunSettings, Option<RunlaneWriter>)> {
    let fields = Fields::new("settings", mapping)?;
    let settings = RunSettings {
        run_id: fields.text("run_id")?,
        entity: fields.text("entity")?,
        project: fields.text("project")?,
        offline: fields.value("offline")?,
        base_url: fields.text("base_url")?,
        api_key: fields.text("api_key")?,
        sync_dir: fields.text("sync_dir")?,
        files_dir: fields.text("files_dir")?,
        resume: fields.text("resume")?,
        resume_from: branch_point(&fields, "resume_from")?,
        fork_from: branch_point(&fields, "fork_from")?,
        init_timeout_secs: fields.value("init_timeout_secs")?,
        finish_timeout_secs: fields.value("finish_timeout_secs")?,
        ignore_globs: fields.texts("ignore_globs")?,
        extra_http_headers: fields.text_map("extra_http_headers")?,
        http_proxy: fields.text("http_proxy")?,
        https_proxy: fields.text("https_proxy")?,
        insecure_disable_ssl: fields.value("insecure_disable_ssl")?,
        transmit_interval_secs: fields.value("transmit_interval_secs")?,
        file_stream_timeout_secs: fields.value("file_stream_timeout_secs")?,
        graphql_timeout_secs: fields.value("graphql_timeout_secs")?,
        file_stream_max_bytes: fields.value("file_stream_max_bytes")?,
        file_stream_max_line_bytes: fields.value("file_stream_max_line_bytes")?,
        skip_transaction_log: fields.value("skip_transaction_log")?,
        update_finish_state: fields.value("update_finish_state")?,
        server_side_derived_summary: fields.value("server_side_derived_summary")?,
        shared: fields.value("shared")?,
        label: fields.text("label")?,
        primary: fields.value("primary")?,
        app_url: fields.text("app_url")?,
        username: fields.text("username")?,
        email: fields.text("email")?,
        client_version: fields.text("client_version")?,
        stop_on_fatal_error: fields.value("stop_on_fatal_error")?,
        typed_history: fields.value("typed_history")?,
        force: fields.value("force")?,
        durability: fields.text("durability")?,
        metrics: fields
            .fields("metrics")?
            .map(|it| monitoring::metrics(&it))
            .transpose()?,
        console: fields
            .fields("console")?
            .map(|it| monitoring::console(&it))
            .transpose()?,
        cache_dir: fields.text("cache_dir")?,
        staging_dir: fields.text("staging_dir")?,
    };
    let writer = fields
        .fields("writer")?
        .map(|it| writer_info(&it))
        .transpose()?;
    fields.finish()?;
    Ok((settings, writer))
}

/// Who logs.
pub(super) fn writer_info(fields: &Fields<'_>) -> PyResult<RunlaneWriter> {
    let writer = RunlaneWriter {
        label: fields.text("label")?,
        rank: fields.value("rank")?,
        world_size: fields.value("world_size")?,
        local_rank: fields.value("local_rank")?,
        host: fields.text("host")?,
        client_id: fields.text("client_id")?,
        joins: fields.value("joins")?,
        // Filled in by the process that logs.
        pid: 0,
    };
    fields.finish()?;
    Ok(writer)
}

/// The run record.
pub(crate) fn run_record(fields: &Fields<'_>) -> PyResult<RunRecord> {
    let config = fields.get("config")?;
    let record = RunRecord {
        run_id: fields.text("run_id")?,
        entity: fields.text("entity")?,
        project: fields.text("project")?,
        config: config.as_ref().map(config_record).transpose()?,
        run_group: fields.text("run_group")?,
        job_type: fields.text("job_type")?,
        display_name: fields.text("display_name")?,
        notes: fields.text("notes")?,
        tags: fields.texts("tags")?,
        sweep_id: fields.text("sweep_id")?,
        host: fields.text("host")?,
        start_time: fields
            .value::<Option<i64>>("start_time_micros")?
            .map(timestamp),
        telemetry: fields
            .fields("telemetry")?
            .map(|it| telemetry(&it))
            .transpose()?,
        git: git(fields)?,
        branch_point: branch_point(fields, "branch_point")?,
        resume: fields.value("resume")?,
        ..RunRecord::default()
    };
    fields.finish()?;
    Ok(record)
}

/// A remote and a commit.
pub(super) fn git(fields: &Fields<'_>) -> PyResult<Option<GitRepoRecord>> {
    let Some(git) = fields.fields("git")? else {
        return Ok(None);
    };
    let record = GitRepoRecord {
        remote_url: git.text("remote_url")?,
        commit: git.text("commit")?,
    };
    git.finish()?;
    Ok(Some(record))
}

/// What a run records of how the library was used: numbers of the flags that are set.
pub(super) fn telemetry(fields: &Fields<'_>) -> PyResult<TelemetryRecord> {
    let record = TelemetryRecord {
        feature: flags::<Feature>(fields, "feature")?,
        imports_init: flags::<Imports>(fields, "imports_init")?,
        imports_finish: flags::<Imports>(fields, "imports_finish")?,
        env: flags::<Env>(fields, "env")?,
        python_version: fields.text("python_version")?,
        cli_version: fields.text("cli_version")?,
        core_version: fields.text("core_version")?,
        huggingface_version: fields.text("huggingface_version")?,
        platform: fields.text("platform")?,
        ..TelemetryRecord::default()
    };
    fields.finish()?;
    Ok(record)
}

/// A message of bools with the given fields set; unknown numbers are dropped.
fn flags<M: prost::Message + Default>(
    fields: &Fields<'_>,
    name: &'static str,
) -> PyResult<Option<M>> {
    let numbers: Option<Vec<u32>> = fields.value(name)?;
    let Some(numbers) = numbers else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    for number in numbers
        .into_iter()
        .filter(|&number| number > 0 && number < 1 << 29)
    {
        put_varint(&mut bytes, u64::from(number) << 3);
        bytes.push(1);
    }
    // Varint fields decode whatever their number is, so this cannot fail; an empty message would be the fallback.
    Ok(Some(M::decode(bytes.as_slice()).unwrap_or_default()))
}

fn config_record(config: &Bound<'_, PyAny>) -> PyResult<ConfigRecord> {
    let config = config.cast::<PyDict>()?;
    let update = config
        .iter()
        .map(|(key, json)| {
            Ok(ConfigItem {
                key: text_of(&key)?,
                value_json: text_of(&json)?,
                ..ConfigItem::default()
            })
        })
        .collect::<PyResult<Vec<_>>>()?;
    Ok(ConfigRecord {
        update,
        ..ConfigRecord::default()
    })
}

fn branch_point(fields: &Fields<'_>, name: &'static str) -> PyResult<Option<BranchPoint>> {
    let Some(point) = fields.fields(name)? else {
        return Ok(None);
    };
    let record = BranchPoint {
        run: point.text("run")?,
        value: point.value("value")?,
        metric: point.text("metric")?,
    };
    point.finish()?;
    Ok(Some(record))
}

/// Microseconds since 1970 as a timestamp.
pub(crate) fn timestamp(micros: i64) -> Timestamp {
    let nanos = micros.rem_euclid(1_000_000) * 1000;
    Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}
