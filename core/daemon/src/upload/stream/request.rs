//! The body of one `file_stream` request.

use std::time::Instant;

use runlane_model::json::write_string;

use super::{FILES, FileStream, Lines};

impl FileStream {
    /// Writes the next request and notes what is in it.
    pub(super) fn compose(&mut self, now: Instant) -> String {
        self.busy = true;
        self.last_sent = Some(now);
        let max = self.max_bytes;
        let mut room = max;
        let mut all = true;
        let mut body = String::from("{");
        let mut files = String::new();
        for (file, name) in FILES {
            let offset = *self.base.of(file) + *self.stored.of(file);
            let waiting = self.waiting(file);
            let mut content = String::new();
            let mut count = 0;
            for line in &waiting.lines {
                // A line longer than a whole request still goes, alone.
                if line.len() > room && room < max {
                    break;
                }
                room = room.saturating_sub(line.len());
                if count > 0 {
                    content.push(',');
                }
                write_string(&mut content, line);
                count += 1;
            }
            waiting.in_flight = count;
            all &= count == waiting.lines.len();
            if count > 0 {
                file_member(&mut files, name, offset, &content);
            }
            if file == Lines::Events
                && let Some(summary) = &self.summary
                && (summary.len() <= room || room == max)
            {
                room = room.saturating_sub(summary.len());
                let mut content = String::new();
                write_string(&mut content, summary);
                file_member(&mut files, "wandb-summary.json", 0, &content);
                self.summary_in_flight = true;
            }
        }
        all &= self.summary.is_none() || self.summary_in_flight;
        if !files.is_empty() {
            member(&mut body, "files", &format!("{{{files}}}"));
        }
        if !self.uploaded.is_empty() {
            let mut names = String::from("[");
            for (index, name) in self.uploaded.iter().enumerate() {
                if index > 0 {
                    names.push(',');
                }
                write_string(&mut names, name);
            }
            names.push(']');
            member(&mut body, "uploaded", &names);
            self.uploaded_in_flight = self.uploaded.len();
        }
        if self.preempting {
            member(&mut body, "preempting", "true");
        }
        if let Some(end) = self.end
            && all
        {
            self.end_in_flight = true;
            if end.changes_state {
                member(&mut body, "complete", "true");
                member(&mut body, "exitcode", &end.exit_code.to_string());
                if end.trainer_died && self.ours {
                    member(&mut body, "runlane", r#"{"trainer_died":true}"#);
                }
            }
        }
        body.push('}');
        body
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
