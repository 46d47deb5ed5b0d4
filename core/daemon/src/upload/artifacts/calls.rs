//! GraphQL operations that make a version (`reference/wandb-server/graphql-artifacts.md` §2).

use std::sync::Arc;

use runlane_proto::wandb_internal as pb;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::graphql::{Features, Server, read};
use super::super::http::CallError;
use super::record::Kind;
use super::wanted::Wanted;

const CREATE: &str = "mutation CreateArtifact($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact { id state \
artifactSequence { latestArtifact { id } } } } }";

const CREATE_MANIFEST: &str = "mutation CreateArtifactManifest($artifactID: ID!, $baseArtifactID: ID, $name: String!, $digest: String!, \
$entityName: String!, $projectName: String!, $runName: String!, $manifestType: ArtifactManifestType!, $includeUpload: Boolean!) { \
createArtifactManifest(input: {artifactID: $artifactID, baseArtifactID: $baseArtifactID, name: $name, digest: $digest, entityName: \
$entityName, projectName: $projectName, runName: $runName, type: $manifestType}) { artifactManifest { id file { id uploadUrl \
@include(if: $includeUpload) uploadHeaders @include(if: $includeUpload) } } } }";

const UPDATE_MANIFEST: &str = "mutation UpdateArtifactManifest($artifactManifestID: ID!, $digest: String, $baseArtifactID: ID, \
$includeUpload: Boolean!) { updateArtifactManifest(input: {artifactManifestID: $artifactManifestID, digest: $digest, baseArtifactID: \
$baseArtifactID}) { artifactManifest { id file { id uploadUrl @include(if: $includeUpload) uploadHeaders @include(if: $includeUpload) } } } }";

const CREATE_FILES: &str = "mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) { createArtifactFiles(input: $input) { files { \
edges { node { storagePath uploadUrl uploadHeaders uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl } } artifact { id } } } } } }";

/// As `CREATE_FILES`; also which parts are stored already.
const CREATE_FILES_RESUMABLE: &str = "mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) { createArtifactFiles(input: $input) \
{ files { edges { node { storagePath uploadUrl uploadHeaders uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl isStored } } \
artifact { id } } } } } }";

const COMPLETE_PARTS: &str = "mutation CompleteMultipartUploadArtifact($completeMultipartAction: CompleteMultipartAction!, \
$completedParts: [UploadPartsInput!]!, $artifactID: ID!, $storagePath: String!, $uploadID: String!) { completeMultipartUploadArtifact(input: \
{completeMultipartAction: $completeMultipartAction, completedParts: $completedParts, artifactID: $artifactID, storagePath: $storagePath, \
uploadID: $uploadID}) { digest } }";

const CLIENT_ID: &str =
    "query ClientIDMapping($clientID: ID!) { clientIDMapping(clientID: $clientID) { serverID } }";

const COMMIT: &str = "mutation CommitArtifact($artifactID: ID!) { commitArtifact(input: {artifactID: $artifactID}) { artifact { id digest } } }";

const USE: &str = "mutation UseArtifact($input: UseArtifactInput!) { useArtifact(input: $input) { artifact { id } } }";

/// Where a version is made, and by which run.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) server: Server,
    pub(super) features: Features,
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) run: String,
}

/// A version as the server answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) id: String,
    pub(super) state: String,
    /// The newest committed version of its name.
    pub(super) latest: Option<String>,
}

/// Where one file goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The version with which the file was stored first.
    pub(super) birth_id: String,
    /// None if it is stored already.
    pub(super) url: Option<String>,
    pub(super) headers: Vec<String>,
    pub(super) storage_path: String,
    pub(super) parts: Option<PartPlaces>,
}

/// Where the parts of a file go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct PartPlaces {
    #[serde(rename = "uploadID")]
    pub(super) upload_id: String,
    #[serde(rename = "uploadUrlParts")]
    pub(super) parts: Vec<PartPlace>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartPlace {
    pub(super) part_number: u64,
    pub(super) upload_url: String,
    #[serde(default)]
    pub(super) is_stored: Option<bool>,
}

/// Where a manifest goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ManifestPlace {
    pub(super) id: String,
    pub(super) url: Option<String>,
    pub(super) headers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileNode {
    storage_path: Option<String>,
    upload_url: Option<String>,
    #[serde(default)]
    upload_headers: Option<Vec<String>>,
    upload_multipart_urls: Option<PartPlaces>,
    artifact: Identified,
}

#[derive(Debug, Deserialize)]
struct Identified {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestNode {
    id: String,
    file: Option<ManifestFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestFile {
    upload_url: Option<String>,
    #[serde(default)]
    upload_headers: Option<Vec<String>>,
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Site {
    pub(super) async fn create(
        &self,
        record: &pb::ArtifactRecord,
        step: Option<i64>,
    ) -> Result<Created, CallError> {
        let mut data = self
            .server
            .call(
                "CreateArtifact",
                CREATE,
                json!({"input": self.input(record, step)}),
            )
            .await?;
        let artifact = data["createArtifact"]["artifact"].take();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match (text(&artifact["id"]), text(&artifact["state"])) {
            (Some(id), Some(state)) => Ok(Created {
                id,
                state,
                latest: text(&artifact["artifactSequence"]["latestArtifact"]["id"]),
            }),
            _ => Err(CallError::refused(
                "unexpected answer of the server: no artifact",
            )),
        }
    }

    fn input(&self, record: &pb::ArtifactRecord, step: Option<i64>) -> Value {
        let aliases = record
            .aliases
            .iter()
            .map(|alias| json!({"artifactCollectionName": record.name, "alias": alias}));
        let region = super::record::storage_region(record);
        let mut input = json!({
            "entityName": self.entity,
            "projectName": self.project,
            "runName": (!record.user_created).then_some(&self.run),
            "artifactTypeName": record.r#type,
            "artifactCollectionName": record.name,
            "artifactCollectionNames": null,
            "digest": record.digest,
            "digestAlgorithm": super::record::algorithm(record).on_wire(),
            "description": some(&record.description),
            "labels": null,
            "aliases": aliases.collect::<Vec<_>>(),
            "metadata": some(&record.metadata),
            "ttlDurationSeconds": (record.ttl_duration_seconds != 0).then_some(record.ttl_duration_seconds),
            "historyStep": step,
            "enableDigestDeduplication": true,
            "distributedID": some(&record.distributed_id),
            "clientID": some(&record.client_id),
            "sequenceClientID": some(&record.sequence_client_id),
            "storageRegion": region,
            "clientMutationId": null,
        });
        if !record.tags.is_empty() {
            let tags = record
                .tags
                .iter()
                .map(|tag| json!({"tagName": tag, "tagCategoryName": null, "attributes": null}));
            input["tags"] = tags.collect();
        }
        input
    }

    /// Begins a manifest, or says where to put it once its digest is known.
    pub(super) async fn create_manifest(
        &self,
        kind: Kind,
        artifact_id: &str,
        base_id: Option<&str>,
        digest: Option<&str>,
    ) -> Result<ManifestPlace, CallError> {
        let variables = json!({
            "artifactID": artifact_id, "baseArtifactID": base_id, "name": kind.file_name(), "digest": digest.unwrap_or_default(),
            "entityName": self.entity, "projectName": self.project, "runName": self.run, "manifestType": kind.as_str(),
            "includeUpload": digest.is_some(),
        });
        let mut data = self
            .server
            .call("CreateArtifactManifest", CREATE_MANIFEST, variables)
            .await?;
        manifest_place(data["createArtifactManifest"]["artifactManifest"].take())
    }

    pub(super) async fn update_manifest(
        &self,
        manifest_id: &str,
        digest: &str,
    ) -> Result<ManifestPlace, CallError> {
        let variables = json!({
            "artifactManifestID": manifest_id, "digest": digest, "baseArtifactID": null, "includeUpload": true,
        });
        let mut data = self
            .server
            .call("UpdateArtifactManifest", UPDATE_MANIFEST, variables)
            .await?;
        manifest_place(data["updateArtifactManifest"]["artifactManifest"].take())
    }

    /// Asks where to put files; the answer has as many places, in the same order.
    pub(super) async fn create_files(
        &self,
        artifact_id: &str,
        manifest_id: &str,
        files: &[Arc<Wanted>],
    ) -> Result<Vec<Place>, CallError> {
        let knows_digests = self.features.artifact_digests;
        let specs = files.iter().map(|file| {
            let parts = file.parts.as_ref().map(|parts| {
                let parts = parts.iter().map(|part| json!({"partNumber": part.number, "hexMD5": part.md5.hex()}));
                parts.collect::<Vec<_>>()
            });
            json!({
                "artifactID": artifact_id, "artifactManifestID": manifest_id, "name": file.path, "md5": file.md5_text(),
                "digest": knows_digests.then_some(&file.digest), "mimetype": null, "uploadPartsInput": parts,
            })
        });
        let algorithm = files.first().map(|file| file.algorithm.on_wire());
        let input = json!({
            "artifactFiles": specs.collect::<Vec<_>>(), "storageLayout": "V2",
            "digestAlgorithm": algorithm.filter(|_| knows_digests), "cloudRegionID": null, "clientMutationId": null,
        });
        let query = if self.features.resumable_parts {
            CREATE_FILES_RESUMABLE
        } else {
            CREATE_FILES
        };
        let mut data = self
            .server
            .call("CreateArtifactFiles", query, json!({ "input": input }))
            .await?;
        let edges = data["createArtifactFiles"]["files"]["edges"].take();
        let edges: Vec<Value> = read(edges)?;
        if edges.len() != files.len() {
            let text = format!(
                "unexpected answer of the server: {} places for {} files",
                edges.len(),
                files.len()
            );
            return Err(CallError::refused(text));
        }
        edges
            .into_iter()
            .map(|mut edge| read::<FileNode>(edge["node"].take()).map(Place::from))
            .collect()
    }

    /// Joins the parts of a file: number and `ETag` (or MD5) of each.
    pub(super) async fn complete_parts(
        &self,
        artifact_id: &str,
        storage_path: &str,
        upload_id: &str,
        parts: &[(u64, String)],
    ) -> Result<(), CallError> {
        let parts = parts
            .iter()
            .map(|(number, etag)| json!({"partNumber": number, "hexMD5": etag}));
        let variables = json!({
            "completeMultipartAction": "Complete", "completedParts": parts.collect::<Vec<_>>(), "artifactID": artifact_id,
            "storagePath": storage_path, "uploadID": upload_id,
        });
        self.server
            .call("CompleteMultipartUploadArtifact", COMPLETE_PARTS, variables)
            .await
            .map(|_data| ())
    }

    /// The server's id of a version that a client has named; `None` if there is none (yet).
    pub(super) async fn resolve(&self, client_id: &str) -> Result<Option<String>, CallError> {
        let data = self
            .server
            .call("ClientIDMapping", CLIENT_ID, json!({"clientID": client_id}))
            .await?;
        Ok(data["clientIDMapping"]["serverID"]
            .as_str()
            .map(str::to_owned))
    }

    pub(super) async fn commit(&self, artifact_id: &str) -> Result<(), CallError> {
        self.server
            .call("CommitArtifact", COMMIT, json!({"artifactID": artifact_id}))
            .await
            .map(|_data| ())
    }

    /// Makes the version an input of the run.
    pub(super) async fn use_artifact(&self, artifact_id: &str) -> Result<(), CallError> {
        let mut input = json!({
            "artifactID": artifact_id, "entityName": self.entity, "projectName": self.project, "runName": self.run,
        });
        if self.features.use_with_place {
            input["artifactEntityName"] = json!(self.entity);
            input["artifactProjectName"] = json!(self.project);
        }
        self.server
            .call("UseArtifact", USE, json!({ "input": input }))
            .await
            .map(|_data| ())
    }
}

impl From<FileNode> for Place {
    fn from(node: FileNode) -> Self {
        Self {
            birth_id: node.artifact.id,
            url: node.upload_url.filter(|url| !url.is_empty()),
            headers: node.upload_headers.unwrap_or_default(),
            storage_path: node.storage_path.unwrap_or_default(),
            parts: node
                .upload_multipart_urls
                .filter(|places| !places.parts.is_empty()),
        }
    }
}

fn manifest_place(manifest: Value) -> Result<ManifestPlace, CallError> {
    let node: ManifestNode = read(manifest)?;
    let file = node.file;
    let (url, headers) = file.map_or((None, None), |file| (file.upload_url, file.upload_headers));
    Ok(ManifestPlace {
        id: node.id,
        url: url.filter(|url| !url.is_empty()),
        headers: headers.unwrap_or_default(),
    })
}
