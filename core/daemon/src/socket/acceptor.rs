//! Accepting connections, also when the daemon runs out of descriptors.
//!
//! The runs that are open come first: they need descriptors for cursors, uploads and a log that is opened anew. A newcomer whose
//! descriptor would be one of the last is told so and let go, at once; it keeps its rows in its spill file and comes again. (The
//! kernel gives out the lowest free number, so that the number tells how many are in use.) When there is none at all, one that was
//! kept back is given up for as long as it takes to answer.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use runlane_proto::local::{self, daemon_message::Message};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use super::frame;

/// Numbers at the end of the allowed ones that no connection gets.
const RESERVE: u64 = 24;
/// A failing `accept` is tried again after this pause.
const PAUSE: Duration = Duration::from_millis(100);
/// The user is told of it this often.
const REMINDER: Duration = Duration::from_mins(1);

/// Takes connections in.
#[derive(Debug)]
pub(crate) struct Acceptor {
    spare: Option<OwnedFd>,
    paused_until: Option<Instant>,
    told_at: Option<Instant>,
}

impl Acceptor {
    /// An acceptor with a descriptor kept back.
    pub(crate) fn new() -> Self {
        Self {
            spare: spare(),
            paused_until: None,
            told_at: None,
        }
    }

    /// The next connection that can be served. May be cancelled and called again.
    pub(crate) async fn next(&mut self, listener: &UnixListener) -> UnixStream {
        loop {
            if let Some(until) = self.paused_until {
                tokio::time::sleep_until(until).await;
                self.paused_until = None;
            }
            match listener.accept().await {
                Ok((stream, _address)) if is_one_of_the_last(&stream) => {
                    self.tell("a process was turned away: the daemon is short of descriptors");
                    turn_away(&stream);
                }
                Ok((stream, _address)) => {
                    if self.spare.is_none() {
                        self.spare = spare();
                    }
                    return stream;
                }
                Err(error) => {
                    self.tell(&format!("a connection could not be accepted: {error}"));
                    self.paused_until = Some(Instant::now() + PAUSE);
                    if self.spare.take().is_some() {
                        // Nobody waits if another thread was faster with the number: then it stays as it is.
                        let waiting = listener.accept();
                        if let Ok(Ok((stream, _address))) =
                            tokio::time::timeout(Duration::from_millis(1), waiting).await
                        {
                            turn_away(&stream);
                        }
                        self.spare = spare();
                    }
                }
            }
        }
    }

    fn tell(&mut self, text: &str) {
        let now = Instant::now();
        if self.told_at.is_none_or(|at| now - at >= REMINDER) {
            self.told_at = Some(now);
            tracing::warn!(limit = limit(), "{text}");
        }
    }
}

/// Allows this process as many descriptors as it may allow itself.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "limit of descriptors not raised");
    }
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn is_one_of_the_last(stream: &UnixStream) -> bool {
    let number = u64::try_from(stream.as_raw_fd()).unwrap_or(u64::MAX);
    number.saturating_add(RESERVE) >= limit()
}

/// Says why, if the process listens; the connection ends with the stream.
fn turn_away(stream: &UnixStream) {
    let message = local::DaemonMessage {
        message: Some(Message::Notice(local::Notice {
            stream: 0,
            severity: 40,
            text: format!(
                "the daemon has no descriptors left for another process (its limit is {})\nhint: raise it with `ulimit -n` before \
                 the first run of this host",
                limit()
            ),
        })),
    };
    match stream.try_write(&frame::encode(&message)) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => {
            tracing::debug!(%error, "a process was turned away without a word");
        }
        _ => {}
    }
}

fn spare() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}
