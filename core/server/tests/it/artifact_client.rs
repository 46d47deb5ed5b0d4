//! What a client does to log an artifact and to read it, step by step.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Method;
use runlane_model::artifact::digest::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::people::World;
use crate::support::{Answer, HOST, TestServer};

const CREATE: &str = "mutation C($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact { id state } } }";
const MANIFEST: &str = "mutation M($artifactID: ID!, $name: String!, $digest: String!, $entityName: String!, $projectName: String!, $type: ArtifactManifestType!, $upload: Boolean!) {
    createArtifactManifest(input: {artifactID: $artifactID, name: $name, digest: $digest, entityName: $entityName, projectName: $projectName, runName: \"\", type: $type}) {
        artifactManifest { id file { id uploadUrl @include(if: $upload) } }
    }
}";
const FILES: &str = "mutation F($input: CreateArtifactFilesInput!) { createArtifactFiles(input: $input) { files { edges { node {
    storagePath uploadUrl uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl isStored } } } } } } }";
const COMPLETE: &str = "mutation C($artifactID: ID!, $storagePath: String!, $uploadID: String!) {
    completeMultipartUploadArtifact(input: {completeMultipartAction: Complete, completedParts: [], artifactID: $artifactID, storagePath: $storagePath, uploadID: $uploadID}) { digest }
}";
const COMMIT: &str =
    "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id state } } }";
const URLS: &str = "query U($entity: String!, $project: String!, $collection: String!, $names: [String!]) {
    project(name: $project, entityName: $entity) { artifactCollection(name: $collection) { artifactMembership(aliasName: \"latest\") {
        artifact { id state }
        files(names: $names, first: 1000) { edges { node { name directUrl } } }
    } } }
}";
const CURRENT: &str =
    "query A($id: ID!) { artifact(id: $id) { currentManifest { file { directUrl } } } }";
const DELETE: &str = "mutation D($id: ID!) { deleteArtifact(input: {artifactID: $id, deleteAliases: true}) { artifact { id } } }";

/// Base64 of the MD5 of `bytes`.
pub(crate) fn md5(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Md5, bytes).base64()
}

/// A client of a server with somebody's key, in one entity's project `p`.
pub(crate) struct Client<'a> {
    server: &'a TestServer,
    authorization: String,
    pub(crate) entity: &'a str,
    algorithm: Algorithm,
}

/// How an upload is to begin.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) upload: Option<String>,
    pub(crate) storage_path: Value,
    pub(crate) upload_id: Option<String>,
    /// Number, path of the URL, and whether the part is there.
    pub(crate) parts: Vec<(u64, String, bool)>,
}

impl<'a> Client<'a> {
    /// The server's owner.
    pub(crate) fn owner(server: &'a TestServer) -> Self {
        Self {
            server,
            authorization: server.key_header(),
            entity: "me",
            algorithm: Algorithm::Md5,
        }
    }

    pub(crate) fn of(world: &'a World, who: &str, entity: &'a str) -> Self {
        Self {
            authorization: world.authorization(who),
            entity,
            ..Self::owner(&world.server)
        }
    }

    pub(crate) fn with_xxh128(mut self) -> Self {
        self.algorithm = Algorithm::Xxh128;
        self
    }

    pub(crate) fn digest(&self, bytes: &[u8]) -> String {
        Digest::of(self.algorithm, bytes).base64()
    }

    /// The answer to an operation, whatever it is.
    pub(crate) async fn answer(&self, query: &str, variables: Value) -> Answer {
        let body = json!({"query": query, "variables": variables}).to_string();
        let headers = [
            ("authorization", self.authorization.as_str()),
            ("content-type", "application/json"),
        ];
        self.server
            .raw(Method::POST, "/graphql", &headers, body)
            .await
    }

    pub(crate) async fn ask(&self, query: &str, variables: Value) -> Value {
        let reply = self.answer(query, variables).await.json();
        assert_eq!(reply.get("errors"), None, "{reply}");
        reply["data"].clone()
    }

    /// Creates a version of `collection`; its id.
    pub(crate) async fn create(&self, collection: &str, digest: &str) -> String {
        let made = self.create_as(collection, digest, json!({})).await;
        assert_eq!(made["state"], "PENDING");
        text(&made["id"])
    }

    pub(crate) async fn create_as(&self, collection: &str, digest: &str, more: Value) -> Value {
        let mut input = json!({
            "entityName": self.entity, "projectName": "p", "artifactTypeName": "dataset",
            "artifactCollectionName": collection, "digest": digest,
            "digestAlgorithm": self.algorithm.on_wire(), "enableDigestDeduplication": true,
            "aliases": [{"artifactCollectionName": collection, "alias": "latest"}],
        });
        for (name, value) in more.as_object().expect("an object") {
            input[name] = value.clone();
        }
        self.ask(CREATE, json!({"input": input})).await["createArtifact"]["artifact"].clone()
    }

    /// Announces files of a version: name, digest, MD5, and the MD5 of their parts in hexadecimal.
    pub(crate) async fn begin(
        &self,
        artifact: &str,
        manifest: &str,
        files: &[(&str, String, String, Vec<String>)],
    ) -> Vec<Begun> {
        let files: Vec<Value> = files
            .iter()
            .map(|(name, digest, md5, parts)| {
                let parts: Vec<Value> = (1..)
                    .zip(parts)
                    .map(|(number, hex): (u64, _)| json!({"partNumber": number, "hexMD5": hex}))
                    .collect();
                json!({
                    "artifactID": artifact, "artifactManifestID": manifest, "name": name,
                    "digest": digest, "md5": md5,
                    "uploadPartsInput": if parts.is_empty() { Value::Null } else { parts.into() },
                })
            })
            .collect();
        let input = json!({"artifactFiles": files, "storageLayout": "V2", "digestAlgorithm": self.algorithm.on_wire()});
        let made = self.ask(FILES, json!({"input": input})).await;
        let edges = made["createArtifactFiles"]["files"]["edges"].as_array();
        edges
            .expect("edges")
            .iter()
            .map(|edge| {
                let node = &edge["node"];
                let many = &node["uploadMultipartUrls"];
                let parts = many["uploadUrlParts"].as_array().into_iter().flatten();
                Begun {
                    upload: node["uploadUrl"].as_str().map(path_of),
                    storage_path: node["storagePath"].clone(),
                    upload_id: many["uploadID"].as_str().map(str::to_owned),
                    parts: parts
                        .map(|part| {
                            (
                                part["partNumber"].as_u64().expect("a number"),
                                path_of(part["uploadUrl"].as_str().expect("a URL")),
                                part["isStored"] == true,
                            )
                        })
                        .collect(),
                }
            })
            .collect()
    }

    /// Announces a file of a version, whole.
    pub(crate) async fn begin_one(&self, artifact: &str, name: &str, bytes: &[u8]) -> Begun {
        let manifest = self.manifest(artifact, "").await.0;
        let file = (name, self.digest(bytes), md5(bytes), Vec::new());
        self.begin(artifact, &manifest, &[file]).await.remove(0)
    }

    /// Completes an upload in parts.
    pub(crate) async fn complete(&self, artifact: &str, begun: &Begun) -> Answer {
        let variables = json!({
            "artifactID": artifact, "storagePath": begun.storage_path, "uploadID": begun.upload_id,
        });
        self.answer(COMPLETE, variables).await
    }

    /// Announces a manifest file with this MD5 (base64); its id and the path of its URL, none for an empty MD5.
    pub(crate) async fn manifest(&self, artifact: &str, md5: &str) -> (String, Option<String>) {
        let variables = json!({
            "artifactID": artifact, "name": "wandb_manifest.json", "digest": md5, "entityName": self.entity,
            "projectName": "p", "type": "FULL", "upload": !md5.is_empty(),
        });
        let made = self.ask(MANIFEST, variables).await;
        let manifest = &made["createArtifactManifest"]["artifactManifest"];
        (
            text(&manifest["id"]),
            manifest["file"]["uploadUrl"].as_str().map(path_of),
        )
    }

    /// Uploads the manifest of these files; the file that it is.
    pub(crate) async fn put_manifest(&self, artifact: &str, files: &[(&str, &[u8])]) -> String {
        let manifest = self.manifest_of(files);
        let (_id, path) = self.manifest(artifact, &md5(manifest.as_bytes())).await;
        let put = self.put(&path.expect("a URL"), manifest.clone()).await;
        assert_eq!(put.status, 200, "{}", String::from_utf8_lossy(&put.body));
        manifest
    }

    /// A manifest file.
    pub(crate) fn manifest_of(&self, files: &[(&str, &[u8])]) -> String {
        let contents: BTreeMap<&str, Value> = files
            .iter()
            .map(|(name, bytes)| {
                let mut entry = json!({"digest": self.digest(bytes), "size": bytes.len()});
                if self.algorithm == Algorithm::Xxh128 {
                    entry["extra"] = json!({"alg": "XXH128"});
                }
                (*name, entry)
            })
            .collect();
        json!({
            "version": 1, "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"}, "contents": contents,
        })
        .to_string()
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.server.raw(Method::PUT, path, &[], body).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.server
            .raw(Method::GET, path, headers, Body::empty())
            .await
    }

    /// A request with the key.
    pub(crate) async fn get_with_key(&self, path: &str) -> Answer {
        let headers = [("authorization", self.authorization.as_str())];
        self.get(path, &headers).await
    }

    pub(crate) async fn commit(&self, artifact: &str) -> Answer {
        self.answer(COMMIT, json!({"id": artifact})).await
    }

    /// Creates a version that is going to have these files; its id.
    pub(crate) async fn create_for(&self, collection: &str, files: &[(&str, &[u8])]) -> String {
        self.create(collection, &manifest_digest(self.algorithm, files))
            .await
    }

    /// Logs a version with these files from the beginning to the end; its id.
    pub(crate) async fn log(&self, collection: &str, files: &[(&str, &[u8])]) -> String {
        self.log_as(collection, files, json!({})).await
    }

    /// The paths of the URLs of the files of the latest version, by name; none if there is no version.
    pub(crate) async fn urls(&self, collection: &str) -> Option<BTreeMap<String, String>> {
        let found = self
            .ask(
                URLS,
                json!({"entity": self.entity, "project": "p", "collection": collection}),
            )
            .await;
        let membership = &found["project"]["artifactCollection"]["artifactMembership"];
        let edges = membership["files"]["edges"].as_array()?;
        let urls = edges.iter().map(|edge| {
            let node = &edge["node"];
            (
                text(&node["name"]),
                path_of(node["directUrl"].as_str().expect("a URL")),
            )
        });
        Some(urls.collect())
    }

    /// The path of the URL of one file of the latest version.
    pub(crate) async fn url(&self, collection: &str, name: &str) -> String {
        let urls = self.urls(collection).await.expect("a version");
        urls.get(name).expect("a file of the version").clone()
    }

    /// The path of the URL of a version's manifest.
    pub(crate) async fn manifest_url(&self, artifact: &str) -> String {
        let found = self.ask(CURRENT, json!({"id": artifact})).await;
        let url = &found["artifact"]["currentManifest"]["file"]["directUrl"];
        path_of(url.as_str().expect("a URL"))
    }

    pub(crate) async fn delete(&self, artifact: &str) {
        self.ask(DELETE, json!({"id": artifact})).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Path and query of a URL of the test's server.
pub(crate) fn path_of(url: &str) -> String {
    url.strip_prefix(&format!("http://{HOST}"))
        .expect("of this host")
        .to_owned()
}

/// The number of objects in the directory of a server's objects.
pub(crate) fn objects(server: &TestServer) -> usize {
    fn files(directory: &std::path::Path) -> usize {
        std::fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| {
                if entry.path().is_dir() {
                    files(&entry.path())
                } else {
                    1
                }
            })
            .sum()
    }
    files(&server.dir.path().join("objects"))
}

/// The digest of the manifest of these files.
pub(crate) fn manifest_digest(algorithm: Algorithm, files: &[(&str, &[u8])]) -> String {
    let entries: BTreeMap<&str, String> = files
        .iter()
        .map(|(name, bytes)| (*name, Digest::of(algorithm, bytes).base64()))
        .collect();
    let entries = entries
        .iter()
        .map(|(name, digest)| (*name, digest.as_str()));
    runlane_model::artifact::manifest::digest_of(algorithm, entries)
}

impl Client<'_> {
    /// Uploads files of a pending version, and a manifest of this kind that names them.
    pub(crate) async fn upload(&self, artifact: &str, files: &[(&str, &[u8])], kind: &str) {
        let manifest = self.manifest(artifact, "").await.0;
        let announced: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, self.digest(bytes), md5(bytes), Vec::new()))
            .collect();
        let begun = self.begin(artifact, &manifest, &announced).await;
        for (file, (_name, bytes)) in begun.iter().zip(files) {
            if let Some(path) = &file.upload {
                let put = self.put(path, bytes.to_vec()).await;
                assert_eq!(put.status, 200, "{}", String::from_utf8_lossy(&put.body));
            }
        }
        self.send_manifest(artifact, self.manifest_of(files), kind)
            .await;
    }

    /// Uploads a manifest as it is.
    pub(crate) async fn send_manifest(&self, artifact: &str, file: String, kind: &str) {
        let variables = json!({
            "artifactID": artifact, "name": "m.json", "digest": md5(file.as_bytes()), "entityName": self.entity,
            "projectName": "p", "type": kind, "upload": true,
        });
        let made = self.ask(MANIFEST, variables).await;
        let url = &made["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"];
        let put = self.put(&path_of(url.as_str().expect("a URL")), file).await;
        assert_eq!(put.status, 200, "{}", String::from_utf8_lossy(&put.body));
    }

    /// Logs a version with more words of `createArtifact`; the id of the version that has the content then.
    pub(crate) async fn log_as(
        &self,
        collection: &str,
        files: &[(&str, &[u8])],
        more: Value,
    ) -> String {
        let digest = manifest_digest(self.algorithm, files);
        let made = self.create_as(collection, &digest, more).await;
        let artifact = text(&made["id"]);
        if made["state"] == "COMMITTED" {
            return artifact;
        }
        self.upload(&artifact, files, "FULL").await;
        self.committed(&artifact).await
    }

    /// Commits a version; the id of the version that has the content then.
    pub(crate) async fn committed(&self, artifact: &str) -> String {
        let done = self.commit(artifact).await.json();
        let found = &done["data"]["commitArtifact"]["artifact"];
        assert_eq!(found["state"], "COMMITTED", "{done}");
        text(&found["id"])
    }

    /// What an operation is refused with.
    pub(crate) async fn refusal(&self, query: &str, variables: Value) -> String {
        let reply = self.answer(query, variables).await.json();
        text(&reply["errors"][0]["message"])
    }
}
