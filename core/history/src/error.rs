//! What can go wrong between rows and columns.

use parquet::errors::ParquetError;
use runlane_model::json::JsonError;

/// A failed conversion.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A line is not an extended-JSON object.
    #[error("history line {line} is no JSON object: {source}")]
    Line {
        /// Number of the line in the run's history.
        line: u64,
        /// Where and why.
        source: JsonError,
    },
    /// The lines are too many for one chunk.
    #[error(
        "{rows} rows with {bytes} bytes exceed one chunk of history\nhint: cut them into several"
    )]
    TooLarge {
        /// Rows given.
        rows: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The columns cannot be written as, or read from, Parquet.
    #[error("history chunk is no readable Parquet file: {0}")]
    Parquet(#[from] ParquetError),
    /// The columns do not fit together.
    #[error("history chunk has inconsistent columns: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// The file is Parquet, but not as this crate lays it out.
    #[error("history chunk is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
}

impl HistoryError {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged {
            reason: reason.into(),
        }
    }
}
