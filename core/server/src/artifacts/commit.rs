//! The commit of a version: its manifest is read, every entry is found, and the version gets its index and its aliases.
//!
//! All of that but the last step leaves no trace that readers see, so a commit that breaks off anywhere is simply done again. Entries of
//! large manifests are stored before the last step, in pieces, as one long transaction would keep everybody else from writing.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use runlane_model::artifact::digest::Algorithm;
use runlane_model::artifact::manifest::{MOST_ENTRIES, Manifest};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::create::{give_aliases, pending_aliases};
use super::locate::located;
use super::{blocking, contradiction, find, manifests as kinds};
use crate::auth::access::Access;
use crate::auth::token;
use crate::blobs::{self, manifests::StoredManifest};
use crate::error::{ApiError, StoreError};
use crate::state::AppState;
use crate::store::Connection;
use crate::store::artifacts::entries::{self, NewEntry};
use crate::store::artifacts::manifests::{self, ManifestRow, NewManifest};
use crate::store::artifacts::versions::{self, Committed, VersionRow};
use crate::store::artifacts::{collections, lineage, memberships, tags};
use crate::store::blobs as blob_rows;
use crate::store::conflict::retried;

/// Entries in one transaction.
const PIECE: usize = 5_000;
/// Paths read at a time.
const PATHS: i64 = 5_000;
/// What the memory for manifests is counted in.
const UNIT_BYTES: i64 = 1 << 10;
/// Manifests of fewer bytes do not wait for larger ones.
const SMALL_BYTES: i64 = 4 << 20;
/// Units that manifests which are being worked on have together; each takes a few times that in memory. One that has more than all takes
/// all: it is the only one then.
const SMALL_UNITS: u32 = 64 << 10;
const LARGE_UNITS: u32 = 256 << 10;
static SMALL: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(SMALL_UNITS as usize));
static LARGE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(LARGE_UNITS as usize));

/// The manifests that a version is made of.
struct Parts {
    /// As they were read: another one later makes another version of it.
    rows: Vec<ManifestRow>,
    source: Source,
}

/// How the whole manifest comes to be.
enum Source {
    /// The client has uploaded it; it is the one that readers get.
    Whole(ManifestRow),
    /// It is put together from what one or several clients have uploaded, on top of a base, in this order.
    Merged {
        base: Option<ManifestRow>,
        rows: Vec<ManifestRow>,
    },
}

impl Source {
    fn size_bytes(&self) -> i64 {
        let sizes = match self {
            Self::Whole(row) => vec![row.size_bytes],
            Self::Merged { base, rows } => {
                let rows = base.iter().chain(rows);
                rows.map(|row| row.size_bytes).collect()
            }
        };
        sizes.into_iter().fold(0, i64::saturating_add)
    }
}

/// What is to be committed.
struct Draft {
    digest: String,
    /// In ascending order of their paths.
    entries: Vec<NewEntry>,
    size_bytes: i64,
}

/// Commits a version to its end; the row id of the version that has the content, which may have been there before.
pub(super) async fn commit(access: Access<'_>, artifact_id: i64) -> Result<i64, ApiError> {
    retried!(attempt(access, artifact_id))
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
    let (version, parts) = {
        let mut reader = state.store.reader().await?;
        let version = find::writable(access, &mut reader, artifact_id).await?;
        if let Some(done) = outcome(&version)? {
            return Ok(done);
        }
        let parts = parts(access, &mut reader, &version).await?;
        (version, parts)
    };
    let _turn = turn(parts.source.size_bytes()).await?;
    let (draft, merged) = read(access, &version, &parts.source).await?;
    if draft.entries.len() > PIECE {
        store_pieces(state, &version, &parts, &draft.entries).await?;
    }
    let merged = match merged {
        None => None,
        Some(bytes) => Some(blobs::put_manifest(state, version.id, bytes).await?),
    };
    let mut is_in_doubt = false;
    let step = Last {
        access,
        version: &version,
        parts: &parts,
        draft: &draft,
        merged: merged.as_ref(),
    };
    let done = step.finish(&mut is_in_doubt).await;
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
            // In doubt, a row may name it; if none does, it is a leftover, which upkeep removes.
            if let Some(merged) = merged.filter(|_| !is_in_doubt) {
                state.store.objects.remove(&merged.object_key).await;
            }
            Err(error)
        }
    }
}

/// Waits for the memory that manifests of so many bytes take.
async fn turn(size_bytes: i64) -> Result<SemaphorePermit<'static>, ApiError> {
    let (turns, most) = if size_bytes < SMALL_BYTES {
        (&*SMALL, SMALL_UNITS)
    } else {
        (&*LARGE, LARGE_UNITS)
    };
    let units = u32::try_from(size_bytes / UNIT_BYTES).map_or(most, |units| units.min(most));
    turns.acquire_many(units.max(1)).await.map_err(|_closed| {
        ApiError::unavailable("the server is about to stop; commit the artifact again")
    })
}

/// The manifests that are read: the full one, or else an incremental one with its base, or else the union of all parts.
async fn parts(
    access: Access<'_>,
    connection: &mut Connection,
    version: &VersionRow,
) -> Result<Parts, ApiError> {
    let rows = manifests::of_version(connection, version.id).await?;
    let is_there = |row: &&ManifestRow| row.object_key.is_some();
    let last_of = |kind| {
        let of_kind = rows.iter().filter(is_there).rfind(|row| row.kind == kind);
        of_kind.cloned()
    };
    let source = if let Some(row) = last_of(kinds::FULL) {
        Source::Whole(row)
    } else if let Some(row) = last_of(kinds::INCREMENTAL) {
        let base = base_of(access, connection, version, &row).await?;
        let rows = vec![row];
        Source::Merged { base, rows }
    } else {
        let patches = rows.iter().filter(|row| row.kind == kinds::PATCH);
        check_arrived(version, patches.clone())?;
        let rows: Vec<ManifestRow> = patches.filter(is_there).cloned().collect();
        if rows.is_empty() {
            return Err(contradiction(format!(
                "artifact `{}` cannot be committed: its manifest was not uploaded",
                version.sequence
            )));
        }
        Source::Merged { base: None, rows }
    };
    Ok(Parts { rows, source })
}

/// Refuses a version of several writers of which one has said what its part is and has not sent it. A part without a digest says nothing:
/// its writer has just begun, or has begun again in another one since its answer was lost. One that died and did it again has a second
/// part of the same digest.
fn check_arrived<'a>(
    version: &VersionRow,
    patches: impl Iterator<Item = &'a ManifestRow> + Clone,
) -> Result<(), ApiError> {
    const NAMED: usize = 10;
    let arrived: HashSet<&str> = patches
        .clone()
        .filter(|row| row.object_key.is_some())
        .map(|row| row.digest.as_str())
        .collect();
    let missing: Vec<&str> = patches
        .map(|row| row.digest.as_str())
        .filter(|digest| !digest.is_empty() && !arrived.contains(digest))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named = missing[..missing.len().min(NAMED)].join("`, `");
    Err(contradiction(format!(
        "artifact `{}` cannot be committed: {} of its writers' manifests were announced and not uploaded (MD5 `{named}`); \
        let all writers end before the artifact is finished, or log it again under another distributed id",
        version.sequence,
        missing.len()
    )))
}

/// The whole manifest with where each entry's bytes are, and its file if it was put together here.
async fn read(
    access: Access<'_>,
    version: &VersionRow,
    source: &Source,
) -> Result<(Draft, Option<Vec<u8>>), ApiError> {
    let state = access.state();
    let algorithm: Algorithm = version.digest_algorithm.parse().unwrap_or_default();
    let (manifest, is_merged) = match source {
        Source::Whole(row) => (parsed(state, row.id).await?, false),
        Source::Merged { base, rows } => {
            let mut whole = Manifest::default();
            for row in base.iter().chain(rows) {
                let part = parsed(state, row.id).await?;
                whole = blocking(move || {
                    whole.overlay(part);
                    whole
                })
                .await?;
                if whole.entries.len() > MOST_ENTRIES {
                    return Err(ApiError::invalid(format!(
                        "artifact `{}` would have more than {MOST_ENTRIES} entries",
                        version.sequence
                    )));
                }
            }
            (whole, true)
        }
    };
    let (manifest, digest) = blocking(move || {
        let digest = manifest.digest(algorithm);
        (Arc::new(manifest), digest)
    })
    .await?;
    if !is_merged && digest != version.digest {
        return Err(ApiError::invalid(format!(
            "the manifest of artifact `{}` has digest `{digest}`, and `{}` was announced",
            version.sequence, version.digest
        )));
    }
    let entries = located(access, version, &manifest).await?;
    let file = if is_merged {
        Some(blocking(move || manifest.write()).await?)
    } else {
        None
    };
    let sizes = entries.iter().map(|entry| entry.size_bytes);
    let size_bytes = sizes.fold(0, i64::saturating_add);
    let draft = Draft {
        digest,
        entries,
        size_bytes,
    };
    Ok((draft, file))
}

async fn parsed(state: &AppState, manifest_id: i64) -> Result<Manifest, ApiError> {
    let file = blobs::manifest_bytes(state, manifest_id).await?;
    blocking(move || Manifest::read(&file.bytes))
        .await?
        .map_err(|error| ApiError::invalid(error.to_string()))
}

/// What an incremental manifest builds on: that of the version that it names, or else of the latest one.
async fn base_of(
    access: Access<'_>,
    connection: &mut Connection,
    version: &VersionRow,
    row: &ManifestRow,
) -> Result<Option<ManifestRow>, ApiError> {
    let base = match row.base_id {
        Some(id) => Some(find::existing(access, connection, id).await?.id),
        None => memberships::latest(connection, version.sequence_id)
            .await?
            .map(|place| place.artifact_id),
    };
    Ok(match base {
        Some(id) => manifests::current(connection, id).await?,
        None => None,
    })
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

/// Stores the entries of a large manifest. Another commit of the same manifests, by another server, stores the same.
async fn store_pieces(
    state: &AppState,
    version: &VersionRow,
    parts: &Parts,
    new: &[NewEntry],
) -> Result<(), ApiError> {
    let now = state.clock.now_micros();
    for piece in new.chunks(PIECE) {
        let mut writer = state.store.writer().await?;
        versions::lock(&mut writer, version.id).await?;
        let current = versions::by_id(&mut writer, version.id).await?;
        if !current.is_some_and(|current| current.is_pending()) {
            // Somebody else has committed or deleted it: the next attempt finds out.
            return Err(StoreError::Conflict("the artifact was just committed or deleted").into());
        }
        check_unchanged(&mut writer, version.id, parts).await?;
        store_entries(&mut writer, version, piece, now).await?;
        writer.commit().await.map_err(StoreError::from)?;
    }
    Ok(())
}

/// Checks, with the version locked, that its manifests are those that were read.
async fn check_unchanged(
    connection: &mut Connection,
    artifact_id: i64,
    parts: &Parts,
) -> Result<(), StoreError> {
    let facts = |rows: &[ManifestRow]| -> Vec<(i64, String, Option<String>)> {
        let there = rows.iter().filter(|row| row.object_key.is_some());
        there
            .map(|row| (row.id, row.digest.clone(), row.object_key.clone()))
            .collect()
    };
    let now = manifests::of_version(connection, artifact_id).await?;
    if facts(&now) == facts(&parts.rows) {
        return Ok(());
    }
    Err(StoreError::Conflict(
        "a manifest was just announced or uploaded anew",
    ))
}

/// Removes entries of commits of other manifests that broke off.
async fn remove_others(
    connection: &mut Connection,
    artifact_id: i64,
    entries: &[NewEntry],
) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let paths = entries::paths(connection, artifact_id, &after, PATHS).await?;
        let Some(last) = paths.last() else {
            return Ok(());
        };
        after.clone_from(last);
        for path in paths {
            if entries
                .binary_search_by(|entry| entry.path.as_str().cmp(&path))
                .is_err()
            {
                entries::delete(connection, artifact_id, &path).await?;
            }
        }
    }
}

/// The last step.
struct Last<'a> {
    access: Access<'a>,
    version: &'a VersionRow,
    parts: &'a Parts,
    draft: &'a Draft,
    /// The manifest that was put together.
    merged: Option<&'a StoredManifest>,
}

impl Last<'_> {
    /// The version that has the content, the runs whose outputs have changed, and whether a manifest that was put together is kept.
    /// Whoever gets an error with `is_in_doubt` set does not know whether the step was done.
    async fn finish(&self, is_in_doubt: &mut bool) -> Result<(i64, Vec<i64>, bool), ApiError> {
        let state = self.access.state();
        let draft = self.draft;
        let now = state.clock.now_micros();
        let mut writer = state.store.writer().await?;
        let current = find::locked(self.access, &mut writer, self.version.id).await?;
        if let Some(done) = outcome(&current)? {
            return Ok((done, Vec::new(), false));
        }
        check_unchanged(&mut writer, current.id, self.parts).await?;
        let words = pending_aliases(&current);
        let algorithm = &current.digest_algorithm;
        let twin =
            versions::with_digest(&mut writer, current.sequence_id, algorithm, &draft.digest)
                .await?;
        let run_id = current.run_id;
        let id = if let Some(twin) = &twin {
            give_aliases(&mut writer, twin, &words).await?;
            let names = tags::list(&mut writer, tags::Of::Version(current.id)).await?;
            tags::add(&mut writer, tags::Of::Version(twin.id), &names).await?;
            versions::merge_into(&mut writer, current.id, twin.id, now).await?;
            collections::touch(&mut writer, current.sequence_id, now).await?;
            if let Some(run_id) = run_id.filter(|_| twin.run_id != run_id) {
                lineage::add_output(&mut writer, run_id, twin.id, now).await?;
            }
            twin.id
        } else {
            self.publish(&mut writer, &current, now).await?;
            give_aliases(&mut writer, &current, &words).await?;
            current.id
        };
        let runs: Vec<i64> = run_id.into_iter().collect();
        for &run_id in &runs {
            lineage::touch_run(&mut writer, run_id).await?;
        }
        *is_in_doubt = true;
        writer.commit().await.map_err(StoreError::from)?;
        Ok((id, runs, twin.is_none()))
    }

    async fn publish(
        &self,
        connection: &mut Connection,
        version: &VersionRow,
        now: i64,
    ) -> Result<(), ApiError> {
        let draft = self.draft;
        let file_count = i64::try_from(draft.entries.len()).unwrap_or(i64::MAX);
        if draft.entries.len() <= PIECE {
            store_entries(connection, version, &draft.entries, now).await?;
        }
        if entries::count(connection, version.id).await? != file_count {
            remove_others(connection, version.id, &draft.entries).await?;
            if entries::count(connection, version.id).await? != file_count {
                return Err(StoreError::Conflict("entries of an artifact are missing").into());
            }
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
        let sequence_id = version.sequence_id;
        memberships::insert(connection, sequence_id, version.id, version_index, now).await?;
        let manifest_id = match (&self.parts.source, self.merged) {
            (Source::Whole(row), _) => row.id,
            (Source::Merged { .. }, Some(stored)) => {
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
            (Source::Merged { .. }, None) => {
                return Err(ApiError::unavailable("the merged manifest is missing"));
            }
        };
        manifests::make_current(connection, manifest_id).await?;
        Ok(())
    }
}
