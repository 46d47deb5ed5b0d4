//! Whole uploads against a server in memory, on a clock that jumps: days of outage take no time.

mod artifacts;
mod clock;
pub(super) mod table;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_translog::{OsFile, OsFs, Writer};
use serde_json::{Value, json};

use self::clock::JumpingClock;
use self::table::record;
use super::http::{Body, CallError, Http, HttpAnswer, HttpRequest, Sending};
use super::job::{Job, Overrides};
use super::{LogEnd, LogState, Outside, UploadHandle, UploadStatus, spawn};

const HOUR: Duration = Duration::from_hours(1);

/// What the server says instead of doing its work.
type Says = Box<dyn FnMut(&str, &HttpRequest) -> Option<Result<HttpAnswer, CallError>> + Send>;

#[derive(Default)]
struct Stored {
    /// Rows by run.
    history: HashMap<String, Vec<String>>,
    ended: HashMap<String, Value>,
    /// When each request came, and for which run or operation.
    requests: Vec<(Duration, String)>,
    says: Option<Says>,
    files: Vec<String>,
    artifacts: artifacts::Kept,
    /// Once more rows than this are stored and acknowledged, all but a few are lost.
    loses_above: Option<usize>,
}

#[derive(Clone)]
struct Server {
    clock: JumpingClock,
    stored: Arc<Mutex<Stored>>,
    directory: Arc<tempfile::TempDir>,
    outside: Outside,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Server")
    }
}

impl Server {
    fn new() -> Self {
        let clock = JumpingClock::new();
        let stored: Arc<Mutex<Stored>> = Arc::default();
        let (network, time) = (Arc::clone(&stored), clock.clone());
        let outside = Outside::with(
            Arc::new(clock.clone()),
            Arc::new(move |_settings| {
                Ok(Arc::new(Network {
                    clock: time.clone(),
                    stored: Arc::clone(&network),
                }))
            }),
        );
        Self {
            clock,
            stored,
            directory: Arc::new(tempfile::tempdir().expect("a directory")),
            outside,
        }
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().expect("unpoisoned")
    }

    fn says(
        &self,
        says: impl FnMut(&str, &HttpRequest) -> Option<Result<HttpAnswer, CallError>> + Send + 'static,
    ) {
        self.stored().says = Some(Box::new(says));
    }

    fn works(&self) {
        self.stored().says = None;
    }

    /// Begins to upload a log with so many rows and an end.
    fn upload(&self, run: &str, rows: i64) -> Upload {
        let log = self.directory.path().join(format!("run-{run}.wandb"));
        let mut writer = Writer::create(&OsFs, &log).expect("created");
        push(&mut writer, RecordType::Run(run_record(run)));
        (0..rows).for_each(|step| push(&mut writer, row(step)));
        push(&mut writer, RecordType::Exit(pb::RunExitRecord::default()));
        drop(writer);
        self.begin(run, self.job(run))
    }

    /// The upload of the log of a run that lies in the directory.
    fn job(&self, run: &str) -> Job {
        Job {
            settings: local::RunSettings {
                run_id: run.to_owned(),
                base_url: "http://server".to_owned(),
                api_key: "first-key".to_owned(),
                update_finish_state: true,
                ..Default::default()
            },
            files_dir: self.directory.path().join(format!("{run}-files")),
            log: self.directory.path().join(format!("run-{run}.wandb")),
            is_fresh: false,
            overrides: Overrides::default(),
            poll: None,
            live: None,
            retry_quarantined: false,
        }
    }

    fn begin(&self, run: &str, job: Job) -> Upload {
        let state = LogState {
            end: Some(LogEnd::AsItLies),
            ..LogState::default()
        };
        Upload {
            run: run.to_owned(),
            handle: spawn(self.outside.clone(), job, state, None),
            notices: Vec::new(),
        }
    }

    fn rows(&self, run: &str) -> Vec<i64> {
        let stored = self.stored();
        let rows = stored.history.get(run).into_iter().flatten();
        rows.map(|row| {
            let row: Value = serde_json::from_str(row).expect("JSON");
            row["x"].as_i64().expect("a number")
        })
        .collect()
    }

    fn assert_whole(&self, run: &str, rows: i64) {
        let found = self.rows(run);
        let expected = 0..rows;
        assert!(
            found.iter().copied().eq(expected),
            "{run}: {} of {rows} rows",
            found.len()
        );
        assert_eq!(self.stored().ended[run], json!(0));
    }
}

fn push(writer: &mut Writer<OsFile>, record_type: RecordType) {
    let record = pb::Record {
        record_type: Some(record_type),
        ..Default::default()
    };
    writer.append(&record.encode_to_vec()).expect("appended");
}

fn run_record(run: &str) -> pb::RunRecord {
    pb::RunRecord {
        run_id: run.to_owned(),
        project: "proj".to_owned(),
        ..Default::default()
    }
}

fn row(step: i64) -> RecordType {
    let item = pb::HistoryItem {
        key: "x".to_owned(),
        value_json: step.to_string(),
        ..Default::default()
    };
    RecordType::History(pb::HistoryRecord {
        item: vec![item],
        step: Some(pb::HistoryStep { num: step }),
        ..Default::default()
    })
}

struct Upload {
    run: String,
    handle: UploadHandle,
    notices: Vec<String>,
}

impl Upload {
    fn status(&mut self) -> UploadStatus {
        while let Ok((_severity, text)) = self.handle.notices.try_recv() {
            self.notices.push(text);
        }
        self.handle.status.borrow().clone()
    }
}

#[derive(Debug)]
struct Network {
    clock: JumpingClock,
    stored: Arc<Mutex<Stored>>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Stored")
    }
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    HttpAnswer {
        status,
        body: Bytes::from(body.to_string()),
        ..HttpAnswer::default()
    }
}

impl Http for Network {
    fn send(&self, request: HttpRequest) -> Sending<'_> {
        Box::pin(async move {
            let mut stored = self.stored.lock().expect("unpoisoned");
            let body: Value = match &request.body {
                Body::Bytes(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
                Body::File { .. } => Value::Null,
            };
            let mut segments = request.url.split('/').rev();
            let what = match segments.next() {
                Some("file_stream") => segments.next().expect("a run").to_owned(),
                Some("graphql") => body["operationName"].as_str().expect("a name").to_owned(),
                _ => "PUT".to_owned(),
            };
            stored.requests.push((self.clock.elapsed(), what.clone()));
            if let Some(mut says) = stored.says.take() {
                let said = says(&what, &request);
                stored.says = Some(says);
                if let Some(said) = said {
                    return said;
                }
            }
            if request.url.contains("/artifact/") {
                stored.artifacts.put(&request);
            }
            Ok(answer(200, &stored.take(&what, &body)))
        })
    }
}

impl Stored {
    fn take(&mut self, what: &str, body: &Value) -> Value {
        if let Some(data) = self.artifacts.take(what, body) {
            return json!({ "data": data });
        }
        let data = match what {
            "UpsertBucket" => {
                let name = &body["variables"]["name"];
                let known = self.history.contains_key(name.as_str().expect("text"));
                self.history
                    .entry(name.as_str().expect("text").to_owned())
                    .or_default();
                json!({"upsertBucket": {"inserted": !known, "bucket": {"id": "cnVu", "name": name,
                    "project": {"name": "proj", "entity": {"name": "ent"}}}}})
            }
            "ServerFeaturesQuery" => {
                json!({"serverInfo": {"features": [{"name": "RUNLANE_FAST_STREAM", "isEnabled": true}]}})
            }
            "CreateRunFiles" => {
                let names = body["variables"]["files"]
                    .as_array()
                    .expect("a list")
                    .iter();
                let files: Vec<Value> = names
                    .map(|name| json!({"name": name, "uploadUrl": "http://server/put"}))
                    .collect();
                json!({"createRunFiles": {"runID": "cnVu", "uploadHeaders": [], "files": files}})
            }
            "PUT" => {
                self.files.push(what.to_owned());
                return json!({});
            }
            run => return self.take_lines(run, body),
        };
        json!({ "data": data })
    }

    fn take_lines(&mut self, run: &str, body: &Value) -> Value {
        let rows = self.history.entry(run.to_owned()).or_default();
        let file = &body["files"]["wandb-history.jsonl"];
        let offset = usize::try_from(file["offset"].as_u64().unwrap_or(0)).expect("small");
        for (index, line) in file["content"].as_array().into_iter().flatten().enumerate() {
            let line = line.as_str().expect("text");
            match rows.get(offset + index) {
                Some(known) => assert_eq!(known, line),
                // A gap: this server keeps nothing behind one.
                None if offset + index > rows.len() => break,
                None => rows.push(line.to_owned()),
            }
        }
        let count = rows.len();
        if self.loses_above.take_if(|limit| count > *limit).is_some() {
            rows.truncate(17);
        }
        if body["complete"] == true {
            self.ended.insert(run.to_owned(), body["exitcode"].clone());
        }
        json!({"stopped": false, "runlane": {"history": count, "events": 0, "output": 0}})
    }
}

/// I11: after half a minute of failure at most one request a second.
fn assert_spared(requests: &[(Duration, String)], from: Duration, to: Duration) {
    let late: Vec<f64> = requests
        .iter()
        .filter(|(at, _)| *at > from + Duration::from_secs(30) && *at < to)
        .map(|(at, _)| at.as_secs_f64())
        .collect();
    for pair in late.windows(11) {
        assert!(
            pair[10] - pair[0] >= 9.99,
            "more than one a second: {pair:?}"
        );
    }
}

#[tokio::test]
async fn n1_days_without_the_server_costs_nothing_and_keeps_to_the_envelope() {
    const RUNS: usize = 2;
    let is_full = std::env::var("RUNLANE_FAULT_TRIALS").is_ok_and(|word| word == "full");
    let days: u32 = if is_full { 7 } else { 2 };
    let away = HOUR * 24 * days;
    for how in ["from the start", "in the middle"] {
        let server = Server::new();
        let mut let_through = if how == "in the middle" { 3 * RUNS } else { 0 };
        server.says(move |_what, _request| {
            if let_through > 0 {
                let_through -= 1;
                return None;
            }
            Some(Err(CallError::retry("connection refused")))
        });
        let mut uploads: Vec<Upload> = (0..RUNS)
            .map(|run| server.upload(&format!("run{run}"), 5_000))
            .collect();
        assert!(!server.clock.run(away, || false).await);
        for upload in &mut uploads {
            let status = upload.status();
            assert_eq!(status.problem, "connection refused");
            assert!(!status.complete && !status.is_paused);
            assert!(upload.notices.len() <= 1, "{:?}", upload.notices);
        }
        let requests = std::mem::take(&mut server.stored().requests);
        assert_spared(&requests, Duration::ZERO, away);
        // It was tried all the time: at least once a minute.
        assert!(
            requests.len() > days as usize * 24 * 60,
            "{}",
            requests.len()
        );
        server.works();
        let back = server.clock.elapsed();
        let handles: Vec<_> = uploads
            .iter()
            .map(|upload| upload.handle.status.clone())
            .collect();
        let all = || handles.iter().all(|status| status.borrow().complete);
        assert!(server.clock.run(away + HOUR, all).await, "not drained");
        let drained = server.clock.elapsed().saturating_sub(back);
        assert!(drained < Duration::from_mins(2), "{drained:?}");
        for upload in &uploads {
            server.assert_whole(&upload.run, 5_000);
        }
        record(
            "N1",
            &format!("server away for {days} days {how}, {RUNS} runs (virtual time)"),
            "0 rows lost, <= 1 request/s, drained in 120 s",
            &format!(
                "0 rows, {} requests, {:.0} s",
                requests.len(),
                drained.as_secs_f64()
            ),
            RUNS,
        );
    }
}

#[tokio::test]
async fn n8_a_refused_key_pauses_until_there_is_another_one() {
    let server = Server::new();
    let mut streams = 0;
    server.says(move |what, request| {
        let key = &request
            .headers
            .iter()
            .find(|(name, _)| name == "Authorization");
        let key = key.map(|(_, value)| value.clone()).unwrap_or_default();
        streams += usize::from(what == "run");
        // "api:second-key"
        let is_new = key == "Basic YXBpOnNlY29uZC1rZXk=";
        (streams > 1 && !is_new && what != "PUT")
            .then(|| Ok(answer(401, &json!({"error": {"message": "who are you?"}}))))
    });
    let mut upload = server.upload("run", 60_000);
    assert!(!server.clock.run(HOUR, || false).await);
    let status = upload.status();
    assert!(status.is_paused && status.may_resume, "{status:?}");
    assert_eq!(upload.notices.len(), 1, "{:?}", upload.notices);
    assert!(upload.notices[0].contains("the server refuses the API key: status 401: who are you?"));
    assert!(upload.notices[0].contains("runlane login --relogin --host http://server"));
    assert!(!upload.notices[0].contains("first-key"));
    // It looked by itself, rarely.
    let looks = server.stored().requests.len();
    assert!((10..30).contains(&looks), "{looks} requests in an hour");
    assert_eq!(
        server.outside.offer_key("http://elsewhere", "second-key"),
        0
    );
    assert_eq!(server.outside.offer_key("http://server/", "first-key"), 1);
    let before = server.clock.elapsed();
    assert_eq!(server.outside.offer_key("http://server/", "second-key"), 1);
    let status = upload.handle.status.clone();
    assert!(
        server
            .clock
            .run(2 * HOUR, || status.borrow().complete)
            .await
    );
    let took = server.clock.elapsed().saturating_sub(before);
    assert!(took < Duration::from_mins(1), "{took:?}");
    server.assert_whole("run", 60_000);
    upload.status();
    assert_eq!(upload.notices.len(), 2, "{:?}", upload.notices);
    record(
        "N8",
        "key refused for an hour, then another one (virtual time)",
        "paused, one warning, resumed within 60 s",
        &format!("{looks} requests, {:.1} s", took.as_secs_f64()),
        1,
    );
}

#[tokio::test]
async fn n8_a_refusal_that_ends_by_itself_needs_nobody() {
    for status in [403, 404] {
        let server = Server::new();
        let clock = server.clock.clone();
        server.says(move |what, _request| {
            let refuses = what == "run" && clock.elapsed() < HOUR / 3;
            refuses.then(|| Ok(answer(status, &json!({"error": "no"}))))
        });
        let upload = server.upload("run", 100);
        let state = upload.handle.status.clone();
        assert!(server.clock.run(2 * HOUR, || state.borrow().complete).await);
        assert!(
            server.clock.elapsed() < HOUR / 2,
            "{:?}",
            server.clock.elapsed()
        );
        server.assert_whole("run", 100);
    }
}

#[tokio::test]
async fn a_server_restored_from_a_backup_gets_the_rest_again() {
    let server = Server::new();
    server.stored().loses_above = Some(60_000);
    let mut upload = server.upload("run", 100_000);
    let state = upload.handle.status.clone();
    assert!(server.clock.run(2 * HOUR, || state.borrow().complete).await);
    server.assert_whole("run", 100_000);
    upload.status();
    assert!(
        upload.notices[0].contains("restored from a backup"),
        "{:?}",
        upload.notices
    );
}

#[tokio::test]
async fn n5_a_storm_over_one_run_does_not_delay_another_and_every_shape_of_retry_after_is_kept() {
    let shapes = [
        (Some(Duration::from_secs(7)), 7.0),
        (Some(Duration::from_secs(1_000_000_000)), 600.0),
        (None, 0.0),
    ];
    for (asked, at_least) in shapes {
        let server = Server::new();
        let mut refusals: VecDeque<()> = (0..6).map(|_| ()).collect();
        server.says(move |what, _request| {
            if what != "stormy" {
                return None;
            }
            refusals.pop_front().map(|()| {
                Ok(HttpAnswer {
                    retry_after: asked,
                    ..answer(429, &json!({"error": "slow down"}))
                })
            })
        });
        let stormy = server.upload("stormy", 1_000);
        let calm = server.upload("calm", 60_000);
        let state = calm.handle.status.clone();
        assert!(server.clock.run(HOUR, || state.borrow().complete).await);
        let calm_took = server.clock.elapsed();
        assert!(calm_took < Duration::from_secs(20), "{calm_took:?}");
        let state = stormy.handle.status.clone();
        assert!(server.clock.run(3 * HOUR, || state.borrow().complete).await);
        server.assert_whole("stormy", 1_000);
        server.assert_whole("calm", 60_000);
        let stored = server.stored();
        let at: Vec<f64> = stored
            .requests
            .iter()
            .filter(|(_, what)| what == "stormy")
            .map(|(at, _)| at.as_secs_f64())
            .collect();
        for pair in at.windows(2).take(5) {
            let wait = pair[1] - pair[0];
            assert!(
                wait >= at_least && wait <= (at_least * 1.1).max(60.0) + 0.1,
                "{wait}"
            );
        }
        record(
            "N5",
            &format!("429 storm over one of two runs, Retry-After {asked:?} (virtual time)"),
            "kept up to 10 min; the other run within 20 s",
            &format!("other run {:.1} s", calm_took.as_secs_f64()),
            6,
        );
    }
}
