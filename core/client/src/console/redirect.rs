//! `console="redirect"`: what any code of the process and its children writes to descriptors 1 and 2.
//!
//! The two descriptors become the ends of a pseudo-terminal (where a terminal was) or of a pipe. A thread without the
//! interpreter reads the other ends, writes everything to where it went before, and tells the runs. It never waits for a run;
//! it waits for the terminal, as the program would.
//!
//! A second process, the heir, has copies of the other ends. When this process is gone or the capture has ended, it carries on
//! what is still in the pipes and what children go on writing: nothing that was written is kept from the user, however the
//! process ends, and no child dies of a pipe that nobody reads.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};
use rustix::termios::{LocalModes, tcsetwinsize};
use rustix::termios::{OptionalActions, OutputModes, isatty, tcgetattr, tcgetwinsize, tcsetattr};

use super::decoder::Decoder;
use super::marker::{MARKER, Markers};
use crate::fork;
use crate::hub::{Stream, unix_micros};
use crate::io::descriptor::{Descriptor, Identity};
use crate::sys::chain::Chain;
use crate::sys::spawn::{Detached, INHERITED_FD, spawn_detached};

const READ_BYTES: usize = 64 << 10;
/// How often the size of the terminal is looked at.
const SIZE_INTERVAL: Duration = Duration::from_millis(500);
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

/// What the thread has of a descriptor.
struct Source {
    stream: Arc<Captured>,
    /// Where its output arrives.
    end: Descriptor,
    markers: Markers,
    decoder: Decoder,
    /// Its number with the heir.
    place: u8,
}

/// One descriptor.
struct Captured {
    is_error: bool,
    /// Where its output goes.
    before: Descriptor,
    /// What the descriptor is while it is captured.
    identity: Identity,
    is_terminal: bool,
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
        crate::sys::stdio::flush();
        for (stream, end) in streams.iter().zip(&ends) {
            stream.put_in_place(end.as_fd())?;
        }
        Ok(Self {
            shared,
            streams,
            are_together,
        })
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

impl Captured {
    /// Whether the descriptor is what it was made.
    fn is_in_place(&self) -> bool {
        let current = if self.is_error { stderr() } else { stdout() };
        Identity::of(current).is_ok_and(|found| found == self.identity)
    }

    fn put_in_place(&self, end: BorrowedFd<'_>) -> io::Result<()> {
        if self.is_error {
            dup2_stderr(end)?;
        } else {
            dup2_stdout(end)?;
        }
        Ok(())
    }
}

impl Source {
    /// Gives the pseudo-terminal the size of the terminal.
    fn follow_size(&self) {
        if self.stream.is_terminal
            && let Ok(size) = tcgetwinsize(&self.stream.before)
            && let Ok(had) = tcgetwinsize(&self.end)
            && (size.ws_col, size.ws_row) != (had.ws_col, had.ws_row)
        {
            // If that fails, the next look tries again.
            _ = tcsetwinsize(&self.end, size);
        }
    }
}

/// The two ends that take the place of a descriptor; the second is to be put there.
fn prepare(
    is_error: bool,
    standard: BorrowedFd<'_>,
) -> io::Result<(Captured, Descriptor, OwnedFd)> {
    let before = Descriptor::make(|| Ok(rustix::io::fcntl_dupfd_cloexec(standard, 3)?))?;
    let is_terminal = isatty(&before);
    let mut end = None;
    let source = Descriptor::make(|| {
        let (source, other) = if is_terminal {
            pseudo_terminal(before.as_fd())?
        } else {
            pipe_with(PipeFlags::CLOEXEC)?
        };
        end = Some(other);
        Ok(source)
    })?;
    let end = end.ok_or(ErrorKind::NotConnected)?;
    let captured = Captured {
        is_error,
        identity: Identity::of(&end)?,
        before,
        is_terminal,
    };
    Ok((captured, source, end))
}

/// A terminal like `like`, except that it changes nothing of what is written: that is left to the real one.
fn pseudo_terminal(like: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    let source = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&source)?;
    unlockpt(&source)?;
    let name = ptsname(&source, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let end = open(name.as_c_str(), flags, Mode::empty())?;
    let mut modes = tcgetattr(&end)?;
    modes.output_modes.remove(OutputModes::OPOST);
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&end, OptionalActions::Now, &modes)?;
    if let Ok(size) = tcgetwinsize(like) {
        tcsetwinsize(&end, size)?;
    }
    Ok((source, end))
}

/// Starts the heir; it waits until the returned end is closed. Without one everything else works.
fn start_heir(sources: &[Source], binary: &Path) -> Option<Descriptor> {
    let mut reading = None;
    let life = Descriptor::make(|| {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        reading = Some(read);
        Ok(write)
    })
    .ok()?;
    let reading =
        Descriptor::make(|| reading.ok_or_else(|| ErrorKind::NotConnected.into())).ok()?;
    let mut inherited = vec![reading.as_fd().as_raw_fd()];
    let mut arguments = vec!["console-heir".to_owned(), INHERITED_FD.to_string()];
    for source in sources {
        let first = i32::try_from(inherited.len()).ok()? + INHERITED_FD;
        arguments.push(format!("{first}:{}", first + 1));
        inherited.push(source.end.as_fd().as_raw_fd());
        inherited.push(source.stream.before.as_fd().as_raw_fd());
    }
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let started = spawn_detached(&Detached {
        program: binary.as_os_str(),
        arguments: &arguments,
        environment: &[],
        inherited: &inherited,
    });
    started.is_ok().then_some(life)
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

/// The thread's side.
struct Reader {
    shared: Arc<Shared>,
    sources: Vec<Source>,
    /// The heir takes over when this is closed.
    life: Option<Descriptor>,
}

impl Reader {
    fn run(mut self) {
        crate::sys::signals::block_all_in_this_thread();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            // Unless something ends them, both are waited for.
            let ready = self.wait(false);
            let Some(ready) = ready else { break };
            self.sources.iter().for_each(Source::follow_size);
            let is_asked = ready.first().copied().unwrap_or(false);
            if !is_asked {
                self.carry(&ready[1..], &mut buffer);
                continue;
            }
            // It says no more than that something was asked.
            _ = rustix::io::read(&self.shared.event, &mut [0_u8; 8]);
            let asked = lock(&self.shared.progress).asked;
            while let Some(ready) = self.wait(true)
                && ready[1..].contains(&true)
            {
                self.carry(&ready[1..], &mut buffer);
            }
            let mut progress = lock(&self.shared.progress);
            progress.done = progress.done.max(asked);
            self.shared.changed.notify_all();
            if progress.ends {
                break;
            }
        }
        let mut progress = lock(&self.shared.progress);
        progress.done = u64::MAX;
        self.shared.changed.notify_all();
    }

    /// Which of the event and the streams have something; `None` if that cannot be known any more.
    fn wait(&self, at_once: bool) -> Option<Vec<bool>> {
        let sources = self.sources.iter().map(|source| &source.end);
        let descriptors: Vec<&Descriptor> =
            std::iter::once(&self.shared.event).chain(sources).collect();
        let has_terminal = self.sources.iter().any(|source| source.stream.is_terminal);
        let timeout = match (at_once, has_terminal) {
            (true, _) => Some(Duration::ZERO),
            (false, true) => Some(SIZE_INTERVAL),
            (false, false) => None,
        };
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        let mut waited: Vec<PollFd<'_>> = descriptors
            .iter()
            .map(|descriptor| PollFd::new(*descriptor, PollFlags::IN))
            .collect();
        match poll(&mut waited, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        let ready: Vec<bool> = waited
            .iter()
            .map(|found| !found.revents().is_empty())
            .collect();
        // The program may have closed ours, and the numbers may be somebody else's by now.
        descriptors
            .iter()
            .all(|descriptor| descriptor.is_ours())
            .then_some(ready)
    }

    /// Reads once from each stream that has something, and passes it on.
    fn carry(&mut self, ready: &[bool], buffer: &mut [u8]) {
        let (shared, life) = (&self.shared, &self.life);
        let mut ready = ready.iter();
        self.sources.retain_mut(|source| {
            if ready.next() != Some(&true) {
                return true;
            }
            let count = match rustix::io::read(&source.end, &mut *buffer) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return true,
                // Of a pseudo-terminal that nobody writes to any more, EIO.
                Ok(0) | Err(_) => {
                    write_all(&source.stream.before, &source.markers.end());
                    return false;
                }
                Ok(count) => count,
            };
            let (bytes, markers) = source.markers.take_out(&buffer[..count]);
            let is_wanted = write_all(&source.stream.before, &bytes);
            shared.markers_arrived(source.stream.is_error, markers);
            shared.tell(source.stream.is_error, source.decoder.next(&bytes));
            if !is_wanted && let Some(life) = life.as_ref().filter(|life| life.is_ours()) {
                // Whoever read the output is gone: the program is to learn it as it would have without us.
                _ = rustix::io::write(life, &[source.place]);
            }
            is_wanted
        });
    }
}

/// Writes everything, waiting as long as it takes; whether anybody is there to read it. What cannot be written otherwise (a
/// full disk) is dropped.
fn write_all(to: &Descriptor, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() && to.is_ours() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                if poll(&mut [PollFd::new(to, PollFlags::OUT)], None).is_err() {
                    return true;
                }
            }
            Err(error) => return error != rustix::io::Errno::PIPE,
        }
    }
    true
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
