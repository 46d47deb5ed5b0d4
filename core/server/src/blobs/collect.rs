//! Collection of what nobody needs any more: content that no version has, manifests and entries of versions that are gone, and what
//! interrupted uploads have left.
//!
//! The time in which nothing is collected (the grace) lets a client go on with what it began, and readers finish what they read.

use std::time::Duration;

use crate::error::StoreError;
use crate::store::Store;
use crate::store::blobs::unwanted;
use crate::upkeep::Upkeep;

/// How long content is kept that no version has, a version that nobody goes on with, and what a deleted version was made of.
pub(crate) const GRACE: Duration = Duration::from_hours(24);
/// How often is collected.
pub(crate) const INTERVAL: Duration = Duration::from_hours(1);

/// What was collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Versions that were begun and left alone.
    pub(crate) given_up: u64,
    /// Contents.
    pub(crate) blobs: usize,
    /// Objects of contents, manifests and parts.
    pub(crate) objects: usize,
}

/// Collects what was superfluous for longer than `grace` at `now_micros`.
pub(crate) async fn run_once(
    store: &Store,
    grace: Duration,
    now_micros: i64,
) -> Result<Collected, StoreError> {
    let before = now_micros - i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
    let mut collected = Collected {
        given_up: give_up_pending(store, before, now_micros).await?,
        ..Collected::default()
    };
    collected.objects += remove_uploads(store).await?;
    collected.objects += remove_deleted(store, before).await?;
    collected.objects += remove_merged_manifests(store, before).await?;
    remove_blobs(store, before, &mut collected).await?;
    if collected != Collected::default() {
        tracing::info!(
            given_up = collected.given_up,
            contents = collected.blobs,
            objects = collected.objects,
            "unused content of artifacts removed"
        );
    }
    Ok(collected)
}

async fn give_up_pending(store: &Store, before: i64, now_micros: i64) -> Result<u64, StoreError> {
    let mut writer = store.writer().await?;
    let count = unwanted::give_up_pending(&mut writer, before, now_micros).await?;
    writer.commit().await?;
    Ok(count)
}

async fn remove_uploads(store: &Store) -> Result<usize, StoreError> {
    let mut removed = 0;
    loop {
        let ids = {
            let mut reader = store.reader().await?;
            unwanted::uploads(&mut reader).await?
        };
        if ids.is_empty() {
            return Ok(removed);
        }
        for id in ids {
            let mut writer = store.writer().await?;
            let keys = unwanted::remove_upload(&mut writer, id).await?;
            writer.commit().await?;
            removed += remove_objects(store, keys).await?;
        }
    }
}

async fn remove_deleted(store: &Store, before: i64) -> Result<usize, StoreError> {
    let mut removed = 0;
    loop {
        let ids = {
            let mut reader = store.reader().await?;
            unwanted::deleted(&mut reader, before).await?
        };
        if ids.is_empty() {
            return Ok(removed);
        }
        for id in ids {
            let mut more = true;
            while more {
                let mut writer = store.writer().await?;
                more = unwanted::remove_entries(&mut writer, id).await?;
                writer.commit().await?;
            }
            let mut writer = store.writer().await?;
            let keys = unwanted::remove_manifests(&mut writer, id).await?;
            writer.commit().await?;
            removed += remove_objects(store, keys).await?;
        }
    }
}

async fn remove_merged_manifests(store: &Store, before: i64) -> Result<usize, StoreError> {
    let mut removed = 0;
    loop {
        let mut writer = store.writer().await?;
        let (count, keys) = unwanted::remove_merged_manifests(&mut writer, before).await?;
        writer.commit().await?;
        removed += remove_objects(store, keys).await?;
        if count < unwanted::BATCH {
            return Ok(removed);
        }
    }
}

async fn remove_blobs(
    store: &Store,
    before: i64,
    collected: &mut Collected,
) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let (ids, next) = {
            let mut reader = store.reader().await?;
            unwanted::candidates(&mut reader, before, after).await?
        };
        for batch in ids.chunks(unwanted::BATCH) {
            let mut writer = store.writer().await?;
            let keys = unwanted::remove_blobs(&mut writer, batch, before).await?;
            writer.commit().await?;
            collected.blobs += keys.len();
            collected.objects += remove_objects(store, keys).await?;
        }
        match next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

/// Removes objects that no row names any more; how many.
async fn remove_objects(store: &Store, mut keys: Vec<String>) -> Result<usize, StoreError> {
    keys.sort();
    keys.dedup();
    let mut removed = 0;
    for batch in keys.chunks(unwanted::BATCH) {
        // Another entity may have a row of the same object. A new one could only be made from a row that is still there.
        removed += Upkeep::remove_unused(store, batch).await?;
    }
    Ok(removed)
}
