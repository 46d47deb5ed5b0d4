//! What callers and the writer thread share: one [`Hub`] per connection, one [`Stream`] per open run.
//!
//! Nothing in here is touched by a child of `fork`: it makes new ones (see [`crate::fork`]).

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runlane_proto::local::{OpenRunReply, Request, Response, RunSettings};
use runlane_proto::wandb_internal::{Record, RunRecord, RunlaneWriter};

use crate::console::Output;
use crate::io::shelf::Shelf;
use crate::io::wake::{Sleep, Wake};
use crate::queue::budget::Budget;
use crate::queue::gate::{Gate, Waiting};
use crate::queue::intake::{Intake, Refused};
use crate::queue::loss::Kind;

/// Bytes of queued entries in memory, per connection (`reliability.md` P6).
const QUEUE_BYTES: usize = 64 << 20;
/// How long a caller waits for room before its entry is given up: the writer needs only a moment unless the disk is full or
/// stalls.
const ROOM_WAIT: Duration = Duration::from_millis(35);
/// How long a call waits for the writer when memory is three quarters full.
const CROWDED_WAIT: Duration = Duration::from_millis(2);
/// How long a call waits while very much is behind one that is still being made.
const GATE_WAIT: Duration = Duration::from_secs(30);
/// How long the end of a process waits for the spill files.
const SPILL_WAIT: Duration = Duration::from_secs(1);
/// A caller that finds the last look at the rows so long ago hands them over itself: the writer thread did not get a processor.
const LATE_MICROS: u64 = 3_000;
/// So many calls in a row do so after a pause: a training step logs a few rows and is then busy for long.
const BURST: u32 = 8;
/// Notices that wait for a caller, per stream.
const NOTICES: usize = 64;

/// How to reach the daemon.
#[derive(Clone, Debug)]
pub(crate) struct HubConfig {
    /// Where its socket, lock and log are.
    pub(crate) runtime_dir: PathBuf,
    /// Absolute path of `runlane-core`.
    pub(crate) binary: PathBuf,
}

/// Hands over what was appended, for a caller that finds the writer thread late.
pub(crate) trait Help: Send + Sync {
    /// Does not wait for anything; does nothing if the writer is at it.
    fn help(&self);
}

/// The callers' side of one connection.
pub(crate) struct Hub {
    /// How to reach the daemon.
    pub(crate) config: HubConfig,
    /// Memory of all streams.
    pub(crate) budget: Budget,
    /// Wakes the writer thread.
    pub(crate) wake: Wake,
    commands: Mutex<Vec<Command>>,
    status: Mutex<Status>,
    changed: Condvar,
    waiters: AtomicUsize,
    next_id: AtomicU64,
    streams: Mutex<Vec<Arc<Stream>>>,
    helper: OnceLock<Weak<dyn Help>>,
    looked_at_micros: AtomicU64,
    burst: AtomicU32,
}

/// The state of the connection, for those who wait for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// The daemon that answered.
    pub(crate) daemon_pid: Option<u32>,
    /// Why the last attempt failed.
    pub(crate) failure: Option<String>,
    /// Attempts that failed since a daemon answered.
    pub(crate) failures: u32,
    /// The writer thread is gone.
    pub(crate) stopped: bool,
}

/// What callers tell the writer thread.
pub(crate) enum Command {
    /// A stream is to be opened, or attached.
    Open {
        stream: Arc<Stream>,
        attach: bool,
        preface: Vec<Record>,
        slot: Option<Arc<Slot>>,
    },
    /// Send behind the entries up to `after_seq`.
    Request {
        stream: u64,
        after_seq: u64,
        request: Request,
        slot: Arc<Slot>,
    },
    /// No more entries come; forget the stream when it is empty.
    Abandon { stream: u64 },
    /// The process ends: put into the spill files what is not acknowledged, then close the slot.
    SpillAll { slot: Arc<Slot> },
    /// End the writer thread.
    Stop,
}

impl Hub {
    /// A hub whose writer thread is still to be started.
    pub(crate) fn new(config: HubConfig) -> std::io::Result<Self> {
        Ok(Self {
            config,
            budget: Budget::new(QUEUE_BYTES),
            wake: Wake::new()?,
            commands: Mutex::default(),
            status: Mutex::default(),
            changed: Condvar::new(),
            waiters: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
            streams: Mutex::default(),
            helper: OnceLock::new(),
            looked_at_micros: AtomicU64::new(0),
            burst: AtomicU32::new(0),
        })
    }

    /// A number that was not used before on this connection.
    pub(crate) fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Who helps callers. Set once, before the first call.
    pub(crate) fn set_helper(&self, helper: Weak<dyn Help>) {
        _ = self.helper.set(helper);
    }

    /// Somebody is about to look for rows.
    pub(crate) fn looks(&self) {
        self.looked_at_micros
            .store(unix_micros(), Ordering::Relaxed);
    }

    /// A caller has stored something: sees to it that it is handed over soon. What is safe already only wakes a writer that
    /// sleeps; for the rest a system call is made after a pause and, while rows come fast, when the writer thread is late.
    #[inline]
    fn appended(&self, now_micros: u64, is_safe: bool) {
        if is_safe {
            if self.wake.claims_sleeper(Sleep::Sleeps) {
                self.wake.always();
            }
            return;
        }
        let sleeps = self.wake.claims_sleeper(Sleep::Dozes);
        // A clock that was set back or forward looks like a pause.
        let late =
            now_micros.abs_diff(self.looked_at_micros.load(Ordering::Relaxed)) >= LATE_MICROS;
        if sleeps || late || self.burst.load(Ordering::Relaxed) > 0 {
            self.hand_over(sleeps);
        }
    }

    #[cold]
    fn hand_over(&self, sleeps: bool) {
        if sleeps {
            self.burst.store(BURST, Ordering::Relaxed);
        } else {
            // Two threads may count one down once; it is no more than a hint.
            let left = self.burst.load(Ordering::Relaxed);
            self.burst.store(left.saturating_sub(1), Ordering::Relaxed);
        }
        if let Some(helper) = self.helper.get().and_then(Weak::upgrade) {
            helper.help();
        }
        if sleeps {
            self.wake.always();
        }
    }

    /// Hands a command to the writer thread.
    pub(crate) fn send(&self, command: Command) {
        if let Command::Open { stream, .. } = &command {
            lock(&self.streams).push(Arc::clone(stream));
        }
        lock(&self.commands).push(command);
        self.wake.always();
    }

    /// Takes the commands that wait.
    pub(crate) fn commands(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.commands))
    }

    /// Says whether commands wait.
    pub(crate) fn has_commands(&self) -> bool {
        !lock(&self.commands).is_empty()
    }

    /// Changes the status and tells those who wait.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
        self.changed.notify_all();
    }

    /// Tells those who wait for room or acknowledgements that there is news.
    pub(crate) fn moved(&self) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.status));
            self.changed.notify_all();
        }
    }

    /// The status now.
    pub(crate) fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// Waits until `enough` or the deadline; returns whether it was reached.
    pub(crate) fn wait_until(
        &self,
        deadline: Instant,
        mut enough: impl FnMut(&Status) -> bool,
    ) -> bool {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let mut status = lock(&self.status);
        let reached = loop {
            if enough(&status) {
                break true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            status = self
                .changed
                .wait_timeout(status, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        drop(status);
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        reached
    }

    /// Waits until every entry is acknowledged; what is not by then goes to the spill files. Returns whether all were.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let all =
            |enough: fn(&Stream) -> bool| lock(&self.streams).iter().all(|stream| enough(stream));
        self.wake.always();
        self.wait_until(deadline, |status| {
            status.stopped
                || all(|stream| stream.is_settled() || stream.hopeless.load(Ordering::Relaxed))
        });
        if all(Stream::is_settled) {
            return true;
        }
        let slot = Arc::new(Slot::default());
        self.send(Command::SpillAll {
            slot: Arc::clone(&slot),
        });
        if !self.status().stopped {
            slot.wait(SPILL_WAIT);
        }
        false
    }

    /// Forgets a stream that the writer thread is done with.
    pub(crate) fn forget(&self, stream: u64) {
        lock(&self.streams).retain(|known| known.id != stream);
    }
}

/// What opened a run; enough to open it again.
#[derive(Debug)]
pub(crate) struct OpenSpec {
    /// Resolved settings.
    pub(crate) settings: RunSettings,
    /// The run as it was opened.
    pub(crate) run: RunRecord,
    /// Who logs; the process is filled in.
    pub(crate) writer_info: Option<RunlaneWriter>,
}

impl OpenSpec {
    /// As a child of `fork` joins the run: under the child's name, or none, which leaves it to the daemon.
    pub(crate) fn for_child(&self, name: &str) -> Self {
        Self {
            settings: self.settings.clone(),
            run: self.run.clone(),
            writer_info: self.writer_info.clone().map(|info| RunlaneWriter {
                label: name.to_owned(),
                ..info
            }),
        }
    }
}

/// One open run of this process.
pub(crate) struct Stream {
    /// Unique per hub.
    pub(crate) id: u64,
    /// The fork generation it belongs to.
    pub(crate) generation: u32,
    /// Random, never 0.
    pub(crate) writer: u64,
    /// What opened it.
    pub(crate) spec: Arc<OpenSpec>,
    /// `<sync_dir>/run-<id>.<writer hex>.runlane-spill`
    pub(crate) spill_path: PathBuf,
    /// A call returns when its entry is on stable storage (`durability="strict"`).
    pub(crate) is_strict: bool,
    /// Where callers put entries.
    pub(crate) intake: Intake,
    /// Where they wait behind a call that is still being made.
    gate: Gate,
    /// What it prints.
    pub(crate) output: Output,
    /// The connection.
    pub(crate) hub: Arc<Hub>,
    state: AtomicU8,
    handed_over: AtomicU64,
    logged: AtomicU64,
    synced: AtomicU64,
    damaged: AtomicU64,
    stop_requested: AtomicBool,
    has_notices: AtomicBool,
    full: AtomicBool,
    spill_failed: AtomicBool,
    hopeless: AtomicBool,
    notices: Mutex<VecDeque<(u32, String)>>,
}

/// The highest sequence number on each rung of the durability ladder (`reliability.md` 2), D0 to D3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    /// The call returned.
    pub(crate) returned: u64,
    /// The kernel has it.
    pub(crate) handed_over: u64,
    /// It is in the log's page cache.
    pub(crate) logged: u64,
    /// It is on stable storage.
    pub(crate) synced: u64,
}

/// Whether a stream takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// It does.
    Open,
    /// The run was finished.
    Finished,
    /// The run was dropped.
    Abandoned,
}

impl Stream {
    /// A stream of the current generation. Entries go to the shelf that `shelve` makes for the path of the spill file.
    pub(crate) fn new(
        hub: Arc<Hub>,
        spec: Arc<OpenSpec>,
        writer: u64,
        generation: u32,
        shelve: impl FnOnce(u64, &Path) -> Option<Arc<Shelf>>,
    ) -> Self {
        let settings = &spec.settings;
        let name = format!("run-{}.{writer:016x}.runlane-spill", settings.run_id);
        let spill_path = PathBuf::from(&settings.sync_dir).join(name);
        let is_strict = settings.durability == "strict";
        // A strict call waits for the disk and wants its entry sent at once.
        let shelf = if is_strict {
            None
        } else {
            shelve(writer, &spill_path)
        };
        Self {
            id: hub.fresh_id(),
            generation,
            writer,
            spec,
            spill_path,
            is_strict,
            intake: Intake::new(writer, shelf),
            gate: Gate::default(),
            output: Output::default(),
            hub,
            state: AtomicU8::new(0),
            handed_over: AtomicU64::new(0),
            logged: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            stop_requested: AtomicBool::new(false),
            has_notices: AtomicBool::new(false),
            full: AtomicBool::new(false),
            spill_failed: AtomicBool::new(false),
            hopeless: AtomicBool::new(false),
            notices: Mutex::default(),
        }
    }

    /// Appends an entry; never blocks on I/O. `now_micros` is the Unix time. `wait` is called with a closure that may wait up to
    /// [`ROOM_WAIT`] for room.
    ///
    /// A full queue with nowhere to spill drops the entry, counts it and says so once; it is not an error.
    #[inline]
    pub(crate) fn append(
        &self,
        entry: &[u8],
        kind: Kind,
        now_micros: u64,
        wait: impl FnOnce(&mut (dyn FnMut() + Send)),
    ) -> Result<(), Refused> {
        if !self.gate.is_open() && self.gate.takes(entry, kind, now_micros) {
            if self.gate.is_crowded() {
                wait(&mut || self.gate.wait_for_room(GATE_WAIT));
            }
            return Ok(());
        }
        self.append_now(entry, kind, now_micros, wait)
    }

    /// Keeps the place of a call that is still being made.
    pub(crate) fn hold(&self) -> u64 {
        self.gate.hold()
    }

    /// Puts a held call in its place, or gives the place up, and appends what waited behind it.
    pub(crate) fn release(&self, ticket: u64, made: Option<Waiting>) {
        self.gate.release(ticket, made, |waiting| {
            // A stream that was closed meanwhile takes no more, as it would of the caller itself.
            drop(
                self.append_now(&waiting.entry, waiting.kind, waiting.now_micros, |wait| {
                    wait();
                }),
            );
        });
    }

    #[inline]
    fn append_now(
        &self,
        entry: &[u8],
        kind: Kind,
        now_micros: u64,
        wait: impl FnOnce(&mut (dyn FnMut() + Send)),
    ) -> Result<(), Refused> {
        match self.intake.append(entry, &self.hub.budget) {
            Ok(taken) => {
                self.hub.appended(now_micros, taken.is_safe);
                if self.hub.budget.is_crowded() {
                    self.slow_down(wait);
                }
                Ok(())
            }
            Err(Refused::Full) => self.append_when_full(entry, kind, wait),
            Err(Refused::Closed) => Err(Refused::Closed),
        }
    }

    /// A caller that logs faster than the disk takes it waits a little with each call, long before the memory is full.
    #[cold]
    fn slow_down(&self, wait: impl FnOnce(&mut (dyn FnMut() + Send))) {
        if !self.spill_failed.load(Ordering::Relaxed) {
            wait(&mut || {
                self.hub
                    .wait_until(Instant::now() + CROWDED_WAIT, |status| {
                        status.stopped || !self.hub.budget.is_crowded()
                    });
            });
        }
    }

    #[cold]
    fn append_when_full(
        &self,
        entry: &[u8],
        kind: Kind,
        wait: impl FnOnce(&mut (dyn FnMut() + Send)),
    ) -> Result<(), Refused> {
        self.hub.wake.always();
        // While the spill file takes nothing there is no point in waiting: one slow call is enough.
        if !(self.full.load(Ordering::Relaxed) && self.spill_failed.load(Ordering::Relaxed)) {
            let bytes = entry.len();
            wait(&mut || {
                self.hub.wait_until(Instant::now() + ROOM_WAIT, |status| {
                    status.stopped || self.hub.budget.has_room(bytes)
                });
            });
        }
        match self.intake.append(entry, &self.hub.budget) {
            Ok(_) => Ok(()),
            Err(Refused::Full) => {
                let lost = self.intake.count_lost(kind);
                if !self.full.swap(true, Ordering::Relaxed) {
                    self.notify(
                        40,
                        format!(
                            "rows are being lost (so far {lost}): the daemon takes none, {} MiB wait in memory and the spill \
                             file cannot grow\nhint: free space for `{}`",
                            QUEUE_BYTES >> 20,
                            self.spill_path.display()
                        ),
                    );
                }
                Ok(())
            }
            Err(Refused::Closed) => Err(Refused::Closed),
        }
    }

    /// Tells the user once that rows are kept again after some were lost. Called by the writer thread.
    pub(crate) fn look_for_room(&self) {
        if self.full.load(Ordering::Relaxed) && !self.hub.budget.is_tight() {
            self.full.store(false, Ordering::Relaxed);
            self.intake.mark_losses(&self.hub.budget);
            let lost = self.intake.lost();
            self.notify(
                40,
                format!("rows are kept again; {lost} rows of this process are lost"),
            );
        }
    }

    /// Whether the spill file takes nothing. Set by the writer thread.
    pub(crate) fn set_spill_failed(&self, failed: bool) {
        self.spill_failed.store(failed, Ordering::Relaxed);
    }

    /// The daemon will not take this stream up again.
    pub(crate) fn set_hopeless(&self) {
        self.hopeless.store(true, Ordering::Relaxed);
    }

    /// Who logs, in this process.
    pub(crate) fn writer_info(&self) -> Option<RunlaneWriter> {
        let info = self.spec.writer_info.clone()?;
        Some(RunlaneWriter {
            pid: std::process::id(),
            ..info
        })
    }

    /// Whether calls are taken.
    #[inline]
    pub(crate) fn state(&self) -> StreamState {
        match self.state.load(Ordering::Relaxed) {
            0 => StreamState::Open,
            1 => StreamState::Finished,
            _ => StreamState::Abandoned,
        }
    }

    /// Takes no more calls.
    pub(crate) fn close(&self, state: StreamState) {
        let value = match state {
            StreamState::Open => return,
            StreamState::Finished => 1,
            StreamState::Abandoned => 2,
        };
        self.state.store(value, Ordering::Relaxed);
        self.intake.close(&self.hub.budget);
    }

    /// The daemon has everything up to `logged` in its log, and up to `synced` on stable storage.
    pub(crate) fn set_logged(&self, logged: u64, synced: u64) {
        self.logged.fetch_max(logged, Ordering::Release);
        self.synced.fetch_max(synced, Ordering::Release);
    }

    /// Everything up to `seq` is with the kernel.
    pub(crate) fn set_handed_over(&self, seq: u64) {
        self.handed_over.fetch_max(seq, Ordering::Release);
    }

    /// Entries that the spill file lost.
    pub(crate) fn count_damaged(&self, entries: u64) {
        self.damaged.fetch_add(entries, Ordering::Relaxed);
    }

    /// Entries of this process that could not be kept.
    pub(crate) fn lost(&self) -> u64 {
        self.intake.lost() + self.damaged.load(Ordering::Relaxed)
    }

    /// How far the entries are.
    pub(crate) fn reached(&self) -> Reached {
        // From the top down: a rung is never ahead of the one below it.
        let synced = self.synced.load(Ordering::Acquire);
        let logged = self.logged.load(Ordering::Acquire).max(synced);
        let handed_over = self.handed_over.load(Ordering::Acquire).max(logged);
        Reached {
            returned: self.intake.last_seq(),
            handed_over,
            logged,
            synced,
        }
    }

    /// Whether the daemon will not take this stream up again.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Relaxed)
    }

    /// Everything that was logged is with the daemon, or nothing will ever be.
    pub(crate) fn is_settled(&self) -> bool {
        self.state() == StreamState::Abandoned
            || self.logged.load(Ordering::Acquire) >= self.intake.last_seq()
    }

    /// The server asked the run to stop.
    pub(crate) fn request_stop(&self) {
        self.stop_requested.store(true, Ordering::Relaxed);
    }

    /// Whether the server asked the run to stop.
    pub(crate) fn stop_requested(&self) -> bool {
        self.stop_requested.load(Ordering::Relaxed)
    }

    /// Leaves a line for the next call (20 info, 30 warning, 40 error). Beyond 64 the oldest is dropped.
    pub(crate) fn notify(&self, severity: u32, text: String) {
        let mut notices = lock(&self.notices);
        if notices.len() == NOTICES {
            notices.pop_front();
        }
        notices.push_back((severity, text));
        self.has_notices.store(true, Ordering::Relaxed);
    }

    /// Whether lines wait.
    #[inline]
    pub(crate) fn has_notices(&self) -> bool {
        self.has_notices.load(Ordering::Relaxed)
    }

    /// Takes the lines that wait.
    pub(crate) fn take_notices(&self) -> VecDeque<(u32, String)> {
        self.has_notices.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.notices))
    }
}

/// Where an answer arrives.
#[derive(Default)]
pub(crate) struct Slot {
    answers: Mutex<VecDeque<Answer>>,
    arrived: Condvar,
}

/// An answer of the daemon.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To `OpenRun`.
    Opened(Box<OpenRunReply>),
    /// To `Request`; `Finish` gives several.
    Response(Box<Response>),
    /// There will be none.
    Closed,
}

impl Slot {
    /// Adds an answer.
    pub(crate) fn put(&self, answer: Answer) {
        lock(&self.answers).push_back(answer);
        self.arrived.notify_all();
    }

    /// Waits for an answer up to `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Answer> {
        let deadline = Instant::now() + timeout;
        let mut answers = lock(&self.answers);
        loop {
            if let Some(answer) = answers.pop_front() {
                return Some(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            answers = self
                .arrived
                .wait_timeout(answers, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Microseconds since 1970 now.
#[inline]
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs() * 1_000_000 + u64::from(since.subsec_micros())
}

/// Orders an append before the look at the sleeper's flag (pairs with the fence of the writer thread).
#[inline]
pub(crate) fn publish_fence() {
    fence(Ordering::SeqCst);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic cannot leave these values half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
