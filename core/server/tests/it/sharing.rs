//! Several writers of one run, each with lines of its own.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

/// One `file_stream` request of a writer in shared mode.
async fn send(server: &TestServer, client: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
    let key = server.key_header();
    let mut headers = vec![
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
        ("x-wandb-use-async-filestream", "true"),
        ("x-wandb-async-client-id", client),
    ];
    headers.extend_from_slice(more);
    let answer = server
        .raw(
            Method::POST,
            "/files/me/p/r/file_stream",
            &headers,
            body.to_string(),
        )
        .await;
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    answer
}

fn rows(offset: usize, lines: &[String]) -> Value {
    json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}})
}

fn line(writer: &str, step: i64) -> String {
    json!({"_step": step, "_label": writer, "_rank": 1, "x": step, writer: 1}).to_string()
}

/// One GraphQL request of a writer in shared mode.
async fn upsert(server: &TestServer, client: &str, config: Option<&str>, joins: bool) -> Value {
    let key = server.key_header();
    let mut headers = vec![
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
        ("x-wandb-use-async-filestream", "true"),
        ("x-wandb-client-id", client),
    ];
    if joins {
        headers.push(("x-runlane-joins", "true"));
    }
    let query = "mutation U($config: JSONString) { upsertBucket(input: {name: \"r\", modelName: \"p\", \
                 config: $config}) { inserted bucket { historyLineCount } } }";
    let body = json!({"query": query, "variables": {"config": config}, "operationName": ""});
    let answer = server
        .raw(Method::POST, "/graphql", &headers, body.to_string())
        .await;
    let reply = answer.json();
    assert_eq!(reply.get("errors"), None, "{reply}");
    reply["data"]["upsertBucket"].clone()
}

async fn steps_and_labels(server: &TestServer, fields: &str) -> Vec<(i64, String)> {
    let found = server.run("r", fields).await;
    let rows: Vec<String> =
        serde_json::from_value(found["history"].clone()).expect("a list of texts");
    rows.iter()
        .map(|row| {
            let row: Value = serde_json::from_str(row).expect("a row");
            let label = row["_label"].as_str().expect("labelled").to_owned();
            (row["_step"].as_i64().expect("a step"), label)
        })
        .collect()
}

#[tokio::test]
async fn rows_of_all_writers_are_read_by_step_and_then_by_writer() {
    let server = TestServer::start_in(tempfile::tempdir().expect("a directory"), |config| {
        config.compact_lines = 40;
    })
    .await;
    server.create_run("r").await;
    // `late` steps back: two processes of one host share its stream.
    let steps = |writer: &str| -> Vec<i64> {
        match writer {
            "a" => (0..60).collect(),
            "b" => (0..60).map(|n| n * 2).collect(),
            _ => (0..30).map(|n| 29 - n).collect(),
        }
    };
    let mut expected = Vec::new();
    for writer in ["a", "b", "late"] {
        for (part, chunk) in steps(writer).chunks(20).enumerate() {
            let lines: Vec<String> = chunk.iter().map(|step| line(writer, *step)).collect();
            // Twice: each line counts once.
            for _again in 0..2 {
                send(&server, writer, &rows(part * 20, &lines), &[]).await;
            }
            expected.extend(chunk.iter().map(|step| (*step, writer.to_owned())));
        }
    }
    expected.sort();
    for compacted in [false, true] {
        if compacted {
            assert!(server.server.upkeep_now().await.expect("compacted").1 > 0);
        }
        let found = steps_and_labels(&server, "history(samples: 1000)").await;
        assert_eq!(found, expected, "compacted: {compacted}");
        let mut paged = Vec::new();
        for low in (0..120).step_by(25) {
            let fields = format!(
                "history(minStep: {low}, maxStep: {}, samples: 1000)",
                low + 25
            );
            paged.extend(steps_and_labels(&server, &fields).await);
        }
        assert_eq!(paged, expected, "compacted: {compacted}");
        // The first rows by step, wherever they lie.
        let first =
            steps_and_labels(&server, "history(minStep: 0, maxStep: 1000, samples: 7)").await;
        assert_eq!(first, expected[..7], "compacted: {compacted}");

        let run = server
            .run("r", "historyLineCount lastStep historyKeys historyTail sampledHistory(specs: [\"{\\\"keys\\\": [\\\"b\\\"], \\\"samples\\\": 1000}\"])")
            .await;
        assert_eq!(
            (&run["historyLineCount"], &run["lastStep"]),
            (&json!(150), &json!(118))
        );
        let counted = &run["historyKeys"]["keys"];
        for (key, count) in [("x", 150), ("a", 60), ("b", 60), ("late", 30)] {
            assert_eq!(counted[key]["typeCounts"][0]["count"], count, "{key}");
        }
        assert_eq!(run["sampledHistory"][0].as_array().map(Vec::len), Some(60));
        let tail = run["historyTail"].as_str().unwrap_or_default();
        if !compacted {
            assert!(tail.contains("118"), "{tail}");
        }
        let some = steps_and_labels(&server, "history(samples: 30)").await;
        assert_eq!(some.len(), 30);
        assert!(some.is_sorted());
        assert_eq!(some.iter().filter(|(_, label)| label == "b").count(), 12);
    }
}

#[tokio::test]
async fn console_and_system_metrics_of_all_writers_are_there() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    for writer in ["a", "b"] {
        let content = json!({"ts": "2026-01-02T03:04:05.000000", "label": writer, "content": "hi"});
        let body = json!({"files": {
            "output.log": {"offset": 0, "content": [content.to_string()]},
            "wandb-events.jsonl": {"offset": 0, "content": [format!("{{\"_wandb\":true,\"system.cpu/l:{writer}\":1}}")]},
        }});
        send(&server, writer, &body, &[]).await;
    }
    let run = server
        .run("r", "logLineCount systemMetrics events(samples: 10) logLines(first: 10) { edges { node { number label line } } }")
        .await;
    let lines: Vec<_> = run["logLines"]["edges"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|edge| {
            (
                edge["node"]["number"].clone(),
                edge["node"]["label"].clone(),
            )
        })
        .collect();
    assert_eq!(lines, [(json!(0), json!("a")), (json!(1), json!("b"))]);
    assert_eq!(run["events"].as_array().map(Vec::len), Some(2));
    let metrics: Value =
        serde_json::from_str(run["systemMetrics"].as_str().expect("a text")).expect("JSON");
    assert_eq!(metrics, json!({"system.cpu/l:a": 1, "system.cpu/l:b": 1}));
}

#[tokio::test]
async fn a_writer_is_told_of_its_own_lines_and_configs_are_merged() {
    let server = TestServer::start().await;
    let first = upsert(&server, "a", Some(r#"{"lr": {"value": 1}}"#), false).await;
    assert_eq!(first["inserted"], true);
    send(&server, "a", &rows(0, &[line("a", 0), line("a", 1)]), &[]).await;
    let second = upsert(&server, "b", Some(r#"{"bs": {"value": 2}}"#), true).await;
    // An offset that began behind the lines of others would leave a hole.
    assert_eq!(second["bucket"]["historyLineCount"], 0);
    let again = upsert(&server, "a", None, false).await;
    assert_eq!(again["bucket"]["historyLineCount"], 2);
    let run = server.run("r", "config historyLineCount").await;
    let config: Value =
        serde_json::from_str(run["config"].as_str().expect("a text")).expect("JSON");
    assert_eq!(config, json!({"lr": {"value": 1}, "bs": {"value": 2}}));
    assert_eq!(run["historyLineCount"], 2);
}

#[tokio::test]
async fn the_end_of_a_shared_run_stands_while_others_finish_their_work() {
    let server = TestServer::start().await;
    for client in ["a", "b"] {
        upsert(&server, client, None, client == "b").await;
        send(&server, client, &rows(0, &[line(client, 0)]), &[]).await;
    }
    send(&server, "a", &json!({"complete": true, "exitcode": 0}), &[]).await;
    let state = async || server.run("r", "state historyLineCount").await;
    assert_eq!(
        state().await,
        json!({"state": "finished", "historyLineCount": 2})
    );
    // Late rows, a late config of a known writer, a late writer that says that it only joins.
    send(&server, "b", &rows(1, &[line("b", 1)]), &[]).await;
    upsert(&server, "b", Some("{}"), false).await;
    upsert(&server, "c", None, true).await;
    send(&server, "c", &rows(0, &[line("c", 0)]), &[]).await;
    assert_eq!(
        state().await,
        json!({"state": "finished", "historyLineCount": 4})
    );
    // Somebody starts the run again.
    upsert(&server, "d", None, false).await;
    assert_eq!(state().await["state"], "running");
}

#[tokio::test]
async fn summaries_of_writers_are_merged_and_derived_where_asked() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let summary =
        |text: &str| json!({"files": {"wandb-summary.json": {"offset": 0, "content": [text]}}});
    send(&server, "a", &summary(r#"{"a": 1, "n": {"x": 1}}"#), &[]).await;
    send(&server, "b", &summary(r#"{"b": 2, "n": {"y": 2}}"#), &[]).await;
    let derived = [("x-wandb-server-side-derived-summary", "true")];
    send(
        &server,
        "c",
        &rows(0, &[line("c", 3), line("c", 4)]),
        &derived,
    )
    .await;
    let run = server.run("r", "summaryMetrics").await;
    let found: Value =
        serde_json::from_str(run["summaryMetrics"].as_str().expect("a text")).expect("JSON");
    let expected = json!({"a": 1, "b": 2, "n": {"x": 1, "y": 2}, "_step": 4, "x": 4, "c": 1});
    assert_eq!(found, expected);
}

#[tokio::test]
async fn lost_rows_are_the_sum_of_what_clients_report() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let lost = async || server.run("r", "lostRows").await["lostRows"].clone();
    assert_eq!(lost().await, 0);
    for (client, count) in [("a", 3), ("b", 4), ("a", 5), ("a", 5), ("b", 1)] {
        send(&server, client, &json!({"runlane": {"lost": count}}), &[]).await;
    }
    assert_eq!(lost().await, 9);
    server.stream("r", &json!({"runlane": {"lost": 2}})).await;
    assert_eq!(lost().await, 11);
    send(&server, "a", &rows(0, &[line("a", 0)]), &[]).await;
    assert_eq!(
        server.run("r", "lostRows historyLineCount").await,
        json!({"lostRows": 11, "historyLineCount": 1})
    );
}
