//! What a server needs to know before it starts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::blobs::collect;
use crate::database_url::DatabaseUrl;
use crate::limits::Limits;
use crate::store::objects::ObjectsPlace;

/// Settings of one server process.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address to bind; loopback by default.
    pub host: IpAddr,
    /// Port to bind; 0 picks a free one.
    pub port: u16,
    /// Directory of the database, the objects and the credentials.
    pub data_dir: PathBuf,
    /// PostgreSQL database (`postgres://…`) to use in place of the embedded one below `data_dir`.
    pub database_url: Option<DatabaseUrl>,
    /// Where run files and Parquet history are kept; by default below `data_dir`.
    pub objects: ObjectsPlace,
    /// Built web app (`index.html` and assets); without it, pages answer 404 with a hint.
    pub web_dir: Option<PathBuf>,
    /// Host names, beside the bind address and loopback, under which the server may be addressed.
    pub allowed_hosts: Vec<String>,
    /// URL under which clients reach the server; default `http://HOST:PORT` of the bind address.
    pub public_url: Option<String>,
    /// Name of the single user and of the default entity, used when the data directory is new.
    pub username: String,
    /// Where to announce the running server to this user's clients; `None` announces nothing.
    pub registry_path: Option<PathBuf>,
    /// A running run without a heartbeat for this long is crashed.
    pub heartbeat_timeout: Duration,
    /// How often runs without heartbeat are looked for.
    pub sweep_interval: Duration,
    /// Bound of the decoded-column cache, in bytes.
    pub column_cache_bytes: usize,
    /// Bound of what is kept of runs for filters and orders, in bytes; a project that needs more is read from the database.
    pub run_table_bytes: usize,
    /// History lines of a stream that make it worth moving them into a Parquet object.
    pub compact_lines: u64,
    /// Most parts of a history, from as many forks, rewinds and writers, that a fork or a rewound run may begin with.
    pub max_history_parts: usize,
    /// Bounds of requests and connections.
    pub limits: Limits,
    /// How long content of artifacts is kept that no version has, a version that nobody goes on with, and what a deleted one was made of.
    pub unused_content_grace: Duration,
    /// How long open requests may go on after shutdown was asked for.
    pub shutdown_grace: Duration,
}

impl ServerConfig {
    /// Defaults for a server over `data_dir`: `127.0.0.1:8080`, nothing announced.
    pub fn new(data_dir: impl Into<PathBuf>, username: impl Into<String>) -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 8080,
            data_dir: data_dir.into(),
            database_url: None,
            objects: ObjectsPlace::default(),
            web_dir: None,
            allowed_hosts: Vec::new(),
            public_url: None,
            username: username.into(),
            registry_path: None,
            heartbeat_timeout: Duration::from_mins(5),
            sweep_interval: Duration::from_secs(15),
            column_cache_bytes: 192 << 20,
            run_table_bytes: 256 << 20,
            compact_lines: 20_000,
            max_history_parts: 1_000,
            limits: Limits::default(),
            unused_content_grace: collect::GRACE,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
