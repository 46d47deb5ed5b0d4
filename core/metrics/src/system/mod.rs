//! The host itself and the processes of runs, from Linux's `/proc` and `/sys`. On a system without these files the samplers are
//! absent.

mod cgroup;
mod cores;
mod disk;
mod memory;
mod mounts;
mod network;
mod process;
mod tree;

use self::cores::Cores;
use self::disk::Disk;
use self::memory::Memory;
use self::network::Network;
use self::process::{Process, SelfUsage};
pub use self::tree::with_ancestors;
use crate::{Pace, Settings, Spec};

/// Mebibytes, which the keys call `MB`.
#[expect(clippy::cast_precision_loss, reason = "a measurement, not an account")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The samplers of the host.
pub(crate) fn wanted(settings: &Settings) -> Vec<Spec> {
    let (pid, no_cgroup) = (settings.pid, settings.no_cgroup);
    // Its limits are those of the cgroup that the process is in.
    let memory_id = if no_cgroup {
        "memory".to_owned()
    } else {
        format!("memory of {pid}")
    };
    let paths = settings.disk_paths.clone();
    let mut specs = vec![
        Spec::new("memory", memory_id, Pace::Quick, move || {
            Memory::new((!no_cgroup).then_some(pid))
        }),
        Spec::of_host("cores", Pace::Quick, Cores::default),
        Spec::of_host("network", Pace::Quick, Network::default),
        // A file system may hang, that of a network above all.
        Spec::new("disk", format!("disk {paths:?}"), Pace::Slow, move || {
            Disk::new(paths)
        }),
    ];
    if settings.self_usage {
        specs.push(Spec::of_host("runlane", Pace::Quick, SelfUsage::default));
    }
    specs
}

/// The sampler of the monitored process.
pub(crate) fn wanted_of_process(settings: &Settings) -> Spec {
    let (pid, is_tree, no_cgroup) = (
        settings.pid,
        settings.track_process_tree,
        settings.no_cgroup,
    );
    let words = format!("process {pid} tree={is_tree} cgroup={}", !no_cgroup);
    Spec::new("process", words, Pace::Quick, move || {
        Process::new(pid, is_tree, !no_cgroup)
    })
}
