//! The calls of `runlane.control.v1.Control`.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use runlane_proto::control::{
    FlushLevel, FlushReply, FlushRequest, ListRunsReply, ListRunsRequest, RunState,
    SetCredentialsReply, SetCredentialsRequest, ShutDownReply, ShutDownRequest, StatusReply,
    StatusRequest, StopRunReply, StopRunRequest, TailReply, TailRequest, UploadProgressRequest,
};
use runlane_proto::local::Level;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::generated::control_server::Control;
use super::lookup::{self, OpenRun};
use super::tail;
use crate::daemon::Daemon;
use crate::run::actor::inspect::Ask;

const DEFAULT_FLUSH: Duration = Duration::from_secs(30);
const LONGEST_FLUSH: Duration = Duration::from_hours(24);
const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Answers calls.
#[derive(Clone)]
pub(super) struct Calls {
    daemon: Arc<Daemon>,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Calls")
    }
}

impl Calls {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Control for Calls {
    type TailStream = Streamed<TailReply>;
    type UploadProgressStream = Streamed<ListRunsReply>;

    async fn status(
        &self,
        _request: Request<StatusRequest>,
    ) -> Result<Response<StatusReply>, Status> {
        Ok(Response::new(self.daemon.status()))
    }

    async fn list_runs(
        &self,
        _request: Request<ListRunsRequest>,
    ) -> Result<Response<ListRunsReply>, Status> {
        let run = views(lookup::open_runs(&self.daemon).await);
        Ok(Response::new(ListRunsReply { run }))
    }

    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let wanted = request.into_inner();
        let run = lookup::find(&self.daemon, &wanted.run).await?;
        let daemon = Arc::clone(&self.daemon);
        let rows = tail::stream(daemon, run, wanted.last, wanted.follow).await?;
        Ok(Response::new(Box::pin(rows)))
    }

    async fn flush(&self, request: Request<FlushRequest>) -> Result<Response<FlushReply>, Status> {
        let wanted = request.into_inner();
        let level = match wanted.level() {
            FlushLevel::Unspecified => {
                return Err(Status::invalid_argument("no level was named"));
            }
            FlushLevel::Logged => Level::Logged,
            FlushLevel::Synced => Level::Synced,
            FlushLevel::Uploaded => Level::Uploaded,
        };
        let timeout = secs_or(wanted.timeout_secs, DEFAULT_FLUSH)?.min(LONGEST_FLUSH);
        let runs = lookup::find_all(&self.daemon, &wanted.run).await?;
        let flushes = runs
            .into_iter()
            .map(|run| async move { (flush(&run, level, timeout).await, run.view) });
        let results = futures::future::join_all(flushes).await;
        let behind = results
            .into_iter()
            .filter_map(|(reached, view)| (!reached).then_some(view));
        let behind: Vec<_> = behind.collect();
        Ok(Response::new(FlushReply {
            reached: behind.is_empty(),
            behind,
        }))
    }

    async fn stop_run(
        &self,
        request: Request<StopRunRequest>,
    ) -> Result<Response<StopRunReply>, Status> {
        let run = lookup::find(&self.daemon, &request.into_inner().run).await?;
        let (reply, answer) = oneshot::channel();
        let ended = || Status::not_found("the run has ended");
        let asked = run.handle.ask(Ask::Stop(reply)).await;
        asked.map_err(|_unsent| ended())?;
        let processes = answer.await.map_err(|_dropped| ended())?;
        Ok(Response::new(StopRunReply { processes }))
    }

    async fn upload_progress(
        &self,
        request: Request<UploadProgressRequest>,
    ) -> Result<Response<Self::UploadProgressStream>, Status> {
        let wanted = request.into_inner();
        let interval = secs_or(wanted.interval_secs, DEFAULT_INTERVAL)?.max(SHORTEST_INTERVAL);
        // A name that means nothing is an error of the call, not of the stream.
        let watched = lookup::find_all(&self.daemon, &wanted.run).await?;
        let watched: BTreeSet<String> = watched.into_iter().map(|run| run.view.log).collect();
        let daemon = Arc::clone(&self.daemon);
        let ticks = futures::stream::unfold((true, false), move |(is_first, is_last)| {
            let (daemon, watched) = (Arc::clone(&daemon), watched.clone());
            async move {
                if is_last {
                    return None;
                }
                if !is_first {
                    tokio::time::sleep(interval).await;
                }
                let run: Vec<_> = views(lookup::open_runs(&daemon).await)
                    .into_iter()
                    .filter(|run| watched.contains(&run.log))
                    .collect();
                let is_last =
                    run.iter().all(|run| run.state() == RunState::Done) || daemon.is_ending();
                Some((Ok(ListRunsReply { run }), (false, is_last)))
            }
        });
        Ok(Response::new(Box::pin(ticks)))
    }

    async fn set_credentials(
        &self,
        request: Request<SetCredentialsRequest>,
    ) -> Result<Response<SetCredentialsReply>, Status> {
        let given = request.into_inner();
        if given.base_url.is_empty() || given.api_key.is_empty() {
            return Err(Status::invalid_argument("a server and a key are needed"));
        }
        let runs = self.daemon.new_credentials(&given.base_url, &given.api_key);
        Ok(Response::new(SetCredentialsReply {
            runs: u32::try_from(runs).unwrap_or(u32::MAX),
        }))
    }

    async fn shut_down(
        &self,
        _request: Request<ShutDownRequest>,
    ) -> Result<Response<ShutDownReply>, Status> {
        let mut unfinished = views(lookup::open_runs(&self.daemon).await);
        unfinished.retain(|run| run.state() != RunState::Done);
        tracing::info!(
            unfinished = unfinished.len(),
            "the control service was told to end the daemon"
        );
        self.daemon.ask_to_end();
        Ok(Response::new(ShutDownReply {
            pid: std::process::id(),
            unfinished,
        }))
    }
}

fn views(runs: Vec<OpenRun>) -> Vec<runlane_proto::control::Run> {
    runs.into_iter().map(|run| run.view).collect()
}

/// Whether everything of the run has reached the level in time.
async fn flush(run: &OpenRun, level: Level, timeout: Duration) -> bool {
    let (reply, answer) = oneshot::channel();
    let ask = Ask::Flush {
        level,
        timeout,
        reply,
    };
    let flushed = async { run.handle.ask(ask).await.is_ok() && answer.await.unwrap_or(false) };
    tokio::time::timeout(timeout, flushed)
        .await
        .unwrap_or(false)
}

/// Seconds of a request; 0 means the default.
fn secs_or(secs: f64, default: Duration) -> Result<Duration, Status> {
    if secs == 0.0 {
        return Ok(default);
    }
    Duration::try_from_secs_f64(secs)
        .map_err(|_out_of_range| Status::invalid_argument(format!("not a time: {secs} s")))
}
