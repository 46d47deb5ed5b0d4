//! One stream on the writer thread's side.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use runlane_proto::local::{ClientMessage, OpenRun, Request, client_message, request};
use runlane_proto::wandb_internal::Record;

use super::ports::{Ports, SpillFile};
use crate::hub::{Hub, Slot, Stream, StreamState};
use crate::queue::budget::Budget;
use crate::queue::frame::frame_of;
use crate::queue::intake::Chunk;
use crate::queue::outbox::Outbox;

/// How long a spill file that could not be written is left alone.
const SPILL_PAUSE: Duration = Duration::from_secs(1);

/// Bytes appended to the spill file in one turn.
const SPILL_TURN_BYTES: usize = 4 << 20;

/// Where a stream stands with the daemon of the current connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `OpenRun` is to be sent.
    Unopened,
    /// `OpenRun` was sent with this request id.
    Opening(u64),
    /// The daemon knows it by this number.
    Open(u64),
    /// The daemon does not want it.
    Refused,
}

/// A request that waits for its turn or for its answer.
pub(super) struct Pending {
    pub(super) id: u64,
    pub(super) after_seq: u64,
    pub(super) request: Request,
    pub(super) slot: Weak<Slot>,
}

impl Pending {
    /// A request whose caller went away is not repeated, but for the one that ends the run.
    fn is_wanted(&self) -> bool {
        matches!(self.request.request, Some(request::Request::Finish(_)))
            || self.slot.strong_count() > 0
    }
}

/// One stream on the writer thread's side.
pub(super) struct Lane<S> {
    pub(super) stream: Arc<Stream>,
    pub(super) outbox: Outbox,
    pub(super) phase: Phase,
    /// The first `OpenRun` was answered: from now on it attaches.
    pub(super) attach: bool,
    pub(super) preface: Vec<Record>,
    pub(super) opener: Option<Arc<Slot>>,
    pub(super) waiting: VecDeque<Pending>,
    pub(super) in_flight: Vec<Pending>,
    /// Nothing more comes: finished, or abandoned.
    pub(super) ends: bool,
    taken: usize,
    spill: Option<S>,
    spill_paused_until: Option<Instant>,
    spill_complained: bool,
}

impl<S: SpillFile> Lane<S> {
    /// A lane whose stream is to be opened.
    pub(super) fn new(
        stream: Arc<Stream>,
        attach: bool,
        preface: Vec<Record>,
        opener: Option<Arc<Slot>>,
    ) -> Self {
        Self {
            outbox: Outbox::new(stream.writer),
            stream,
            phase: Phase::Unopened,
            attach,
            preface,
            opener,
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            ends: false,
            taken: 0,
            spill: None,
            spill_paused_until: None,
            spill_complained: false,
        }
    }

    /// Takes what callers appended; returns how many bytes that were.
    pub(super) fn take_intake(&mut self, chunks: &mut Vec<Chunk>, now: Instant) -> usize {
        self.stream.intake.take(chunks);
        self.taken = chunks.len();
        let mut bytes = 0;
        for chunk in chunks.drain(..) {
            bytes += chunk.bytes.len();
            self.outbox.push(chunk, now);
        }
        bytes
    }

    /// Has buffers ready: as many as the last moment took may be needed in the next one. A trickle fits on the shelf.
    pub(super) fn stock(&self) {
        if self.taken > 1 || !self.stream.intake.is_safe() {
            self.stream.intake.stock(self.taken + 2);
        }
    }

    /// Whether everything that callers appended survives the process, and no answer is to come but acknowledgements.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
            && !self.ends
            && self.waiting.is_empty()
            && self.in_flight.is_empty()
            && self.stream.intake.is_safe()
    }

    /// Whether sending may need the spill file.
    pub(super) fn uses_spill(&self) -> bool {
        self.spill.is_some()
    }

    /// The `OpenRun` frame.
    pub(super) fn open_frame(&mut self, hub: &Hub) -> Vec<u8> {
        let request_id = hub.fresh_id();
        self.phase = Phase::Opening(request_id);
        let message = OpenRun {
            request_id,
            settings: Some(self.stream.spec.settings.clone()),
            run: Some(self.stream.spec.run.clone()),
            writer: self.stream.writer,
            spill_path: self.stream.spill_path.to_string_lossy().into_owned(),
            attach: self.attach,
            preface: if self.attach {
                Vec::new()
            } else {
                self.preface.clone()
            },
            writer_info: self.stream.writer_info(),
            shelf_path: self
                .stream
                .intake
                .shelf()
                .map_or_else(String::new, |shelf| {
                    shelf.path().to_string_lossy().into_owned()
                }),
        };
        frame_of(&ClientMessage {
            message: Some(client_message::Message::OpenRun(message)),
        })
    }

    /// The next request whose entries were all sent.
    pub(super) fn request_frame(&mut self) -> Option<Vec<u8>> {
        let Phase::Open(number) = self.phase else {
            return None;
        };
        loop {
            let first = self.waiting.front()?;
            if first.after_seq > self.outbox.sent_seq() {
                return None;
            }
            let pending = self.waiting.pop_front()?;
            if !pending.is_wanted() {
                continue;
            }
            let request = Request {
                request_id: pending.id,
                stream: number,
                request: pending.request.request.clone(),
            };
            self.in_flight.push(pending);
            return Some(frame_of(&ClientMessage {
                message: Some(client_message::Message::Request(request)),
            }));
        }
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.outbox.disconnected();
        for pending in self.in_flight.drain(..).rev() {
            self.waiting.push_front(pending);
        }
        if self.phase != Phase::Refused {
            self.phase = Phase::Unopened;
        }
    }

    /// The daemon has everything up to `logged` in its log, and up to `synced` on stable storage.
    pub(super) fn acknowledge(
        &mut self,
        logged: u64,
        synced: u64,
        budget: &Budget,
        buffers: &mut Vec<Vec<u8>>,
    ) {
        self.outbox.acknowledge(logged, budget, buffers);
        self.stream.set_logged(self.outbox.logged(), synced);
        if !buffers.is_empty() {
            self.stream.intake.recycle(buffers);
        }
    }

    /// When this lane needs the writer thread.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = self.outbox.spill_due()?;
        Some(self.spill_paused_until.map_or(due, |until| due.max(until)))
    }

    /// Appends to the spill file what is due, everything if `all`; lets go of memory that is tight. Returns whether there is
    /// more to append: a turn ends after a while, so that the socket is looked at.
    pub(super) fn spill<P: Ports<Spill = S>>(
        &mut self,
        ports: &mut P,
        hub: &Hub,
        now: Instant,
        all: bool,
    ) -> bool {
        let mut more = false;
        if all || self.due().is_some_and(|due| due <= now) {
            more = self.append_to_spill(ports, hub, now, all);
        } else if hub.budget.is_tight() {
            self.release(&hub.budget);
        }
        if self.spill.is_some() && self.outbox.is_spill_drained() {
            self.remove_spill(ports);
        }
        more
    }

    fn append_to_spill<P: Ports<Spill = S>>(
        &mut self,
        ports: &mut P,
        hub: &Hub,
        now: Instant,
        all: bool,
    ) -> bool {
        self.spill_paused_until = None;
        let mut written = 0;
        while let Some((id, first_seq, entries, bytes)) = self.outbox.to_spill() {
            if written > SPILL_TURN_BYTES && !all {
                return true;
            }
            written += bytes.len();
            let place = match &mut self.spill {
                Some(file) => file.append(bytes, entries, first_seq),
                none => match ports.create_spill(&self.stream.spill_path, self.stream.writer) {
                    Ok(file) => none.insert(file).append(bytes, entries, first_seq),
                    Err(error) => Err(error),
                },
            };
            self.stream.set_spill_failed(place.is_err());
            match place {
                Ok(place) => self.outbox.spilled(id, place),
                Err(error) => {
                    self.pause_spill(now, &error);
                    break;
                }
            }
            // At once: callers may be waiting for room.
            if hub.budget.is_tight() {
                self.release(&hub.budget);
                hub.moved();
            }
        }
        false
    }

    fn release(&mut self, budget: &Budget) {
        let mut buffers = Vec::new();
        self.outbox.release(budget, &mut buffers);
        self.stream.intake.recycle(&mut buffers);
    }

    /// Reads the next chunk back if it is only in the file.
    pub(super) fn read_back(&mut self, budget: &Budget) {
        let Some(stored) = self.outbox.to_read() else {
            return;
        };
        let bytes = self
            .spill
            .as_mut()
            .and_then(|file| file.read(stored.place, stored.len).ok());
        let lost = self.outbox.read(stored.id, bytes, budget);
        self.tell_of_damage(lost);
    }

    /// After a reconnect: a daemon that took this process for dead may have applied and removed the spill file.
    pub(super) fn look_after_spill(&mut self, budget: &Budget) {
        let Some(mut file) = self.spill.take_if(SpillFile::is_gone) else {
            return;
        };
        for stored in self.outbox.spill_is_gone() {
            let bytes = file.read(stored.place, stored.len).ok();
            let lost = self.outbox.read(stored.id, bytes, budget);
            self.tell_of_damage(lost);
        }
    }

    fn tell_of_damage(&self, lost: u64) {
        if lost > 0 {
            self.stream.count_damaged(lost);
            let path = self.stream.spill_path.display();
            self.stream.notify(
                40,
                format!("{lost} rows are lost: the spill file was damaged: `{path}`"),
            );
        }
    }

    /// Publishes how far handing over is.
    pub(super) fn report(&self) {
        self.stream.set_handed_over(self.outbox.handed_over_seq());
    }

    /// Says whether the lane has nothing left to do.
    pub(super) fn is_done(&self) -> bool {
        let empty = self.outbox.is_empty() && self.stream.intake.is_empty();
        let hopeless =
            self.phase == Phase::Refused && self.stream.state() == StreamState::Abandoned;
        self.ends && (empty || hopeless)
    }

    /// Removes the shelf: there is nothing on it any more.
    pub(super) fn remove_shelf(&self) {
        if let Some(shelf) = self.stream.intake.shelf() {
            shelf.remove();
        }
    }

    /// Removes the spill file.
    pub(super) fn remove_spill<P: Ports<Spill = S>>(&mut self, ports: &mut P) {
        if self.spill.take().is_some() {
            // A file that stays is read by nobody: its numbers are acknowledged.
            _ = ports.remove_spill(&self.stream.spill_path);
        }
    }

    fn pause_spill(&mut self, now: Instant, error: &std::io::Error) {
        self.spill_paused_until = Some(now + SPILL_PAUSE);
        if !self.spill_complained {
            self.spill_complained = true;
            let path = self.stream.spill_path.display();
            self.stream.notify(
                30,
                format!("rows wait in memory: cannot write the spill file: {error}: `{path}`"),
            );
        }
    }
}
