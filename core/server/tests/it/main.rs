//! The server from outside: its whole HTTP surface, without a socket in between.

mod access;
mod accounts;
mod alerts;
mod artifact_access;
mod artifact_changes;
mod artifact_client;
mod artifact_crashes;
mod artifact_logging;
mod artifact_races;
mod artifact_reading;
mod auth;
mod bad_blobs;
mod bad_callers;
mod bad_manifests;
mod bad_queries;
mod bad_streams;
mod bad_uploads;
mod blob_access;
mod blob_collect;
mod blob_parts;
mod blob_store;
mod blobs;
mod charts;
mod database;
mod file_stream;
mod files;
mod graphql;
mod lineage;
mod live;
mod logs;
mod object_store;
mod people;
mod run_queries;
mod sharing;
mod support;
mod system_metrics;
mod two_servers;

#[expect(dead_code, reason = "the example uses more of it")]
#[path = "../../examples/s3_store/store.rs"]
mod s3_store;
