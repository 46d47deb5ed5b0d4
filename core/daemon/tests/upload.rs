//! Uploads against a server that fails in all the ways servers do: every row arrives once, whatever happens.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as AppState;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use prost::Message;
use runlane_daemon::sync::{Progress, Request, State, Summary, run};
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_translog::{OsFs, Writer};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// What the server does with the next `file_stream` request.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Status(u16),
    RetryAfter(u16),
    /// Stores it, then answers what is no acknowledgement.
    LostAnswer,
}

#[derive(Debug, Default)]
struct Server {
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Seen>,
    ours: bool,
}

#[derive(Debug, Default)]
struct Seen {
    history: Vec<String>,
    output: Vec<String>,
    summary: Option<Value>,
    files: Vec<String>,
    uploaded: Vec<String>,
    end: Option<Value>,
    requests: usize,
    upserts: Vec<Value>,
    keys: Vec<String>,
}

impl Server {
    async fn start(faults: &[Fault], ours: bool) -> (Arc<Self>, String) {
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
        "CreateRunFiles" => {
            let names = variables["files"].as_array().expect("a list").iter();
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
    AppState((server, _url)): AppState<Shared>,
    axum::extract::Path(name): axum::extract::Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    assert!(
        !headers.contains_key("authorization"),
        "signed uploads carry no credentials"
    );
    server.seen.lock().expect("unpoisoned").files.push(name);
    StatusCode::OK
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
    match fault {
        Some(Fault::LostAnswer) => (StatusCode::OK, "<html>").into_response(),
        _ => {
            let mut reply = json!({"stopped": false});
            if server.ours {
                reply["runlane"] = json!({"history": seen.history.len(), "events": 0, "output": seen.output.len()});
            }
            axum::Json(reply).into_response()
        }
    }
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

struct Log {
    directory: tempfile::TempDir,
    path: PathBuf,
}

/// A log of ours with `rows` rows.
fn log_of(rows: i64, exit_code: Option<i32>) -> Log {
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

async fn sync(url: &str, log: &Path) -> (Summary, Vec<Progress>) {
    let request = Request {
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

fn marker(log: &Log) -> PathBuf {
    log.directory.path().join("run-abc.wandb.synced")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_arrives_once_through_faults() {
    let faults = [
        Fault::RetryAfter(429),
        Fault::Status(500),
        Fault::LostAnswer,
        Fault::Status(503),
    ];
    let (server, url) = Server::start(&faults, true).await;
    let log = log_of(1_000, Some(0));
    let (summary, told) = sync(&url, &log.path).await;
    assert_eq!(
        summary,
        Summary {
            synced: 1,
            failed: 0,
            partial: 0
        },
        "{told:?}"
    );
    let last = told.last().expect("told");
    assert_eq!(
        (last.state, last.rows, last.run_path.as_deref()),
        (State::Done, 1_000, Some("ent/proj/abc"))
    );
    assert_eq!(last.bytes, last.total_bytes);
    let seen = server.seen.lock().expect("unpoisoned");
    assert_eq!(seen.history.len(), 1_000);
    assert_eq!(seen.history[3], r#"{"loss":3.5,"a":{"b":NaN},"_step":3}"#);
    assert_eq!(seen.output.len(), 2);
    assert_eq!(seen.end, Some(json!({"exitcode": 0, "runlane": null})));
    // Our log has no summary records: the values follow from the rows.
    let document = seen.summary.as_ref().expect("sent");
    assert_eq!(
        (&document["loss"], &document["_step"]),
        (&json!(999.5), &json!(999))
    );
    let mut files = seen.files.clone();
    files.sort();
    assert_eq!(files, ["config.yaml", "note.txt", "wandb-summary.json"]);
    // Named again where the answer was lost.
    let named: std::collections::BTreeSet<&String> = seen.uploaded.iter().collect();
    assert_eq!(named.len(), 3);
    assert_eq!(seen.upserts[0]["tags"], json!(["new"]));
    assert!(
        seen.keys
            .iter()
            .all(|key| key == "Basic YXBpOmxvY2FsLWtleQ==")
    );
    assert!(marker(&log).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_an_end_is_a_death() {
    let (server, url) = Server::start(&[], true).await;
    let log = log_of(5, None);
    let (summary, _told) = sync(&url, &log.path).await;
    assert_eq!(summary.synced, 1);
    let end = server.seen.lock().expect("unpoisoned").end.clone();
    assert_eq!(
        end,
        Some(json!({"exitcode": 1, "runlane": {"trainer_died": true}}))
    );

    let (server, url) = Server::start(&[], false).await;
    sync(&url, &log.path).await;
    let end = server.seen.lock().expect("unpoisoned").end.clone();
    assert_eq!(end, Some(json!({"exitcode": 1, "runlane": null})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_fails_with_the_server_s_words_and_the_next_sync_goes_on() {
    // The heartbeat that asks whether it is the content is refused as well.
    let faults = [Fault::Status(404), Fault::Status(404)];
    let (server, url) = Server::start(&faults, true).await;
    let log = log_of(10, Some(2));
    let (summary, told) = sync(&url, &log.path).await;
    assert_eq!(summary.failed, 1);
    assert!(
        told.last()
            .expect("told")
            .error
            .as_deref()
            .is_some_and(|error| error.contains("status 404: no"))
    );
    assert!(!marker(&log).exists());
    let (summary, _told) = sync(&url, &log.path).await;
    assert_eq!(summary.synced, 1);
    let (again, _told) = sync(&url, &log.path).await;
    assert_eq!(again.synced, 1);
    let seen = server.seen.lock().expect("unpoisoned");
    assert_eq!(seen.history.len(), 10);
    assert_eq!(seen.end.as_ref().expect("ended")["exitcode"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_log_is_stored_as_far_as_it_goes_and_not_marked() {
    let (server, url) = Server::start(&[], true).await;
    let log = log_of(50, Some(0));
    let bytes = std::fs::read(&log.path).expect("readable");
    std::fs::write(&log.path, &bytes[..bytes.len() - 3]).expect("cut");
    let (summary, _told) = sync(&url, &log.path).await;
    assert_eq!(summary.partial, 1);
    assert_eq!(server.seen.lock().expect("unpoisoned").history.len(), 50);
    assert!(!marker(&log).exists());
}
