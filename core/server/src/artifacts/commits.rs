//! The commits that go on in this process. One of a large version takes longer than a request may: it goes on when the answer was 503,
//! and asked again, the request waits for it again.

use std::collections::HashMap;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{commit, find};
use crate::auth::access::Access;
use crate::error::{ApiError, IN_PROGRESS};
use crate::state::AppState;
use crate::store::accounts::Account;

type Outcome = Option<Result<i64, ApiError>>;

/// The versions that this process is committing, by row id.
#[derive(Default)]
pub(crate) struct Commits {
    running: Mutex<HashMap<i64, watch::Receiver<Outcome>>>,
}

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
    let mut outcome = start(state, access.account(), artifact_id);
    let done =
        tokio::time::timeout(state.limits.join_wait, outcome.wait_for(Option::is_some)).await;
    match done {
        Ok(Ok(outcome)) => outcome
            .clone()
            .unwrap_or_else(|| Err(ApiError::unavailable("the commit has no outcome"))),
        Ok(Err(_stopped)) => Err(ApiError::unavailable(
            "the artifact was not committed; try again",
        )),
        Err(_elapsed) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            IN_PROGRESS,
            "the artifact is being committed; ask again",
        )),
    }
}

/// Begins a commit, if this process is not at it already; what tells when it is over.
fn start(state: &AppState, account: &Account, artifact_id: i64) -> watch::Receiver<Outcome> {
    let mut running = state.commits.running.lock();
    if let Some(outcome) = running.get(&artifact_id) {
        return outcome.clone();
    }
    let (tell, outcome) = watch::channel(None);
    running.insert(artifact_id, outcome.clone());
    let (state, account) = (state.clone(), account.clone());
    // Owned by nobody: it ends with a version or a reason, or with the process, and then it is done again.
    tokio::spawn(async move {
        let done = commit::commit(Access::new(&state, &account), artifact_id).await;
        state.commits.running.lock().remove(&artifact_id);
        tell.send_replace(Some(done));
    });
    outcome
}
