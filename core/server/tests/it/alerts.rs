//! Alerts: stored once per title and waiting time, shown newest first.

use std::time::Duration;

use runlane_server::clock::Clock as _;
use serde_json::{Value, json};

use crate::support::TestServer;

const NOTIFY: &str = "mutation A($run: String!, $title: String!, $text: String!, $severity: AlertSeverity, $wait: Duration, \
$at: Int64) { notifyScriptableRunAlert(input: {entityName: \"me\", projectName: \"p\", runName: $run, title: $title, \
text: $text, severity: $severity, waitDuration: $wait, occurredAtMicros: $at}) { success } }";

async fn notify(server: &TestServer, variables: Value) {
    let data = server.graphql(NOTIFY, variables).await;
    assert_eq!(data["notifyScriptableRunAlert"]["success"], true);
}

async fn texts(server: &TestServer, run: &str) -> Vec<String> {
    let run = server
        .run(run, "alertCount alerts { title text severity createdAt }")
        .await;
    let alerts = run["alerts"].as_array().expect("a list");
    assert_eq!(run["alertCount"], alerts.len());
    alerts
        .iter()
        .map(|alert| {
            format!(
                "{} {}: {}",
                alert["severity"], alert["title"], alert["text"]
            )
            .replace('"', "")
        })
        .collect()
}

#[tokio::test]
async fn alerts_of_one_title_wait_and_others_do_not() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let first =
        json!({"run": "r", "title": "High loss", "text": "9", "severity": "WARN", "wait": 60_000});
    notify(&server, first.clone()).await;
    server.clock.advance(Duration::from_secs(59));
    notify(
        &server,
        json!({"run": "r", "title": "High loss", "text": "too early", "wait": 60_000}),
    )
    .await;
    notify(
        &server,
        json!({"run": "r", "title": "Disk", "text": "full", "severity": "ERROR"}),
    )
    .await;
    server.clock.advance(Duration::from_secs(2));
    notify(
        &server,
        json!({"run": "r", "title": "High loss", "text": "again", "wait": 60_000}),
    )
    .await;
    assert_eq!(
        texts(&server, "r").await,
        [
            "INFO High loss: again",
            "ERROR Disk: full",
            "WARN High loss: 9"
        ]
    );
}

#[tokio::test]
async fn alerts_that_are_uploaded_later_keep_their_times_and_are_stored_once() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let now = server.clock.now_micros();
    let hour = 3_600_000_000_i64;
    let at = |hours: i64, text: &str| json!({"run": "r", "title": "t", "text": text, "wait": 60_000, "at": now - hours * hour});
    // Hours apart when they were sent, at once when they arrive, in any order, the first one twice.
    for alert in [at(3, "three"), at(1, "one"), at(2, "two"), at(3, "three")] {
        notify(&server, alert).await;
    }
    assert_eq!(
        texts(&server, "r").await,
        ["INFO t: one", "INFO t: two", "INFO t: three"]
    );
    // Without a waiting time too, the same alert is stored once.
    for _ in 0..2 {
        notify(
            &server,
            json!({"run": "r", "title": "u", "text": "", "wait": 0, "at": now - 5}),
        )
        .await;
    }
    assert_eq!(texts(&server, "r").await.len(), 4);
}

#[tokio::test]
async fn a_crash_is_an_alert_and_other_ends_are_none() {
    let server = TestServer::start().await;
    let died = json!({"complete": true, "exitcode": 255, "runlane": {"trainer_died": true}});
    for (name, body) in [
        ("died", &died),
        ("well", &json!({"complete": true, "exitcode": 0})),
        ("badly", &json!({"complete": true, "exitcode": 1})),
        ("leaving", &json!({"preempting": true})),
    ] {
        server.create_run(name).await;
        server.stream(name, body).await;
        server.stream(name, body).await;
    }
    server.stream("leaving", &died).await;
    assert_eq!(
        texts(&server, "died").await,
        ["ERROR Run crashed: The process ended without an exit code."]
    );
    for name in ["well", "badly", "leaving"] {
        assert_eq!(texts(&server, name).await, [""; 0], "{name}");
    }
}
