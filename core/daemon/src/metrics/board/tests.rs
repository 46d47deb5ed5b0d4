//! The board with samplers that read what a test says.

use runlane_metrics::{Group, Host, Kind, Pace};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Unused;

impl Sampler for Unused {
    fn sample(&mut self, _host: &dyn Host) -> Outcome {
        unreachable!("the tests read");
    }
}

fn wanted(settings: &Settings) -> Vec<Spec> {
    let mut specs = vec![
        Spec::of_host("gpu", Pace::Slow, || Unused),
        Spec::of_host("host", Pace::Quick, || Unused),
    ];
    for name in settings.open_metrics_endpoints.keys() {
        specs.push(Spec::of_host(name, Pace::Slow, || Unused));
    }
    specs
}

fn of_process(settings: &Settings) -> Vec<Spec> {
    let id = format!("process {}", settings.pid);
    vec![Spec::new("process", id, Pace::Quick, || Unused)]
}

/// A board, and the time.
struct World {
    board: Board,
    now: Duration,
}

impl World {
    fn new() -> Self {
        Self {
            board: Board::new(wanted, of_process),
            now: SECOND * 100,
        }
    }

    fn add(&mut self, interval: u32, place: &str) -> u64 {
        let place = Place {
            run: place.to_owned(),
        };
        let settings = Settings::default();
        let interval = SECOND * interval;
        self.board
            .add(self.now, settings, interval, &place, BTreeMap::new())
    }

    fn begin(&mut self) -> Vec<Errand> {
        self.board.begin_tick(self.now, self.now.as_secs_f64())
    }

    /// Goes to the next moment at which something is to be done.
    fn skip(&mut self) {
        self.now = self.board.next_wake().expect("something is due");
    }

    fn read(&mut self, errand: Errand, outcome: &Outcome) -> Vec<(u64, Sample)> {
        let now = (self.now, self.now.as_secs_f64());
        let Errand {
            id, tick, sampler, ..
        } = errand;
        self.board.take_reading(&id, tick, sampler, outcome, now)
    }

    /// One tick in which every sampler reads at once.
    fn tick(&mut self) -> (Vec<String>, Vec<(u64, Sample)>) {
        self.skip();
        let errands = self.begin();
        let ids = errands.iter().map(|errand| errand.id.clone()).collect();
        for errand in errands {
            let outcome = Ok(reading(&errand.id, self.now));
            assert_eq!(self.read(errand, &outcome), []);
        }
        (ids, self.board.end_ticks(self.now))
    }
}

/// A gauge that everybody sees, and on devices one for the run of process 7.
fn reading(id: &str, at: Duration) -> Reading {
    let mut group = Group::default();
    group.gauge(id.to_owned(), 1.0);
    let mut reading = Reading::of(at, group);
    if id == "gpu" {
        let mut own = Group::of_device(0).shown_to(Shown::Users(vec![7, 1]));
        own.gauge("gpu.process", 2.0);
        reading.groups.push(own);
    }
    reading
}

fn keys(sample: &Sample) -> Vec<&str> {
    sample.items.iter().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn the_first_sample_comes_at_once_and_then_one_every_interval() {
    let mut world = World::new();
    world.now += SECOND * 3;
    let run = world.add(10, "");
    let begun = world.now;
    let (ids, samples) = world.tick();
    assert_eq!(world.now, begun + FIRST_DELAY);
    assert_eq!(ids, ["host", "gpu"]);
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0].0, run);
    assert_eq!(keys(&samples[0].1), ["host", "gpu"]);
    // On the grid, but not before half an interval.
    for expected in [110, 120, 130] {
        let (_, samples) = world.tick();
        assert_eq!(
            (samples.len(), samples[0].1.at_secs),
            (1, f64::from(expected))
        );
    }
    world.board.remove(run);
    assert_eq!(world.board.next_wake(), None);
    assert!(world.board.views().is_empty());
}

#[test]
fn runs_share_a_reading_of_the_host_and_have_their_processes_beside_it() {
    let mut world = World::new();
    let one = world.add(10, "");
    world.board.join(one, 1, 7, "");
    world.now += SECOND * 4;
    let other = world.add(5, "");
    world.board.join(other, 1, 8, "");
    world.board.join(other, 2, 9, "worker");
    world.tick();
    world.tick();
    let mut read = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (ids, samples) = world.tick();
        read.push(ids.iter().filter(|id| *id == "host").count());
        seen.push(samples.len());
        if samples.len() == 2 {
            let host_of_one = keys(&samples[0].1);
            let host_of_other = keys(&samples[1].1);
            assert_eq!(host_of_one, ["host", "process 7", "gpu", "gpu.process"]);
            assert_eq!(
                host_of_other,
                ["host", "process 8", "process 9/l:worker", "gpu"]
            );
        }
    }
    // Every second tick is one of both; the host is read once in each.
    assert_eq!(read, [1, 1, 1, 1]);
    seen.sort_unstable();
    assert_eq!(seen, [1, 1, 2, 2]);
    let views = world.board.views();
    let runs = |name: &str| {
        views
            .iter()
            .find(|view| view.name == name)
            .map(|view| view.runs)
    };
    assert_eq!(runs("host"), Some(2));
    // A process that leaves is no longer read.
    world.board.leave(other, 2);
    assert_eq!(world.board.views().len(), views.len() - 1);
}

#[test]
fn a_slow_sampler_holds_nothing_up_and_has_a_record_of_its_own() {
    let mut world = World::new();
    let run = world.add(1, "");
    world.skip();
    let mut errands = world.begin();
    let slow = errands.pop().expect("the device is read last");
    assert_eq!(slow.id, "gpu");
    let quick = errands.pop().expect("the host");
    let outcome = Ok(reading("host", world.now));
    world.read(quick, &outcome);
    assert_eq!(world.board.end_ticks(world.now), []);
    world.skip();
    let samples = world.board.end_ticks(world.now);
    assert_eq!(keys(&samples[0].1), ["host"]);
    // Still being read: the next tick goes without it.
    world.skip();
    let errands = world.begin();
    let ids: Vec<&str> = errands.iter().map(|errand| errand.id.as_str()).collect();
    assert_eq!(ids, ["host"]);
    let outcome = Ok(reading("gpu", world.now));
    let late = world.read(slow, &outcome);
    assert_eq!(late.len(), 1);
    assert_eq!((late[0].0, keys(&late[0].1)), (run, vec!["gpu"]));
    assert_eq!(
        (late[0].0, late[0].1.at_secs),
        (run, world.now.as_secs_f64())
    );
}

#[test]
fn a_failing_sampler_is_one_warning_and_the_others_go_on() {
    let mut world = World::new();
    let run = world.add(1, "");
    let mut warnings = Vec::new();
    for _ in 0..10 {
        world.skip();
        for errand in world.begin() {
            let outcome = if errand.id == "gpu" {
                Err(SampleError::Failed("no driver".to_owned()))
            } else {
                Ok(reading(&errand.id, world.now))
            };
            world.read(errand, &outcome);
        }
        for (of, sample) in world.board.end_ticks(world.now) {
            assert_eq!((of, keys(&sample)), (run, vec!["host"]));
            warnings.extend(sample.warnings);
        }
    }
    assert_eq!(
        warnings,
        ["system metrics of `gpu` are left out: no driver"]
    );
    let views = world.board.views();
    let failed = views.iter().find(|view| view.name == "gpu").expect("there");
    assert!(failed.failures < 6, "asked ever more rarely");
    assert_eq!(failed.problem, "no driver");
}

#[test]
fn a_part_that_cannot_be_read_is_one_warning_too() {
    let mut world = World::new();
    world.add(1, "");
    let mut warnings = Vec::new();
    for _ in 0..3 {
        world.skip();
        for errand in world.begin() {
            let mut found = reading(&errand.id, world.now);
            found.troubles.push("cannot look at `/x`".to_owned());
            world.read(errand, &Ok(found));
        }
        for (_, sample) in world.board.end_ticks(world.now) {
            warnings.extend(sample.warnings);
        }
    }
    // Once for each of the two samplers.
    assert_eq!(warnings, ["system metrics: cannot look at `/x`"; 2]);
}

#[test]
fn a_paused_run_is_not_sampled_and_goes_on_at_once() {
    let mut world = World::new();
    let run = world.add(10, "");
    world.tick();
    world.board.pause(run, true, world.now);
    assert_eq!(world.board.next_wake(), None);
    world.now += SECOND * 1_000;
    assert!(world.begin().is_empty());
    world.board.pause(run, false, world.now);
    let resumed = world.now;
    let (_, samples) = world.tick();
    assert_eq!((world.now, samples.len()), (resumed, 1));
}

#[test]
fn writers_of_a_shared_run_record_their_host_once() {
    let mut world = World::new();
    let first = world.add(10, "server/e/p/run");
    world.board.join(first, 1, 7, "");
    let second = world.add(10, "server/e/p/run");
    world.board.join(second, 1, 8, "");
    let elsewhere = world.add(10, "server/e/p/other");
    let (_, samples) = world.tick();
    let found: Vec<_> = samples
        .iter()
        .map(|(run, sample)| (*run, keys(sample)))
        .collect();
    assert_eq!(
        found,
        [
            (first, vec!["host", "process 7", "gpu", "gpu.process"]),
            (second, vec!["process 8"]),
            (elsewhere, vec!["host", "gpu"]),
        ]
    );
    // The next one takes over.
    world.board.remove(first);
    let (_, samples) = world.tick();
    assert_eq!(keys(&samples[0].1), ["host", "process 8", "gpu"]);
}

#[test]
fn writers_of_a_shared_run_that_ask_for_different_things_get_them() {
    let mut world = World::new();
    let place = Place {
        run: "r".to_owned(),
    };
    for gpu in [0, 1] {
        let settings = Settings {
            gpu_device_ids: Some(vec![gpu]),
            ..Settings::default()
        };
        world
            .board
            .add(world.now, settings, SECOND, &place, BTreeMap::new());
    }
    let (_, samples) = world.tick();
    assert_eq!(samples.len(), 2);
}

#[test]
fn rates_are_those_of_the_run_whoever_else_is_sampled() {
    let mut world = World::new();
    let mut shares = BTreeMap::new();
    let one = world.add(10, "");
    let other = world.add(2, "");
    for _ in 0..12 {
        world.skip();
        for errand in world.begin() {
            let mut group = Group::default();
            if errand.id == "host" {
                // Half of the time busy.
                let busy = world.now.as_secs_f64() / 2.0;
                group.add("cpu", busy, Kind::Rate { scale: 100.0 });
            }
            world.read(errand, &Ok(Reading::of(world.now, group)));
        }
        for (run, sample) in world.board.end_ticks(world.now) {
            for (_, value) in sample.items {
                shares
                    .entry(run)
                    .or_insert_with(Vec::new)
                    .push(format!("{value:.1}"));
            }
        }
    }
    assert!(
        shares[&one].len() > 1 && shares[&other].len() > 8,
        "{shares:?}"
    );
    assert!(shares.values().flatten().all(|share| share == "50.0"));
}
