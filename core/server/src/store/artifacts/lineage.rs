//! Which runs logged and used which versions.

use super::super::Connection;
use super::super::runs::{RunRow, select_runs};
use crate::error::StoreError;

/// Notes that a run used a version.
pub(crate) async fn add_use(
    connection: &mut Connection,
    run_id: i64,
    artifact_id: i64,
    used_as: Option<&str>,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO artifact_uses (run_id, artifact_id, used_as, created_at_micros)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (run_id, artifact_id) DO UPDATE SET used_as = COALESCE(excluded.used_as, artifact_uses.used_as)",
    )
    .bind(run_id)
    .bind(artifact_id)
    .bind(used_as)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a run logged content that was there already.
pub(crate) async fn add_output(
    connection: &mut Connection,
    run_id: i64,
    artifact_id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO artifact_outputs (run_id, artifact_id, created_at_micros)
        VALUES ($1, $2, $3)
        ON CONFLICT (run_id, artifact_id) DO NOTHING",
    )
    .bind(run_id)
    .bind(artifact_id)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a run is noted to have logged content that was there already.
pub(crate) async fn has_output(
    connection: &mut Connection,
    run_id: i64,
    artifact_id: i64,
) -> Result<bool, StoreError> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT artifact_id FROM artifact_outputs WHERE run_id = $1 AND artifact_id = $2",
    )
    .bind(run_id)
    .bind(artifact_id)
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// A page of the runs that used a version, in that order, and how many there are; deleted ones are not among them.
pub(crate) async fn users_of(
    connection: &mut Connection,
    artifact_id: i64,
    offset: i64,
    limit: i64,
) -> Result<(Vec<RunRow>, i64), StoreError> {
    let rows = sqlx::query_as(select_runs!(
        "JOIN artifact_uses u ON u.run_id = r.id
        WHERE u.artifact_id = $1 AND r.deleted_at_micros IS NULL AND p.deleted_at_micros IS NULL
        ORDER BY u.created_at_micros, r.id
        LIMIT $2 OFFSET $3"
    ))
    .bind(artifact_id)
    .bind(limit)
    .bind(offset)
    .fetch_all(&mut *connection)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT COUNT(*)
        FROM artifact_uses u
        JOIN runs r ON r.id = u.run_id
        JOIN projects p ON p.id = r.project_id
        WHERE u.artifact_id = $1 AND r.deleted_at_micros IS NULL AND p.deleted_at_micros IS NULL",
    )
    .bind(artifact_id)
    .fetch_one(connection)
    .await?;
    Ok((rows, total))
}

/// Lets those who look at a run notice that its artifacts changed.
pub(crate) async fn touch_run(connection: &mut Connection, run_id: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET version = version + 1 WHERE id = $1")
        .bind(run_id)
        .execute(connection)
        .await?;
    Ok(())
}
