//! Root of all reads.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]

use async_graphql::{Context, Object};

use super::Scope;
use super::page::complexity;
use super::project::{Project, ProjectConnection};
use super::run::Run;
use super::viewer::{
    Entity, Organization, ServerInfo, User, UserConnection, UserEdge, project_page,
};
use crate::error::ApiError;
use crate::store::runs;

/// Runs in one answer of `recentRuns`.
const MAX_RECENT: i32 = 200;

pub(crate) struct Query;

#[Object(name = "Query")]
impl Query {
    /// Who asks.
    async fn viewer(&self, context: &Context<'_>) -> Result<User, ApiError> {
        Ok(User(Scope::of(context)?.account.clone()))
    }

    async fn server_info(&self) -> ServerInfo {
        ServerInfo
    }

    async fn users(
        &self,
        context: &Context<'_>,
        query: Option<String>,
    ) -> Result<UserConnection, ApiError> {
        let account = &Scope::of(context)?.account;
        let wanted = query.filter(|query| !query.is_empty());
        let found = wanted.is_none_or(|query| query == account.username || query == account.email);
        let edges = found.then(|| UserEdge {
            node: User(account.clone()),
        });
        Ok(UserConnection {
            edges: edges.into_iter().collect(),
        })
    }

    async fn entity(
        &self,
        context: &Context<'_>,
        name: Option<String>,
    ) -> Result<Option<Entity>, ApiError> {
        let account = &Scope::of(context)?.account;
        let known = name.is_none_or(|name| name.is_empty() || name == account.entity);
        Ok(known.then(|| Entity(account.clone())))
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
        let scope = Scope::of(context)?;
        let entity = scope
            .state
            .resolve_entity(entity_name.as_deref().unwrap_or_default());
        project_page(scope, &entity, first, after.as_deref()).await
    }

    /// The runs heard of last, over all projects.
    #[graphql(complexity = "complexity(Some(first), child_complexity)")]
    async fn recent_runs(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] first: i32,
    ) -> Result<Vec<Run>, ApiError> {
        let scope = Scope::of(context)?;
        let first = i64::from(first.clamp(0, MAX_RECENT));
        let mut reader = scope.state.store.reader().await?;
        let rows = runs::recent(&mut reader, &scope.account.entity, first).await?;
        Ok(rows.into_iter().map(Run).collect())
    }
}
