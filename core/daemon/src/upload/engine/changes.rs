//! What goes over GraphQL while the run goes on: changes of the run and its config, alerts.

use std::time::Instant;

use runlane_model::backoff::Verdict;
use runlane_model::json::Value;

use super::super::graphql::Upsert;
use super::Engine;

impl Engine {
    /// Sends changes of the run and its config.
    pub(super) async fn send_changes(&mut self, now: Instant) {
        if self.upsert_due.is_none_or(|due| due > now) {
            return;
        }
        let mut run = self.projection.run.clone().unwrap_or_default();
        self.job.rename(&mut run);
        let owned = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut upsert = Upsert {
            name: self.started.run.run_id.clone(),
            project: Some(self.started.project.clone()),
            entity: Some(self.started.entity.clone()),
            ..Upsert::default()
        };
        if self.projection.config_changed {
            upsert.config = Some(Value::Object(self.projection.wrapped_config()).to_string());
        }
        if self.projection.run_changed {
            upsert.display_name = owned(&run.display_name);
            upsert.notes = owned(&run.notes);
            upsert.group = owned(&run.run_group);
            upsert.job_type = owned(&run.job_type);
            upsert.tags = (!run.tags.is_empty()).then(|| run.tags.clone());
        }
        let outcome = self.server.upsert(&upsert).await;
        self.upsert_due = None;
        match outcome {
            Ok(_reply) => {
                self.upsert_backoff.succeeded();
                self.projection.config_changed = false;
                self.projection.run_changed = false;
            }
            Err(error) if error.verdict == Verdict::Retry => {
                let wait = self
                    .upsert_backoff
                    .failed(rand::random(), error.retry_after);
                self.upsert_due = Some(Instant::now() + wait);
                self.trouble(&error);
            }
            Err(error) => {
                self.projection.config_changed = false;
                self.projection.run_changed = false;
                self.warn(format!(
                    "the server does not take the run's config: {}",
                    error.message
                ));
            }
        }
    }

    pub(super) async fn send_alerts(&mut self, now: Instant) {
        while self.alerts_due.is_none_or(|due| due <= now)
            && let Some(alert) = self.alerts.front()
        {
            let run = &self.started.run.run_id;
            match self
                .server
                .alert(&self.started.entity, &self.started.project, run, alert)
                .await
            {
                Err(error) if error.verdict == Verdict::Retry => {
                    let wait = self
                        .upsert_backoff
                        .failed(rand::random(), error.retry_after);
                    self.alerts_due = Some(Instant::now() + wait);
                    self.trouble(&error);
                    return;
                }
                Err(error) => {
                    let title = alert.title.clone();
                    self.warn(format!(
                        "the server does not take alert `{title}`: {}",
                        error.message
                    ));
                }
                Ok(()) => {}
            }
            self.alerts.pop_front();
        }
        if self.alerts.is_empty() {
            self.alerts_due = None;
        }
    }
}
