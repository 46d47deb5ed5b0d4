//! NVIDIA GPUs, asked through the driver's own library (NVML).
//!
//! The library is opened when the first reading is taken, and only on a host with the driver's device file. A question that a
//! device does not support is asked once. Units are turned from the driver's into those of the keys here; [`nvml`] asks only.

pub(super) mod dcgm;
mod nvml;

use std::collections::BTreeSet;

use super::{exists, percent};
use crate::{Group, Host, Reading, SampleError, Sampler, Shown};

/// The files that the loaded driver makes.
const DRIVER_FILES: [&str; 2] = ["/dev/nvidiactl", "/proc/driver/nvidia"];
/// Values that are repeated for the processes that use a device.
const OF_PROCESSES: [&str; 8] = [
    "gpu",
    "memory",
    "memoryAllocated",
    "memoryAllocatedBytes",
    "temp",
    "powerWatts",
    "enforcedPowerLimitWatts",
    "powerPercent",
];

/// One question about a device. Answers come in the driver's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Query {
    /// Percent of time with a kernel running, and with memory being read or written.
    Utilization,
    /// Bytes used, and bytes in all.
    Memory,
    /// Degrees Celsius.
    Temperature,
    /// Milliwatts.
    Power,
    /// Milliwatts that the device is held to.
    PowerLimit,
    /// MHz.
    SmClock,
    /// MHz.
    MemoryClock,
    /// MHz.
    GraphicsClock,
    /// ECC errors since the driver was loaded.
    CorrectedErrors,
    /// ECC errors since the driver was loaded.
    UncorrectedErrors,
    /// Percent.
    FanSpeed,
    /// Percent.
    Encoder,
    PcieGeneration,
    PcieWidth,
    MaxPcieGeneration,
    MaxPcieWidth,
    /// MB/s.
    PcieSpeed,
    /// Process ids of compute and graphics processes.
    Processes,
    /// Performance monitoring, by key.
    Profile,
}

const QUERIES: [Query; 17] = [
    Query::Utilization,
    Query::Memory,
    Query::Temperature,
    Query::Power,
    Query::PowerLimit,
    Query::SmClock,
    Query::MemoryClock,
    Query::GraphicsClock,
    Query::CorrectedErrors,
    Query::UncorrectedErrors,
    Query::FanSpeed,
    Query::Encoder,
    Query::PcieGeneration,
    Query::PcieWidth,
    Query::MaxPcieGeneration,
    Query::MaxPcieWidth,
    Query::PcieSpeed,
];

/// A process with a context on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pid: u32,
    /// Unknown on some systems.
    used_bytes: Option<u64>,
}

/// Why the driver did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// This device never will.
    Unsupported,
    /// Not this time.
    Passing(String),
    /// The device has fallen off the bus, or must be reset.
    Lost(String),
}

/// One device.
pub(super) trait Gpu: Send {
    /// The answer in the driver's units; the second number is 0 where there is only one.
    fn ask(&mut self, query: Query) -> Result<[f64; 2], Fault>;

    /// Who uses it.
    fn processes(&mut self) -> Result<Vec<Process>, Fault>;

    /// Means over the time since the last call, by key, in the units of the keys; nothing at the first call.
    fn profile(&mut self) -> Result<Vec<(&'static str, f64)>, Fault>;
}

/// Opens the driver's library and lists its devices, by index. `None`: there is no library.
type Open = fn() -> Result<Option<Vec<Box<dyn Gpu>>>, String>;

/// Reads all NVIDIA GPUs of a host.
pub(super) struct NvidiaGpus {
    open: Open,
    devices: Vec<Device>,
    /// Whether the driver's performance monitoring is asked; not if DCGM is, which gives the same keys.
    is_profiling: bool,
}

impl NvidiaGpus {
    pub(super) fn new(is_profiling: bool) -> Self {
        Self {
            open: nvml::devices,
            devices: Vec::new(),
            is_profiling,
        }
    }
}

impl NvidiaGpus {
    fn take(&mut self, gpus: Vec<Box<dyn Gpu>>) {
        for (index, gpu) in (0..).zip(gpus) {
            let mut device = Device::new(index, gpu);
            if !self.is_profiling {
                device.unsupported.insert(Query::Profile);
            }
            self.devices.push(device);
        }
    }
}

impl Sampler for NvidiaGpus {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        if self.devices.is_empty() {
            // Without the driver nothing is loaded into this process.
            if !DRIVER_FILES.iter().any(|file| exists(host, file)) {
                return Err(SampleError::Absent);
            }
            let opened = (self.open)().map_err(SampleError::Failed)?;
            let gpus = opened.ok_or(SampleError::Absent)?;
            if gpus.is_empty() {
                return Err(SampleError::Absent);
            }
            self.take(gpus);
        }
        let mut reading = Reading {
            at: host.now(),
            groups: Vec::new(),
            troubles: Vec::new(),
        };
        for device in &mut self.devices {
            match device.read() {
                Ok(groups) => reading.groups.extend(groups),
                // The others go on; it is asked again, and may be back.
                Err(reason) => {
                    let text = format!("GPU {} is lost: {reason}", device.index);
                    reading.troubles.push(text);
                }
            }
        }
        Ok(reading)
    }
}

struct Device {
    index: u32,
    gpu: Box<dyn Gpu>,
    /// Questions that it does not support.
    unsupported: BTreeSet<Query>,
}

impl Device {
    fn new(index: u32, gpu: Box<dyn Gpu>) -> Self {
        Self {
            index,
            gpu,
            unsupported: BTreeSet::new(),
        }
    }

    /// Its values now; `Err`: it is lost, and why.
    fn read(&mut self) -> Result<Vec<Group>, String> {
        let mut values = Vec::new();
        for query in QUERIES {
            let answer = self.supported(query, |gpu| gpu.ask(query))?;
            if let Some(answer) = answer {
                publish(query, answer, &mut values);
            }
        }
        let watts = find(&values, "powerWatts");
        let limit = find(&values, "enforcedPowerLimitWatts");
        values.extend(percent(watts, limit).map(|share| ("powerPercent", share)));
        let profile = self.supported(Query::Profile, |gpu| gpu.profile())?;
        let processes = self.supported(Query::Processes, |gpu| gpu.processes())?;

        let index = self.index;
        let mut all = Group::of_device(index);
        for &(name, value) in values.iter().chain(profile.iter().flatten()) {
            all.gauge(format!("gpu.{index}.{name}"), value);
        }
        let mut groups = vec![all];
        groups.extend(of_processes(index, &values, &processes.unwrap_or_default()));
        Ok(groups)
    }

    /// The answer to a question, unless it is known not to be supported; `Err`: the device is lost.
    fn supported<T>(
        &mut self,
        query: Query,
        ask: impl FnOnce(&mut dyn Gpu) -> Result<T, Fault>,
    ) -> Result<Option<T>, String> {
        if self.unsupported.contains(&query) {
            return Ok(None);
        }
        match ask(&mut *self.gpu) {
            Ok(answer) => Ok(Some(answer)),
            Err(Fault::Unsupported) => {
                self.unsupported.insert(query);
                Ok(None)
            }
            Err(Fault::Passing(_)) => Ok(None),
            Err(Fault::Lost(reason)) => Err(reason),
        }
    }
}

fn find(values: &[(&str, f64)], name: &str) -> Option<f64> {
    let found = values.iter().find(|(known, _)| *known == name);
    found.map(|&(_, value)| value)
}

/// Adds an answer in the units of the keys.
fn publish(query: Query, [first, second]: [f64; 2], values: &mut Vec<(&'static str, f64)>) {
    const MILLI: f64 = 1e-3;
    let (name, value) = match query {
        Query::Utilization => {
            values.push(("gpu", first));
            ("memory", second)
        }
        Query::Memory => {
            let share = percent(Some(first), Some(second));
            values.extend(share.map(|share| ("memoryAllocated", share)));
            ("memoryAllocatedBytes", first)
        }
        Query::Temperature => ("temp", first),
        Query::Power => ("powerWatts", first * MILLI),
        Query::PowerLimit => ("enforcedPowerLimitWatts", first * MILLI),
        Query::SmClock => ("smClock", first),
        Query::MemoryClock => ("memoryClock", first),
        Query::GraphicsClock => ("graphicsClock", first),
        Query::CorrectedErrors => ("correctedMemoryErrors", first),
        Query::UncorrectedErrors => ("uncorrectedMemoryErrors", first),
        Query::FanSpeed => ("fanSpeed", first),
        Query::Encoder => ("encoderUtilization", first),
        Query::PcieGeneration => ("pcieLinkGen", first),
        Query::PcieWidth => ("pcieLinkWidth", first),
        Query::MaxPcieGeneration => ("maxPcieLinkGen", first),
        Query::MaxPcieWidth => ("maxPcieLinkWidth", first),
        Query::PcieSpeed => ("pcieLinkSpeed", first),
        Query::Processes | Query::Profile => return,
    };
    values.push((name, value));
}

/// What runs see whose processes use the device: its own values once more, and the memory of each process, which a run sees
/// summed over its processes.
fn of_processes(index: u32, values: &[(&str, f64)], processes: &[Process]) -> Vec<Group> {
    if processes.is_empty() {
        return Vec::new();
    }
    let pids = processes.iter().map(|process| process.pid).collect();
    let mut shared = Group::of_device(index).shown_to(Shown::Users(pids));
    for &(name, value) in values
        .iter()
        .filter(|(name, _)| OF_PROCESSES.contains(name))
    {
        shared.gauge(format!("gpu.process.{index}.{name}"), value);
    }
    let own = processes.iter().filter_map(|process| {
        let users = Shown::Users(vec![process.pid]);
        let mut group = Group::of_device(index).shown_to(users);
        #[expect(clippy::cast_precision_loss, reason = "below 2^53 bytes")]
        let bytes = process.used_bytes? as f64;
        group.gauge(format!("gpu.process.{index}.memoryUsedBytes"), bytes);
        Some(group)
    });
    std::iter::once(shared).chain(own).collect()
}

#[cfg(test)]
mod tests;
