//! The console of runs: ranges, searches, several processes, the bound of a long log.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::TestServer;

async fn print(server: &TestServer, offset: usize, lines: &[String]) -> Value {
    let body = json!({"files": {"output.log": {"offset": offset, "content": lines}}});
    let answer = server.stream("r", &body).await;
    assert_eq!(answer.status, 200);
    answer.json()["runlane"].clone()
}

async fn logs(server: &TestServer, query: &str) -> Value {
    let answer = server.get(&format!("/api/runs/me/p/r/logs?{query}")).await;
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()
}

fn numbers(page: &Value) -> Vec<i64> {
    let lines = page["lines"].as_array().expect("a list");
    lines
        .iter()
        .map(|line| line["number"].as_i64().expect("a number"))
        .collect()
}

fn texts(page: &Value) -> Vec<&str> {
    let lines = page["lines"].as_array().expect("a list");
    lines
        .iter()
        .map(|line| line["text"].as_str().expect("a text"))
        .collect()
}

/// Lines in one request.
const PART: usize = 150_000;

fn structured(label: &str, level: Option<&str>, text: &str) -> String {
    json!({"ts": "2026-01-02T03:04:05.5", "label": label, "level": level, "content": text})
        .to_string()
}

#[tokio::test]
async fn a_line_is_what_was_sent_last_and_ranges_are_cut_to_the_log() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let stamp = "2026-01-02T03:04:05.5";
    let line = |text: &str| format!("{stamp} {text}");
    print(&server, 0, &[line("a"), line("10%"), line("b")]).await;
    print(&server, 1, &[line("100%")]).await;
    let told = print(&server, 2, &[line("b"), format!("ERROR {stamp} oops")]).await;
    assert_eq!(told["output"], 4);
    let all = logs(&server, "from=0").await;
    assert_eq!(texts(&all), ["a", "100%", "b", "oops"]);
    assert_eq!(
        (&all["total"], &all["gaps"], &all["writers"], &all["next"]),
        (&json!(4), &json!([]), &json!([]), &Value::Null)
    );
    assert_eq!(all["lines"][3]["level"], "error");
    assert_eq!(all["lines"][3]["timestamp"], stamp);
    assert_eq!(texts(&logs(&server, "limit=2").await), ["b", "oops"]);
    assert_eq!(texts(&logs(&server, "from=1&limit=1").await), ["100%"]);
    assert_eq!(numbers(&logs(&server, "from=99").await), [0_i64; 0]);
}

#[tokio::test]
async fn a_search_finds_lines_by_text_label_and_level_and_can_be_gone_on_with() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let lines: Vec<String> = (0..3_000)
        .map(|number| {
            let level = (number % 10 == 0).then_some("error");
            structured(
                ["rank-0", "rank-1"][number % 2],
                level,
                &format!("\u{1b}[1mLoss\u{1b}[0m {number}"),
            )
        })
        .collect();
    print(&server, 0, &lines).await;
    let found = logs(&server, "search=loss%2012%5B34%5D&from=0").await;
    assert_eq!(numbers(&found)[..2], [123, 124]);
    assert_eq!(numbers(&found).len(), 22);
    assert_eq!(found["next"], Value::Null);
    assert_eq!(texts(&found)[0], "\u{1b}[1mLoss\u{1b}[0m 123");
    let found = logs(&server, "label=rank-0&level=error&search=99").await;
    assert_eq!(numbers(&found), [990, 1990, 2990]);
    assert!(numbers(&logs(&server, "label=rank-1&level=error").await).is_empty());
    // An expression that is none is text; only so many lines at once.
    assert!(numbers(&logs(&server, "search=Loss%20(").await).is_empty());
    let first = logs(&server, "search=loss&limit=2").await;
    assert_eq!((numbers(&first), &first["next"]), (vec![0, 1], &json!(2)));
    let answer = server
        .get(&format!(
            "/api/runs/me/p/r/logs?search={}",
            "x".repeat(1_001)
        ))
        .await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn of_a_long_log_the_first_and_the_last_lines_are_kept() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let line = |number: usize| format!("line {number}");
    for part in 0..4 {
        let lines: Vec<String> = (part * PART..(part + 1) * PART).map(line).collect();
        assert_eq!(
            print(&server, part * PART, &lines).await["output"],
            (part + 1) * PART
        );
    }
    let page = logs(&server, "from=0&limit=2").await;
    assert_eq!(
        (page["total"].as_i64(), texts(&page)[1]),
        (Some(600_000), "line 1")
    );
    let gap: (i64, i64) = serde_json::from_value(page["gaps"][0].clone()).expect("a range");
    assert!((200_000..215_000).contains(&gap.0), "{gap:?}");
    assert!((385_000..=400_000).contains(&gap.1), "{gap:?}");
    // Numbers stay what they are, around the gap and behind it.
    let around = logs(&server, &format!("from={}&limit=3", gap.0 - 1)).await;
    assert_eq!(numbers(&around), [gap.0 - 1]);
    let behind = logs(&server, &format!("from={}&limit=3", gap.1 - 1)).await;
    assert_eq!(numbers(&behind), [gap.1, gap.1 + 1]);
    assert_eq!(texts(&logs(&server, "limit=1").await), ["line 599999"]);
    // What comes again, late, does not fill the gap; the last lines can still change.
    let start = usize::try_from(gap.0 - 1).expect("a line");
    let late: Vec<String> = (start..start + 6).map(line).collect();
    let told = print(&server, start, &late).await;
    assert_eq!(
        (&told["output"], &told["holes"]),
        (&json!(600_000), &Value::Null)
    );
    print(&server, 599_999, &["changed".to_owned()]).await;
    let page = logs(&server, "limit=1").await;
    assert_eq!(
        (texts(&page)[0], &page["gaps"][0][0]),
        ("changed", &json!(gap.0))
    );
    // A search goes over the gap, in pieces.
    let mut from = 0;
    let mut found = Vec::new();
    loop {
        let page = logs(&server, &format!("search=00001%24&from={from}")).await;
        found.extend(numbers(&page));
        match page["next"].as_i64() {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(found, [100_001, 200_001, 400_001, 500_001]);
}

#[tokio::test]
async fn processes_of_several_hosts_are_read_one_by_one_or_one_after_the_other() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let key = server.key_header();
    for (client, count) in [("one", 3), ("two", 2)] {
        let lines: Vec<String> = (0..count)
            .map(|number| structured(client, None, &format!("{client} {number}")))
            .collect();
        let headers = [
            ("authorization", key.as_str()),
            ("content-type", "application/json"),
            ("x-wandb-async-client-id", client),
        ];
        let body = json!({"files": {"output.log": {"offset": 0, "content": lines}}});
        let answer = server
            .raw(
                Method::POST,
                "/files/me/p/r/file_stream",
                &headers,
                body.to_string(),
            )
            .await;
        assert_eq!(answer.status, 200);
    }
    let all = logs(&server, "from=0").await;
    assert_eq!(texts(&all), ["one 0", "one 1", "one 2", "two 0", "two 1"]);
    assert_eq!(
        all["writers"],
        json!([{"label": "one", "total": 3}, {"label": "two", "total": 2}])
    );
    let two = logs(&server, "writer=1&from=0").await;
    assert_eq!(
        (texts(&two), &two["total"]),
        (vec!["two 0", "two 1"], &json!(2))
    );
    assert_eq!(numbers(&two), [0, 1]);
    let found = logs(&server, "writer=0&search=1").await;
    assert_eq!(texts(&found), ["one 1"]);
    assert_eq!(logs(&server, "writer=7").await["total"], 0);
}
