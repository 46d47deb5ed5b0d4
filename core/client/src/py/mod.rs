//! The adapters to Python: arguments in, owned Rust values inside, answers out.

pub(crate) mod artifact_record;
pub(crate) mod artifacts;
pub(crate) mod connection;
pub(crate) mod environment;
pub(crate) mod fields;
pub(crate) mod histogram;
pub(crate) mod hooks;
pub(crate) mod later;
pub(crate) mod media;
pub(crate) mod monitoring;
pub(crate) mod records;
pub(crate) mod renamed;
pub(crate) mod replies;
pub(crate) mod requests;
pub(crate) mod rows;
pub(crate) mod run_base;
pub(crate) mod settings;
pub(crate) mod streams;
pub(crate) mod table;
pub(crate) mod waiting;
