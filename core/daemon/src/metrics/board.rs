//! Which run wants which metrics when, and what becomes of readings. Pure: time comes in, jobs and samples go out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use runlane_metrics::{Reading, SampleError, Sampler, Settings, Shown, Spec, View};
use runlane_proto::control;

use super::pool::{Outcome, Pool};

/// What a tick reads within this time, or half of the shortest interval, goes into one record.
pub(super) const GATHER: Duration = Duration::from_millis(100);
/// Runs that are due within this time are read together.
const SLACK: Duration = Duration::from_millis(5);
/// The first sample comes when `init` has returned: it must not make it slower.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// Processes of one run that are sampled one by one.
const MAX_MEMBERS: usize = 64;
/// Ticks that wait for readings; beyond, the oldest are closed.
const MAX_TICKS: usize = 16;
/// Different warnings that one run is given.
const MAX_WARNINGS: usize = 100;

/// What a run records at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since 1970.
    pub(crate) at_secs: f64,
    /// Keys without `system.`; those of a process that joined the run end in `/l:<label>`.
    pub(crate) items: Vec<(String, f64)>,
    /// What the user is to be told, each once per run.
    pub(crate) warnings: Vec<String>,
}

/// Of several runs (or writers of a shared run) on this host with an equal place, the first one records the host; the others
/// record their processes and devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Server, entity, project and id of a shared run; empty for a run of its own.
    pub(crate) run: String,
}

/// A process of a run.
struct Member {
    sampler: String,
    /// Empty for the process that opened the run.
    label: String,
    pid: u32,
    view: View,
}

struct Run {
    interval: Duration,
    /// `None` while it is paused.
    due: Option<Duration>,
    settings: Settings,
    /// The settings that decide what is read of the host, for runs of one place.
    place: Option<(String, Settings)>,
    samplers: Vec<String>,
    view: View,
    members: BTreeMap<u64, Member>,
    told: BTreeSet<String>,
}

impl Run {
    fn wants(&self, sampler: &str) -> bool {
        self.samplers.iter().any(|id| id == sampler)
            || self
                .members
                .values()
                .any(|member| member.sampler == sampler)
    }
}

/// A tick whose readings come in.
struct Tick {
    number: u64,
    at_secs: f64,
    deadline: Duration,
    outstanding: usize,
    samples: BTreeMap<u64, Sample>,
}

/// For whom a sampler is being read, also when its tick is closed.
struct Asked {
    runs: Arc<[u64]>,
    /// How often these runs are sampled, at most.
    interval: Duration,
}

/// Something to read.
pub(super) struct Errand {
    pub(super) id: String,
    pub(super) tick: u64,
    pub(super) sampler: Box<dyn Sampler>,
    pub(super) is_slow: bool,
}

/// Makes the samplers that settings ask for.
pub(super) type Wanted = fn(&Settings) -> Vec<Spec>;

/// The state of the monitor.
pub(super) struct Board {
    wanted: Wanted,
    wanted_of_process: Wanted,
    runs: BTreeMap<u64, Run>,
    pool: Pool,
    ticks: Vec<Tick>,
    /// By tick and sampler.
    asked: BTreeMap<(u64, String), Asked>,
    next_run: u64,
    next_tick: u64,
}

impl Board {
    pub(super) fn new(wanted: Wanted, wanted_of_process: Wanted) -> Self {
        Self {
            wanted,
            wanted_of_process,
            runs: BTreeMap::new(),
            pool: Pool::default(),
            ticks: Vec::new(),
            asked: BTreeMap::new(),
            next_run: 1,
            next_tick: 1,
        }
    }

    /// A run begins to be sampled. `carried`: see [`View::new`].
    pub(super) fn add(
        &mut self,
        now: Duration,
        settings: Settings,
        interval: Duration,
        place: &Place,
        carried: BTreeMap<String, f64>,
    ) -> u64 {
        let id = self.next_run;
        self.next_run += 1;
        let samplers = self.want((self.wanted)(&settings));
        let place = (!place.run.is_empty()).then(|| {
            let of_host = Settings {
                pid: 0,
                local_rank: None,
                ..settings.clone()
            };
            (place.run.clone(), of_host)
        });
        let run = Run {
            interval,
            due: Some(now + FIRST_DELAY),
            view: View::new(&settings, carried),
            settings,
            place,
            samplers,
            members: BTreeMap::new(),
            told: BTreeSet::new(),
        };
        self.runs.insert(id, run);
        id
    }

    /// A process logs to a run: its own use is recorded, under its label if it has one.
    pub(super) fn join(&mut self, run: u64, writer: u64, pid: u32, label: &str) {
        let Some(known) = self.runs.get(&run) else {
            return;
        };
        let is_known = known
            .members
            .get(&writer)
            .is_some_and(|member| member.pid == pid);
        if pid == 0 || is_known || known.members.len() >= MAX_MEMBERS {
            return;
        }
        let settings = Settings {
            pid,
            ..known.settings.clone()
        };
        let Some(sampler) = self.want((self.wanted_of_process)(&settings)).pop() else {
            return;
        };
        let member = Member {
            sampler,
            label: label.to_owned(),
            pid,
            view: View::new(&settings, BTreeMap::new()),
        };
        if let Some(run) = self.runs.get_mut(&run)
            && let Some(before) = run.members.insert(writer, member)
        {
            self.pool.release(&before.sampler);
        }
    }

    /// A process has ended, or left its run.
    pub(super) fn leave(&mut self, run: u64, writer: u64) {
        if let Some(run) = self.runs.get_mut(&run)
            && let Some(member) = run.members.remove(&writer)
        {
            self.pool.release(&member.sampler);
        }
    }

    /// A run is sampled no more for now, or again, beginning at once.
    pub(super) fn pause(&mut self, run: u64, is_paused: bool, now: Duration) {
        if let Some(run) = self.runs.get_mut(&run)
            && run.due.is_none() != is_paused
        {
            run.due = (!is_paused).then_some(now);
        }
    }

    /// A run has ended.
    pub(super) fn remove(&mut self, run: u64) {
        let Some(run) = self.runs.remove(&run) else {
            return;
        };
        let of_members = run.members.into_values().map(|member| member.sampler);
        for id in run.samplers.into_iter().chain(of_members) {
            self.pool.release(&id);
        }
    }

    fn want(&mut self, specs: Vec<Spec>) -> Vec<String> {
        let want = |spec: Spec| {
            let id = spec.id.clone();
            self.pool.want(spec);
            id
        };
        specs.into_iter().map(want).collect()
    }

    /// When something has to be done next.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        let due = self.runs.values().filter_map(|run| run.due);
        let deadlines = self.ticks.iter().map(|tick| tick.deadline);
        due.chain(deadlines).min()
    }

    /// Begins a tick if a run is due; `now_secs` is the time of day. Quick samplers come first.
    pub(super) fn begin_tick(&mut self, now: Duration, now_secs: f64) -> Vec<Errand> {
        let mut due = Vec::new();
        let mut interval = Duration::MAX;
        for (&id, run) in &mut self.runs {
            if run.due.is_some_and(|due| due <= now + SLACK) {
                run.due = Some(next_on_grid(now, run.interval));
                interval = interval.min(run.interval);
                due.push(id);
            }
        }
        if due.is_empty() {
            return Vec::new();
        }
        let number = self.next_tick;
        self.next_tick += 1;
        let ids: BTreeSet<String> = due
            .iter()
            .filter_map(|id| self.runs.get(id))
            .flat_map(|run| {
                let of_members = run.members.values().map(|member| &member.sampler);
                run.samplers.iter().chain(of_members).cloned()
            })
            .collect();
        let mut errands = Vec::new();
        for id in ids {
            // One that is still being read is left out.
            if let Some((sampler, pace)) = self.pool.take(&id, now) {
                errands.push(Errand {
                    id,
                    tick: number,
                    sampler,
                    is_slow: pace == runlane_metrics::Pace::Slow,
                });
            }
        }
        errands.sort_by_key(|errand| errand.is_slow);
        let runs: Arc<[u64]> = due.into();
        for errand in &errands {
            let asked = Asked {
                runs: Arc::clone(&runs),
                interval,
            };
            self.asked.insert((number, errand.id.clone()), asked);
        }
        self.ticks.push(Tick {
            number,
            at_secs: now_secs,
            deadline: now + GATHER.min(interval / 2),
            outstanding: errands.len(),
            samples: BTreeMap::new(),
        });
        errands
    }

    /// A sampler was read. Returns a sample for each run if the reading is late.
    pub(super) fn take_reading(
        &mut self,
        id: &str,
        tick: u64,
        sampler: Box<dyn Sampler>,
        outcome: &Outcome,
        now: (Duration, f64),
    ) -> Vec<(u64, Sample)> {
        let Some(asked) = self.asked.remove(&(tick, id.to_owned())) else {
            return Vec::new();
        };
        let name = self.pool.name(id).to_owned();
        let interval = asked.interval;
        self.pool.put_back(id, sampler, outcome, now.0, interval);
        let mut taken = Vec::new();
        for &run in &*asked.runs {
            let sample = match outcome {
                Ok(reading) => self.shown(run, id, reading),
                Err(SampleError::Absent) => Sample::default(),
                Err(SampleError::Failed(problem)) => {
                    let text = format!("system metrics of `{name}` are left out: {problem}");
                    self.warned(run, id, "", text)
                }
            };
            taken.push((run, sample));
        }
        let Some(tick) = self.ticks.iter_mut().find(|open| open.number == tick) else {
            taken.retain(|(_, sample)| !sample.items.is_empty() || !sample.warnings.is_empty());
            for (_, sample) in &mut taken {
                sample.at_secs = now.1;
            }
            return taken;
        };
        tick.outstanding = tick.outstanding.saturating_sub(1);
        for (run, sample) in taken {
            let whole = tick.samples.entry(run).or_default();
            whole.items.extend(sample.items);
            whole.warnings.extend(sample.warnings);
        }
        Vec::new()
    }

    /// What ticks have to say that have everything, or waited long enough.
    pub(super) fn end_ticks(&mut self, now: Duration) -> Vec<(u64, Sample)> {
        let mut samples = Vec::new();
        let surplus = self.ticks.len().saturating_sub(MAX_TICKS);
        let mut index = 0;
        self.ticks.retain_mut(|tick| {
            index += 1;
            let is_over = tick.outstanding == 0 || tick.deadline <= now || index <= surplus;
            if is_over {
                for (run, mut sample) in std::mem::take(&mut tick.samples) {
                    sample.at_secs = tick.at_secs;
                    if !sample.items.is_empty() || !sample.warnings.is_empty() {
                        samples.push((run, sample));
                    }
                }
            }
            !is_over
        });
        samples
    }

    /// Every sampler and how it does.
    pub(super) fn views(&self) -> Vec<control::Sampler> {
        self.pool.views()
    }

    /// What one run sees of a reading.
    fn shown(&mut self, run_id: u64, sampler: &str, reading: &Reading) -> Sample {
        let records_host = self.records_host(run_id);
        let mut sample = Sample::default();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return sample;
        };
        if !run.wants(sampler) {
            return sample;
        }
        let pids: Vec<u32> = run.members.values().map(|member| member.pid).collect();
        let owns = |users: &[u32]| users.iter().any(|user| pids.contains(user));
        if run.samplers.iter().any(|id| id == sampler) {
            let taken = if records_host {
                run.view.take(reading, owns)
            } else {
                let mut own = reading.clone();
                own.groups.retain(|group| group.shown != Shown::Everyone);
                run.view.take(&own, owns)
            };
            let items = taken
                .into_iter()
                .map(|(key, value)| (key.into_owned(), value));
            sample.items.extend(items);
        }
        for member in run.members.values_mut() {
            if member.sampler == sampler {
                for (key, value) in member.view.take(reading, |_| true) {
                    let key = if member.label.is_empty() {
                        key.into_owned()
                    } else {
                        format!("{key}/l:{}", member.label)
                    };
                    sample.items.push((key, value));
                }
            }
        }
        for trouble in &reading.troubles {
            let text = format!("system metrics: {trouble}");
            let warned = self.warned(run_id, sampler, trouble, text);
            sample.warnings.extend(warned.warnings);
        }
        sample
    }

    /// Whether a run is the first that is sampled in its place.
    fn records_host(&self, id: u64) -> bool {
        let Some(place) = self.runs.get(&id).and_then(|run| run.place.as_ref()) else {
            return true;
        };
        let first = self
            .runs
            .iter()
            .find(|(_, run)| run.due.is_some() && run.place.as_ref() == Some(place));
        first.is_none_or(|(&first, _)| first == id)
    }

    /// A warning, unless the run was given it before.
    fn warned(&mut self, run: u64, sampler: &str, what: &str, text: String) -> Sample {
        let mut sample = Sample::default();
        if let Some(run) = self.runs.get_mut(&run)
            && run.wants(sampler)
            && run.told.len() < MAX_WARNINGS
            && run.told.insert(format!("{sampler} {what}"))
        {
            sample.warnings.push(text);
        }
        sample
    }
}

/// The next point of the grid of an interval that is at least half of it away: a run that began between two points is
/// sampled with the others from then on.
fn next_on_grid(now: Duration, interval: Duration) -> Duration {
    let step = interval.as_nanos().max(1);
    let earliest = now.as_nanos() + step / 2;
    let next = earliest.div_ceil(step) * step;
    Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
