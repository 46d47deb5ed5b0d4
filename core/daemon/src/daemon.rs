//! The daemon as a whole: which runs are open, who is connected, when it may leave.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runlane_proto::control::StatusReply;
use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::error_info::ErrorCode;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;

use crate::clock::{Clock, SystemClock};
use crate::control;
use crate::metrics::Monitor;
use crate::run::actor::{self, Command, PeerLink, RunHandle};
use crate::run::shelved;
use crate::socket::acceptor::{self, Acceptor};
use crate::socket::connection::{self, Accepted};
use crate::socket::frame::Budget;
use crate::socket::listener;
use crate::upload::Outside;

/// Payload bytes that all connections together may have in the daemon.
const FRAME_BUDGET_BYTES: usize = 64 << 20;
/// What a dead process left is given so long to be taken over by another daemon.
const LEFTOVER_PAUSE: Duration = Duration::from_secs(30);
/// How often a run is opened anew because its last actor ended at that moment.
const OPEN_TRIES: usize = 3;
/// How long a shutdown waits for the runs to be written out.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How the daemon runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The user's private directory with the socket.
    pub runtime_dir: PathBuf,
    /// The daemon leaves after so long with no connection and nothing to upload.
    pub idle_timeout: Duration,
    /// Called when the last run has ended: what the allocator keeps for the next one is given back to the system.
    pub give_back_memory: fn(),
}

/// What the daemon knows beyond its runs.
pub(crate) struct Daemon {
    options: Options,
    started_at: Instant,
    /// Turns true when the daemon is to end.
    ending: watch::Sender<bool>,
    runs: Mutex<HashMap<PathBuf, RunHandle>>,
    clock: Arc<dyn Clock>,
    outside: Outside,
    monitor: Arc<Monitor>,
    budget: Budget,
    connections: AtomicUsize,
    connection_ids: AtomicU64,
    active_runs: AtomicUsize,
    changed: Notify,
}

impl Daemon {
    fn new(options: Options, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            options,
            started_at: Instant::now(),
            ending: watch::Sender::new(false),
            runs: Mutex::default(),
            outside: Outside::new(Arc::clone(&clock)),
            monitor: Monitor::new(Arc::clone(&clock)),
            clock,
            budget: Budget::new(FRAME_BUDGET_BYTES),
            connections: AtomicUsize::new(0),
            connection_ids: AtomicU64::new(1),
            active_runs: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Who samples system metrics.
    pub(crate) fn monitor(&self) -> &Arc<Monitor> {
        &self.monitor
    }

    pub(crate) fn outside(&self) -> Outside {
        self.outside.clone()
    }

    /// A key for a server: every run whose upload is paused because its own key is refused goes on with this one.
    /// Returns how many there are.
    pub(crate) fn new_credentials(&self, base_url: &str, api_key: &str) -> usize {
        self.outside.offer_key(base_url, api_key)
    }

    pub(crate) fn frame_budget(&self) -> Budget {
        self.budget.clone()
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
        let key = settings.map(|settings| (settings.base_url.clone(), settings.api_key.clone()));
        for _try in 0..OPEN_TRIES {
            let handle = self.handle_of(&path);
            let (reply, answer) = oneshot::channel();
            let command = Command::Open {
                open: Box::new(open.clone()),
                link: link.clone(),
                reply,
            };
            // An actor that is just ending takes no answer to its grave: the next one is asked.
            if handle.send(command).await.is_err() {
                continue;
            }
            let Ok(answer) = answer.await else { continue };
            let reply = answer?;
            if let Some((base_url, key)) = key
                && !key.is_empty()
            {
                // The process brings the newest key there is, it may be one that others wait for.
                self.new_credentials(&base_url, &key);
            }
            return Ok((handle, reply));
        }
        Err(pb::ErrorInfo {
            message: "the run ended while it was being opened".to_owned(),
            code: ErrorCode::Unknown.into(),
        })
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

    /// The runs that are open, by log file.
    pub(crate) fn open_runs(&self) -> Vec<(PathBuf, RunHandle)> {
        let runs = self.runs();
        let open = runs.iter().filter(|(_, handle)| !handle.is_closed());
        let mut open: Vec<_> = open
            .map(|(log, handle)| (log.clone(), handle.clone()))
            .collect();
        drop(runs);
        open.sort_by(|one, other| one.0.cmp(&other.0));
        open
    }

    /// The daemon as a whole.
    pub(crate) fn status(&self) -> StatusReply {
        let count = |counter: &AtomicUsize| {
            u32::try_from(counter.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
        };
        StatusReply {
            version: crate::VERSION.to_owned(),
            pid: std::process::id(),
            uptime_secs: self.started_at.elapsed().as_secs_f64(),
            resident_bytes: resident_bytes().unwrap_or(0),
            connections: count(&self.connections),
            queued_bytes: self.budget.bytes_taken(),
            runs: count(&self.active_runs),
            runtime_dir: self.options.runtime_dir.display().to_string(),
            idle_timeout_secs: self.options.idle_timeout.as_secs_f64(),
            sampler: self.monitor.samplers(),
        }
    }

    /// Ends the daemon as a signal does: every run is written out first.
    pub(crate) fn ask_to_end(&self) {
        self.ending.send_replace(true);
    }

    /// Whether the daemon is on its way out.
    pub(crate) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    fn is_idle(&self) -> bool {
        self.connections.load(Ordering::Relaxed) == 0
            && self.active_runs.load(Ordering::Relaxed) == 0
    }

    fn serve(self: &Arc<Self>, stream: UnixStream, tasks: &mut JoinSet<()>) {
        // Before the next one is accepted, which must see how many descriptors are really left.
        let Some(accepted) = Accepted::new(stream) else {
            return;
        };
        self.connections.fetch_add(1, Ordering::Relaxed);
        let daemon = Arc::clone(self);
        tasks.spawn(async move {
            let _active = Active {
                daemon: Arc::clone(&daemon),
                counter: Counter::Connections,
            };
            connection::serve(daemon, accepted).await;
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
    acceptor::raise_limit();
    serve_with(options, listener, stop, Arc::new(SystemClock)).await;
}

/// Writes to disk what processes left in memory that died together with their daemon.
async fn put_leftovers_by() {
    let list = || shelved::of_the_dead(None);
    let Ok(shelves) = tokio::task::spawn_blocking(list).await else {
        return;
    };
    tokio::time::sleep(LEFTOVER_PAUSE).await;
    // An error is a panic, which was told already.
    _ = tokio::task::spawn_blocking(move || shelved::put_by(&shelves)).await;
}

/// As [`serve`], with another clock.
pub async fn serve_with(
    options: Options,
    mut listener: UnixListener,
    mut stop: watch::Receiver<bool>,
    clock: Arc<dyn Clock>,
) {
    let daemon = Daemon::new(options.clone(), clock);
    let control = match control::Server::start(&daemon, &options.runtime_dir).await {
        Ok(server) => Some(server),
        Err(error) => {
            // Training must not wait for it.
            tracing::error!(%error, "the daemon runs without its control service");
            None
        }
    };
    let leftovers = tokio::spawn(put_leftovers_by());
    let mut ending = daemon.ending.subscribe();
    let mut tasks = JoinSet::new();
    let mut acceptor = Acceptor::new();
    let mut was_idle = true;
    loop {
        let idle = daemon.is_idle();
        if idle && !was_idle {
            (options.give_back_memory)();
        }
        was_idle = idle;
        tokio::select! {
            stream = acceptor.next(&listener) => daemon.serve(stream, &mut tasks),
            Some(_ended) = tasks.join_next(), if !tasks.is_empty() => {}
            () = daemon.changed.notified() => {}
            changed = stop.changed() => {
                if changed.is_err() || *stop.borrow() {
                    break;
                }
            }
            _changed = ending.changed() => break,
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
    leftovers.abort();
    daemon.ask_to_end();
    if let Some(control) = &control {
        control.announce_end().await;
    }
    daemon.shut_down().await;
    tasks.shutdown().await;
    // Before the record socket goes: from then on another daemon may be started.
    if let Some(control) = control {
        control.stop().await;
    }
    if let Err(error) = std::fs::remove_file(options.runtime_dir.join(listener::SOCKET_NAME)) {
        tracing::debug!(%error, "socket file was gone already");
    }
}

/// Memory of this process that is in RAM, if the system tells.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
