//! Exactly once, whatever is repeated, reordered or cut.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use axum::http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::database;
use crate::support::TestServer;

fn row(step: usize) -> String {
    format!(r#"{{"_step":{step},"loss":{step}.25}}"#)
}

#[tokio::test]
async fn repeated_and_overlapping_ranges_are_stored_once() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let lines: Vec<String> = (0..10).map(row).collect();
    assert_eq!(server.send_history("r", 0, &lines[..4]).await["history"], 4);
    assert_eq!(server.send_history("r", 0, &lines[..4]).await["history"], 4);
    assert_eq!(
        server.send_history("r", 2, &lines[2..7]).await["history"],
        7
    );
    let ahead = server.send_history("r", 9, &lines[9..]).await;
    assert_eq!(
        (&ahead["history"], &ahead["holes"]),
        (&json!(7), &json!({"history": [[7, 9]]}))
    );
    assert_eq!(
        server.history("r").await,
        lines[..7],
        "readers see the part without holes"
    );
    assert_eq!(
        server.send_history("r", 7, &lines[7..9]).await,
        json!({"generation": 0, "history": 10, "events": 0, "output": 0})
    );
    assert_eq!(server.history("r").await, lines);
}

#[tokio::test]
async fn first_text_of_a_line_wins_and_the_conflict_is_told() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    server.send_history("r", 0, &[row(0), row(1)]).await;
    let reply = server.send_history("r", 1, &[row(7), row(2)]).await;
    assert_eq!(
        (&reply["history"], &reply["conflicts"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(server.history("r").await, [row(0), row(1), row(2)]);
}

/// What the server should hold, kept the plain way.
#[derive(Default)]
struct Twin {
    append_only: BTreeMap<usize, String>,
    rewritable: BTreeMap<usize, String>,
}

impl Twin {
    fn contiguous(lines: &BTreeMap<usize, String>) -> Vec<String> {
        (0..)
            .map_while(|number| lines.get(&number).cloned())
            .collect()
    }
}

#[derive(Debug, Clone)]
struct Post {
    history: (usize, usize),
    output: (usize, usize, u8),
    compact: bool,
}

fn posts() -> impl Strategy<Value = Vec<Post>> {
    let post = (
        (0..60_usize, 0..25_usize),
        (0..40_usize, 0..12_usize, any::<u8>()),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(history, output, compact)| Post {
            history,
            output,
            compact,
        });
    prop::collection::vec(post, 1..14)
}

#[test]
fn any_order_of_requests_gives_what_a_plain_map_gives() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(async {
        let dir = tempfile::tempdir().expect("temporary directory");
        TestServer::start_in(dir, |config| config.compact_lines = 5).await
    });
    let number = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&posts(), |posts| {
            number.set(number.get() + 1);
            let name = format!("r{}", number.get());
            runtime.block_on(check_against_twin(&server, &name, &posts));
            Ok(())
        })
        .expect("server and twin agree");
}

async fn check_against_twin(server: &TestServer, name: &str, posts: &[Post]) {
    server.create_run(name).await;
    let mut twin = Twin::default();
    for post in posts {
        let (offset, count) = post.history;
        let lines: Vec<String> = (offset..offset + count).map(row).collect();
        let (log_offset, log_count, mark) = post.output;
        let log: Vec<String> = (0..log_count)
            .map(|index| format!("{mark} line {index}\u{e9}"))
            .collect();
        let body = json!({"files": {
            "wandb-history.jsonl": {"offset": offset, "content": lines},
            "output.log": {"offset": log_offset, "content": log},
        }});
        let answer = server.stream(name, &body).await;
        assert_eq!(answer.status, 200);
        for (line, text) in (offset..).zip(lines) {
            twin.append_only.entry(line).or_insert(text);
        }
        twin.rewritable.extend((log_offset..).zip(log));
        let told = &answer.json()["runlane"];
        assert_eq!(told["history"], Twin::contiguous(&twin.append_only).len());
        assert_eq!(told["output"], Twin::contiguous(&twin.rewritable).len());
        assert_eq!(told.get("conflicts"), None);
        if post.compact {
            server.server.upkeep_now().await.expect("upkeep works");
        }
    }
    assert_eq!(
        parsed(&server.history(name).await),
        parsed(&Twin::contiguous(&twin.append_only))
    );
    let log = server
        .get(&format!("/api/runs/me/p/{name}/logs?from=0&limit=1000"))
        .await
        .json();
    let lines: Vec<&str> = log["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    assert_eq!(lines, Twin::contiguous(&twin.rewritable));
}

/// Rows as parsed values: keys of compacted rows may come in another order.
fn parsed(rows: &[String]) -> Vec<Value> {
    rows.iter()
        .map(|row| serde_json::from_str(row).expect("a row"))
        .collect()
}

#[tokio::test]
async fn compacted_rows_come_back_and_repeats_are_recognised() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let lines: Vec<String> = (0..500)
        .map(|step| format!(r#"{{"_step":{step},"a":{{"b":{step}}},"big":9007199254740993,"x":NaN,"t":"é","n":null}}"#))
        .collect();
    server.send_history("r", 0, &lines).await;
    let (_, written) = server.server.upkeep_now().await.expect("upkeep works");
    assert_eq!(written, 1);
    let stored = server.history("r").await;
    assert_eq!(stored.len(), 500);
    for (line, text) in lines.iter().zip(&stored) {
        let parse = |text: &str| runlane_model::json::parse(text).expect("a row").to_strict();
        assert_eq!(parse(line), parse(text));
    }
    let reply = server.send_history("r", 490, &lines[490..]).await;
    assert_eq!(
        (&reply["history"], reply.get("conflicts")),
        (&json!(500), None)
    );
    let reply = server.send_history("r", 499, &[row(1), row(500)]).await;
    assert_eq!(
        (&reply["history"], &reply["conflicts"]),
        (&json!(501), &json!(1))
    );
    let keys = server.run("r", "historyKeys").await["historyKeys"].clone();
    assert_eq!(
        keys["keys"]["a.b"]["typeCounts"],
        json!([{"type": "number", "count": 500}])
    );
    assert_eq!(
        keys["keys"]["loss"]["typeCounts"],
        json!([{"type": "number", "count": 1}])
    );
    assert_eq!(keys["lastStep"], 500);
}

#[tokio::test]
async fn acknowledged_rows_survive_a_server_that_just_vanishes() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let lines: Vec<String> = (0..300).map(row).collect();
    server.send_history("r", 0, &lines).await;
    let crash_image = tempfile::tempdir().expect("temporary directory");
    // The files as a killed process leaves them: nothing closed, nothing folded in.
    let database = database::of(server.dir.path()).await;
    let files: &[&str] = match &database {
        None => &["runlane.db", "runlane.db-wal", "credentials.json"],
        Some(_) => &["credentials.json"],
    };
    for name in files {
        std::fs::copy(server.dir.path().join(name), crash_image.path().join(name)).expect("copied");
    }
    let again = TestServer::start_in(crash_image, |config| config.database_url = database).await;
    assert_eq!(again.history("r").await, lines);
    assert_eq!(again.server.credentials(), server.server.credentials());
}

#[tokio::test]
async fn malformed_requests_leave_nothing_behind() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let good = json!({"offset": 0, "content": [row(0)]});
    let cases = [
        (json!([]), 400),
        (json!({"files": 1}), 400),
        (
            json!({"files": {"wandb-history.jsonl": {"offset": "0", "content": []}}}),
            400,
        ),
        (
            json!({"files": {"wandb-history.jsonl": {"offset": 1e300, "content": []}}}),
            400,
        ),
        (
            json!({"files": {"output.log": good, "wandb-history.jsonl": {"offset": 0, "content": ["{"]}}}),
            422,
        ),
        (
            json!({"files": {"wandb-history.jsonl": good, "other.txt": good}}),
            422,
        ),
        (
            json!({"files": {"wandb-history.jsonl": good}, "complete": true}),
            422,
        ),
        (
            json!({"files": {"wandb-history.jsonl": good}, "complete": true, "exitcode": "x"}),
            400,
        ),
        (
            json!({"files": {"wandb-history.jsonl": {"offset": 0, "content": ["x".repeat((10 << 20) + 1)]}}}),
            413,
        ),
    ];
    for (body, status) in cases {
        let answer = server.stream("r", &body).await;
        let shown: String = body.to_string().chars().take(120).collect();
        assert_eq!(answer.status, status, "{shown}");
        let error = &answer.json()["error"];
        assert!(
            error["code"].is_string() && error["message"].is_string(),
            "{error}"
        );
    }
    let stored = server.run("r", "historyLineCount logLineCount state").await;
    assert_eq!(
        stored,
        json!({"historyLineCount": 0, "logLineCount": 0, "state": "running"})
    );
    assert_eq!(server.send_history("r", 0, &[row(0)]).await["history"], 1);
    assert_eq!(server.stream("gone", &json!({})).await.status, 404);
}

#[tokio::test]
async fn original_client_is_never_cut_off_for_a_bad_line() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let body = json!({"files": {
        "wandb-history.jsonl": {"offset": 0, "content": [row(0), "not a row", row(2)]},
        "wandb-future.jsonl": {"offset": 0, "content": ["x"]},
    }});
    let key = server.key_header();
    let headers = [
        ("authorization", key.as_str()),
        ("user-agent", "wandb-core"),
    ];
    let answer = server
        .raw(
            Method::POST,
            "/files/me/p/r/file_stream",
            &headers,
            body.to_string(),
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["runlane"]["history"]),
        (200, &json!(3))
    );
    assert_eq!(server.history("r").await, [row(0), row(2)]);
}

#[tokio::test]
async fn gzip_bodies_are_taken_and_bombs_refused() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let key = server.key_header();
    let send = |encoding: &'static str, body: Vec<u8>| {
        let (server, key) = (&server, key.as_str());
        async move {
            let headers = [("authorization", key), ("content-encoding", encoding)];
            server
                .raw(Method::POST, "/files/me/p/r/file_stream", &headers, body)
                .await
                .status
                .as_u16()
        }
    };
    let body =
        json!({"files": {"wandb-history.jsonl": {"offset": 0, "content": [row(0)]}}}).to_string();
    assert_eq!(send("gzip", gzip(body.as_bytes())).await, 200);
    assert_eq!(send("gzip", body.clone().into_bytes()).await, 400);
    assert_eq!(send("br", body.into_bytes()).await, 415);
    assert_eq!(send("gzip", gzip(&vec![b' '; 70 << 20])).await, 413);
}

#[tokio::test]
async fn states_follow_the_run() {
    let server = TestServer::start().await;
    let state = |name: &'static str| {
        let server = &server;
        async move {
            server.run(name, "state").await["state"]
                .as_str()
                .expect("a state")
                .to_owned()
        }
    };
    let cases = [
        ("ok", json!({"complete": true, "exitcode": 0}), "finished"),
        ("bad", json!({"complete": true, "exitcode": 3}), "failed"),
        (
            "died",
            json!({"complete": true, "exitcode": 137, "runlane": {"trainer_died": true}}),
            "crashed",
        ),
        ("leaving", json!({"preempting": true}), "preempting"),
        (
            "left",
            json!({"preempting": true, "complete": true, "exitcode": 0}),
            "finished",
        ),
        (
            "lost",
            json!({"preempting": true, "complete": true, "exitcode": 1}),
            "preempted",
        ),
    ];
    for (name, body, expected) in cases {
        server.create_run(name).await;
        assert_eq!(state(name).await, "running");
        assert_eq!(server.stream(name, &body).await.status, 200);
        assert_eq!(
            server.stream(name, &body).await.status,
            200,
            "a repeated request is fine"
        );
        assert_eq!(state(name).await, expected);
    }
    let killed = json!({"complete": true, "exitcode": 143});
    for _ in 0..2 {
        server.stream("leaving", &killed).await;
        assert_eq!(state("leaving").await, "preempted");
    }
    // Late data is kept, the end stays the end; an upsert by the run opens it again.
    server.send_history("ok", 0, &[row(0)]).await;
    assert_eq!(state("ok").await, "finished");
    server.create_run("ok").await;
    assert_eq!(state("ok").await, "running");
}

#[tokio::test]
async fn silent_runs_are_given_up_and_come_back() {
    let server = TestServer::start().await;
    server.create_run("silent").await;
    server.create_run("alive").await;
    server.clock.advance(Duration::from_secs(200));
    server.stream("alive", &json!({})).await;
    server.clock.advance(Duration::from_secs(200));
    assert_eq!(server.server.upkeep_now().await.expect("upkeep works").0, 1);
    assert_eq!(server.run("silent", "state").await["state"], "crashed");
    assert_eq!(server.run("alive", "state").await["state"], "running");
    server.stream("silent", &json!({})).await;
    assert_eq!(server.run("silent", "state").await["state"], "running");
}

#[tokio::test]
async fn restarted_server_gives_runs_time_to_report() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let dir = server.dir;
    drop(server.server);
    let again = TestServer::start_later(dir, Duration::from_hours(24), |_| ()).await;
    assert_eq!(again.server.upkeep_now().await.expect("upkeep works").0, 0);
    again.clock.advance(Duration::from_secs(301));
    assert_eq!(again.server.upkeep_now().await.expect("upkeep works").0, 1);
}

#[tokio::test]
async fn stop_request_reaches_the_client_and_ends_as_killed() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let id = server.run("r", "id").await["id"].clone();
    let stop = "mutation S($id: ID!) { stopRun(input: {id: $id}) { success } }";
    let data = server.graphql(stop, json!({"id": id})).await;
    assert_eq!(data["stopRun"]["success"], true);
    assert_eq!(server.stream("r", &json!({})).await.json()["stopped"], true);
    let last = server
        .stream("r", &json!({"complete": true, "exitcode": 255}))
        .await
        .json();
    assert_eq!(
        (&last["stopped"], &last["exitcode"]),
        (&json!(false), &json!(255))
    );
    assert_eq!(server.run("r", "state").await["state"], "killed");
    let other = server.stream("r", &json!({})).await.json();
    assert_eq!(other["stopped"], true, "another process of the run");
    assert_eq!(server.run("r", "state").await["state"], "killed");
}

#[tokio::test]
async fn writers_of_a_shared_run_count_for_themselves() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let key = server.key_header();
    for (client, first) in [("a", 0), ("b", 1)] {
        let lines: Vec<String> = (0..3).map(|index| row(first + 2 * index)).collect();
        let body = json!({"files": {"wandb-history.jsonl": {"offset": 0, "content": lines}}});
        let headers = [
            ("authorization", key.as_str()),
            ("x-wandb-async-client-id", client),
        ];
        let answer = server
            .raw(
                Method::POST,
                "/files/me/p/r/file_stream",
                &headers,
                body.to_string(),
            )
            .await;
        assert_eq!(answer.json()["runlane"]["history"], 3);
    }
    assert_eq!(
        server.history("r").await,
        (0..6).map(row).collect::<Vec<_>>()
    );
    assert_eq!(
        server.run("r", "historyLineCount").await["historyLineCount"],
        6
    );
}
