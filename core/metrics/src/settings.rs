//! What a run wants sampled.

use std::collections::BTreeMap;

/// A series of an OpenMetrics endpoint that is to be recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Regular expression that is found anywhere in `<endpoint name>.<metric name>`.
    pub name: String,
    /// Label → regular expression that is found in its value; all must be.
    pub labels: BTreeMap<String, String>,
}

/// The `x_stats_…` settings of one run, checked by the SDK.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent settings, as they come from the user"
)]
pub struct Settings {
    /// The monitored process.
    pub pid: u32,
    /// Add up CPU, memory and threads over the process and its descendants.
    pub track_process_tree: bool,
    /// Do not look for the limits of the process's cgroup.
    pub no_cgroup: bool,
    /// Paths whose file system's use is recorded.
    pub disk_paths: Vec<String>,
    /// Record what the daemon itself uses.
    pub self_usage: bool,
    /// Record these device indices only; `None`: all.
    pub gpu_device_ids: Option<Vec<u32>>,
    /// A configuration for `neuron-monitor` in the place of ours; empty: ours.
    pub neuron_monitor_config_path: String,
    /// Query URL of a Prometheus that scrapes the DCGM exporter; empty: none.
    pub dcgm_exporter: String,
    /// Ask the DCGM host engine for profiling metrics.
    pub dcgm_profiling: bool,
    /// Endpoint name → URL.
    pub open_metrics_endpoints: BTreeMap<String, String>,
    /// A series is recorded if one of them fits; without any, all are.
    pub open_metrics_filters: Vec<Filter>,
    /// Sent with each request to an endpoint.
    pub open_metrics_http_headers: BTreeMap<String, String>,
    /// The local rank that a launcher gave the process.
    pub local_rank: Option<u32>,
}
