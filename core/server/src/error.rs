//! Errors: [`ServerError`] for starting and stopping a server, [`ApiError`] for what a request is answered with.

use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::store::conflict::Conflicting;

/// Why a server could not start, run or be found.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another process serves the same data directory.
    #[error(
        "a server already runs on this data directory (pid {pid}, {base_url})\nhint: `runlane server stop`, or use another `--data-dir`"
    )]
    AlreadyRunning {
        /// Its process id.
        pid: u32,
        /// Where it answers.
        base_url: String,
    },
    /// The address is taken or not ours.
    #[error(
        "cannot listen on {address}: {source}\nhint: choose another `--port`, or 0 for a free one"
    )]
    Bind {
        /// Host and port.
        address: String,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file of the data directory cannot be used.
    #[error("cannot {action}: {source}: `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file of the data directory does not hold what it should.
    #[error("cannot read {what}: {reason}: `{}`", path.display())]
    Malformed {
        /// What the file is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// No server runs on the data directory.
    #[error("no server runs on `{}`\nhint: `runlane server start`", data_dir.display())]
    NotRunning {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The server did not end in time.
    #[error("server (pid {pid}) did not stop within {waited_secs} s")]
    StopTimeout {
        /// Its process id.
        pid: u32,
        /// How long was waited.
        waited_secs: u64,
    },
    /// The database could not be opened or upgraded.
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The object store cannot be used as it was given.
    #[error("cannot use the object store `{place}`: {reason}{}{hint}", if hint.is_empty() { "" } else { "\nhint: " })]
    Objects {
        /// Where the objects were to be.
        place: String,
        /// What is wrong.
        reason: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// The configuration contradicts itself.
    #[error("invalid server configuration: {0}")]
    Config(String),
}

/// A failure of the database or the object store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is gone.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The database cannot be reached.
    #[error(
        "cannot reach the database `{place}`: {reason}\nhint: does PostgreSQL run there, and are the user's name and password right?"
    )]
    Unreachable {
        /// The database, without its password.
        place: String,
        /// What the driver says; part of the message, so no source.
        reason: sqlx::Error,
    },
    /// Another transaction was first.
    #[error("database: {0}")]
    Conflict(&'static str),
    /// A newer server has used the database.
    #[error(
        "the database has schema {found}, and this server knows schemas up to {known}: a newer runlane has upgraded it\nhint: run that version or a newer one"
    )]
    NewerSchema {
        /// The latest migration that was applied.
        found: i64,
        /// The latest migration of this server.
        known: i64,
    },
    /// The schema could not be upgraded.
    #[error("database migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// An object could not be read or written.
    #[error("object store: {0}")]
    Object(#[from] object_store::Error),
    /// Stored bytes do not have the layout they should have.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}

impl Conflicting for StoreError {
    fn is_conflict(&self) -> bool {
        /// Two transactions changed the same, or waited for each other.
        const CODES: [&str; 2] = ["40001", "40P01"];
        match self {
            Self::Sql(sqlx::Error::Database(refusal)) => {
                refusal.code().is_some_and(|code| CODES.contains(&&*code))
            }
            Self::Conflict(_) => true,
            _ => false,
        }
    }
}

/// The answer to a request that failed: an HTTP status, a stable code and a message for people.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// HTTP status of the answer.
    pub status: StatusCode,
    /// Stable word for programs.
    pub code: &'static str,
    /// What failed and what to do about it.
    pub message: String,
}

impl ApiError {
    /// An error with all its parts.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// 400: the request cannot be understood.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// 422: understood, but not acceptable.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// 401: no or wrong credentials.
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "an API key or a sign-in is needed; hint: `runlane server env` prints the key",
        )
    }

    /// 403: not allowed, whoever asks.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404: not there (or not yours).
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 413: larger than a stated limit.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 503: try again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

/// PostgreSQL's code for text with a character that it does not have.
const UNSTORABLE_TEXT: &str = "22021";
/// The word for what may go through if it is done again at once.
const CONFLICT: &str = "conflict";

/// The word for what goes on while the answer is given: asked again, it may be done.
pub(crate) const IN_PROGRESS: &str = "in_progress";

impl Conflicting for ApiError {
    fn is_conflict(&self) -> bool {
        self.code == CONFLICT
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Sql(sqlx::Error::Database(refusal)) = &error
            && refusal.code().as_deref() == Some(UNSTORABLE_TEXT)
        {
            return Self::invalid("a text has a NUL character, which cannot be stored");
        }
        if error.is_conflict() {
            let message = "other requests changed the same at the same time; try again";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, CONFLICT, message);
        }
        // The client gets no detail: it may name files or other people's data.
        tracing::error!(error = %error, "request failed in the store");
        Self::unavailable(match error {
            StoreError::Object(_) => "the server's object store did not answer; try again",
            _ => "the server's store did not answer; try again",
        })
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let request_id = crate::auth::token::hex(&crate::auth::token::random_bytes::<8>());
        let body = json!({"error": {
            "code": self.code, "message": self.message, "request_id": request_id,
        }});
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // Not `Basic`, although that is what clients send: a browser would ask for a password over our sign-in page.
            response.headers_mut().insert(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("ApiKey realm=\"runlane\""),
            );
        }
        response
    }
}
