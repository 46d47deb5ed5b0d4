//! The tracking server: HTTP surface over a store of database and objects.
//!
//! For the command line: [`Server::start`] takes the data directory, binds and announces; the started server tells
//! its [`base_url`](Server::base_url) and [`sign_in_url`](Server::sign_in_url); [`Server::serve`] runs it. Other
//! processes use [`status`], [`stop`] and [`environment`] with the data directory.
//!
//! Inside: [`routes`] is the route table; `graphql`, `filestream`, `files`, `charts`, `logs`, `reproduce`, `live` and `web` answer;
//! `blobs` has the bytes of artifacts; `auth` stands before them; `history` reads lines and columns; `store` is the only module that knows SQL.

mod artifacts;
mod auth;
mod blobs;
mod charts;
pub mod clock;
mod config;
mod cross_origin;
mod database_url;
mod error;
mod export;
mod extract;
mod files;
mod filestream;
mod graphql;
mod history;
mod instance;
mod limits;
mod listen;
mod live;
mod logs;
mod rate;
mod receive;
mod reproduce;
mod routes;
mod run_table;
mod serve;
mod signer;
mod single_flight;
mod state;
mod store;
mod upkeep;
mod web;

pub use config::ServerConfig;
pub use database_url::{DatabaseUrl, InvalidDatabaseUrl};
pub use error::{ServerError, StoreError};
pub use instance::{
    Credentials, Environment, Registration, Status, credentials_path, environment,
    read_credentials, read_registry, status, stop,
};
pub use limits::Limits;
pub use serve::{Server, serve};
pub use store::objects::{ObjectsPlace, S3Place};
