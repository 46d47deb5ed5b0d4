//! The server from outside: its whole HTTP surface, without a socket in between.

mod access;
mod alerts;
mod auth;
mod charts;
mod file_stream;
mod files;
mod graphql;
mod lineage;
mod live;
mod logs;
mod run_queries;
mod sharing;
mod support;
mod system_metrics;
