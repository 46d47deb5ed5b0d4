//! The database of a test's server: the embedded one, or with `RUNLANE_TEST_STORE=postgres` one of the PostgreSQL cluster at
//! `RUNLANE_TEST_POSTGRES` (`tests/postgres.py`). Every test runs on both.

use std::path::Path;

use runlane_server::DatabaseUrl;
use sqlx::{Connection as _, Executor as _};

/// The database of a server over `data_dir`; the same one when it starts again. None is the embedded one.
pub(crate) async fn of(data_dir: &Path) -> Option<DatabaseUrl> {
    if std::env::var("RUNLANE_TEST_STORE").ok()? != "postgres" {
        return None;
    }
    let cluster = std::env::var("RUNLANE_TEST_POSTGRES").expect("the URL of a PostgreSQL cluster");
    let word = data_dir
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a data directory with a name");
    // Temporary directories are named with a random word.
    let word: Vec<u8> = word
        .bytes()
        .flat_map(|byte| [b'a' + byte / 16, b'a' + byte % 16])
        .collect();
    let name = format!("it_{}", String::from_utf8(word).expect("letters"));
    create(&cluster, &name).await;
    let (server, _database) = cluster.rsplit_once('/').expect("a database in the URL");
    Some(
        format!("{server}/{name}")
            .parse()
            .expect("a PostgreSQL URL"),
    )
}

async fn create(cluster: &str, name: &str) {
    let mut connection = sqlx::PgConnection::connect(cluster)
        .await
        .expect("the cluster answers");
    let known: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .expect("a list of databases");
    if !known {
        let statement = format!("CREATE DATABASE {name} TEMPLATE template0");
        connection
            .execute(sqlx::AssertSqlSafe(statement))
            .await
            .expect("a new database");
    }
}

/// Everything that is stored in the database of a server over `data_dir`.
pub(crate) async fn stored_bytes(data_dir: &Path) -> Vec<u8> {
    let Some(url) = of(data_dir).await else {
        let files = ["runlane.db", "runlane.db-wal"].map(|name| std::fs::read(data_dir.join(name)));
        return files
            .into_iter()
            .flat_map(|file| file.expect("a database file"))
            .collect();
    };
    let mut connection = connect(&url).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("a list of tables");
    let mut bytes = Vec::new();
    for table in tables {
        let rows = format!("SELECT convert_to(t::text, 'UTF8') FROM {table} t");
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(sqlx::AssertSqlSafe(rows))
            .fetch_all(&mut connection)
            .await
            .expect("the rows of a table");
        bytes.extend(rows.into_iter().flatten());
    }
    bytes
}

/// A connection of the test's own to the PostgreSQL database of a server.
pub(crate) async fn connect(url: &DatabaseUrl) -> sqlx::PgConnection {
    // The user of the tests' cluster has no password that could be left out.
    sqlx::PgConnection::connect(&url.to_string())
        .await
        .expect("the database answers")
}
