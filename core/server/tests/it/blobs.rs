//! The bytes of artifacts: in and out by signed URLs, each content once.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use serde_json::json;

use crate::artifact_client::{Client, md5, objects};
use crate::support::TestServer;

const HELLO_MD5: &str = "5d41402abc4b2a76b9719d911017c592";

#[tokio::test]
async fn a_version_comes_back_byte_for_byte() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let big: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let files: [(&str, &[u8]); 4] = [
        ("a.txt", b"hello"),
        ("dir/ü & b?.bin", &big),
        ("empty", b""),
        ("again.txt", b"hello"),
    ];
    let artifact = client.log("ds", &files).await;
    let urls = client.urls("ds").await.expect("a version");
    assert_eq!(urls.len(), 4);
    for (name, bytes) in files {
        let answer = client.get(&urls[name], &[]).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body == bytes, "{name}");
        assert_eq!(answer.header("content-length"), bytes.len().to_string());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let disposition = answer.header("content-disposition");
        let plain = name.rsplit('/').next().expect("a name");
        let plain = plain.replace(|letter: char| !letter.is_ascii_graphic(), "_");
        assert!(
            disposition.starts_with(&format!("inline; filename=\"{plain}\"")),
            "{disposition}"
        );
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("sandbox; default-src 'none'")
        );
    }
    let manifest = client.get(&client.manifest_url(&artifact).await, &[]).await;
    assert_eq!(
        String::from_utf8_lossy(&manifest.body),
        client.manifest_of(&files)
    );
    // Three contents and a manifest: what two entries have is stored once.
    assert_eq!(objects(&server), 4);
}

#[tokio::test]
async fn an_upload_is_answered_with_its_etag() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let begun = client.begin_one(&artifact, "a.txt", b"hello").await;
    let put = client.put(&begun.upload.expect("a URL"), "hello").await;
    assert_eq!(put.status, 200);
    assert_eq!(put.header("etag"), format!("\"{HELLO_MD5}\""));
    assert_eq!(put.header("content-md5"), md5(b"hello"));
    // The same content is there now, under any name and in any version.
    assert_eq!(
        client.begin_one(&artifact, "b.txt", b"hello").await.upload,
        None
    );
    let other = client.create_for("other", &[]).await;
    assert_eq!(
        client.begin_one(&other, "c.txt", b"hello").await.upload,
        None
    );
}

#[tokio::test]
async fn both_algorithms_find_the_same_bytes() {
    let server = TestServer::start().await;
    let (by_md5, by_xxh128) = (Client::owner(&server), Client::owner(&server).with_xxh128());
    by_xxh128.log("x", &[("a.txt", b"hello")]).await;
    let artifact = by_md5.create_for("m", &[]).await;
    assert_eq!(
        by_md5.begin_one(&artifact, "a.txt", b"hello").await.upload,
        None
    );
    let answer = by_xxh128.get(&by_xxh128.url("x", "a.txt").await, &[]).await;
    assert_eq!(answer.body, b"hello");
    assert_eq!(answer.header("etag"), format!("\"{HELLO_MD5}\""));
}

#[tokio::test]
async fn the_same_content_from_many_at_once_is_one() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let bytes = vec![7_u8; 300_000];
    let path = client.begin_one(&artifact, "a", &bytes).await.upload;
    let path = path.expect("a URL");
    let uploads = (0..8).map(|_| client.put(&path, bytes.clone()));
    for answer in futures::future::join_all(uploads).await {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(objects(&server), 1);
}

#[tokio::test]
async fn ranges_are_served_side_by_side() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let bytes: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    client.log("ds", &[("a.bin", &bytes)]).await;
    let path = client.url("ds", "a.bin").await;
    let size = bytes.len();
    let ranges: Vec<_> = (0..size)
        .step_by(300_000)
        .map(|begin| begin..(begin + 300_000).min(size))
        .collect();
    let parts = futures::future::join_all(ranges.iter().map(|range| async {
        let value = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = client.get(&path, &[("range", &value)]).await;
        assert_eq!(answer.status, 206);
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {}-{}/{size}", range.start, range.end - 1)
        );
        answer.body
    }))
    .await;
    assert!(parts.concat() == bytes);
    for bad in ["bytes=2000000-", "bytes=5-1", "bytes=x"] {
        let answer = client.get(&path, &[("range", bad)]).await;
        assert_eq!(answer.status, 416, "{bad}");
    }
    let head = server.raw(Method::HEAD, &path, &[], Body::empty()).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "2000000")
    );
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn pages_of_other_origins_may_read_what_a_signed_url_leads_to() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.log("ds", &[("a.html", b"<script>1</script>")]).await;
    server.create_run("r").await;
    let made = server
        .graphql(
            "mutation { createRunFiles(input: {entityName: \"me\", projectName: \"p\", runName: \"r\", files: [\"f\"]}) { files { uploadUrl } } }",
            json!({}),
        )
        .await;
    let upload = crate::artifact_client::path_of(
        made["createRunFiles"]["files"][0]["uploadUrl"]
            .as_str()
            .expect("a URL"),
    );
    assert_eq!(client.put(&upload, "x").await.status, 200);
    let files = server
        .run("r", "files(first: 1) { edges { node { directUrl } } }")
        .await;
    let file = &files["files"]["edges"][0]["node"]["directUrl"];
    let signed = [
        client.url("ds", "a.html").await,
        client.manifest_url(&artifact).await,
        crate::artifact_client::path_of(file.as_str().expect("a URL")),
    ];
    let origin = [
        ("origin", "https://elsewhere.example"),
        ("access-control-request-method", "GET"),
    ];
    for path in signed {
        let answer = server
            .raw(Method::OPTIONS, &path, &origin, Body::empty())
            .await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        let answer = client.get(&path, &origin[..1]).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        // The signature is what allows it.
        let forged = path.replace("sig=", "sig=x");
        let answer = server
            .raw(Method::OPTIONS, &forged, &origin, Body::empty())
            .await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.header("access-control-allow-origin")
            ),
            (403, "")
        );
    }
    // What needs the key is for our own pages.
    let path = format!("/artifacts/me/{}", "0".repeat(32));
    for path in [path.as_str(), "/api/session", "/graphql"] {
        let answer = server
            .raw(Method::OPTIONS, path, &origin, Body::empty())
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        let answer = client.get_with_key(path).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn a_missing_object_is_an_outage_and_not_an_empty_file() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    client.log("ds", &[("a", b"hello")]).await;
    let path = client.url("ds", "a").await;
    std::fs::remove_dir_all(server.dir.path().join("objects/blobs")).expect("removed");
    let answer = client.get(&path, &[]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "1")
    );
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_an_outage_with_nothing_half_done() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let path = client.begin_one(&artifact, "a", b"hello").await.upload;
    let path = path.expect("a URL");
    // A file where the directory has to be, as a full or broken disk refuses it.
    let place = server.dir.path().join("objects/blobs");
    std::fs::write(&place, "").expect("a file");
    let answer = client.put(&path, "hello").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "1")
    );
    let again = client.begin_one(&artifact, "a", b"hello").await;
    assert!(again.upload.is_some(), "nothing of it is there");
    std::fs::remove_file(&place).expect("removed");
    assert_eq!(client.put(&path, "hello").await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let bytes = vec![1_u8; 600_000];
    let path = client.begin_one(&artifact, "a", &bytes).await.upload;
    let path = path.expect("a URL");
    let (arrived, wait) = tokio::sync::oneshot::channel();
    let first = Bytes::from(bytes[..500_000].to_vec());
    let body = futures::stream::once(async { Ok::<_, std::io::Error>(first) });
    let rest = futures::stream::once(async {
        // Asked for after the first part was written.
        arrived.send(()).expect("somebody waits");
        std::future::pending().await
    });
    let body = Body::from_stream(futures::StreamExt::chain(body, rest));
    tokio::select! {
        answer = client.put(&path, body) => panic!("answered: {answer:?}"),
        gone = wait => gone.expect("the body is read"),
    }
    // What was written is removed in the background.
    for _ in 0..500 {
        if objects(&server) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(objects(&server), 0);
    let again = client.begin_one(&artifact, "a", &bytes).await;
    assert_eq!(again.upload.map(|path| path.len()), Some(path.len()));
    assert_eq!(client.put(&path, bytes).await.status, 200);
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up_and_others_go_on() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = TestServer::start_in(dir, |config| {
        config.limits.body_idle = Duration::from_secs(1);
    })
    .await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let stalling = client.begin_one(&artifact, "slow", b"slow bytes").await;
    let quick = client.begin_one(&artifact, "quick", b"quick bytes").await;
    let stalled = (0..64).map(|_| {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("slow")) });
        let body = futures::StreamExt::chain(first, futures::stream::pending());
        client.put(
            stalling.upload.as_deref().expect("a URL"),
            Body::from_stream(body),
        )
    });
    let stalled = std::pin::pin!(futures::future::join_all(stalled));
    let path = quick.upload.as_deref().expect("a URL");
    let quick = std::pin::pin!(client.put(path, "quick bytes"));
    let futures::future::Either::Left((quick, stalled)) =
        futures::future::select(quick, stalled).await
    else {
        panic!("held up by the others");
    };
    assert_eq!(quick.status, 200);
    let stalled = stalled.await;
    assert!(stalled.iter().all(|answer| answer.status == 408));
    assert_eq!(objects(&server), 1);
}
