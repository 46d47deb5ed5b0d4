//! Versions.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]
#![expect(
    clippy::used_underscore_binding,
    reason = "the derived code hands over arguments that are only taken for their callers' sake"
)]

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject, Union};
use runlane_model::artifact::digest::Digest;

use super::super::Scope;
use super::super::files::{File, FileConnection};
use super::super::ids;
use super::super::page::{Page, PageInfo, complexity, cursor};
use super::super::run::Run;
use super::super::runs::{RunConnection, RunEdge};
use super::super::scalars::{DateTime, Int64, JsonString};
use super::super::user::User;
use super::collection::{Collection, Sequence};
use super::entry_files::{ArtifactManifestEntryInput, ContentFile, file_page, id_of};
use super::labels::{ArtifactAlias, Tag};
use super::membership::{
    ArtifactCollectionMembership, ArtifactCollectionMembershipConnection,
    ArtifactCollectionMembershipEdge,
};
use super::types::ArtifactType;
use super::words::{ArtifactState, DigestAlgorithm};
use crate::artifacts::{TTL_INHERITED, find};
use crate::blobs;
use crate::error::ApiError;
use crate::store::artifacts::manifests::ManifestRow;
use crate::store::artifacts::versions::{self, VersionRow};
use crate::store::artifacts::{aliases, collections, lineage, manifests, memberships, tags, types};
use crate::store::{runs, users};

/// A version that the caller may see, through its own project or that of a portfolio.
pub(crate) struct Artifact(pub(crate) Arc<VersionRow>);

impl Artifact {
    pub(super) fn of(row: VersionRow) -> Self {
        Self(Arc::new(row))
    }

    /// The version with row id `id`, if the caller may see it.
    pub(super) async fn find(scope: &Scope, id: i64) -> Result<Option<Self>, ApiError> {
        let mut reader = scope.state.store.reader().await?;
        let row = find::readable(scope.access(), &mut reader, id).await?;
        Ok(row.map(Self::of))
    }

    /// The version with row id `id`, which the caller has just changed.
    pub(super) async fn changed(scope: &Scope, id: i64) -> Result<Self, ApiError> {
        let mut reader = scope.state.store.reader().await?;
        let row = versions::by_id(&mut reader, id).await?;
        row.map(Self::of)
            .ok_or_else(|| ApiError::not_found("the artifact is gone"))
    }
}

#[Object(name = "Artifact")]
impl Artifact {
    async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// The collection that it was logged to.
    async fn artifact_sequence(
        &self,
        context: &Context<'_>,
    ) -> Result<Collection<Sequence>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let row = collections::by_id_any(&mut reader, self.0.sequence_id).await?;
        row.map(Collection::new)
            .ok_or_else(|| ApiError::not_found("the artifact collection is gone"))
    }

    async fn artifact_type(&self, context: &Context<'_>) -> Result<ArtifactType, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let row = types::by_id(&mut reader, self.0.type_id).await?;
        row.map(ArtifactType)
            .ok_or_else(|| ApiError::not_found("the artifact type is gone"))
    }

    /// Known from the commit on.
    async fn version_index(&self) -> Option<i64> {
        self.0.version_index
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn metadata(&self) -> Option<JsonString> {
        self.0.metadata.clone().map(JsonString)
    }

    /// How long it lives from its creation on, in seconds; -1: as the collection's, -2: for ever.
    async fn ttl_duration_seconds(&self) -> Int64 {
        Int64(self.0.ttl_seconds.unwrap_or(TTL_INHERITED))
    }

    async fn ttl_is_inherited(&self) -> bool {
        self.0.ttl_seconds.is_none()
    }

    async fn tags(&self, context: &Context<'_>) -> Result<Vec<Tag>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let names = tags::list(&mut reader, tags::Of::Version(self.0.id)).await?;
        Ok(Tag::all(names))
    }

    /// The step of the run when it was logged.
    async fn history_step(&self) -> Option<Int64> {
        self.0.history_step.map(Int64)
    }

    async fn state(&self) -> ArtifactState {
        match self.0.state.as_str() {
            versions::PENDING => ArtifactState::Pending,
            versions::COMMITTED => ArtifactState::Committed,
            _ => ArtifactState::Deleted,
        }
    }

    /// Bytes of all entries.
    async fn size(&self) -> Int64 {
        Int64(self.0.size_bytes)
    }

    async fn digest(&self) -> &str {
        &self.0.digest
    }

    async fn digest_algorithm(&self) -> Option<DigestAlgorithm> {
        Some(DigestAlgorithm::stored(&self.0.digest_algorithm))
    }

    async fn commit_hash(&self) -> Option<&str> {
        self.0.commit_hash.as_deref()
    }

    /// Entries, references too.
    async fn file_count(&self) -> Int64 {
        Int64(self.0.file_count)
    }

    async fn created_at(&self) -> DateTime {
        DateTime::from_micros(self.0.created_at_micros)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        self.0.updated_at_micros.map(DateTime::from_micros)
    }

    /// In all collections that the caller may see.
    async fn aliases(&self, context: &Context<'_>) -> Result<Option<Vec<ArtifactAlias>>, ApiError> {
        let scope = Scope::of(context)?;
        let mut placed = Vec::new();
        {
            let mut reader = scope.state.store.reader().await?;
            for row in aliases::of_version(&mut reader, self.0.id).await? {
                // Most are of its own sequence.
                let project_id = if row.collection_id == self.0.sequence_id {
                    Some(self.0.project_id)
                } else {
                    let collection = collections::by_id(&mut reader, row.collection_id).await?;
                    collection.map(|collection| collection.project_id)
                };
                placed.extend(project_id.map(|project_id| (row, project_id)));
            }
        }
        let mut found = Vec::new();
        for (row, project_id) in placed {
            if scope.visible_project(project_id).await?.is_some() {
                found.push(ArtifactAlias(row));
            }
        }
        Ok(Some(found))
    }

    async fn current_manifest(
        &self,
        context: &Context<'_>,
    ) -> Result<Option<ArtifactManifest>, ApiError> {
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        let row = manifests::current(&mut reader, self.0.id).await?;
        Ok(row.map(ArtifactManifest))
    }

    /// The run that logged it first, or the user who did without one; none if that run is deleted or the caller may not see it.
    async fn created_by(&self, context: &Context<'_>) -> Result<Option<ArtifactCreator>, ApiError> {
        let scope = Scope::of(context)?;
        let mut reader = scope.state.store.reader().await?;
        let Some(run_id) = self.0.run_id else {
            let Some(user_id) = self.0.user_id else {
                return Ok(None);
            };
            let row = users::by_id(&mut reader, user_id).await?;
            return Ok(row.map(|row| ArtifactCreator::User(User(row))));
        };
        let run = runs::by_id(&mut reader, run_id).await?;
        drop(reader);
        match run {
            Some(run) if scope.visible_project(run.project_id).await?.is_some() => {
                Ok(Some(ArtifactCreator::Run(Run(run))))
            }
            _ => Ok(None),
        }
    }

    /// The runs that used it, in that order, as far as the caller may see them.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn used_by(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<RunConnection, ApiError> {
        let scope = Scope::of(context)?;
        let page = Page::new(first.or(Some(1_000)), after.as_deref())?;
        let mut reader = scope.state.store.reader().await?;
        let (rows, total) =
            lineage::users_of(&mut reader, self.0.id, page.offset, page.first).await?;
        drop(reader);
        let shown = i64::try_from(rows.len()).unwrap_or(0);
        let mut edges = Vec::new();
        for (position, row) in (page.offset..).zip(rows) {
            if scope.visible_project(row.project_id).await?.is_some() {
                edges.push(RunEdge {
                    node: Run(row),
                    cursor: cursor(position),
                });
            }
        }
        // What the caller may not see is not counted either, as far as this page tells.
        let hidden = shown - i64::try_from(edges.len()).unwrap_or(0);
        Ok(RunConnection {
            total_count: total - hidden,
            page_info: PageInfo::new(page.offset, shown, total),
            edges,
        })
    }

    /// Its places: in its sequence, and in the portfolios that it is linked to, as far as the caller may see them.
    async fn artifact_memberships(
        &self,
        context: &Context<'_>,
    ) -> Result<ArtifactCollectionMembershipConnection, ApiError> {
        let scope = Scope::of(context)?;
        let mut placed = Vec::new();
        {
            let mut reader = scope.state.store.reader().await?;
            for place in memberships::of_version(&mut reader, self.0.id).await? {
                let collection = collections::by_id(&mut reader, place.collection_id).await?;
                placed.extend(collection.map(|collection| (place, collection)));
            }
        }
        let mut edges = Vec::new();
        for (place, collection) in placed {
            if scope
                .visible_project(collection.project_id)
                .await?
                .is_some()
            {
                edges.push(ArtifactCollectionMembershipEdge {
                    node: Some(ArtifactCollectionMembership { place, collection }),
                });
            }
        }
        Ok(ArtifactCollectionMembershipConnection {
            total_count: i64::try_from(edges.len()).unwrap_or(i64::MAX),
            page_info: PageInfo::of_page(None, false),
            edges,
        })
    }

    /// What is in it, by path.
    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn files(
        &self,
        context: &Context<'_>,
        names: Option<Vec<String>>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Option<FileConnection>, ApiError> {
        let scope = Scope::of(context)?;
        file_page(scope, &self.0, names, first, after.as_deref())
            .await
            .map(Some)
    }

    /// The files of these entries.
    async fn files_by_manifest_entries(
        &self,
        context: &Context<'_>,
        #[graphql(name = "storageLayout")] _storage_layout: String,
        #[graphql(name = "manifestVersion")] _manifest_version: String,
        entries: Option<Vec<ArtifactManifestEntryInput>>,
        #[graphql(name = "storageRegion")] _storage_region: Option<String>,
    ) -> Result<Option<FileConnection>, ApiError> {
        let scope = Scope::of(context)?;
        let names = entries.unwrap_or_default().into_iter();
        let names: Vec<String> = names.map(|entry| entry.name).collect();
        let first = i32::try_from(names.len()).unwrap_or(i32::MAX);
        file_page(scope, &self.0, Some(names), Some(first), None)
            .await
            .map(Some)
    }
}

/// Who logged a version.
#[derive(Union)]
#[graphql(name = "ArtifactCreator")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them in an answer, for a moment"
)]
pub(crate) enum ArtifactCreator {
    Run(Run),
    User(User),
}

/// A manifest, there already or about to be uploaded.
pub(crate) struct ArtifactManifest(pub(super) ManifestRow);

#[Object(name = "ArtifactManifest")]
impl ArtifactManifest {
    async fn id(&self) -> ID {
        ids::numbered(super::MANIFEST, self.0.id)
    }

    async fn file(&self, context: &Context<'_>) -> Result<File, ApiError> {
        let scope = Scope::of(context)?;
        let (state, base_url) = (&scope.state, scope.base_url.as_str());
        let row = &self.0;
        let mut file = ContentFile {
            key: format!("manifest:{}", row.id),
            name: row.name.clone(),
            size_bytes: row.size_bytes,
            updated_at_micros: Some(row.created_at_micros),
            ..ContentFile::default()
        };
        // Before a manifest is announced there is nowhere to send it to.
        if let Some(md5) = Digest::from_base64(&row.digest) {
            file.md5 = Some(row.digest.clone());
            file.digest = Some(row.digest.clone());
            file.direct_url = blobs::urls::manifest_download(state, base_url, row.id, md5);
            if !row.is_current {
                let url = blobs::urls::manifest_upload(state, base_url, row.id, md5);
                file.upload_url = Some(url);
                file.upload_headers = vec!["Content-Type:application/json".to_owned()];
            }
        }
        Ok(File::OfArtifact(Box::new(file)))
    }
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactConnection {
    pub(super) total_count: i64,
    pub(super) page_info: PageInfo,
    pub(super) edges: Vec<ArtifactEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactEdge {
    pub(super) node: Option<Artifact>,
}

#[derive(SimpleObject)]
pub(crate) struct VersionedArtifactConnection {
    pub(super) total_count: i64,
    pub(super) page_info: PageInfo,
    pub(super) edges: Vec<VersionedArtifactEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct VersionedArtifactEdge {
    /// `v` and its index in the collection.
    pub(super) version: String,
    pub(super) node: Artifact,
}
