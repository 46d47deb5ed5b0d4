//! Where a PostgreSQL database is.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The URL of a PostgreSQL database, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; shown without its password, in errors and logs too.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Url);

/// Why a text is no [`DatabaseUrl`]; it does not repeat the text, which may have a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database is not given as `postgres://USER@HOST:PORT/DATABASE`\nhint: leave it out for the embedded database"
)]
pub struct InvalidDatabaseUrl;

impl DatabaseUrl {
    /// The whole URL, its password included.
    pub(crate) fn secret(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        let url = Url::parse(text).map_err(|_reason| InvalidDatabaseUrl)?;
        let is_postgres = matches!(url.scheme(), "postgres" | "postgresql");
        is_postgres.then_some(Self(url)).ok_or(InvalidDatabaseUrl)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // The query may have the password as well, and the names of key files.
        shown.set_query(None);
        // A URL without a host has no place for a password.
        if shown.password().is_some() && shown.set_password(None).is_err() {
            return formatter.write_str("postgres://…");
        }
        formatter.write_str(shown.as_str())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_never_shown() {
        for text in [
            "postgres://u:secret@db:5432/runlane",
            "postgresql://u@db/runlane?password=secret&sslmode=require",
        ] {
            let url: DatabaseUrl = text.parse().expect("a database URL");
            for shown in [format!("{url}"), format!("{url:?}")] {
                assert!(
                    shown.contains("u@db") && !shown.contains("secret"),
                    "{shown}"
                );
            }
            assert_eq!(url.secret(), text);
        }
        for text in ["mysql://u:secret@db/x", "secret", "sqlite://secret", ""] {
            let error = text.parse::<DatabaseUrl>().expect_err("no PostgreSQL URL");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
