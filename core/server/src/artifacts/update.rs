//! Changes of versions that leave their content as it is.

use runlane_model::artifact::names;

use super::create::check_description;
use super::{contradiction, find};
use crate::auth::access::Access;
use crate::error::{ApiError, StoreError};
use crate::store::artifacts::versions::{self, VersionChange, VersionRow};
use crate::store::artifacts::{aliases, collections, lineage, memberships, tags};
use crate::store::conflict::retried;

/// New values of a version, checked as far as words go; `None` leaves the old one.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) description: versions::Change<String>,
    pub(crate) metadata: Option<String>,
    /// None: as the collection's.
    pub(crate) ttl_seconds: versions::Change<i64>,
    pub(crate) tags_to_add: Vec<String>,
    pub(crate) tags_to_delete: Vec<String>,
    /// Aliases of its sequence that it gets.
    pub(crate) aliases: Vec<String>,
}

/// Changes a version.
pub(crate) async fn update(
    access: Access<'_>,
    artifact_id: i64,
    change: &Change,
) -> Result<i64, ApiError> {
    if let Some(metadata) = &change.metadata {
        names::check_metadata(metadata)?;
    }
    let description = match &change.description {
        versions::Change::Kept => versions::Change::Kept,
        versions::Change::Set(text) => versions::Change::Set(text.as_deref()),
    };
    if let versions::Change::Set(text) = description {
        check_description(text)?;
    }
    retried!(update_once(access, artifact_id, change, description))
}

async fn update_once(
    access: Access<'_>,
    artifact_id: i64,
    change: &Change,
    description: versions::Change<&str>,
) -> Result<i64, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let version = find::locked(access, &mut writer, artifact_id).await?;
    if version.is_deleted() {
        return Err(ApiError::not_found("there is no artifact with this id"));
    }
    if version.is_pending() && !change.aliases.is_empty() {
        return Err(no_aliases_yet(&version));
    }
    let values = VersionChange {
        description,
        metadata: change.metadata.as_deref(),
        ttl_seconds: change.ttl_seconds,
    };
    versions::update(&mut writer, version.id, &values, now).await?;
    let of = tags::Of::Version(version.id);
    tags::remove(&mut writer, of, &change.tags_to_delete).await?;
    tags::add(&mut writer, of, &change.tags_to_add).await?;
    if !change.aliases.is_empty() {
        super::create::give_aliases(&mut writer, &version, &change.aliases).await?;
    }
    if let Some(run_id) = version.run_id {
        lineage::touch_run(&mut writer, run_id).await?;
    }
    writer.commit().await.map_err(StoreError::from)?;
    if let Some(run_id) = version.run_id {
        state.live.changed(run_id);
    }
    Ok(version.id)
}

fn no_aliases_yet(version: &VersionRow) -> ApiError {
    contradiction(format!(
        "artifact `{}` cannot get aliases before it is committed",
        version.sequence
    ))
}

/// An alias of a collection.
#[derive(Debug)]
pub(crate) struct AliasOf {
    pub(crate) entity: String,
    pub(crate) project: String,
    pub(crate) collection: String,
    pub(crate) alias: String,
}

/// Gives aliases to a version, or takes them from it, in collections that have it.
pub(crate) async fn set_aliases(
    access: Access<'_>,
    artifact_id: i64,
    words: &[AliasOf],
    give: bool,
) -> Result<(), ApiError> {
    super::checked_aliases(words.iter().map(|word| word.alias.clone()).collect())?;
    retried!(set_aliases_once(access, artifact_id, words, give))
}

async fn set_aliases_once(
    access: Access<'_>,
    artifact_id: i64,
    words: &[AliasOf],
    give: bool,
) -> Result<(), ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let version = find::existing(access, &mut writer, artifact_id).await?;
    if version.is_pending() {
        return Err(no_aliases_yet(&version));
    }
    // Locked in the order of their row ids.
    let mut places: Vec<(i64, &AliasOf)> = Vec::new();
    for word in words {
        let path = [&word.entity, &word.project, &word.collection].map(String::as_str);
        places.push((
            find::writable_named(access, &mut writer, path).await?.id,
            word,
        ));
    }
    places.sort_by_key(|(id, _)| *id);
    for (collection_id, word) in places {
        collections::lock(&mut writer, collection_id).await?;
        let place = memberships::find(&mut writer, collection_id, version.id)
            .await?
            .ok_or_else(|| {
                ApiError::not_found(format!(
                    "collection `{}` does not have this artifact",
                    word.collection
                ))
            })?;
        if give {
            aliases::give(&mut writer, collection_id, place.id, &word.alias).await?;
        } else {
            aliases::take(&mut writer, place.id, &word.alias).await?;
        }
        collections::touch(&mut writer, collection_id, now).await?;
    }
    if let Some(run_id) = version.run_id {
        lineage::touch_run(&mut writer, run_id).await?;
    }
    writer.commit().await.map_err(StoreError::from)?;
    if let Some(run_id) = version.run_id {
        state.live.changed(run_id);
    }
    Ok(())
}
