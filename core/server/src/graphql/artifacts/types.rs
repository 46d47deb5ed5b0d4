//! Types of artifacts.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::super::page::{Page, PageInfo, complexity};
use super::super::scalars::{DateTime, JsonString};
use super::super::{Scope, ids};
use super::collection::{ArtifactCollection, ArtifactCollectionConnection, collection_page};
use crate::error::ApiError;
use crate::store::artifacts::collection_list::Within;
use crate::store::artifacts::collections;
use crate::store::artifacts::types::{self, TypeRow};

/// A type, such as `dataset` or `model`.
pub(crate) struct ArtifactType(pub(super) TypeRow);

#[Object(name = "ArtifactType")]
impl ArtifactType {
    async fn id(&self) -> ID {
        ids::numbered("ArtifactType", self.0.id)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn created_at(&self) -> DateTime {
        DateTime::from_micros(self.0.created_at_micros)
    }

    async fn artifact_collection(
        &self,
        context: &Context<'_>,
        name: String,
    ) -> Result<Option<ArtifactCollection>, ApiError> {
        let scope = Scope::of(context)?;
        if scope.visible_project(self.0.project_id).await?.is_none() {
            return Ok(None);
        }
        let mut reader = scope.state.store.reader().await?;
        let found = collections::find(&mut reader, self.0.project_id, &name).await?;
        let found = found.filter(|row| row.type_id == self.0.id);
        Ok(found.map(ArtifactCollection::of))
    }

    /// The newest first, unless `order` says otherwise.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn artifact_collections(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
        filters: Option<JsonString>,
        order: Option<String>,
    ) -> Result<ArtifactCollectionConnection, ApiError> {
        let within = Within {
            project_id: self.0.project_id,
            type_id: Some(self.0.id),
        };
        let page = Page::new(first, after.as_deref())?;
        collection_page(Scope::of(context)?, within, page, filters, order).await
    }
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactTypeConnection {
    total_count: i64,
    page_info: PageInfo,
    edges: Vec<ArtifactTypeEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactTypeEdge {
    node: Option<ArtifactType>,
}

/// The types of a project by name.
pub(super) async fn type_page(
    scope: &Scope,
    project_id: i64,
    page: Page,
) -> Result<ArtifactTypeConnection, ApiError> {
    let mut reader = scope.state.store.reader().await?;
    let (rows, total) = types::page(&mut reader, project_id, page.offset, page.first).await?;
    let shown = i64::try_from(rows.len()).unwrap_or(0);
    let edges = rows.into_iter().map(|row| ArtifactTypeEdge {
        node: Some(ArtifactType(row)),
    });
    Ok(ArtifactTypeConnection {
        total_count: total,
        page_info: PageInfo::new(page.offset, shown, total),
        edges: edges.collect(),
    })
}
