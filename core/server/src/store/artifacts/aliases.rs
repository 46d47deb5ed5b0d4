//! Aliases: an alias of a collection belongs to one version at any time.

use super::super::Connection;
use crate::error::StoreError;

/// One alias.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct AliasRow {
    pub(crate) id: i64,
    pub(crate) collection_id: i64,
    pub(crate) alias: String,
}

/// Gives an alias of a locked collection to one of its members, whoever had it.
pub(crate) async fn give(
    connection: &mut Connection,
    collection_id: i64,
    membership_id: i64,
    alias: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO artifact_aliases (collection_id, membership_id, alias)
        VALUES ($1, $2, $3)
        ON CONFLICT (collection_id, alias) DO UPDATE SET membership_id = excluded.membership_id",
    )
    .bind(collection_id)
    .bind(membership_id)
    .bind(alias)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes an alias from a member, if it has it; whether it had.
pub(crate) async fn take(
    connection: &mut Connection,
    membership_id: i64,
    alias: &str,
) -> Result<bool, StoreError> {
    let taken = sqlx::query("DELETE FROM artifact_aliases WHERE membership_id = $1 AND alias = $2")
        .bind(membership_id)
        .bind(alias)
        .execute(connection)
        .await?
        .rows_affected();
    Ok(taken > 0)
}

/// Takes all aliases from a member.
pub(crate) async fn take_all(
    connection: &mut Connection,
    membership_id: i64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM artifact_aliases WHERE membership_id = $1")
        .bind(membership_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The aliases of one member, by row id.
pub(crate) async fn of_membership(
    connection: &mut Connection,
    membership_id: i64,
) -> Result<Vec<AliasRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, collection_id, alias
        FROM artifact_aliases
        WHERE membership_id = $1
        ORDER BY id",
    )
    .bind(membership_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The aliases of a version in all collections, those of its sequence first.
pub(crate) async fn of_version(
    connection: &mut Connection,
    artifact_id: i64,
) -> Result<Vec<AliasRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT a.id, a.collection_id, a.alias
        FROM artifact_aliases a
        JOIN artifact_memberships m ON m.id = a.membership_id
        WHERE m.artifact_id = $1
        ORDER BY m.id, a.id",
    )
    .bind(artifact_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// A page of a collection's aliases by row id, and how many there are.
pub(crate) async fn page(
    connection: &mut Connection,
    collection_id: i64,
    offset: i64,
    limit: i64,
) -> Result<(Vec<AliasRow>, i64), StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, collection_id, alias
        FROM artifact_aliases
        WHERE collection_id = $1
        ORDER BY id
        LIMIT $2 OFFSET $3",
    )
    .bind(collection_id)
    .bind(limit)
    .bind(offset)
    .fetch_all(&mut *connection)
    .await?;
    let total =
        sqlx::query_scalar("SELECT COUNT(*) FROM artifact_aliases WHERE collection_id = $1")
            .bind(collection_id)
            .fetch_one(connection)
            .await?;
    Ok((rows, total))
}
