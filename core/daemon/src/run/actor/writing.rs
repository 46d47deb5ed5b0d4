//! From the run's state to its log: appended, acknowledged, synced, closed.

use std::time::Duration;

use runlane_proto::local::{self, daemon_message::Message};
use tokio::task::JoinError;
use tokio::time::Instant;

use super::{APPEND_RETRY, Actor};
use crate::run::journal::{DiskNews, DiskOutcome};
use crate::run::{loss, recover, seal};
use crate::upload::LogEnd;

/// The disk was full for so long at least before a run that ends gives up rows.
const FULL_DISK_PATIENCE: Duration = Duration::from_secs(5);

impl Actor {
    /// Writes what waits to the log and the open row to the pending file.
    pub(in crate::run) fn write_out(&mut self) {
        let now = std::time::Instant::now();
        if self.journal.is_behind() {
            self.journal.catch_up(now);
        }
        let refused = self.journal.append(&mut self.state.batch, now).err();
        let problem = if self.is_gone {
            // Nobody can find what is written; the uploader still reads it.
            None
        } else if self.journal.is_behind() || refused.is_some() {
            // The pending file stays what it was when the log was last whole: the two go together.
            let trouble = self.journal.trouble();
            trouble.or_else(|| refused.map(|error| error.to_string()))
        } else {
            let saved = self.pending.save(&mut self.state.open_calls);
            self.journal.open_row_grew(self.pending.take_written(), now);
            saved
                .err()
                .map(|error| format!("cannot keep the open row: {error}"))
        };
        match problem {
            None => {
                self.retry_append_at = None;
                self.behind_since = None;
                if !self.problem.is_empty() && !self.journal.is_suspect() && !self.is_gone {
                    self.problem.clear();
                    self.tell_all(20, "the run's transaction log can be written again");
                }
            }
            Some(reason) => {
                let now = Instant::now();
                self.retry_append_at = Some(now + APPEND_RETRY);
                self.behind_since.get_or_insert(now);
                // Of a failed sync the user was told already.
                if self.problem != reason && !self.journal.is_suspect() {
                    tracing::error!(%reason, "transaction log cannot be written");
                    self.tell_all(40, &format!("{reason}; trying again, training goes on"));
                    self.problem = reason;
                }
            }
        }
        if self.state.batch.is_empty() && self.state.console.has_changes() {
            let changes = self.state.console.take_changes();
            self.output.take(changes, now);
            self.announce_parts();
        }
        for remark in std::mem::take(&mut self.state.remarks) {
            self.tell_all(remark.severity, &remark.text);
        }
        self.publish_log_state();
    }

    /// Has complete parts of the console uploaded.
    pub(super) fn announce_parts(&mut self) {
        let names = self.output.take_closed();
        if names.is_empty() {
            return;
        }
        self.state.add_console_files(names);
        if let Err(error) = self
            .journal
            .append(&mut self.state.batch, std::time::Instant::now())
        {
            // It is tried again with the next record.
            tracing::debug!(%error, "parts of the console not announced yet");
        }
    }

    /// Tells the uploader how far the log goes.
    pub(in crate::run) fn publish_log_state(&mut self) {
        if let Some(uploads) = &self.uploads {
            let end = self.end.filter(|_| self.state.batch.is_empty());
            uploads.log_grew(self.journal.len(), self.state.rows, end);
            if self.state.batch.is_empty() {
                self.uploaded
                    .log_grew(self.journal.len(), || self.state.seqs_in_log());
            }
        }
    }

    /// Up to which entry of a writer everything may be forgotten by its process. Lags behind what is applied while the disk
    /// takes nothing.
    pub(in crate::run) fn acked_seq(&self, writer: u64) -> u64 {
        if self.retry_append_at.is_none() {
            self.state.logged_seq(writer)
        } else {
            self.acked.get(&writer).copied().unwrap_or(0)
        }
    }

    /// Acknowledges what is in the page cache, and says what of it is on stable storage.
    pub(super) fn acknowledge(&mut self, writer: u64) {
        let logged_seq = self.acked_seq(writer);
        self.acked.insert(writer, logged_seq);
        if let Some(link) = self
            .writers
            .get(&writer)
            .and_then(|writer| writer.link.as_ref())
        {
            link.outbox.send(Message::Ack(local::Ack {
                stream: link.stream,
                logged_seq,
                synced_seq: self.journal.synced_seq(writer),
            }));
        }
    }

    /// The disk has taken what waited.
    pub(super) fn caught_up(&mut self) {
        self.acknowledge_all();
        if self.end.is_some() {
            self.forget_open_row();
        }
    }

    /// Whether everything is on stable storage, or never will be.
    pub(in crate::run) fn is_settled(&self) -> bool {
        self.is_gone || self.state.batch.is_empty() && self.journal.all_synced()
    }

    /// Notices that somebody has removed the run directory, which makes every attempt to write pointless.
    pub(super) fn watch_directory(&mut self) {
        let matters =
            self.end.is_some() || self.retry_append_at.is_some() || self.journal.is_suspect();
        if !matters {
            return;
        }
        let was_gone = std::mem::replace(&mut self.is_gone, !self.journal.is_named());
        if was_gone || !self.is_gone {
            return;
        }
        let path = self.journal.path();
        let text = format!(
            "the transaction log was removed while the run was going on: `{}`\nhint: rows that are not uploaded are lost",
            path.display()
        );
        tracing::error!(path = %path.display(), "transaction log removed during the run");
        self.tell_all(40, &text);
        self.problem = text;
    }

    fn acknowledge_all(&mut self) {
        let writers: Vec<u64> = self.writers.keys().copied().collect();
        for writer in writers {
            self.acknowledge(writer);
        }
    }

    /// Starts a sync, or the replacement of a log that could not be synced, if it is due.
    pub(super) fn start_disk_work(&mut self) {
        if self.disk_task.is_some() {
            return;
        }
        let now = std::time::Instant::now();
        let due = self.journal.disk_deadline();
        if due.is_none_or(|deadline| deadline > now) {
            return;
        }
        // An open row is acknowledged as durable together with the log, unless its file cannot be synced.
        let open_row = tokio::task::block_in_place(|| self.pending.sync());
        if let Err(error) = &open_row {
            tracing::warn!(%error, "pending file cannot be synced");
        }
        let is_whole = self.retry_append_at.is_none();
        let (state, acked) = (&self.state, &self.acked);
        let logged = || match (is_whole, &open_row) {
            (true, Ok(())) => state.logged_seqs(),
            (true, Err(_)) => state.seqs_in_log(),
            (false, _) => acked.clone(),
        };
        let Some(work) = self.journal.begin_disk_work(now, logged) else {
            return;
        };
        if open_row.is_err() {
            // It waits for the next sync, after a pause.
            self.journal.open_row_grew(1, now + APPEND_RETRY);
        }
        self.disk_task = Some(tokio::task::spawn_blocking(move || work.run()));
    }

    pub(super) fn disk_work_ended(&mut self, outcome: Result<DiskOutcome, JoinError>) {
        self.disk_task = None;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "sync ended abnormally");
                return;
            }
        };
        let now = std::time::Instant::now();
        match self.journal.complete_disk_work(outcome, now) {
            DiskNews::Synced => self.acknowledge_all(),
            DiskNews::SyncFailed(error) => {
                tracing::error!(%error, "transaction log cannot be synced");
                self.tell_all(
                    40,
                    &format!("{error}; the log goes on in a sound copy, training goes on"),
                );
                self.problem = error.to_string();
            }
            DiskNews::RepairFailed(error) => {
                self.tell_all(40, &format!("{error}; trying again, training goes on"));
                self.problem = error.to_string();
            }
            DiskNews::StillFailing => {}
            DiskNews::Repaired(report) => {
                tracing::warn!(?report, "transaction log replaced by a sound copy");
                self.problem.clear();
                self.tell_all(20, "the run's transaction log was replaced by a sound copy");
                if report.lost_records > 0 {
                    self.state.lost += report.lost_records;
                    let text = format!(
                        "{} records could not be read from the damaged transaction log and are lost",
                        report.lost_records
                    );
                    self.tell_all(40, &text);
                }
                self.write_out();
                self.acknowledge_all();
            }
        }
    }

    /// When a run that has ended on a full disk gives up what does not fit.
    pub(super) fn seal_at(&self) -> Option<Instant> {
        let ended_at = self.ended_at?;
        let is_waiting = self.journal.is_behind() || !self.state.batch.is_empty();
        if !is_waiting || self.journal.is_suspect() || self.disk_task.is_some() {
            return None;
        }
        if self.shutting_down {
            return self.seal_retry_at.is_none().then(Instant::now);
        }
        // The uploader reads what waits in memory; when it is through, less is lost.
        let is_uploading = self.uploads.as_ref().is_some_and(|uploads| {
            let status = uploads.status.borrow();
            !status.complete && !status.is_paused
        });
        let began = self.behind_since.unwrap_or(ended_at);
        let at = ended_at.max(began + FULL_DISK_PATIENCE);
        (!is_uploading).then_some(self.seal_retry_at.map_or(at, |retry| retry.max(at)))
    }

    /// Stops the uploader; what it has stored is remembered.
    pub(super) async fn stop_uploads(&mut self) {
        if let Some(uploads) = self.uploads.take() {
            self.stored_rows = uploads.status.borrow().rows;
            uploads.stop().await;
        }
    }

    /// Ends the log of a run on a full disk, if it is time.
    pub(super) async fn seal_if_due(&mut self) {
        if self.seal_at().is_none_or(|at| at > Instant::now()) {
            return;
        }
        // An uploader that is paused may have read what is replaced now; another one begins afresh.
        let is_paused = self
            .uploads
            .as_ref()
            .is_some_and(|uploads| !uploads.status.borrow().complete);
        if is_paused {
            self.stop_uploads().await;
        }
        tokio::task::block_in_place(|| self.seal());
        if is_paused {
            self.start_uploads(false);
        }
    }

    /// Ends the log of a run on a full disk: what must never be dropped goes into the reserve, with a marker of what is lost.
    fn seal(&mut self) {
        let now = std::time::Instant::now();
        let waiting = match self.journal.backlog() {
            Ok(mut waiting) => {
                waiting.extend(self.state.batch.iter().map(<[u8]>::to_vec));
                waiting
            }
            Err(error) => {
                tracing::error!(%error, "what waits for the full disk cannot be read");
                self.seal_retry_at = Some(Instant::now() + APPEND_RETRY);
                return;
            }
        };
        let room = self.journal.reserve_left().ok().flatten();
        let plan = seal::plan(&waiting, room.unwrap_or(0));
        let mut records: Vec<Vec<u8>> = Vec::new();
        let at = loss::timestamp(self.daemon.clock().unix_secs());
        for lost in &plan.losses {
            records.push(loss::encoded(lost, at));
        }
        records.extend(plan.kept);
        if let Err(error) = self.journal.replace_backlog(&records, now) {
            tracing::error!(%error, "the end of the run cannot be written");
            self.seal_retry_at = Some(Instant::now() + APPEND_RETRY);
        }
        self.state.batch.clear();
        let stored = self
            .uploads
            .as_ref()
            .map_or(self.stored_rows, |uploads| uploads.status.borrow().rows);
        for lost in &plan.losses {
            let is_rows = lost.stream == loss::HISTORY;
            let gone = if is_rows {
                lost.count.min(self.state.rows.saturating_sub(stored))
            } else {
                lost.count
            };
            self.state.lost += gone;
            tracing::error!(count = lost.count, stream = %lost.stream, "dropped: the disk is full");
            self.tell_all(40, &loss::text(lost));
        }
        self.journal.request_sync(now);
        // What was dropped was told; that the disk took the rest is no news.
        self.problem.clear();
        self.write_out();
        self.acknowledge_all();
        self.forget_open_row();
    }

    /// The run has ended and its log is whole: nothing of it is open any more.
    fn forget_open_row(&mut self) {
        if self.state.batch.is_empty()
            && !self.journal.is_behind()
            && let Err(error) = self.pending.remove()
        {
            tracing::warn!(%error, "pending file cannot be removed");
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
        let (spill_path, shelf_path) = (gone.spill_path.clone(), gone.shelf_path.clone());
        if self.end.is_some() {
            return;
        }
        tracing::info!(run = %self.settings.run_id, "a logging process has ended without finishing its run");
        let absorbed = tokio::task::block_in_place(|| {
            recover::absorb_spill(&spill_path, &mut self.state, &mut self.journal)?;
            recover::absorb_shelf(&shelf_path, writer, &mut self.state, &mut self.journal)
        });
        if let Err(error) = absorbed {
            tracing::error!(%error, "spill file of a dead process not applied");
        }
        self.sample_no_more(writer);
        self.state.writer_gone(writer, self.age.secs());
        self.write_out();
        if self.writers.values().all(|writer| writer.link.is_none()) {
            // Closed at once, or when what it left in TensorBoard's files is read.
            self.mirroring.is_orphaned = true;
            self.close_orphan();
        }
    }

    /// Writes out what closes the run; nothing is taken in any more.
    pub(in crate::run) fn close_run(&mut self, end: LogEnd) {
        self.end = Some(end);
        self.sampling.end();
        self.ended_at = Some(Instant::now());
        // Before the uploader hears of the end: it takes the file as it is then.
        let changes = self.state.console.take_changes();
        self.output.end(changes, std::time::Instant::now());
        self.write_out();
        self.journal.request_sync(std::time::Instant::now());
        self.forget_open_row();
        self.publish_log_state();
    }
}
