//! Where the bytes of a manifest's entries are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_model::artifact::manifest::{Entry, Manifest};

use super::{blocking, find};
use crate::auth::access::Access;
use crate::error::{ApiError, StoreError};
use crate::graphql::ids;
use crate::store::artifacts::entries::{self, NewEntry};
use crate::store::artifacts::versions::VersionRow;
use crate::store::blobs::{self, BlobRow};

/// Entries of another entity in one transaction.
const PIECE: usize = 1_000;

fn fault(path: &str, what: &str) -> ApiError {
    let shown: String = path
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect();
    ApiError::invalid(format!("entry `{shown}` of the manifest: {what}"))
}

type Key = (Algorithm, Digest);

/// The entries to store, in ascending order of their paths, with the bytes of those that are files.
pub(super) async fn located(
    access: Access<'_>,
    version: &VersionRow,
    manifest: &Arc<Manifest>,
) -> Result<Vec<NewEntry>, ApiError> {
    let whole = Arc::clone(manifest);
    let contents = blocking(move || -> Vec<Key> {
        let keys: HashSet<Key> = whole.entries.values().filter_map(key_of).collect();
        keys.into_iter().collect()
    })
    .await?;
    let mut reader = access.state().store.reader().await?;
    let mut known = blobs::find_many(&mut reader, version.entity_id, &contents).await?;
    drop(reader);
    if known.len() < contents.len() {
        let whole = Arc::clone(manifest);
        let (mut sources, back) = blocking(move || {
            let mut sources: BTreeMap<i64, HashSet<Key>> = BTreeMap::new();
            for entry in whole.entries.values() {
                if let (Some(birth), Some(key)) = (birth_of(entry), key_of(entry))
                    && !known.contains_key(&key)
                {
                    sources.entry(birth).or_default().insert(key);
                }
            }
            (sources, known)
        })
        .await?;
        known = back;
        for (birth, keys) in &mut sources {
            let keys: Vec<Key> = keys.drain().collect();
            for keys in keys.chunks(PIECE) {
                known.extend(foreign(access, version, *birth, keys).await?);
            }
        }
    }
    let whole = Arc::clone(manifest);
    blocking(move || {
        let entries = whole.entries.iter();
        entries
            .map(|(path, entry)| made(path, entry, &known))
            .collect()
    })
    .await?
}

fn key_of(entry: &Entry) -> Option<Key> {
    Some((entry.algorithm(), entry.content()?))
}

/// The version that an entry says to come from.
fn birth_of(entry: &Entry) -> Option<i64> {
    let id = entry.birth_artifact_id.as_deref()?;
    ids::parse_numbered("Artifact", id).ok()
}

fn made(path: &str, entry: &Entry, known: &HashMap<Key, BlobRow>) -> Result<NewEntry, ApiError> {
    let size = i64::try_from(entry.size)
        .map_err(|_too_large| fault(path, "its size is no number of bytes"))?;
    let mut made = NewEntry {
        path: path.to_owned(),
        digest: entry.digest.clone(),
        size_bytes: size,
        blob_id: None,
        reference: entry.reference.clone(),
        birth_artifact_id: birth_of(entry),
    };
    if let Some(key) = key_of(entry) {
        let what = "its bytes were not uploaded; upload the file, then commit again";
        let blob = known.get(&key).ok_or_else(|| fault(path, what))?;
        check_size(path, entry, blob)?;
        made.size_bytes = blob.size_bytes;
        made.blob_id = Some(blob.id);
    }
    Ok(made)
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

/// Bytes of another entity, in a version that the caller may read: the version's own entity gets rows of the same objects. What is not
/// in that version is left out.
async fn foreign(
    access: Access<'_>,
    version: &VersionRow,
    birth: i64,
    keys: &[Key],
) -> Result<HashMap<Key, BlobRow>, ApiError> {
    let state = access.state();
    let mut own = HashMap::new();
    let mut writer = state.store.writer().await?;
    let Some(source) = find::readable(access, &mut writer, birth).await? else {
        return Ok(own);
    };
    let found = blobs::find_many(&mut writer, source.entity_id, keys).await?;
    let mut found: Vec<(Key, BlobRow)> = found.into_iter().collect();
    // Locked one by one: in the order of their ids, as everywhere.
    found.sort_unstable_by_key(|(_, blob)| blob.id);
    let blob_ids: Vec<i64> = found.iter().map(|(_, blob)| blob.id).collect();
    let there = entries::having_blobs(&mut writer, source.id, &blob_ids).await?;
    let now = state.clock.now_micros();
    for (key, blob) in found {
        if there.contains(&blob.id)
            && let Some(id) = blobs::adopt(&mut writer, version.entity_id, &blob, now).await?
            && let Some(row) = blobs::by_id(&mut writer, id).await?
        {
            own.insert(key, row);
        }
    }
    writer.commit().await.map_err(StoreError::from)?;
    Ok(own)
}
