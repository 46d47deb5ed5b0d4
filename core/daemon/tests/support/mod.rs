//! A daemon in this process, and a client of its socket.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test binary uses its part"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use runlane_daemon::control::{self, ControlClient};
use runlane_daemon::socket::listener;
use runlane_model::spill;
use runlane_proto::local::{self, client_message, daemon_message, request, response};
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::history_item::Value as Typed;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_translog::{OsFs, ReadEvent, Reader};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Nothing here takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Daemon {
    directory: Arc<TempDir>,
    runtime_dir: PathBuf,
    stop: watch::Sender<bool>,
    runtime: Option<tokio::runtime::Runtime>,
    task: JoinHandle<()>,
}

impl Daemon {
    pub(crate) async fn start() -> Self {
        Self::start_with_idle(Duration::from_mins(10)).await
    }

    pub(crate) async fn start_with_idle(idle_timeout: Duration) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let runtime_dir = directory.path().join("runtime");
        Self::launch(directory, runtime_dir, idle_timeout).await
    }

    /// Starts with a runtime directory that is there already.
    pub(crate) async fn start_in(runtime_dir: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self::launch(directory, runtime_dir.to_owned(), Duration::from_mins(10)).await
    }

    /// The daemon has a runtime of its own, so that it can be killed with everything it does.
    async fn launch(directory: TempDir, runtime_dir: PathBuf, idle_timeout: Duration) -> Self {
        let directory = Arc::new(directory);
        listener::prepare_directory(&runtime_dir).expect("created");
        let place = runtime_dir.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let (stop, stopped) = watch::channel(false);
        let options = runlane_daemon::Options {
            runtime_dir: runtime_dir.clone(),
            idle_timeout,
            give_back_memory: || {},
        };
        let (ready, bound) = tokio::sync::oneshot::channel();
        let task = runtime.spawn(async move {
            let socket = listener::bind(&runtime_dir).expect("bound");
            ready.send(()).expect("awaited");
            runlane_daemon::serve(options, socket, stopped).await;
        });
        bound.await.expect("bound");
        Self {
            directory,
            runtime_dir: place,
            stop,
            runtime: Some(runtime),
            task,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime_dir.join(listener::SOCKET_NAME)
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.runtime_dir.join(control::SOCKET_NAME)
    }

    pub(crate) fn run_directory(&self, id: &str) -> RunDirectory {
        self.run_directory_in(&format!("run-{id}"), id)
    }

    pub(crate) fn run_directory_in(&self, name: &str, id: &str) -> RunDirectory {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.join("files")).expect("created");
        RunDirectory {
            path,
            id: id.to_owned(),
            _keep: Arc::clone(&self.directory),
        }
    }

    pub(crate) async fn ended(mut self) {
        tokio::time::timeout(PATIENCE, &mut self.task)
            .await
            .expect("in time")
            .expect("no panic");
        self.runtime.take().expect("there").shutdown_background();
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.ended().await;
    }

    /// Drops every task where it stands.
    pub(crate) async fn kill(mut self) {
        let runtime = self.runtime.take().expect("there");
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE))
            .await
            .expect("no panic");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    id: String,
    _keep: Arc<TempDir>,
}

impl RunDirectory {
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(format!("run-{}.wandb", self.id))
    }

    pub(crate) fn pending(&self) -> PathBuf {
        self.path
            .join(format!("run-{}.wandb.runlane-pending", self.id))
    }

    pub(crate) fn spill_path(&self, writer: u64) -> PathBuf {
        self.path
            .join(format!("run-{}.{writer:016x}.runlane-spill", self.id))
    }

    pub(crate) fn settings(&self) -> local::RunSettings {
        local::RunSettings {
            run_id: self.id.clone(),
            project: "p".to_owned(),
            offline: true,
            sync_dir: self.path.display().to_string(),
            files_dir: self.path.join("files").display().to_string(),
            update_finish_state: true,
            primary: true,
            init_timeout_secs: 90.0,
            ..Default::default()
        }
    }

    /// Writes a spill file as a dying process leaves it.
    pub(crate) fn spill(&self, writer: u64, first_seq: u64, entries: &[local::Entry]) {
        let payload = local::Batch {
            entry: entries.to_vec(),
            ..Default::default()
        }
        .encode_to_vec();
        let count = u32::try_from(entries.len()).expect("few");
        let mut bytes = spill::file_header(writer).to_vec();
        bytes.extend_from_slice(&spill::FrameHeader::of(&payload, count, first_seq).to_bytes());
        bytes.extend_from_slice(&payload);
        std::fs::write(self.spill_path(writer), bytes).expect("written");
    }
}

pub(crate) struct Client {
    stream: UnixStream,
    next_request: u64,
}

impl Client {
    pub(crate) async fn connect(daemon: &Daemon) -> Self {
        let stream = UnixStream::connect(daemon.socket())
            .await
            .expect("connected");
        let mut client = Self {
            stream,
            next_request: 1,
        };
        let hello = local::Hello {
            protocol: 1,
            pid: std::process::id(),
            client_version: "test".to_owned(),
        };
        client.send(client_message::Message::Hello(hello)).await;
        let daemon_message::Message::Hello(reply) = client.receive().await else {
            panic!("no greeting")
        };
        assert_eq!(reply.protocol, 1);
        client
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    async fn send(&mut self, message: client_message::Message) {
        let payload = local::ClientMessage {
            message: Some(message),
        }
        .encode_to_vec();
        let mut frame = vec![0x52];
        frame.extend_from_slice(&u32::try_from(payload.len()).expect("small").to_le_bytes());
        frame.extend_from_slice(&payload);
        self.send_bytes(&frame).await;
    }

    async fn receive(&mut self) -> daemon_message::Message {
        let read = async {
            let mut header = [0; 5];
            self.stream
                .read_exact(&mut header)
                .await
                .expect("an answer");
            assert_eq!(header[0], 0x52);
            let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
            let mut payload = vec![0; length as usize];
            self.stream
                .read_exact(&mut payload)
                .await
                .expect("a whole answer");
            local::DaemonMessage::decode(payload.as_slice())
                .expect("valid")
                .message
                .expect("a message")
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("an answer in time")
    }

    pub(crate) async fn is_closed(&mut self) -> bool {
        let read = async {
            let mut buffer = [0; 4096];
            loop {
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return true,
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
    }

    pub(crate) async fn open(
        &mut self,
        run: &RunDirectory,
        writer: u64,
        attach: bool,
    ) -> local::OpenRunReply {
        self.open_with(run.settings(), writer, attach).await
    }

    pub(crate) async fn open_with(
        &mut self,
        settings: local::RunSettings,
        writer: u64,
        attach: bool,
    ) -> local::OpenRunReply {
        let run = pb::RunRecord {
            run_id: settings.run_id.clone(),
            project: settings.project.clone(),
            ..Default::default()
        };
        let spill_path = Path::new(&settings.sync_dir)
            .join(format!(
                "run-{}.{writer:016x}.runlane-spill",
                settings.run_id
            ))
            .display()
            .to_string();
        let open = local::OpenRun {
            request_id: 1,
            settings: Some(settings),
            run: Some(run),
            writer,
            spill_path,
            attach,
            ..Default::default()
        };
        self.send(client_message::Message::OpenRun(open)).await;
        loop {
            if let daemon_message::Message::OpenRun(reply) = self.receive().await {
                return reply;
            }
        }
    }

    pub(crate) async fn batch(&mut self, stream: u64, first_seq: u64, entry: Vec<local::Entry>) {
        self.send(client_message::Message::Batch(local::Batch {
            stream,
            first_seq,
            entry,
        }))
        .await;
    }

    pub(crate) async fn wait_logged(&mut self, stream: u64, seq: u64) {
        loop {
            match self.receive().await {
                daemon_message::Message::Ack(ack)
                    if ack.stream == stream && ack.logged_seq >= seq =>
                {
                    return;
                }
                _ => {}
            }
        }
    }

    pub(crate) async fn wait_stop(&mut self) {
        while !matches!(self.receive().await, daemon_message::Message::Stop(_)) {}
    }

    async fn request(&mut self, stream: u64, request: request::Request) -> u64 {
        let request_id = self.next_request;
        self.next_request += 1;
        let message = local::Request {
            request_id,
            stream,
            request: Some(request),
        };
        self.send(client_message::Message::Request(message)).await;
        request_id
    }

    async fn response(&mut self, request_id: u64) -> response::Response {
        loop {
            if let daemon_message::Message::Response(response) = self.receive().await
                && response.request_id == request_id
            {
                return response.response.expect("no error");
            }
        }
    }

    pub(crate) async fn summary(&mut self, stream: u64) -> String {
        let id = self
            .request(stream, request::Request::GetSummary(local::GetSummary {}))
            .await;
        match self.response(id).await {
            response::Response::Summary(summary) => summary.json,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn finish(&mut self, stream: u64, exit_code: i32) -> local::FinishProgress {
        let finish = local::Finish {
            exit_code,
            ..Default::default()
        };
        let id = self.request(stream, request::Request::Finish(finish)).await;
        loop {
            match self.response(id).await {
                response::Response::Finish(progress) if progress.done => return progress,
                response::Response::Finish(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// One HTTP/2 connection over a Unix socket.
#[derive(Clone)]
pub(crate) struct Http2(hyper::client::conn::http2::SendRequest<tonic::body::Body>);

impl Http2 {
    async fn connect(path: &Path) -> Self {
        // The service is bound just behind the record socket.
        let mut stream = UnixStream::connect(path).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while stream.is_err() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
            stream = UnixStream::connect(path).await;
        }
        let stream = TokioIo::new(stream.expect("connected"));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }
}

impl tonic::codegen::Service<tonic::codegen::http::Request<tonic::body::Body>> for Http2 {
    type Response = tonic::codegen::http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = tonic::codegen::BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: tonic::codegen::http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

fn origin() -> tonic::codegen::http::Uri {
    "http://localhost".parse().expect("a URI")
}

/// A client of the daemon's control service.
pub(crate) async fn control(daemon: &Daemon) -> ControlClient<Http2> {
    ControlClient::with_origin(Http2::connect(&daemon.control_socket()).await, origin())
}

/// A client of its health service.
pub(crate) async fn health(
    daemon: &Daemon,
) -> tonic_health::pb::health_client::HealthClient<Http2> {
    tonic_health::pb::health_client::HealthClient::with_origin(
        Http2::connect(&daemon.control_socket()).await,
        origin(),
    )
}

pub(crate) fn call(items: &[(&str, f64)], step: Option<i64>) -> local::Entry {
    let item = items
        .iter()
        .map(|(key, value)| pb::HistoryItem {
            key: (*key).to_owned(),
            value: Some(Typed::Number(*value)),
            ..Default::default()
        })
        .collect();
    let call = pb::PartialHistoryRequest {
        item,
        step: step.map(|num| pb::HistoryStep { num }),
        ..Default::default()
    };
    local::Entry {
        entry: Some(local::entry::Entry::Call(call)),
    }
}

pub(crate) fn records_of(log: &Path) -> Vec<pb::Record> {
    let mut reader = Reader::open(&OsFs, log).expect("a log");
    let mut records = Vec::new();
    loop {
        match reader.next_event().expect("readable") {
            ReadEvent::Record(record) => {
                records.push(pb::Record::decode(record.bytes).expect("a record"));
            }
            ReadEvent::End(_) => return records,
            other => panic!("{other:?}"),
        }
    }
}

/// Step and JSON of a key, row by row.
pub(crate) fn history_of(records: &[pb::Record], key: &str) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for record in records {
        let Some(RecordType::History(history)) = &record.record_type else {
            continue;
        };
        for item in history.item.iter().filter(|item| item.nested_key == [key]) {
            found.push((
                history.step.map_or(0, |step| step.num),
                item.value_json.clone(),
            ));
        }
    }
    found
}

pub(crate) fn owned((step, json): (i64, &str)) -> (i64, String) {
    (step, json.to_owned())
}
