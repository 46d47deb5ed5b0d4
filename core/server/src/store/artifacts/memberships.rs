//! Places of versions in collections: one in their sequence, and one in every portfolio that they are linked to.

use super::super::Connection;
use super::aliases;
use crate::error::StoreError;

/// One place.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct MembershipRow {
    pub(crate) id: i64,
    pub(crate) collection_id: i64,
    pub(crate) artifact_id: i64,
    pub(crate) version_index: i64,
    pub(crate) created_at_micros: i64,
}

macro_rules! select_memberships {
    ($conditions:literal) => {
        concat!(
            "SELECT m.id, m.collection_id, m.artifact_id, m.version_index, m.created_at_micros
            FROM artifact_memberships m
            ",
            $conditions
        )
    };
}

/// Adds a version to a locked collection; the row id of its place.
pub(crate) async fn insert(
    connection: &mut Connection,
    collection_id: i64,
    artifact_id: i64,
    version_index: i64,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO artifact_memberships (collection_id, artifact_id, version_index, created_at_micros)
        VALUES ($1, $2, $3, $4)
        RETURNING id",
    )
    .bind(collection_id)
    .bind(artifact_id)
    .bind(version_index)
    .bind(now_micros)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Removes a place with its aliases.
pub(crate) async fn delete(connection: &mut Connection, id: i64) -> Result<(), StoreError> {
    aliases::take_all(connection, id).await?;
    sqlx::query("DELETE FROM artifact_memberships WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes all places of a collection with their aliases.
pub(crate) async fn delete_all(
    connection: &mut Connection,
    collection_id: i64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM artifact_aliases WHERE collection_id = $1")
        .bind(collection_id)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM artifact_memberships WHERE collection_id = $1")
        .bind(collection_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The place with row id `id`.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<MembershipRow>, StoreError> {
    let row = sqlx::query_as(select_memberships!("WHERE m.id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// A version's place in a collection.
pub(crate) async fn find(
    connection: &mut Connection,
    collection_id: i64,
    artifact_id: i64,
) -> Result<Option<MembershipRow>, StoreError> {
    let row = sqlx::query_as(select_memberships!(
        "WHERE m.collection_id = $1 AND m.artifact_id = $2"
    ))
    .bind(collection_id)
    .bind(artifact_id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The place with an index in a collection.
pub(crate) async fn at(
    connection: &mut Connection,
    collection_id: i64,
    version_index: i64,
) -> Result<Option<MembershipRow>, StoreError> {
    let row = sqlx::query_as(select_memberships!(
        "WHERE m.collection_id = $1 AND m.version_index = $2"
    ))
    .bind(collection_id)
    .bind(version_index)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The place that has an alias in a collection.
pub(crate) async fn with_alias(
    connection: &mut Connection,
    collection_id: i64,
    alias: &str,
) -> Result<Option<MembershipRow>, StoreError> {
    let row = sqlx::query_as(select_memberships!(
        "JOIN artifact_aliases a ON a.membership_id = m.id
        WHERE a.collection_id = $1 AND a.alias = $2"
    ))
    .bind(collection_id)
    .bind(alias)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// All places of a version, that in its sequence first.
pub(crate) async fn of_version(
    connection: &mut Connection,
    artifact_id: i64,
) -> Result<Vec<MembershipRow>, StoreError> {
    let rows = sqlx::query_as(select_memberships!(
        "WHERE m.artifact_id = $1
        ORDER BY m.id"
    ))
    .bind(artifact_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The newest place in a collection.
pub(crate) async fn latest(
    connection: &mut Connection,
    collection_id: i64,
) -> Result<Option<MembershipRow>, StoreError> {
    let row = sqlx::query_as(select_memberships!(
        "WHERE m.collection_id = $1
        ORDER BY m.version_index DESC
        LIMIT 1"
    ))
    .bind(collection_id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// How many places a collection has.
pub(crate) async fn count(
    connection: &mut Connection,
    collection_id: i64,
) -> Result<i64, StoreError> {
    let total =
        sqlx::query_scalar("SELECT COUNT(*) FROM artifact_memberships WHERE collection_id = $1")
            .bind(collection_id)
            .fetch_one(connection)
            .await?;
    Ok(total)
}
