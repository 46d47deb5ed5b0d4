//! Processes: who owns which hub.
//!
//! A child of `fork` has its parent's memory and none of its threads. It forgets every handle without flushing, joining or
//! taking a lock, closes its copies of the descriptors, and makes new handles when it logs for the first time. What belongs to
//! the parent is left as it is and never freed.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::hub::{Hub, HubConfig};
use crate::sys::chain::Chain;

/// Counts the forks between this process and the one that loaded the module.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// One element per generation that had a hub.
static PROCESSES: Chain<Process> = Chain::new();
/// What processes are called, with their generation.
static NAMES: Chain<(u32, String)> = Chain::new();

struct Process {
    generation: u32,
    hubs: Mutex<Vec<Arc<Hub>>>,
}

/// The generation of this process.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Called in the child, by its only thread: atomics and system calls only.
pub(crate) fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    crate::io::descriptor::close_inherited();
}

/// Gives this process a name, for the rows that it logs to a run of its parent.
pub(crate) fn name_process(name: String) {
    NAMES.push_unless((generation(), name), |_| false);
}

/// The name of this process; empty if it was given none.
pub(crate) fn process_name() -> &'static str {
    match NAMES.newest() {
        Some((generation, name)) if *generation == self::generation() => name,
        _ => "",
    }
}

/// The hub of this process for `config`; its writer thread is started with the first call.
pub(crate) fn hub_for(config: &HubConfig) -> io::Result<Arc<Hub>> {
    let process = this_process();
    let mut hubs = process.hubs.lock().unwrap_or_else(PoisonError::into_inner);
    hubs.retain(|hub| !hub.status().stopped);
    if let Some(hub) = hubs
        .iter()
        .find(|hub| hub.config.runtime_dir == config.runtime_dir)
    {
        return Ok(Arc::clone(hub));
    }
    let hub = Arc::new(Hub::new(config.clone())?);
    crate::io::writer::start(&hub)?;
    hubs.push(Arc::clone(&hub));
    Ok(hub)
}

/// Waits until every entry of this process is acknowledged; see [`Hub::flush`].
pub(crate) fn flush_all(timeout: Duration) -> bool {
    let Some(process) = PROCESSES
        .newest()
        .filter(|process| process.generation == generation())
    else {
        return true;
    };
    let hubs = process
        .hubs
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let deadline = Instant::now() + timeout;
    let mut all = true;
    for hub in hubs {
        all &= hub.flush(deadline.saturating_duration_since(Instant::now()));
    }
    all
}

fn this_process() -> &'static Process {
    let current = generation();
    match PROCESSES.newest() {
        Some(process) if process.generation == current => process,
        _ => PROCESSES.push_unless(
            Process {
                generation: current,
                hubs: Mutex::default(),
            },
            |newest| newest.generation == current,
        ),
    }
}
