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

use super::filter::Filter;
use super::order::Order;
use super::page::{Page, PageInfo, complexity, cursor};
use super::run::{Run, RunConnection, RunEdge};
use super::scalars::{DateTime, JsonString};
use super::viewer::{Entity, User};
use super::{Scope, ids};
use crate::error::ApiError;
use crate::store::projects::{self, ProjectRow};
use crate::store::runs;

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
        let entity = scope.state.resolve_entity(entity.unwrap_or_default());
        let name = name
            .filter(|name| !name.is_empty())
            .unwrap_or(DEFAULT_PROJECT);
        let mut reader = scope.state.store.reader().await?;
        Ok(projects::find(&mut reader, &entity, name).await?.map(Self))
    }

    async fn find_run(&self, context: &Context<'_>, name: &str) -> Result<Option<Run>, ApiError> {
        let scope = Scope::of(context)?;
        let mut reader = scope.state.store.reader().await?;
        Ok(runs::find(&mut reader, &self.0.entity, &self.0.name, name)
            .await?
            .map(Run))
    }

    /// All runs that pass `filters`, oldest first.
    async fn filtered(
        &self,
        scope: &Scope,
        filter: &Filter,
    ) -> Result<Vec<runs::RunRow>, ApiError> {
        let rows = {
            let mut reader = scope.state.store.reader().await?;
            runs::of_project(&mut reader, self.0.id).await?
        };
        let username = &scope.account.username;
        Ok(rows
            .into_iter()
            .filter(|row| filter.matches(row, username))
            .collect())
    }
}

#[Object(name = "Project")]
impl Project {
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
        Ok(Entity(Scope::of(context)?.account.clone()))
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

    async fn read_only(&self) -> bool {
        false
    }

    async fn user(&self, context: &Context<'_>) -> Result<User, ApiError> {
        Ok(User(Scope::of(context)?.account.clone()))
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

    async fn run_count(
        &self,
        context: &Context<'_>,
        filters: Option<JsonString>,
    ) -> Result<i64, ApiError> {
        let scope = Scope::of(context)?;
        let filter = Filter::parse(filters.as_ref().map(|text| text.0.as_str()))?;
        if filter.is_everything() {
            let mut reader = scope.state.store.reader().await?;
            return Ok(runs::count(&mut reader, self.0.id, false).await?);
        }
        Ok(i64::try_from(self.filtered(scope, &filter).await?.len()).unwrap_or(i64::MAX))
    }

    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn runs(
        &self,
        context: &Context<'_>,
        filters: Option<JsonString>,
        after: Option<String>,
        first: Option<i32>,
        order: Option<String>,
    ) -> Result<RunConnection, ApiError> {
        let scope = Scope::of(context)?;
        let page = Page::new(first, after.as_deref())?;
        let filter = Filter::parse(filters.as_ref().map(|text| text.0.as_str()))?;
        let order = Order::parse(order.as_deref())?;
        let (rows, total) = if filter.is_everything() && order.is_creation() {
            let mut reader = scope.state.store.reader().await?;
            let total = runs::count(&mut reader, self.0.id, false).await?;
            let rows = runs::page(
                &mut reader,
                self.0.id,
                order.is_descending(),
                page.offset,
                page.first,
            )
            .await?;
            ((page.offset..).zip(rows).collect::<Vec<_>>(), total)
        } else {
            let mut rows = self.filtered(scope, &filter).await?;
            order.sort(&mut rows, &scope.account.username);
            let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            (page.cut(rows).collect(), total)
        };
        let shown = i64::try_from(rows.len()).unwrap_or(0);
        Ok(RunConnection {
            total_count: total,
            page_info: PageInfo::new(page.offset, shown, total),
            edges: rows
                .into_iter()
                .map(|(position, row)| RunEdge {
                    node: Run(row),
                    cursor: cursor(position),
                })
                .collect(),
        })
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
