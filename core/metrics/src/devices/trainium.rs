//! AWS Trainium and Inferentia: the reports of `neuron-monitor`, one JSON object a line.
//!
//! A report has an entry for each process with a Neuron runtime. A run sees the entries of its own processes, so a rank sees
//! its own cores; of a run with several such processes the host's and devices' totals are added up.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;

use super::exists;
use crate::{Command, Group, Host, LatestLine, Reading, SampleError, Sampler, Settings, Shown};

const PLACES: [&str; 2] = ["neuron-monitor", "/opt/aws/neuron/bin/neuron-monitor"];

/// Follows `neuron-monitor`, which without a configuration of its own reports everything every 5 s.
pub(super) struct Trainium {
    config_path: String,
    monitor: Option<Box<dyn LatestLine>>,
}

impl Trainium {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            config_path: settings.neuron_monitor_config_path.clone(),
            monitor: None,
        }
    }

    fn start(&self, host: &dyn Host) -> Result<Box<dyn LatestLine>, SampleError> {
        let arguments: &[&str] = match self.config_path.as_str() {
            "" => &[],
            path => &["-c", path],
        };
        for place in PLACES {
            match host.follow(&Command::new(place, arguments)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                started => return started.map_err(|error| SampleError::reading(place, &error)),
            }
        }
        Err(SampleError::Absent)
    }
}

impl Sampler for Trainium {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        // The kernel driver's first device.
        if !exists(host, "/dev/neuron0") {
            self.monitor = None;
            return Err(SampleError::Absent);
        }
        if self.monitor.is_none() {
            self.monitor = Some(self.start(host)?);
        }
        let monitor = self.monitor.as_mut().expect("it was just started");
        let line = match monitor.take() {
            Ok(line) => line,
            Err(error) => {
                // It is started again when it is asked for next.
                self.monitor = None;
                return Err(SampleError::Failed(error.to_string()));
            }
        };
        Ok(Reading {
            at: host.now(),
            groups: match line {
                Some(line) => groups(&line)?,
                // Nothing new since the last reading.
                None => Vec::new(),
            },
            troubles: Vec::new(),
        })
    }
}

#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    neuron_runtime_data: Vec<Runtime>,
}

#[derive(Debug, Deserialize)]
struct Runtime {
    pid: u32,
    report: RuntimeReport,
}

#[derive(Debug, Deserialize)]
struct RuntimeReport {
    #[serde(default)]
    neuroncore_counters: Counters,
    #[serde(default)]
    memory_used: Memory,
}

#[derive(Debug, Default, Deserialize)]
struct Counters {
    /// By index; null when no core is in use.
    #[serde(default)]
    neuroncores_in_use: Option<BTreeMap<u32, Core>>,
}

#[derive(Debug, Deserialize)]
struct Core {
    neuroncore_utilization: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Memory {
    neuron_runtime_used_bytes: Option<UsedBytes>,
}

#[derive(Debug, Deserialize)]
struct UsedBytes {
    host: Option<f64>,
    neuron_device: Option<f64>,
    usage_breakdown: Option<Breakdown>,
}

#[derive(Debug, Deserialize)]
struct Breakdown {
    #[serde(default)]
    host: BTreeMap<String, f64>,
    #[serde(default)]
    neuroncore_memory_usage: BTreeMap<u32, BTreeMap<String, f64>>,
}

/// Kinds of memory that are recorded, of the host and of a core.
const HOST_MEMORY: [&str; 4] = ["application_memory", "constants", "dma_buffers", "tensors"];
const CORE_MEMORY: [&str; 5] = [
    "constants",
    "model_code",
    "model_shared_scratchpad",
    "runtime_memory",
    "tensors",
];

/// One group for each process with a runtime.
fn groups(line: &[u8]) -> Result<Vec<Group>, SampleError> {
    let report: Report =
        serde_json::from_slice(line).map_err(|_error| SampleError::unreadable("neuron-monitor"))?;
    Ok(report.neuron_runtime_data.into_iter().map(group).collect())
}

fn group(runtime: Runtime) -> Group {
    let mut group = Group::default().shown_to(Shown::Users(vec![runtime.pid]));
    let cores = runtime.report.neuroncore_counters.neuroncores_in_use;
    for (index, core) in cores.unwrap_or_default() {
        if let Some(percent) = core.neuroncore_utilization {
            group.gauge(format!("trn.{index}.neuroncore_utilization"), percent);
        }
    }
    let Some(used) = runtime.report.memory_used.neuron_runtime_used_bytes else {
        return group;
    };
    if let Some(bytes) = used.host {
        group.gauge("trn.host_total_memory_usage", bytes);
    }
    if let Some(bytes) = used.neuron_device {
        group.gauge("trn.neuron_device_total_memory_usage", bytes);
    }
    let Some(breakdown) = used.usage_breakdown else {
        return group;
    };
    for kind in HOST_MEMORY {
        if let Some(&bytes) = breakdown.host.get(kind) {
            group.gauge(format!("trn.host_memory_usage.{kind}"), bytes);
        }
    }
    for (index, memory) in breakdown.neuroncore_memory_usage {
        for kind in CORE_MEMORY {
            if let Some(&bytes) = memory.get(kind) {
                group.gauge(format!("trn.{index}.neuroncore_memory_usage.{kind}"), bytes);
            }
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::values;
    use crate::host::recorded::RecordedHost;

    const REPORT: &str = include_str!("../../tests/recorded/neuron-monitor-2.29-trn1.json");

    fn line(json: &str) -> String {
        json.lines().map(str::trim).collect()
    }

    fn host(lines: Option<&[&str]>) -> RecordedHost {
        let host = RecordedHost::default();
        host.device("/dev/neuron0", 245, 0);
        host.lines("neuron-monitor", lines);
        host
    }

    fn sampler() -> Trainium {
        Trainium::new(&Settings::default())
    }

    #[test]
    fn a_report_has_a_group_for_each_process() {
        let report = line(REPORT);
        let host = host(Some(&["{}", &report]));
        let mut trainium = sampler();
        assert!(trainium.sample(&host).expect("no process").is_empty());
        let reading = trainium.sample(&host).expect("a report");
        assert_eq!(reading.groups.len(), 2);
        assert_eq!(reading.groups[0].shown, Shown::Users(vec![2_199]));
        let expected = [
            ("trn.0.neuroncore_utilization", 89.5),
            ("trn.1.neuroncore_utilization", 0.0),
            ("trn.host_total_memory_usage", 2_605_992.0),
            ("trn.neuron_device_total_memory_usage", 63_105_088.0),
            ("trn.host_memory_usage.application_memory", 12_328.0),
            ("trn.host_memory_usage.constants", 0.0),
            ("trn.host_memory_usage.dma_buffers", 16_384.0),
            ("trn.host_memory_usage.tensors", 2_577_280.0),
            ("trn.0.neuroncore_memory_usage.constants", 61_766_864.0),
            ("trn.0.neuroncore_memory_usage.model_code", 1_295_008.0),
            ("trn.0.neuroncore_memory_usage.model_shared_scratchpad", 0.0),
            ("trn.0.neuroncore_memory_usage.runtime_memory", 43_216.0),
            ("trn.0.neuroncore_memory_usage.tensors", 0.0),
        ];
        assert_eq!(values(&reading.groups[0]), expected);
        // A process that has a runtime and no core in use.
        assert_eq!(reading.groups[1].shown, Shown::Users(vec![2_200]));
        assert_eq!(values(&reading.groups[1]), []);
        assert!(trainium.sample(&host).expect("nothing new").is_empty());
    }

    #[test]
    fn a_monitor_that_ended_is_started_again() {
        let ended = host(None);
        let mut trainium = sampler();
        let error = trainium.sample(&ended).expect_err("it ended");
        assert!(matches!(error, SampleError::Failed(_)));
        let again = host(Some(&["not json"]));
        let error = trainium.sample(&again).expect_err("no report");
        assert_eq!(error.to_string(), "`neuron-monitor` has an unknown format");
    }

    #[test]
    fn without_the_hardware_or_the_tool_nothing_is_started() {
        let absent = RecordedHost::default();
        absent.lines("neuron-monitor", Some(&[]));
        assert!(matches!(
            sampler().sample(&absent),
            Err(SampleError::Absent)
        ));
        let no_tool = RecordedHost::default();
        no_tool.device("/dev/neuron0", 245, 0);
        assert!(matches!(
            sampler().sample(&no_tool),
            Err(SampleError::Absent)
        ));
    }
}
