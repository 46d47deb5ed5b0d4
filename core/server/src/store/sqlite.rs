//! The embedded database. `SQLite` allows one writer, so all writes go through a pool of one connection (`BEGIN IMMEDIATE`,
//! `synchronous=FULL`: a commit that returned survives power loss); reads go through their own connections.

use std::path::Path;
use std::str::FromStr as _;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::AnyPool;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, Executor as _, Transaction};

use super::database::{Database, Lead};
use super::schema;
use crate::error::StoreError;

/// Connections for reading. Charts of many panels arrive at once; more connections than this only queue on the disk.
const READ_CONNECTIONS: u32 = 4;
/// What every connection is set to. The timeout comes first: changing the journal mode may have to wait.
const SETTINGS: &str = "PRAGMA busy_timeout = 10000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA cache_size = -16384;
    PRAGMA journal_size_limit = 67108864;";
const READ_ONLY: &str = "PRAGMA query_only = ON;";

/// A database file and its connections.
#[derive(Debug)]
pub(super) struct Sqlite {
    read: AnyPool,
    write: AnyPool,
}

impl Sqlite {
    /// Opens the database at `path`, creating or upgrading it.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = options(path)?;
        let write = pool(1, false).connect_with(options.clone()).await?;
        schema::upgrade(&mut *write.acquire().await?).await?;
        let read = pool(READ_CONNECTIONS, true).connect_with(options).await?;
        Ok(Self { read, write })
    }
}

impl Database for Sqlite {
    fn reader(&self) -> BoxFuture<'_, Result<PoolConnection<Any>, StoreError>> {
        async { Ok(self.read.acquire().await?) }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>> {
        async { Ok(self.read.begin().await?) }.boxed()
    }

    fn writer(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>> {
        async { Ok(self.write.begin_with("BEGIN IMMEDIATE").await?) }.boxed()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn writers(&self) -> usize {
        1
    }

    fn lead(&self) -> BoxFuture<'_, Result<Option<Lead>, StoreError>> {
        // The data directory is this process's alone.
        async { Ok(Some(Lead { _held: None })) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.read.close().await;
            // The last connection folds the write-ahead log in.
            self.write.close().await;
        }
        .boxed()
    }
}

fn pool(connections: u32, is_read_only: bool) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .after_connect(move |connection, _| {
            async move {
                connection.execute(SETTINGS).await?;
                if is_read_only {
                    connection.execute(READ_ONLY).await?;
                }
                Ok(())
            }
            .boxed()
        })
}

/// The path as a URL, whatever characters are in it.
fn options(path: &Path) -> Result<AnyConnectOptions, StoreError> {
    let unusable = |reason: &dyn std::fmt::Display| {
        sqlx::Error::Configuration(format!("`{}`: {reason}", path.display()).into())
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    let directory = directory.canonicalize().map_err(|error| unusable(&error))?;
    let path = directory.join(path.file_name().unwrap_or_default());
    let url = url::Url::from_file_path(path).map_err(|()| unusable(&"not a path of a file"))?;
    Ok(AnyConnectOptions::from_str(&format!(
        "sqlite://{}?mode=rwc",
        url.path()
    ))?)
}
