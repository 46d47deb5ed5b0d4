//! The commits that go on in this process. One of a large version takes longer than a request may: it goes on when the answer was 503,
//! and asked again, the request waits for it again.

use http::StatusCode;

use super::{commit, find};
use crate::auth::access::Access;
use crate::error::{ApiError, IN_PROGRESS};
use crate::single_flight::{Flights, Waited};

/// The versions that this process is committing, by row id.
pub(crate) type Commits = Flights<i64, Result<i64, ApiError>>;

/// Commits a version; the row id of the version that has the content, which may have been there before.
pub(crate) async fn commit(access: Access<'_>, artifact_id: i64) -> Result<i64, ApiError> {
    let state = access.state();
    {
        let mut reader = state.store.reader().await?;
        let version = find::writable(access, &mut reader, artifact_id).await?;
        if let Some(done) = commit::outcome(&version)? {
            return Ok(done);
        }
    }
    let work = || {
        let (state, account) = (state.clone(), access.account().clone());
        async move { commit::commit(Access::new(&state, &account), artifact_id).await }
    };
    let waited = state
        .commits
        .join(artifact_id, state.limits.join_wait, work);
    match waited.await {
        Waited::Done(done) => done,
        Waited::BrokenOff => Err(ApiError::unavailable(
            "the artifact was not committed; try again",
        )),
        Waited::Longer => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            IN_PROGRESS,
            "the artifact is being committed; ask again",
        )),
    }
}
