//! The records of artifacts: one that the run made, one that it used.

use pyo3::prelude::*;
use runlane_proto::wandb_internal::{
    ArtifactManifest, ArtifactManifestEntry, ArtifactRecord, ExtraItem, StoragePolicyConfigItem,
    UseArtifactRecord,
};

use super::fields::{Fields, pair_of, text_of};

/// The version of manifests.
const MANIFEST_VERSION: i32 = 1;

/// An artifact that the run made.
pub(super) fn artifact(fields: &Fields<'_>) -> PyResult<ArtifactRecord> {
    Ok(ArtifactRecord {
        run_id: fields.text("run_id")?,
        project: fields.text("project")?,
        entity: fields.text("entity")?,
        r#type: fields.text("type")?,
        name: fields.text("name")?,
        digest: fields.text("digest")?,
        description: fields.text("description")?,
        metadata: fields.text("metadata")?,
        user_created: fields.value("user_created")?,
        use_after_commit: fields.value("use_after_commit")?,
        aliases: fields.texts("aliases")?,
        manifest: Some(manifest(fields)?),
        distributed_id: fields.text("distributed_id")?,
        finalize: fields.value("finalize")?,
        client_id: fields.text("client_id")?,
        sequence_client_id: fields.text("sequence_client_id")?,
        base_id: fields.text("base_id")?,
        ttl_duration_seconds: fields.value("ttl_duration_seconds")?,
        tags: fields.texts("tags")?,
        digest_algorithm: fields.text("digest_algorithm")?,
        incremental_beta1: fields.value("incremental")?,
        ..ArtifactRecord::default()
    })
}

/// An artifact that the run used.
pub(super) fn use_artifact(fields: &Fields<'_>) -> PyResult<UseArtifactRecord> {
    // What it is used as has no place in the record; the server is told with the use itself.
    fields.get("use_as")?;
    Ok(UseArtifactRecord {
        id: fields.text("id")?,
        r#type: fields.text("type")?,
        name: fields.text("name")?,
        ..UseArtifactRecord::default()
    })
}

fn manifest(fields: &Fields<'_>) -> PyResult<ArtifactManifest> {
    let contents = match fields.get("contents")? {
        Some(contents) => contents
            .try_iter()?
            .map(|one| entry(&one?))
            .collect::<PyResult<Vec<_>>>()?,
        None => Vec::new(),
    };
    let storage_policy_config = match fields.get("storage_policy_config")? {
        Some(items) => items
            .try_iter()?
            .map(|item| {
                let (key, json) = pair_of(&item?)?;
                Ok(StoragePolicyConfigItem {
                    key: text_of(&key)?,
                    value_json: text_of(&json)?,
                })
            })
            .collect::<PyResult<Vec<_>>>()?,
        None => Vec::new(),
    };
    Ok(ArtifactManifest {
        version: MANIFEST_VERSION,
        storage_policy: fields.text("storage_policy")?,
        storage_policy_config,
        contents,
        manifest_file_path: fields.text("manifest_file_path")?,
    })
}

/// (path, digest, ref, size, local path, birth artifact id, skip cache, [(key, JSON)])
type Entry = (
    String,
    String,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<String>,
    bool,
    Vec<(String, String)>,
);

fn entry(entry: &Bound<'_, PyAny>) -> PyResult<ArtifactManifestEntry> {
    let (path, digest, reference, size, local_path, birth, skip_cache, extra): Entry =
        entry.extract()?;
    Ok(ArtifactManifestEntry {
        path,
        digest,
        r#ref: reference.unwrap_or_default(),
        size: size.unwrap_or_default(),
        local_path: local_path.unwrap_or_default(),
        birth_artifact_id: birth.unwrap_or_default(),
        skip_cache,
        extra: extra
            .into_iter()
            .map(|(key, value_json)| ExtraItem { key, value_json })
            .collect(),
        ..ArtifactManifestEntry::default()
    })
}
