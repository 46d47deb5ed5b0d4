//! Uploads of artifacts that are wrong, and signed URLs that are used for something else.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;

use crate::artifact_client::{Client, md5, objects};
use crate::support::TestServer;

/// What is wrong, headers, body, status of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Body, u16);

fn broken() -> Body {
    Body::from_stream(futures::stream::iter([
        Ok(Bytes::from("he")),
        Err(std::io::Error::other("the client has gone")),
    ]))
}

#[tokio::test]
async fn bytes_that_are_not_what_was_announced_leave_nothing() {
    let server = TestServer::start().await;
    let other = md5(b"other");
    for client in [Client::owner(&server), Client::owner(&server).with_xxh128()] {
        let artifact = client.create_for("ds", &[]).await;
        let path = client.begin_one(&artifact, "a", b"hello").await.upload;
        let path = path.expect("a URL");
        let wrong = [("content-md5", other.as_str())];
        let cases: Vec<Case> = vec![
            ("other bytes", &[], "other".into(), 400),
            ("nothing", &[], Body::empty(), 400),
            (
                "shorter than announced",
                &[("content-length", "9")],
                "hello".into(),
                400,
            ),
            (
                "longer than announced",
                &[("content-length", "2")],
                "hello".into(),
                400,
            ),
            ("another digest", &wrong, "hello".into(), 400),
            (
                "a digest that is none",
                &[("content-md5", "nope")],
                "hello".into(),
                400,
            ),
            (
                "more than five tebibytes",
                &[("content-length", "5497558138881")],
                "hello".into(),
                413,
            ),
            ("cut off", &[], broken(), 400),
            (
                "a copy",
                &[("x-amz-copy-source", "/b/other")],
                "hello".into(),
                403,
            ),
        ];
        for (what, headers, body, status) in cases {
            let answer = server.raw(Method::PUT, &path, headers, body).await;
            assert_eq!(answer.status, status, "{what}: {}", answer.json());
            assert!(answer.json()["error"]["code"].is_string(), "{what}");
            let again = client.begin_one(&artifact, "a", b"hello").await;
            assert!(again.upload.is_some(), "{what}: nothing is there");
            assert_eq!(objects(&server), 0, "{what}");
        }
    }
}

#[tokio::test]
async fn no_length_is_needed_and_too_much_is_refused_on_the_way() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = TestServer::start_in(dir, |config| {
        config.limits.artifact_file_bytes = 1 << 20;
        config.limits.manifest_bytes = 1 << 20;
    })
    .await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let chunk = Bytes::from(vec![0; 64 << 10]);
    let endless = || {
        let chunk = chunk.clone();
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&sent);
        let stream = futures::stream::repeat_with(move || {
            count.fetch_add(chunk.len(), std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::io::Error>(chunk.clone())
        });
        (Body::from_stream(stream), sent)
    };
    let file = client.begin_one(&artifact, "a", b"hello").await.upload;
    let manifest = client.manifest(&artifact, &md5(b"hello")).await.1;
    for path in [file, manifest] {
        let (body, sent) = endless();
        let answer = client.put(&path.expect("a URL"), body).await;
        assert_eq!(answer.status, 413);
        assert!(
            sent.load(std::sync::atomic::Ordering::Relaxed) <= 2 << 20,
            "within a mebibyte of the limit"
        );
    }
    assert_eq!(objects(&server), 0);
    let whole = vec![1; 1 << 20];
    let path = client.begin_one(&artifact, "b", &whole).await.upload;
    let pieces = whole.chunks(100_000).map(<[u8]>::to_vec);
    let pieces: Vec<_> = pieces.map(Ok::<_, std::io::Error>).collect();
    let body = Body::from_stream(futures::stream::iter(pieces));
    assert_eq!(
        client.put(&path.expect("a URL"), body).await.status,
        200,
        "the limit itself, without a length"
    );
}

#[tokio::test]
async fn a_signed_url_is_for_one_object_and_one_method() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let committed = client.log("ds", &[("a", b"hello")]).await;
    let artifact = client.create_for("other", &[]).await;
    let put = client.begin_one(&artifact, "b", b"other").await.upload;
    let put = put.expect("a URL");
    let manifest = client.manifest(&artifact, &md5(b"m")).await.1;
    let parts = vec![Client::owner(&server).digest(b"x"); 1];
    let manifest_id = client.manifest(&artifact, "").await.0;
    let hex = "9dd4e461268c8034f5c8564e155c67a6".to_owned();
    let part = client
        .begin(
            &artifact,
            &manifest_id,
            &[("c", parts[0].clone(), String::new(), vec![hex])],
        )
        .await
        .remove(0)
        .parts
        .remove(0)
        .1;
    let get = client.url("ds", "a").await;
    let get_manifest = client.manifest_url(&committed).await;
    let urls = [
        (Method::PUT, put.clone()),
        (Method::PUT, manifest.expect("a URL")),
        (Method::PUT, part),
        (Method::GET, get.clone()),
        (Method::GET, get_manifest),
    ];
    let before = objects(&server);
    for (method, url) in &urls {
        let (path, query) = url.split_once('?').expect("a query");
        let segments: Vec<&str> = path.split('/').collect();
        let mut forged = vec![
            (format!("{path}?{}", query.replace("sig=", "sig=A")), 403),
            (format!("{url}!!"), 403),
            (path.to_owned(), 400),
            (
                format!("{path}?{}", query.replace("expires=", "expires=9")),
                403,
            ),
            (format!("{path}?{}", query.replace("expires=", "x=")), 400),
        ];
        // Every part of the path, replaced by one that is as good.
        for at in 3..segments.len() {
            let mut changed = segments.clone();
            let other = match changed[at] {
                "1" => "2",
                number if number.parse::<u64>().is_ok() => "1",
                text if text.len() == 32 => "5d41402abc4b2a76b9719d911017c593",
                _ => "x",
            };
            changed[at] = other;
            forged.push((format!("{}?{query}", changed.join("/")), 403));
        }
        let others = [Method::PUT, Method::GET, Method::POST, Method::DELETE];
        for (forged, status) in forged {
            let answer = server.raw(method.clone(), &forged, &[], "other").await;
            assert_eq!(answer.status, status, "{method} {forged}");
            let sig = query.split("sig=").nth(1).expect("a signature");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!text.contains(sig), "the signature comes back: {text}");
        }
        for other in others.iter().filter(|other| *other != method) {
            let answer = server.raw(other.clone(), url, &[], "other").await;
            assert!(
                [403, 405].contains(&answer.status.as_u16()),
                "{other} {url}: {}",
                answer.status
            );
        }
    }
    assert_eq!(objects(&server), before);
    assert_eq!(client.get(&get, &[]).await.body, b"hello");
    server.clock.advance(Duration::from_secs(3_601));
    assert_eq!(client.get(&get, &[]).await.status, 403, "expired");
    server.clock.advance(Duration::from_hours(10));
    assert_eq!(client.put(&put, "other").await.status, 200, "long uploads");
    server.clock.advance(Duration::from_hours(2));
    assert_eq!(client.put(&put, "other").await.status, 403, "expired");
}

#[tokio::test]
async fn names_in_urls_lead_nowhere_else() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    client.log("ds", &[("a", b"hello")]).await;
    let get = client.url("ds", "a").await;
    let (path, query) = get.split_once('?').expect("a query");
    let head = path.strip_suffix("/a").expect("the name comes last");
    for name in [
        "..",
        "%2e%2e",
        "%252e%252e",
        "..%2f..%2frunlane.db",
        "a%00",
        "%ff",
        "..%5c..%5cx",
        "a/b",
        "%2fetc%2fpasswd",
        "a;b",
        "%c0%ae%c0%ae",
    ] {
        let answer = client.get(&format!("{head}/{name}?{query}"), &[]).await;
        assert!(
            [400, 403, 404].contains(&answer.status.as_u16()),
            "{name}: {}",
            answer.status
        );
        assert_ne!(answer.body, b"hello", "{name}");
    }
    for object in ["..%2f..%2frunlane.db", "..", "%2e%2e%2f%2e%2e"] {
        let answer = client
            .get(&format!("/storage/blobs/1/{object}/a?{query}"), &[])
            .await;
        assert!(
            [400, 403, 404].contains(&answer.status.as_u16()),
            "{object}"
        );
    }
}

#[tokio::test]
async fn nothing_is_changed_of_a_version_that_is_committed() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("a", b"hello")];
    let artifact = client.create_for("ds", &files).await;
    let file = client.begin_one(&artifact, "a", b"hello").await.upload;
    let file = file.expect("a URL");
    assert_eq!(client.put(&file, "hello").await.status, 200);
    let manifest = client.manifest_of(&files);
    let (_id, url) = client.manifest(&artifact, &md5(manifest.as_bytes())).await;
    let url = url.expect("a URL");
    assert_eq!(client.put(&url, manifest.clone()).await.status, 200);
    assert_eq!(
        client.put(&url, manifest.clone()).await.status,
        200,
        "sent twice"
    );
    assert_eq!(client.put(&url, "other").await.status, 400);
    assert_eq!(client.commit(&artifact).await.json().get("errors"), None);
    let before = objects(&server);
    for (url, body) in [(&url, manifest.as_str()), (&file, "hello")] {
        let answer = client.put(url, body.to_owned()).await;
        assert_eq!(answer.status, 409, "{url}");
    }
    assert_eq!(objects(&server), before);
    let found = client.get(&client.manifest_url(&artifact).await, &[]).await;
    assert_eq!(String::from_utf8_lossy(&found.body), manifest);
}

#[tokio::test]
async fn a_manifest_that_is_to_have_another_file_takes_no_more_of_the_first() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let (id, first) = client.manifest(&artifact, &md5(b"first")).await;
    let again = client
        .ask(
            "mutation U($id: ID!, $digest: String!) { updateArtifactManifest(input: {artifactManifestID: $id, digest: $digest}) { artifactManifest { file { uploadUrl } } } }",
            serde_json::json!({"id": id, "digest": md5(b"second")}),
        )
        .await;
    let second = &again["updateArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"];
    let second = crate::artifact_client::path_of(second.as_str().expect("a URL"));
    let first = first.expect("a URL");
    assert_eq!(client.put(&first, "first").await.status, 404);
    assert_eq!(client.put(&second, "second").await.status, 200);
    assert_eq!(objects(&server), 1);
}
