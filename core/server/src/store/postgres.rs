//! PostgreSQL, shared by any number of server processes.

use std::str::FromStr as _;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::AnyPool;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, Executor as _, Transaction};

use super::database::Database;
use super::schema;
use crate::error::StoreError;

/// Connections of one server process.
const CONNECTIONS: u32 = 16;
/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// No statement of ours takes longer than a moment; one that does waits for a lock or a disk that is gone.
const SETTINGS: &str = "SET statement_timeout = '30s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s';
    SET default_transaction_isolation = 'read committed';
    SET synchronous_commit = on;
    SET client_min_messages = warning;
    SET application_name = 'runlane';";

/// A PostgreSQL database and this process's connections.
#[derive(Debug)]
pub(super) struct Postgres {
    pool: AnyPool,
}

impl Postgres {
    /// Opens the database at `url` (`postgres://…`), creating or upgrading the tables.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| {
                async move {
                    connection.execute(SETTINGS).await?;
                    Ok(())
                }
                .boxed()
            })
            .connect_with(AnyConnectOptions::from_str(url)?)
            .await?;
        schema::upgrade(&pool).await?;
        Ok(Self { pool })
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

    fn close(&self) -> BoxFuture<'_, ()> {
        self.pool.close().boxed()
    }
}
