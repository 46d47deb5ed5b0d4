//! Run files: signed uploads and downloads under `/storage/`, and the app's own file endpoint.

pub(crate) mod content;
pub(crate) mod download;
pub(crate) mod upload;
