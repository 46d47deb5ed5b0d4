//! The connection: getting it, greeting, sending, receiving, losing it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use prost::Message as _;
use runlane_proto::local::{ClientMessage, DaemonMessage, Hello, HelloReply, client_message};

use super::lane::Phase;
use super::ports::{Attempt, Ports, Progress, Socket, Starting};
use super::{ATTENTION, Engine};
use crate::queue::frame::{FrameReader, batch_head, frame_of};

/// The protocol that this client speaks.
const PROTOCOL: u32 = 1;
/// How long a daemon may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// When somebody else starts the daemon.
const BUSY_DELAY: Duration = Duration::from_millis(3);
/// When no more starts are allowed.
const LIMITED_DELAY: Duration = Duration::from_secs(1);
/// A connection that lasted this long is replaced at once, others after a delay that grows.
const STABLE: Duration = Duration::from_secs(1);
/// Bytes sent in one turn before acknowledgements are looked at.
const TURN_BYTES: usize = 4 << 20;

/// Where the connection stands.
pub(super) enum Link<P: Ports> {
    /// There is none.
    Down { retry_at: Instant },
    /// The daemon was started and does not listen yet.
    Starting {
        starting: P::Starting,
        deadline: Instant,
    },
    /// `Hello` was sent.
    Greeting(Connection<P::Socket>),
    /// The daemon answered.
    Up(Connection<P::Socket>),
}

/// A connected socket.
pub(super) struct Connection<S> {
    pub(super) socket: S,
    pub(super) blocked: bool,
    reader: FrameReader,
    control: VecDeque<Vec<u8>>,
    sending: Option<Sending>,
    head: Vec<u8>,
}

/// A frame of which a part was sent.
#[derive(Clone, Copy)]
struct Sending {
    /// Stream and chunk behind the head; `None` for a control message.
    body: Option<(u64, u64)>,
    done: usize,
}

impl<S> Connection<S> {
    fn new(socket: S) -> Self {
        Self {
            socket,
            blocked: false,
            reader: FrameReader::default(),
            control: VecDeque::new(),
            sending: None,
            head: Vec::new(),
        }
    }

    /// The stream of which a frame was sent in part.
    pub(super) fn sending_stream(&self) -> Option<u64> {
        self.sending
            .and_then(|sending| sending.body)
            .map(|(stream, _)| stream)
    }
}

impl<P: Ports> Engine<P> {
    /// Brings the connection as far as it goes without waiting.
    pub(super) fn keep_link(&mut self, now: Instant) {
        match &mut self.link {
            Link::Down { retry_at } => {
                if *retry_at <= now && self.is_wanted() {
                    self.connect(now);
                }
            }
            Link::Starting { starting, deadline } => match starting.progress() {
                Progress::Listening => match self.ports.connect() {
                    Ok(socket) => self.greet(socket),
                    Err(error) => self.fail(now, &format!("cannot connect to the daemon: {error}")),
                },
                Progress::Died => self.fail(now, "the daemon ended before it listened"),
                Progress::Waiting if *deadline <= now => {
                    self.fail(now, "the daemon did not listen in time");
                }
                Progress::Waiting => {}
            },
            Link::Greeting(_) | Link::Up(_) => {}
        }
    }

    fn connect(&mut self, now: Instant) {
        match self.ports.connect() {
            Ok(socket) => return self.greet(socket),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => return self.fail(now, &format!("cannot connect to the daemon: {error}")),
        }
        if !self.restarts.may_start(now) {
            if self.restarts.refusal_is_news() {
                self.notify_all(40, "the daemon does not stay up; rows go to the spill file until it can be started again");
            }
            self.link = Link::Down {
                retry_at: now + LIMITED_DELAY,
            };
            return;
        }
        match self.ports.start_daemon() {
            Ok(Attempt::Connected(socket)) => self.greet(socket),
            Ok(Attempt::Busy) => {
                self.link = Link::Down {
                    retry_at: now + BUSY_DELAY,
                }
            }
            Ok(Attempt::Started(starting)) => {
                self.restarts.started(now);
                self.link = Link::Starting {
                    starting,
                    deadline: now + START_TIMEOUT,
                };
            }
            Err(error) => {
                let binary = self.hub.config.binary.display();
                self.fail(
                    now,
                    &format!(
                        "cannot start the daemon: {error}: `{binary}`\nhint: reinstall runlane, or set `RUNLANE_CORE_BINARY`"
                    ),
                );
            }
        }
    }

    fn greet(&mut self, socket: P::Socket) {
        let hello = Hello {
            protocol: PROTOCOL,
            pid: std::process::id(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut connection = Connection::new(socket);
        connection.control.push_back(frame_of(&ClientMessage {
            message: Some(client_message::Message::Hello(hello)),
        }));
        self.link = Link::Greeting(connection);
    }

    pub(super) fn greeted(&mut self, reply: &HelloReply, now: Instant) {
        if reply.protocol != PROTOCOL {
            let protocol = reply.protocol;
            let message = format!(
                "the running daemon speaks protocol {protocol}, this client {PROTOCOL}\nhint: stop the daemon (process {})",
                reply.pid
            );
            return self.fail(now, &message);
        }
        self.up_since = now;
        let pid = reply.pid;
        let link = std::mem::replace(&mut self.link, Link::Down { retry_at: now });
        self.link = match link {
            Link::Greeting(connection) => Link::Up(connection),
            other => other,
        };
        self.hub.update(|status| {
            status.daemon_pid = Some(pid);
            status.failure = None;
            status.failures = 0;
        });
    }

    /// Gives the connection up and tries again after a while.
    fn fail(&mut self, now: Instant, message: &str) {
        self.lose();
        self.link = Link::Down {
            retry_at: now + self.restarts.failed(),
        };
        let message = message.to_owned();
        self.hub.update(|status| {
            status.failure = Some(message);
            status.failures += 1;
        });
    }

    /// The connection broke; a new one is tried at once.
    fn broken(&mut self, now: Instant) {
        if let Link::Greeting(_) = self.link {
            let reason = self.refusal.take().unwrap_or_else(|| {
                "the daemon closed the connection before it answered".to_owned()
            });
            return self.fail(now, &reason);
        }
        let lasted = matches!(self.link, Link::Up(_))
            && now.saturating_duration_since(self.up_since) >= STABLE;
        self.lose();
        let delay = if lasted {
            self.restarts.succeeded();
            Duration::ZERO
        } else {
            self.restarts.failed()
        };
        self.link = Link::Down {
            retry_at: now + delay,
        };
        self.attentive_until = now + ATTENTION;
    }

    fn lose(&mut self) {
        for lane in &mut self.lanes {
            lane.disconnected();
        }
    }

    fn notify_all(&self, severity: u32, text: &str) {
        for lane in &self.lanes {
            lane.stream.notify(severity, text.to_owned());
        }
    }

    /// Reads and handles what the daemon sent.
    pub(super) fn receive(&mut self, now: Instant) {
        let mut bytes = [0; 16 << 10];
        loop {
            let Some(connection) = self.connection() else {
                return;
            };
            match connection.socket.receive(&mut bytes) {
                Ok(0) => return self.broken(now),
                Ok(length) => connection.reader.push(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.broken(now),
            }
            loop {
                let Some(connection) = self.connection() else {
                    return;
                };
                let message = match connection.reader.next_payload() {
                    Ok(None) => break,
                    Ok(Some(payload)) => {
                        DaemonMessage::decode(payload).map_err(|error| error.to_string())
                    }
                    Err(error) => Err(error.to_string()),
                };
                match message {
                    Ok(DaemonMessage {
                        message: Some(message),
                    }) => self.handle(message, now),
                    // A message of a newer daemon.
                    Ok(DaemonMessage { message: None }) => {}
                    Err(error) => {
                        return self
                            .fail(now, &format!("the daemon's answer cannot be read: {error}"));
                    }
                }
            }
        }
    }

    /// The program may have closed the socket's descriptor, and given its number to something else.
    pub(super) fn inspect(&mut self, now: Instant) {
        if let Some(connection) = self.connection()
            && connection.socket.check().is_err()
        {
            self.broken(now);
        }
    }

    /// Sends a moment's worth; an error is left for the writer's own turn, which meets it too.
    pub(super) fn hand_over(&mut self) {
        let mut sent = 0;
        let mut more = self.pick_frame();
        while more && sent < super::HELP_BYTES {
            match self.send_part() {
                Ok(length) => {
                    sent += length;
                    more = self.pick_frame();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if let Some(connection) = self.connection() {
            connection.blocked = more;
        }
    }

    /// Sends what the socket takes.
    pub(super) fn transmit(&mut self, now: Instant) {
        let mut sent = 0;
        while sent < TURN_BYTES {
            if !self.pick_frame() {
                return;
            }
            match self.send_part() {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Some(connection) = self.connection() {
                        connection.blocked = true;
                    }
                    return;
                }
                Err(_) => return self.broken(now),
            }
        }
        // There is more to send: come back after a look at the acknowledgements.
        if let Some(connection) = self.connection() {
            connection.blocked = true;
        }
    }

    /// Chooses the next frame; false if there is nothing to send.
    fn pick_frame(&mut self) -> bool {
        let up = matches!(self.link, Link::Up(_));
        let (Link::Greeting(connection) | Link::Up(connection)) = &mut self.link else {
            return false;
        };
        connection.blocked = false;
        if connection.sending.is_some() {
            return true;
        }
        if let Some(frame) = connection.control.pop_front() {
            connection.head = frame;
            connection.sending = Some(Sending {
                body: None,
                done: 0,
            });
            return true;
        }
        if !up {
            return false;
        }
        for offset in 0..self.lanes.len() {
            let index = (self.first_lane + offset) % self.lanes.len();
            let lane = &mut self.lanes[index];
            let control = match lane.phase {
                Phase::Unopened => Some(lane.open_frame(&self.hub)),
                Phase::Open(_) => lane.request_frame(),
                Phase::Opening(_) | Phase::Refused => continue,
            };
            if let Some(frame) = control {
                connection.head = frame;
                connection.sending = Some(Sending {
                    body: None,
                    done: 0,
                });
                return true;
            }
            let Phase::Open(number) = lane.phase else {
                continue;
            };
            lane.read_back(&self.hub.budget);
            let Some(id) = lane.outbox.next_id() else {
                continue;
            };
            let Some((first_seq, bytes)) = lane.outbox.chunk(id) else {
                continue;
            };
            batch_head(&mut connection.head, number, first_seq, bytes.len());
            connection.sending = Some(Sending {
                body: Some((lane.stream.id, id)),
                done: 0,
            });
            // The others get their turn before this one's next chunk.
            self.first_lane = (index + 1) % self.lanes.len();
            return true;
        }
        false
    }

    /// Sends a part of the chosen frame.
    fn send_part(&mut self) -> io::Result<usize> {
        let (Link::Greeting(connection) | Link::Up(connection)) = &mut self.link else {
            return Ok(0);
        };
        let Some(sending) = &mut connection.sending else {
            return Ok(0);
        };
        let mut lane = match sending.body {
            Some((stream, _)) => self.lanes.iter_mut().find(|lane| lane.stream.id == stream),
            None => None,
        };
        let body = match (sending.body, &lane) {
            (None, _) => &[][..],
            (Some((_, id)), Some(lane)) => {
                lane.outbox
                    .chunk(id)
                    .ok_or_else(|| io::Error::other("acknowledged before it was sent"))?
                    .1
            }
            (Some(_), None) => return Err(io::Error::other("stream closed within a frame")),
        };
        let total = connection.head.len() + body.len();
        let head_left = connection.head.get(sending.done..).unwrap_or_default();
        let body_left = &body[sending.done.saturating_sub(connection.head.len())..];
        let parts = [IoSlice::new(head_left), IoSlice::new(body_left)];
        let length = connection.socket.send(if body_left.is_empty() {
            &parts[..1]
        } else {
            &parts
        })?;
        sending.done += length;
        if sending.done == total {
            if let (Some((_, id)), Some(lane)) = (sending.body, &mut lane) {
                lane.outbox.sent(id);
            }
            connection.sending = None;
        }
        Ok(length)
    }
}
