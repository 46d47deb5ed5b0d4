//! Where the bytes of a manifest's entries are.

use std::collections::hash_map::Entry as Slot;

use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_model::artifact::manifest::{Entry, Manifest};

use super::find;
use crate::auth::access::Access;
use crate::error::{ApiError, StoreError};
use crate::graphql::ids;
use crate::store::artifacts::entries::{self, NewEntry};
use crate::store::artifacts::versions::VersionRow;
use crate::store::blobs::{self, BlobRow};

fn fault(path: &str, what: &str) -> ApiError {
    let shown: String = path
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect();
    ApiError::invalid(format!("entry `{shown}` of the manifest: {what}"))
}

/// The entries to store, with the bytes of those that are files.
pub(super) async fn located(
    access: Access<'_>,
    version: &VersionRow,
    manifest: &Manifest,
) -> Result<Vec<NewEntry>, ApiError> {
    let contents: Vec<(Algorithm, Digest)> = manifest
        .entries
        .values()
        .filter_map(|entry| Some((entry.algorithm(), entry.content()?)))
        .collect();
    let mut reader = access.state().store.reader().await?;
    let mut known = blobs::find_many(&mut reader, version.entity_id, &contents).await?;
    drop(reader);
    let mut found = Vec::with_capacity(manifest.entries.len());
    for (path, entry) in &manifest.entries {
        let size = i64::try_from(entry.size)
            .map_err(|_too_large| fault(path, "its size is no number of bytes"))?;
        let birth = entry
            .birth_artifact_id
            .as_deref()
            .and_then(|id| ids::parse_numbered("Artifact", id).ok());
        let mut made = NewEntry {
            path: path.clone(),
            digest: entry.digest.clone(),
            size_bytes: size,
            blob_id: None,
            reference: entry.reference.clone(),
            birth_artifact_id: birth,
        };
        if let Some(digest) = entry.content() {
            let key = (entry.algorithm(), digest);
            let blob = match known.entry(key) {
                Slot::Occupied(there) => there.into_mut(),
                Slot::Vacant(free) => {
                    let found = foreign(access, version, birth, key).await?;
                    let what = "its bytes were not uploaded; upload the file, then commit again";
                    free.insert(found.ok_or_else(|| fault(path, what))?)
                }
            };
            check_size(path, entry, blob)?;
            made.size_bytes = blob.size_bytes;
            made.blob_id = Some(blob.id);
        }
        found.push(made);
    }
    Ok(found)
}

fn check_size(path: &str, entry: &Entry, blob: &BlobRow) -> Result<(), ApiError> {
    // Older clients say no size, which reads as 0.
    if entry.size == 0 || i64::try_from(entry.size) == Ok(blob.size_bytes) {
        return Ok(());
    }
    let what = format!(
        "its size is {}, and {} bytes with its digest were uploaded",
        entry.size, blob.size_bytes
    );
    Err(fault(path, &what))
}

/// Bytes of another entity, in a version that the caller may read: the version's own entity gets a row of the same object.
async fn foreign(
    access: Access<'_>,
    version: &VersionRow,
    birth: Option<i64>,
    (algorithm, digest): (Algorithm, Digest),
) -> Result<Option<BlobRow>, ApiError> {
    let Some(birth) = birth else { return Ok(None) };
    let state = access.state();
    let mut writer = state.store.writer().await?;
    let Some(source) = find::readable(access, &mut writer, birth).await? else {
        return Ok(None);
    };
    let Some(blob) = blobs::find(&mut writer, source.entity_id, algorithm, digest).await? else {
        return Ok(None);
    };
    if !entries::has_blob(&mut writer, source.id, blob.id).await? {
        return Ok(None);
    }
    let now = state.clock.now_micros();
    let Some(id) = blobs::adopt(&mut writer, version.entity_id, &blob, now).await? else {
        return Ok(None);
    };
    let own = blobs::by_id(&mut writer, id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(own)
}
