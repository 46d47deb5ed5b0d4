//! Projects.

use std::collections::BTreeSet;

use super::Connection;
use super::database::is_postgres;
use crate::error::StoreError;

/// One project with its entity's name.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ProjectRow {
    pub(crate) id: i64,
    pub(crate) entity: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) access: String,
    pub(crate) views: Option<String>,
    pub(crate) created_at_micros: i64,
    pub(crate) last_activity_at_micros: i64,
}

/// The project `entity/name`.
pub(crate) async fn find(
    connection: &mut Connection,
    entity: &str,
    name: &str,
) -> Result<Option<ProjectRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT p.id, e.name AS entity, p.name, p.description, p.access, p.views, p.created_at_micros,
            p.last_activity_at_micros
        FROM projects p
        JOIN entities e ON e.id = p.entity_id
        WHERE e.name = $1 AND p.name = $2",
    )
    .bind(entity)
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The project with row id `id`.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<ProjectRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT p.id, e.name AS entity, p.name, p.description, p.access, p.views, p.created_at_micros,
            p.last_activity_at_micros
        FROM projects p
        JOIN entities e ON e.id = p.entity_id
        WHERE p.id = $1 AND p.deleted_at_micros IS NULL",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The projects of an entity, latest activity first, or only those that everybody with an account may read; `after` is the
/// number of projects to leave out.
pub(crate) async fn list(
    connection: &mut Connection,
    entity: &str,
    open_only: bool,
    after: i64,
    limit: i64,
) -> Result<Vec<ProjectRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT p.id, e.name AS entity, p.name, p.description, p.access, p.views, p.created_at_micros,
            p.last_activity_at_micros
        FROM projects p
        JOIN entities e ON e.id = p.entity_id
        WHERE e.name = $1
            AND p.deleted_at_micros IS NULL
            AND ($4 = 0 OR p.access IN ('USER_READ', 'USER_WRITE'))
        ORDER BY p.last_activity_at_micros DESC, p.id DESC
        LIMIT $2 OFFSET $3",
    )
    .bind(entity)
    .bind(limit)
    .bind(after)
    .bind(i64::from(open_only))
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Creates the project if it is missing; the row and whether it is new.
pub(crate) async fn ensure(
    connection: &mut Connection,
    entity_id: i64,
    entity: &str,
    name: &str,
    now_micros: i64,
) -> Result<(ProjectRow, bool), StoreError> {
    if let Some(row) = find(connection, entity, name).await? {
        return Ok((row, false));
    }
    let created = sqlx::query(
        "INSERT INTO projects (entity_id, name, access, created_at_micros, last_activity_at_micros)
        VALUES ($1, $2, 'PRIVATE', $3, $3)
        ON CONFLICT (entity_id, name) DO NOTHING",
    )
    .bind(entity_id)
    .bind(name)
    .bind(now_micros)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    // Another process may have been first.
    let row = find(connection, entity, name).await?;
    row.map(|row| (row, created == 1))
        .ok_or_else(|| StoreError::Damaged("a new project is missing".into()))
}

/// Where many processes write to the runs of a project, its row would be what they all wait for.
const SHARED_SLACK_MICROS: i64 = 1_000_000;

/// Notes activity in projects, to the second where the database is shared. Transactions do this last, after all that they lock.
pub(crate) async fn touch(
    connection: &mut Connection,
    ids: &BTreeSet<i64>,
    now_micros: i64,
) -> Result<(), StoreError> {
    let slack = if is_postgres(connection) {
        SHARED_SLACK_MICROS
    } else {
        0
    };
    // In the order of their ids, as everybody locks them.
    for id in ids {
        sqlx::query(
            "UPDATE projects
            SET last_activity_at_micros = $2
            WHERE id = $1 AND last_activity_at_micros < $3",
        )
        .bind(id)
        .bind(now_micros)
        .bind(now_micros - slack)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Changes what is given.
pub(crate) async fn update(
    connection: &mut Connection,
    id: i64,
    description: Option<&str>,
    access: Option<&str>,
    views: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE projects
        SET description = COALESCE($2, description),
            access = COALESCE($3, access),
            views = COALESCE($4, views)
        WHERE id = $1",
    )
    .bind(id)
    .bind(description)
    .bind(access)
    .bind(views)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the project another name, which must be free.
pub(crate) async fn rename(
    connection: &mut Connection,
    id: i64,
    name: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE projects SET name = $2 WHERE id = $1")
        .bind(id)
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes the project and its runs: they are not found any more, and its name is free.
pub(crate) async fn delete(
    connection: &mut Connection,
    project: &ProjectRow,
    now_micros: i64,
) -> Result<Vec<i64>, StoreError> {
    let runs = sqlx::query_scalar(
        "UPDATE runs
        SET deleted_at_micros = $2, version = version + 1
        WHERE project_id = $1 AND deleted_at_micros IS NULL
        RETURNING id",
    )
    .bind(project.id)
    .bind(now_micros)
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query("UPDATE projects SET name = $2, deleted_at_micros = $3 WHERE id = $1")
        .bind(project.id)
        // No project can be called so: the name has a colon.
        .bind(format!("deleted:{}:{}", project.id, project.name))
        .bind(now_micros)
        .execute(connection)
        .await?;
    Ok(runs)
}
