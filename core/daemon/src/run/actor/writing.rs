//! From the run's state to its log: appended, acknowledged, synced, closed.

use runlane_proto::local::{self, daemon_message::Message};
use runlane_translog::SyncOutcome;
use tokio::time::Instant;

use super::{APPEND_RETRY, Actor};
use crate::run::recover;
use crate::upload::LogEnd;

impl Actor {
    /// Writes what waits to the log and the open row to the pending file.
    pub(in crate::run) fn write_out(&mut self) {
        let now = std::time::Instant::now();
        let written = self
            .journal
            .append(&mut self.state.batch, now)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                self.pending
                    .save(&mut self.state.open_calls)
                    .map_err(|error| format!("cannot keep the open row: {error}"))
            });
        match written {
            Ok(()) => {
                if !self.problem.is_empty() {
                    self.problem.clear();
                    self.tell_all(20, "the run's transaction log can be written again");
                }
                self.output.append(&mut self.state.lines);
            }
            Err(reason) => {
                self.retry_append_at = Some(Instant::now() + APPEND_RETRY);
                if self.problem != reason {
                    tracing::error!(%reason, "transaction log cannot be written");
                    self.tell_all(40, &format!("{reason}; trying again, training goes on"));
                    self.problem = reason;
                }
            }
        }
        for remark in std::mem::take(&mut self.state.remarks) {
            self.tell_all(remark.severity, &remark.text);
        }
        self.publish_log_state();
    }

    /// Tells the uploader how far the log goes.
    pub(in crate::run) fn publish_log_state(&mut self) {
        if let Some(uploads) = &self.uploads {
            let end = self.end.filter(|_| self.state.batch.is_empty());
            uploads.log_grew(self.journal.len(), self.state.rows, end);
        }
    }

    /// Acknowledges what is in the page cache; nothing while the log cannot be written.
    pub(super) fn acknowledge(&self, writer: u64) {
        if self.retry_append_at.is_some() {
            return;
        }
        if let Some(link) = self
            .writers
            .get(&writer)
            .and_then(|writer| writer.link.as_ref())
        {
            link.outbox.send(Message::Ack(local::Ack {
                stream: link.stream,
                logged_seq: self.state.logged_seq(writer),
                synced_seq: self.journal.synced_seq(writer),
            }));
        }
    }

    pub(super) fn start_sync(&mut self) {
        if self.sync_task.is_some() {
            return;
        }
        let logged = self.state.logged_seqs();
        let Some(pending) = self.journal.begin_sync(std::time::Instant::now(), logged) else {
            return;
        };
        // An open row is acknowledged as durable together with the log.
        if let Err(error) = tokio::task::block_in_place(|| self.pending.sync()) {
            tracing::warn!(%error, "pending file cannot be synced");
        }
        self.sync_task = Some(tokio::task::spawn_blocking(move || pending.run()));
    }

    pub(super) fn sync_ended(&mut self, outcome: Result<SyncOutcome, tokio::task::JoinError>) {
        self.sync_task = None;
        match outcome.map(|outcome| self.journal.complete_sync(outcome)) {
            Ok(Ok(())) => {
                let writers: Vec<u64> = self.writers.keys().copied().collect();
                for writer in writers {
                    self.acknowledge(writer);
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "transaction log cannot be synced");
                self.tell_all(40, &error.to_string());
                self.problem = error.to_string();
            }
            Err(error) => tracing::error!(%error, "sync ended abnormally"),
        }
    }

    /// The process of a writer is dead.
    pub(super) fn writer_gone(&mut self, connection: u64, writer: u64) {
        let Some(gone) = self.writers.get_mut(&writer) else {
            return;
        };
        if gone
            .link
            .as_ref()
            .is_none_or(|link| link.connection != connection)
        {
            // It has connected again since.
            return;
        }
        gone.link = None;
        let spill_path = gone.spill_path.clone();
        if self.end.is_some() {
            return;
        }
        tracing::info!(run = %self.settings.run_id, "a logging process has ended without finishing its run");
        let absorbed = tokio::task::block_in_place(|| {
            recover::absorb_spill(&spill_path, &mut self.state, &mut self.journal)
        });
        if let Err(error) = absorbed {
            tracing::error!(%error, "spill file of a dead process not applied");
        }
        self.write_out();
        if self.writers.values().all(|writer| writer.link.is_none()) {
            self.state.write_death(self.age.secs());
            self.close_run(LogEnd::Died);
        }
    }

    /// Writes out what closes the run; nothing is taken in any more.
    pub(in crate::run) fn close_run(&mut self, end: LogEnd) {
        self.end = Some(end);
        self.write_out();
        self.journal.request_sync(std::time::Instant::now());
        if self.state.batch.is_empty()
            && let Err(error) = self.pending.remove()
        {
            tracing::warn!(%error, "pending file cannot be removed");
        }
        self.publish_log_state();
    }
}
