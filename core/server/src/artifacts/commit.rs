//! The commit of a version: its manifest is read, every entry is found, and the version gets its index and its aliases.
//!
//! All of that but the last step leaves no trace that readers see, so a commit that breaks off anywhere is simply done again. Entries of
//! large manifests are stored before the last step, in pieces, as one long transaction would keep everybody else from writing.

use std::sync::LazyLock;

use runlane_model::artifact::digest::Algorithm;
use runlane_model::artifact::manifest::Manifest;
use tokio::sync::Semaphore;

use super::create::{give_aliases, pending_aliases};
use super::locate::located;
use super::{contradiction, find, manifests as kinds};
use crate::auth::access::Access;
use crate::auth::token;
use crate::blobs::{self, manifests::StoredManifest};
use crate::error::{ApiError, StoreError};
use crate::state::AppState;
use crate::store::Connection;
use crate::store::artifacts::entries::{self, NewEntry};
use crate::store::artifacts::manifests::{self, ManifestRow, NewManifest};
use crate::store::artifacts::versions::{self, Committed, VersionRow};
use crate::store::artifacts::{collections, lineage, memberships};
use crate::store::blobs as blob_rows;
use crate::store::conflict::Retries;

/// Entries in one transaction.
const PIECE: usize = 5_000;
/// Manifests from this size on are read only so many at the same time: they take a few times their bytes of memory.
const LARGE_BYTES: i64 = 4 << 20;
static LARGE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));

/// What is to be committed.
struct Draft {
    digest: String,
    entries: Vec<NewEntry>,
    size_bytes: i64,
    source: Source,
}

/// Where the manifest that readers will get is.
enum Source {
    /// The client has uploaded it.
    Uploaded(ManifestRow),
    /// It was put together here.
    Merged(Vec<u8>),
}

/// Commits a version to its end; the row id of the version that has the content, which may have been there before.
pub(super) async fn commit(access: Access<'_>, artifact_id: i64) -> Result<i64, ApiError> {
    let mut retries = Retries::default();
    loop {
        match attempt(access, artifact_id).await {
            Err(error) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

/// The version that a commit has led to already.
pub(super) fn outcome(version: &VersionRow) -> Result<Option<i64>, ApiError> {
    if let Some(other) = version.same_as {
        return Ok(Some(other));
    }
    if version.is_deleted() {
        return Err(contradiction(format!(
            "artifact `{}` was deleted, or was given up because nothing came for long; log it again",
            version.sequence
        )));
    }
    Ok(version.is_committed().then_some(version.id))
}

async fn attempt(access: Access<'_>, artifact_id: i64) -> Result<i64, ApiError> {
    let state = access.state();
    let (version, rows) = {
        let mut reader = state.store.reader().await?;
        let version = find::writable(access, &mut reader, artifact_id).await?;
        if let Some(done) = outcome(&version)? {
            return Ok(done);
        }
        let rows = manifests::of_version(&mut reader, version.id).await?;
        (version, rows)
    };
    let bytes = rows.iter().map(|row| row.size_bytes);
    let _turn = if bytes.fold(0, i64::saturating_add) < LARGE_BYTES {
        None
    } else {
        Some(LARGE.acquire().await.map_err(|_closed| {
            ApiError::unavailable("the server is about to stop; commit the artifact again")
        })?)
    };
    let draft = read(access, &version, rows).await?;
    if draft.entries.len() > PIECE {
        store_pieces(state, &version, &draft.entries).await?;
    }
    let merged = match &draft.source {
        Source::Uploaded(_) => None,
        Source::Merged(bytes) => Some(blobs::put_manifest(state, version.id, bytes.clone()).await?),
    };
    let done = finish(access, &version, &draft, merged.as_ref()).await;
    match done {
        Ok((id, runs, is_kept)) => {
            if let Some(merged) = merged.filter(|_| !is_kept) {
                state.store.objects.remove(&merged.object_key).await;
            }
            for run_id in runs {
                state.live.changed(run_id);
            }
            Ok(id)
        }
        Err(error) => {
            if let Some(merged) = merged {
                state.store.objects.remove(&merged.object_key).await;
            }
            Err(error)
        }
    }
}

/// The whole manifest, with where each entry's bytes are.
async fn read(
    access: Access<'_>,
    version: &VersionRow,
    rows: Vec<ManifestRow>,
) -> Result<Draft, ApiError> {
    let state = access.state();
    let stored: Vec<ManifestRow> = rows
        .into_iter()
        .filter(|row| row.object_key.is_some())
        .collect();
    let algorithm: Algorithm = version.digest_algorithm.parse().unwrap_or_default();
    let last_of = |kind| stored.iter().rfind(|row| row.kind == kind).cloned();
    let (manifest, source) = if let Some(row) = last_of(kinds::FULL) {
        let manifest = parsed(state, row.id).await?;
        let digest = manifest.digest(algorithm);
        if digest != version.digest {
            return Err(ApiError::invalid(format!(
                "the manifest of artifact `{}` has digest `{digest}`, and `{}` was announced",
                version.sequence, version.digest
            )));
        }
        (manifest, Some(row))
    } else if let Some(row) = last_of(kinds::INCREMENTAL) {
        let mut whole = base_of(access, version, &row).await?;
        whole.overlay(parsed(state, row.id).await?);
        (whole, None)
    } else {
        let mut whole: Option<Manifest> = None;
        for row in stored.iter().filter(|row| row.kind == kinds::PATCH) {
            let patch = parsed(state, row.id).await?;
            match &mut whole {
                Some(whole) => whole.overlay(patch),
                None => whole = Some(patch),
            }
        }
        let whole = whole.ok_or_else(|| {
            contradiction(format!(
                "artifact `{}` cannot be committed: its manifest was not uploaded",
                version.sequence
            ))
        })?;
        (whole, None)
    };
    let entries = located(access, version, &manifest).await?;
    let sizes = entries.iter().map(|entry| entry.size_bytes);
    let size_bytes = sizes.fold(0, i64::saturating_add);
    let (digest, source) = match source {
        Some(row) => (version.digest.clone(), Source::Uploaded(row)),
        None => {
            blocking(move || (manifest.digest(algorithm), Source::Merged(manifest.write()))).await?
        }
    };
    Ok(Draft {
        digest,
        entries,
        size_bytes,
        source,
    })
}

/// Work of some length.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_panic| ApiError::unavailable("the manifest could not be worked on"))
}

async fn parsed(state: &AppState, manifest_id: i64) -> Result<Manifest, ApiError> {
    let file = blobs::manifest_bytes(state, manifest_id).await?;
    blocking(move || Manifest::read(&file.bytes))
        .await?
        .map_err(|error| ApiError::invalid(error.to_string()))
}

/// What an incremental manifest builds on: the version that it names, or else the latest one.
async fn base_of(
    access: Access<'_>,
    version: &VersionRow,
    row: &ManifestRow,
) -> Result<Manifest, ApiError> {
    let state = access.state();
    let manifest = {
        let mut reader = state.store.reader().await?;
        let base = match row.base_id {
            Some(id) => Some(find::existing(access, &mut reader, id).await?.id),
            None => memberships::latest(&mut reader, version.sequence_id)
                .await?
                .map(|place| place.artifact_id),
        };
        match base {
            Some(id) => manifests::current(&mut reader, id).await?,
            None => None,
        }
    };
    match manifest {
        Some(manifest) => parsed(state, manifest.id).await,
        None => Ok(Manifest::default()),
    }
}

/// Marks the bytes of entries as wanted, and stores the entries.
async fn store_entries(
    connection: &mut Connection,
    version: &VersionRow,
    new: &[NewEntry],
    now_micros: i64,
) -> Result<(), ApiError> {
    let mut ids: Vec<i64> = new.iter().filter_map(|entry| entry.blob_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let there = blob_rows::touch(connection, &ids, now_micros).await?;
    if ids.iter().any(|id| !there.contains(id)) {
        return Err(StoreError::Conflict("bytes of an artifact were just collected").into());
    }
    entries::insert(connection, version.id, new).await?;
    Ok(())
}

/// Stores the entries of a large manifest.
async fn store_pieces(
    state: &AppState,
    version: &VersionRow,
    new: &[NewEntry],
) -> Result<(), ApiError> {
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    lock_pending(&mut writer, version).await?;
    // Of an attempt with another manifest.
    entries::delete_all(&mut writer, version.id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    for piece in new.chunks(PIECE) {
        let mut writer = state.store.writer().await?;
        lock_pending(&mut writer, version).await?;
        store_entries(&mut writer, version, piece, now).await?;
        writer.commit().await.map_err(StoreError::from)?;
    }
    Ok(())
}

async fn lock_pending(connection: &mut Connection, version: &VersionRow) -> Result<(), ApiError> {
    versions::lock(connection, version.id).await?;
    let current = versions::by_id(connection, version.id).await?;
    if current.is_some_and(|current| current.is_pending()) {
        return Ok(());
    }
    // Somebody else has committed or deleted it: the next attempt finds out.
    Err(StoreError::Conflict("the artifact was just committed or deleted").into())
}

/// The last step: the version that has the content, the runs whose outputs have changed, and whether a manifest that was put
/// together is kept.
async fn finish(
    access: Access<'_>,
    version: &VersionRow,
    draft: &Draft,
    merged: Option<&StoredManifest>,
) -> Result<(i64, Vec<i64>, bool), ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let current = find::locked(access, &mut writer, version.id).await?;
    if let Some(done) = outcome(&current)? {
        return Ok((done, Vec::new(), false));
    }
    let words = pending_aliases(&current);
    let algorithm = &current.digest_algorithm;
    let twin =
        versions::with_digest(&mut writer, current.sequence_id, algorithm, &draft.digest).await?;
    let run_id = current.run_id;
    let id = if let Some(twin) = &twin {
        give_aliases(&mut writer, twin, &words).await?;
        versions::merge_into(&mut writer, current.id, twin.id, now).await?;
        collections::touch(&mut writer, current.sequence_id, now).await?;
        if let Some(run_id) = run_id.filter(|_| twin.run_id != run_id) {
            lineage::add_output(&mut writer, run_id, twin.id, now).await?;
        }
        twin.id
    } else {
        publish(&mut writer, &current, draft, merged, now).await?;
        give_aliases(&mut writer, &current, &words).await?;
        current.id
    };
    let runs: Vec<i64> = run_id.into_iter().collect();
    for &run_id in &runs {
        lineage::touch_run(&mut writer, run_id).await?;
    }
    writer.commit().await.map_err(StoreError::from)?;
    Ok((id, runs, twin.is_none()))
}

async fn publish(
    connection: &mut Connection,
    version: &VersionRow,
    draft: &Draft,
    merged: Option<&StoredManifest>,
    now: i64,
) -> Result<(), ApiError> {
    let file_count = i64::try_from(draft.entries.len()).unwrap_or(i64::MAX);
    if draft.entries.len() > PIECE {
        if entries::count(connection, version.id).await? != file_count {
            return Err(StoreError::Conflict("two commits of one artifact").into());
        }
    } else {
        entries::delete_all(connection, version.id).await?;
        store_entries(connection, version, &draft.entries, now).await?;
    }
    let version_index = collections::take_version(connection, version.sequence_id, now).await?;
    let commit_hash = token::hex(&token::random_bytes::<10>());
    let committed = Committed {
        version_index,
        digest: &draft.digest,
        commit_hash: &commit_hash,
        size_bytes: draft.size_bytes,
        file_count,
    };
    versions::commit(connection, version.id, &committed, now).await?;
    memberships::insert(
        connection,
        version.sequence_id,
        version.id,
        version_index,
        now,
    )
    .await?;
    let manifest_id = match (&draft.source, merged) {
        (Source::Uploaded(row), _) => {
            let row = manifests::by_id(connection, row.id).await?;
            let same = row.filter(|row| row.object_key.is_some());
            same.ok_or(StoreError::Conflict("the manifest was just announced anew"))?
                .id
        }
        (Source::Merged(_), Some(stored)) => {
            let made = NewManifest {
                artifact_id: version.id,
                kind: kinds::FULL,
                name: "wandb_manifest.json",
                digest: &stored.md5,
                base_id: None,
                stored: Some((&stored.object_key, stored.size_bytes)),
            };
            manifests::insert(connection, &made, now).await?
        }
        (Source::Merged(_), None) => {
            return Err(ApiError::unavailable("the merged manifest is missing"));
        }
    };
    manifests::make_current(connection, manifest_id).await?;
    Ok(())
}
