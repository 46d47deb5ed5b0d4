//! Projects.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]
#![expect(
    clippy::used_underscore_binding,
    reason = "the derived code hands over arguments that are only taken for their callers' sake"
)]

use async_graphql::{Context, ID, Object, SimpleObject};

use super::artifacts::ProjectArtifacts;
use super::entity::Entity;
use super::page::{Page, PageInfo, complexity, cursor};
use super::run::Run;
use super::runs::{ProjectRuns, RunConnection, RunEdge};
use super::scalars::{DateTime, JsonString};
use super::user::User;
use super::{Scope, ids, later};
use crate::auth::access::Action;
use crate::error::ApiError;
use crate::store::projects::{self, ProjectRow};
use crate::store::{entities, run_list, runs};

/// The project of runs that name none.
pub(crate) const DEFAULT_PROJECT: &str = "uncategorized";

/// A project.
pub(crate) struct Project(pub(crate) ProjectRow);

impl Project {
    /// The project `name` of an entity, the caller's by default.
    pub(crate) async fn find(
        scope: &Scope,
        entity: Option<&str>,
        name: Option<&str>,
    ) -> Result<Option<Self>, ApiError> {
        let name = name
            .filter(|name| !name.is_empty())
            .unwrap_or(DEFAULT_PROJECT);
        let mut reader = scope.state.store.reader().await?;
        let found = scope
            .access()
            .project(&mut reader, entity.unwrap_or_default(), name, Action::Read)
            .await?;
        Ok(found.map(Self))
    }

    async fn find_run(&self, context: &Context<'_>, name: &str) -> Result<Option<Run>, ApiError> {
        let scope = Scope::of(context)?;
        let mut reader = scope.state.store.reader().await?;
        Ok(runs::find(&mut reader, &self.0.entity, &self.0.name, name)
            .await?
            .map(Run))
    }
}

#[Object(name = "Project")]
impl Project {
    #[graphql(flatten)]
    async fn later(&self, _context: &Context<'_>) -> later::Fields<later::Project> {
        later::Fields::new()
    }

    async fn id(&self) -> ID {
        ids::project(&self.0.entity, &self.0.name)
    }

    async fn internal_id(&self) -> ID {
        ids::numbered("ProjectInternalId", self.0.id)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn entity_name(&self) -> &str {
        &self.0.entity
    }

    async fn entity(&self, context: &Context<'_>) -> Result<Entity, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        entities::find(&mut reader, &self.0.entity)
            .await?
            .map(Entity)
            .ok_or_else(|| ApiError::not_found("the entity is gone"))
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn access(&self) -> &str {
        &self.0.access
    }

    async fn views(&self) -> Option<JsonString> {
        self.0.views.clone().map(JsonString)
    }

    async fn created_at(&self) -> DateTime {
        DateTime::from_micros(self.0.created_at_micros)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime::from_micros(self.0.last_activity_at_micros)
    }

    /// When a run of the project was last heard of.
    async fn last_activity_at(&self) -> DateTime {
        DateTime::from_micros(self.0.last_activity_at_micros)
    }

    async fn is_benchmark(&self) -> bool {
        false
    }

    /// Whether the caller may only look at it.
    async fn read_only(&self, context: &Context<'_>) -> Result<bool, ApiError> {
        Scope::of(context)?.is_read_only(self.0.id).await
    }

    /// Whose entity it is in; a team is nobody's.
    async fn user(&self, context: &Context<'_>) -> Result<Option<User>, ApiError> {
        User::named(Scope::of(context)?, &self.0.entity).await
    }

    /// Its deleted runs, latest deletion first; `undeleteRun` shows them again.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn deleted_runs(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<RunConnection, ApiError> {
        let page = Page::new(first, after.as_deref())?;
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let total = run_list::count_deleted(&mut reader, self.0.id).await?;
        let rows = run_list::deleted(&mut reader, self.0.id, page.offset, page.first).await?;
        let shown = i64::try_from(rows.len()).unwrap_or(0);
        Ok(RunConnection {
            total_count: total,
            page_info: PageInfo::new(page.offset, shown, total),
            edges: (page.offset..)
                .zip(rows)
                .map(|(position, row)| RunEdge {
                    node: Run(row),
                    cursor: cursor(position),
                })
                .collect(),
        })
    }

    async fn bucket(
        &self,
        context: &Context<'_>,
        name: String,
        #[graphql(name = "missingOk")] _missing_ok: Option<bool>,
    ) -> Result<Option<Run>, ApiError> {
        self.find_run(context, &name).await
    }

    async fn run(
        &self,
        context: &Context<'_>,
        name: String,
        #[graphql(name = "desc")] _desc: Option<String>,
    ) -> Result<Option<Run>, ApiError> {
        self.find_run(context, &name).await
    }

    #[graphql(flatten)]
    async fn artifacts(&self, _context: &Context<'_>) -> ProjectArtifacts {
        ProjectArtifacts {
            project_id: self.0.id,
        }
    }

    #[graphql(flatten)]
    async fn all_runs(&self, _context: &Context<'_>) -> ProjectRuns {
        ProjectRuns {
            project_id: self.0.id,
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct ProjectConnection {
    pub(crate) page_info: PageInfo,
    pub(crate) edges: Vec<ProjectEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct ProjectEdge {
    pub(crate) node: Option<Project>,
}

/// One page of the projects of an entity that the caller may see.
pub(crate) async fn project_page(
    scope: &Scope,
    entity: &str,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<ProjectConnection, ApiError> {
    let page = Page::new(first, after)?;
    let mut reader = scope.state.store.reader().await?;
    let entity = scope.access().entity_name(entity);
    let belongs = scope.access().entity(&mut reader, &entity).await;
    let mut rows = projects::list(
        &mut reader,
        &entity,
        belongs.is_err(),
        page.offset,
        page.first + 1,
    )
    .await?;
    if let Err(error) = belongs
        && rows.is_empty()
        && page.offset == 0
    {
        return Err(error);
    }
    let more = i64::try_from(rows.len()).unwrap_or(0);
    rows.truncate(usize::try_from(page.first).unwrap_or(0));
    let shown = i64::try_from(rows.len()).unwrap_or(0);
    Ok(ProjectConnection {
        page_info: PageInfo::new(page.offset, shown, page.offset + more),
        edges: rows
            .into_iter()
            .map(|row| ProjectEdge {
                node: Some(Project(row)),
            })
            .collect(),
    })
}
