//! The server from outside: its whole HTTP surface, without a socket in between.

mod access;
mod alerts;
mod auth;
mod bad_callers;
mod bad_queries;
mod bad_streams;
mod bad_uploads;
mod charts;
mod file_stream;
mod files;
mod graphql;
mod lineage;
mod live;
mod logs;
mod object_store;
mod run_queries;
mod sharing;
mod support;
mod system_metrics;

#[path = "../../examples/s3_store/store.rs"]
#[expect(dead_code, reason = "the example uses more of it")]
mod s3_store;
