//! The bytes of artifacts in a bucket, and while it is away.

use std::time::{Duration, Instant};

use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_server::{ObjectsPlace, S3Place};
use serde_json::Value;

use crate::artifact_client::{Begun, Client};
use crate::s3_store::{BUCKET, Fault, S3Store};
use crate::support::TestServer;

async fn start() -> (S3Store, TestServer) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = S3Store::start(&dir.path().join("s3")).await;
    let place = S3Place::with_options(BUCKET, "runs", store.options());
    let server = TestServer::start_in(dir, |config| config.objects = ObjectsPlace::S3(place)).await;
    (store, server)
}

#[tokio::test]
async fn versions_and_files_in_parts_live_in_the_bucket() {
    let (_store, server) = start().await;
    let client = Client::owner(&server);
    // Larger than a part of the bucket's own uploads.
    let big: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
    let files: [(&str, &[u8]); 3] = [("a", b"hello"), ("empty", b""), ("big", &big)];
    let artifact = client.create_for("ds", &files).await;
    let manifest = client.manifest(&artifact, "").await.0;
    for (name, bytes) in &files[..2] {
        let path = client.begin_one(&artifact, name, bytes).await.upload;
        let put = client.put(&path.expect("a URL"), bytes.to_vec()).await;
        assert_eq!(put.status, 200);
    }
    let parts: Vec<&[u8]> = big.chunks(3 << 20).collect();
    let hexes = parts
        .iter()
        .map(|part| Digest::of(Algorithm::Md5, part).hex())
        .collect();
    let file = ("big", client.digest(&big), String::new(), hexes);
    let begun = client.begin(&artifact, &manifest, &[file]).await.remove(0);
    for (part, (_, path, _)) in parts.iter().zip(&begun.parts) {
        assert_eq!(client.put(path, part.to_vec()).await.status, 200);
    }
    let done = client.complete(&artifact, &begun).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
    client.put_manifest(&artifact, &files).await;
    let done = client.commit(&artifact).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
    let urls = client.urls("ds").await.expect("a version");
    for (name, bytes) in files {
        assert!(client.get(&urls[name], &[]).await.body == bytes, "{name}");
    }
    let range = [("range", "bytes=3999999-4000000")];
    let part = client.get(&urls["big"], &range).await;
    assert_eq!(
        (part.status.as_u16(), &*part.body),
        (206, &big[3_999_999..=4_000_000])
    );
    assert!(!server.dir.path().join("objects").exists());
    client.delete(&artifact).await;
    server.clock.advance(Duration::from_hours(25));
    let (contents, objects) = server.server.collect_now().await.expect("collected");
    assert_eq!((contents, objects), (3, 4));
    assert_eq!(client.get(&urls["a"], &[]).await.status, 403, "expired");
}

/// Asks until the parts are joined, or cannot be; the answer, and how often it was asked for.
async fn complete(client: &Client<'_>, artifact: &str, begun: &Begun) -> (Value, usize) {
    for asked in 1..200 {
        let answer = client.complete(artifact, begun).await.json();
        if answer["errors"][0]["extensions"]["code"] != "in_progress" {
            return (answer, asked);
        }
    }
    panic!("joining does not end");
}

#[tokio::test]
async fn joining_goes_on_without_the_request_and_is_asked_for_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = S3Store::start(&dir.path().join("s3")).await;
    let place = S3Place::with_options(BUCKET, "runs", store.options());
    let server = TestServer::start_in(dir, |config| {
        config.objects = ObjectsPlace::S3(place);
        config.limits.join_wait = Duration::from_millis(100);
    })
    .await;
    let client = Client::owner(&server);
    let parts: [&[u8]; 2] = [b"first and ", b"second"];
    let whole = parts.concat();
    let artifact = client.create_for("ds", &[("f", &whole)]).await;
    let manifest = client.manifest(&artifact, "").await.0;
    let hexes = parts
        .iter()
        .map(|part| Digest::of(Algorithm::Md5, part).hex())
        .collect();
    let file = ("f", client.digest(&whole), String::new(), hexes);
    let begun = client.begin(&artifact, &manifest, &[file]).await.remove(0);
    for (part, (_, path, _)) in parts.iter().zip(&begun.parts) {
        assert_eq!(client.put(path, part.to_vec()).await.status, 200);
    }
    // The bucket takes its time.
    store.fail(vec![Fault {
        method: "GET".into(),
        delay_millis: 400,
        ..Fault::default()
    }]);
    let first = client.complete(&artifact, &begun).await;
    assert_eq!(
        (
            first.status.as_u16(),
            first.json()["errors"][0]["extensions"]["code"].as_str()
        ),
        (503, Some("in_progress"))
    );
    let (done, asked) = complete(&client, &artifact, &begun).await;
    assert_eq!(done.get("errors"), None, "{done}");
    assert!(asked > 1);
    // One join, however often it was asked for: the whole has replaced the parts.
    store.fail(Vec::new());
    client.put_manifest(&artifact, &[("f", &whole)]).await;
    let done = client.commit(&artifact).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
    let found = client.get(&client.url("ds", "f").await, &[]).await;
    assert_eq!(found.body, whole);
    // While it is away in the middle of it, nothing is lost.
    let other = client.create_for("other", &[("f", b"another")]).await;
    let hexes = vec![Digest::of(Algorithm::Md5, b"another").hex()];
    let file = ("f", client.digest(b"another"), String::new(), hexes);
    let manifest = client.manifest(&other, "").await.0;
    let begun = client.begin(&other, &manifest, &[file]).await.remove(0);
    assert_eq!(client.put(&begun.parts[0].1, "another").await.status, 200);
    store.fail(vec![Fault {
        method: "GET".into(),
        status: 403,
        code: "AccessDenied".into(),
        ..Fault::default()
    }]);
    let (refused, _) = complete(&client, &other, &begun).await;
    assert_eq!(
        refused["errors"][0]["extensions"]["status"], 503,
        "{refused}"
    );
    store.fail(Vec::new());
    let (done, _) = complete(&client, &other, &begun).await;
    assert_eq!(done.get("errors"), None, "{done}");
}

#[tokio::test]
async fn while_the_bucket_is_away_uploads_are_refused_and_nothing_is_half_there() {
    let (store, server) = start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[("a", b"hello")]).await;
    let path = client.begin_one(&artifact, "a", b"hello").await.upload;
    let path = path.expect("a URL");
    let faults = [
        Fault {
            status: 507,
            code: "QuotaExceeded".into(),
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
        let answer = client.put(&path, "hello").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "1"),
            "{fault:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(20), "{fault:?}");
        store.fail(Vec::new());
        let again = client.begin_one(&artifact, "a", b"hello").await;
        assert!(
            again.upload.is_some(),
            "{fault:?}: no row without its object"
        );
    }
    assert_eq!(client.put(&path, "hello").await.status, 200);
    client.put_manifest(&artifact, &[("a", b"hello")]).await;
    store.stop();
    // What is known of artifacts is in the database.
    assert_eq!(
        client.begin_one(&artifact, "b", b"hello").await.upload,
        None
    );
    let refused = client.commit(&artifact).await.json();
    assert!(refused["errors"].is_array(), "{refused}");
    assert_eq!(client.urls("ds").await, None);
}
