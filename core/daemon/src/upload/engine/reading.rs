//! From the log into the stream, up to the log's end.

use runlane_proto::wandb_internal::record::RecordType;

use super::super::LogEnd;
use super::super::blocking;
use super::super::projection::Effects;
use super::{Engine, RECORDS};
use crate::run::output_file;

impl Engine {
    /// Reads on while there is room for lines.
    pub(super) fn fill(&mut self) -> Result<(), String> {
        let mut read = 0;
        self.at_end = false;
        while self.has_room() && read < RECORDS && !self.ended {
            let Some((record, end)) = self.tail.next().map_err(|error| error.to_string())? else {
                self.at_end = true;
                break;
            };
            let effects = self.projection.apply(&record);
            if let Some(RecordType::Artifact(artifact)) = &record.record_type {
                self.add_artifact(artifact, end);
            }
            let is_new = end > self.target.bytes;
            self.take(effects, is_new);
            read += 1;
            if read % 64 == 0 {
                self.checkpoint(end);
            }
        }
        if read > 0 {
            self.stream
                .set_lost(self.projection.lost + self.tail.lost());
            self.checkpoint(self.tail.offset());
            self.share.count(self.stream.waiting_bytes());
        }
        let hurry = self.links.log.borrow().hurry;
        if hurry != self.hurry_seen {
            self.hurry_seen = hurry;
            self.stream.hurry();
            self.summary_due = self.now();
        }
        Ok(())
    }

    fn checkpoint(&mut self, end: u64) {
        let pushed = self.stream.pushed();
        match self.checkpoints.back_mut() {
            Some((bytes, lines)) if *lines == pushed => *bytes = end,
            _ => self.checkpoints.push_back((end, pushed)),
        }
    }

    fn take(&mut self, effects: Effects, is_new: bool) {
        for (file, line) in effects.lines {
            self.stream.push(file, line);
        }
        if let Some(console) = effects.console {
            self.stream.set_console(console.lines, console.fixed);
        }
        for item in &effects.files {
            if let Some(warning) = self.files.add(item) {
                self.warn(warning);
            }
        }
        for warning in effects.warnings {
            self.warn(warning);
        }
        if is_new {
            self.alerts.extend(effects.alerts);
            if effects.preempting {
                self.stream.set_preempting();
            }
        }
        self.batch_files(self.now());
        if (self.projection.config_changed || self.projection.run_changed)
            && self.upsert_due.is_none()
        {
            self.upsert_due = Some(self.now() + self.debounce);
        }
    }

    /// Notices that the log has ended and prepares what only then can be sent.
    pub(super) fn log_end(&mut self) -> Result<(), String> {
        if self.ended {
            return Ok(());
        }
        let log = *self.links.log.borrow();
        if log.end == Some(LogEnd::Abandoned) {
            return Err("the run was not opened".to_owned());
        }
        // The log may have grown between the read and the word that it has ended.
        let read_all = log.end.is_some() && self.at_end && self.tail.offset() >= log.bytes;
        if self.projection.exit.is_none() && !read_all {
            return Ok(());
        }
        // An exit record may be followed by more only in a log that was damaged; it is not looked for.
        self.ended = true;
        let effects = self.projection.end();
        self.take(effects, true);
        self.stream
            .set_lost(self.projection.lost + self.tail.lost());
        self.checkpoint(self.tail.offset());
        if self.projection.summary_changed {
            self.put_summary();
            self.projection.summary_changed = false;
        }
        if !self.projection.joins() {
            self.add_documents();
        }
        self.add_console_files();
        self.files.end();
        let now = self.now();
        self.files_due = self.files.is_waiting().then_some(now);
        if self.projection.config_changed || self.projection.run_changed {
            self.upsert_due = Some(now);
        }
        Ok(())
    }

    /// The files that the end of a run adds. Of several writers in shared mode only the primary one has them: the others' would
    /// replace them.
    fn add_documents(&mut self) {
        let names =
            blocking(|| super::super::documents::write(&self.job.files_dir, &mut self.projection));
        match names {
            Ok(names) => names.iter().for_each(|name| self.files.add_at_end(name)),
            Err(error) => self.warn(format!(
                "config and summary files cannot be written: {error}"
            )),
        }
        if self.job.files_dir.join("requirements.txt").is_file() {
            self.files.add_at_end("requirements.txt");
        }
    }

    /// The console as files. Of several writers in shared mode only those with a name of their own have one.
    fn add_console_files(&mut self) {
        let names = blocking(|| output_file::names_in(&self.job.files_dir));
        let joins = self.projection.joins();
        for name in names {
            if !joins || name != "output.log" {
                self.files.add_at_end(&name);
            }
        }
    }
}
