//! What processes ask of a run, and its answers.

use std::time::Duration;

use runlane_model::json::Value;
use runlane_proto::local::{self, daemon_message::Message, request, response};
use tokio::time::Instant;

use super::{Actor, PeerLink};
use crate::run::finish::SAMPLES;

/// A `Flush` that waits for its level.
#[derive(Debug)]
pub(super) struct WaitingFlush {
    link: PeerLink,
    request_id: u64,
    writer: u64,
    seq: u64,
    log_bytes: u64,
    level: local::Level,
    pub(super) deadline: Instant,
}

impl Actor {
    pub(super) fn take_request(&mut self, writer: u64, request: local::Request) {
        let Some(link) = self
            .writers
            .get(&writer)
            .and_then(|writer| writer.link.clone())
        else {
            return;
        };
        let request_id = request.request_id;
        let answer = match request.request {
            Some(request::Request::Flush(flush)) => {
                self.flush(writer, request_id, link, &flush);
                return;
            }
            Some(request::Request::Finish(finish)) => {
                self.begin_finish(request_id, link, &finish);
                return;
            }
            Some(request::Request::GetSummary(_)) => {
                let json = Value::Object(self.state.summary()).to_string();
                response::Response::Summary(local::Summary { json })
            }
            Some(request::Request::GetStep(_)) => response::Response::Step(local::Step {
                next: self.state.next_step(),
            }),
            Some(request::Request::SampledHistory(wanted)) => {
                let limit = usize::try_from(wanted.samples)
                    .unwrap_or(usize::MAX)
                    .min(SAMPLES);
                response::Response::Sampled(local::Sampled {
                    item: self.state.sampled(limit),
                })
            }
            Some(request::Request::GetStatus(_)) => response::Response::Status(self.status(writer)),
            None => return,
        };
        link.outbox.send(Message::Response(local::Response {
            request_id,
            error: None,
            response: Some(answer),
        }));
    }

    fn status(&self, writer: u64) -> local::Status {
        let upload = self
            .uploads
            .as_ref()
            .map(|uploads| uploads.status.borrow().clone())
            .unwrap_or_default();
        local::Status {
            logged_seq: self.state.logged_seq(writer),
            synced_seq: self.journal.synced_seq(writer),
            uploaded_rows: upload.rows,
            rows: self.state.rows,
            should_stop: upload.stop_requested,
            problem: if self.problem.is_empty() {
                upload.problem
            } else {
                self.problem.clone()
            },
        }
    }

    fn flush(&mut self, writer: u64, request_id: u64, link: PeerLink, flush: &local::Flush) {
        let seconds = if flush.timeout_secs > 0.0 {
            flush.timeout_secs.min(86_400.0)
        } else {
            30.0
        };
        let level = flush.level();
        if level == local::Level::Synced {
            self.journal.request_sync(std::time::Instant::now());
        }
        if let (local::Level::Uploaded, Some(uploads)) = (level, &self.uploads) {
            uploads.hurry();
        }
        self.flushes.push(WaitingFlush {
            link,
            request_id,
            writer,
            seq: self.state.logged_seq(writer),
            log_bytes: self.journal.len(),
            level,
            deadline: Instant::now() + Duration::from_secs_f64(seconds),
        });
    }

    pub(super) fn answer_flushes(&mut self) {
        let now = Instant::now();
        let uploaded_bytes = self
            .uploads
            .as_ref()
            .map(|uploads| uploads.status.borrow().bytes);
        let logged = self.retry_append_at.is_none();
        let journal = &self.journal;
        self.flushes.retain(|flush| {
            let reached = match flush.level {
                local::Level::Synced => {
                    journal.synced_seq(flush.writer) >= flush.seq || journal.all_synced()
                }
                // An offline run has nothing to upload and never reaches the level.
                local::Level::Uploaded => {
                    uploaded_bytes.is_some_and(|bytes| bytes >= flush.log_bytes)
                }
                local::Level::Logged | local::Level::Unspecified => logged,
            };
            if !reached && flush.deadline > now {
                return true;
            }
            flush.link.outbox.send(Message::Response(local::Response {
                request_id: flush.request_id,
                error: None,
                response: Some(response::Response::Flushed(local::Flushed { reached })),
            }));
            false
        });
    }
}
