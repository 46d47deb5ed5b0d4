//! Root of all changes.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use runlane_model::limits;
use runlane_model::run_state::RunState;

use super::account_mutation::AccountMutation;
use super::alerts::{self, NotifyScriptableRunAlertInput};
use super::artifacts::{ChangeMutation, LinkMutation, LoggingMutation};
use super::files::File;
use super::lineage::LineageMutation;
use super::project_mutation::ProjectMutation;
use super::run::Run;
use super::team_mutation::TeamMutation;
use super::upsert::{self, UpsertBucketInput};
use super::{Scope, ids, later};
use crate::artifacts::delete;
use crate::auth::access::Action;
use crate::error::{ApiError, StoreError};
use crate::store::runs::RunRow;
use crate::store::{Connection, files, projects, runs};

const MAX_FILES: usize = 10_000;

#[derive(SimpleObject)]
pub(crate) struct UpsertBucketPayload {
    bucket: Option<Run>,
    inserted: bool,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct SuccessPayload {
    success: bool,
    client_mutation_id: Option<String>,
}

impl SuccessPayload {
    pub(super) fn new(success: bool) -> Self {
        Self {
            success,
            client_mutation_id: None,
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct DeleteRunPayload {
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteRunInput {
    id: ID,
    delete_artifacts: Option<bool>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct StopRunInput {
    id: ID,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct UpdateRunStateInput {
    id: ID,
    state: String,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct CreateRunFilesInput {
    entity_name: String,
    project_name: String,
    run_name: String,
    files: Vec<String>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct CreateRunFilesPayload {
    #[graphql(name = "runID")]
    run_id: ID,
    upload_headers: Vec<String>,
    files: Vec<File>,
}

#[derive(InputObject)]
pub(crate) struct MarkRunFilesUploadedInput {
    entity_name: String,
    project_name: String,
    run_name: String,
    files: Vec<String>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteFilesInput {
    files: Vec<ID>,
    project_id: Option<i32>,
    client_mutation_id: Option<String>,
}

pub(crate) struct Mutation;

#[Object(name = "Mutation")]
impl Mutation {
    #[graphql(flatten)]
    async fn accounts(&self, _context: &Context<'_>) -> AccountMutation {
        AccountMutation
    }

    #[graphql(flatten)]
    async fn artifacts(&self, _context: &Context<'_>) -> LoggingMutation {
        LoggingMutation
    }

    #[graphql(flatten)]
    async fn artifact_changes(&self, _context: &Context<'_>) -> ChangeMutation {
        ChangeMutation
    }

    #[graphql(flatten)]
    async fn artifact_links(&self, _context: &Context<'_>) -> LinkMutation {
        LinkMutation
    }

    #[graphql(flatten)]
    async fn lineage(&self, _context: &Context<'_>) -> LineageMutation {
        LineageMutation
    }

    #[graphql(flatten)]
    async fn teams(&self, _context: &Context<'_>) -> TeamMutation {
        TeamMutation
    }

    #[graphql(flatten)]
    async fn projects(&self, _context: &Context<'_>) -> ProjectMutation {
        ProjectMutation
    }

    #[graphql(flatten)]
    async fn later(&self, _context: &Context<'_>) -> later::Fields<later::Mutation> {
        later::Fields::new()
    }

    /// Creates a run or changes it; null leaves a value as it is.
    async fn upsert_bucket(
        &self,
        context: &Context<'_>,
        input: UpsertBucketInput,
    ) -> Result<UpsertBucketPayload, ApiError> {
        let (run, inserted) = upsert::upsert(Scope::of(context)?, input).await?;
        Ok(UpsertBucketPayload {
            bucket: Some(Run(run)),
            inserted,
            client_mutation_id: None,
        })
    }

    /// Hides a run; its id stays taken. Versions that it logged stay, unless they are to be deleted with it.
    async fn delete_run(
        &self,
        context: &Context<'_>,
        input: DeleteRunInput,
    ) -> Result<DeleteRunPayload, ApiError> {
        let scope = Scope::of(context)?;
        if input.delete_artifacts == Some(true) {
            let run = {
                let mut writer = scope.state.store.writer().await?;
                run_with_id(scope, &mut writer, &input.id).await?
            };
            // Before the run: should this be interrupted, it is there to be deleted again.
            delete::delete_of_run(scope.access(), run.id).await?;
        }
        let mut writer = scope.state.store.writer().await?;
        let run = run_with_id(scope, &mut writer, &input.id).await?;
        runs::delete(&mut writer, run.id, scope.state.clock.now_micros()).await?;
        writer.commit().await.map_err(StoreError::from)?;
        scope.state.live.changed(run.id);
        Ok(DeleteRunPayload {
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Asks a running run to stop; its client learns it with the next upload.
    async fn stop_run(
        &self,
        context: &Context<'_>,
        input: StopRunInput,
    ) -> Result<SuccessPayload, ApiError> {
        let scope = Scope::of(context)?;
        let mut writer = scope.state.store.writer().await?;
        let run = run_with_id(scope, &mut writer, &input.id).await?;
        let active = run.state.parse().is_ok_and(RunState::is_active);
        if active {
            runs::set_state(&mut writer, run.id, &run.state, run.exit_code, true).await?;
        }
        writer.commit().await.map_err(StoreError::from)?;
        scope.state.live.changed(run.id);
        Ok(SuccessPayload::new(active))
    }

    /// Requeues a run (`pending`) or gives it up (`failed`).
    async fn update_run_state(
        &self,
        context: &Context<'_>,
        input: UpdateRunStateInput,
    ) -> Result<SuccessPayload, ApiError> {
        let scope = Scope::of(context)?;
        let mut writer = scope.state.store.writer().await?;
        let run = run_with_id(scope, &mut writer, &input.id).await?;
        let allowed = match input.state.as_str() {
            "pending" => {
                ["running", "failed", "crashed", "preempted"].contains(&run.state.as_str())
            }
            "failed" => ["pending", "running"].contains(&run.state.as_str()),
            other => {
                return Err(ApiError::invalid(format!(
                    "state `{other}` cannot be set; only `pending` and `failed` can"
                )));
            }
        };
        if !allowed || run.sweep_name.is_some() {
            return Err(ApiError::invalid(format!(
                "run `{}` is {}: it cannot become {}",
                run.name, run.state, input.state
            )));
        }
        runs::set_state(&mut writer, run.id, &input.state, run.exit_code, false).await?;
        writer.commit().await.map_err(StoreError::from)?;
        scope.state.live.changed(run.id);
        Ok(SuccessPayload::new(true))
    }

    /// Hands out upload URLs.
    async fn create_run_files(
        &self,
        context: &Context<'_>,
        input: CreateRunFilesInput,
    ) -> Result<CreateRunFilesPayload, ApiError> {
        let scope = Scope::of(context)?;
        if input.files.len() > MAX_FILES {
            return Err(ApiError::invalid(format!(
                "more than {MAX_FILES} files in one request"
            )));
        }
        for name in &input.files {
            limits::check_file_name(name).map_err(|error| ApiError::invalid(error.to_string()))?;
        }
        let run = run_named(
            scope,
            &input.entity_name,
            &input.project_name,
            &input.run_name,
        )
        .await?;
        let files = input
            .files
            .into_iter()
            .map(|name| File::OfRun {
                run_id: run.id,
                name,
                stored: None,
            })
            .collect();
        Ok(CreateRunFilesPayload {
            run_id: ids::run(&run.entity, &run.project, &run.name),
            upload_headers: Vec::new(),
            files,
        })
    }

    /// Tells that uploads have ended; they are visible anyway as soon as they are complete.
    async fn mark_run_files_uploaded(
        &self,
        context: &Context<'_>,
        input: MarkRunFilesUploadedInput,
    ) -> Result<SuccessPayload, ApiError> {
        let scope = Scope::of(context)?;
        let run = run_named(
            scope,
            &input.entity_name,
            &input.project_name,
            &input.run_name,
        )
        .await?;
        let mut reader = scope.state.store.reader().await?;
        for name in &input.files {
            if files::find(&mut reader, run.id, name).await?.is_none() {
                return Ok(SuccessPayload::new(false));
            }
        }
        Ok(SuccessPayload::new(true))
    }

    /// Removes files of runs.
    async fn delete_files(
        &self,
        context: &Context<'_>,
        input: DeleteFilesInput,
    ) -> Result<SuccessPayload, ApiError> {
        let scope = Scope::of(context)?;
        if input.files.len() > MAX_FILES {
            return Err(ApiError::invalid(format!(
                "more than {MAX_FILES} files in one request"
            )));
        }
        let mut writer = scope.state.store.writer().await?;
        let mut removed = Vec::new();
        let mut allowed = std::collections::BTreeMap::new();
        for id in &input.files {
            let file_id = ids::parse_numbered("File", id)?;
            let Some(project) = files::project_of(&mut writer, file_id).await? else {
                continue;
            };
            if let std::collections::btree_map::Entry::Vacant(entry) = allowed.entry(project) {
                let row = projects::by_id(&mut writer, project).await?;
                entry.insert(match row {
                    Some(row) => {
                        let access = scope.access();
                        access
                            .check_project(&mut writer, &row, Action::Write)
                            .await?
                    }
                    None => false,
                });
            }
            if allowed.get(&project) == Some(&true) {
                removed.extend(files::delete(&mut writer, file_id).await?);
            }
        }
        writer.commit().await.map_err(StoreError::from)?;
        let success = removed.len() == input.files.len();
        for key in removed {
            scope.state.objects_remove(&key).await;
        }
        Ok(SuccessPayload::new(success))
    }

    /// Stores an alert, unless one of the same title was sent within its waiting time.
    async fn notify_scriptable_run_alert(
        &self,
        context: &Context<'_>,
        input: NotifyScriptableRunAlertInput,
    ) -> Result<SuccessPayload, ApiError> {
        let scope = Scope::of(context)?;
        let run = run_named(
            scope,
            &input.entity_name,
            &input.project_name,
            &input.run_name,
        )
        .await?;
        alerts::store(scope, run.id, &input).await?;
        Ok(SuccessPayload::new(true))
    }
}

/// The run with this id, which the caller may change.
async fn run_with_id(
    scope: &Scope,
    connection: &mut Connection,
    id: &ID,
) -> Result<RunRow, ApiError> {
    let (entity, project, name) = ids::parse_run(id)?;
    let run = scope
        .access()
        .existing_run(connection, (&entity, &project, &name), Action::Write)
        .await?;
    runs::lock(connection, run.id).await?;
    let current = runs::by_id(connection, run.id).await?;
    current.ok_or_else(|| ApiError::not_found("the run is gone"))
}

/// The run of this name, which the caller may change.
async fn run_named(
    scope: &Scope,
    entity: &str,
    project: &str,
    name: &str,
) -> Result<RunRow, ApiError> {
    let mut reader = scope.state.store.reader().await?;
    scope
        .access()
        .existing_run(&mut reader, (entity, project, name), Action::Write)
        .await
}
