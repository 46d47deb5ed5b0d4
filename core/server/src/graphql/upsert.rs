//! `upsertBucket`: creates a run or changes it.

use async_graphql::InputObject;
use runlane_model::json::{Value, parse_object};
use runlane_model::run_state::RunState;
use runlane_model::{limits, names};

use super::lineage::{self, Beginning};
use super::project::DEFAULT_PROJECT;
use super::scalars::JsonString;
use super::{Scope, ids};
use crate::auth::access::Action;
use crate::auth::token;
use crate::error::{ApiError, StoreError};
use crate::store::conflict::Retries;
use crate::store::lineage as stored_lineage;
use crate::store::runs::{self, RunChange, RunRow};
use crate::store::{Connection, run_list, streams};

/// New values of a run; null leaves the old one.
#[derive(InputObject)]
pub(crate) struct UpsertBucketInput {
    id: Option<String>,
    name: Option<String>,
    group_name: Option<String>,
    model_name: Option<String>,
    entity_name: Option<String>,
    description: Option<String>,
    display_name: Option<String>,
    notes: Option<String>,
    config: Option<JsonString>,
    commit: Option<String>,
    host: Option<String>,
    debug: Option<bool>,
    job_program: Option<String>,
    job_repo: Option<String>,
    job_type: Option<String>,
    state: Option<String>,
    sweep: Option<String>,
    tags: Option<Vec<String>>,
    summary_metrics: Option<JsonString>,
    client_mutation_id: Option<String>,
}

/// Creates or changes the run; the run and whether it is new.
pub(super) async fn upsert(
    scope: &Scope,
    input: UpsertBucketInput,
) -> Result<(RunRow, bool), ApiError> {
    let mut retries = Retries::default();
    loop {
        match attempt(scope, &input).await {
            // Another process has just created it, for one.
            Err(error) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn attempt(scope: &Scope, input: &UpsertBucketInput) -> Result<(RunRow, bool), ApiError> {
    let now = scope.state.clock.now_micros();
    // The run's own client names it; the Public API and the app give the id alone.
    let from_run = input.name.as_deref().is_some_and(|name| !name.is_empty());
    let mut change = checked_change(input)?;
    let beginning = beginning(scope, input).await?;
    let mut writer = scope.state.store.writer().await?;
    let found = find_locked(scope, &mut writer, input).await?;
    let (run_id, inserted) = match found {
        Some(run) if run.deleted_at_micros.is_some() => {
            return Err(ApiError::new(
                http::StatusCode::GONE,
                "deleted",
                format!(
                    "run `{}` was created and deleted before; use another run id",
                    run.name
                ),
            ));
        }
        Some(run) if run.archive_of.is_some() => return Err(lineage::archived(&run)),
        Some(run) => {
            if from_run {
                lineage::check_writer(&mut writer, &run, change.config.as_deref()).await?;
            }
            let state: RunState = run.state.parse().unwrap_or(RunState::Running);
            if from_run && !state.is_active() && !is_afterthought(scope, &mut writer, &run).await? {
                let running = RunState::Running.as_str();
                runs::set_state(&mut writer, run.id, running, None, false).await?;
            }
            if scope.shared
                && let Some(config) = &change.config
            {
                change.config = Some(merged_config(&run.config, config)?);
            }
            if from_run {
                let stored = &run.config;
                let config = change.config.take();
                change.config = config.map(|new| lineage::with_branch_point(stored, new));
            }
            if change.summary.is_some() {
                stored_lineage::drop_base_summary(&mut writer, run.id).await?;
            }
            (run.id, false)
        }
        None => (create(scope, &mut writer, input, now).await?, true),
    };
    if let Some(beginning) = &beginning {
        lineage::begin_fork(&mut writer, run_id, beginning).await?;
    }
    runs::update(&mut writer, run_id, &change).await?;
    if from_run || inserted {
        runs::heartbeat(&mut writer, run_id, now).await?;
    }
    let run = runs::by_id(&mut writer, run_id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    scope.state.live.changed(run_id);
    let run = run.ok_or_else(|| ApiError::not_found("the run is gone"))?;
    Ok((run, inserted))
}

/// What the run begins with, if it is a fork that is new.
async fn beginning(
    scope: &Scope,
    input: &UpsertBucketInput,
) -> Result<Option<Beginning>, ApiError> {
    let config = input.config.as_ref().map(|text| text.0.as_str());
    let Some(moment) = lineage::moment(config) else {
        return Ok(None);
    };
    let Some(name) = input.name.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let existing = {
        let mut reader = scope.state.store.reader().await?;
        find(scope, &mut reader, input).await?
    };
    let entity = input.entity_name.as_deref().unwrap_or_default();
    let path = (entity, project_name(input), name);
    lineage::prepare(scope, path, existing.as_ref(), Some(moment)).await
}

/// The run as it is, until the transaction ends.
async fn find_locked(
    scope: &Scope,
    connection: &mut Connection,
    input: &UpsertBucketInput,
) -> Result<Option<RunRow>, ApiError> {
    let Some(run) = find(scope, connection, input).await? else {
        return Ok(None);
    };
    runs::lock(connection, run.id).await?;
    Ok(runs::by_id_any(connection, run.id).await?)
}

async fn find(
    scope: &Scope,
    connection: &mut Connection,
    input: &UpsertBucketInput,
) -> Result<Option<RunRow>, ApiError> {
    if let Some(id) = input.id.as_deref().filter(|id| !id.is_empty()) {
        let (entity, project, name) = ids::parse_run(id)?;
        let run = scope
            .access()
            .any_run(connection, (&entity, &project, &name), Action::Write)
            .await?;
        return run
            .map(Some)
            .ok_or_else(|| ApiError::not_found("there is no run with this id"));
    }
    let Some(name) = input.name.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let entity = input.entity_name.as_deref().unwrap_or_default();
    scope
        .access()
        .any_run(
            connection,
            (entity, project_name(input), name),
            Action::Write,
        )
        .await
}

fn project_name(input: &UpsertBucketInput) -> &str {
    input
        .model_name
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_PROJECT)
}

async fn create(
    scope: &Scope,
    connection: &mut Connection,
    input: &UpsertBucketInput,
    now_micros: i64,
) -> Result<i64, ApiError> {
    let name = match input.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => random_name(),
    };
    limits::check_run_id(&name).map_err(|error| ApiError::invalid(error.to_string()))?;
    let project = project_name(input);
    limits::check_project(project).map_err(|error| ApiError::invalid(error.to_string()))?;
    let state = match input.state.as_deref() {
        None | Some("") => RunState::Running,
        Some(word) => word
            .parse::<RunState>()
            .ok()
            .filter(|state| matches!(state, RunState::Pending | RunState::Running))
            .ok_or_else(|| ApiError::invalid(format!("a run cannot begin in state `{word}`")))?,
    };
    let entity = input.entity_name.as_deref().unwrap_or_default();
    let (project, _new) = scope
        .access()
        .project_for_runs(connection, entity, project, now_micros)
        .await?;
    let number = run_list::count_ever(connection, project.id).await? + 1;
    let display_name = input
        .display_name
        .clone()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| {
            let random = u64::from_le_bytes(token::random_bytes());
            names::display_name(random, u64::try_from(number).unwrap_or(0))
        });
    let id = runs::insert(
        connection,
        project.id,
        &name,
        &display_name,
        state.as_str(),
        now_micros,
    )
    .await?;
    let author = scope.author(connection, &project.entity).await?;
    runs::set_username(connection, id, &author).await?;
    Ok(id)
}

/// Eight lower-case letters and digits.
fn random_name() -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = u64::from_le_bytes(token::random_bytes());
    (0..8)
        .map(|_| {
            let index = usize::try_from(random % 36).unwrap_or(0);
            random /= 36;
            char::from(ALPHABET[index])
        })
        .collect()
}

fn checked_change(input: &UpsertBucketInput) -> Result<RunChange, ApiError> {
    let limited = |what: &str, text: &Option<String>, limit: usize| match text {
        Some(text) if text.chars().count() > limit => Err(ApiError::invalid(format!(
            "`{what}` is longer than {limit} characters"
        ))),
        _ => Ok(()),
    };
    limited(
        "displayName",
        &input.display_name,
        limits::DISPLAY_NAME_CHARACTERS,
    )?;
    limited("groupName", &input.group_name, limits::GROUP_CHARACTERS)?;
    limited("jobType", &input.job_type, limits::GROUP_CHARACTERS)?;
    limited("notes", &input.notes, limits::NOTES_BYTES)?;
    let document = |what: &str, text: &Option<JsonString>| match text {
        None => Ok(None),
        Some(text) => match parse_object(&text.0) {
            Ok(_object) => Ok(Some(text.0.clone())),
            Err(error) => Err(ApiError::invalid(format!(
                "`{what}` is not a JSON object: {error}"
            ))),
        },
    };
    Ok(RunChange {
        display_name: input.display_name.clone().filter(|name| !name.is_empty()),
        description: input.description.clone(),
        notes: input.notes.clone(),
        tags: input
            .tags
            .as_ref()
            .map(|tags| checked_tags(tags))
            .transpose()?,
        group_name: input.group_name.clone(),
        job_type: input.job_type.clone(),
        commit_hash: input.commit.clone(),
        host: input.host.clone(),
        program: input.job_program.clone(),
        repo: input.job_repo.clone(),
        sweep_name: input.sweep.clone(),
        config: document("config", &input.config)?,
        summary: document("summaryMetrics", &input.summary_metrics)?,
    })
}

fn checked_tags(tags: &[String]) -> Result<String, ApiError> {
    if tags.len() > limits::TAGS {
        return Err(ApiError::invalid(format!(
            "a run may have {} tags at most",
            limits::TAGS
        )));
    }
    if let Some(tag) = tags
        .iter()
        .find(|tag| tag.is_empty() || tag.chars().count() > limits::TAG_CHARACTERS)
    {
        return Err(ApiError::invalid(format!(
            "tag `{}` does not have 1 to {} characters",
            tag.chars().take(limits::TAG_CHARACTERS).collect::<String>(),
            limits::TAG_CHARACTERS
        )));
    }
    let mut seen = std::collections::HashSet::new();
    let unique: Vec<&String> = tags
        .iter()
        .filter(|tag| seen.insert(tag.as_str()))
        .collect();
    Ok(serde_json::Value::from(unique.into_iter().cloned().collect::<Vec<_>>()).to_string())
}

/// Whether this comes from a writer in shared mode that only finishes its work: the run was ended by another one, and
/// stays so.
async fn is_afterthought(
    scope: &Scope,
    connection: &mut Connection,
    run: &RunRow,
) -> Result<bool, StoreError> {
    if !scope.shared || run.exit_code.is_none() {
        return Ok(false);
    }
    match &scope.client {
        Some(_) if scope.joins => Ok(true),
        Some(client) => streams::is_known(connection, run.id, client).await,
        None => Ok(scope.joins),
    }
}

/// Several writers send their own configs: members are merged, the reserved key member by member.
fn merged_config(stored: &str, new: &str) -> Result<String, ApiError> {
    let damaged = |error: runlane_model::json::JsonError| ApiError::invalid(error.to_string());
    let mut merged = parse_object(stored).map_err(damaged)?;
    for (key, value) in parse_object(new).map_err(damaged)? {
        match (merged.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if key == "_wandb" => {
                merge_object(old, new);
            }
            (_, value) => {
                merged.insert(key, value);
            }
        }
    }
    Ok(Value::Object(merged).to_string())
}

fn merge_object(old: &mut runlane_model::json::Object, new: runlane_model::json::Object) {
    for (key, value) in new {
        match (old.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge_object(old, new),
            (_, value) => {
                old.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_of_several_writers_are_merged() {
        let merged = merged_config(
            r#"{"lr": {"value": 1}, "_wandb": {"value": {"e": {"a": {"host": "x"}}, "t": 1}}}"#,
            r#"{"bs": {"value": NaN}, "_wandb": {"value": {"e": {"b": {}}, "t": 2}}}"#,
        )
        .expect("both are objects");
        let expected = r#"{"lr":{"value":1},"_wandb":{"value":{"e":{"a":{"host":"x"},"b":{}},"t":2}},"bs":{"value":NaN}}"#;
        assert_eq!(merged, expected);
    }

    #[test]
    fn tags_are_checked_and_unique() {
        let tags = |tags: &[&str]| {
            checked_tags(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(tags(&["b", "a", "b"]).expect("valid"), r#"["b","a"]"#);
        assert!(tags(&[""]).is_err() && tags(&[&"x".repeat(65)]).is_err());
    }

    #[test]
    fn random_names_are_run_ids() {
        let name = random_name();
        assert_eq!(name.len(), 8);
        assert_eq!(limits::check_run_id(&name), Ok(()));
    }
}
