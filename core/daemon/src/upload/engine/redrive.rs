//! Sending again what the server did not take earlier, behind everything else of the run.
//!
//! The places of the lines hold placeholders, and the server keeps the first text of a line: they go behind the last
//! one. Where each goes is written down before it is sent, so that an interrupted attempt does not store one twice.

use bytes::Bytes;
use serde_json::json;

use super::super::ack;
use super::super::blocking;
use super::super::http::CallError;
use super::super::quarantine::DeadLetter;
use super::super::stream::{Lines, Offsets};
use super::links::Pause;
use super::{Engine, Halt};

/// Failures in a row of one request, before it is left to the next `sync`.
const TRIES: u32 = 8;

impl Engine {
    /// Sends the dead letters again; those that are refused again stay.
    pub(super) async fn redrive(&mut self) -> Result<(), Halt> {
        let letters = blocking(|| self.dead.read()).map_err(|error| self.unreadable(&error))?;
        if letters.is_empty() {
            return Ok(());
        }
        let mut ends = self.ends().await?;
        let mut left = 0_u64;
        for letter in &letters {
            let outcome = match Lines::of_name(&letter.file) {
                Some(file) => self.redrive_line(letter, file, &mut ends).await,
                None => self.redrive_member(letter).await,
            };
            match outcome {
                Ok(()) => blocking(|| self.dead.note_done(letter))
                    .map_err(|error| self.unreadable(&error))?,
                Err(error) => {
                    left += 1;
                    self.warn(format!(
                        "a quarantined part is refused again: {}",
                        error.message
                    ));
                }
            }
        }
        self.quarantined = left;
        if left == 0 {
            blocking(|| self.dead.remove()).map_err(|error| self.unreadable(&error))?;
        }
        // Data behind the end opens a run again at some servers.
        let end = self.end();
        if end.changes_state && !self.started.features.fast_stream {
            let body = json!({"complete": true, "exitcode": end.exit_code});
            self.deliver(body.to_string())
                .await
                .map_err(|error| Halt::Pause(Pause::of(&error)))?;
        }
        Ok(())
    }

    fn unreadable(&self, error: &std::io::Error) -> Halt {
        Halt::Over(format!(
            "quarantined lines cannot be read or marked: {error}: `{}`",
            self.dead.path().display()
        ))
    }

    async fn redrive_line(
        &self,
        letter: &DeadLetter,
        file: Lines,
        ends: &mut Offsets,
    ) -> Result<(), CallError> {
        let at = letter.at.unwrap_or_else(|| ends.get(file));
        blocking(|| self.dead.note_place(letter, at))
            .map_err(|error| CallError::refused(error.to_string()))?;
        let content = json!({"offset": at, "content": [letter.text]});
        let answer = self
            .deliver(json!({"files": {letter.file.as_str(): content}}).to_string())
            .await?;
        if let Some(answer) = answer {
            let mut reach = Offsets::default();
            *reach.of(file) = at + 1;
            if answer.shortfall(Offsets::default(), reach).is_some() {
                return Err(CallError::refused("the server has not stored it"));
            }
        }
        let end = ends.of(file);
        *end = (*end).max(at + 1);
        Ok(())
    }

    /// What is no line: the summary as it is now, names of uploaded files; signals are over.
    async fn redrive_member(&mut self, letter: &DeadLetter) -> Result<(), CallError> {
        let body = match letter.file.as_str() {
            "wandb-summary.json" => {
                let text = runlane_model::json::Value::Object(self.projection.summary());
                let content = json!({"offset": 0, "content": [text.to_string()]});
                json!({"files": {"wandb-summary.json": content}})
            }
            "uploaded" => json!({"uploaded": letter.text.lines().collect::<Vec<_>>()}),
            _ => return Ok(()),
        };
        self.deliver(body.to_string()).await.map(|_answer| ())
    }

    /// One request, tried a few times.
    async fn deliver(&self, body: String) -> Result<Option<ack::Acknowledgement>, CallError> {
        let ours = self.started.features.fast_stream;
        let mut backoff = runlane_model::backoff::Backoff::new(runlane_model::backoff::UPLOAD);
        loop {
            let pass = self.server.host().enter().await;
            let path = [
                self.started.entity.as_str(),
                &self.started.project,
                &self.started.run.run_id,
            ];
            let timeout = std::time::Duration::from_mins(3);
            let answer = self
                .server
                .file_stream(pass, path, Bytes::from(body.clone()), false, timeout)
                .await;
            let error = match answer {
                Ok(answer) => match ack::read(&answer.body, ours) {
                    Some(read) => return Ok(Some(read)),
                    None => CallError::retry("the answer does not come from the server"),
                },
                Err(error) => error,
            };
            if error.verdict != runlane_model::backoff::Verdict::Retry
                || backoff.failures() >= TRIES
            {
                return Err(error);
            }
            let wait = backoff.failed(rand::random(), error.retry_after, error.hope);
            let at = self.now() + wait;
            self.outside.clock.sleep_until(at).await;
        }
    }

    /// The line behind the last one of each file, at the server.
    async fn ends(&self) -> Result<Offsets, Halt> {
        let ours = self.started.features.fast_stream;
        let mine = {
            let (base, stored) = (self.stream.base(), self.stream.stored());
            Offsets {
                history: base.history + stored.history,
                events: base.events + stored.events,
                output: base.output + stored.output,
            }
        };
        let pause = |error: CallError| Halt::Pause(Pause::of(&error));
        let found = if ours {
            let answer = self.deliver("{}".to_owned()).await.map_err(pause)?;
            answer.and_then(|answer| answer.counts())
        } else {
            let (entity, project) = (&self.started.entity, &self.started.project);
            let run = &self.started.run.run_id;
            let status = self
                .server
                .resume_status(Some(entity), Some(project), run)
                .await
                .map_err(pause)?;
            status.map(|status| Offsets {
                history: status.history_line_count.unwrap_or(0),
                events: status.events_line_count.unwrap_or(0),
                output: status.log_line_count.unwrap_or(0),
            })
        };
        let found = found.unwrap_or_default();
        Ok(Offsets {
            history: found.history.max(mine.history),
            events: found.events.max(mine.events),
            output: found.output.max(mine.output),
        })
    }
}
