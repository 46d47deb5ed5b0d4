use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::devices::testing::{keys, values};
use crate::host::recorded::RecordedHost;

type Answers = BTreeMap<Query, Result<[f64; 2], Fault>>;
type Profile = Option<Vec<(&'static str, f64)>>;

/// A device whose answers a test sets.
#[derive(Clone, Default)]
struct FakeGpu {
    answers: Arc<Mutex<Answers>>,
    processes: Arc<Mutex<Vec<Process>>>,
    profile: Arc<Mutex<Profile>>,
    asked: Arc<AtomicUsize>,
}

impl FakeGpu {
    /// One that answers everything.
    fn complete() -> Self {
        let gpu = Self::default();
        for (number, query) in (1_u32..).zip(QUERIES) {
            gpu.answer(query, Ok([f64::from(number), 0.0]));
        }
        gpu.answer(Query::Utilization, Ok([91.0, 45.0]));
        gpu.answer(Query::Memory, Ok([20e9, 80e9]));
        gpu.answer(Query::Power, Ok([350_500.0, 0.0]));
        gpu.answer(Query::PowerLimit, Ok([701_000.0, 0.0]));
        gpu
    }

    fn answer(&self, query: Query, answer: Result<[f64; 2], Fault>) {
        let mut answers = self.answers.lock().expect("no panic");
        answers.insert(query, answer);
    }
}

impl Gpu for FakeGpu {
    fn ask(&mut self, query: Query) -> Result<[f64; 2], Fault> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answers = self.answers.lock().expect("no panic");
        answers
            .get(&query)
            .cloned()
            .unwrap_or(Err(Fault::Unsupported))
    }

    fn processes(&mut self) -> Result<Vec<Process>, Fault> {
        Ok(self.processes.lock().expect("no panic").clone())
    }

    fn profile(&mut self) -> Result<Vec<(&'static str, f64)>, Fault> {
        let profile = self.profile.lock().expect("no panic");
        profile.clone().ok_or(Fault::Unsupported)
    }
}

fn sampler(gpus: &[&FakeGpu]) -> NvidiaGpus {
    let mut sampler = NvidiaGpus::new(true);
    sampler.open = || Err("not opened again".into());
    let boxed = |gpu: &&FakeGpu| Box::new((*gpu).clone()) as Box<dyn Gpu>;
    sampler.take(gpus.iter().map(boxed).collect());
    sampler
}

fn sampled(sampler: &mut NvidiaGpus) -> Reading {
    let host = RecordedHost::default();
    sampler.sample(&host).expect("a reading")
}

#[test]
fn every_key_of_a_device_has_its_unit() {
    let gpu = FakeGpu::complete();
    *gpu.profile.lock().expect("no panic") = Some(vec![("smActive", 77.0)]);
    let reading = sampled(&mut sampler(&[&gpu]));
    let expected = [
        ("gpu.0.gpu", 91.0),
        ("gpu.0.memory", 45.0),
        ("gpu.0.memoryAllocated", 25.0),
        ("gpu.0.memoryAllocatedBytes", 20e9),
        ("gpu.0.temp", 3.0),
        ("gpu.0.powerWatts", 350.5),
        ("gpu.0.enforcedPowerLimitWatts", 701.0),
        ("gpu.0.smClock", 6.0),
        ("gpu.0.memoryClock", 7.0),
        ("gpu.0.graphicsClock", 8.0),
        ("gpu.0.correctedMemoryErrors", 9.0),
        ("gpu.0.uncorrectedMemoryErrors", 10.0),
        ("gpu.0.fanSpeed", 11.0),
        ("gpu.0.encoderUtilization", 12.0),
        ("gpu.0.pcieLinkGen", 13.0),
        ("gpu.0.pcieLinkWidth", 14.0),
        ("gpu.0.maxPcieLinkGen", 15.0),
        ("gpu.0.maxPcieLinkWidth", 16.0),
        ("gpu.0.pcieLinkSpeed", 17.0),
        ("gpu.0.powerPercent", 50.0),
        ("gpu.0.smActive", 77.0),
    ];
    assert_eq!(reading.groups.len(), 1);
    assert_eq!(values(&reading.groups[0]), expected);
    assert_eq!(reading.groups[0].device, Some(0));
}

#[test]
fn processes_see_the_device_they_use_and_their_memory() {
    let gpu = FakeGpu::complete();
    let process = |pid, used_bytes| Process { pid, used_bytes };
    *gpu.processes.lock().expect("no panic") = vec![process(7, Some(4_096)), process(9, None)];
    let idle = FakeGpu::complete();
    let reading = sampled(&mut sampler(&[&idle, &gpu]));
    assert_eq!(reading.groups.len(), 4);
    let shared = &reading.groups[2];
    assert_eq!(shared.shown, Shown::Users(vec![7, 9]));
    assert_eq!(shared.device, Some(1));
    let expected = [
        ("gpu.process.1.gpu", 91.0),
        ("gpu.process.1.memory", 45.0),
        ("gpu.process.1.memoryAllocated", 25.0),
        ("gpu.process.1.memoryAllocatedBytes", 20e9),
        ("gpu.process.1.temp", 3.0),
        ("gpu.process.1.powerWatts", 350.5),
        ("gpu.process.1.enforcedPowerLimitWatts", 701.0),
        ("gpu.process.1.powerPercent", 50.0),
    ];
    assert_eq!(values(shared), expected);
    let own = &reading.groups[3];
    assert_eq!(own.shown, Shown::Users(vec![7]));
    assert_eq!(values(own), [("gpu.process.1.memoryUsedBytes", 4_096.0)]);
}

#[test]
fn what_a_device_does_not_support_is_asked_once() {
    let gpu = FakeGpu::complete();
    gpu.answer(Query::FanSpeed, Err(Fault::Unsupported));
    gpu.answer(Query::PowerLimit, Err(Fault::Unsupported));
    gpu.answer(Query::Encoder, Err(Fault::Passing("busy".into())));
    let mut sampler = sampler(&[&gpu]);
    let first = keys(&sampled(&mut sampler));
    for absent in ["fanSpeed", "powerPercent", "encoderUtilization"] {
        assert!(!first.contains(&format!("gpu.0.{absent}")), "{absent}");
    }
    let asked = gpu.asked.swap(0, Ordering::Relaxed);
    gpu.answer(Query::FanSpeed, Ok([1.0, 0.0]));
    gpu.answer(Query::Encoder, Ok([2.0, 0.0]));
    let second = keys(&sampled(&mut sampler));
    assert_eq!(gpu.asked.load(Ordering::Relaxed), asked - 2);
    assert!(!second.contains(&"gpu.0.fanSpeed".to_owned()));
    assert!(second.contains(&"gpu.0.encoderUtilization".to_owned()));
}

#[test]
fn a_lost_device_is_told_and_disturbs_no_other() {
    let (lost, well) = (FakeGpu::complete(), FakeGpu::complete());
    let mut sampler = sampler(&[&lost, &well]);
    assert_eq!(sampled(&mut sampler).groups.len(), 2);
    lost.answer(Query::Memory, Err(Fault::Lost("fell off the bus".into())));
    let reading = sampled(&mut sampler);
    assert_eq!(reading.troubles, ["GPU 0 is lost: fell off the bus"]);
    assert_eq!(reading.groups.len(), 1);
    assert_eq!(reading.groups[0].device, Some(1));
    lost.answer(Query::Memory, Ok([1.0, 2.0]));
    let reading = sampled(&mut sampler);
    assert_eq!(reading.groups.len(), 2, "it is back");
    assert!(reading.troubles.is_empty());
}

#[test]
fn the_library_is_opened_only_where_the_driver_is() {
    let host = RecordedHost::default();
    let mut sampler = NvidiaGpus::new(true);
    sampler.open = || panic!("opened without a driver");
    assert!(matches!(sampler.sample(&host), Err(SampleError::Absent)));
    host.device("/dev/nvidiactl", 195, 255);
    let absent: [Open; 2] = [|| Ok(None), || Ok(Some(Vec::new()))];
    for open in absent {
        sampler.open = open;
        assert!(matches!(sampler.sample(&host), Err(SampleError::Absent)));
    }
    sampler.open = || Err("no".into());
    let failed = sampler.sample(&host).expect_err("no device");
    assert_eq!(failed.to_string(), "no");
    sampler.open = || Ok(Some(vec![Box::new(FakeGpu::complete())]));
    assert_eq!(sampler.sample(&host).expect("a device").groups.len(), 1);
}

#[test]
fn where_dcgm_profiles_the_driver_is_not_asked_to() {
    let gpu = FakeGpu::complete();
    *gpu.profile.lock().expect("no panic") = Some(vec![("smActive", 77.0)]);
    let mut sampler = NvidiaGpus::new(false);
    sampler.take(vec![Box::new(gpu)]);
    assert!(!keys(&sampled(&mut sampler)).contains(&"gpu.0.smActive".to_owned()));
}
