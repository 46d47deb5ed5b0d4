//! Manifests: which there are, and where their files are.

use super::super::Connection;
use super::super::database::Flag;
use crate::error::StoreError;

/// One manifest.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ManifestRow {
    pub(crate) id: i64,
    pub(crate) artifact_id: i64,
    /// `FULL`, `PATCH` or `INCREMENTAL`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Base64 of the MD5 of the file, as announced; empty before.
    pub(crate) digest: String,
    pub(crate) base_id: Option<i64>,
    /// Where the file is, once it is stored.
    pub(crate) object_key: Option<String>,
    pub(crate) size_bytes: i64,
    #[sqlx(try_from = "Flag")]
    pub(crate) is_current: bool,
    pub(crate) created_at_micros: i64,
}

macro_rules! select_manifests {
    ($conditions:literal) => {
        concat!(
            "SELECT id, artifact_id, kind, name, digest, base_id, object_key, size_bytes,
                CASE WHEN is_current THEN 1 ELSE 0 END AS is_current, created_at_micros
            FROM artifact_manifests
            ",
            $conditions
        )
    };
}

/// The manifest with row id `id`.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<ManifestRow>, StoreError> {
    let row = sqlx::query_as(select_manifests!("WHERE id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// All of a version, in the order in which they were made.
pub(crate) async fn of_version(
    connection: &mut Connection,
    artifact_id: i64,
) -> Result<Vec<ManifestRow>, StoreError> {
    let rows = sqlx::query_as(select_manifests!("WHERE artifact_id = $1 ORDER BY id"))
        .bind(artifact_id)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// The one that readers get.
pub(crate) async fn current(
    connection: &mut Connection,
    artifact_id: i64,
) -> Result<Option<ManifestRow>, StoreError> {
    let row = sqlx::query_as(select_manifests!(
        "WHERE artifact_id = $1 AND is_current = TRUE"
    ))
    .bind(artifact_id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// A manifest to make.
#[derive(Debug)]
pub(crate) struct NewManifest<'a> {
    pub(crate) artifact_id: i64,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) digest: &'a str,
    pub(crate) base_id: Option<i64>,
    /// Where its file is, if the server made it, and how large it is.
    pub(crate) stored: Option<(&'a str, i64)>,
}

/// Creates a manifest; its row id.
pub(crate) async fn insert(
    connection: &mut Connection,
    new: &NewManifest<'_>,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO artifact_manifests (artifact_id, kind, name, digest, base_id, object_key, size_bytes, is_current,
            created_at_micros)
        VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, $8)
        RETURNING id",
    )
    .bind(new.artifact_id)
    .bind(new.kind)
    .bind(new.name)
    .bind(new.digest)
    .bind(new.base_id)
    .bind(new.stored.map(|(key, _)| key))
    .bind(new.stored.map_or(0, |(_, size)| size))
    .bind(now_micros)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Announces the file of a manifest; one with another digest that was stored before does not count any more.
pub(crate) async fn announce(
    connection: &mut Connection,
    id: i64,
    digest: &str,
    base_id: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE artifact_manifests
        SET object_key = CASE WHEN digest = $2 THEN object_key ELSE NULL END, digest = $2, base_id = COALESCE($3, base_id)
        WHERE id = $1",
    )
    .bind(id)
    .bind(digest)
    .bind(base_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a manifest the one that readers get; the others of its version are collected later.
pub(crate) async fn make_current(connection: &mut Connection, id: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifact_manifests SET is_current = TRUE WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}
