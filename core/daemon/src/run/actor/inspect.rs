//! What the control service asks of a run. Answered between commands, also while the disk takes nothing.

use std::time::Duration;

use runlane_proto::control;
use runlane_proto::local::{self, daemon_message::Message};
use tokio::sync::oneshot;

use super::{Actor, WriterLink};

/// A question or an order from outside the run's own processes.
#[derive(Debug)]
pub(crate) enum Ask {
    /// How the run is.
    Inspect(oneshot::Sender<control::Run>),
    /// Wait until everything that is in the log now has reached a level.
    Flush {
        level: local::Level,
        timeout: Duration,
        reply: oneshot::Sender<bool>,
    },
    /// Ask the processes to stop; the answer is how many there are.
    Stop(oneshot::Sender<u32>),
}

impl Actor {
    pub(super) fn answer_ask(&mut self, ask: Ask) {
        let heard = match ask {
            Ask::Inspect(reply) => reply.send(self.view()).is_ok(),
            Ask::Stop(reply) => reply.send(self.ask_to_stop()).is_ok(),
            Ask::Flush {
                level,
                timeout,
                reply,
            } => {
                self.flush_for_control(level, timeout, reply);
                true
            }
        };
        if !heard {
            tracing::debug!("who asked about a run did not wait for the answer");
        }
    }

    /// Tells every process of the run to stop; how many were told.
    fn ask_to_stop(&mut self) -> u32 {
        let mut told = 0;
        for writer in self.writers.values() {
            if let Some(link) = &writer.link {
                link.outbox.send(Message::Stop(local::Stop {
                    stream: link.stream,
                }));
                told += 1;
            }
        }
        tracing::info!(run = %self.settings.run_id, processes = told, "asked to stop by the control service");
        told
    }

    fn view(&self) -> control::Run {
        let upload = self
            .uploads
            .as_ref()
            .map(|uploads| uploads.status.borrow().clone())
            .unwrap_or_default();
        let is_written = self.end.is_some() && self.state.batch.is_empty();
        let complete = if self.settings.offline {
            is_written && self.journal.all_synced()
        } else {
            upload.complete
        };
        let problem = if self.problem.is_empty() {
            upload.problem.clone()
        } else {
            self.problem.clone()
        };
        let state = if upload.is_paused && !complete {
            control::RunState::Paused
        } else if complete && self.finishing.is_none() {
            control::RunState::Done
        } else if !problem.is_empty() {
            control::RunState::Stalled
        } else if self.finishing.is_some() {
            control::RunState::Finishing
        } else if self.end.is_some() {
            control::RunState::Uploading
        } else {
            control::RunState::Running
        };
        let log = self.journal.path();
        control::Run {
            run_id: self.settings.run_id.clone(),
            entity: self.state.run.entity.clone(),
            project: self.state.run.project.clone(),
            display_name: self.state.run.display_name.clone(),
            directory: self.settings.sync_dir.clone(),
            log: log.display().to_string(),
            state: state.into(),
            offline: self.settings.offline,
            base_url: self.settings.base_url.clone(),
            url: upload.run_url,
            writer: self.writer_views(),
            rows: self.state.rows,
            uploaded_rows: upload.rows,
            log_bytes: self.journal.len(),
            synced_bytes: self.journal.synced_len(),
            uploaded_bytes: upload.bytes,
            lost: self.state.lost,
            problem,
            complete,
            ended: is_written,
        }
    }

    fn writer_views(&self) -> Vec<control::Writer> {
        let view = |(&id, writer): (&u64, &WriterLink)| {
            let info = self.state.writer_info(id).cloned().unwrap_or_default();
            control::Writer {
                label: info.label,
                pid: info.pid,
                rank: info.rank,
                connected: writer.link.is_some(),
                logged_seq: self.state.logged_seq(id),
                synced_seq: self.journal.synced_seq(id),
            }
        };
        self.writers.iter().map(view).collect()
    }
}
