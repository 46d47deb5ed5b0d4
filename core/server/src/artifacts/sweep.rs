//! The sweep: versions whose time is over, and those of deleted collections and projects.

use super::delete::{lock_places, remove};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::live::LiveHub;
use crate::store::Store;
use crate::store::artifacts::lineage;
use crate::store::artifacts::versions::{self, VersionRow};
use crate::store::conflict::Retries;

/// Versions that one look takes.
const SWEPT: i64 = 500;

/// Deletes versions whose time is over, and those of deleted collections and projects; how many. Each is a transaction of its own: nobody waits for
/// the sweep.
pub(crate) async fn sweep(
    store: &Store,
    clock: &dyn Clock,
    live: &LiveHub,
) -> Result<usize, StoreError> {
    let now = clock.now_micros();
    let ids = {
        let mut reader = store.reader().await?;
        versions::to_sweep(&mut reader, now, SWEPT).await?
    };
    let mut swept = 0;
    for id in ids {
        let mut retries = Retries::default();
        loop {
            match sweep_one(store, id, now).await {
                Err(error) if retries.again(&error).await => {}
                Err(error) => return Err(error),
                Ok(None) => break,
                Ok(Some(version)) => {
                    swept += 1;
                    if let Some(run_id) = version.run_id {
                        live.changed(run_id);
                    }
                    break;
                }
            }
        }
    }
    if swept > 0 {
        tracing::info!(
            swept,
            "versions of artifacts deleted: their time is over, or their collection or project is gone"
        );
    }
    Ok(swept)
}

async fn sweep_one(store: &Store, id: i64, now: i64) -> Result<Option<VersionRow>, StoreError> {
    let mut writer = store.writer().await?;
    let Some(version) = versions::by_id(&mut writer, id).await? else {
        return Ok(None);
    };
    let places = lock_places(&mut writer, &version).await?;
    // Looked at again under the lock: the time may have been set anew, or a link made.
    let Some(version) = versions::by_id(&mut writer, id).await? else {
        return Ok(None);
    };
    let is_linked = places
        .iter()
        .any(|place| place.collection_id != version.sequence_id);
    let is_over = version.is_committed()
        && !is_linked
        && version.ttl_seconds.is_some_and(|seconds| {
            let end = seconds.saturating_mul(1_000_000);
            seconds > 0 && version.created_at_micros.saturating_add(end) <= now
        });
    if version.state == versions::DELETED || !(is_over || version.place_deleted) {
        return Ok(None);
    }
    remove(&mut writer, &version, &places, now).await?;
    if let Some(run_id) = version.run_id {
        lineage::touch_run(&mut writer, run_id).await?;
    }
    writer.commit().await?;
    Ok(Some(version))
}
