//! What a run asks for, from its settings.

use std::time::Duration;

use runlane_metrics::{Filter, Settings};
use runlane_proto::local;

/// The shortest interval between samples.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest: a day.
const LONGEST: Duration = Duration::from_hours(24);
/// Without another one.
const DEFAULT: Duration = Duration::from_secs(15);

/// The time between two samples.
pub(crate) fn interval_of(settings: &local::MetricSettings) -> Duration {
    match Duration::try_from_secs_f64(settings.interval_secs) {
        Ok(interval) if !interval.is_zero() => interval.clamp(SHORTEST, LONGEST),
        _ => DEFAULT,
    }
}

/// The samplers' settings; `pid` is the process that logs, for runs that name no other.
pub(crate) fn settings_of(settings: &local::MetricSettings, pid: u32) -> Settings {
    let index = |id: &i32| u32::try_from(*id).ok();
    Settings {
        pid: u32::try_from(settings.pid)
            .ok()
            .filter(|&other| other > 0)
            .unwrap_or(pid),
        track_process_tree: settings.process_tree,
        no_cgroup: settings.no_cgroup,
        disk_paths: settings.disk_paths.clone(),
        self_usage: settings.self_usage,
        gpu_device_ids: settings
            .is_gpu_choice
            .then(|| settings.gpu_device_ids.iter().filter_map(index).collect()),
        neuron_monitor_config_path: settings.neuron_monitor_config_path.clone(),
        dcgm_exporter: settings.dcgm_exporter.clone(),
        dcgm_profiling: settings.dcgm_profiling,
        open_metrics_endpoints: settings
            .open_metrics_endpoints
            .clone()
            .into_iter()
            .collect(),
        open_metrics_filters: settings
            .open_metrics_filters
            .iter()
            .map(|filter| Filter {
                name: filter.name.clone(),
                labels: filter.labels.clone().into_iter().collect(),
            })
            .collect(),
        open_metrics_http_headers: settings
            .open_metrics_http_headers
            .clone()
            .into_iter()
            .collect(),
        local_rank: settings.local_rank,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_bounded_whatever_comes() {
        let of = |interval_secs| {
            interval_of(&local::MetricSettings {
                interval_secs,
                ..Default::default()
            })
        };
        assert_eq!(of(2.5), Duration::from_millis(2_500));
        assert_eq!(of(0.001), SHORTEST);
        assert_eq!(of(1e9), LONGEST);
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(of(odd), DEFAULT, "{odd}");
        }
    }

    #[test]
    fn no_choice_of_devices_is_all_of_them_and_an_empty_one_is_none() {
        let mut wanted = local::MetricSettings::default();
        assert_eq!(settings_of(&wanted, 7).gpu_device_ids, None);
        wanted.is_gpu_choice = true;
        assert_eq!(settings_of(&wanted, 7).gpu_device_ids, Some(vec![]));
        assert_eq!(settings_of(&wanted, 7).pid, 7);
        wanted.pid = 8;
        assert_eq!(settings_of(&wanted, 7).pid, 8);
    }
}
