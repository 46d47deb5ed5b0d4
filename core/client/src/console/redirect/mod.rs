//! `console="redirect"`: what any code of the process and its children writes to descriptors 1 and 2.
//!
//! The two descriptors become the ends of a pseudo-terminal (where a terminal was) or of a pipe. A thread without the
//! interpreter reads the other ends, writes everything to where it went before, and tells the runs. It never waits for a run;
//! it waits for the terminal, as the program would.
//!
//! A second process, the heir, has copies of the other ends. When this process is gone or the capture has ended, it carries on
//! what is still in the pipes and what children go on writing: nothing that was written is kept from the user, however the
//! process ends, and no child dies of a pipe that nobody reads.

mod ends;
mod reader;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::stdio::{stderr, stdout};

use self::ends::{Captured, Source, prepare, start_heir};
use self::reader::Reader;
use super::decoder::Decoder;
use super::marker::{MARKER, Markers};
use crate::fork;
use crate::hub::{Stream, unix_micros};
use crate::io::descriptor::{Descriptor, Identity};
use crate::sys::chain::Chain;

/// How long the end of a run waits for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a write waits for what was written to the other stream.
const ORDER_PATIENCE: Duration = Duration::from_millis(50);
/// What stands for a secret in the log.
const REDACTED: &str = "[redacted]";

/// The capture of each process, by its fork generation.
static CAPTURES: Chain<Capture> = Chain::new();

struct Capture {
    generation: u32,
    active: Mutex<Option<Active>>,
}

fn capture() -> &'static Capture {
    let current = fork::generation();
    match CAPTURES.newest() {
        Some(capture) if capture.generation == current => capture,
        _ => CAPTURES.push_unless(
            Capture {
                generation: current,
                active: Mutex::default(),
            },
            |newest| newest.generation == current,
        ),
    }
}

/// Sends what is written to descriptors 1 and 2 to `run` too. `secrets` are left out of what it gets; `binary` is the
/// program whose `console-heir` carries on behind this process.
///
/// Errors: those of the system when no pipe or thread can be made; everything is then as before.
pub(crate) fn start(run: Arc<Stream>, secrets: Vec<String>, binary: &Path) -> io::Result<()> {
    let mut active = lock(&capture().active);
    if let Some(active) = &*active {
        lock(&active.shared.sinks).runs.push(run);
        return Ok(());
    }
    *active = Some(Active::new(run, secrets, binary)?);
    Ok(())
}

/// Undoes [`start`]: everything written before this call is with the run; the last run restores the descriptors. Returns
/// after some seconds if the terminal takes nothing.
pub(crate) fn stop(run: &Arc<Stream>) {
    let mut guard = lock(&capture().active);
    let Some(active) = &mut *guard else { return };
    if !active
        .shared
        .holds(|runs| runs.iter().any(|other| Arc::ptr_eq(other, run)))
    {
        return;
    }
    crate::sys::stdio::flush();
    let is_last = active.shared.holds(|runs| runs.len() == 1);
    if is_last {
        active.restore();
    }
    active.shared.ask(is_last);
    active.shared.holds(|runs| {
        runs.retain(|other| !Arc::ptr_eq(other, run));
    });
    if is_last {
        *guard = None;
    }
}

/// Waits until what was written to the other of the two streams has arrived where it goes, if that is where this one goes too:
/// otherwise a line of output could overtake an error that was written before it. Called before a write.
pub(crate) fn keep_order(is_error: bool) {
    let Some(capture) = CAPTURES
        .newest()
        .filter(|capture| capture.generation == fork::generation())
    else {
        return;
    };
    // Whoever starts or stops a capture sees to the order itself.
    let Ok(active) = capture.active.try_lock() else {
        return;
    };
    let Some(active) = active.as_ref().filter(|active| active.are_together) else {
        return;
    };
    let other = active
        .streams
        .iter()
        .find(|stream| stream.is_error != is_error);
    if let Some(other) = other.filter(|other| other.is_in_place()) {
        active.shared.wait_for_marker(other);
    }
}

struct Active {
    shared: Arc<Shared>,
    streams: Vec<Arc<Captured>>,
    /// Output and errors go to the same place.
    are_together: bool,
}

/// What callers and the thread share.
struct Shared {
    sinks: Mutex<Sinks>,
    progress: Mutex<Progress>,
    changed: Condvar,
    event: Descriptor,
}

struct Sinks {
    runs: Vec<Arc<Stream>>,
    secrets: Vec<String>,
}

#[derive(Debug, Default)]
struct Progress {
    asked: u64,
    done: u64,
    ends: bool,
    /// Markers that were written, and that have arrived, in output and errors.
    marked: [u64; 2],
    arrived: [u64; 2],
}

impl Active {
    fn new(run: Arc<Stream>, secrets: Vec<String>, binary: &Path) -> io::Result<Self> {
        let mut made = Vec::new();
        for (is_error, standard) in [(false, stdout()), (true, stderr())] {
            // One that the program has closed is left alone.
            if Identity::of(standard).is_ok() {
                made.push(prepare(is_error, standard)?);
            }
        }
        let shared = Arc::new(Shared {
            sinks: Mutex::new(Sinks {
                runs: vec![run],
                secrets,
            }),
            progress: Mutex::default(),
            changed: Condvar::new(),
            event: Descriptor::make(|| Ok(eventfd(0, EventfdFlags::CLOEXEC)?))?,
        });
        let (mut streams, mut ends, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (stream, source, end)) in (0..).zip(made) {
            let stream = Arc::new(stream);
            sources.push(Source {
                stream: Arc::clone(&stream),
                end: source,
                markers: Markers::default(),
                decoder: Decoder::default(),
                place,
            });
            streams.push(stream);
            ends.push(end);
        }
        let life = start_heir(&sources, binary);
        let are_together = matches!(&streams[..], [one, other] if one.before.identity() == other.before.identity());
        let reader = Reader {
            shared: Arc::clone(&shared),
            sources,
            life,
        };
        thread::Builder::new()
            .name("runlane-console".to_owned())
            .stack_size(256 << 10)
            .spawn(move || reader.run())?;
        let active = Self {
            shared,
            streams,
            are_together,
        };
        crate::sys::stdio::flush();
        for (stream, end) in active.streams.iter().zip(&ends) {
            if let Err(error) = stream.put_in_place(end.as_fd()) {
                active.restore();
                active.shared.ask(true);
                return Err(error);
            }
        }
        Ok(active)
    }

    fn restore(&self) {
        for stream in &self.streams {
            // Whoever has put something else there since wants to keep it.
            if stream.is_in_place()
                && stream.before.is_ours()
                && let Err(error) = stream.put_in_place(stream.before.as_fd())
            {
                drop(error);
            }
        }
    }
}

impl Shared {
    fn holds<T>(&self, look: impl FnOnce(&mut Vec<Arc<Stream>>) -> T) -> T {
        look(&mut lock(&self.sinks).runs)
    }

    /// Has the thread carry on all that was written so far, and end then if `ends`.
    fn ask(&self, ends: bool) {
        let mut progress = lock(&self.progress);
        progress.asked += 1;
        progress.ends |= ends;
        let wanted = progress.asked;
        let one = 1_u64.to_ne_bytes();
        if self.event.check().is_err() || rustix::io::write(&self.event, &one).is_err() {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        while progress.done < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            progress = self
                .changed
                .wait_timeout(progress, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Writes a marker to a stream and waits until it has arrived.
    fn wait_for_marker(&self, stream: &Captured) {
        let place = usize::from(stream.is_error);
        let wanted = {
            let mut progress = lock(&self.progress);
            progress.marked[place] += 1;
            progress.marked[place]
        };
        // Not with the lock: a full pipe waits for the thread, which needs it.
        let descriptor = if stream.is_error { stderr() } else { stdout() };
        let is_written = rustix::io::write(descriptor, MARKER) == Ok(MARKER.len());
        let mut progress = lock(&self.progress);
        if !is_written {
            progress.marked[place] -= 1;
            return;
        }
        let deadline = Instant::now() + ORDER_PATIENCE;
        while progress.arrived[place] < wanted && progress.done != u64::MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            progress = self
                .changed
                .wait_timeout(progress, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn markers_arrived(&self, is_error: bool, count: u64) {
        if count > 0 {
            lock(&self.progress).arrived[usize::from(is_error)] += count;
            self.changed.notify_all();
        }
    }

    /// Tells the runs what was written.
    fn tell(&self, is_error: bool, mut text: String) {
        if text.is_empty() {
            return;
        }
        let sinks = lock(&self.sinks);
        for secret in &sinks.secrets {
            if text.contains(secret) {
                text = text.replace(secret, REDACTED);
            }
        }
        let now = unix_micros();
        for run in &sinks.runs {
            // A run that is finished takes no more.
            drop(run.print(is_error, &text, now));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
