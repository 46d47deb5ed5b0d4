//! Files that arrive in parts: what was announced, and which parts are there.

use std::collections::BTreeMap;

use runlane_model::artifact::digest::{Algorithm, Digest};

use super::super::Connection;
use super::super::database::is_postgres;
use crate::error::StoreError;

/// An upload in parts.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) id: i64,
    /// What clients call it.
    pub(crate) public_id: String,
    pub(crate) artifact_id: i64,
    pub(crate) algorithm: Algorithm,
    pub(crate) digest: Digest,
    /// The parts' MD5, from part 1 on.
    pub(crate) parts: Vec<Digest>,
    pub(crate) completed: bool,
}

/// A part that is there.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PartRow {
    pub(crate) part_number: i64,
    pub(crate) md5: String,
    pub(crate) size_bytes: i64,
    pub(crate) object_key: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    upload_id: String,
    artifact_id: i64,
    digest: String,
    digest_algorithm: String,
    parts: String,
    completed_at_micros: Option<i64>,
}

impl Row {
    fn parsed(self) -> Result<Upload, StoreError> {
        let damaged = |what| StoreError::Damaged(format!("upload {}: {what}", self.id));
        let algorithm = self
            .digest_algorithm
            .parse()
            .map_err(|_unknown| damaged("its algorithm"))?;
        let parts: Vec<String> =
            serde_json::from_str(&self.parts).map_err(|_malformed| damaged("its parts"))?;
        let parts: Option<Vec<Digest>> = parts.iter().map(|hex| Digest::from_hex(hex)).collect();
        Ok(Upload {
            id: self.id,
            public_id: self.upload_id.clone(),
            artifact_id: self.artifact_id,
            algorithm,
            digest: Digest::from_hex(&self.digest).ok_or_else(|| damaged("its digest"))?,
            parts: parts.ok_or_else(|| damaged("the digest of a part"))?,
            completed: self.completed_at_micros.is_some(),
        })
    }
}

/// What is announced of a file in parts.
#[derive(Debug)]
pub(crate) struct NewUpload<'a> {
    pub(crate) artifact_id: i64,
    pub(crate) path: &'a str,
    pub(crate) algorithm: Algorithm,
    pub(crate) digest: Digest,
    /// The parts' MD5, from part 1 on.
    pub(crate) parts: &'a [Digest],
    /// What to call it if it is new.
    pub(crate) public_id: &'a str,
}

/// Begins an upload, or goes on with the one of the same file of the same version, which is then about these parts; it is locked.
pub(crate) async fn begin(
    connection: &mut Connection,
    new: &NewUpload<'_>,
    now_micros: i64,
) -> Result<Upload, StoreError> {
    let hex: Vec<String> = new.parts.iter().map(|digest| digest.hex()).collect();
    let parts = serde_json::to_string(&hex)
        .map_err(|error| StoreError::Damaged(format!("parts of an upload: {error}")))?;
    // A completed one is begun again by somebody to whom its bytes are not there: they were removed.
    let row: Row = sqlx::query_as(
        "INSERT INTO artifact_uploads (upload_id, artifact_id, path, digest, digest_algorithm, parts, created_at_micros)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (artifact_id, path, digest) DO UPDATE
        SET parts = $6, digest_algorithm = $5, completed_at_micros = NULL
        RETURNING id, upload_id, artifact_id, digest, digest_algorithm, parts, completed_at_micros",
    )
    .bind(new.public_id)
    .bind(new.artifact_id)
    .bind(new.path)
    .bind(new.digest.hex())
    .bind(new.algorithm.as_str())
    .bind(&parts)
    .bind(now_micros)
    .fetch_one(connection)
    .await?;
    row.parsed()
}

/// The upload with this id; `lock` keeps it as it is until the end of the transaction.
pub(crate) async fn find(
    connection: &mut Connection,
    public_id: &str,
    lock: bool,
) -> Result<Option<Upload>, StoreError> {
    if lock && is_postgres(connection) {
        sqlx::query("SELECT id FROM artifact_uploads WHERE upload_id = $1 FOR NO KEY UPDATE")
            .bind(public_id)
            .execute(&mut *connection)
            .await?;
    }
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, upload_id, artifact_id, digest, digest_algorithm, parts, completed_at_micros
        FROM artifact_uploads
        WHERE upload_id = $1",
    )
    .bind(public_id)
    .fetch_optional(connection)
    .await?;
    row.map(Row::parsed).transpose()
}

/// The parts that are there, by number.
pub(crate) async fn parts(
    connection: &mut Connection,
    id: i64,
) -> Result<BTreeMap<u64, PartRow>, StoreError> {
    let rows: Vec<PartRow> = sqlx::query_as(
        "SELECT part_number, md5, size_bytes, object_key
        FROM artifact_upload_parts
        WHERE upload_id = $1
        ORDER BY part_number",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (u64::try_from(row.part_number).unwrap_or(0), row))
        .collect())
}

/// The part `number`, if it is there.
pub(crate) async fn part(
    connection: &mut Connection,
    id: i64,
    number: u64,
) -> Result<Option<PartRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT part_number, md5, size_bytes, object_key
        FROM artifact_upload_parts
        WHERE upload_id = $1 AND part_number = $2",
    )
    .bind(id)
    .bind(i64::try_from(number).unwrap_or(i64::MAX))
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// Puts a part in its place; the key of the object that it takes the place of.
pub(crate) async fn set_part(
    connection: &mut Connection,
    id: i64,
    part: &PartRow,
) -> Result<Option<String>, StoreError> {
    let old = sqlx::query_scalar(
        "DELETE FROM artifact_upload_parts WHERE upload_id = $1 AND part_number = $2 RETURNING object_key",
    )
    .bind(id)
    .bind(part.part_number)
    .fetch_optional(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO artifact_upload_parts (upload_id, part_number, md5, size_bytes, object_key)
        VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(part.part_number)
    .bind(&part.md5)
    .bind(part.size_bytes)
    .bind(&part.object_key)
    .execute(connection)
    .await?;
    Ok(old)
}

/// Takes the parts of an upload away; the keys of their objects.
pub(crate) async fn remove_parts(
    connection: &mut Connection,
    id: i64,
) -> Result<Vec<String>, StoreError> {
    let keys = sqlx::query_scalar(
        "DELETE FROM artifact_upload_parts WHERE upload_id = $1 RETURNING object_key",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    Ok(keys)
}

/// Says that the parts have become a blob.
pub(crate) async fn complete(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifact_uploads SET completed_at_micros = $1 WHERE id = $2")
        .bind(now_micros)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}
