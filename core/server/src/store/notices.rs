//! Which runs changed, told between the server processes of one PostgreSQL database (`NOTIFY`, `LISTEN`).
//!
//! A notice is `<origin>:<run id>,…` or `<origin>:*` for "more than can be told". Each process has an origin of its own and leaves
//! out its own notices. With `SQLite` there is one process, and nobody to tell.

use sqlx::postgres::PgListener;

use super::Store;
use crate::auth::token;
use crate::error::StoreError;

const CHANNEL: &str = "runlane_runs";
/// Run ids of one notice: PostgreSQL takes 8,000 bytes.
const MAX_IDS: usize = 350;

/// What other processes tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// These runs changed.
    Runs(Vec<i64>),
    /// Any run may have changed.
    Any,
}

/// One process's place among the others.
pub(crate) struct Notices {
    origin: String,
    listener: PgListener,
}

/// How a process signs its notices.
#[derive(Clone)]
pub(crate) struct Origin(String);

impl Notices {
    /// Listens to the other processes; none if the database is not shared.
    pub(crate) async fn listen(store: &Store) -> Result<Option<(Self, Origin)>, StoreError> {
        let Some(url) = store.shared_url() else {
            return Ok(None);
        };
        let mut listener = PgListener::connect(url.secret()).await?;
        listener.listen(CHANNEL).await?;
        let origin = token::hex(&token::random_bytes::<8>());
        let notices = Self {
            origin: origin.clone(),
            listener,
        };
        Ok(Some((notices, Origin(origin))))
    }

    /// Waits for the next notice of another process. After a lost connection, which is made again, anything may have been missed.
    pub(crate) async fn next(&mut self) -> Result<Notice, StoreError> {
        loop {
            let Some(notification) = self.listener.try_recv().await? else {
                return Ok(Notice::Any);
            };
            if let Some(notice) = parse(notification.payload(), &self.origin) {
                return Ok(notice);
            }
        }
    }
}

/// The notice of another process, if it is one.
fn parse(payload: &str, own_origin: &str) -> Option<Notice> {
    let (origin, ids) = payload.split_once(':')?;
    if origin == own_origin {
        return None;
    }
    if ids == "*" {
        return Some(Notice::Any);
    }
    let ids = ids.split(',').map(str::parse).collect::<Result<_, _>>();
    ids.ok().map(Notice::Runs)
}

fn payload(origin: &str, ids: &[i64]) -> String {
    if ids.is_empty() || ids.len() > MAX_IDS {
        return format!("{origin}:*");
    }
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("{origin}:{}", ids.join(","))
}

impl Store {
    /// Tells the other processes that the runs `ids` changed; no ids stand for any runs.
    pub(crate) async fn announce(&self, origin: &Origin, ids: &[i64]) -> Result<(), StoreError> {
        // Nothing in it comes from a user: hexadecimal digits, numbers, commas.
        let statement = format!("NOTIFY {CHANNEL}, '{}'", payload(&origin.0, ids));
        let mut connection = self.reader().await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_of_others_are_heard_and_own_ones_are_not() {
        assert_eq!(
            parse(&payload("a", &[3, 5]), "b"),
            Some(Notice::Runs(vec![3, 5]))
        );
        assert_eq!(parse(&payload("a", &[3]), "a"), None);
        assert_eq!(parse(&payload("a", &[]), "b"), Some(Notice::Any));
        let many: Vec<i64> = (0..1000).collect();
        assert_eq!(parse(&payload("a", &many), "b"), Some(Notice::Any));
        for odd in ["", "a", "a:", "a:x", "a:1,,2"] {
            assert_eq!(parse(odd, "b"), None, "{odd}");
        }
        let longest = payload("0123456789abcdef", &[i64::MIN; MAX_IDS]);
        assert!(longest.len() < 8_000, "{}", longest.len());
    }
}
