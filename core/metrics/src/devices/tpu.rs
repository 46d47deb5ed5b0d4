//! Google TPUs: the metrics service that `libtpu` offers on port 8431 of a process that uses the devices.
//!
//! Metrics are asked for by name ([`messages`] has the messages). What the service does not offer – the use of the tensor cores –
//! is read from `tpu-info`, at most once a minute: it is a Python program.

mod distribution;
mod messages;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use prost::Message;

use self::distribution::Statistics;
use self::messages::{
    ListSupportedMetricsRequest, ListSupportedMetricsResponse, Metric, MetricRequest,
    MetricResponse,
};
use super::exists;
use crate::{Command, Group, Host, Reading, SampleError, Sampler, UnaryRequest};

const SERVICE: &str = "/tpu.monitoring.runtime.RuntimeMetricService";
const DEFAULT_PORT: u16 = 8431;
/// A host has at most eight chips; more ports than this are none of ours.
const MAX_PORTS: usize = 16;
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// `tpu-info` costs a second of CPU time.
const TOOL_PACE: Duration = Duration::from_mins(1);
/// PCI ids of Google's chips: v2 and v3, v4, v5p, v5e, v6e, 7x.
const CHIPS: [&str; 6] = ["0x0027", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"];

const CAPACITY: &str = "tpu.runtime.hbm.memory.total.bytes";
const USAGE: &str = "tpu.runtime.hbm.memory.usage.bytes";
const DUTY_CYCLE: &str = "tpu.runtime.tensorcore.dutycycle.percent";
/// Values of a device, and their names in keys.
const GAUGES: [(&str, &str); 3] = [
    (CAPACITY, "hbmCapacityTotal"),
    (USAGE, "hbmCapacityUsage"),
    (DUTY_CYCLE, "dutyCycle"),
];
const QUEUE_SIZE: &str = "hlo.queue.size.gauge";
/// Distributions: their names in keys, and units.
const DISTRIBUTIONS: [(&str, &str, &str); 9] = [
    (
        "megascale.dcn_transfer_latencies.microsecond.cumulative.distribution",
        "bufferTransferLatency",
        "Us",
    ),
    (
        "megascale.dcn_inbound_transfer_latencies.microsecond.cumulative.distribution",
        "inboundBufferTransferLatency",
        "Us",
    ),
    (
        "megascale.host_to_device_transfer_latencies.microsecond.cumulative.distribution",
        "hostToDeviceTransferLatency",
        "Us",
    ),
    (
        "megascale.device_to_host_transfer_latencies.microsecond.cumulative.distribution",
        "deviceToHostTransferLatency",
        "Us",
    ),
    (
        "megascale.collective_end_to_end_latencies.microsecond.cumulative.distribution",
        "collectiveE2ELatency",
        "Us",
    ),
    (
        "megascale.mxla_compute_latencies.microsecond.cumulative.distribution",
        "hostComputeLatency",
        "Us",
    ),
    (
        "megascale.grpc_tcp_min_rtt.microsecond.cumulative.distribution",
        "grpcTcpMinRtt",
        "Us",
    ),
    (
        "megascale.grpc_tcp_delivery_rate.Mbps.cumulative.distribution",
        "grpcTcpDeliveryRate",
        "Mbps",
    ),
    (
        "hlo.execution.timing.distribution.microseconds",
        "hloExecTiming",
        "Us",
    ),
];

/// Reads the TPUs of a host.
#[derive(Debug, Default)]
pub(super) struct Tpus {
    is_found: bool,
    /// What a service offers, by port; forgotten when nobody answers there.
    offered: BTreeMap<u16, BTreeSet<String>>,
    tool_asked_at: Option<Duration>,
}

impl Sampler for Tpus {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        if !self.is_found && !has_chip(host) {
            return Err(SampleError::Absent);
        }
        self.is_found = true;
        let mut group = Group::default();
        let mut troubles = Vec::new();
        for port in ports(host) {
            match self.read_service(host, port, &mut group) {
                Ok(()) => {}
                // No process uses the devices yet, or no longer.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.offered.remove(&port);
                }
                // One process that does not answer hides no other.
                Err(error) => {
                    self.offered.remove(&port);
                    troubles.push(format!("libtpu's metrics on port {port}: {error}"));
                }
            }
        }
        if !self.offered.is_empty() {
            self.read_tool(host, &mut group);
        }
        let mut reading = Reading::of(host.now(), group);
        reading.troubles = troubles;
        Ok(reading)
    }
}

/// Whether a device file of the older chips, or a PCI device of the newer ones, is there.
fn has_chip(host: &dyn Host) -> bool {
    if exists(host, "/dev/accel0") {
        return true;
    }
    if !exists(host, "/dev/vfio") {
        return false;
    }
    let devices = host.list("/sys/bus/pci/devices").unwrap_or_default();
    devices.iter().any(|device| {
        let read = |name| host.text(&format!("/sys/bus/pci/devices/{device}/{name}"));
        let is = |name, known: &[&str]| {
            let text = read(name).unwrap_or_default();
            known.contains(&text.trim())
        };
        is("vendor", &["0x1ae0"]) && is("device", &CHIPS)
    })
}

/// Several processes of one host have a port each.
fn ports(host: &dyn Host) -> Vec<u16> {
    let named = host
        .variable("TPU_RUNTIME_METRICS_PORTS")
        .unwrap_or_default();
    let named = named.split(',').filter_map(|port| port.trim().parse().ok());
    let ports: Vec<u16> = named.take(MAX_PORTS).collect();
    if ports.is_empty() {
        vec![DEFAULT_PORT]
    } else {
        ports
    }
}

fn call<Answer: Message + Default>(
    host: &dyn Host,
    port: u16,
    method: &str,
    message: &impl Message,
) -> io::Result<Answer> {
    let answer = host.unary(&UnaryRequest {
        port,
        path: format!("{SERVICE}/{method}"),
        message: message.encode_to_vec(),
        timeout: Duration::from_secs(2),
        max_bytes: MAX_ANSWER_BYTES,
    })?;
    Answer::decode(answer.as_slice())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// What the service on a port offers.
fn offered(host: &dyn Host, port: u16) -> io::Result<BTreeSet<String>> {
    let all = ListSupportedMetricsRequest::default();
    let list: io::Result<ListSupportedMetricsResponse> =
        call(host, port, "ListSupportedMetrics", &all);
    match list {
        Ok(list) => {
            let names = list.supported_metric.into_iter();
            Ok(names.map(|metric| metric.metric_name).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
        // Older libraries cannot list; they have these.
        Err(_) => Ok(GAUGES.iter().map(|&(name, _)| name.to_owned()).collect()),
    }
}

/// The metrics of one process.
struct Service<'a> {
    host: &'a dyn Host,
    port: u16,
    offered: &'a BTreeSet<String>,
}

impl Service<'_> {
    /// The values of a metric; none of one that is not offered.
    fn metrics(&self, name: &str) -> io::Result<Vec<Metric>> {
        if !self.offered.contains(name) {
            return Ok(Vec::new());
        }
        let request = MetricRequest {
            metric_name: name.to_owned(),
            skip_node_aggregation: false,
        };
        let answer: MetricResponse = call(self.host, self.port, "GetRuntimeMetric", &request)?;
        Ok(answer
            .metric
            .map(|metric| metric.metrics)
            .unwrap_or_default())
    }

    fn read_gauges(&self, group: &mut Group) -> io::Result<()> {
        let mut capacities = BTreeMap::new();
        for (name, key) in GAUGES {
            for metric in self.metrics(name)? {
                let (Some(device), Some(value)) = (metric.device(), metric.number()) else {
                    continue;
                };
                group.gauge(format!("tpu.{device}.{key}"), value);
                if name == CAPACITY {
                    capacities.insert(device, value);
                } else if name == USAGE {
                    let share = super::percent(Some(value), capacities.get(&device).copied());
                    if let Some(share) = share {
                        group.gauge(format!("tpu.{device}.hbmMemoryUsage"), share);
                    }
                }
            }
        }
        for metric in self.metrics(QUEUE_SIZE)? {
            if let (Some(core), Some(value)) = (metric.device(), metric.number()) {
                group.gauge(format!("tpu.hloQueueSize.{core}"), value);
            }
        }
        Ok(())
    }

    fn read_distributions(&self, group: &mut Group) -> io::Result<()> {
        for (name, key, unit) in DISTRIBUTIONS {
            // Parts of one distribution are added up before their quantiles are taken.
            let mut by_label: BTreeMap<String, Statistics> = BTreeMap::new();
            for metric in self.metrics(name)? {
                if let Some(distribution) = metric.distribution() {
                    let label = metric.label().unwrap_or_default();
                    by_label.entry(label).or_default().add(distribution);
                }
            }
            for (label, statistics) in by_label {
                let dot = if label.is_empty() { "" } else { "." };
                for (statistic, value) in statistics.values() {
                    group.gauge(format!("tpu.{key}{dot}{label}.{statistic}{unit}"), value);
                }
            }
        }
        Ok(())
    }
}

impl Tpus {
    fn read_service(&mut self, host: &dyn Host, port: u16, group: &mut Group) -> io::Result<()> {
        let offered = match self.offered.entry(port) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(offered(host, port)?),
        };
        let service = Service {
            host,
            port,
            offered,
        };
        service.read_gauges(group)?;
        service.read_distributions(group)
    }

    /// Adds what `tpu-info` knows; that it is not installed, or fails, is no fault of the devices.
    fn read_tool(&mut self, host: &dyn Host, group: &mut Group) {
        let now = host.now();
        let is_due = |asked: Duration| now.saturating_sub(asked) >= TOOL_PACE;
        if !self.tool_asked_at.is_none_or(is_due) {
            return;
        }
        self.tool_asked_at = Some(now);
        let command = Command::new("tpu-info", &["--metric", "tensorcore_utilization"]);
        let Ok(output) = host.run(&command) else {
            return;
        };
        for (core, percent) in table_rows(&String::from_utf8_lossy(&output)) {
            group.gauge(format!("tpu.{core}.tensorcoreUtilization"), percent);
        }
    }
}

/// Rows `│ 0 │ 99.50% │` of a table.
fn table_rows(text: &str) -> impl Iterator<Item = (u32, f64)> + '_ {
    text.lines().filter_map(|line| {
        let mut cells = line.trim().strip_prefix('│')?.split('│').map(str::trim);
        let core = cells.next()?.parse().ok()?;
        let percent = cells.next()?.strip_suffix('%')?.parse().ok()?;
        Some((core, percent))
    })
}

#[cfg(test)]
mod tests;
