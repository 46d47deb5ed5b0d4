//! Alerts of runs: what their programs sent with `alert()`, and what the server noticed itself.

use super::Connection;
use crate::error::StoreError;

/// So many alerts of one run are kept; a program that sends more is in a loop.
const MAX_ALERTS: i64 = 10_000;

/// An alert to store.
#[derive(Debug)]
pub(crate) struct NewAlert<'a> {
    pub(crate) run_id: i64,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) severity: &'a str,
    /// No other alert of the same title is stored within this time before or after it.
    pub(crate) wait_millis: i64,
    /// When the program sent it: an offline run is uploaded later, and a call may be repeated.
    pub(crate) created_at_micros: i64,
}

/// A stored alert.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct AlertRow {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) severity: String,
    pub(crate) created_at_micros: i64,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is stored.
    Stored,
    /// One of the same title was sent within the waiting time, or it is stored already.
    Dropped,
    /// The run has too many.
    Full,
}

/// Stores an alert unless one of the same title was sent within its waiting time.
///
/// Alerts arrive in any order: several processes send them, and offline runs later. So the time counts in both directions, and an
/// alert of the same title and moment is the same alert, sent again.
pub(crate) async fn add(
    connection: &mut Connection,
    alert: &NewAlert<'_>,
) -> Result<Added, StoreError> {
    let done = sqlx::query(
        "INSERT INTO alerts (run_id, title, text, severity, wait_millis, created_at_micros)
        SELECT $1, $2, $3, $4, $5, $6
        WHERE (SELECT COUNT(*) FROM alerts WHERE run_id = $1) < $7
            AND NOT EXISTS (
                SELECT 1 FROM alerts
                WHERE run_id = $1
                    AND title = $2
                    AND (created_at_micros = $6
                        OR (created_at_micros > $6 - $5 * 1000 AND created_at_micros < $6 + $5 * 1000))
            )",
    )
    .bind(alert.run_id)
    .bind(alert.title)
    .bind(alert.text)
    .bind(alert.severity)
    .bind(alert.wait_millis)
    .bind(alert.created_at_micros)
    .bind(MAX_ALERTS)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        let is_full = count(connection, alert.run_id).await? >= MAX_ALERTS;
        return Ok(if is_full { Added::Full } else { Added::Dropped });
    }
    sqlx::query("UPDATE runs SET version = version + 1 WHERE id = $1")
        .bind(alert.run_id)
        .execute(connection)
        .await?;
    Ok(Added::Stored)
}

/// How many alerts a run has.
pub(crate) async fn count(connection: &mut Connection, run_id: i64) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT COUNT(*) FROM alerts WHERE run_id = $1")
            .bind(run_id)
            .fetch_one(connection)
            .await?,
    )
}

/// The run's alerts, newest first.
pub(crate) async fn newest(
    connection: &mut Connection,
    run_id: i64,
    limit: i64,
) -> Result<Vec<AlertRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, title, text, severity, created_at_micros
        FROM alerts
        WHERE run_id = $1
        ORDER BY created_at_micros DESC, id DESC
        LIMIT $2",
    )
    .bind(run_id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Notes that the run's process died, or fell silent.
pub(crate) async fn add_crash(
    connection: &mut Connection,
    run_id: i64,
    text: &str,
    now_micros: i64,
) -> Result<(), StoreError> {
    let alert = NewAlert {
        run_id,
        title: "Run crashed",
        text,
        severity: "ERROR",
        wait_millis: 0,
        created_at_micros: now_micros,
    };
    add(connection, &alert).await.map(drop)
}
