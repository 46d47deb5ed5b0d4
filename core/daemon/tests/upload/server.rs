//! A server that fails on purpose, logs for it, and a proxy that cuts connections.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as AppState;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use prost::Message;
use runlane_daemon::sync::{Progress, Request, Summary, run};
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_translog::{OsFs, Writer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// What the server does with the next `file_stream` request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Status(u16),
    RetryAfter(u16),
    /// Stores it, then answers what is no acknowledgement.
    LostAnswer,
}

#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    pub(crate) seen: Mutex<Seen>,
    pub(crate) ours: bool,
    /// Requests with this text in a line are refused.
    pub(crate) poison: Mutex<Option<&'static str>>,
    /// What PUTs are answered with, by file name; without one, they are stored.
    pub(crate) puts: Mutex<HashMap<String, VecDeque<Put>>>,
}

/// How the store answers an upload.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Put {
    Status(u16),
    WrongDigest,
    /// Stored, and its digest told.
    Digest,
    Redirect,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) history: Vec<String>,
    pub(crate) output: Vec<String>,
    pub(crate) summary: Option<Value>,
    pub(crate) files: Vec<String>,
    pub(crate) uploaded: Vec<String>,
    pub(crate) end: Option<Value>,
    pub(crate) requests: usize,
    pub(crate) upserts: Vec<Value>,
    pub(crate) keys: Vec<String>,
    pub(crate) contents: HashMap<String, Vec<u8>>,
    pub(crate) urls_asked: Vec<Vec<String>>,
}

impl Server {
    pub(crate) async fn start(faults: &[Fault], ours: bool) -> (Arc<Self>, String) {
        let server = Arc::new(Self {
            faults: Mutex::new(faults.iter().copied().collect()),
            ours,
            ..Self::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new()
            .route("/graphql", post(graphql))
            .route(
                "/files/{entity}/{project}/{run}/file_stream",
                post(file_stream),
            )
            .route("/put/{*name}", put(store_file))
            // As stores do: files have no bound of 2 MiB.
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state((Arc::clone(&server), url.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await.expect("serving") });
        (server, url)
    }
}

type Shared = (Arc<Server>, String);

async fn graphql(
    AppState((server, url)): AppState<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let variables = &body["variables"];
    let mut seen = server.seen.lock().expect("unpoisoned");
    seen.keys
        .push(headers["authorization"].to_str().expect("text").to_owned());
    let data = match body["operationName"].as_str().expect("a name") {
        "UpsertBucket" => {
            let inserted = seen.upserts.is_empty();
            seen.upserts.push(variables.clone());
            json!({"upsertBucket": {"inserted": inserted, "bucket": {
                "id": "cnVu", "name": variables["name"], "displayName": "calm-sky-1", "config": "{}", "historyLineCount": 0,
                "project": {"id": "cA==", "name": "proj", "entity": {"id": "ZQ==", "name": "ent"}},
            }}})
        }
        "ServerFeaturesQuery" => {
            let names: &[&str] = if server.ours {
                &["RUNLANE_FAST_STREAM", "FILESTREAM_GZIP"]
            } else {
                &[]
            };
            let features: Vec<Value> = names
                .iter()
                .map(|name| json!({"name": name, "isEnabled": true}))
                .collect();
            json!({"serverInfo": {"features": features}})
        }
        "RunResumeStatus" => json!({"model": {"bucket": {
            "id": "cnVu", "historyLineCount": seen.history.len(), "eventsLineCount": 0,
            "logLineCount": seen.output.len(),
        }}}),
        "CreateRunFiles" => {
            let names = variables["files"].as_array().expect("a list").iter();
            let asked = names
                .clone()
                .map(|name| name.as_str().expect("text").to_owned());
            seen.urls_asked.push(asked.collect());
            let files: Vec<Value> = names
                .map(|name| json!({"name": name, "uploadUrl": format!("{url}/put/{}", name.as_str().expect("text"))}))
                .collect();
            json!({"createRunFiles": {"runID": "cnVu", "uploadHeaders": [], "files": files}})
        }
        other => panic!("unexpected operation {other}"),
    };
    axum::Json(json!({ "data": data })).into_response()
}

async fn store_file(
    AppState((server, url)): AppState<Shared>,
    axum::extract::Path(name): axum::extract::Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(
        !headers.contains_key("authorization"),
        "signed uploads carry no credentials"
    );
    let name = name.trim_start_matches("elsewhere/").to_owned();
    let mut puts = server.puts.lock().expect("unpoisoned");
    let put = puts.get_mut(&name).and_then(VecDeque::pop_front);
    drop(puts);
    let digest = |bytes: &[u8]| {
        use md5::Digest as _;
        let digest = md5::Md5::digest(bytes);
        let number = u128::from_be_bytes(digest.into());
        [("etag", format!("\"{number:032x}\""))]
    };
    match put {
        Some(Put::Status(status)) => {
            let text = "<Error><Message>Request has expired</Message><Sig>c2VjcmV0</Sig></Error>";
            return (StatusCode::from_u16(status).expect("a status"), text).into_response();
        }
        Some(Put::WrongDigest) => return digest(b"something else").into_response(),
        Some(Put::Redirect) => {
            let to = format!("{url}/put/elsewhere/{name}?X-Signature=c2VjcmV0");
            return (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response();
        }
        Some(Put::Digest) | None => {}
    }
    let mut seen = server.seen.lock().expect("unpoisoned");
    let answer = digest(&body);
    seen.contents.insert(name.clone(), body.to_vec());
    seen.files.push(name);
    match put {
        Some(_) => answer.into_response(),
        None => StatusCode::OK.into_response(),
    }
}

async fn file_stream(
    AppState((server, _url)): AppState<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = server.faults.lock().expect("unpoisoned").pop_front();
    let mut seen = server.seen.lock().expect("unpoisoned");
    seen.requests += 1;
    match fault {
        Some(Fault::Status(status)) => {
            return (StatusCode::from_u16(status).expect("a status"), "no").into_response();
        }
        Some(Fault::RetryAfter(status)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            return (status, [("retry-after", "0.2")], "later").into_response();
        }
        Some(Fault::LostAnswer) | None => {}
    }
    let text = if headers
        .get("content-encoding")
        .is_some_and(|value| value == "gzip")
    {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text)
            .expect("gzip");
        text
    } else {
        String::from_utf8(body.to_vec()).expect("text")
    };
    if let Some(poison) = *server.poison.lock().expect("unpoisoned")
        && text.contains(poison)
    {
        let error = json!({"error": {"message": "that row is not acceptable"}});
        return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(error)).into_response();
    }
    let body: Value = serde_json::from_str(&text).expect("JSON");
    store_lines(&mut seen.history, &body["files"]["wandb-history.jsonl"]);
    store_lines(&mut seen.output, &body["files"]["output.log"]);
    if let Some(summary) = body["files"]["wandb-summary.json"]["content"][0].as_str() {
        seen.summary = Some(serde_json::from_str(&summary.replace("NaN", "null")).expect("JSON"));
    }
    for name in body["uploaded"].as_array().into_iter().flatten() {
        seen.uploaded.push(name.as_str().expect("text").to_owned());
    }
    if body["complete"] == true {
        seen.end = Some(json!({"exitcode": body["exitcode"], "runlane": body["runlane"]}));
    }
    if let Some(Fault::LostAnswer) = fault {
        return (StatusCode::OK, "<html>").into_response();
    }
    let mut reply = json!({"stopped": false});
    if server.ours {
        reply["runlane"] =
            json!({"history": seen.history.len(), "events": 0, "output": seen.output.len()});
    }
    axum::Json(reply).into_response()
}

fn store_lines(stored: &mut Vec<String>, file: &Value) {
    let Some(offset) = file["offset"].as_u64() else {
        return;
    };
    let offset = usize::try_from(offset).expect("small");
    assert!(offset <= stored.len(), "a gap");
    for (index, line) in file["content"]
        .as_array()
        .expect("a list")
        .iter()
        .enumerate()
    {
        let line = line.as_str().expect("text").to_owned();
        match stored.get(offset + index) {
            Some(known) => assert_eq!(known, &line),
            None => stored.push(line),
        }
    }
}

pub(crate) struct Log {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Log {
    /// Names files in a log that lies on disk, in front of its end if it has one.
    pub(crate) fn append_files(&self, names: &[&str]) {
        let mut reader = runlane_translog::Reader::open(&OsFs, &self.path).expect("readable");
        let mut records = Vec::new();
        while let runlane_translog::ReadEvent::Record(found) = reader.next_event().expect("read") {
            records.push(pb::Record::decode(found.bytes).expect("a record"));
        }
        let files = names.iter().map(|name| pb::FilesItem {
            path: (*name).to_owned(),
            ..Default::default()
        });
        let record = pb::Record {
            record_type: Some(RecordType::Files(pb::FilesRecord {
                files: files.collect(),
                ..Default::default()
            })),
            ..Default::default()
        };
        records.insert(2, record);
        std::fs::remove_file(&self.path).expect("removed");
        let mut writer = Writer::create(&OsFs, &self.path).expect("created");
        for record in records {
            let record = pb::Record { num: 0, ..record };
            writer.append(&record.encode_to_vec()).expect("appended");
        }
    }
}

/// A log of ours with `rows` rows.
pub(crate) fn log_of(rows: i64, exit_code: Option<i32>) -> Log {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("run-abc.wandb");
    let mut writer = Writer::create(&OsFs, &path).expect("created");
    let mut push = |record_type: RecordType| {
        let record = pb::Record {
            record_type: Some(record_type),
            ..Default::default()
        };
        writer.append(&record.encode_to_vec()).expect("appended");
    };
    push(RecordType::Header(pb::HeaderRecord {
        version_info: Some(pb::VersionInfo {
            producer: "runlane 0.1.0".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    push(RecordType::Run(pb::RunRecord {
        run_id: "abc".to_owned(),
        project: "proj".to_owned(),
        tags: vec!["old".to_owned()],
        ..Default::default()
    }));
    let file = |path: &str| pb::FilesItem {
        path: path.to_owned(),
        ..Default::default()
    };
    push(RecordType::Files(pb::FilesRecord {
        files: vec![file("note.txt"), file("../secret.txt")],
        ..Default::default()
    }));
    for step in 0..rows {
        let item = |key: &str, json: String| pb::HistoryItem {
            nested_key: key.split('/').map(str::to_owned).collect(),
            value_json: json,
            ..Default::default()
        };
        push(RecordType::History(pb::HistoryRecord {
            item: vec![
                item("loss", format!("{step}.5")),
                item("a/b", "NaN".to_owned()),
                item("_step", step.to_string()),
            ],
            step: Some(pb::HistoryStep { num: step }),
            ..Default::default()
        }));
    }
    push(RecordType::OutputRaw(pb::OutputRawRecord {
        line: "hello\nwor".to_owned(),
        ..Default::default()
    }));
    if let Some(exit_code) = exit_code {
        push(RecordType::Exit(pb::RunExitRecord {
            exit_code,
            ..Default::default()
        }));
    }
    std::fs::create_dir(directory.path().join("files")).expect("created");
    std::fs::write(directory.path().join("files/note.txt"), b"note").expect("written");
    std::fs::write(directory.path().join("secret.txt"), b"secret").expect("written");
    Log { directory, path }
}

pub(crate) async fn sync(url: &str, log: &Path) -> (Summary, Vec<Progress>) {
    sync_with(url, log, false).await
}

pub(crate) async fn sync_with(
    url: &str,
    log: &Path,
    retry_quarantined: bool,
) -> (Summary, Vec<Progress>) {
    let request = Request {
        retry_quarantined,
        base_url: url.to_owned(),
        api_key: "local-key".to_owned(),
        replace_tags: [("old".to_owned(), "new".to_owned())].into(),
        mark_synced: true,
        logs: vec![log.to_owned()],
        ..Request::default()
    };
    let (sender, mut receiver) = mpsc::channel(64);
    let (_stop, stopped) = watch::channel(false);
    let work = tokio::spawn(run(request, sender, stopped));
    let mut told = Vec::new();
    while let Some(progress) = receiver.recv().await {
        told.push(progress);
    }
    (work.await.expect("no panic"), told)
}

pub(crate) fn marker(log: &Log) -> PathBuf {
    log.directory.path().join("run-abc.wandb.synced")
}

/// Which way a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Request,
    Response,
}

/// Forwards to `target`; the first `file_stream` exchange is cut after so many of its bytes one way. Returns the address
/// and what tells whether that happened, with the number of bytes that went that way before.
pub(crate) async fn cutting_proxy(
    target: &str,
    way: Way,
    after: usize,
) -> (String, Arc<Mutex<Option<usize>>>) {
    let target = target.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let cut: Arc<Mutex<Option<usize>>> = Arc::default();
    let shared = Arc::clone(&cut);
    tokio::spawn(async move {
        loop {
            let Ok((client, _peer)) = listener.accept().await else {
                return;
            };
            let (target, cut) = (target.clone(), Arc::clone(&shared));
            tokio::spawn(async move { carry(client, &target, way, after, &cut).await });
        }
    });
    (url, cut)
}

async fn carry(
    mut client: TcpStream,
    target: &str,
    way: Way,
    after: usize,
    cut: &Mutex<Option<usize>>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut up, mut down) = ([0; 4_096], [0; 4_096]);
    // Bytes of the exchange that went each way, once it has begun.
    let mut counted: Option<(usize, usize)> = None;
    loop {
        let (from_client, bytes) = tokio::select! {
            read = client.read(&mut up) => (true, read.map(|count| up[..count].to_vec())),
            read = server.read(&mut down) => (false, read.map(|count| down[..count].to_vec())),
        };
        let Ok(mut bytes) = bytes else { return };
        if bytes.is_empty() {
            return;
        }
        let begins = from_client && bytes.starts_with(b"POST /files/");
        if begins && counted.is_none() && cut.lock().expect("unpoisoned").is_none() {
            counted = Some((0, 0));
        }
        let mut ends = false;
        if let Some((sent, received)) = &mut counted {
            let count = if from_client { sent } else { received };
            if from_client == (way == Way::Request) && *count + bytes.len() > after {
                bytes.truncate(after - *count);
                *cut.lock().expect("unpoisoned") = Some(after);
                ends = true;
            }
            *count += bytes.len();
        }
        let other = if from_client {
            &mut server
        } else {
            &mut client
        };
        if other.write_all(&bytes).await.is_err() || ends {
            return;
        }
    }
}
