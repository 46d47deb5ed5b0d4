//! Lists and counts of a project's runs.

use async_graphql::{Context, Object, SimpleObject};

use super::Scope;
use super::page::{PageInfo, complexity, page_size};
use super::run::Run;
use super::scalars::JsonString;
use crate::error::ApiError;
use crate::run_table::{RunQuery, parse_filter};

/// The part of a project that is its runs.
pub(crate) struct ProjectRuns {
    pub(crate) project_id: i64,
}

#[Object]
impl ProjectRuns {
    /// Runs that pass `filters`; all without it.
    async fn run_count(
        &self,
        context: &Context<'_>,
        filters: Option<JsonString>,
    ) -> Result<i64, ApiError> {
        let state = &Scope::of(context)?.state;
        let filter = parse_filter(filters.as_ref().map(|text| text.0.as_str()))?;
        state
            .run_tables
            .count(&state.store, self.project_id, filter)
            .await
    }

    /// Runs that pass `filters`, in `order` (oldest first by default), 50 by default and at most 1,000 at once.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn runs(
        &self,
        context: &Context<'_>,
        filters: Option<JsonString>,
        after: Option<String>,
        first: Option<i32>,
        order: Option<String>,
    ) -> Result<RunConnection, ApiError> {
        let state = &Scope::of(context)?.state;
        let query = RunQuery::new(
            self.project_id,
            filters.as_ref().map(|text| text.0.as_str()),
            order.as_deref(),
            after.as_deref(),
            page_size(first)?,
        )?;
        let page = state.run_tables.page(&state.store, &query).await?;
        let end = page.runs.last().map(|(_, cursor)| cursor.clone());
        let edges = page.runs.into_iter().map(|(run, cursor)| RunEdge {
            node: Run(run),
            cursor,
        });
        Ok(RunConnection {
            total_count: page.total,
            page_info: PageInfo::of_page(end, page.has_next),
            edges: edges.collect(),
        })
    }
}

#[derive(SimpleObject)]
pub(crate) struct RunConnection {
    /// Runs that pass the filter, on all pages.
    pub(crate) total_count: i64,
    pub(crate) page_info: PageInfo,
    pub(crate) edges: Vec<RunEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct RunEdge {
    pub(crate) node: Run,
    pub(crate) cursor: String,
}
