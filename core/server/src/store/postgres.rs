//! PostgreSQL, shared by any number of server processes.

use std::str::FromStr as _;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

use super::database::{Database, Exclusive, Flag, Lead};
use super::schema;
use crate::database_url::DatabaseUrl;
use crate::error::StoreError;

/// Connections of one server process, beside the one that listens.
const CONNECTIONS: u32 = 16;
/// Of these, so many transactions of file streams at the same time.
const WRITERS: usize = 4;
/// How long a request waits for a connection, and a starting server for a database that starts as well.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection is left alone for so long at most: behind a balancer the server at its other end may have become a mere copy.
const CONNECTION_LIFE: Duration = Duration::from_mins(30);
const START_RETRY: Duration = Duration::from_millis(200);
/// No statement of ours takes longer than a moment; one that does waits for a lock or a disk that is gone. An answer is given when
/// a commit is on disk, whatever the cluster's default is.
const SETTINGS: &str = "SET statement_timeout = '30s';
    SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '60s';
    SET default_transaction_isolation = 'read committed';
    SET client_min_messages = warning;
    SET application_name = 'runlane'";
/// Upgrades of large tables take their time, and so do those of other processes that are waited for.
const UPGRADE_SETTINGS: &str = "SET statement_timeout = 0;
    SET lock_timeout = 0;
    SET client_min_messages = warning;
    SET application_name = 'runlane upgrade'";

/// A PostgreSQL database and this process's connections.
#[derive(Debug)]
pub(super) struct Postgres {
    pool: AnyPool,
}

impl Postgres {
    /// Opens the database, creating or upgrading the tables.
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let options = AnyConnectOptions::from_str(url.secret())?;
        let mut first = first_connection(url, &options).await?;
        first.execute(UPGRADE_SETTINGS).await?;
        schema::upgrade(&mut first).await?;
        first.close().await?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .max_lifetime(CONNECTION_LIFE)
            .after_connect(|connection, _| {
                async move {
                    connection.execute(SETTINGS).await?;
                    // `off` and `local` are for those who can lose what they were told is safe.
                    connection
                        .execute(
                            "SELECT CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
                            THEN set_config('synchronous_commit', 'on', false) END",
                        )
                        .await?;
                    Ok(())
                }
                .boxed()
            })
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }
}

/// Waits a moment for a database that is just being started.
async fn first_connection(
    url: &DatabaseUrl,
    options: &AnyConnectOptions,
) -> Result<AnyConnection, StoreError> {
    let end = tokio::time::Instant::now() + ACQUIRE_TIMEOUT;
    loop {
        let connected = tokio::time::timeout_at(end, AnyConnection::connect_with(options)).await;
        let reason = match connected {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_elapsed) => sqlx::Error::PoolTimedOut,
        };
        let starts = match &reason {
            sqlx::Error::Io(_) => true,
            sqlx::Error::Database(refusal) => refusal.is_transient_in_connect_phase(),
            _ => false,
        };
        if !starts || tokio::time::Instant::now() + START_RETRY > end {
            let place = url.to_string();
            return Err(StoreError::Unreachable { place, reason });
        }
        tokio::time::sleep(START_RETRY).await;
    }
}

impl Database for Postgres {
    fn reader(&self) -> BoxFuture<'_, Result<PoolConnection<Any>, StoreError>> {
        async { Ok(self.pool.acquire().await?) }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>> {
        async {
            let statement = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            Ok(self.pool.begin_with(statement).await?)
        }
        .boxed()
    }

    fn writer(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>> {
        async { Ok(self.pool.begin().await?) }.boxed()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn writers(&self) -> usize {
        WRITERS
    }

    fn lead(&self) -> BoxFuture<'_, Result<Option<Lead>, StoreError>> {
        async {
            let mut held = self.pool.begin().await?;
            // Idle while the upkeep goes on in other transactions. It has read nothing, so it keeps no old rows alive.
            held.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                .await?;
            let is_ours: Flag = sqlx::query_scalar(
                "SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN 1 ELSE 0 END",
            )
            .bind(Exclusive::Upkeep.key())
            .fetch_one(&mut *held)
            .await?;
            Ok(bool::from(is_ours).then_some(Lead { _held: Some(held) }))
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.pool.close().boxed()
    }
}
