//! System metrics: what the host, its devices and the processes of a run do.
//!
//! ```text
//! Settings ──▶ wanted() ──▶ Spec … ──▶ Sampler::sample(host) ──▶ Reading ──▶ View::take ──▶ (key, value) of one run
//! ```
//!
//! - A [`Sampler`] reads one resource. Samplers with the same [`Spec::id`] are the same one: it is read once per tick for all
//!   runs that want it. It keeps what it found out about the host, and nothing about runs.
//! - A [`Reading`] holds raw values: gauges, and counters that only grow. It says of a group of values which runs may see it.
//! - A [`View`] belongs to one run (or one process of it): it makes "since the start" and "per second" of counters, and
//!   leaves out what the run did not ask for. Pure.
//! - [`Host`] is everything outside: files below `/proc` and `/sys`, commands, HTTP, time. Tests hand in a recorded one.
//!
//! Nothing here is asynchronous; the daemon calls samplers on threads that may block.

pub mod devices;
pub mod host;
mod reading;
mod sampler;
mod settings;
mod system;
mod view;

pub use host::{Command, Host, Http, HttpRequest, LatestLine, Space, SystemHost, UnaryRequest};
pub use reading::{Group, Kind, MAX_METRICS, Metric, Reading, Shown};
pub use sampler::{Pace, SampleError, Sampler, Spec};
pub use settings::{Filter, Settings};
pub use system::with_ancestors;
pub use view::View;

/// The samplers of host, devices and endpoints that a run with these settings wants.
pub fn wanted(settings: &Settings) -> Vec<Spec> {
    let mut specs = system::wanted(settings);
    specs.extend(devices::wanted(settings));
    specs
}

/// The samplers of one process of a run.
pub fn wanted_of_process(settings: &Settings) -> Vec<Spec> {
    vec![system::wanted_of_process(settings)]
}
