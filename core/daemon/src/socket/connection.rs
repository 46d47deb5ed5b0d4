//! One process's connection: greets, routes frames to the runs they belong to, notices the process's death.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use runlane_proto::local::{self, client_message, daemon_message::Message};
use runlane_proto::wandb_internal as pb;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;

use super::frame::{self, Frame, FrameReader};
use super::outbox::Outbox;
use super::peer::PeerProcess;
use crate::daemon::Daemon;
use crate::run::actor::{Command, PeerLink, RunHandle};
use crate::wire::{Field, Fields};

/// The protocol's version; the socket's name carries it too.
pub(crate) const PROTOCOL: u32 = 1;
/// What is to be sent to a process that has ended or reads nothing is dropped after this time.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);
/// How long what a dead process had sent is still waited for.
const DEAD_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a process whose death cannot be seen may take to connect again.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One stream of this connection.
struct Stream {
    run: RunHandle,
    writer: u64,
}

struct Connection {
    daemon: Arc<Daemon>,
    id: u64,
    outbox: Arc<Outbox>,
    streams: BTreeMap<u64, Stream>,
    next_stream: u64,
    greeted: bool,
}

/// A connection of a process of this user, with all the descriptors that it takes.
#[derive(Debug)]
pub(crate) struct Accepted {
    stream: UnixStream,
    process: PeerProcess,
}

impl Accepted {
    /// Looks at who connected; `None` if that is nobody to be served.
    pub(crate) fn new(stream: UnixStream) -> Option<Self> {
        match PeerProcess::of(&stream) {
            Ok(process) if process.uid == rustix::process::geteuid().as_raw() => {
                Some(Self { stream, process })
            }
            Ok(process) => {
                tracing::warn!(uid = process.uid, "connection of another user refused");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "connection of unknown origin refused");
                None
            }
        }
    }
}

/// Serves one connection until it ends; afterwards the runs of a dead process are closed.
pub(crate) async fn serve(daemon: Arc<Daemon>, accepted: Accepted) {
    let Accepted { stream, process } = accepted;
    let (source, sink) = stream.into_split();
    let outbox = Arc::new(Outbox::default());
    let sender = tokio::spawn(send_all(Arc::clone(&outbox), sink));
    let mut connection = Connection {
        id: daemon.next_connection_id(),
        outbox: Arc::clone(&outbox),
        streams: BTreeMap::new(),
        next_stream: 1,
        greeted: false,
        daemon: Arc::clone(&daemon),
    };
    let mut reader = FrameReader::new(source, daemon.frame_budget());
    let mut dead = false;
    loop {
        let next = tokio::select! {
            biased;
            next = reader.next() => next,
            () = process.died(), if !dead => {
                dead = true;
                continue;
            }
            // A forked child may hold the socket open after the process's death.
            () = tokio::time::sleep(DEAD_TIMEOUT), if dead => break,
        };
        match next {
            Ok(Some(frame)) => {
                if let Err(reason) = connection.take(frame).await {
                    tracing::warn!(pid = process.pid, %reason, "connection closed");
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(pid = process.pid, %error, "connection closed");
                break;
            }
        }
    }
    outbox.close();
    // The sender ends by itself or with the socket; it must not outlive this task.
    if tokio::time::timeout(SEND_TIMEOUT, sender).await.is_err() {
        tracing::warn!(
            pid = process.pid,
            "messages to a process that does not read were dropped"
        );
    }
    connection.leave(&process).await;
}

async fn send_all(outbox: Arc<Outbox>, mut sink: OwnedWriteHalf) {
    while let Some(message) = outbox.next().await {
        let frame = frame::encode(&local::DaemonMessage {
            message: Some(message),
        });
        if sink.write_all(&frame).await.is_err() {
            // The peer is gone; the reading side notices.
            outbox.close();
            return;
        }
    }
}

impl Connection {
    /// Deals with one frame; an error closes the connection.
    async fn take(&mut self, frame: Frame) -> Result<(), String> {
        if let Some((stream, batch)) = batch_of(&frame.payload)? {
            let Some(target) = self.streams.get(&stream) else {
                self.notify(stream, "data for a run that is not open was ignored");
                return Ok(());
            };
            let command = Command::Batch {
                connection: self.id,
                writer: target.writer,
                batch,
                share: frame.share,
            };
            if target.run.send(command).await.is_err() {
                self.streams.remove(&stream);
                self.notify(stream, "data for a run that is finished was ignored");
            }
            return Ok(());
        }
        let message =
            local::ClientMessage::decode(frame.payload).map_err(|error| error.to_string())?;
        match message.message {
            Some(client_message::Message::Hello(hello)) => self.greet(&hello),
            Some(_) if !self.greeted => Err("no greeting".to_owned()),
            Some(client_message::Message::OpenRun(open)) => {
                self.open(open).await;
                Ok(())
            }
            Some(client_message::Message::Request(request)) => {
                self.request(request).await;
                Ok(())
            }
            Some(client_message::Message::Batch(_)) | None => Err("empty message".to_owned()),
        }
    }

    fn greet(&mut self, hello: &local::Hello) -> Result<(), String> {
        self.greeted = true;
        self.outbox.send(Message::Hello(local::HelloReply {
            protocol: PROTOCOL,
            pid: std::process::id(),
            daemon_version: crate::VERSION.to_owned(),
        }));
        if hello.protocol == PROTOCOL {
            Ok(())
        } else {
            Err(format!(
                "the client speaks protocol {}, this daemon {PROTOCOL}",
                hello.protocol
            ))
        }
    }

    async fn open(&mut self, open: local::OpenRun) {
        let stream = self.next_stream;
        self.next_stream += 1;
        let (request_id, writer) = (open.request_id, open.writer);
        let link = PeerLink {
            connection: self.id,
            stream,
            outbox: Arc::clone(&self.outbox),
        };
        match self.daemon.open_run(open, link).await {
            Ok((run, reply)) => {
                self.streams.insert(stream, Stream { run, writer });
                self.outbox.send(Message::OpenRun(local::OpenRunReply {
                    request_id,
                    stream,
                    ..reply
                }));
            }
            Err(error) => self.outbox.send(Message::OpenRun(local::OpenRunReply {
                request_id,
                error: Some(error),
                ..Default::default()
            })),
        }
    }

    async fn request(&mut self, request: local::Request) {
        let request_id = request.request_id;
        let sent = match self.streams.get(&request.stream) {
            Some(target) => target
                .run
                .send(Command::Request {
                    writer: target.writer,
                    request,
                })
                .await
                .is_ok(),
            None => false,
        };
        if !sent {
            self.outbox.send(Message::Response(local::Response {
                request_id,
                error: Some(pb::ErrorInfo {
                    message: "the run is not open, or finished already".to_owned(),
                    code: pb::error_info::ErrorCode::Usage.into(),
                }),
                response: None,
            }));
        }
    }

    fn notify(&self, stream: u64, text: &str) {
        self.outbox.send(Message::Notice(local::Notice {
            stream,
            severity: 30,
            text: text.to_owned(),
        }));
    }

    /// Tells the runs that their writer is gone, once its process is dead; until then it may connect again.
    async fn leave(self, process: &PeerProcess) {
        if self.streams.is_empty() {
            return;
        }
        if process.can_be_watched() {
            tokio::select! {
                () = process.died() => {}
                () = self.all_taken_over() => return,
            }
        } else {
            tokio::time::sleep(RECONNECT_TIMEOUT).await;
        }
        for stream in self.streams.into_values() {
            let gone = Command::Gone {
                connection: self.id,
                writer: stream.writer,
            };
            if stream.run.send(gone).await.is_err() {
                tracing::debug!("a run had ended before its process did");
            }
        }
    }

    /// Resolves when every run of this connection has ended.
    async fn all_taken_over(&self) {
        for stream in self.streams.values() {
            stream.run.closed().await;
        }
    }
}

/// The stream and the body of a frame that carries a `Batch`; such frames are not decoded here.
fn batch_of(payload: &Bytes) -> Result<Option<(u64, Bytes)>, String> {
    const BATCH_FIELD: u8 = 3 << 3 | 2;
    if payload.first() != Some(&BATCH_FIELD) {
        return Ok(None);
    }
    let mut fields = Fields::new(payload);
    let Some((3, Field::Bytes(body))) = fields.next_field().map_err(|error| error.to_string())?
    else {
        return Ok(None);
    };
    if fields.position() != payload.len() {
        return Err("bytes behind a batch".to_owned());
    }
    let body = payload.slice_ref(body);
    let mut inner = Fields::new(&body);
    while let Some((number, field)) = inner.next_field().map_err(|error| error.to_string())? {
        if let (1, Field::Varint(stream)) = (number, field) {
            return Ok(Some((stream, body)));
        }
    }
    Err("a batch without a stream".to_owned())
}
