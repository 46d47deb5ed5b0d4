//! The writer thread: one per connection, without the interpreter.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::descriptor::Descriptor;
use super::launcher::{self, StartedDaemon};
use super::socket::DaemonSocket;
use super::spill::Spill;
use crate::engine::ports::{Attempt, Ports};
use crate::engine::{Engine, Next, Woken};
use crate::hub::{Help, Hub};

/// How long the daemon may take to acknowledge what a process logged that a signal ends.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long the writer sleeps when there is no event that could wake it: no descriptor was left for one.
const WITHOUT_EVENT: Duration = Duration::from_millis(5);

/// Starts the writer thread of `hub`.
pub(crate) fn start(hub: &Arc<Hub>) -> io::Result<()> {
    let outside = Outside {
        hub: Arc::clone(hub),
    };
    let shared = Arc::new(Shared {
        hub: Arc::clone(hub),
        engine: Mutex::new(Engine::new(Arc::clone(hub), outside, Instant::now())),
    });
    let helper: Weak<dyn Help> = Arc::downgrade(&(Arc::clone(&shared) as Arc<dyn Help>));
    hub.set_helper(helper);
    #[cfg(target_os = "linux")]
    crate::sys::ending::serve();
    thread::Builder::new()
        .name("runlane-writer".to_owned())
        .stack_size(256 << 10)
        .spawn(move || shared.run())
        .map(drop)
}

/// The engine, for the writer thread and for callers that find it late.
struct Shared {
    hub: Arc<Hub>,
    // Held for a turn, not while waiting.
    engine: Mutex<Engine<Outside>>,
}

impl Shared {
    fn run(&self) {
        crate::sys::signals::block_all_in_this_thread();
        crate::sys::scheduling::prefer_short_waits();
        // Tells those who wait, even if the engine panics.
        let _stopped = Stopped(Arc::clone(&self.hub));
        let mut woken = Woken {
            readable: true,
            called: true,
        };
        loop {
            let waiting = {
                let mut engine = self.engine();
                self.hub.looks();
                let next = engine.turn(Instant::now(), woken);
                if next == Next::Stop {
                    return;
                }
                engine.wait_for(next)
            };
            woken = waiting.wait();
            self.hub.wake.wakes_up(woken.called);
            #[cfg(target_os = "linux")]
            if let Some(signal) = crate::sys::ending::pending() {
                self.empty_the_queue();
                crate::sys::ending::end(signal);
            }
        }
    }

    /// The process is about to be ended by a signal: what it logged goes to the daemon, or to the spill files.
    #[cfg(target_os = "linux")]
    fn empty_the_queue(&self) {
        let woken = Woken {
            readable: true,
            called: true,
        };
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            let waiting = {
                let mut engine = self.engine();
                let next = engine.turn(Instant::now(), woken);
                if engine.is_empty() {
                    return;
                }
                if !engine.is_connected() || Instant::now() >= deadline {
                    engine.spill_all(Instant::now());
                    return;
                }
                engine.wait_for(next)
            };
            waiting.wait();
        }
    }

    fn engine(&self) -> MutexGuard<'_, Engine<Outside>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Help for Shared {
    fn help(&self) {
        if let Ok(mut engine) = self.engine.try_lock() {
            self.hub.looks();
            engine.help(Instant::now());
        }
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
    type Wait = Waiting;

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

    fn wait_for(
        &self,
        socket: Option<(&DaemonSocket, bool)>,
        starting: Option<&StartedDaemon>,
        timeout: Option<Duration>,
    ) -> Waiting {
        Waiting {
            event: self.hub.wake.event(),
            socket: socket.map(|(socket, blocked)| (socket.descriptor(), blocked)),
            starting: starting.map(StartedDaemon::ready),
            timeout,
        }
    }
}

/// What the writer thread waits for.
struct Waiting {
    event: Option<Arc<Descriptor>>,
    socket: Option<(Arc<Descriptor>, bool)>,
    starting: Option<Arc<OwnedFd>>,
    timeout: Option<Duration>,
}

impl Waiting {
    fn wait(self) -> Woken {
        let mut waits = Vec::with_capacity(3);
        if let Some((socket, blocked)) = &self.socket {
            let flags = if *blocked {
                PollFlags::IN | PollFlags::OUT
            } else {
                PollFlags::IN
            };
            waits.push(PollFd::new(socket, flags));
        }
        if let Some(event) = &self.event {
            waits.push(PollFd::new(event, PollFlags::IN));
        }
        if let Some(starting) = &self.starting {
            waits.push(PollFd::new(starting, PollFlags::IN));
        }
        // Without the event nobody can call.
        let timeout = match (self.timeout, &self.event) {
            (timeout, None) => {
                Some(timeout.map_or(WITHOUT_EVENT, |timeout| timeout.min(WITHOUT_EVENT)))
            }
            (timeout, Some(_)) => timeout,
        };
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        // Interrupted or out of memory: the next turn looks anyway.
        if poll(&mut waits, timeout.as_ref()).is_err() {
            return Woken {
                readable: true,
                called: true,
            };
        }
        let sockets = usize::from(self.socket.is_some());
        let happened = |index: usize| {
            waits
                .get(index)
                .is_some_and(|wait| !wait.revents().is_empty())
        };
        Woken {
            // Not watched: somebody has to look now and then.
            readable: sockets == 0 || !(waits[0].revents() - PollFlags::OUT).is_empty(),
            called: self.event.is_some() && happened(sockets),
        }
    }
}
