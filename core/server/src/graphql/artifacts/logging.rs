//! Logging a version: from its announcement to its commit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_model::artifact::names;
use runlane_model::artifact::parts::PartDigest;

use super::super::Scope;
use super::super::files::FileConnection;
use super::super::ids;
use super::super::scalars::{Int64, JsonString};
use super::artifact::{Artifact, ArtifactManifest};
use super::entry_files::{
    ContentFile, UploadMultipartUrls, UploadUrlPart, connection_of, storage_path,
};
use super::labels::{ArtifactAliasInput, TagInput, alias_words, tag_words};
use super::words::{CompleteMultipartAction, DigestAlgorithm, ManifestType, StorageLayout};
use super::{MANIFEST, artifact_id};
use crate::artifacts::create::{self, NewArtifact};
use crate::artifacts::manifests::{self, Announced};
use crate::artifacts::{checked_aliases, commits, find, ttl_of};
use crate::blobs;
use crate::error::{ApiError, StoreError};
use crate::store::artifacts::versions::VersionRow;
use crate::store::blobs as blob_rows;

/// Files in one request.
const MAX_FILES: usize = 10_000;
/// What uploads are sent with.
const UPLOAD_TYPE: &str = "Content-Type:application/octet-stream";

#[derive(InputObject)]
pub(crate) struct CreateArtifactInput {
    entity_name: String,
    project_name: String,
    /// The run whose output it is; without one it is the user's.
    run_name: Option<String>,
    artifact_type_name: String,
    artifact_collection_name: Option<String>,
    /// One name, in place of `artifactCollectionName`.
    artifact_collection_names: Option<Vec<String>>,
    /// Of the manifest.
    digest: String,
    digest_algorithm: Option<DigestAlgorithm>,
    description: Option<String>,
    labels: Option<JsonString>,
    aliases: Option<Vec<ArtifactAliasInput>>,
    tags: Option<Vec<TagInput>>,
    metadata: Option<JsonString>,
    ttl_duration_seconds: Option<Int64>,
    history_step: Option<Int64>,
    /// Content that the collection has already makes no new version.
    enable_digest_deduplication: Option<bool>,
    #[graphql(name = "distributedID")]
    distributed_id: Option<String>,
    #[graphql(name = "clientID")]
    client_id: Option<ID>,
    #[graphql(name = "sequenceClientID")]
    sequence_client_id: Option<ID>,
    storage_region: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct CreateArtifactPayload {
    artifact: Artifact,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct CreateArtifactManifestInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    #[graphql(name = "baseArtifactID")]
    base_artifact_id: Option<ID>,
    name: String,
    /// Base64 of the MD5 of its file; empty if it is not known yet.
    digest: String,
    entity_name: String,
    project_name: String,
    run_name: String,
    #[graphql(name = "type")]
    kind: ManifestType,
}

#[derive(InputObject)]
pub(crate) struct UpdateArtifactManifestInput {
    #[graphql(name = "artifactManifestID")]
    artifact_manifest_id: ID,
    digest: Option<String>,
    #[graphql(name = "baseArtifactID")]
    base_artifact_id: Option<ID>,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactManifestPayload {
    artifact_manifest: ArtifactManifest,
}

#[derive(InputObject)]
pub(crate) struct UploadPartsInput {
    part_number: Int64,
    #[graphql(name = "hexMD5")]
    hex_md5: String,
}

#[derive(InputObject)]
pub(crate) struct CreateArtifactFileSpecInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    /// Path of the entry.
    name: String,
    /// Base64; empty for a file in parts whose digest is made otherwise.
    md5: String,
    /// As the manifest will have it; the MD5 without it.
    digest: Option<String>,
    mimetype: Option<String>,
    #[graphql(name = "artifactManifestID")]
    artifact_manifest_id: Option<ID>,
    upload_parts_input: Option<Vec<UploadPartsInput>>,
}

#[derive(InputObject)]
pub(crate) struct CreateArtifactFilesInput {
    artifact_files: Vec<CreateArtifactFileSpecInput>,
    storage_layout: StorageLayout,
    digest_algorithm: Option<DigestAlgorithm>,
    #[graphql(name = "cloudRegionID")]
    cloud_region_id: Option<ID>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct CreateArtifactFilesPayload {
    files: FileConnection,
}

#[derive(InputObject)]
pub(crate) struct CompleteMultipartUploadArtifactInput {
    complete_multipart_action: CompleteMultipartAction,
    completed_parts: Vec<UploadPartsInput>,
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    storage_path: String,
    #[graphql(name = "uploadID")]
    upload_id: String,
}

#[derive(SimpleObject)]
pub(crate) struct CompleteMultipartUploadArtifactPayload {
    digest: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct CommitArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactPayload {
    pub(super) artifact: Option<Artifact>,
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl CreateArtifactInput {
    fn read(self) -> Result<NewArtifact, ApiError> {
        let mut collections: Vec<String> = filled(self.artifact_collection_name)
            .into_iter()
            .chain(self.artifact_collection_names.unwrap_or_default())
            .collect();
        collections.dedup();
        let [collection] = <[String; 1]>::try_from(collections).map_err(|collections| {
            ApiError::invalid(format!(
                "an artifact is logged to one collection, and {} are named; link it to others",
                collections.len()
            ))
        })?;
        if let Some(region) = filled(self.storage_region).filter(|region| region != "default") {
            let shown: String = region.chars().take(100).collect();
            return Err(ApiError::invalid(format!(
                "there is no storage region `{shown}` here; leave `storage_region` out"
            )));
        }
        Ok(NewArtifact {
            entity: self.entity_name,
            project: self.project_name,
            run: filled(self.run_name),
            type_name: self.artifact_type_name,
            aliases: checked_aliases(alias_words(self.aliases, &collection)?)?,
            collection,
            digest: self.digest.to_ascii_lowercase(),
            algorithm: self.digest_algorithm.map_or(Algorithm::Md5, Into::into),
            description: self.description,
            tags: tag_words(self.tags)?,
            metadata: self.metadata.map(|text| text.0),
            ttl_seconds: ttl_of(self.ttl_duration_seconds.map(|seconds| seconds.0))?,
            history_step: self.history_step.map(|step| step.0),
            deduplicated: self.enable_digest_deduplication == Some(true),
            distributed_id: filled(self.distributed_id),
            client_id: filled(self.client_id.map(|id| id.0)),
            sequence_client_id: filled(self.sequence_client_id.map(|id| id.0)),
        })
    }
}

fn optional_id(id: Option<&ID>) -> Result<Option<i64>, ApiError> {
    let id = id.filter(|id| !id.is_empty());
    id.map(artifact_id).transpose()
}

/// A file to upload, checked.
struct Wanted {
    artifact_id: i64,
    path: String,
    algorithm: Algorithm,
    digest: Digest,
    md5: Option<Digest>,
    parts: Vec<PartDigest>,
}

impl Wanted {
    fn read(
        spec: CreateArtifactFileSpecInput,
        algorithm: Option<DigestAlgorithm>,
    ) -> Result<Self, ApiError> {
        names::check_entry_path(&spec.name)?;
        let digest_of = |text: &str, what: &str| {
            Digest::from_base64(text).ok_or_else(|| {
                let shown: String = spec.name.chars().take(200).collect();
                ApiError::invalid(format!(
                    "file `{shown}`: `{what}` is not base64 of 16 bytes"
                ))
            })
        };
        let md5 = match spec.md5.as_str() {
            "" => None,
            text => Some(digest_of(text, "md5")?),
        };
        let named = spec.digest.as_deref().filter(|text| !text.is_empty());
        let (algorithm, digest) = match named {
            Some(text) => (
                algorithm.map_or(Algorithm::Md5, Into::into),
                digest_of(text, "digest")?,
            ),
            None => (Algorithm::Md5, digest_of(&spec.md5, "md5")?),
        };
        let mut parts = Vec::new();
        for part in spec.upload_parts_input.iter().flatten() {
            let bad = || {
                let shown: String = spec.name.chars().take(200).collect();
                ApiError::invalid(format!(
                    "file `{shown}`: part {} has no number from 1 on, or no MD5",
                    part.part_number.0
                ))
            };
            parts.push(PartDigest {
                number: u64::try_from(part.part_number.0).map_err(|_negative| bad())?,
                md5: Digest::from_hex(&part.hex_md5).ok_or_else(bad)?,
            });
        }
        Ok(Self {
            artifact_id: artifact_id(&spec.artifact_id)?,
            path: spec.name,
            algorithm,
            digest,
            md5,
            parts,
        })
    }
}

/// See the module.
pub(crate) struct LoggingMutation;

#[Object]
impl LoggingMutation {
    /// Announces a version. If the collection has its content already, the answer is that version, committed, and the aliases move
    /// to it.
    async fn create_artifact(
        &self,
        context: &Context<'_>,
        input: CreateArtifactInput,
    ) -> Result<CreateArtifactPayload, ApiError> {
        let scope = Scope::of(context)?;
        let client_mutation_id = input.client_mutation_id.clone();
        let version = create::create(scope.access(), &input.read()?).await?;
        Ok(CreateArtifactPayload {
            artifact: Artifact::of(version),
            client_mutation_id,
        })
    }

    /// Announces the manifest of a pending version; with a digest there is a URL to send its file to.
    async fn create_artifact_manifest(
        &self,
        context: &Context<'_>,
        input: CreateArtifactManifestInput,
    ) -> Result<ArtifactManifestPayload, ApiError> {
        let announced = Announced {
            artifact_id: artifact_id(&input.artifact_id)?,
            kind: input.kind.word(),
            name: &input.name,
            digest: &input.digest,
            base_id: optional_id(input.base_artifact_id.as_ref())?,
        };
        let row = manifests::create(Scope::of(context)?.access(), &announced).await?;
        Ok(ArtifactManifestPayload {
            artifact_manifest: ArtifactManifest(row),
        })
    }

    /// Says what the file of a manifest will be.
    async fn update_artifact_manifest(
        &self,
        context: &Context<'_>,
        input: UpdateArtifactManifestInput,
    ) -> Result<ArtifactManifestPayload, ApiError> {
        let id = ids::parse_numbered(MANIFEST, &input.artifact_manifest_id)?;
        let base_id = optional_id(input.base_artifact_id.as_ref())?;
        let access = Scope::of(context)?.access();
        let row = manifests::update(access, id, input.digest.as_deref(), base_id).await?;
        Ok(ArtifactManifestPayload {
            artifact_manifest: ArtifactManifest(row),
        })
    }

    /// Says where files of a pending version go, in the order in which they are asked for. A file without a URL is here already.
    async fn create_artifact_files(
        &self,
        context: &Context<'_>,
        input: CreateArtifactFilesInput,
    ) -> Result<CreateArtifactFilesPayload, ApiError> {
        let scope = Scope::of(context)?;
        if input.artifact_files.len() > MAX_FILES {
            return Err(ApiError::invalid(format!(
                "more than {MAX_FILES} files in one request"
            )));
        }
        let algorithm = input.digest_algorithm;
        let wanted = input.artifact_files.into_iter();
        let wanted: Vec<Wanted> = wanted
            .map(|spec| Wanted::read(spec, algorithm))
            .collect::<Result<_, _>>()?;
        let files = upload_files(scope, wanted).await?;
        Ok(CreateArtifactFilesPayload {
            files: connection_of(files),
        })
    }

    /// Puts the parts of a file together.
    async fn complete_multipart_upload_artifact(
        &self,
        context: &Context<'_>,
        input: CompleteMultipartUploadArtifactInput,
    ) -> Result<CompleteMultipartUploadArtifactPayload, ApiError> {
        let scope = Scope::of(context)?;
        let id = artifact_id(&input.artifact_id)?;
        {
            let mut reader = scope.state.store.reader().await?;
            find::writable(scope.access(), &mut reader, id).await?;
        }
        let digest = blobs::multipart::complete(&scope.state, id, &input.upload_id).await?;
        Ok(CompleteMultipartUploadArtifactPayload {
            digest: Some(digest.base64()),
        })
    }

    /// Completes a version, if everything in its manifest is here.
    async fn commit_artifact(
        &self,
        context: &Context<'_>,
        input: CommitArtifactInput,
    ) -> Result<ArtifactPayload, ApiError> {
        let scope = Scope::of(context)?;
        let id = artifact_id(&input.artifact_id)?;
        let id = commits::commit(scope.access(), id).await?;
        Ok(ArtifactPayload {
            artifact: Some(Artifact::changed(scope, id).await?),
        })
    }
}

/// Where files go, by which of them are here.
async fn upload_files(scope: &Scope, wanted: Vec<Wanted>) -> Result<Vec<ContentFile>, ApiError> {
    let state = &scope.state;
    let now = state.clock.now_micros();
    let mut versions: BTreeMap<i64, Arc<VersionRow>> = BTreeMap::new();
    let mut here: BTreeMap<(i64, Algorithm, Digest), i64> = BTreeMap::new();
    {
        let mut reader = state.store.reader().await?;
        for file in &wanted {
            if let Slot::Vacant(free) = versions.entry(file.artifact_id) {
                let version = find::pending(scope.access(), &mut reader, file.artifact_id).await?;
                free.insert(Arc::new(version));
            }
        }
        for (id, version) in &versions {
            let digests: Vec<_> = wanted
                .iter()
                .filter(|file| file.artifact_id == *id)
                .map(|file| (file.algorithm, file.digest))
                .collect();
            let found = blob_rows::find_many(&mut reader, version.entity_id, &digests).await?;
            let found = found.into_iter();
            here.extend(
                found.map(|((algorithm, digest), blob)| ((*id, algorithm, digest), blob.id)),
            );
        }
    }
    if !here.is_empty() {
        // Relied on from here on: what was found must not be collected before the commit.
        let rows: Vec<i64> = here.values().copied().collect();
        let mut writer = state.store.writer().await?;
        let there = blob_rows::touch(&mut writer, &rows, now).await?;
        writer.commit().await.map_err(StoreError::from)?;
        here.retain(|_, id| there.contains(id));
    }
    let mut files = Vec::with_capacity(wanted.len());
    for file in wanted {
        let key = (file.artifact_id, file.algorithm, file.digest);
        let is_here = here.contains_key(&key);
        files.push(upload_file(scope, file, &versions, is_here).await?);
    }
    Ok(files)
}

async fn upload_file(
    scope: &Scope,
    file: Wanted,
    versions: &BTreeMap<i64, Arc<VersionRow>>,
    is_here: bool,
) -> Result<ContentFile, ApiError> {
    let (state, base_url) = (&scope.state, scope.base_url.as_str());
    let id = file.artifact_id;
    let mut answer = ContentFile {
        key: format!("{id}:{}", file.path),
        digest: Some(file.digest.base64()),
        md5: file.md5.map(Digest::base64),
        storage_path: Some(storage_path(id, &file.path)),
        version: versions.get(&id).cloned(),
        ..ContentFile::default()
    };
    if !is_here {
        let md5 = file.md5;
        let url = blobs::urls::upload(state, base_url, id, file.algorithm, file.digest, md5);
        answer.upload_url = Some(url);
        answer.upload_headers = vec![UPLOAD_TYPE.to_owned()];
        if !file.parts.is_empty() {
            let (path, digest) = (file.path.as_str(), file.digest);
            let begun = blobs::multipart::begin(
                state,
                base_url,
                id,
                path,
                file.algorithm,
                digest,
                &file.parts,
            )
            .await?;
            let part = |part: blobs::multipart::BegunPart| UploadUrlPart {
                part_number: Int64(i64::try_from(part.part_number).unwrap_or(i64::MAX)),
                upload_url: part.upload_url,
                is_stored: part.is_stored,
            };
            answer.multipart = Some(UploadMultipartUrls {
                upload_id: begun.upload_id,
                upload_url_parts: begun.parts.into_iter().map(part).collect(),
            });
        }
    }
    answer.name = file.path;
    Ok(answer)
}
