//! Places of versions in collections.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::super::files::FileConnection;
use super::super::page::{PageInfo, complexity};
use super::super::scalars::DateTime;
use super::super::{Scope, ids};
use super::artifact::Artifact;
use super::collection::ArtifactCollection;
use super::entry_files::file_page;
use super::labels::ArtifactAlias;
use crate::error::ApiError;
use crate::store::artifacts::collections::CollectionRow;
use crate::store::artifacts::memberships::MembershipRow;
use crate::store::artifacts::{aliases, versions};

/// A version in a collection whose project the caller may see.
pub(crate) struct ArtifactCollectionMembership {
    pub(super) place: MembershipRow,
    pub(super) collection: CollectionRow,
}

impl ArtifactCollectionMembership {
    async fn version(&self, scope: &Scope) -> Result<Option<versions::VersionRow>, ApiError> {
        let mut reader = scope.state.store.reader().await?;
        let row = versions::by_id(&mut reader, self.place.artifact_id).await?;
        Ok(row.filter(|row| !row.is_deleted()))
    }
}

#[Object(name = "ArtifactCollectionMembership")]
impl ArtifactCollectionMembership {
    async fn id(&self) -> ID {
        ids::numbered(super::MEMBERSHIP, self.place.id)
    }

    async fn version_index(&self) -> Option<i64> {
        Some(self.place.version_index)
    }

    async fn created_at(&self) -> DateTime {
        DateTime::from_micros(self.place.created_at_micros)
    }

    async fn aliases(&self, context: &Context<'_>) -> Result<Vec<ArtifactAlias>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let rows = aliases::of_membership(&mut reader, self.place.id).await?;
        Ok(rows.into_iter().map(ArtifactAlias).collect())
    }

    async fn artifact_collection(&self) -> Option<ArtifactCollection> {
        Some(ArtifactCollection::of(self.collection.clone()))
    }

    async fn artifact(&self, context: &Context<'_>) -> Result<Option<Artifact>, ApiError> {
        Ok(self.version(Scope::of(context)?).await?.map(Artifact::of))
    }

    /// What is in the version, by path.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn files(
        &self,
        context: &Context<'_>,
        names: Option<Vec<String>>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Option<FileConnection>, ApiError> {
        let scope = Scope::of(context)?;
        match self.version(scope).await? {
            Some(version) => file_page(scope, &Arc::new(version), names, first, after.as_deref())
                .await
                .map(Some),
            None => Ok(None),
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactCollectionMembershipConnection {
    pub(super) total_count: i64,
    pub(super) page_info: PageInfo,
    pub(super) edges: Vec<ArtifactCollectionMembershipEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactCollectionMembershipEdge {
    pub(super) node: Option<ArtifactCollectionMembership>,
}
