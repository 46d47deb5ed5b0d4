//! Changes of projects, and of where runs are.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use http::StatusCode;
use runlane_model::limits;

use super::project::Project;
use super::run::Run;
use super::scalars::JsonString;
use super::{Scope, ids};
use crate::auth::access::{Action, Level};
use crate::error::{ApiError, StoreError};
use crate::store::projects::{self, ProjectRow};
use crate::store::{Connection, runs};

/// Characters of a project's description; some tools store documents there.
const DESCRIPTION_BYTES: usize = 16 << 20;

#[derive(InputObject)]
pub(crate) struct ArtifactTypeInput {
    name: String,
    description: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct ProjectIconInput {
    name: String,
    color: String,
}

#[derive(InputObject)]
pub(crate) struct RateLimitsInput {
    graphql: Option<i32>,
    sdk_graphql: Option<i32>,
    sdk_graphql_query_seconds: Option<f64>,
    filestream_count: Option<f64>,
    filestream_per_run_count: Option<f64>,
    filestream_size: Option<i32>,
    run_update_count: Option<f64>,
    create_artifacts: Option<i32>,
    create_artifacts_request_count: Option<i32>,
    create_artifacts_time_window: Option<i32>,
}

/// New values of a project; null leaves the old one. Members that this server has no use for are taken and left out, but for
/// those of registries, which need something that is not there yet.
#[derive(InputObject)]
pub(crate) struct UpsertModelInput {
    id: Option<String>,
    name: Option<String>,
    entity_name: Option<String>,
    description: Option<String>,
    access: Option<String>,
    views: Option<JsonString>,
    repo: Option<String>,
    docker_image: Option<String>,
    framework: Option<String>,
    is_benchmark: Option<bool>,
    is_published: Option<bool>,
    owner: Option<ID>,
    icon: Option<ProjectIconInput>,
    rate_limits: Option<RateLimitsInput>,
    allow_all_artifact_types_in_registry: Option<bool>,
    artifact_types: Option<Vec<ArtifactTypeInput>>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct UpsertModelPayload {
    project: Option<Project>,
    model: Option<Project>,
    inserted: bool,
    client_mutation_id: Option<String>,
}

impl UpsertModelPayload {
    fn new(row: Option<ProjectRow>, inserted: bool, client_mutation_id: Option<String>) -> Self {
        Self {
            project: row.clone().map(Project),
            model: row.map(Project),
            inserted,
            client_mutation_id,
        }
    }
}

#[derive(InputObject)]
pub(crate) struct RenameProjectInput {
    entity_name: String,
    old_project_name: String,
    new_project_name: String,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteModelInput {
    id: String,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct DeleteModelPayload {
    success: bool,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct MoveRunInput {
    id: ID,
    /// The entity to move it to; by default the one that it is in.
    entity_name: Option<String>,
    /// The project to move it to, which is created if it is missing.
    project_name: String,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct UndeleteRunInput {
    id: ID,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct RunPayload {
    run: Option<Run>,
    client_mutation_id: Option<String>,
}

/// See the module.
pub(crate) struct ProjectMutation;

#[Object]
impl ProjectMutation {
    /// Creates a project or changes it.
    async fn upsert_model(
        &self,
        context: &Context<'_>,
        input: UpsertModelInput,
    ) -> Result<UpsertModelPayload, ApiError> {
        let scope = Scope::of(context)?;
        if input.artifact_types.is_some() || input.allow_all_artifact_types_in_registry.is_some() {
            return Err(ApiError::new(
                StatusCode::NOT_IMPLEMENTED,
                "not_yet",
                "`upsertModel` with artifact types needs registries, which come with a later version of runlane",
            ));
        }
        if input
            .description
            .as_ref()
            .is_some_and(|text| text.len() > DESCRIPTION_BYTES)
        {
            return Err(ApiError::invalid(format!(
                "`description` is longer than {DESCRIPTION_BYTES} bytes"
            )));
        }
        let access = input.access.as_deref().map(str::to_ascii_uppercase);
        if let Some(word) = &access {
            word.parse::<Level>()?;
        }
        // The one who creates a project says who may use it; later that is for administrators.
        let change = if access.is_some() {
            Action::Manage
        } else {
            Action::Write
        };
        let now = scope.state.clock.now_micros();
        let mut writer = scope.state.store.writer().await?;
        let given = input.id.as_deref().filter(|id| !id.is_empty());
        let (row, inserted) = if let Some(id) = given {
            let row = project_with_id(scope, &mut writer, id, change).await?;
            (row, false)
        } else {
            let name = input.name.as_deref().unwrap_or_default();
            limits::check_project(name).map_err(|error| ApiError::invalid(error.to_string()))?;
            let entity = input.entity_name.as_deref().unwrap_or_default();
            let changes = access.is_some() || input.description.is_some() || input.views.is_some();
            let action = if changes { change } else { Action::Read };
            let access = scope.access();
            if let Some(row) = access.project(&mut writer, entity, name, action).await? {
                (row, false)
            } else {
                access
                    .project_for_runs(&mut writer, entity, name, now)
                    .await?
            }
        };
        projects::update(
            &mut writer,
            row.id,
            input.description.as_deref(),
            access.as_deref(),
            input.views.as_ref().map(|views| views.0.as_str()),
        )
        .await?;
        let row = projects::by_id(&mut writer, row.id).await?;
        writer.commit().await.map_err(StoreError::from)?;
        Ok(UpsertModelPayload::new(
            row,
            inserted,
            input.client_mutation_id,
        ))
    }

    /// Gives a project another name. Programs that go on logging to the old one get an error.
    async fn rename_project(
        &self,
        context: &Context<'_>,
        input: RenameProjectInput,
    ) -> Result<UpsertModelPayload, ApiError> {
        let scope = Scope::of(context)?;
        let name = &input.new_project_name;
        limits::check_project(name).map_err(|error| ApiError::invalid(error.to_string()))?;
        let mut writer = scope.state.store.writer().await?;
        let row = scope
            .access()
            .project(
                &mut writer,
                &input.entity_name,
                &input.old_project_name,
                Action::Manage,
            )
            .await?
            .ok_or_else(|| {
                ApiError::not_found(format!("there is no project `{}`", input.old_project_name))
            })?;
        let taken = projects::find(&mut writer, &row.entity, name).await?;
        if taken.is_some_and(|other| other.id != row.id) {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "conflict",
                format!("there is a project `{}/{name}` already", row.entity),
            ));
        }
        projects::rename(&mut writer, row.id, name).await?;
        let row = projects::by_id(&mut writer, row.id).await?;
        writer.commit().await.map_err(StoreError::from)?;
        Ok(UpsertModelPayload::new(
            row,
            false,
            input.client_mutation_id,
        ))
    }

    /// Deletes a project with all of its runs; its name is free then.
    async fn delete_model(
        &self,
        context: &Context<'_>,
        input: DeleteModelInput,
    ) -> Result<DeleteModelPayload, ApiError> {
        let scope = Scope::of(context)?;
        let mut writer = scope.state.store.writer().await?;
        let row = project_with_id(scope, &mut writer, &input.id, Action::Manage).await?;
        let now = scope.state.clock.now_micros();
        let deleted = projects::delete(&mut writer, &row, now).await?;
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            entity = row.entity,
            project = row.name,
            runs = deleted.len(),
            "project deleted"
        );
        for run in deleted {
            scope.state.live.changed(run);
        }
        Ok(DeleteModelPayload {
            success: true,
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Puts a run into another project, where its id must be free, deleted runs included.
    async fn move_run(
        &self,
        context: &Context<'_>,
        input: MoveRunInput,
    ) -> Result<RunPayload, ApiError> {
        let scope = Scope::of(context)?;
        limits::check_project(&input.project_name)
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let (entity, project, name) = ids::parse_run(&input.id)?;
        let now = scope.state.clock.now_micros();
        let mut writer = scope.state.store.writer().await?;
        let run = scope
            .access()
            .existing_run(&mut writer, (&entity, &project, &name), Action::Write)
            .await?;
        runs::lock(&mut writer, run.id).await?;
        let target = input.entity_name.as_deref().filter(|name| !name.is_empty());
        let (target, _new) = scope
            .access()
            .project_for_runs(
                &mut writer,
                target.unwrap_or(&run.entity),
                &input.project_name,
                now,
            )
            .await?;
        if target.id != run.project_id {
            let taken = runs::find_any(&mut writer, &target.entity, &target.name, &run.name);
            if taken.await?.is_some() {
                return Err(ApiError::new(
                    StatusCode::CONFLICT,
                    "conflict",
                    format!(
                        "`{}/{}` has, or had, a run `{}` already",
                        target.entity, target.name, run.name
                    ),
                ));
            }
            runs::move_to(&mut writer, run.id, target.id).await?;
        }
        let row = runs::by_id(&mut writer, run.id).await?;
        writer.commit().await.map_err(StoreError::from)?;
        scope.state.live.changed(run.id);
        Ok(RunPayload {
            run: row.map(Run),
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Shows a deleted run again, with everything that it had.
    async fn undelete_run(
        &self,
        context: &Context<'_>,
        input: UndeleteRunInput,
    ) -> Result<RunPayload, ApiError> {
        let scope = Scope::of(context)?;
        let (entity, project, name) = ids::parse_run(&input.id)?;
        let mut writer = scope.state.store.writer().await?;
        let run = scope
            .access()
            .any_run(&mut writer, (&entity, &project, &name), Action::Write)
            .await?
            .ok_or_else(|| ApiError::not_found("there is no run with this id"))?;
        if run.deleted_at_micros.is_some() {
            runs::undelete(&mut writer, run.id).await?;
        }
        let row = runs::by_id(&mut writer, run.id).await?;
        writer.commit().await.map_err(StoreError::from)?;
        scope.state.live.changed(run.id);
        Ok(RunPayload {
            run: row.map(Run),
            client_mutation_id: input.client_mutation_id,
        })
    }
}

/// The project with this opaque id.
async fn project_with_id(
    scope: &Scope,
    connection: &mut Connection,
    id: &str,
    action: Action,
) -> Result<ProjectRow, ApiError> {
    let gone = || ApiError::not_found("there is no project with this id");
    let row = match ids::parse_project(id)? {
        ids::ProjectId::Named { entity, project } => {
            let access = scope.access();
            return access
                .project(connection, &entity, &project, action)
                .await?
                .ok_or_else(gone);
        }
        ids::ProjectId::Numbered(number) => projects::by_id(connection, number).await?,
    };
    let row = row.ok_or_else(gone)?;
    let allowed = scope
        .access()
        .check_project(connection, &row, action)
        .await?;
    if allowed { Ok(row) } else { Err(gone()) }
}
