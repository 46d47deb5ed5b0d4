//! The writer thread: one per connection, without the interpreter.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::launcher::{self, StartedDaemon};
use super::socket::DaemonSocket;
use super::spill::Spill;
use crate::engine::ports::{Attempt, Ports};
use crate::engine::{Engine, Next};
use crate::hub::Hub;

/// Starts the writer thread of `hub`.
pub(crate) fn start(hub: &Arc<Hub>) -> io::Result<()> {
    let hub = Arc::clone(hub);
    thread::Builder::new()
        .name("runlane-writer".to_owned())
        .stack_size(256 << 10)
        .spawn(move || run(&hub))
        .map(drop)
}

fn run(hub: &Arc<Hub>) {
    crate::sys::signals::block_all_in_this_thread();
    // Tells those who wait, even if the engine panics.
    let _stopped = Stopped(Arc::clone(hub));
    let mut engine = Engine::new(
        Arc::clone(hub),
        Outside {
            hub: Arc::clone(hub),
        },
        Instant::now(),
    );
    loop {
        let next = engine.turn(Instant::now());
        if next == Next::Stop {
            return;
        }
        engine.wait(next);
    }
}

struct Stopped(Arc<Hub>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.update(|status| status.stopped = true);
    }
}

/// The real outside.
struct Outside {
    hub: Arc<Hub>,
}

impl Ports for Outside {
    type Socket = DaemonSocket;
    type Spill = Spill;
    type Starting = StartedDaemon;

    fn connect(&mut self) -> io::Result<DaemonSocket> {
        DaemonSocket::connect(&launcher::socket_path(&self.hub.config.runtime_dir))
    }

    fn start_daemon(&mut self) -> io::Result<Attempt<DaemonSocket, StartedDaemon>> {
        launcher::start(&self.hub.config)
    }

    fn create_spill(&mut self, path: &Path, writer: u64) -> io::Result<Spill> {
        Spill::create(path, writer)
    }

    fn remove_spill(&mut self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn wait(
        &mut self,
        socket: Option<(&DaemonSocket, bool)>,
        starting: Option<&StartedDaemon>,
        timeout: Option<Duration>,
    ) {
        let mut waits = Vec::with_capacity(3);
        waits.push(PollFd::new(&self.hub.wake, PollFlags::IN));
        if let Some((socket, blocked)) = socket {
            let flags = if blocked {
                PollFlags::IN | PollFlags::OUT
            } else {
                PollFlags::IN
            };
            waits.push(PollFd::new(socket, flags));
        }
        if let Some(starting) = starting {
            waits.push(PollFd::new(starting, PollFlags::IN));
        }
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        // Interrupted or out of memory: the next turn looks anyway.
        _ = poll(&mut waits, timeout.as_ref());
    }
}
