//! Meeting the server: resume, rewind, create; where the run goes on.

use runlane_model::backoff::Verdict;
use runlane_model::json::{Object, Value, parse_object};
use runlane_model::key_path::KeyPath;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::error_info::ErrorCode;

use super::cursor::Target;
use super::graphql::{Bucket, Features, ResumeStatus, Server, Upsert};
use super::http::CallError;
use super::job::Job;
use super::projection::{Projection, Shift};

/// A run that the server knows.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) entity: String,
    pub(crate) project: String,
    pub(crate) features: Features,
    /// Progress to go on from.
    pub(crate) target: Target,
    /// The run with what the server said.
    pub(crate) run: pb::RunRecord,
}

/// Why a run could not be started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StartError {
    /// The call failed; it may succeed later if its verdict is `Retry`.
    Call(CallError),
    /// The settings forbid it.
    Usage(String),
}

impl From<CallError> for StartError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl StartError {
    /// As the user sees it.
    pub(crate) fn to_error_info(&self) -> pb::ErrorInfo {
        let (code, message) = match self {
            Self::Usage(text) => (ErrorCode::Usage, text.clone()),
            Self::Call(error) if error.verdict == Verdict::Unauthorized => {
                let hint = "the server refuses the API key";
                (
                    ErrorCode::Authentication,
                    format!("{hint}: {}", error.message),
                )
            }
            Self::Call(error) => (ErrorCode::Communication, error.message.clone()),
        };
        pb::ErrorInfo {
            message,
            code: code.into(),
        }
    }
}

/// Makes the server know the run. `saved` is the progress of an earlier process.
pub(crate) async fn start(
    server: &Server,
    job: &Job,
    projection: &mut Projection,
    saved: Option<Target>,
) -> Result<Started, StartError> {
    let mut run = projection.run.clone().unwrap_or_default();
    job.rename(&mut run);
    let (entity, project) = (some(&run.entity), some(&run.project));
    let mut target = Target::default();
    let mut storage_id = None;
    let mut kept_tags = None;
    let is_new = saved.is_none();
    // Several writers in shared mode join whatever there is, each with lines of its own from 0 on.
    let shares = projection.shared().is_some();
    let resume_mode = job.resume_mode(&run).filter(|_| !shares);
    let rewind_point = rewind_point(job, &run);
    if let Some(saved) = saved {
        target = saved;
        if !projection.has_met_server() && resume_mode.is_some() {
            // Begun without the server: the log does not know what the run had before, and an earlier process of the
            // uploader took it along only in memory.
            let status = server.resume_status(entity, project, &run.run_id).await?;
            if let Some(status) = status.filter(ResumeStatus::was_started) {
                inherit(&status, projection);
            }
        }
    } else if let Some(point) = &rewind_point {
        let rewound = server
            .rewind(entity, project, &run.run_id, point.value)
            .await
            .map_err(|error| CallError {
                message: format!("failed to rewind run: {}", error.message),
                ..error
            })?;
        target.history_base = rewound.history_line_count.unwrap_or(0);
        storage_id = some(&rewound.id).map(str::to_owned);
        run.display_name = rewound.display_name.unwrap_or_default();
        run.forked = true;
        #[expect(clippy::cast_possible_truncation, reason = "a step")]
        let step = point.value.floor() as i64 + 1;
        run.starting_step = step;
        inherit_config(projection, rewound.config.as_deref());
    } else if let Some(mode) = resume_mode {
        let status = server.resume_status(entity, project, &run.run_id).await?;
        match (status.filter(ResumeStatus::was_started), mode) {
            (Some(_), "never") => {
                return Err(StartError::Usage(format!(
                    "run `{}` already exists, but `resume=\"never\"` does not allow resuming it",
                    run.run_id
                )));
            }
            (None, "must") => {
                return Err(StartError::Usage(format!(
                    "run `{}` does not exist or was never started, but `resume=\"must\"` requires an existing run",
                    run.run_id
                )));
            }
            (Some(status), _) => {
                kept_tags = resume(&status, &mut run, &mut target, projection);
                storage_id = Some(status.id);
            }
            (None, _) => {}
        }
    }
    let met_before = projection.has_met_server();
    if is_new && run.resumed && !met_before {
        // The log was begun without the server and counts from 0.
        target.step_shift = run.starting_step;
        target.runtime_shift = f64::from(run.runtime);
    }
    projection.shift = Shift {
        step: target.step_shift,
        runtime: target.runtime_shift,
    };
    let (bucket, inserted) = server
        .upsert(&full_upsert(job, projection, &run, storage_id, kept_tags))
        .await?;
    let is_fork = is_new && !shares && run.branch_point.is_some() && rewind_point.is_none();
    if is_fork {
        // Lines are counted through: those of the fork come behind the inherited ones.
        target.history_base = bucket.history_line_count.unwrap_or(0);
    }
    if is_new && !inserted && !shares && job.is_fresh && !run.resumed && !run.forked && !is_fork {
        // An id that is used again without resuming: the server goes on behind what it has.
        target.history_base = bucket.history_line_count.unwrap_or(0);
    }
    if !is_new && inserted {
        // The server has lost the run: what was stored there is sent again.
        target = Target {
            step_shift: target.step_shift,
            runtime_shift: target.runtime_shift,
            ..Target::default()
        };
    }
    let features = server.features().await?;
    let (entity, project) = take_names(&bucket, &mut run);
    if is_fork && !inserted && features.fast_stream {
        // The cursor is lost: some of the lines that the server counts are this log's own.
        target.history_base = server
            .inherited_lines([&entity, &project, &run.run_id])
            .await?;
    }
    run.config = Some(config_record(projection.config.user_values()));
    Ok(Started {
        entity,
        project,
        features,
        target,
        run,
    })
}

/// Where the run is to be rewound to: as its process asks, or as a log on disk says.
fn rewind_point(job: &Job, run: &pb::RunRecord) -> Option<pb::BranchPoint> {
    let asked = job.settings.resume_from.clone();
    asked.or_else(|| {
        run.branch_point
            .clone()
            .filter(|point| !job.is_fresh && point.run == run.run_id)
    })
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Takes over where a stored run stands; returns the tags that it has, if none are given now.
fn resume(
    status: &ResumeStatus,
    run: &mut pb::RunRecord,
    target: &mut Target,
    projection: &mut Projection,
) -> Option<Vec<String>> {
    let summary = status
        .summary_metrics
        .as_deref()
        .and_then(|text| parse_object(text).ok())
        .unwrap_or_default();
    let history = last_row(status.history_tail.as_deref());
    let events = last_row(status.events_tail.as_deref());
    let lines = status.history_line_count.unwrap_or(0);
    let whole = |row: &Object, key: &str| row.get(key).and_then(Value::as_i64);
    if lines > 0 {
        let known = [
            whole(&summary, "_step"),
            whole(&history, "_step"),
            i64::try_from(lines).ok().map(|n| n - 1),
        ];
        run.starting_step = known.into_iter().flatten().max().map_or(0, |step| step + 1);
    }
    let seconds = |row: &Object, key: &str| row.get(key).and_then(Value::as_f64);
    let stored = summary
        .get("_wandb")
        .and_then(|internal| internal.get("runtime"))
        .and_then(Value::as_f64);
    let runtime = [
        stored.or(seconds(&summary, "_runtime")),
        seconds(&history, "_runtime"),
        seconds(&events, "_runtime"),
    ]
    .into_iter()
    .flatten()
    .fold(0.0_f64, f64::max);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped to the range of the field"
    )]
    let whole_runtime = runtime.clamp(0.0, f64::from(i32::MAX)) as i32;
    run.runtime = whole_runtime;
    run.resumed = true;
    run.summary = Some(summary_record(&summary));
    target.history_base = lines;
    target.events_base = status.events_line_count.unwrap_or(0);
    target.output_base = status.log_line_count.unwrap_or(0);
    if run.display_name.is_empty() {
        run.display_name = status.display_name.clone().unwrap_or_default();
    }
    if run.notes.is_empty() {
        run.notes = status.notes.clone().unwrap_or_default();
    }
    inherit(status, projection);
    if run.tags.is_empty() {
        run.tags = status.tags.clone().unwrap_or_default();
        status.tags.clone()
    } else {
        None
    }
}

/// Config and summary of the stored run, below those of this log.
fn inherit(status: &ResumeStatus, projection: &mut Projection) {
    inherit_config(projection, status.config.as_deref());
    projection.inherit_summary(status.summary_metrics.as_deref().unwrap_or("{}"));
}

fn last_row(tail: Option<&str>) -> Object {
    let rows: Vec<String> = tail
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    rows.last()
        .and_then(|row| parse_object(row).ok())
        .unwrap_or_default()
}

/// Config keys of the stored run that are not set now.
fn inherit_config(projection: &mut Projection, stored: Option<&str>) {
    let Some(Ok(stored)) = stored.map(runlane_model::config::Config::from_wrapped) else {
        return;
    };
    for (key, value) in stored.tree() {
        let path = KeyPath::flat(key.as_str());
        if key == runlane_model::config::INTERNAL {
            for kept in [
                "visualize",
                "viz",
                "mask/class_labels",
                "bounding_box/class_labels",
            ] {
                if let Some(value) = value.get(kept)
                    && let Some(path) = KeyPath::nested(vec![key.clone(), kept.to_owned()])
                {
                    projection.config.set(&path, value.clone());
                }
            }
        } else if projection.config.get(&path).is_none() {
            projection.config.set(&path, value.clone());
        }
    }
}

fn full_upsert(
    job: &Job,
    projection: &Projection,
    run: &pb::RunRecord,
    id: Option<String>,
    kept_tags: Option<Vec<String>>,
) -> Upsert {
    let owned = |text: &str| some(text).map(str::to_owned);
    let environment = projection.environment();
    Upsert {
        id,
        name: run.run_id.clone(),
        project: owned(&run.project),
        entity: owned(&run.entity),
        group: owned(&run.run_group),
        display_name: owned(&run.display_name),
        notes: owned(&run.notes),
        commit: run.git.as_ref().and_then(|git| owned(&git.commit)),
        config: Some(Value::Object(projection.wrapped_config()).to_string()),
        host: owned(&run.host),
        program: environment.and_then(|environment| owned(&environment.program)),
        repo: run.git.as_ref().and_then(|git| owned(&git.remote_url)),
        job_type: owned(&run.job_type),
        sweep: owned(&run.sweep_id),
        tags: if run.tags.is_empty() {
            kept_tags
        } else {
            Some(job.tags(&run.tags))
        },
    }
}

fn take_names(bucket: &Bucket, run: &mut pb::RunRecord) -> (String, String) {
    if let Some(project) = &bucket.project {
        run.project.clone_from(&project.name);
        if let Some(entity) = &project.entity {
            run.entity.clone_from(&entity.name);
        }
    }
    if let Some(name) = bucket.display_name.as_ref().filter(|name| !name.is_empty()) {
        run.display_name.clone_from(name);
    }
    if let Some(sweep) = bucket.sweep_name.as_ref().filter(|name| !name.is_empty()) {
        run.sweep_id.clone_from(sweep);
    }
    if !bucket.name.is_empty() {
        run.run_id.clone_from(&bucket.name);
    }
    run.storage_id.clone_from(&bucket.id);
    (run.entity.clone(), run.project.clone())
}

fn config_record(values: Object) -> pb::ConfigRecord {
    let update = values
        .into_iter()
        .map(|(key, value)| pb::ConfigItem {
            key,
            value_json: value.to_string(),
            ..Default::default()
        })
        .collect();
    pb::ConfigRecord {
        update,
        ..Default::default()
    }
}

fn summary_record(summary: &Object) -> pb::SummaryRecord {
    let update = summary
        .iter()
        .filter(|(key, _)| *key != "_step")
        .map(|(key, value)| pb::SummaryItem {
            key: key.clone(),
            value_json: value.to_string(),
            ..Default::default()
        })
        .collect();
    pb::SummaryRecord {
        update,
        ..Default::default()
    }
}
