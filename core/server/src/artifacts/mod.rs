//! What artifacts are and how they change: the rules between the GraphQL types and the SQL.
//!
//! The life of a version:
//!
//! 1. [`create`]: it is known by an id, and so are the aliases that it is to get; or its content is there already, and then the aliases
//!    move to the version that has it. Nobody else sees it yet.
//! 2. [`manifests`]: a file says what is in it. Its bytes, and those of the entries, come by signed URLs ([`crate::blobs`]).
//! 3. [`commits`]: the manifest is read and every entry found; from then on the version has an index, is complete, and is never changed.
//! 4. [`delete`]: by somebody, or by the sweep when its time is over. The index is not used again.
//!
//! Every change is one transaction that locks the collection first, so what happens to the aliases of a collection has one order, which
//! is that of the commits. Whatever is repeated has the result that it had the first time.

pub(crate) mod collections;
mod commit;
pub(crate) mod commits;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod find;
pub(crate) mod link;
pub(crate) mod lists;
mod locate;
pub(crate) mod manifests;
pub(crate) mod sweep;
pub(crate) mod update;

use runlane_model::artifact::names;

use crate::error::ApiError;

/// Time to live: as the collection's.
pub(crate) const TTL_INHERITED: i64 = -1;
/// Time to live: for ever.
pub(crate) const TTL_DISABLED: i64 = -2;
/// The alias of the version that was made or linked last.
pub(crate) const LATEST: &str = "latest";

impl From<names::InvalidArtifactName> for ApiError {
    fn from(error: names::InvalidArtifactName) -> Self {
        Self::invalid(error.to_string())
    }
}

/// What is stored for a time to live as clients send it.
pub(crate) fn ttl_of(seconds: Option<i64>) -> Result<Option<i64>, ApiError> {
    match seconds {
        None | Some(TTL_INHERITED | 0) => Ok(None),
        // 1,000 years: what is beyond overflows the clock.
        Some(seconds) if seconds == TTL_DISABLED || (1..=31_536_000_000).contains(&seconds) => {
            Ok(Some(seconds))
        }
        Some(seconds) => Err(ApiError::invalid(format!(
            "`ttlDurationSeconds` is {seconds}; it is a positive number of seconds, -1 (as the collection's) or -2 (never)"
        ))),
    }
}

/// Checked aliases, each once. Versions have names of the form `v3`, so nobody gives them.
pub(crate) fn checked_aliases(aliases: Vec<String>) -> Result<Vec<String>, ApiError> {
    if aliases.len() > names::ALIASES {
        let most = names::ALIASES;
        return Err(ApiError::invalid(format!(
            "more than {most} aliases in one call"
        )));
    }
    let mut checked: Vec<String> = Vec::new();
    for alias in aliases {
        names::check_alias(&alias)?;
        if names::is_version(&alias) {
            return Err(ApiError::invalid(format!(
                "alias `{alias}` reads as a version, and versions number themselves; choose another word"
            )));
        }
        if !checked.contains(&alias) {
            checked.push(alias);
        }
    }
    Ok(checked)
}

/// Checked tags, each once.
pub(crate) fn checked_tags(tags: Vec<String>) -> Result<Vec<String>, ApiError> {
    if tags.len() > names::TAGS {
        let most = names::TAGS;
        return Err(ApiError::invalid(format!(
            "more than {most} tags in one call"
        )));
    }
    let mut checked: Vec<String> = Vec::new();
    for tag in tags {
        names::check_tag(&tag)?;
        if !checked.contains(&tag) {
            checked.push(tag);
        }
    }
    Ok(checked)
}

/// Work of some length.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_panic| ApiError::unavailable("the work broke off; try again"))
}

/// Two things that cannot both be.
pub(crate) fn contradiction(message: impl Into<String>) -> ApiError {
    ApiError::new(http::StatusCode::CONFLICT, "contradiction", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_those_of_the_protocol() {
        assert_eq!(ttl_of(None).ok(), Some(None));
        assert_eq!(ttl_of(Some(-1)).ok(), Some(None));
        assert_eq!(ttl_of(Some(-2)).ok(), Some(Some(-2)));
        assert_eq!(ttl_of(Some(60)).ok(), Some(Some(60)));
        for bad in [-3, i64::MIN, i64::MAX] {
            assert!(ttl_of(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn aliases_are_words_that_are_no_versions() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let checked = checked_aliases(words(&["a", "latest", "a"])).expect("words");
        assert_eq!(checked, ["a", "latest"]);
        for bad in ["v3", "a/b", ""] {
            assert!(checked_aliases(words(&[bad])).is_err(), "{bad}");
        }
        assert!(checked_aliases(vec!["x".to_owned(); 101]).is_err());
        assert!(checked_tags(words(&["a:b"])).is_err());
    }
}
