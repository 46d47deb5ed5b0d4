//! `GET /api/live`: tells pages which runs changed.
//!
//! The hub carries run ids only, in a bounded ring: a page that falls behind gets `reset` and reloads. Each page
//! gathers ids for a quarter of a second and reads the runs it cares about once, so a run that commits hundreds of
//! times a second costs each page four reads a second.
//!
//! Several processes of one database tell each other ([`crate::store::notices`]).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{broadcast, mpsc, watch};

use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{ApiError, StoreError};
use crate::extract::ApiQuery;
use crate::state::AppState;
use crate::store::accounts::Account;
use crate::store::notices::{Notice, Notices, Origin};
use crate::store::{Store, alerts, runs as run_rows};

const RING: usize = 1024;
const GATHER: Duration = Duration::from_millis(250);
/// How long a lost link to other processes waits before it is made again.
const RELINK: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(15);
/// Events on their way to one page; when full, the page is slow and the gathering waits.
const OUTBOX: usize = 64;

/// What pages are told about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// The run with this row id.
    Run(i64),
    /// Any run: more than can be told, or something was missed.
    Any,
}

/// Announces changed runs, to the pages of this process and to the other processes of a shared database.
#[derive(Clone)]
pub(crate) struct LiveHub {
    pages: broadcast::Sender<Change>,
    others: broadcast::Sender<i64>,
}

impl LiveHub {
    pub(crate) fn new() -> Self {
        Self {
            pages: broadcast::channel(RING).0,
            others: broadcast::channel(RING).0,
        }
    }

    /// Tells all pages that the run with row id `run_id` changed (after commit).
    pub(crate) fn changed(&self, run_id: i64) {
        // No page is open, or there is no other process: nobody to tell.
        drop(self.pages.send(Change::Run(run_id)));
        drop(self.others.send(run_id));
    }

    fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.pages.subscribe()
    }

    /// Tells other processes what changed here, and pages what changed there, until `closing`.
    pub(crate) async fn follow_others(self, store: Store, mut closing: watch::Receiver<bool>) {
        loop {
            let linked = async {
                match Notices::listen(&store).await {
                    Ok(Some((notices, origin))) => {
                        tokio::try_join!(self.hear(notices), self.tell_others(&store, &origin))
                            .map(|_never| ())
                    }
                    // Nobody else uses this database.
                    Ok(None) => std::future::pending().await,
                    Err(error) => Err(error),
                }
            };
            tokio::select! {
                () = closed(&mut closing) => return,
                ended = linked => if let Err(error) = ended {
                    tracing::warn!(error = %error, "other server processes cannot be heard");
                },
            }
            tokio::time::sleep(RELINK).await;
            drop(self.pages.send(Change::Any));
        }
    }

    async fn hear(&self, mut notices: Notices) -> Result<Infallible, StoreError> {
        loop {
            match notices.next().await? {
                Notice::Any => drop(self.pages.send(Change::Any)),
                Notice::Runs(ids) => {
                    for id in ids {
                        drop(self.pages.send(Change::Run(id)));
                    }
                }
            }
        }
    }

    async fn tell_others(&self, store: &Store, origin: &Origin) -> Result<Infallible, StoreError> {
        let mut changes = self.others.subscribe();
        loop {
            let mut runs = BTreeSet::new();
            let behind = match changes.recv().await {
                Ok(run) => {
                    runs.insert(run);
                    drain(&mut changes, |run| runs.insert(run))
                }
                Err(_behind) => true,
            };
            let ids: Vec<i64> = runs.into_iter().collect();
            store
                .announce(origin, if behind { &[] } else { &ids })
                .await?;
            tokio::time::sleep(GATHER / 2).await;
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Scope {
    entity: Option<String>,
    project: Option<String>,
}

/// Opens an event stream.
pub(crate) async fn events(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiQuery(scope): ApiQuery<Scope>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let changes = state.live.subscribe();
    let (outbox, events) = mpsc::channel(OUTBOX);
    tokio::spawn(follow(state, account, scope, changes, outbox));
    Ok(Sse::new(tokio_stream::wrappers::ReceiverStream::new(
        events,
    )))
}

/// Feeds one page until it leaves or the server closes.
async fn follow(
    state: AppState,
    account: Account,
    scope: Scope,
    mut changes: broadcast::Receiver<Change>,
    outbox: mpsc::Sender<Result<Event, Infallible>>,
) {
    let entity = scope
        .entity
        .as_deref()
        .map(|entity| Access::new(&state, &account).entity_name(entity));
    let mut closing = state.closing.clone();
    let mut ping = tokio::time::interval(PING);
    loop {
        let mut runs = BTreeSet::new();
        let mut behind = false;
        tokio::select! {
            () = outbox.closed() => return,
            () = closed(&mut closing) => return,
            _ = ping.tick() => {
                if outbox.send(Ok(Event::default().event("ping").data("{}"))).await.is_err() {
                    return;
                }
                continue;
            }
            change = changes.recv() => match change {
                Ok(Change::Run(run)) => { runs.insert(run); }
                Ok(Change::Any) | Err(broadcast::error::RecvError::Lagged(_)) => behind = true,
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
        let mut any = false;
        behind |= drain(&mut changes, |change| match change {
            Change::Run(run) => runs.insert(run),
            Change::Any => std::mem::replace(&mut any, true),
        });
        behind |= any;
        let sent = if behind {
            outbox
                .send(Ok(Event::default().event("reset").data("{}")))
                .await
                .is_ok()
        } else {
            tell(
                Access::new(&state, &account),
                &state,
                entity.as_deref(),
                scope.project.as_deref(),
                runs,
                &outbox,
            )
            .await
        };
        if !sent {
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Resolves when the server closes.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Takes what has piled up; true if some of it was missed.
fn drain<T: Clone>(changes: &mut broadcast::Receiver<T>, mut take: impl FnMut(T) -> bool) -> bool {
    loop {
        match changes.try_recv() {
            Ok(change) => {
                take(change);
            }
            Err(broadcast::error::TryRecvError::Lagged(_)) => return true,
            Err(_) => return false,
        }
    }
}

/// Sends one event per changed run in scope; false if the page has left.
async fn tell(
    access: Access<'_>,
    state: &AppState,
    entity: Option<&str>,
    project: Option<&str>,
    changed_runs: BTreeSet<i64>,
    outbox: &mpsc::Sender<Result<Event, Infallible>>,
) -> bool {
    for run in changed_runs {
        match run_event(access, state, entity, project, run).await {
            Ok(Some(event)) => {
                if outbox.send(Ok(event)).await.is_err() {
                    return false;
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = error.message, "live event left out"),
        }
    }
    true
}

async fn run_event(
    access: Access<'_>,
    state: &AppState,
    entity: Option<&str>,
    project: Option<&str>,
    run_id: i64,
) -> Result<Option<Event>, ApiError> {
    let mut reader = state.store.reader().await?;
    let Some(run) = run_rows::by_id(&mut reader, run_id).await? else {
        return Ok(None);
    };
    if entity.is_some_and(|entity| entity != run.entity)
        || project.is_some_and(|project| project != run.project)
    {
        return Ok(None);
    }
    if !access.sees_project(&mut reader, run.project_id).await? {
        return Ok(None);
    }
    let alert_count = alerts::count(&mut reader, run_id).await?;
    let data = json!({
        "entity": run.entity,
        "project": run.project,
        "run": run.name,
        "displayName": run.display_name,
        "state": run.state,
        "historyLineCount": run.history_line_count,
        "eventsLineCount": run.events_line_count,
        "logLineCount": run.log_line_count,
        "lastStep": run.last_step,
        "lostRows": run.lost_rows,
        "alertCount": alert_count,
        "stopRequested": run.stop_requested,
        "version": run.version,
    });
    Ok(Some(Event::default().event("run").data(data.to_string())))
}
