//! Types of artifacts, which exist as soon as something is logged with them.

use super::super::Connection;
use crate::error::StoreError;

/// One type.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct TypeRow {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created_at_micros: i64,
}

/// The type `name` of a project.
pub(crate) async fn find(
    connection: &mut Connection,
    project_id: i64,
    name: &str,
) -> Result<Option<TypeRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, project_id, name, description, created_at_micros
        FROM artifact_types
        WHERE project_id = $1 AND name = $2",
    )
    .bind(project_id)
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The type with row id `id`.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<TypeRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, project_id, name, description, created_at_micros
        FROM artifact_types
        WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// A page of the types of a project by name, and how many there are.
pub(crate) async fn page(
    connection: &mut Connection,
    project_id: i64,
    offset: i64,
    limit: i64,
) -> Result<(Vec<TypeRow>, i64), StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, project_id, name, description, created_at_micros
        FROM artifact_types
        WHERE project_id = $1
        ORDER BY name
        LIMIT $2 OFFSET $3",
    )
    .bind(project_id)
    .bind(limit)
    .bind(offset)
    .fetch_all(&mut *connection)
    .await?;
    let total = sqlx::query_scalar("SELECT COUNT(*) FROM artifact_types WHERE project_id = $1")
        .bind(project_id)
        .fetch_one(connection)
        .await?;
    Ok((rows, total))
}

/// Creates the type if it is missing; its row id.
pub(crate) async fn ensure(
    connection: &mut Connection,
    project_id: i64,
    name: &str,
    now_micros: i64,
) -> Result<i64, StoreError> {
    if let Some(row) = find(connection, project_id, name).await? {
        return Ok(row.id);
    }
    sqlx::query(
        "INSERT INTO artifact_types (project_id, name, created_at_micros)
        VALUES ($1, $2, $3)
        ON CONFLICT (project_id, name) DO NOTHING",
    )
    .bind(project_id)
    .bind(name)
    .bind(now_micros)
    .execute(&mut *connection)
    .await?;
    // Another process may have been first.
    let row = find(connection, project_id, name).await?;
    row.map(|row| row.id)
        .ok_or_else(|| StoreError::Damaged("a new type of artifacts is missing".into()))
}
