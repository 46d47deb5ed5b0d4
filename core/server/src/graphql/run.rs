//! Runs: identity, settings, state. Reading of lines is in [`super::history`].

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]
#![expect(
    clippy::used_underscore_binding,
    reason = "the derived code hands over arguments that are only taken for their callers' sake"
)]

use async_graphql::{Context, ID, Object};
use runlane_model::json::{Object as JsonObject, Value, parse_object};

use super::alerts::{self, Alert};
use super::artifacts::RunArtifacts;
use super::files::{FileConnection, file_page};
use super::history::{self, LogLineConnection, ParquetHistory};
use super::lineage::{self, RunOrigin};
use super::page::complexity;
use super::project::Project;
use super::scalars::{DateTime, Int64, Json, JsonString};
use super::user::User;
use super::{Scope, ids};
use crate::error::ApiError;
use crate::run_table::documents;
use crate::store::lineage::immutable_name;
use crate::store::runs::RunRow;
use crate::store::{files, projects};

/// A run.
pub(crate) struct Run(pub(crate) RunRow);

impl Run {
    /// The first entry of the machine metadata in the config's `_wandb.e`.
    fn metadata_entry(&self) -> Option<Value> {
        let config = parse_object(&self.0.config).ok()?;
        documents::metadata(&config).map(|metadata| Value::Object(metadata.clone()))
    }

    fn is_active(&self) -> bool {
        matches!(self.0.state.as_str(), "running" | "preempting")
    }
}

#[Object(name = "Run")]
impl Run {
    #[graphql(flatten)]
    async fn artifacts(&self, _context: &Context<'_>) -> RunArtifacts {
        RunArtifacts { run_id: self.0.id }
    }

    async fn id(&self) -> ID {
        ids::run(&self.0.entity, &self.0.project, &self.0.name)
    }

    async fn project_id(&self) -> i64 {
        self.0.project_id
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn display_name(&self) -> &str {
        &self.0.display_name
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn notes(&self) -> Option<&str> {
        self.0.notes.as_deref()
    }

    async fn tags(&self) -> Vec<String> {
        documents::tags_of(&self.0)
    }

    async fn state(&self) -> &str {
        &self.0.state
    }

    async fn group(&self) -> Option<&str> {
        self.0.group_name.as_deref()
    }

    async fn job_type(&self) -> Option<&str> {
        self.0.job_type.as_deref()
    }

    async fn commit(&self) -> Option<&str> {
        self.0.commit_hash.as_deref()
    }

    async fn repo(&self) -> Option<&str> {
        self.0.repo.as_deref()
    }

    /// Name of the machine.
    async fn host(&self) -> Option<String> {
        self.0
            .host
            .clone()
            .or_else(|| text_member(&self.metadata_entry()?, "host"))
    }

    /// Path of the script.
    async fn program(&self) -> Option<String> {
        self.0
            .program
            .clone()
            .or_else(|| text_member(&self.metadata_entry()?, "program"))
    }

    /// The command line: program and arguments.
    async fn command(&self) -> Option<String> {
        let entry = self.metadata_entry()?;
        let program = text_member(&entry, "program").or_else(|| self.0.program.clone())?;
        let arguments = entry
            .get("args")
            .and_then(Value::as_list)
            .unwrap_or_default();
        let words = arguments.iter().filter_map(Value::as_str);
        Some(
            std::iter::once(program.as_str())
                .chain(words)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    /// What the client found out about its machine.
    async fn metadata(&self) -> Option<Json> {
        Some(Json(self.metadata_entry()?.to_strict()))
    }

    /// Whether the caller may only look at it.
    async fn read_only(&self, context: &Context<'_>) -> Result<bool, ApiError> {
        Scope::of(context)?.is_read_only(self.0.project_id).await
    }

    async fn created_at(&self) -> DateTime {
        DateTime::from_micros(self.0.created_at_micros)
    }

    async fn heartbeat_at(&self) -> DateTime {
        DateTime::from_micros(self.0.heartbeat_at_micros)
    }

    /// Who started the run.
    async fn user(&self, context: &Context<'_>) -> Result<User, ApiError> {
        let username = self.0.username.as_deref().unwrap_or(&self.0.entity);
        User::named(Scope::of(context)?, username)
            .await?
            .ok_or_else(|| ApiError::not_found("the user is gone"))
    }

    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        Ok(projects::by_id(&mut reader, self.0.project_id)
            .await?
            .map(Project))
    }

    async fn sweep_name(&self) -> Option<&str> {
        self.0.sweep_name.as_deref()
    }

    async fn config(&self) -> JsonString {
        JsonString(self.0.config.clone())
    }

    /// The members `keys` of the config's reserved key.
    async fn wandb_config(&self, keys: Option<Vec<String>>) -> JsonString {
        let config = parse_object(&self.0.config).unwrap_or_default();
        let inner = config.get("_wandb").and_then(|entry| entry.get("value"));
        let picked: JsonObject = inner
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(key, _)| keys.as_ref().is_none_or(|keys| keys.contains(key)))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        JsonString(Value::Object(picked).to_string())
    }

    async fn summary_metrics(&self) -> JsonString {
        JsonString(self.0.summary.clone())
    }

    async fn system_metrics(&self, context: &Context<'_>) -> Result<JsonString, ApiError> {
        history::system_metrics(Scope::of(context)?, self.0.id).await
    }

    /// Names of the system metrics that have been sampled.
    async fn system_metric_keys(&self, context: &Context<'_>) -> Result<Vec<String>, ApiError> {
        history::system_metric_keys(Scope::of(context)?, self.0.id).await
    }

    async fn history_keys(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        history::keys(Scope::of(context)?, self.0.id).await
    }

    /// Lines of all writers; a writer in shared mode, whose offset begins with it, is told of its own.
    async fn history_line_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        match &Scope::of(context)?.client {
            None => Ok(self.0.history_line_count),
            Some(client) => history::lines_of(Scope::of(context)?, self.0.id, client).await,
        }
    }

    async fn events_line_count(&self) -> i64 {
        self.0.events_line_count
    }

    async fn log_line_count(&self) -> i64 {
        self.0.log_line_count
    }

    /// The last step, if a row was logged.
    async fn last_step(&self) -> Option<i64> {
        self.0.last_step
    }

    /// Rows that its clients could not keep, by their own account.
    async fn lost_rows(&self) -> i64 {
        self.0.lost_rows
    }

    /// What its programs, and the server, found worth telling; newest first, 100 by default.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn alerts(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
    ) -> Result<Vec<Alert>, ApiError> {
        alerts::of_run(context, self.0.id, first).await
    }

    async fn alert_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        alerts::count(context, self.0.id).await
    }

    /// The run that it was forked from, or its own state before it was rewound.
    async fn origin(&self, context: &Context<'_>) -> Result<Option<RunOrigin>, ApiError> {
        lineage::origin(Scope::of(context)?, &self.0).await
    }

    /// Rows that it has from there.
    async fn inherited_line_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        lineage::inherited_lines(Scope::of(context)?, self.0.id).await
    }

    /// How often it was rewound.
    async fn generation(&self) -> i64 {
        self.0.generation
    }

    /// A name of its present state, which still means that when the run is rewound; `fork_from` takes it.
    async fn immutable_id(&self) -> String {
        immutable_name(&self.0)
    }

    /// What it had before each rewind, the oldest first.
    async fn generations(&self, context: &Context<'_>) -> Result<Vec<Run>, ApiError> {
        lineage::generations(Scope::of(context)?, &self.0).await
    }

    /// Whether it is what another run had before it was rewound.
    async fn archived(&self) -> bool {
        self.0.archive_of.is_some()
    }

    /// Grows with every change.
    async fn version(&self) -> i64 {
        self.0.version
    }

    async fn history_tail(&self, context: &Context<'_>) -> Result<JsonString, ApiError> {
        history::tail(
            Scope::of(context)?,
            self.0.id,
            crate::store::streams::StreamKind::History,
        )
        .await
    }

    async fn events_tail(&self, context: &Context<'_>) -> Result<JsonString, ApiError> {
        history::tail(
            Scope::of(context)?,
            self.0.id,
            crate::store::streams::StreamKind::Events,
        )
        .await
    }

    async fn history(
        &self,
        context: &Context<'_>,
        min_step: Option<Int64>,
        max_step: Option<Int64>,
        samples: Option<i32>,
    ) -> Result<Vec<String>, ApiError> {
        let bounds = (min_step.map(|step| step.0), max_step.map(|step| step.0));
        history::rows(Scope::of(context)?, self.0.id, bounds, samples).await
    }

    async fn events(
        &self,
        context: &Context<'_>,
        samples: Option<i32>,
    ) -> Result<Vec<String>, ApiError> {
        history::events(Scope::of(context)?, self.0.id, samples).await
    }

    async fn sampled_history(
        &self,
        context: &Context<'_>,
        specs: Vec<JsonString>,
    ) -> Result<Vec<Json>, ApiError> {
        history::sampled(Scope::of(context)?, self.0.id, &specs).await
    }

    /// The steps at which a key was logged, in order and each once, from `minStep` on; evenly thinned to 10,000.
    async fn key_steps(
        &self,
        context: &Context<'_>,
        key: String,
        min_step: Option<Int64>,
    ) -> Result<Vec<Int64>, ApiError> {
        let min_step = min_step.map(|step| step.0);
        let steps = history::key_steps(Scope::of(context)?, self.0.id, key, min_step).await?;
        Ok(steps.into_iter().map(Int64).collect())
    }

    async fn parquet_history(
        &self,
        context: &Context<'_>,
        live_keys: Vec<String>,
    ) -> Result<ParquetHistory, ApiError> {
        history::live(Scope::of(context)?, self.0.id, &live_keys).await
    }

    async fn log_lines(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        #[graphql(name = "useImprovedPagination")] _improved: Option<bool>,
    ) -> Result<LogLineConnection, ApiError> {
        history::log_lines(Scope::of(context)?, &self.0, first, after.as_deref(), last).await
    }

    async fn file_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        Ok(files::count(&mut reader, self.0.id).await?)
    }

    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn files(
        &self,
        context: &Context<'_>,
        names: Option<Vec<Option<String>>>,
        after: Option<String>,
        first: Option<i32>,
        pattern: Option<String>,
    ) -> Result<FileConnection, ApiError> {
        let names = names.unwrap_or_default().into_iter().flatten().collect();
        file_page(
            Scope::of(context)?,
            self.0.id,
            names,
            pattern,
            first,
            after.as_deref(),
        )
        .await
    }

    async fn stopped(&self) -> bool {
        self.0.stop_requested
    }

    async fn should_stop(&self) -> bool {
        self.0.stop_requested && self.is_active()
    }

    async fn failed(&self) -> bool {
        self.0.state == "failed"
    }

    async fn running(&self) -> bool {
        self.is_active()
    }

    async fn exitcode(&self) -> Option<i64> {
        self.0.exit_code
    }

    /// Exit code of the process, once it has ended.
    async fn exit_code(&self) -> Option<i64> {
        self.0.exit_code
    }

    /// Seconds the run has been running, by its own account if it gives one.
    async fn runtime_seconds(&self) -> f64 {
        let summary = parse_object(&self.0.summary).unwrap_or_default();
        documents::duration(&self.0, documents::own_runtime(&summary))
    }
}

fn text_member(object: &Value, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).map(str::to_owned)
}
