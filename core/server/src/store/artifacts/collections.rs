//! Collections: sequences, which artifacts are logged to, and portfolios, which they are linked to.

use super::super::Connection;
use super::super::database::is_postgres;
use crate::error::StoreError;

/// The word of sequences in `kind`.
pub(crate) const SEQUENCE: &str = "sequence";
/// The word of portfolios in `kind`.
pub(crate) const PORTFOLIO: &str = "portfolio";

/// One collection, with its type.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct CollectionRow {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) type_id: i64,
    pub(crate) type_name: String,
    /// [`SEQUENCE`] or [`PORTFOLIO`].
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// As on the wire.
    pub(crate) digest_algorithm: String,
    pub(crate) created_at_micros: i64,
    pub(crate) updated_at_micros: Option<i64>,
    pub(crate) deleted_at_micros: Option<i64>,
}

impl CollectionRow {
    pub(crate) fn is_sequence(&self) -> bool {
        self.kind == SEQUENCE
    }
}

/// The text of a query for [`CollectionRow`]s.
macro_rules! select_collections {
    ($($conditions:tt)+) => {
        concat!(
            "SELECT c.id, c.project_id, c.type_id, t.name AS type_name, c.kind, c.name, c.description, c.digest_algorithm,
                c.created_at_micros, c.updated_at_micros, c.deleted_at_micros
            FROM artifact_collections c
            JOIN artifact_types t ON t.id = c.type_id
            ",
            $($conditions)+
        )
    };
}

pub(super) use select_collections;

/// A collection to make.
#[derive(Debug)]
pub(crate) struct NewCollection<'a> {
    pub(crate) project_id: i64,
    pub(crate) type_id: i64,
    pub(crate) kind: &'static str,
    pub(crate) name: &'a str,
    pub(crate) digest_algorithm: &'a str,
}

/// The collection `name` of a project.
pub(crate) async fn find(
    connection: &mut Connection,
    project_id: i64,
    name: &str,
) -> Result<Option<CollectionRow>, StoreError> {
    let row = sqlx::query_as(select_collections!(
        "WHERE c.project_id = $1 AND c.name = $2 AND c.deleted_at_micros IS NULL"
    ))
    .bind(project_id)
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The collection with row id `id`, also a deleted one.
pub(crate) async fn by_id_any(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<CollectionRow>, StoreError> {
    let row = sqlx::query_as(select_collections!("WHERE c.id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The collection with row id `id`.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<CollectionRow>, StoreError> {
    let row = by_id_any(connection, id).await?;
    Ok(row.filter(|row| row.deleted_at_micros.is_none()))
}

/// Locks a collection until the end of the transaction; several in the order of their row ids.
pub(crate) async fn lock(connection: &mut Connection, id: i64) -> Result<(), StoreError> {
    // SQLite has one writer at a time.
    if is_postgres(connection) {
        sqlx::query("SELECT id FROM artifact_collections WHERE id = $1 FOR NO KEY UPDATE")
            .bind(id)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Creates the collection if its name is free; the one that has the name, locked.
pub(crate) async fn ensure(
    connection: &mut Connection,
    new: &NewCollection<'_>,
    now_micros: i64,
) -> Result<CollectionRow, StoreError> {
    let existing = find(connection, new.project_id, new.name).await?;
    if existing.is_none() {
        sqlx::query(
            "INSERT INTO artifact_collections (project_id, type_id, kind, name, digest_algorithm, next_version, created_at_micros)
            VALUES ($1, $2, $3, $4, $5, 0, $6)
            ON CONFLICT (project_id, name) WHERE deleted_at_micros IS NULL DO NOTHING",
        )
        .bind(new.project_id)
        .bind(new.type_id)
        .bind(new.kind)
        .bind(new.name)
        .bind(new.digest_algorithm)
        .bind(now_micros)
        .execute(&mut *connection)
        .await?;
    }
    let gone = StoreError::Conflict("another process has just deleted the collection");
    let Some(found) = find(connection, new.project_id, new.name).await? else {
        return Err(gone);
    };
    lock(connection, found.id).await?;
    by_id(connection, found.id).await?.ok_or(gone)
}

/// Gives the collection a name, which must be free, and a description; `None` leaves the old one.
pub(crate) async fn update(
    connection: &mut Connection,
    id: i64,
    name: Option<&str>,
    description: Option<&str>,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE artifact_collections
        SET name = COALESCE($2, name), description = COALESCE($3, description), updated_at_micros = $4
        WHERE id = $1",
    )
    .bind(id)
    .bind(name)
    .bind(description)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the collection to another type of its project.
pub(crate) async fn set_type(
    connection: &mut Connection,
    id: i64,
    type_id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE artifact_collections SET type_id = $2, updated_at_micros = $3 WHERE id = $1",
    )
    .bind(id)
    .bind(type_id)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes a change of what is in the collection.
pub(crate) async fn touch(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifact_collections SET updated_at_micros = $2 WHERE id = $1")
        .bind(id)
        .bind(now_micros)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes the next index of a locked collection; indexes are not used again.
pub(crate) async fn take_version(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let next: i64 = sqlx::query_scalar(
        "UPDATE artifact_collections
        SET next_version = next_version + 1, updated_at_micros = $2
        WHERE id = $1
        RETURNING next_version",
    )
    .bind(id)
    .bind(now_micros)
    .fetch_one(connection)
    .await?;
    Ok(next - 1)
}

/// Marks the collection as deleted, which frees its name.
pub(crate) async fn delete(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifact_collections SET deleted_at_micros = $2, updated_at_micros = $2 WHERE id = $1")
        .bind(id)
        .bind(now_micros)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM artifact_collection_tags WHERE collection_id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}
