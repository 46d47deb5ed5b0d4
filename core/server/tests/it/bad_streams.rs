//! `file_stream` requests that are wrong: refused whole, with a reason, and without a trace.

use std::io::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

const PATH: &str = "/files/me/p/r/file_stream";

/// What is wrong, headers, body, status of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

async fn send(server: &TestServer, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let key = server.key_header();
    let mut all = vec![("authorization", key.as_str())];
    all.extend_from_slice(headers);
    server.raw(Method::POST, PATH, &all, body).await
}

fn history(offset: &Value, content: &Value) -> Value {
    json!({"files": {
        // Read and applied before the other: it must not stay if the other is refused.
        "output.log": {"offset": 0, "content": ["a line"]},
        "wandb-history.jsonl": {"offset": offset, "content": content},
    }})
}

/// Checks that `answer` refuses with `status`, that nothing was stored, and that the next request is taken.
async fn check_refused(server: &TestServer, what: &str, answer: Answer, status: u16) {
    assert_eq!(
        answer.status,
        status,
        "{what}: {}",
        String::from_utf8_lossy(&answer.body)
    );
    let error = answer.json()["error"].clone();
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        error["code"].is_string() && !message.is_empty(),
        "{what}: {error}"
    );
    assert!(message.len() < 500, "{what}: the message quotes too much");
    assert!(!message.contains(&server.server.credentials().api_key));
    let stored = server
        .run(
            "r",
            "historyLineCount eventsLineCount logLineCount state summaryMetrics",
        )
        .await;
    assert_eq!(
        stored,
        json!({"historyLineCount": 0, "eventsLineCount": 0, "logLineCount": 0, "state": "running", "summaryMetrics": "{}"}),
        "{what}"
    );
    assert_eq!(
        server.stream("r", &json!({})).await.status,
        200,
        "{what}: the next request"
    );
}

async fn check(cases: Vec<(&str, Value, u16)>) {
    let server = TestServer::start().await;
    server.create_run("r").await;
    for (what, body, status) in cases {
        let answer = send(&server, &[], body.to_string()).await;
        check_refused(&server, what, answer, status).await;
    }
    let good = history(&json!(0), &json!(["{\"_step\":0}"]));
    assert_eq!(server.stream("r", &good).await.status, 200);
    assert_eq!(
        server.run("r", "historyLineCount").await["historyLineCount"],
        1
    );
}

#[tokio::test]
async fn wrong_types_and_offsets_are_refused_whole() {
    let lines = json!(["{\"_step\":0}"]);
    check(vec![
        ("no object", json!([{"files": {}}]), 400),
        ("files is no object", json!({"files": 3}), 400),
        ("a file is no object", json!({"files": {"output.log": 3}}), 400),
        ("no offset", json!({"files": {"output.log": {"content": []}}}), 400),
        ("no content", json!({"files": {"output.log": {"offset": 0}}}), 400),
        ("negative offset", history(&json!(-1), &lines), 422),
        ("fractional offset", history(&json!(0.5), &lines), 400),
        ("huge offset", history(&json!(1_u64 << 50), &lines), 422),
        ("offset beyond 64 bits", history(&json!(1e300), &lines), 400),
        ("offset is text", history(&json!("0"), &lines), 400),
        ("content is text", history(&json!(0), &json!("{}")), 400),
        ("content is not of texts", history(&json!(0), &json!([{"_step": 0}])), 400),
        ("line is no object", history(&json!(0), &json!(["{\"_step\":0}", "[1]"])), 422),
        ("line is no JSON", history(&json!(0), &json!(["{\"_step\":0}", "{"])), 422),
        ("unknown file", json!({"files": {"output.log": {"offset": 0, "content": ["x"]}, "../x": {"offset": 0, "content": []}}}), 422),
        ("summary is no object", json!({"files": {"output.log": {"offset": 0, "content": ["x"]}, "wandb-summary.json": {"offset": 0, "content": ["3"]}}}), 422),
        ("exit code is text", json!({"complete": true, "exitcode": "0"}), 400),
        ("no exit code", json!({"complete": true}), 422),
    ])
    .await;
}

#[tokio::test]
async fn too_long_lines_and_too_many_lines_are_refused_whole() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let long = history(&json!(0), &json!(["x".repeat((10 << 20) + 1)]));
    let answer = send(&server, &[], long.to_string()).await;
    check_refused(&server, "a long line", answer, 413).await;
    let many = format!(
        "{{\"files\": {{\"output.log\": {{\"offset\": 0, \"content\": [{}\"\"]}}}}}}",
        "\"\",".repeat(1_000_000)
    );
    let answer = send(&server, &[], many).await;
    check_refused(&server, "a million lines", answer, 413).await;
}

#[tokio::test]
async fn bodies_that_are_not_what_they_say_are_refused() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let body = history(&json!(0), &json!(["{\"_step\":0}"])).to_string();
    let zipped = gzip(body.as_bytes());
    let mut longer = zipped.clone();
    longer.extend_from_slice(b"garbage");
    let cases: Vec<Case> = vec![
        ("empty", &[], Vec::new(), 400),
        ("no JSON", &[], b"hello".to_vec(), 400),
        (
            "half of a JSON",
            &[],
            body.as_bytes()[..body.len() / 2].to_vec(),
            400,
        ),
        (
            "more behind the JSON",
            &[],
            format!("{body}{{}}").into_bytes(),
            400,
        ),
        ("no UTF-8", &[], b"{\"files\": {\"\xff\": 1}}".to_vec(), 400),
        ("deep", &[], "[".repeat(100_000).into_bytes(), 400),
        (
            "the same member twice",
            &[],
            b"{\"files\": {}, \"files\": {}}".to_vec(),
            400,
        ),
        (
            "unknown encoding",
            &[("content-encoding", "br")],
            zipped.clone(),
            415,
        ),
        (
            "plain body called gzip",
            &[("content-encoding", "gzip")],
            body.clone().into_bytes(),
            400,
        ),
        ("gzip body called plain", &[], zipped.clone(), 400),
        (
            "half a gzip body",
            &[("content-encoding", "gzip")],
            zipped[..zipped.len() / 2].to_vec(),
            400,
        ),
        (
            "gzip body without its check sum",
            &[("content-encoding", "gzip")],
            zipped[..zipped.len() - 8].to_vec(),
            400,
        ),
        (
            "bytes behind a gzip body",
            &[("content-encoding", "gzip")],
            longer,
            400,
        ),
        (
            "a gzip bomb",
            &[("content-encoding", "gzip")],
            gzip(&vec![b' '; 70 << 20]),
            413,
        ),
        (
            "announced as too large",
            &[("content-length", "67108865")],
            body.clone().into_bytes(),
            413,
        ),
    ];
    for (what, headers, body, status) in cases {
        let answer = send(&server, headers, body).await;
        check_refused(&server, what, answer, status).await;
    }
    let cut = futures::stream::iter([
        Ok(Bytes::from(body[..20].to_owned())),
        Err(std::io::Error::other("the client has gone")),
    ]);
    let answer = send(&server, &[], Body::from_stream(cut)).await;
    check_refused(&server, "cut off", answer, 400).await;
    let endless =
        futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 20])));
    let answer = send(&server, &[], Body::from_stream(endless)).await;
    check_refused(&server, "without end", answer, 413).await;
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = TestServer::start_in(dir, |config| {
        config.limits.body_idle = Duration::from_millis(50);
    })
    .await;
    server.create_run("r").await;
    let stalled =
        futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{")) });
    let stalled = futures::StreamExt::chain(stalled, futures::stream::pending());
    let answer = send(&server, &[], Body::from_stream(stalled)).await;
    check_refused(&server, "stalled", answer, 408).await;
}

#[tokio::test]
async fn bodies_in_memory_are_bounded_all_together() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = TestServer::start_in(dir, |config| {
        config.limits.bodies_bytes = 3 << 20;
        config.limits.body_idle = Duration::from_secs(10);
    })
    .await;
    server.create_run("r").await;
    let (held, arrives) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    held.send(Ok(Bytes::from(vec![b' '; 2 << 20])))
        .await
        .expect("room");
    let slow = send(
        &server,
        &[],
        Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(arrives)),
    );
    let other = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = send(&server, &[], vec![b' '; 2 << 20]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "1")
        );
        let small = send(&server, &[], "{}").await;
        assert_eq!(small.status, 200, "what is small still finds room");
        held.send(Ok(Bytes::from_static(b"{}")))
            .await
            .expect("room");
        drop(held);
    };
    let (slow, ()) = tokio::join!(slow, other);
    assert_eq!(slow.status, 200);
    assert_eq!(
        send(&server, &[], [vec![b' '; 2 << 20], b"{}".to_vec()].concat())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_comes_after_the_end_is_stored_and_the_run_stays_ended() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let end = json!({"complete": true, "exitcode": 3});
    for _ in 0..2 {
        assert_eq!(server.stream("r", &end).await.status, 200);
    }
    assert_eq!(server.run("r", "state").await["state"], "failed");
    assert_eq!(
        server.send_history("r", 0, &["{\"_step\":0}"]).await["history"],
        1
    );
    let run = server.run("r", "state historyLineCount").await;
    assert_eq!(run, json!({"state": "failed", "historyLineCount": 1}));
}

#[tokio::test]
async fn a_line_with_a_key_twice_is_one_row() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let line = "{\"_step\":0,\"a\":1,\"a\":2}";
    assert_eq!(server.send_history("r", 0, &[line]).await["history"], 1);
    assert_eq!(server.history("r").await.len(), 1);
}

#[tokio::test]
async fn unknown_and_deleted_runs_have_no_stream() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let id = server.run("r", "id").await["id"].clone();
    server
        .graphql(
            "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
            json!({"id": id}),
        )
        .await;
    for name in ["r", "never", "a%2Fb", "..", "%00", "x;y=z", "%F0%9F%8E%89"] {
        let answer = server
            .post(&format!("/files/me/p/{name}/file_stream"), "{}")
            .await;
        // PostgreSQL has no NUL character, and says so.
        let is_nul = name == "%00" && answer.status == 422;
        assert!(is_nul || answer.status == 404, "{name}");
        let code = if is_nul { "invalid" } else { "not_found" };
        assert_eq!(answer.json()["error"]["code"], code, "{name}");
    }
}
