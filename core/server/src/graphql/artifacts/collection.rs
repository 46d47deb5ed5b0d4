//! Collections: sequences and portfolios, which have nearly everything in common.

use std::marker::PhantomData;

use async_graphql::{Context, ID, Interface, Object, SimpleObject};

use super::super::page::{Page, PageInfo, complexity};
use super::super::project::Project;
use super::super::scalars::{DateTime, JsonString};
use super::super::{Scope, ids};
use super::artifact::{Artifact, VersionedArtifactConnection, VersionedArtifactEdge};
use super::labels::{ArtifactAlias, ArtifactAliasConnection, ArtifactAliasEdge, TagConnection};
use super::membership::ArtifactCollectionMembership;
use super::types::ArtifactType;
use super::words::{CollectionState, DigestAlgorithm};
use crate::artifacts::{find, lists};
use crate::error::ApiError;
use crate::store::artifacts::collection_list::Within;
use crate::store::artifacts::collections::CollectionRow;
use crate::store::artifacts::version_list::Texts;
use crate::store::artifacts::{aliases, memberships, tags, types, versions};

/// Artifacts are logged to it.
pub(crate) struct Sequence;
/// Artifacts are linked to it.
pub(crate) struct Portfolio;

/// A collection of one kind. Of one in a project that the caller may not see there is the name, and nothing else.
pub(crate) struct Collection<K> {
    row: CollectionRow,
    kind: PhantomData<K>,
}

impl<K> Collection<K> {
    pub(super) fn new(row: CollectionRow) -> Self {
        Self {
            row,
            kind: PhantomData,
        }
    }

    async fn is_visible(&self, scope: &Scope) -> Result<bool, ApiError> {
        let project = scope.visible_project(self.row.project_id).await?;
        Ok(project.is_some() && self.row.deleted_at_micros.is_none())
    }
}

#[Object(
    concrete(name = "ArtifactSequence", params(Sequence)),
    concrete(name = "ArtifactPortfolio", params(Portfolio))
)]
impl<K: Send + Sync> Collection<K> {
    async fn id(&self) -> ID {
        ids::numbered(super::COLLECTION, self.row.id)
    }

    async fn name(&self) -> String {
        self.row.name.clone()
    }

    async fn description(&self, context: &Context<'_>) -> Result<Option<String>, ApiError> {
        let visible = self.is_visible(Scope::of(context)?).await?;
        Ok(self.row.description.clone().filter(|_| visible))
    }

    async fn state(&self) -> CollectionState {
        match self.row.deleted_at_micros {
            Some(_) => CollectionState::Deleted,
            None => CollectionState::Ready,
        }
    }

    async fn created_at(&self) -> DateTime {
        DateTime::from_micros(self.row.created_at_micros)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        self.row.updated_at_micros.map(DateTime::from_micros)
    }

    /// None if the caller may not see it.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        let scope = Scope::of(context)?;
        Ok(scope
            .visible_project(self.row.project_id)
            .await?
            .map(Project))
    }

    /// The type of all of its versions.
    async fn default_artifact_type(&self, context: &Context<'_>) -> Result<ArtifactType, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let row = types::by_id(&mut reader, self.row.type_id).await?;
        row.map(ArtifactType)
            .ok_or_else(|| ApiError::not_found("the artifact type is gone"))
    }

    async fn tags(&self, context: &Context<'_>) -> Result<TagConnection, ApiError> {
        let scope = Scope::of(context)?;
        if !self.is_visible(scope).await? {
            return Ok(TagConnection::new(Vec::new()));
        }
        let mut reader = scope.state.store.reader().await?;
        let names = tags::list(&mut reader, tags::Of::Collection(self.row.id)).await?;
        Ok(TagConnection::new(names))
    }

    /// In the order in which they were given first.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn aliases(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<ArtifactAliasConnection, ApiError> {
        let scope = Scope::of(context)?;
        let page = Page::new(first, after.as_deref())?;
        let (rows, total) = if self.is_visible(scope).await? {
            let mut reader = scope.state.store.reader().await?;
            aliases::page(&mut reader, self.row.id, page.offset, page.first).await?
        } else {
            (Vec::new(), 0)
        };
        let shown = i64::try_from(rows.len()).unwrap_or(0);
        let edges = rows.into_iter().map(|row| ArtifactAliasEdge {
            node: Some(ArtifactAlias(row)),
        });
        Ok(ArtifactAliasConnection {
            total_count: total,
            page_info: PageInfo::new(page.offset, shown, total),
            edges: edges.collect(),
        })
    }

    /// The committed versions, the newest first unless `order` says otherwise.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn artifacts(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
        order: Option<String>,
        filters: Option<JsonString>,
    ) -> Result<Option<VersionedArtifactConnection>, ApiError> {
        let scope = Scope::of(context)?;
        let page = Page::new(first, after.as_deref())?;
        let (rows, total) = if self.is_visible(scope).await? {
            let part = lists::Part {
                offset: page.offset,
                limit: page.first,
            };
            let filters = filters.as_ref().map(|text| text.0.as_str());
            let node = context.look_ahead().field("edges").field("node");
            // Those that show them, or lead back to the version.
            let with_texts = ["description", "metadata", "files", "filesByManifestEntries"];
            let texts = if with_texts.iter().any(|name| node.field(name).exists()) {
                Texts::Read
            } else {
                Texts::LeftOut
            };
            lists::versions(
                &scope.state.store,
                self.row.id,
                filters,
                order.as_deref(),
                part,
                texts,
            )
            .await?
        } else {
            (Vec::new(), 0)
        };
        let shown = i64::try_from(rows.len()).unwrap_or(0);
        let edges = rows.into_iter().map(|row| VersionedArtifactEdge {
            version: format!("v{}", row.place_index),
            node: Artifact::of(row.version),
        });
        Ok(Some(VersionedArtifactConnection {
            total_count: total,
            page_info: PageInfo::new(page.offset, shown, total),
            edges: edges.collect(),
        }))
    }

    /// The version that a word names here: an alias, or `v` and an index.
    async fn artifact_membership(
        &self,
        context: &Context<'_>,
        alias_name: String,
    ) -> Result<Option<ArtifactCollectionMembership>, ApiError> {
        let scope = Scope::of(context)?;
        if !self.is_visible(scope).await? {
            return Ok(None);
        }
        let mut reader = scope.state.store.reader().await?;
        let place = find::place(&mut reader, self.row.id, &alias_name).await?;
        Ok(place.map(|place| ArtifactCollectionMembership {
            place,
            collection: self.row.clone(),
        }))
    }

    /// The version with the highest index.
    async fn latest_artifact(&self, context: &Context<'_>) -> Result<Option<Artifact>, ApiError> {
        let scope = Scope::of(context)?;
        if !self.is_visible(scope).await? {
            return Ok(None);
        }
        let mut reader = scope.state.store.reader().await?;
        let Some(place) = memberships::latest(&mut reader, self.row.id).await? else {
            return Ok(None);
        };
        let row = versions::by_id(&mut reader, place.artifact_id).await?;
        Ok(row.map(Artifact::of))
    }

    /// How the digest of its first version was made; clients make those of further ones in the same way.
    async fn digest_algorithm(&self) -> DigestAlgorithm {
        DigestAlgorithm::stored(&self.row.digest_algorithm)
    }
}

/// A collection of either kind.
#[expect(
    clippy::duplicated_attributes,
    reason = "fields of one interface have arguments of the same names"
)]
#[derive(Interface)]
#[graphql(
    name = "ArtifactCollection",
    field(name = "id", ty = "ID"),
    field(name = "name", ty = "String"),
    field(name = "description", ty = "Option<String>"),
    field(name = "state", ty = "CollectionState"),
    field(name = "created_at", ty = "DateTime"),
    field(name = "updated_at", ty = "Option<DateTime>"),
    field(name = "project", ty = "Option<Project>"),
    field(name = "default_artifact_type", ty = "ArtifactType"),
    field(name = "tags", ty = "TagConnection"),
    field(
        name = "aliases",
        ty = "ArtifactAliasConnection",
        arg(name = "after", ty = "Option<String>"),
        arg(name = "first", ty = "Option<i32>")
    ),
    field(
        name = "artifacts",
        ty = "Option<VersionedArtifactConnection>",
        arg(name = "after", ty = "Option<String>"),
        arg(name = "first", ty = "Option<i32>"),
        arg(name = "order", ty = "Option<String>"),
        arg(name = "filters", ty = "Option<JsonString>")
    ),
    field(
        name = "artifact_membership",
        ty = "Option<ArtifactCollectionMembership>",
        arg(name = "alias_name", ty = "String")
    )
)]
pub(crate) enum ArtifactCollection {
    Sequence(Collection<Sequence>),
    Portfolio(Collection<Portfolio>),
}

impl ArtifactCollection {
    pub(super) fn of(row: CollectionRow) -> Self {
        if row.is_sequence() {
            Self::Sequence(Collection::new(row))
        } else {
            Self::Portfolio(Collection::new(row))
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactCollectionConnection {
    total_count: i64,
    page_info: PageInfo,
    edges: Vec<ArtifactCollectionEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactCollectionEdge {
    node: Option<ArtifactCollection>,
}

/// Collections of a project that the caller may see.
pub(super) async fn collection_page(
    scope: &Scope,
    within: Within,
    page: Page,
    filters: Option<JsonString>,
    order: Option<String>,
) -> Result<ArtifactCollectionConnection, ApiError> {
    let (rows, total) = if scope.visible_project(within.project_id).await?.is_some() {
        let part = lists::Part {
            offset: page.offset,
            limit: page.first,
        };
        let filters = filters.as_ref().map(|text| text.0.as_str());
        lists::collections(&scope.state.store, within, filters, order.as_deref(), part).await?
    } else {
        (Vec::new(), 0)
    };
    let shown = i64::try_from(rows.len()).unwrap_or(0);
    let edges = rows.into_iter().map(|row| ArtifactCollectionEdge {
        node: Some(ArtifactCollection::of(row)),
    });
    Ok(ArtifactCollectionConnection {
        total_count: total,
        page_info: PageInfo::new(page.offset, shown, total),
        edges: edges.collect(),
    })
}
