//! Before the first row: the head of the log is read and the server met.

use runlane_model::backoff::{Backoff, UPLOAD, Verdict};

use super::super::cursor::Target;
use super::super::files::FilePlan;
use super::super::graphql::Server;
use super::super::job::Job;
use super::super::projection::{Projection, Shift};
use super::super::start::{self, StartError, Started};
use super::super::tail::LogTail;
use super::super::{Outside, blocking};
use super::links::{Links, Pause};

/// Reads the records before the first row, waiting for the run record if the log has none yet. Returns where they end.
pub(super) async fn read_head(
    job: &Job,
    tail: &mut LogTail,
    projection: &mut Projection,
    files: &mut FilePlan,
    links: &mut Links,
) -> Result<u64, String> {
    let mut end = 0;
    loop {
        let next = blocking(|| tail.next()).map_err(|error| error.to_string())?;
        match next {
            Some((record, at)) if Projection::is_head(&record) => {
                let effects = projection.apply(&record);
                for warning in effects
                    .files
                    .iter()
                    .filter_map(|item| files.add(item))
                    .chain(effects.warnings)
                {
                    links.notice(30, warning);
                }
                end = at;
            }
            Some((record, at)) => {
                tail.put_back(record, at);
                break;
            }
            None if projection.run.is_some() => break,
            None => match job.poll {
                Some(poll) => tokio::time::sleep(poll).await,
                None if links.log.borrow().end.is_some() => break,
                None => {
                    if links.log.changed().await.is_err() {
                        break;
                    }
                }
            },
        }
    }
    if projection.run.is_none() {
        return Err(format!(
            "the transaction log has no run record: `{}`",
            job.log.display()
        ));
    }
    Ok(end)
}

/// Starts the run at the server, however long that takes; `None` if it cannot be.
pub(super) async fn meet(
    outside: &Outside,
    server: &mut Server,
    job: &Job,
    projection: &mut Projection,
    saved: Option<Target>,
    links: &mut Links,
) -> Option<Started> {
    let mut backoff = Backoff::new(UPLOAD);
    loop {
        let error = match start::start(server, job, projection, saved.clone()).await {
            Ok(mut started) => {
                links.resumed();
                let saves_code = started.features.saves_code;
                links
                    .status
                    .send_modify(|status| status.saves_code = saves_code);
                if let Some(reply) = links.started.take() {
                    if reply.send(Ok(started.run.clone())).is_ok() {
                        // The run's actor takes the server's steps over: its rows need no shift.
                        (started.target.step_shift, started.target.runtime_shift) = (0, 0.0);
                        projection.shift = Shift::default();
                    } else {
                        let text = format!(
                            "the server answers: uploading to `{}`",
                            job.settings.base_url
                        );
                        links.notice(20, text);
                    }
                }
                return Some(started);
            }
            Err(error) => error,
        };
        match error {
            StartError::Call(call) if call.verdict == Verdict::Retry => {
                let wait = backoff.failed(rand::random(), call.retry_after, call.hope);
                links
                    .status
                    .send_modify(|status| status.problem.clone_from(&call.message));
                let at = outside.clock.now() + wait;
                outside.clock.sleep_until(at).await;
            }
            // Nobody is there to be told at once: the process has gone on, its run waits.
            StartError::Call(call) if !links.is_awaited() => {
                let pause = Pause::of(&call);
                if !links.pause(outside, job, server, &pause).await {
                    return None;
                }
            }
            error => {
                links.refuse(job, error.to_error_info());
                return None;
            }
        }
    }
}
