//! What the store needs of a database, whichever it is.
//!
//! All SQL is one set for `SQLite` and PostgreSQL and goes through sqlx's `Any` driver; what differs between the two is here, in
//! [`super::sqlite`] and [`super::postgres`], and in the translation of the schema ([`super::schema`]). The rules of portable SQL:
//!
//! - `$1` placeholders; no function or clause that only one of them has;
//! - columns are named, never `*`: an upgrade adds columns while older servers still run;
//! - `BOOLEAN` columns are written with `bool` parameters and read through `CASE WHEN c THEN 1 ELSE 0 END` as a [`Flag`]: the `Any`
//!   driver has no boolean of `SQLite`;
//! - sums are cast (`CAST(SUM(x) AS BIGINT)`): PostgreSQL widens them to a type that the driver does not have.

use std::fmt::Debug;

use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Transaction};

use crate::error::StoreError;

/// One connection, inside or outside a transaction.
pub(crate) type Connection = AnyConnection;

/// A database that the store runs on.
pub(crate) trait Database: Debug + Send + Sync {
    /// A connection that sees the last commit.
    fn reader(&self) -> BoxFuture<'_, Result<PoolConnection<Any>, StoreError>>;

    /// A read transaction: everything read through it is of one commit.
    fn snapshot(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>>;

    /// A write transaction. Dropping it rolls back.
    fn writer(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>>;

    /// Ends all connections; open ones first finish what they do.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A truth value of a column or of `CASE WHEN … THEN 1 ELSE 0 END`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct Flag(i64);

impl From<Flag> for bool {
    fn from(flag: Flag) -> Self {
        flag.0 != 0
    }
}

/// Whether `connection` leads to PostgreSQL.
pub(super) fn is_postgres(connection: &Connection) -> bool {
    connection.backend_name() == "PostgreSQL"
}
