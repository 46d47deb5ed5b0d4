//! What the run's processes are told unasked.

use runlane_proto::local::{self, daemon_message::Message};

use super::Actor;

impl Actor {
    pub(super) fn pass_on_upload_events(&mut self) {
        let Some(uploads) = &mut self.uploads else {
            return;
        };
        let mut notices = Vec::new();
        while let Ok(notice) = uploads.notices.try_recv() {
            notices.push(notice);
        }
        let stop = {
            let status = uploads.status.borrow();
            // An upload that waits for a person is what other clients call a fatal error.
            status.stop_requested || (self.settings.stop_on_fatal_error && status.is_paused)
        };
        for (severity, text) in notices {
            self.tell_all(severity, &text);
        }
        if stop && !self.stop_sent {
            self.stop_sent = true;
            for link in self
                .writers
                .values()
                .filter_map(|writer| writer.link.as_ref())
            {
                link.outbox.send(Message::Stop(local::Stop {
                    stream: link.stream,
                }));
            }
        }
    }

    pub(super) fn tell(&self, writer: u64, severity: u32, text: &str) {
        if let Some(link) = self
            .writers
            .get(&writer)
            .and_then(|writer| writer.link.as_ref())
        {
            let notice = local::Notice {
                stream: link.stream,
                severity,
                text: text.to_owned(),
            };
            link.outbox.send(Message::Notice(notice));
        }
    }

    pub(in crate::run) fn tell_all(&self, severity: u32, text: &str) {
        for writer in self.writers.keys() {
            self.tell(*writer, severity, text);
        }
    }
}
