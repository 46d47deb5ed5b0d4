//! The thread that carries output on.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ends::Source;
use super::{Shared, lock};
use crate::io::descriptor::Descriptor;

const READ_BYTES: usize = 64 << 10;
/// How often the size of the terminal is looked at.
const SIZE_INTERVAL: Duration = Duration::from_millis(500);

/// The thread's side.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) sources: Vec<Source>,
    /// The heir takes over when this is closed.
    pub(super) life: Option<Descriptor>,
}

impl Reader {
    pub(super) fn run(mut self) {
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
