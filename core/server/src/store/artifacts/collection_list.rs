//! Lists of the collections of a project.

use super::super::Connection;
use super::collections::{CollectionRow, select_collections};
use crate::error::StoreError;

/// What a list is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within {
    pub(crate) project_id: i64,
    /// Only collections of this type.
    pub(crate) type_id: Option<i64>,
}

/// What a list is ordered by; equal ones by row id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Row id: when they were made.
    Id,
    /// Name.
    Name,
    /// The last change, or when they were made.
    Change,
}

macro_rules! ordered {
    ($order:literal) => {
        select_collections!(concat!(
            "WHERE c.project_id = $1 AND c.deleted_at_micros IS NULL AND ($2 = 0 OR c.type_id = $2) ORDER BY ",
            $order,
            " LIMIT $3 OFFSET $4"
        ))
    };
}

/// One page.
pub(crate) async fn page(
    connection: &mut Connection,
    within: Within,
    by: By,
    descending: bool,
    offset: i64,
    limit: i64,
) -> Result<Vec<CollectionRow>, StoreError> {
    let sql = match (by, descending) {
        (By::Id, true) => ordered!("c.id DESC"),
        (By::Id, false) => ordered!("c.id"),
        (By::Name, true) => ordered!("c.name DESC, c.id DESC"),
        (By::Name, false) => ordered!("c.name, c.id"),
        (By::Change, true) => {
            ordered!("COALESCE(c.updated_at_micros, c.created_at_micros) DESC, c.id DESC")
        }
        (By::Change, false) => {
            ordered!("COALESCE(c.updated_at_micros, c.created_at_micros), c.id")
        }
    };
    let rows = sqlx::query_as(sql)
        .bind(within.project_id)
        .bind(within.type_id.unwrap_or(0))
        .bind(limit)
        .bind(offset)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// How many there are.
pub(crate) async fn count(connection: &mut Connection, within: Within) -> Result<i64, StoreError> {
    let total = sqlx::query_scalar(
        "SELECT COUNT(*)
        FROM artifact_collections
        WHERE project_id = $1 AND deleted_at_micros IS NULL AND ($2 = 0 OR type_id = $2)",
    )
    .bind(within.project_id)
    .bind(within.type_id.unwrap_or(0))
    .fetch_one(connection)
    .await?;
    Ok(total)
}
