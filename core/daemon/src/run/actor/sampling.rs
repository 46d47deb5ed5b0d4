//! System metrics of the run: asked for when a process opens it, written to the log as they come.

use runlane_model::json::{write_f64, write_i64};
use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use tokio::sync::mpsc;

use super::Actor;
use crate::metrics::{Place, Recent, Sample, Watch, interval_of, settings_of};
use crate::run::loss;

/// What a run has of the monitor.
#[derive(Debug, Default)]
pub(in crate::run) struct Sampling {
    watch: Option<Watch>,
    samples: Option<mpsc::Receiver<Sample>>,
    recent: Recent,
    /// `x_stats_pid`: the process that is looked at in the place of the one that opened the run.
    other_pid: Option<u32>,
}

impl Sampling {
    /// The next sample; none while nothing is sampled.
    pub(super) async fn next(&mut self) -> Sample {
        let next = match &mut self.samples {
            Some(samples) => samples.recv().await,
            None => std::future::pending().await,
        };
        match next {
            Some(sample) => sample,
            None => std::future::pending().await,
        }
    }

    /// The run has ended: what is still on its way is left out.
    pub(super) fn end(&mut self) {
        self.watch = None;
        self.samples = None;
    }
}

impl Actor {
    /// A process opens the run or joins it. What it was opened with decides what is sampled.
    pub(in crate::run) fn sample_for(&mut self, open: &local::OpenRun) {
        let wanted = open
            .settings
            .as_ref()
            .and_then(|settings| settings.metrics.as_ref());
        let info = self.state.writer_info(open.writer);
        let (pid, label) = info.map_or((0, String::new()), |info| (info.pid, info.label.clone()));
        let is_first = self.state.opened_by() == Some(open.writer);
        if let Some(wanted) = wanted
            && self.sampling.watch.is_none()
            && self.end.is_none()
        {
            let settings = settings_of(wanted, pid);
            self.sampling.other_pid = u32::try_from(wanted.pid).ok().filter(|&pid| pid > 0);
            self.sampling.recent = Recent::of_size(wanted.buffer_size);
            let carried = self.state.take_carried_metrics();
            let (watch, samples) =
                self.daemon
                    .monitor()
                    .watch(settings, interval_of(wanted), &self.place(), carried);
            self.sampling.watch = Some(watch);
            self.sampling.samples = Some(samples);
        }
        if let Some(watch) = &self.sampling.watch {
            if is_first {
                watch.joined(open.writer, self.sampling.other_pid.unwrap_or(pid), "");
            } else {
                watch.joined(open.writer, pid, &label);
            }
        }
    }

    /// Writers of one shared run on this host record the host once.
    fn place(&self) -> Place {
        if !self.settings.shared {
            return Place::default();
        }
        let settings = &self.settings;
        let words = [
            &settings.base_url,
            &settings.entity,
            &settings.project,
            &settings.run_id,
        ];
        Place {
            run: words.map(String::as_str).join("\n"),
        }
    }

    /// A process is dead.
    pub(super) fn sample_no_more(&mut self, writer: u64) {
        if let Some(watch) = &self.sampling.watch {
            watch.left(writer);
        }
    }

    /// Nothing is sampled while the program waits for its user.
    pub(super) fn pause_sampling(&mut self, is_paused: bool) {
        if let Some(watch) = &self.sampling.watch {
            watch.pause(is_paused);
        }
    }

    /// The last samples.
    pub(super) fn system_metrics(&self) -> local::SystemMetrics {
        self.sampling.recent.all()
    }

    /// Writes a sample to the log.
    pub(super) fn take_sample(&mut self, sample: Sample) {
        if self.end.is_some() {
            return;
        }
        for text in &sample.warnings {
            tracing::warn!(run = %self.settings.run_id, text, "system metrics incomplete");
            self.tell_first(30, text);
        }
        if sample.items.is_empty() {
            return;
        }
        let mut items = Vec::with_capacity(sample.items.len());
        for (key, value) in sample.items {
            self.sampling.recent.add(&key, sample.at_secs, value);
            items.push(pb::StatsItem {
                key,
                value_json: number(value),
            });
        }
        let (seconds, nanos) = loss::timestamp(sample.at_secs);
        self.push(RecordType::Stats(pb::StatsRecord {
            stats_type: pb::stats_record::StatsType::System.into(),
            timestamp: Some(prost_types::Timestamp { seconds, nanos }),
            item: items,
            ..Default::default()
        }));
        self.write_out();
    }

    /// Tells one process, the one that opened the run if it is there.
    fn tell_first(&self, severity: u32, text: &str) {
        let is_linked = |writer: &&u64| {
            let link = self.writers.get(writer).map(|writer| &writer.link);
            link.is_some_and(Option::is_some)
        };
        let first = self.state.opened_by();
        let told = first.as_ref().filter(is_linked);
        if let Some(writer) = told.or_else(|| self.writers.keys().find(is_linked)) {
            self.tell(*writer, severity, text);
        }
    }
}

/// A number as JSON; whole ones without a fraction, as counts are.
fn number(value: f64) -> String {
    let mut text = String::new();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be a whole number"
    )]
    if value.fract() == 0.0 && value.abs() < 9e15 {
        write_i64(&mut text, value as i64);
    } else {
        write_f64(&mut text, value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_no_fraction() {
        assert_eq!(number(4.0), "4");
        assert_eq!(number(-0.5), "-0.5");
        assert_eq!(number(1e300), "1e+300");
        assert_eq!(number(70.28125), "70.28125");
    }
}
