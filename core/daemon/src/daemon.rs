//! The daemon as a whole: which runs are open, who is connected, when it may leave.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::error_info::ErrorCode;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use crate::clock::{Clock, SystemClock};
use crate::run::actor::{self, Command, PeerLink, RunHandle};
use crate::socket::{connection, frame, listener};
use crate::upload::HttpMaker;

/// Payload bytes that all connections together may have in the daemon.
const FRAME_BUDGET_BYTES: usize = 64 << 20;
/// How long a shutdown waits for the runs to be written out.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// A failing `accept` (no descriptors left) is tried again after this pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How the daemon runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The user's private directory with the socket.
    pub runtime_dir: PathBuf,
    /// The daemon leaves after so long with no connection and nothing to upload.
    pub idle_timeout: Duration,
}

/// What the daemon knows beyond its runs.
pub(crate) struct Daemon {
    runs: Mutex<HashMap<PathBuf, RunHandle>>,
    clock: Arc<dyn Clock>,
    http: HttpMaker,
    budget: Arc<Semaphore>,
    connections: AtomicUsize,
    connection_ids: AtomicU64,
    active_runs: AtomicUsize,
    changed: Notify,
}

impl Daemon {
    fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            runs: Mutex::default(),
            http: crate::upload::network(Arc::clone(&clock)),
            clock,
            budget: frame::budget(FRAME_BUDGET_BYTES),
            connections: AtomicUsize::new(0),
            connection_ids: AtomicU64::new(1),
            active_runs: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn http_maker(&self) -> HttpMaker {
        Arc::clone(&self.http)
    }

    pub(crate) fn frame_budget(&self) -> Arc<Semaphore> {
        Arc::clone(&self.budget)
    }

    pub(crate) fn next_connection_id(&self) -> u64 {
        self.connection_ids.fetch_add(1, Ordering::Relaxed)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<PathBuf, RunHandle>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a run, or joins one that is open. One actor per log, whoever comes first.
    pub(crate) async fn open_run(
        self: &Arc<Self>,
        open: local::OpenRun,
        link: PeerLink,
    ) -> Result<(RunHandle, local::OpenRunReply), pb::ErrorInfo> {
        let settings = open.settings.as_ref();
        let path = crate::run::actor::log_path(settings.unwrap_or(&local::RunSettings::default()))?;
        let handle = self.handle_of(&path);
        let (reply, answer) = oneshot::channel();
        let ended = || pb::ErrorInfo {
            message: "the run ended while it was being opened".to_owned(),
            code: ErrorCode::Unknown.into(),
        };
        let command = Command::Open {
            open: Box::new(open),
            link,
            reply,
        };
        handle.send(command).await.map_err(|_unsent| ended())?;
        let reply = answer.await.map_err(|_dropped| ended())??;
        Ok((handle, reply))
    }

    fn handle_of(self: &Arc<Self>, path: &Path) -> RunHandle {
        let mut runs = self.runs();
        runs.retain(|_, handle| !handle.is_closed());
        if let Some(handle) = runs.get(path) {
            return handle.clone();
        }
        let (handle, commands) = RunHandle::new();
        runs.insert(path.to_owned(), handle.clone());
        drop(runs);
        self.active_runs.fetch_add(1, Ordering::Relaxed);
        let daemon = Arc::clone(self);
        tokio::spawn(async move {
            let _active = Active {
                daemon: Arc::clone(&daemon),
                counter: Counter::Runs,
            };
            actor::run(daemon, commands).await;
        });
        handle
    }

    fn is_idle(&self) -> bool {
        self.connections.load(Ordering::Relaxed) == 0
            && self.active_runs.load(Ordering::Relaxed) == 0
    }

    fn serve(self: &Arc<Self>, stream: UnixStream, tasks: &mut JoinSet<()>) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let daemon = Arc::clone(self);
        tasks.spawn(async move {
            let _active = Active {
                daemon: Arc::clone(&daemon),
                counter: Counter::Connections,
            };
            connection::serve(daemon, stream).await;
        });
    }

    async fn shut_down(&self) {
        let handles: Vec<RunHandle> = self.runs().values().cloned().collect();
        let all = async {
            for handle in &handles {
                if handle.send(Command::ShutDown).await.is_ok() {
                    handle.closed().await;
                }
            }
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, all).await.is_err() {
            tracing::error!(
                "some runs were not written out before the daemon's end; their logs are whole"
            );
        }
    }
}

enum Counter {
    Connections,
    Runs,
}

/// Counts something down when it ends, however it ends.
struct Active {
    daemon: Arc<Daemon>,
    counter: Counter,
}

impl Drop for Active {
    fn drop(&mut self) {
        let counter = match self.counter {
            Counter::Connections => &self.daemon.connections,
            Counter::Runs => &self.daemon.active_runs,
        };
        counter.fetch_sub(1, Ordering::Relaxed);
        self.daemon.changed.notify_one();
    }
}

/// Serves `listener` until the daemon has been idle for its time, or `stop` turns true.
pub async fn serve(options: Options, listener: UnixListener, stop: watch::Receiver<bool>) {
    serve_with(options, listener, stop, Arc::new(SystemClock)).await;
}

/// As [`serve`], with another clock.
pub async fn serve_with(
    options: Options,
    mut listener: UnixListener,
    mut stop: watch::Receiver<bool>,
    clock: Arc<dyn Clock>,
) {
    let daemon = Daemon::new(clock);
    let mut tasks = JoinSet::new();
    loop {
        let idle = daemon.is_idle();
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _address)) => daemon.serve(stream, &mut tasks),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = tasks.join_next(), if !tasks.is_empty() => {}
            () = daemon.changed.notified() => {}
            changed = stop.changed() => {
                if changed.is_err() || *stop.borrow() {
                    break;
                }
            }
            () = tokio::time::sleep(options.idle_timeout), if idle => {
                match listener::retire(&options.runtime_dir, listener).await {
                    Ok(()) => {
                        tracing::info!("idle: the daemon ends");
                        return;
                    }
                    Err((kept, waiting)) => {
                        listener = kept;
                        if let Some(stream) = waiting {
                            daemon.serve(stream, &mut tasks);
                        }
                    }
                }
            }
        }
    }
    tracing::info!("the daemon was asked to end");
    daemon.shut_down().await;
    tasks.shutdown().await;
    if let Err(error) = std::fs::remove_file(options.runtime_dir.join(listener::SOCKET_NAME)) {
        tracing::debug!(%error, "socket file was gone already");
    }
}
