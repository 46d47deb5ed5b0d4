//! Accelerators and endpoints: one sampler each.
//!
//! Each is silent and cheap where its hardware is absent: it looks for a device file first, and starts no program without one.

mod amd;
mod apple;
mod endpoints;
mod ipu;
mod nvidia;
mod tpu;
mod trainium;

use crate::{Host, Pace, Settings, Spec};

/// The samplers of devices and endpoints that a run with these settings wants.
pub(crate) fn wanted(settings: &Settings) -> Vec<Spec> {
    let neuron = settings.clone();
    let neuron_id = format!("trainium {}", settings.neuron_monitor_config_path);
    let mut specs = vec![
        nvidia(!settings.dcgm_profiling),
        Spec::of_host("amd", Pace::Slow, amd::AmdGpus::default),
        Spec::of_host("apple", Pace::Slow, apple::AppleSilicon::default),
        Spec::of_host("tpu", Pace::Slow, tpu::Tpus::default),
        Spec::new("trainium", neuron_id, Pace::Slow, move || {
            trainium::Trainium::new(&neuron)
        }),
        Spec::of_host("ipu", Pace::Slow, || ipu::Ipus),
    ];
    if settings.dcgm_profiling {
        let make = nvidia::dcgm::DcgmProfiling::default;
        specs.push(Spec::of_host("dcgm profiling", Pace::Slow, make));
    }
    specs.extend(endpoints::open_metrics::wanted(settings));
    specs.extend(endpoints::dcgm::wanted(settings));
    specs
}

/// The sampler of NVIDIA's devices, with profiling by the driver or without.
fn nvidia(is_profiling: bool) -> Spec {
    let id = format!("nvidia profiling={is_profiling}");
    let make = move || nvidia::NvidiaGpus::new(is_profiling);
    Spec::new("nvidia", id, Pace::Slow, make)
}

/// Whether there is anything at an absolute path.
fn exists(host: &dyn Host, path: &str) -> bool {
    host.device_of(path).is_ok()
}

/// `part` of `whole` in percent; nothing without both, or of nothing.
fn percent(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let whole = whole.filter(|&whole| whole > 0.0)?;
    Some(part? / whole * 100.0)
}

/// Readings as tests compare them.
#[cfg(test)]
mod testing {
    use crate::{Group, Reading};

    /// Keys and values of a group, in its order.
    pub(super) fn values(group: &Group) -> Vec<(&str, f64)> {
        let metrics = group.metrics.iter();
        metrics
            .map(|metric| (metric.key.as_ref(), metric.value))
            .collect()
    }

    /// All keys of a reading, in its order.
    pub(super) fn keys(reading: &Reading) -> Vec<String> {
        let metrics = reading.groups.iter().flat_map(|group| &group.metrics);
        metrics.map(|metric| metric.key.to_string()).collect()
    }
}
