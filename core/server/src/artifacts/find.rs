//! Finding versions and collections that a caller may see or change.
//!
//! A version is seen through the project of its sequence, or through that of a portfolio that it is linked to.

use runlane_model::artifact::names;

use super::LATEST;
use crate::auth::access::{Access, Action};
use crate::error::ApiError;
use crate::store::Connection;
use crate::store::artifacts::collections::{self, CollectionRow};
use crate::store::artifacts::memberships::{self, MembershipRow};
use crate::store::artifacts::versions::{self, VersionRow};
use crate::store::projects;

fn no_artifact() -> ApiError {
    ApiError::not_found("there is no artifact with this id")
}

fn no_collection() -> ApiError {
    ApiError::not_found("there is no artifact collection with this id")
}

/// The version with row id `id`, or the one that stands for it, if the caller may see it.
pub(crate) async fn readable(
    access: Access<'_>,
    connection: &mut Connection,
    id: i64,
) -> Result<Option<VersionRow>, ApiError> {
    let found = versions::standing_for(connection, id).await?;
    let Some(version) = found.filter(|version| !version.is_deleted()) else {
        return Ok(None);
    };
    if access.sees_project(connection, version.project_id).await? {
        return Ok(Some(version));
    }
    for place in memberships::of_version(connection, version.id).await? {
        if let Some(collection) = collections::by_id(connection, place.collection_id).await?
            && access
                .sees_project(connection, collection.project_id)
                .await?
        {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// As [`readable`]; it is an error if there is none.
pub(crate) async fn existing(
    access: Access<'_>,
    connection: &mut Connection,
    id: i64,
) -> Result<VersionRow, ApiError> {
    readable(access, connection, id)
        .await?
        .ok_or_else(no_artifact)
}

/// The version with row id `id`, whatever its state, if the caller may change what is in its project.
pub(crate) async fn writable(
    access: Access<'_>,
    connection: &mut Connection,
    id: i64,
) -> Result<VersionRow, ApiError> {
    let version = versions::by_id(connection, id)
        .await?
        .ok_or_else(no_artifact)?;
    check_write(access, connection, version.project_id, no_artifact).await?;
    Ok(version)
}

/// As [`writable`], locked with its sequence until the end of the transaction.
pub(crate) async fn locked(
    access: Access<'_>,
    connection: &mut Connection,
    id: i64,
) -> Result<VersionRow, ApiError> {
    let version = writable(access, connection, id).await?;
    collections::lock(connection, version.sequence_id).await?;
    versions::lock(connection, version.id).await?;
    versions::by_id(connection, version.id)
        .await?
        .ok_or_else(no_artifact)
}

/// The pending version with row id `id` that the caller uploads.
pub(crate) async fn pending(
    access: Access<'_>,
    connection: &mut Connection,
    id: i64,
) -> Result<VersionRow, ApiError> {
    let version = writable(access, connection, id).await?;
    if version.is_pending() && !version.is_deleted() {
        return Ok(version);
    }
    Err(super::contradiction(format!(
        "artifact `{}` takes no more files: it is {}",
        version.sequence,
        if version.is_committed() {
            "committed"
        } else {
            "deleted, or was given up because nothing came for long; log it again"
        }
    )))
}

async fn check_write(
    access: Access<'_>,
    connection: &mut Connection,
    project_id: i64,
    none: impl Fn() -> ApiError,
) -> Result<(), ApiError> {
    let project = projects::by_id(connection, project_id)
        .await?
        .ok_or_else(&none)?;
    let sees = access
        .check_project(connection, &project, Action::Write)
        .await?;
    if sees { Ok(()) } else { Err(none()) }
}

/// The collection with row id `id` that the caller may change, locked until the end of the transaction.
pub(crate) async fn locked_collection(
    access: Access<'_>,
    connection: &mut Connection,
    id: i64,
) -> Result<CollectionRow, ApiError> {
    let found = collections::by_id(connection, id)
        .await?
        .ok_or_else(no_collection)?;
    check_write(access, connection, found.project_id, no_collection).await?;
    collections::lock(connection, id).await?;
    collections::by_id(connection, id)
        .await?
        .ok_or_else(no_collection)
}

/// The collection `entity/project/name` that the caller may change.
pub(crate) async fn writable_named(
    access: Access<'_>,
    connection: &mut Connection,
    [entity, project, name]: [&str; 3],
) -> Result<CollectionRow, ApiError> {
    let none = || {
        let entity = access.entity_name(entity);
        ApiError::not_found(format!(
            "there is no artifact collection `{entity}/{project}/{name}`"
        ))
    };
    let project = access
        .project(connection, entity, project, Action::Write)
        .await?
        .ok_or_else(none)?;
    let found = collections::find(connection, project.id, name).await?;
    found.ok_or_else(none)
}

/// As [`writable_named`], locked until the end of the transaction.
pub(crate) async fn locked_named(
    access: Access<'_>,
    connection: &mut Connection,
    path: [&str; 3],
) -> Result<CollectionRow, ApiError> {
    let found = writable_named(access, connection, path).await?;
    collections::lock(connection, found.id).await?;
    collections::by_id(connection, found.id)
        .await?
        .ok_or_else(no_collection)
}

/// The place in a collection that `word` names: a version (`v3`) or an alias.
pub(crate) async fn place(
    connection: &mut Connection,
    collection_id: i64,
    word: &str,
) -> Result<Option<MembershipRow>, ApiError> {
    let index = names::version_index(word).and_then(|index| i64::try_from(index).ok());
    Ok(match index {
        Some(index) => memberships::at(connection, collection_id, index).await?,
        None => memberships::with_alias(connection, collection_id, word).await?,
    })
}

/// The collection and place that `<collection>[:<alias or version>]` names in a project; the alias is `latest` by default.
pub(crate) async fn named(
    connection: &mut Connection,
    project_id: i64,
    name: &str,
) -> Result<Option<(CollectionRow, MembershipRow)>, ApiError> {
    let (collection, word) = name.split_once(':').unwrap_or((name, LATEST));
    let Some(collection) = collections::find(connection, project_id, collection).await? else {
        return Ok(None);
    };
    let place = place(connection, collection.id, word).await?;
    Ok(place.map(|place| (collection, place)))
}
