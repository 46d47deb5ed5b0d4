//! Uploading run files: which and when (`plan`, with `live`), and how (`measure`, `transfer`). Only what lies in the run's
//! files directory is uploaded, and only contents that the server does not have.

mod glob;
mod live;
mod measure;
mod plan;
mod transfer;

use std::time::Duration;

pub(crate) use self::live::Fingerprint;
pub(crate) use self::measure::look;
pub(crate) use self::plan::FilePlan;
pub(crate) use self::transfer::upload;
use super::http::CallError;
use crate::run::output_file::is_console_file;

/// How a file counts in the closing block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Wandb,
    Media,
    Other,
}

impl Kind {
    pub(crate) fn of(name: &str) -> Self {
        const OURS: [&str; 4] = [
            "config.yaml",
            "requirements.txt",
            "wandb-metadata.json",
            "wandb-summary.json",
        ];
        if name.starts_with("media/") {
            Self::Media
        } else if OURS.contains(&name) || name.starts_with("logs/") || is_console_file(name) {
            Self::Wandb
        } else {
            Self::Other
        }
    }
}

/// One batch's outcome.
#[derive(Debug, Default)]
pub(crate) struct Uploaded {
    /// All files of the batch.
    pub(crate) names: Vec<String>,
    /// In which state a file was read, and how long reading and sending it took.
    pub(crate) read: Vec<(String, Fingerprint, Duration)>,
    /// Name and MD5 of what is stored.
    pub(crate) stored: Vec<(String, String)>,
    pub(crate) warnings: Vec<String>,
    /// To be tried again, and why.
    pub(crate) failed: Vec<(String, Failure)>,
}

/// Why a file is not stored yet.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: CallError,
    /// Its own fault: others do not fail with it.
    own: bool,
    /// It was written to meanwhile.
    changed: bool,
}
