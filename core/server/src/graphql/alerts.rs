//! Alerts: taken from clients, shown to pages.

use async_graphql::{Context, Enum, ID, InputObject, SimpleObject};

use super::Scope;
use super::scalars::{DateTime, Duration, Int64};
use crate::error::{ApiError, StoreError};
use crate::store::alerts::{self, Added, AlertRow, NewAlert};

const MAX_BYTES: usize = 64 << 10;
/// More are not read at once.
const MAX_PAGE: i32 = 1000;

/// How urgent an alert is.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
pub(crate) enum AlertSeverity {
    Info,
    Warn,
    Error,
}

impl AlertSeverity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

#[derive(InputObject)]
pub(crate) struct NotifyScriptableRunAlertInput {
    pub(crate) entity_name: String,
    pub(crate) project_name: String,
    pub(crate) run_name: String,
    title: String,
    text: String,
    severity: Option<AlertSeverity>,
    wait_duration: Option<Duration>,
    /// When the program sent it, microseconds since the Unix epoch; ours.
    occurred_at_micros: Option<Int64>,
    client_mutation_id: Option<String>,
}

/// An alert of a run.
#[derive(SimpleObject)]
pub(crate) struct Alert {
    id: ID,
    title: String,
    text: String,
    /// `INFO`, `WARN` or `ERROR`.
    severity: String,
    created_at: DateTime,
}

impl From<AlertRow> for Alert {
    fn from(row: AlertRow) -> Self {
        Self {
            id: ID(row.id.to_string()),
            title: row.title,
            text: row.text,
            severity: row.severity,
            created_at: DateTime::from_micros(row.created_at_micros),
        }
    }
}

/// Stores what a client sent for the run with row id `run_id`, and tells the pages.
pub(super) async fn store(
    scope: &Scope,
    run_id: i64,
    input: &NotifyScriptableRunAlertInput,
) -> Result<(), ApiError> {
    if input.title.len() + input.text.len() > MAX_BYTES {
        return Err(ApiError::invalid("an alert may have 64 KiB at most"));
    }
    let now = scope.state.clock.now_micros();
    let alert = NewAlert {
        run_id,
        title: &input.title,
        text: &input.text,
        severity: input.severity.unwrap_or(AlertSeverity::Info).as_str(),
        wait_millis: input
            .wait_duration
            .map_or(0, |duration| duration.0.clamp(0, 1 << 40)),
        // A clock that is ahead must not put an alert above all that come later.
        created_at_micros: input
            .occurred_at_micros
            .map_or(now, |micros| micros.0.clamp(0, now)),
    };
    let mut writer = scope.state.store.writer().await?;
    let added = alerts::add(&mut writer, &alert).await?;
    writer.commit().await.map_err(StoreError::from)?;
    match added {
        Added::Stored => scope.state.live.changed(run_id),
        Added::Dropped => {}
        Added::Full => {
            return Err(ApiError::invalid(
                "the run has too many alerts already; this one is not kept",
            ));
        }
    }
    Ok(())
}

/// The run's alerts, newest first.
pub(super) async fn of_run(
    context: &Context<'_>,
    run_id: i64,
    first: Option<i32>,
) -> Result<Vec<Alert>, ApiError> {
    let limit = first.unwrap_or(100).clamp(0, MAX_PAGE);
    let mut reader = Scope::of(context)?.state.store.reader().await?;
    let rows = alerts::newest(&mut reader, run_id, limit.into()).await?;
    Ok(rows.into_iter().map(Alert::from).collect())
}

/// How many alerts the run has.
pub(super) async fn count(context: &Context<'_>, run_id: i64) -> Result<i64, ApiError> {
    let mut reader = Scope::of(context)?.state.store.reader().await?;
    Ok(alerts::count(&mut reader, run_id).await?)
}
