//! The server from outside: its whole HTTP surface, without a socket in between.

mod alerts;
mod auth;
mod charts;
mod file_stream;
mod files;
mod graphql;
mod live;
mod logs;
mod sharing;
mod support;
mod system_metrics;
