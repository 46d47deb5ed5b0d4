//! Deletion of versions.

use std::collections::BTreeSet;

use super::{contradiction, find};
use crate::auth::access::Access;
use crate::error::{ApiError, StoreError};
use crate::store::Connection;
use crate::store::artifacts::memberships::{self, MembershipRow};
use crate::store::artifacts::versions::{self, VersionRow};
use crate::store::artifacts::{aliases, collections, lineage};
use crate::store::conflict::retried;

/// Deletes a version. One that has aliases, in any collection, is deleted only `with_aliases`.
pub(crate) async fn delete(
    access: Access<'_>,
    artifact_id: i64,
    with_aliases: bool,
) -> Result<VersionRow, ApiError> {
    retried!(attempt(access, artifact_id, with_aliases))
}

async fn attempt(
    access: Access<'_>,
    artifact_id: i64,
    with_aliases: bool,
) -> Result<VersionRow, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let version = find::writable(access, &mut writer, artifact_id).await?;
    let places = lock_places(&mut writer, &version).await?;
    let current = find::writable(access, &mut writer, artifact_id).await?;
    if current.is_deleted() {
        // Repeated: it is as it was asked to be.
        return Ok(current);
    }
    if !with_aliases {
        let held = aliases::of_version(&mut writer, version.id).await?;
        if !held.is_empty() {
            let words: Vec<&str> = held.iter().map(|row| row.alias.as_str()).collect();
            return Err(contradiction(format!(
                "artifact `{}:v{}` has the aliases {}: delete it with its aliases, or move them first",
                version.sequence,
                version.version_index.unwrap_or_default(),
                words.join(", ")
            )));
        }
    }
    remove(&mut writer, &current, &places, now).await?;
    if let Some(run_id) = current.run_id {
        lineage::touch_run(&mut writer, run_id).await?;
    }
    writer.commit().await.map_err(StoreError::from)?;
    if let Some(run_id) = current.run_id {
        state.live.changed(run_id);
    }
    Ok(current)
}

/// Deletes what a run has logged first, with all aliases.
pub(crate) async fn delete_of_run(access: Access<'_>, run_id: i64) -> Result<(), ApiError> {
    let ids = {
        let mut reader = access.state().store.reader().await?;
        versions::logged_by(&mut reader, run_id).await?
    };
    for id in ids {
        delete(access, id, true).await?;
    }
    Ok(())
}

/// Locks a version with everything that has it.
pub(super) async fn lock_places(
    connection: &mut Connection,
    version: &VersionRow,
) -> Result<Vec<MembershipRow>, StoreError> {
    let before = memberships::of_version(connection, version.id).await?;
    let mut ids: BTreeSet<i64> = before.iter().map(|place| place.collection_id).collect();
    ids.insert(version.sequence_id);
    for &id in &ids {
        collections::lock(connection, id).await?;
    }
    versions::lock(connection, version.id).await?;
    let places = memberships::of_version(connection, version.id).await?;
    // Linked while the locks were waited for.
    if places
        .iter()
        .any(|place| !ids.contains(&place.collection_id))
    {
        return Err(StoreError::Conflict("the artifact was just linked"));
    }
    Ok(places)
}

/// Takes a locked version out of everything.
pub(super) async fn remove(
    connection: &mut Connection,
    version: &VersionRow,
    places: &[MembershipRow],
    now_micros: i64,
) -> Result<(), StoreError> {
    for place in places {
        memberships::delete(connection, place.id).await?;
        collections::touch(connection, place.collection_id, now_micros).await?;
    }
    versions::delete(connection, version.id, now_micros).await
}
