//! Where artifacts are found: by id, in projects, and with runs.

#![expect(
    clippy::used_underscore_binding,
    reason = "the derived code hands over arguments that are only taken for their callers' sake"
)]

use async_graphql::{Context, ID, Object, SimpleObject};

use super::super::Scope;
use super::super::page::{Page, PageInfo, complexity};
use super::super::scalars::JsonString;
use super::artifact::{Artifact, ArtifactConnection, ArtifactEdge};
use super::collection::{ArtifactCollection, ArtifactCollectionConnection, collection_page};
use super::entry_files::id_of;
use super::membership::ArtifactCollectionMembership;
use super::types::{ArtifactType, ArtifactTypeConnection, type_page};
use super::{artifact_id, collection_id};
use crate::artifacts::find;
use crate::error::ApiError;
use crate::store::artifacts::collection_list::Within;
use crate::store::artifacts::version_list::{self, Part};
use crate::store::artifacts::versions::{self, Named};
use crate::store::artifacts::{collections, types};

/// The version that a client's own id names.
#[derive(SimpleObject)]
#[graphql(name = "ClientIDMapping")]
pub(crate) struct ClientIdMapping {
    #[graphql(name = "serverID")]
    server_id: ID,
}

/// See the module.
pub(crate) struct QueryArtifacts;

#[Object]
impl QueryArtifacts {
    /// A version, committed or not.
    async fn artifact(&self, context: &Context<'_>, id: ID) -> Result<Option<Artifact>, ApiError> {
        // An id of something else is one of no artifact.
        let Ok(id) = artifact_id(&id) else {
            return Ok(None);
        };
        Artifact::find(Scope::of(context)?, id).await
    }

    async fn artifact_collection(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> Result<Option<ArtifactCollection>, ApiError> {
        let Ok(id) = collection_id(&id) else {
            return Ok(None);
        };
        let scope = Scope::of(context)?;
        let row = {
            let mut reader = scope.state.store.reader().await?;
            collections::by_id(&mut reader, id).await?
        };
        match row {
            Some(row) if scope.visible_project(row.project_id).await?.is_some() => {
                Ok(Some(ArtifactCollection::of(row)))
            }
            _ => Ok(None),
        }
    }

    /// The version that a client has called so, from the moment on when it began to log it.
    #[graphql(name = "clientIDMapping")]
    async fn client_id_mapping(
        &self,
        context: &Context<'_>,
        #[graphql(name = "clientID")] client_id: ID,
    ) -> Result<Option<ClientIdMapping>, ApiError> {
        let scope = Scope::of(context)?;
        let mut reader = scope.state.store.reader().await?;
        let named = versions::by_client_id(&mut reader, &client_id).await?;
        let Named::Version(id) = named else {
            return Ok(None);
        };
        let version = find::readable(scope.access(), &mut reader, id).await?;
        Ok(version.map(|version| ClientIdMapping {
            server_id: id_of(version.id),
        }))
    }
}

/// The part of a project that is its artifacts.
pub(crate) struct ProjectArtifacts {
    pub(crate) project_id: i64,
}

#[Object]
impl ProjectArtifacts {
    /// The version `<collection>[:<alias or version>]`.
    async fn artifact(
        &self,
        context: &Context<'_>,
        name: String,
    ) -> Result<Option<Artifact>, ApiError> {
        let scope = Scope::of(context)?;
        let mut reader = scope.state.store.reader().await?;
        match find::named(&mut reader, self.project_id, &name).await? {
            Some((_, place)) => {
                let row = versions::by_id(&mut reader, place.artifact_id).await?;
                Ok(row.filter(|row| !row.is_deleted()).map(Artifact::of))
            }
            None => Ok(None),
        }
    }

    async fn artifact_type(
        &self,
        context: &Context<'_>,
        name: String,
    ) -> Result<Option<ArtifactType>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let row = types::find(&mut reader, self.project_id, &name).await?;
        Ok(row.map(ArtifactType))
    }

    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn artifact_types(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
        #[graphql(name = "includeAll")] _include_all: Option<bool>,
    ) -> Result<ArtifactTypeConnection, ApiError> {
        let page = Page::new(first, after.as_deref())?;
        type_page(Scope::of(context)?, self.project_id, page).await
    }

    async fn artifact_collection(
        &self,
        context: &Context<'_>,
        name: String,
    ) -> Result<Option<ArtifactCollection>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let row = collections::find(&mut reader, self.project_id, &name).await?;
        Ok(row.map(ArtifactCollection::of))
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
    ) -> Result<Option<ArtifactCollectionConnection>, ApiError> {
        let within = Within {
            project_id: self.project_id,
            type_id: None,
        };
        let page = Page::new(first, after.as_deref())?;
        collection_page(Scope::of(context)?, within, page, filters, order)
            .await
            .map(Some)
    }

    /// The version `<collection>[:<alias or version>]` as that collection has it.
    async fn artifact_collection_membership(
        &self,
        context: &Context<'_>,
        name: String,
    ) -> Result<Option<ArtifactCollectionMembership>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let found = find::named(&mut reader, self.project_id, &name).await?;
        Ok(found.map(|(collection, place)| ArtifactCollectionMembership { place, collection }))
    }
}

/// The part of a run that is its artifacts.
pub(crate) struct RunArtifacts {
    pub(crate) run_id: i64,
}

#[Object]
impl RunArtifacts {
    /// What it logged, in that order.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn output_artifacts(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Option<ArtifactConnection>, ApiError> {
        artifact_page(context, self.run_id, Part::Output, first, after).await
    }

    /// What it used, in that order.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn input_artifacts(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Option<ArtifactConnection>, ApiError> {
        artifact_page(context, self.run_id, Part::Input, first, after).await
    }
}

async fn artifact_page(
    context: &Context<'_>,
    run_id: i64,
    part: Part,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Option<ArtifactConnection>, ApiError> {
    let scope = Scope::of(context)?;
    let page = Page::new(first, after.as_deref())?;
    let (rows, total) = {
        let mut reader = scope.state.store.reader().await?;
        version_list::of_run(&mut reader, run_id, part, page.offset, page.first).await?
    };
    let shown = i64::try_from(rows.len()).unwrap_or(0);
    let mut edges = Vec::new();
    for row in rows {
        // A run may have used what this caller cannot see.
        let node = match scope.visible_project(row.project_id).await? {
            Some(_) => Some(Artifact::of(row)),
            None => Artifact::find(scope, row.id).await?,
        };
        edges.push(ArtifactEdge { node });
    }
    Ok(Some(ArtifactConnection {
        total_count: total,
        page_info: PageInfo::new(page.offset, shown, total),
        edges,
    }))
}
