//! A run's rows from its log, as a stream that its reader pulls: what it does not take is not read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use runlane_proto::control;
use tokio::time::Instant;
use tonic::Status;

use super::lookup::{self, OpenRun};
use crate::daemon::Daemon;
use crate::log_rows::{LogRow, LogRows};
use crate::run::actor::RunHandle;

/// Rows and bytes of one message.
const ROWS: usize = 256;
const BYTES: usize = 256 << 10;
/// The log is looked at for growth this often, and the run for its end.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const END_INTERVAL: Duration = Duration::from_millis(500);

/// One tail. Everything it holds is bounded: the reader's block and record, and one message.
struct Tail {
    daemon: Arc<Daemon>,
    run: RunHandle,
    rows: Option<LogRows>,
    follow: bool,
    /// The run had ended when it was last asked: the log grows no more.
    ended: bool,
    ask_at: Instant,
    done: bool,
}

/// The rows of `run`, beginning with the last `last` ones.
pub(super) async fn stream(
    daemon: Arc<Daemon>,
    run: OpenRun,
    last: u64,
    follow: bool,
) -> Result<impl Stream<Item = Result<control::TailReply, Status>> + Send + 'static, Status> {
    let log = PathBuf::from(&run.view.log);
    let rows = blocking(move || LogRows::open(&log, last)).await?;
    let tail = Tail {
        daemon,
        run: run.handle,
        rows: Some(rows),
        follow,
        ended: run.view.ended,
        ask_at: Instant::now() + END_INTERVAL,
        done: false,
    };
    Ok(futures::stream::unfold(tail, |mut tail| async move {
        if tail.done {
            return None;
        }
        let item = tail.next().await.transpose()?;
        tail.done |= item.is_err();
        Some((item, tail))
    }))
}

impl Tail {
    /// The next message; `None` at the end.
    async fn next(&mut self) -> Result<Option<control::TailReply>, Status> {
        loop {
            // Asked before the log is read: a run that had ended by then has written everything.
            let had_ended = self.ended;
            let rows = self.read().await?;
            if !rows.is_empty() {
                return Ok(Some(control::TailReply {
                    row: rows.into_iter().map(row_message).collect(),
                    ..Default::default()
                }));
            }
            let exit_code = self.rows.as_ref().and_then(LogRows::exit_code);
            if exit_code.is_some() || had_ended {
                self.done = true;
                return Ok(Some(control::TailReply {
                    row: Vec::new(),
                    ended: true,
                    exit_code,
                }));
            }
            if !self.follow {
                return Ok(None);
            }
            if self.daemon.is_ending() {
                return Err(Status::unavailable("the daemon is ending"));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            if self.ask_at <= Instant::now() {
                self.ask_at = Instant::now() + END_INTERVAL;
                self.ended = self.run.is_closed()
                    || lookup::inspect(&self.run)
                        .await
                        .is_some_and(|view| view.ended);
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<LogRow>, Status> {
        let Some(mut rows) = self.rows.take() else {
            return Ok(Vec::new());
        };
        let (rows, read) = blocking(move || {
            let read = rows.read(ROWS, BYTES);
            Ok((rows, read))
        })
        .await?;
        self.rows = Some(rows);
        read.map_err(unreadable)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, runlane_translog::Error> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(unreadable),
        Err(error) => Err(Status::internal(error.to_string())),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` takes"
)]
fn unreadable(error: runlane_translog::Error) -> Status {
    Status::unavailable(error.to_string())
}

fn row_message(row: LogRow) -> control::Row {
    control::Row {
        step: row.step,
        json: row.json,
        writer: row.writer,
    }
}
