//! The body of one `file_stream` request.

use std::time::Instant;

use runlane_model::json::write_string;

use super::{FILES, FileStream, Lines, OUTPUT_FILE};

impl FileStream {
    /// Writes the next request and notes what is in it.
    pub(crate) fn compose(&mut self, now: Instant) -> String {
        self.busy = true;
        self.last_sent = Some(now);
        self.pace.sent(now);
        let limit = self.narrowing.limit();
        let max = self.request_bytes;
        let mut room = max;
        let mut units = 0;
        let mut all = true;
        let mut body = String::from("{");
        let mut files = String::new();
        for (file, name) in FILES {
            let offset = self.base.get(file) + self.stored.get(file);
            let waiting = self.waiting(file);
            let mut content = String::new();
            let mut count = 0;
            for line in &waiting.lines {
                // A line longer than a whole request still goes, alone.
                if units == limit || line.len() > room && room < max {
                    break;
                }
                room = room.saturating_sub(line.len());
                if count > 0 {
                    content.push(',');
                }
                write_string(&mut content, line);
                count += 1;
                units += 1;
            }
            waiting.in_flight = count;
            all &= count == waiting.lines.len();
            if count > 0 {
                file_member(&mut files, name, offset, &content);
            }
            if file == Lines::Events
                && let Some(summary) = &self.summary
                && units < limit
                && (summary.len() <= room || room == max)
            {
                room = room.saturating_sub(summary.len());
                if self.ours && self.history.in_flight == 0 {
                    // Tells our server where the summary stands among the rows: a late repetition is older.
                    let offset = self.base.history + self.stored.history;
                    file_member(&mut files, FILES[0].1, offset, "");
                }
                let mut content = String::new();
                write_string(&mut content, summary);
                file_member(&mut files, "wandb-summary.json", 0, &content);
                self.summary_in_flight = true;
                units += 1;
            }
        }
        let offset = self.base.output;
        let alone = units == 0 && room == max;
        if let Some(taken) = self.output.take(limit - units.min(limit), room, alone) {
            let mut content = String::new();
            for (index, line) in taken.texts.iter().enumerate() {
                if index > 0 {
                    content.push(',');
                }
                write_string(&mut content, line);
            }
            units += taken.texts.len();
            file_member(&mut files, OUTPUT_FILE, offset + taken.offset, &content);
        }
        all &= self.output.is_all_in_flight();
        all &= self.summary.is_none() || self.summary_in_flight;
        if !files.is_empty() {
            member(&mut body, "files", &format!("{{{files}}}"));
        }
        units += self.marks(&mut body, limit - units.min(limit));
        units += self.ending(&mut body, all, limit - units.min(limit));
        body.push('}');
        self.narrowing.sent(units);
        body
    }

    /// The members that are no files; at most `limit` of them.
    fn marks(&mut self, body: &mut String, limit: usize) -> usize {
        let mut units = 0;
        if !self.uploaded.is_empty() && units < limit {
            let mut names = String::from("[");
            for (index, name) in self.uploaded.iter().enumerate() {
                if index > 0 {
                    names.push(',');
                }
                write_string(&mut names, name);
            }
            names.push(']');
            member(body, "uploaded", &names);
            self.uploaded_in_flight = self.uploaded.len();
            units += 1;
        }
        if self.preempting && units < limit {
            member(body, "preempting", "true");
            self.preempting_in_flight = true;
            units += 1;
        }
        if self.lost > self.lost_told && units < limit {
            self.lost_in_flight = self.lost;
            units += 1;
        }
        units
    }

    /// The end of the run, when everything else is in this request, and our own member.
    fn ending(&mut self, body: &mut String, all: bool, limit: usize) -> usize {
        let mut ours = String::new();
        if self.ours
            && let Some(generation) = self.generation
        {
            ours = format!("\"generation\":{generation}");
        }
        if self.lost_in_flight > 0 {
            if !ours.is_empty() {
                ours.push(',');
            }
            ours.push_str("\"lost\":");
            ours.push_str(&self.lost_in_flight.min(u64::from(u32::MAX)).to_string());
        }
        let rest = self.uploaded.len() == self.uploaded_in_flight
            && self.preempting == self.preempting_in_flight
            && (self.lost == self.lost_told || self.lost_in_flight > 0);
        let mut units = 0;
        if let Some(end) = self.end
            && all
            && rest
            && limit > 0
        {
            self.end_in_flight = true;
            units = 1;
            if end.changes_state {
                member(body, "complete", "true");
                member(body, "exitcode", &end.exit_code.to_string());
                if end.trainer_died && self.ours {
                    if !ours.is_empty() {
                        ours.push(',');
                    }
                    ours.push_str("\"trainer_died\":true");
                }
            }
        }
        if !ours.is_empty() {
            member(body, "runlane", &format!("{{{ours}}}"));
        }
        units
    }
}

fn member(body: &mut String, name: &str, value: &str) {
    if body.len() > 1 {
        body.push(',');
    }
    write_string(body, name);
    body.push(':');
    body.push_str(value);
}

fn file_member(files: &mut String, name: &str, offset: u64, content: &str) {
    if !files.is_empty() {
        files.push(',');
    }
    write_string(files, name);
    files.push_str(":{\"offset\":");
    files.push_str(&offset.to_string());
    files.push_str(",\"content\":[");
    files.push_str(content);
    files.push_str("]}");
}
