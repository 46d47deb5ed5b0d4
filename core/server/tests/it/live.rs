//! Pages are told what changed.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{HOST, TestServer};

#[tokio::test]
async fn change_of_a_run_in_scope_is_told() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let request = Request::get("/api/live?entity=me&project=p")
        .header(header::HOST, HOST)
        .header(header::AUTHORIZATION, server.key_header())
        .body(Body::empty())
        .expect("a valid request");
    let response = server
        .server
        .router()
        .oneshot(request)
        .await
        .expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    server.send_history("r", 0, &[r#"{"_step":3}"#]).await;
    let samples = [r#"{"_runtime":0}"#, r#"{"_runtime":15}"#].map(str::to_owned);
    server.send_events("r", 0, &samples).await;
    let told = async {
        let mut seen = String::new();
        while !(seen.contains("\"historyLineCount\":1") && seen.contains("\"eventsLineCount\":2")) {
            let part = events
                .next()
                .await
                .expect("the stream goes on")
                .expect("bytes");
            seen.push_str(std::str::from_utf8(&part).expect("text"));
        }
        seen
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), told)
        .await
        .expect("told soon");
    let data = seen
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .next_back()
        .expect("data");
    let data: serde_json::Value = serde_json::from_str(data.trim()).expect("JSON");
    assert_eq!(
        (
            &data["entity"],
            &data["project"],
            &data["run"],
            &data["state"],
            &data["lastStep"]
        ),
        (
            &json!("me"),
            &json!("p"),
            &json!("r"),
            &json!("running"),
            &json!(3)
        )
    );
}
