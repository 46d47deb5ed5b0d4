//! Changes of collections.

use runlane_model::artifact::names;

use super::create::check_description;
use super::{contradiction, find};
use crate::auth::access::Access;
use crate::error::{ApiError, StoreError};
use crate::store::artifacts::collections::{self, CollectionRow};
use crate::store::artifacts::{memberships, tags, types};
use crate::store::conflict::retried;

/// Gives a collection another name or description; `None` leaves the old one.
pub(crate) async fn update(
    access: Access<'_>,
    collection_id: i64,
    name: Option<&str>,
    description: Option<&str>,
) -> Result<CollectionRow, ApiError> {
    check_description(description)?;
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        names::check_collection_name(name)?;
    }
    retried!(update_once(access, collection_id, name, description))
}

async fn update_once(
    access: Access<'_>,
    collection_id: i64,
    name: Option<&str>,
    description: Option<&str>,
) -> Result<CollectionRow, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let found = find::locked_collection(access, &mut writer, collection_id).await?;
    let name = name.filter(|name| !name.is_empty() && *name != found.name);
    let taken = |name: &str| {
        contradiction(format!(
            "the project has an artifact collection `{name}` already"
        ))
    };
    if let Some(name) = name
        && collections::find(&mut writer, found.project_id, name)
            .await?
            .is_some()
    {
        return Err(taken(name));
    }
    match collections::update(&mut writer, found.id, name, description, now).await {
        // Somebody else has just taken the name.
        Err(StoreError::Sql(sqlx::Error::Database(refusal))) if refusal.is_unique_violation() => {
            return Err(taken(name.unwrap_or_default()));
        }
        done => done?,
    }
    let row = collections::by_id(&mut writer, found.id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(row.unwrap_or(found))
}

/// Moves a sequence with all of its versions to another type, which is created if it is missing.
pub(crate) async fn move_to_type(
    access: Access<'_>,
    collection_id: i64,
    type_name: &str,
) -> Result<CollectionRow, ApiError> {
    names::check_artifact_type(type_name)?;
    retried!(move_once(access, collection_id, type_name))
}

async fn move_once(
    access: Access<'_>,
    collection_id: i64,
    type_name: &str,
) -> Result<CollectionRow, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let found = find::locked_collection(access, &mut writer, collection_id).await?;
    let type_id = types::ensure(&mut writer, found.project_id, type_name, now).await?;
    collections::set_type(&mut writer, found.id, type_id, now).await?;
    let row = collections::by_id(&mut writer, found.id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(row.unwrap_or(found))
}

/// Adds tags to a collection, or removes them; those that it has then.
pub(crate) async fn set_tags(
    access: Access<'_>,
    path: [&str; 3],
    words: &[String],
    add: bool,
) -> Result<Vec<String>, ApiError> {
    retried!(set_tags_once(access, path, words, add))
}

async fn set_tags_once(
    access: Access<'_>,
    path: [&str; 3],
    words: &[String],
    add: bool,
) -> Result<Vec<String>, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let found = find::locked_named(access, &mut writer, path).await?;
    let of = tags::Of::Collection(found.id);
    if add {
        tags::add(&mut writer, of, words).await?;
    } else {
        tags::remove(&mut writer, of, words).await?;
    }
    collections::touch(&mut writer, found.id, now).await?;
    let all = tags::list(&mut writer, of).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(all)
}

/// Deletes a collection: its name is free, and nobody finds it any more. Its versions go with it, those of a sequence by the sweep;
/// a portfolio has only links.
pub(crate) async fn delete(
    access: Access<'_>,
    collection_id: i64,
    kind: &str,
) -> Result<CollectionRow, ApiError> {
    retried!(delete_once(access, collection_id, kind))
}

async fn delete_once(
    access: Access<'_>,
    collection_id: i64,
    kind: &str,
) -> Result<CollectionRow, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let found = find::locked_collection(access, &mut writer, collection_id).await?;
    if found.kind != kind {
        return Err(contradiction(format!(
            "collection `{}` is a {}, not a {kind}",
            found.name, found.kind
        )));
    }
    collections::delete(&mut writer, found.id, now).await?;
    if !found.is_sequence() {
        memberships::delete_all(&mut writer, found.id).await?;
    }
    let row = collections::by_id_any(&mut writer, found.id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(row.unwrap_or(found))
}
