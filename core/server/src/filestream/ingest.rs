//! The writers of file streams: requests that wait together are committed together.
//!
//! A run is always written by the same task, so its requests are applied in their order; with `SQLite`, which has one writer, there is
//! one task.
//!
//! `submit` waits for room (bounded in requests and bytes), then for the commit. Each request is applied in its own
//! savepoint, so one that fails leaves nothing behind and does not disturb its neighbours.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use runlane_model::run_state::RunState;
use sqlx::Connection as _;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::request::Update;
use super::{generation, summary};
use crate::clock::Clock;
use crate::error::{ApiError, StoreError};
use crate::live::LiveHub;
use crate::store::conflict::{Conflicting as _, Retries};
use crate::store::streams::{StreamKind, StreamState};
use crate::store::{Connection, Store, alerts, lineage, projects, runs, streams};

const QUEUE_REQUESTS: usize = 1024;
const QUEUE_BYTES: usize = 128 << 20;
/// Requests in one commit: enough to share the sync, few enough to answer soon.
const GROUP_REQUESTS: usize = 64;
const GROUP_BYTES: usize = 8 << 20;

/// One request for one run.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) entity: String,
    pub(crate) project: String,
    pub(crate) run: String,
    /// Writer in shared mode, else empty.
    pub(crate) client: String,
    /// The client leaves the summary of its rows to the server.
    pub(crate) derives_summary: bool,
    /// W&B's own client sends it.
    pub(crate) is_original: bool,
    pub(crate) update: Update,
}

impl Job {
    fn place(&self) -> (&str, &str, &str) {
        (&self.entity, &self.project, &self.run)
    }

    fn bytes(&self) -> usize {
        let lines = self.update.batches.iter().flat_map(|batch| &batch.lines);
        lines.map(|line| line.text.len() + 64).sum::<usize>()
            + self.update.summary.as_ref().map_or(0, String::len)
            + 512
    }
}

/// What is stored now.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledgement {
    pub(crate) history: StreamState,
    pub(crate) events: StreamState,
    pub(crate) output: StreamState,
    pub(crate) exit_code: Option<i64>,
    /// The run shall stop.
    pub(crate) stopped: bool,
    /// How often the run was rewound.
    pub(crate) generation: i64,
    run_id: i64,
    project_id: i64,
}

struct Queued {
    job: Job,
    bytes: usize,
    answer: oneshot::Sender<Result<Acknowledgement, ApiError>>,
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// Handle to the writer tasks; cheap to clone. They end when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Ingest {
    queues: Arc<[mpsc::Sender<Queued>]>,
    room: Arc<Semaphore>,
}

impl Ingest {
    /// Starts the writer tasks, which end with the one returned.
    pub(crate) fn start(
        store: &Store,
        clock: &Arc<dyn Clock>,
        live: &LiveHub,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let mut tasks = JoinSet::new();
        let queues = (0..store.writers()).map(|_| {
            let (queue, jobs) = mpsc::channel(QUEUE_REQUESTS);
            tasks.spawn(work(store.clone(), Arc::clone(clock), live.clone(), jobs));
            queue
        });
        let queues = queues.collect();
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let task = tokio::spawn(async { drop(tasks.join_all().await) });
        (Self { queues, room }, task)
    }

    /// Applies `job`; returns after commit.
    pub(crate) async fn submit(&self, job: Job) -> Result<Acknowledgement, ApiError> {
        let gone = || ApiError::unavailable("the server is shutting down");
        let bytes = job.bytes().min(QUEUE_BYTES);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(permits)
            .await
            .map_err(|_closed| gone())?;
        let (answer, answered) = oneshot::channel();
        self.queue_of(&job)
            .send(Queued {
                job,
                bytes,
                answer,
                _room: room,
            })
            .await
            .map_err(|_closed| gone())?;
        answered.await.map_err(|_dropped| gone())?
    }

    fn queue_of(&self, job: &Job) -> &mpsc::Sender<Queued> {
        let mut hasher = DefaultHasher::new();
        job.place().hash(&mut hasher);
        let count = u64::try_from(self.queues.len()).unwrap_or(1);
        let index = usize::try_from(hasher.finish() % count).unwrap_or_default();
        &self.queues[index]
    }
}

async fn work(
    store: Store,
    clock: Arc<dyn Clock>,
    live: LiveHub,
    mut jobs: mpsc::Receiver<Queued>,
) {
    while let Some(first) = jobs.recv().await {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < GROUP_REQUESTS && bytes < GROUP_BYTES {
            let Ok(next) = jobs.try_recv() else { break };
            bytes += next.bytes;
            group.push(next);
        }
        let now_micros = clock.now_micros();
        let mut retries = Retries::default();
        let committed = loop {
            match commit(&store, &group, now_micros).await {
                Err(error) if retries.again(&error).await => {}
                done => break done,
            }
        };
        match committed {
            Ok(results) => {
                for (queued, result) in group.into_iter().zip(results) {
                    if let Ok(done) = &result {
                        live.changed(done.run_id);
                    }
                    // The client may have gone away; its data is stored all the same.
                    drop(queued.answer.send(result));
                }
            }
            Err(error) => {
                let error = ApiError::from(error);
                for queued in group {
                    drop(queued.answer.send(Err(error.clone())));
                }
            }
        }
    }
}

/// Applies all of `group` in one transaction; the results count only because it is committed.
async fn commit(
    store: &Store,
    group: &[Queued],
    now_micros: i64,
) -> Result<Vec<Result<Acknowledgement, ApiError>>, StoreError> {
    let mut transaction = store.writer().await?;
    if store.is_shared() {
        lock_in_order(&mut transaction, group).await?;
    }
    let mut results = Vec::with_capacity(group.len());
    let mut projects_touched = BTreeSet::new();
    for queued in group {
        let mut savepoint = transaction.begin().await?;
        let result = apply(&mut savepoint, &queued.job, now_micros).await;
        match &result {
            Ok(done) => {
                savepoint.commit().await?;
                projects_touched.insert(done.project_id);
            }
            // The whole group is done again.
            Err(error) if error.is_conflict() => {
                return Err(StoreError::Conflict(
                    "other transactions changed the same runs",
                ));
            }
            Err(_) => savepoint.rollback().await?,
        }
        results.push(result);
    }
    projects::touch(&mut transaction, &projects_touched, now_micros).await?;
    transaction.commit().await?;
    Ok(results)
}

/// Locks the runs of all requests in the order of their row ids: two processes that take the same runs in their own order
/// would wait for each other.
async fn lock_in_order(connection: &mut Connection, group: &[Queued]) -> Result<(), StoreError> {
    let mut ids = std::collections::BTreeSet::new();
    for queued in group {
        let job = &queued.job;
        let run = runs::find(connection, &job.entity, &job.project, &job.run).await?;
        ids.extend(run.map(|run| run.id));
    }
    for id in ids {
        runs::lock(connection, id).await?;
    }
    Ok(())
}

async fn apply(
    connection: &mut Connection,
    job: &Job,
    now_micros: i64,
) -> Result<Acknowledgement, ApiError> {
    // Locked before, with those of the other requests.
    let run = runs::find(connection, &job.entity, &job.project, &job.run)
        .await?
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "there is no run `{}/{}/{}`",
                job.entity, job.project, job.run
            ))
        })?;
    generation::check(&run, job)?;
    let mut states: [Option<StreamState>; 3] = [None, None, None];
    let mut last_step = None;
    let mut is_late = false;
    for batch in &job.update.batches {
        let state = streams::apply(connection, run.id, &job.client, batch).await?;
        generation::check_lines(&run, job, state.oddity)?;
        if batch.kind == StreamKind::History {
            // Rows behind these are stored already: a request that comes late, or twice, with an older summary.
            let lines = i64::try_from(batch.lines.len()).unwrap_or(i64::MAX);
            is_late = batch.offset.saturating_add(lines) < state.end;
            last_step = batch
                .lines
                .iter()
                .filter_map(|line| line.step)
                .max()
                .or(last_step);
        }
        states[usize::try_from(batch.kind.code()).unwrap_or_default()] = Some(state);
    }
    if !job.update.batches.is_empty() {
        runs::set_counts(connection, run.id, last_step).await?;
    }
    if let Some(lost) = job.update.lost {
        runs::set_lost(connection, run.id, &job.client, lost).await?;
    }
    let is_current = generation::takes_summary(&run, job, last_step.max(run.last_step))?;
    let base = match &job.update.summary {
        Some(_) => lineage::base_summary(connection, run.id).await?,
        None => None,
    };
    let summary = summary::after(&run, job, base.as_deref());
    if let Some(summary) = summary.filter(|_| !is_late && is_current) {
        let change = runs::RunChange {
            summary: Some(summary),
            ..runs::RunChange::default()
        };
        runs::update(connection, run.id, &change).await?;
    }
    let (state, exit_code) = next_state(&run, &job.update);
    if state != run.state || exit_code != run.exit_code {
        runs::set_state(connection, run.id, &state, exit_code, run.stop_requested).await?;
        if state == RunState::Crashed.as_str() && state != run.state {
            let text = "The process ended without an exit code.";
            alerts::add_crash(connection, run.id, text, now_micros).await?;
        }
    }
    runs::beat(connection, run.id, now_micros).await?;
    let [history, events, output] = states;
    let active = state.parse().is_ok_and(RunState::is_active);
    Ok(Acknowledgement {
        history: known(
            connection,
            history,
            run.id,
            StreamKind::History,
            &job.client,
        )
        .await?,
        events: known(connection, events, run.id, StreamKind::Events, &job.client).await?,
        output: known(connection, output, run.id, StreamKind::Output, &job.client).await?,
        exit_code,
        // Several processes may write to the run; the others are to stop as well when the first has.
        stopped: run.stop_requested
            && (active || job.update.end.is_none() && state == RunState::Killed.as_str()),
        generation: run.generation,
        run_id: run.id,
        project_id: run.project_id,
    })
}

async fn known(
    connection: &mut Connection,
    state: Option<StreamState>,
    run_id: i64,
    kind: StreamKind,
    client: &str,
) -> Result<StreamState, StoreError> {
    match state {
        Some(state) => Ok(state),
        None => streams::state(connection, run_id, kind, client).await,
    }
}

/// The state after a request. A run that its client ended stays ended, whatever late data arrives, until an upsert
/// opens it again; one that was only given up for lack of heartbeats goes on.
fn next_state(run: &runs::RunRow, update: &Update) -> (String, Option<i64>) {
    let state: RunState = run.state.parse().unwrap_or(RunState::Running);
    let state = match state {
        RunState::Running | RunState::Pending if update.preempting => RunState::Preempting,
        state => state,
    };
    if let Some(end) = update.end {
        let next = if end.trainer_died {
            state_after_death(state)
        } else {
            state.after_exit(end.exit_code, run.stop_requested)
        };
        return (next.as_str().to_owned(), Some(end.exit_code));
    }
    let given_up =
        matches!(state, RunState::Crashed | RunState::Preempted) && run.exit_code.is_none();
    let next = match state {
        RunState::Pending => RunState::Running,
        _ if given_up => RunState::Running,
        state => state,
    };
    (next.as_str().to_owned(), run.exit_code)
}

/// A repeated report of a death changes nothing.
fn state_after_death(state: RunState) -> RunState {
    match state {
        RunState::Preempted => RunState::Preempted,
        state => state.after_death(),
    }
}
