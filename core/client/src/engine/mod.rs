//! The writer thread's work, one turn at a time: take what callers appended, keep the connection, send, receive, spill.
//! A caller that finds the thread late does the urgent part itself ([`Engine::help`]).
//!
//! The engine owns every lane; the outside is behind [`Ports`], time is an argument. A frame is never torn: once its first byte
//! was sent, either the rest follows or the connection ends.

mod lane;
mod link;
pub(crate) mod ports;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use runlane_proto::local::{OpenRunReply, Response, daemon_message::Message, response};

use crate::hub::{Answer, Command, Hub, Slot, StreamState, unix_micros};
use crate::io::wake::Sleep;
use crate::queue::intake::Chunk;
use crate::queue::restarts::Restarts;
use lane::{Lane, Pending, Phase};
use link::{Connection, Link};
use ports::{Ports, Socket as _};

/// How long the writer goes on looking for rows after the last one before it sleeps.
const ATTENTION: Duration = Duration::from_millis(50);
/// How long it does so when a caller woke it that has sent its row already.
const GLANCE: Duration = Duration::from_millis(6);
/// How often it looks.
const TICK: Duration = Duration::from_millis(2);
/// How often it looks while rows come slowly and all of them survive the process on the shelf. Each look wakes the daemon too,
/// and the two cost more than some dozens of rows.
const LINGER: Duration = Duration::from_millis(80);
/// A look that brings more than this is followed by the next one soon, before the shelf is full.
const TRICKLE_BYTES: usize = 128 << 10;
/// How often it looks after its descriptors while a run is open: the program may have closed them.
const INSPECTION: Duration = Duration::from_secs(1);
/// Bytes that a caller hands over at most; more is the writer's work.
const HELP_BYTES: usize = 256 << 10;

/// Why a turn begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Woken {
    /// The socket may have something to read.
    pub(crate) readable: bool,
    /// A caller asked for it.
    pub(crate) called: bool,
}

/// What the writer thread does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait at most this long; callers do not wake it.
    Tick(Duration),
    /// Sleep until woken, at most this long.
    Sleep(Option<Duration>),
    /// End.
    Stop,
}

/// See the module.
pub(crate) struct Engine<P: Ports> {
    hub: Arc<Hub>,
    ports: P,
    link: Link<P>,
    restarts: Restarts,
    up_since: Instant,
    lanes: Vec<Lane<P::Spill>>,
    slots: HashMap<u64, Weak<Slot>>,
    chunks: Vec<Chunk>,
    buffers: Vec<Vec<u8>>,
    attentive_until: Instant,
    first_lane: usize,
    spill_all: Option<Arc<Slot>>,
    stopping: bool,
    busy: bool,
    /// Bytes that the last look brought.
    haul: usize,
    /// What a daemon said instead of a greeting.
    refusal: Option<String>,
}

impl<P: Ports> Engine<P> {
    /// An engine that connects in its first turn.
    pub(crate) fn new(hub: Arc<Hub>, ports: P, now: Instant) -> Self {
        Self {
            hub,
            ports,
            link: Link::Down { retry_at: now },
            restarts: Restarts::default(),
            up_since: now,
            lanes: Vec::new(),
            slots: HashMap::new(),
            chunks: Vec::new(),
            buffers: Vec::new(),
            attentive_until: now,
            first_lane: 0,
            spill_all: None,
            stopping: false,
            busy: false,
            haul: 0,
            refusal: None,
        }
    }

    /// Does what can be done now.
    pub(crate) fn turn(&mut self, now: Instant, woken: Woken) -> Next {
        for command in self.hub.commands() {
            self.obey(command);
        }
        if woken.called {
            self.attentive_until = self.attentive_until.max(now + GLANCE);
        }
        self.haul = 0;
        for lane in &mut self.lanes {
            if lane.stream.state() == StreamState::Open {
                lane.stream.look_after_output(unix_micros(), false);
            }
            let bytes = lane.take_intake(&mut self.chunks, now);
            if bytes > 0 {
                lane.stock();
            }
            self.haul += bytes;
        }
        if self.haul > 0 {
            let attention = if self.is_quiet() {
                3 * LINGER
            } else {
                ATTENTION
            };
            self.attentive_until = now + attention;
        }
        self.inspect(now);
        self.keep_link(now);
        if woken.readable {
            self.receive(now);
        }
        self.transmit(now);
        self.busy = false;
        for lane in &mut self.lanes {
            self.busy |= lane.spill(&mut self.ports, &self.hub, now, self.spill_all.is_some());
            lane.report();
            lane.stream.look_for_room();
        }
        if let Some(slot) = self.spill_all.take() {
            slot.put(Answer::Closed);
        }
        self.drop_finished_lanes(now);
        self.hub.moved();
        self.next(now)
    }

    /// The part of a turn that cannot wait, for a thread that logs: hands what was appended to the socket as far as that goes at
    /// once. Touches no file, changes no connection. What is left is the writer's.
    pub(crate) fn help(&mut self, now: Instant) {
        let Link::Up(connection) = &self.link else {
            return;
        };
        if connection.socket.check().is_err() || self.lanes.iter().any(Lane::uses_spill) {
            return;
        }
        for lane in &mut self.lanes {
            lane.take_intake(&mut self.chunks, now);
        }
        self.hand_over();
        for lane in &self.lanes {
            lane.report();
        }
    }

    /// Whether the daemon has everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes
            .iter()
            .all(|lane| lane.outbox.is_empty() && lane.stream.intake.is_empty())
    }

    /// Whether the daemon can be spoken to.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Puts into the spill files what is not acknowledged.
    pub(crate) fn spill_all(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.take_intake(&mut self.chunks, now);
            lane.spill(&mut self.ports, &self.hub, now, true);
        }
    }

    /// What to wait for as `next` says.
    pub(crate) fn wait_for(&mut self, next: Next) -> P::Wait {
        let is_quiet = self.is_quiet();
        let timeout = match next {
            Next::Tick(timeout) if is_quiet => {
                self.hub.wake.falls_asleep(Sleep::Dozes);
                let work = self.hub.has_commands() || !self.is_quiet();
                Some(if work { Duration::ZERO } else { timeout })
            }
            Next::Tick(timeout) => Some(timeout),
            Next::Sleep(timeout) => {
                self.hub.wake.falls_asleep(Sleep::Sleeps);
                let work = self.hub.has_commands()
                    || self.lanes.iter().any(|lane| !lane.stream.intake.is_empty());
                if work { Some(Duration::ZERO) } else { timeout }
            }
            Next::Stop => Some(Duration::ZERO),
        };
        let (socket, starting) = match &self.link {
            // Acknowledgements are read with the next look: each would wake this thread.
            Link::Up(_) if is_quiet && matches!(next, Next::Tick(_)) => (None, None),
            Link::Down { .. } => (None, None),
            Link::Starting { starting, .. } => (None, Some(starting)),
            Link::Greeting(connection) | Link::Up(connection) => {
                (Some((&connection.socket, connection.blocked)), None)
            }
        };
        self.ports.wait_for(socket, starting, timeout)
    }

    fn next(&self, now: Instant) -> Next {
        if self.stopping {
            return Next::Stop;
        }
        if self.busy {
            return Next::Tick(Duration::ZERO);
        }
        let lanes = self.lanes.iter().filter_map(Lane::due);
        let link = match &self.link {
            Link::Down { retry_at } => self.is_wanted().then_some(*retry_at),
            Link::Starting { deadline, .. } => Some(*deadline),
            Link::Greeting(_) | Link::Up(_) => None,
        };
        let timeout = lanes
            .chain(link)
            .min()
            .map(|due| due.saturating_duration_since(now));
        if now < self.attentive_until {
            let tick = if self.is_quiet() { LINGER } else { TICK };
            Next::Tick(timeout.map_or(tick, |timeout| timeout.min(tick)))
        } else if self.lanes.is_empty() {
            Next::Sleep(timeout)
        } else {
            Next::Sleep(Some(timeout.unwrap_or(INSPECTION).min(INSPECTION)))
        }
    }

    /// Rows come slowly, all of them are safe, and nothing is expected but acknowledgements.
    fn is_quiet(&self) -> bool {
        let Link::Up(connection) = &self.link else {
            return false;
        };
        self.haul < TRICKLE_BYTES && !connection.blocked && self.lanes.iter().all(Lane::is_quiet)
    }

    /// Somebody needs the daemon: a run is open, or a caller waits for the first answer.
    fn is_wanted(&self) -> bool {
        !self.lanes.is_empty() || self.hub.status().daemon_pid.is_none()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open {
                stream,
                attach,
                preface,
                slot,
            } => {
                self.lanes.push(Lane::new(stream, attach, preface, slot));
            }
            Command::Request {
                stream,
                after_seq,
                request,
                slot,
            } => {
                let id = request.request_id;
                let pending = Pending {
                    id,
                    after_seq,
                    request,
                    slot: Arc::downgrade(&slot),
                };
                match self.lanes.iter_mut().find(|lane| lane.stream.id == stream) {
                    Some(lane) if lane.phase != Phase::Refused => {
                        self.slots.insert(id, Arc::downgrade(&slot));
                        lane.waiting.push_back(pending);
                    }
                    _ => slot.put(Answer::Closed),
                }
            }
            Command::Abandon { stream } => {
                if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.stream.id == stream) {
                    lane.ends = true;
                }
            }
            Command::SpillAll { slot } => self.spill_all = Some(slot),
            Command::Stop => self.stopping = true,
        }
    }

    fn handle(&mut self, message: Message, now: Instant) {
        match message {
            Message::Hello(reply) => self.greeted(&reply, now),
            Message::OpenRun(reply) => self.opened(reply),
            Message::Ack(ack) => {
                if let Some(lane) = self
                    .lanes
                    .iter_mut()
                    .find(|lane| lane.phase == Phase::Open(ack.stream))
                {
                    lane.acknowledge(
                        ack.logged_seq,
                        ack.synced_seq,
                        &self.hub.budget,
                        &mut self.buffers,
                    );
                }
            }
            Message::Response(response) => self.answered(response),
            Message::Notice(notice) => {
                if let Link::Greeting(_) = self.link {
                    self.refusal = Some(notice.text.clone());
                }
                for lane in &self.lanes {
                    if notice.stream == 0 || lane.phase == Phase::Open(notice.stream) {
                        lane.stream.notify(notice.severity, notice.text.clone());
                    }
                }
            }
            Message::Stop(stop) => {
                for lane in self
                    .lanes
                    .iter()
                    .filter(|lane| lane.phase == Phase::Open(stop.stream))
                {
                    lane.stream.request_stop();
                }
            }
        }
    }

    fn opened(&mut self, reply: OpenRunReply) {
        let Some(lane) = self
            .lanes
            .iter_mut()
            .find(|lane| lane.phase == Phase::Opening(reply.request_id))
        else {
            return;
        };
        let error = reply.error.as_ref().filter(|_| reply.stream == 0);
        if let Some(error) = error {
            lane.phase = Phase::Refused;
            lane.stream.set_hopeless();
            if lane.opener.is_none() {
                let path = lane.stream.spec.settings.sync_dir.as_str();
                lane.stream.notify(
                    40,
                    format!(
                        "the daemon does not take this run up again: {}\nhint: rows are kept in `{path}`, upload them with \
                         `runlane sync {path}`",
                        error.message
                    ),
                );
            }
            for pending in lane.waiting.drain(..).chain(lane.in_flight.drain(..)) {
                self.slots.remove(&pending.id);
                if let Some(slot) = pending.slot.upgrade() {
                    slot.put(Answer::Closed);
                }
            }
        } else {
            lane.phase = Phase::Open(reply.stream);
            lane.attach = true;
            lane.preface = Vec::new();
            lane.acknowledge(reply.logged_seq, 0, &self.hub.budget, &mut self.buffers);
            lane.look_after_spill(&self.hub.budget);
        }
        if let Some(slot) = lane.opener.take() {
            slot.put(Answer::Opened(Box::new(reply)));
        }
    }

    fn answered(&mut self, reply: Response) {
        let id = reply.request_id;
        let last = match &reply.response {
            Some(response::Response::Finish(progress)) => progress.done,
            _ => true,
        };
        if last {
            for lane in &mut self.lanes {
                if let Some(index) = lane.in_flight.iter().position(|pending| pending.id == id) {
                    lane.in_flight.swap_remove(index);
                    lane.ends |= matches!(&reply.response, Some(response::Response::Finish(_)));
                }
            }
        }
        let slot = if last {
            self.slots.remove(&id)
        } else {
            self.slots.get(&id).cloned()
        };
        if let Some(slot) = slot.and_then(|slot| slot.upgrade()) {
            slot.put(Answer::Response(Box::new(reply)));
        }
    }

    fn drop_finished_lanes(&mut self, now: Instant) {
        let sending = match &self.link {
            Link::Up(connection) => connection.sending_stream(),
            _ => None,
        };
        let mut index = 0;
        while index < self.lanes.len() {
            let lane = &self.lanes[index];
            if !lane.is_done() || sending == Some(lane.stream.id) {
                index += 1;
                continue;
            }
            let mut lane = self.lanes.swap_remove(index);
            if lane.phase == Phase::Refused {
                // Nobody will take these rows from here: `sync` finds them in the file.
                lane.spill(&mut self.ports, &self.hub, now, true);
            } else {
                lane.remove_spill(&mut self.ports);
            }
            lane.remove_shelf();
            lane.outbox.clear(&self.hub.budget);
            self.hub.forget(lane.stream.id);
        }
    }

    fn connection(&mut self) -> Option<&mut Connection<P::Socket>> {
        match &mut self.link {
            Link::Greeting(connection) | Link::Up(connection) => Some(connection),
            Link::Down { .. } | Link::Starting { .. } => None,
        }
    }
}
