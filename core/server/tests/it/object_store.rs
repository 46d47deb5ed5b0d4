//! A server whose objects are in a bucket, and what it does while the bucket is away.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use runlane_server::{ObjectsPlace, S3Place};
use serde_json::json;

use crate::s3_store::{BUCKET, Fault, S3Store};
use crate::support::{Answer, HOST, TestServer};

async fn start() -> (S3Store, TestServer) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = S3Store::start(&dir.path().join("s3")).await;
    let place = S3Place::with_options(BUCKET, "runs", store.options());
    let server = TestServer::start_in(dir, |config| config.objects = ObjectsPlace::S3(place)).await;
    server.create_run("r").await;
    (store, server)
}

async fn upload(server: &TestServer, name: &str, body: impl Into<Body>) -> Answer {
    let data = server
        .graphql(
            "mutation C($files: [String!]!) { createRunFiles(input: {entityName: \"me\", projectName: \"p\", runName: \"r\", files: $files}) { files { uploadUrl } } }",
            json!({"files": [name]}),
        )
        .await;
    let url = data["createRunFiles"]["files"][0]["uploadUrl"]
        .as_str()
        .expect("a URL");
    let path = url
        .strip_prefix(&format!("http://{HOST}"))
        .expect("of this host");
    server.raw(Method::PUT, path, &[], body).await
}

async fn download(server: &TestServer, name: &str) -> Answer {
    server.get(&format!("/api/runs/me/p/r/files/{name}")).await
}

fn rows(range: std::ops::Range<usize>) -> Vec<String> {
    range
        .map(|step| format!("{{\"_step\":{step},\"loss\":{step}.5}}"))
        .collect()
}

fn pieces(count: usize) -> Body {
    Body::from_stream(futures::stream::iter((0..count).map(|number| {
        Ok::<_, std::io::Error>(Bytes::from(vec![
            u8::try_from(number % 251).expect("small");
            100_000
        ]))
    })))
}

#[tokio::test]
async fn files_and_history_live_in_the_bucket() {
    let (_store, server) = start().await;
    assert_eq!(upload(&server, "media/a b.txt", "first").await.status, 200);
    assert_eq!(upload(&server, "media/a b.txt", "second").await.status, 200);
    assert_eq!(download(&server, "media/a%20b.txt").await.body, b"second");
    assert_eq!(upload(&server, "empty", Body::empty()).await.status, 200);
    assert_eq!(download(&server, "empty").await.body, b"");
    // Larger than a part: several requests to the bucket.
    assert_eq!(upload(&server, "big", pieces(200)).await.status, 200);
    let big = download(&server, "big").await;
    assert_eq!((big.body.len(), big.body[150 * 100_000]), (20_000_000, 150));
    let key = server.key_header();
    let headers = [
        ("authorization", key.as_str()),
        ("range", "bytes=9999999-10000000"),
    ];
    let part = server
        .raw(
            Method::GET,
            "/api/runs/me/p/r/files/big",
            &headers,
            Body::empty(),
        )
        .await;
    assert_eq!((part.status.as_u16(), part.body), (206, vec![99, 100]));

    let lines = rows(0..500);
    server.send_history("r", 0, &lines).await;
    let (_, written) = server.server.upkeep_now().await.expect("upkeep");
    assert!(written > 0, "history was moved into an object");
    assert_eq!(server.history("r").await, lines);
    assert!(
        !server.dir.path().join("objects").exists(),
        "nothing is kept beside the bucket"
    );
}

#[tokio::test]
async fn while_the_bucket_is_away_uploads_wait_and_everything_else_goes_on() {
    let (store, server) = start().await;
    assert_eq!(upload(&server, "a.txt", "old").await.status, 200);
    server.send_history("r", 0, &rows(0..200)).await;
    let faults = [
        Fault {
            status: 500,
            code: "InternalError".into(),
            ..Fault::default()
        },
        Fault {
            status: 503,
            code: "SlowDown".into(),
            ..Fault::default()
        },
        Fault {
            status: 403,
            code: "AccessDenied".into(),
            ..Fault::default()
        },
        Fault {
            method: "PUT".into(),
            lose: true,
            ..Fault::default()
        },
    ];
    for fault in faults {
        store.fail(vec![fault.clone()]);
        let began = Instant::now();
        let answer = upload(&server, "a.txt", "new").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "1"),
            "{fault:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(20), "{fault:?}");
        let files = server
            .run(
                "r",
                "fileCount files(first: 9) { edges { node { name sizeBytes } } }",
            )
            .await;
        assert_eq!(
            files["files"]["edges"],
            json!([{"node": {"name": "a.txt", "sizeBytes": 3}}])
        );
        store.fail(Vec::new());
        assert_eq!(download(&server, "a.txt").await.body, b"old", "{fault:?}");
    }
    // A part of a large file fails for good.
    store.fail(vec![Fault {
        path: "partNumber=2".into(),
        status: 500,
        code: "InternalError".into(),
        ..Fault::default()
    }]);
    assert_eq!(upload(&server, "big", pieces(200)).await.status, 503);

    store.stop();
    assert_eq!(upload(&server, "a.txt", "new").await.status, 503);
    assert_eq!(download(&server, "a.txt").await.status, 503);
    assert_eq!(
        server.send_history("r", 200, &rows(200..300)).await["history"],
        300
    );
    server
        .server
        .upkeep_now()
        .await
        .expect_err("history cannot be moved now");
    assert_eq!(
        server.history("r").await,
        rows(0..300),
        "it is read from where it is"
    );
    assert_eq!(
        server.run("r", "summaryMetrics state").await["state"],
        "running"
    );
    assert_eq!(server.raw(Method::GET, "/ready", &[], "").await.status, 200);
    let end = json!({"complete": true, "exitcode": 0});
    assert_eq!(server.stream("r", &end).await.status, 200);
}
