//! Root of all reads.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]

use async_graphql::{Context, Object};

use super::artifacts::QueryArtifacts;
use super::entity::{Entity, Organization};
use super::page::complexity;
use super::project::{Project, ProjectConnection, project_page};
use super::run::Run;
use super::server_info::ServerInfo;
use super::user::{User, UserConnection, UserEdge};
use super::{Scope, later};
use crate::error::ApiError;
use crate::store::{entities, run_list, users};

/// Runs in one answer of `recentRuns`.
const MAX_RECENT: i32 = 200;
/// People in one answer of `users`, which has no pages.
const MAX_USERS: i64 = 10_000;

pub(crate) struct Query;

#[Object(name = "Query")]
impl Query {
    #[graphql(flatten)]
    async fn later(&self, _context: &Context<'_>) -> later::Fields<later::Query> {
        later::Fields::new()
    }

    #[graphql(flatten)]
    async fn artifacts(&self, _context: &Context<'_>) -> QueryArtifacts {
        QueryArtifacts
    }

    /// Who asks.
    async fn viewer(&self, context: &Context<'_>) -> Result<Option<User>, ApiError> {
        let scope = Scope::of(context)?;
        User::named(scope, &scope.account.username).await
    }

    async fn server_info(&self) -> ServerInfo {
        ServerInfo
    }

    /// People by login name or mail address, or all, as far as the caller may know of them: those of the same teams, and
    /// for administrators of the server everybody.
    async fn users(
        &self,
        context: &Context<'_>,
        query: Option<String>,
    ) -> Result<UserConnection, ApiError> {
        let scope = Scope::of(context)?;
        let wanted = query.as_deref().filter(|query| !query.is_empty());
        let account = &scope.account;
        let mut reader = scope.state.store.reader().await?;
        let rows = users::search(
            &mut reader,
            wanted,
            account.user_id,
            account.admin,
            MAX_USERS,
        )
        .await?;
        Ok(UserConnection {
            edges: rows
                .into_iter()
                .map(|row| UserEdge { node: User(row) })
                .collect(),
        })
    }

    /// All teams, by name; for administrators of the server.
    async fn all_teams(&self, context: &Context<'_>) -> Result<Vec<Entity>, ApiError> {
        let scope = Scope::of(context)?;
        scope.access().server()?;
        let mut reader = scope.state.store.reader().await?;
        let rows = entities::teams(&mut reader).await?;
        Ok(rows.into_iter().map(Entity).collect())
    }

    /// An entity that the caller belongs to.
    async fn entity(
        &self,
        context: &Context<'_>,
        name: Option<String>,
    ) -> Result<Option<Entity>, ApiError> {
        let scope = Scope::of(context)?;
        let name = name.unwrap_or_default();
        let mut reader = scope.state.store.reader().await?;
        match scope.access().entity(&mut reader, &name).await {
            // On a single-user server, where any name stands for the only one, a team that is not there is not there.
            Ok(row) => Ok((name.is_empty() || row.name == name).then_some(Entity(row))),
            Err(error) if error.status == http::StatusCode::NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn organization(&self, name: String) -> Organization {
        Organization { name }
    }

    async fn project(
        &self,
        context: &Context<'_>,
        name: Option<String>,
        entity_name: Option<String>,
    ) -> Result<Option<Project>, ApiError> {
        Project::find(Scope::of(context)?, entity_name.as_deref(), name.as_deref()).await
    }

    /// The older name of `project`.
    async fn model(
        &self,
        context: &Context<'_>,
        name: Option<String>,
        entity_name: Option<String>,
    ) -> Result<Option<Project>, ApiError> {
        Project::find(Scope::of(context)?, entity_name.as_deref(), name.as_deref()).await
    }

    /// The projects of an entity.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn models(
        &self,
        context: &Context<'_>,
        entity_name: Option<String>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<ProjectConnection, ApiError> {
        let entity = entity_name.unwrap_or_default();
        project_page(Scope::of(context)?, &entity, first, after.as_deref()).await
    }

    /// The runs heard of last, over all projects of the entities that the caller belongs to.
    #[graphql(complexity = "complexity(Some(first), child_complexity)")]
    async fn recent_runs(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] first: i32,
    ) -> Result<Vec<Run>, ApiError> {
        let scope = Scope::of(context)?;
        let first = i64::from(first.clamp(0, MAX_RECENT));
        let mut reader = scope.state.store.reader().await?;
        let rows = run_list::recent(&mut reader, scope.account.user_id, first).await?;
        Ok(rows.into_iter().map(Run).collect())
    }
}
