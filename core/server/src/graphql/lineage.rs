//! Runs that go on from the history of another one: `fork_from` (told by the config of the first `upsertBucket`) and `rewindRun`.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use runlane_model::json::{Object as JsonObject, Value, parse_object};
use runlane_model::run_state::RunState;

use super::Scope;
use super::run::Run;
use crate::auth::access::Action;
use crate::error::{ApiError, StoreError};
use crate::history::branch::{self, Branch};
use crate::store::lineage::{self, OriginRow};
use crate::store::runs::{self, RunChange, RunRow};
use crate::store::{Connection, streams};

/// States before a rewind whose writers are told apart from new ones.
const ARCHIVES_CHECKED: i64 = 16;

/// `<run>?_step=<n>`, as the client puts it into the config (`_wandb.branch_point`).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    run: String,
    step: f64,
}

/// Where a run is to begin.
pub(super) struct Beginning {
    origin: OriginRow,
    branch: Branch,
}

/// The branch point in a config's text.
pub(super) fn moment(config: Option<&str>) -> Option<Moment> {
    let point = branch_point(&parse_object(config?).ok()?)?.clone();
    Some(Moment {
        run: point.get("run_id")?.as_str()?.to_owned(),
        step: point.get("step")?.as_f64()?,
    })
}

fn branch_point(config: &JsonObject) -> Option<&Value> {
    internal(config)?.get("branch_point")
}

fn internal(config: &JsonObject) -> Option<&JsonObject> {
    config.get("_wandb")?.get("value")?.as_object()
}

/// Whole steps up to a branch point; a fraction names no later one.
fn whole_step(step: f64, what: &str) -> Result<i64, ApiError> {
    #[expect(clippy::cast_possible_truncation, reason = "within the range of steps")]
    if (0.0..9e15).contains(&step) {
        Ok(step.floor() as i64)
    } else {
        Err(ApiError::invalid(format!(
            "{what}: `_step={step}` is not a step of a run"
        )))
    }
}

/// What a run that is forked at `moment` begins with. `existing` is what has its name now.
///
/// All rows of the parent up to the step are read, so this is done before anything is locked. None if there is nothing to be done.
pub(super) async fn prepare(
    scope: &Scope,
    (entity, project, name): (&str, &str, &str),
    existing: Option<&RunRow>,
    moment: Option<Moment>,
) -> Result<Option<Beginning>, ApiError> {
    // After a rewind the config names the run itself.
    let Some(moment) = moment.filter(|moment| moment.run != name) else {
        return Ok(None);
    };
    let what = format!("run `{name}` cannot be forked from `{}`", moment.run);
    let step = whole_step(moment.step, &what)?;
    if let Some(existing) = existing {
        // The same request again, or an update, which always has the whole config.
        if existing.deleted_at_micros.is_some()
            || self::moment(Some(&existing.config)).as_ref() == Some(&moment)
        {
            return Ok(None);
        }
        if existing.history_line_count > 0 || existing.generation > 0 {
            return Err(ApiError::invalid(format!(
                "{what}: there is a run `{name}` already; a fork needs an id of its own"
            )));
        }
    }
    let parent = {
        let mut reader = scope.state.store.reader().await?;
        let path = (entity, project, moment.run.as_str());
        scope.access().run(&mut reader, path, Action::Read).await?
    };
    let parent = parent.ok_or_else(|| {
        ApiError::not_found(format!(
            "{what}: there is no run `{}` in project `{project}`",
            moment.run
        ))
    })?;
    let branch = branch_at(scope, &parent, step, &what).await?;
    Ok(Some(Beginning {
        origin: OriginRow {
            parent_id: parent.id,
            step,
        },
        branch,
    }))
}

/// What `run` has at `step`; an error if it has not come so far, or if there are too many parts.
async fn branch_at(scope: &Scope, run: &RunRow, step: i64, what: &str) -> Result<Branch, ApiError> {
    let branch = branch::at(&scope.state.store, run, step).await?;
    match branch.reached {
        Some(reached) if reached >= step => {}
        Some(reached) => {
            return Err(ApiError::invalid(format!(
                "{what} at step {step}: the last step of `{}` that has arrived here is {reached}",
                run.name
            )));
        }
        None => {
            return Err(ApiError::invalid(format!(
                "{what} at step {step}: `{}` has no history",
                run.name
            )));
        }
    }
    let limit = scope.state.max_history_parts;
    if branch.segments.len() > limit {
        return Err(ApiError::invalid(format!(
            "{what}: its history would have {} parts, from as many forks, rewinds and writers; the limit is {limit}; \
             log the values that you go on from to a new run instead",
            branch.segments.len()
        )));
    }
    Ok(branch)
}

/// Gives a new run the rows that it begins with. An older one that has rows or a beginning keeps them.
pub(super) async fn begin_fork(
    connection: &mut Connection,
    run_id: i64,
    beginning: &Beginning,
) -> Result<(), ApiError> {
    if lineage::origin(connection, run_id).await?.is_some()
        || lineage::has_own_lines(connection, run_id).await?
    {
        return Ok(());
    }
    Ok(begin(connection, run_id, beginning).await?)
}

async fn begin(
    connection: &mut Connection,
    run_id: i64,
    Beginning { origin, branch }: &Beginning,
) -> Result<(), StoreError> {
    lineage::inherit(connection, run_id, &branch.segments).await?;
    lineage::set_origin(connection, run_id, origin, &branch.summary).await?;
    streams::begin_behind(connection, run_id, branch.row_count).await?;
    lineage::begin(connection, run_id, branch.row_count, branch.last_step).await?;
    let change = RunChange {
        summary: Some(branch.summary.clone()),
        ..RunChange::default()
    };
    runs::update(connection, run_id, &change).await
}

/// Refuses the config of a client that began before the run was rewound and does not know of it: each process names itself in the
/// config, and this one is known from an archive.
pub(super) async fn check_writer(
    connection: &mut Connection,
    run: &RunRow,
    config: Option<&str>,
) -> Result<(), ApiError> {
    let Some(config) = config.filter(|_| run.generation > 0) else {
        return Ok(());
    };
    let mut writers = writers_of(config);
    if writers.is_empty() {
        return Ok(());
    }
    for archived in lineage::archived_configs(connection, run.id, ARCHIVES_CHECKED).await? {
        let earlier = writers_of(&archived);
        writers.retain(|writer| !earlier.contains(writer));
    }
    if writers.is_empty() {
        return Err(rewound(run));
    }
    Ok(())
}

/// The processes that a config has the metadata of.
fn writers_of(config: &str) -> Vec<String> {
    let config = parse_object(config).unwrap_or_default();
    let entries = internal(&config).and_then(|inner| inner.get("e")?.as_object());
    entries
        .into_iter()
        .flatten()
        .map(|(writer, _)| writer.clone())
        .collect()
}

/// The answer to a client of an earlier state of a run.
pub(crate) fn rewound(run: &RunRow) -> ApiError {
    ApiError::new(
        http::StatusCode::CONFLICT,
        "rewound",
        format!(
            "run `{}` was rewound while this process was logging to it: what it logs does not belong to the run any more; \
             its rows so far are in `{}:{}` and the archives before it",
            run.name,
            run.name,
            (run.generation - 1).max(0)
        ),
    )
}

/// The answer to somebody who would change an archive.
pub(crate) fn archived(run: &RunRow) -> ApiError {
    ApiError::new(
        http::StatusCode::CONFLICT,
        "archived",
        format!(
            "`{}` is what a run had before it was rewound, and does not change; hint: fork it",
            run.name
        ),
    )
}

/// `new`, with the branch point of the stored config if it has none: a client that resumes a run does not know of it.
pub(super) fn with_branch_point(stored: &str, new: String) -> String {
    if !stored.contains("\"branch_point\"") {
        return new;
    }
    let point = parse_object(stored)
        .ok()
        .and_then(|config| branch_point(&config).cloned());
    let (Some(point), Ok(mut config)) = (point, parse_object(&new)) else {
        return new;
    };
    if let Some(Value::Object(entry)) = config.get_mut("_wandb")
        && let Some(Value::Object(inner)) = entry.get_mut("value")
        && !inner.contains_key("branch_point")
    {
        inner.insert("branch_point".to_owned(), point);
        return Value::Object(config).to_string();
    }
    new
}

#[derive(InputObject)]
pub(crate) struct RewindRunInput {
    run_name: String,
    entity_name: Option<String>,
    project_name: Option<String>,
    metric_name: String,
    metric_value: f64,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct RewindRunPayload {
    rewound_run: Option<Run>,
    client_mutation_id: Option<String>,
}

/// Changes of what a run begins with.
#[derive(Default)]
pub(crate) struct LineageMutation;

#[Object]
impl LineageMutation {
    /// Cuts a run's history behind a step. What it had becomes a run of its own, `<id>:<generation>`.
    async fn rewind_run(
        &self,
        context: &Context<'_>,
        input: RewindRunInput,
    ) -> Result<RewindRunPayload, ApiError> {
        let run = rewind(Scope::of(context)?, &input).await?;
        Ok(RewindRunPayload {
            rewound_run: Some(Run(run)),
            client_mutation_id: input.client_mutation_id,
        })
    }
}

async fn rewind(scope: &Scope, input: &RewindRunInput) -> Result<RunRow, ApiError> {
    let what = format!("run `{}` cannot be rewound", input.run_name);
    if input.metric_name != "_step" {
        return Err(ApiError::invalid(format!(
            "{what} to a value of `{}`, only to a `_step`",
            input.metric_name
        )));
    }
    let step = whole_step(input.metric_value, &what)?;
    let run = {
        let entity = input.entity_name.as_deref().unwrap_or_default();
        let project = input
            .project_name
            .as_deref()
            .filter(|name| !name.is_empty());
        let project = project.unwrap_or(super::project::DEFAULT_PROJECT);
        let mut reader = scope.state.store.reader().await?;
        scope
            .access()
            .existing_run(
                &mut reader,
                (entity, project, &input.run_name),
                Action::Write,
            )
            .await?
    };
    if run.archive_of.is_some() {
        return Err(archived(&run));
    }
    let branch = branch_at(scope, &run, step, &what).await?;
    let now = scope.state.clock.now_micros();
    let mut writer = scope.state.store.writer().await?;
    runs::lock(&mut writer, run.id).await?;
    let gone = || ApiError::not_found(format!("{what}: it was deleted in between"));
    let current = runs::by_id(&mut writer, run.id).await?.ok_or_else(gone)?;
    if current.generation != run.generation {
        return Err(ApiError::new(
            http::StatusCode::CONFLICT,
            "rewound",
            format!("{what}: somebody else has rewound it at the same time"),
        ));
    }
    if !is_there_already(&mut writer, &current, step).await? {
        let archive_id = lineage::archive(&mut writer, &current, archived_state(&current)).await?;
        lineage::hand_over(&mut writer, current.id, archive_id).await?;
        let origin = OriginRow {
            parent_id: archive_id,
            step,
        };
        begin(&mut writer, current.id, &Beginning { origin, branch }).await?;
        lineage::next_generation(&mut writer, current.id).await?;
    }
    runs::set_state(
        &mut writer,
        current.id,
        RunState::Running.as_str(),
        None,
        false,
    )
    .await?;
    runs::heartbeat(&mut writer, current.id, now).await?;
    let rewound = runs::by_id(&mut writer, current.id)
        .await?
        .ok_or_else(gone)?;
    writer.commit().await.map_err(StoreError::from)?;
    scope.state.live.changed(rewound.id);
    Ok(rewound)
}

/// Whether the run was rewound to this step and nothing has come since: the same request again.
async fn is_there_already(
    connection: &mut Connection,
    run: &RunRow,
    step: i64,
) -> Result<bool, StoreError> {
    let origin = lineage::origin(connection, run.id).await?;
    let is_same = run.generation > 0 && origin.is_some_and(|origin| origin.step == step);
    Ok(is_same && !lineage::has_own_lines(connection, run.id).await?)
}

/// An archive does not run; its program was overtaken.
fn archived_state(run: &RunRow) -> &str {
    match run.state.parse() {
        Ok(RunState::Running | RunState::Preempting | RunState::Pending) => {
            RunState::Killed.as_str()
        }
        _ => &run.state,
    }
}

/// Where a run's history begins.
#[derive(SimpleObject)]
#[graphql(name = "RunOrigin")]
pub(crate) struct RunOrigin {
    /// The run that it was forked from, or its own state before it was rewound.
    run: Run,
    /// The inherited rows go to this step.
    step: i64,
    /// It was rewound, rather than forked from another run.
    rewound: bool,
    /// The run is deleted; its rows are kept as far as they are inherited.
    deleted: bool,
}

/// `Run.origin`.
pub(super) async fn origin(scope: &Scope, run: &RunRow) -> Result<Option<RunOrigin>, ApiError> {
    let mut reader = scope.state.store.reader().await?;
    let Some(origin) = lineage::origin(&mut reader, run.id).await? else {
        return Ok(None);
    };
    let parent = runs::by_id_any(&mut reader, origin.parent_id).await?;
    Ok(parent.map(|parent| RunOrigin {
        step: origin.step,
        rewound: parent.archive_of == Some(run.archive_of.unwrap_or(run.id)),
        deleted: parent.deleted_at_micros.is_some(),
        run: Run(parent),
    }))
}

/// `Run.inheritedLineCount`.
pub(super) async fn inherited_lines(scope: &Scope, run_id: i64) -> Result<i64, ApiError> {
    let mut reader = scope.state.store.reader().await?;
    Ok(lineage::inherited_lines(&mut reader, run_id).await?)
}

/// `Run.generations`: the states before rewinds, the oldest first.
pub(super) async fn generations(scope: &Scope, run: &RunRow) -> Result<Vec<Run>, ApiError> {
    let mut reader = scope.state.store.reader().await?;
    let mut found = Vec::new();
    for id in lineage::archives(&mut reader, run.id).await? {
        found.extend(runs::by_id(&mut reader, id).await?.map(Run));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"lr":{"value":1},"_wandb":{"value":{"branch_point":{"run_id":"p","step":4},"e":{"w1":{},"w2":{}}}}}"#;

    #[test]
    fn branch_points_are_read_from_configs() {
        let found = moment(Some(CONFIG)).expect("a branch point");
        assert_eq!((found.run.as_str(), found.step), ("p", 4.0));
        for config in [
            None,
            Some("{}"),
            Some("oops"),
            Some(r#"{"_wandb":{"value":{"branch_point":{"run_id":7}}}}"#),
        ] {
            assert_eq!(moment(config), None, "{config:?}");
        }
        assert_eq!(writers_of(CONFIG), ["w1", "w2"]);
    }

    #[test]
    fn steps_are_whole_and_not_negative() {
        assert_eq!(whole_step(4.9, "x").ok(), Some(4));
        for step in [-1.0, f64::NAN, f64::INFINITY, 1e18] {
            assert!(whole_step(step, "x").is_err(), "{step}");
        }
    }

    #[test]
    fn a_branch_point_outlives_configs_that_do_not_have_it() {
        let new = r#"{"lr":{"value":2},"_wandb":{"value":{"t":1}}}"#;
        let kept = with_branch_point(CONFIG, new.to_owned());
        assert_eq!(moment(Some(&kept)), moment(Some(CONFIG)));
        let other = CONFIG.replace("\"p\"", "\"q\"");
        assert_eq!(with_branch_point(CONFIG, other.clone()), other);
        assert_eq!(with_branch_point("{}", new.to_owned()), new);
    }
}
