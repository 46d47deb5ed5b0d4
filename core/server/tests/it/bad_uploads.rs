//! Uploads and downloads that are wrong, and those that come while the object store is away.

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::artifact_client::objects;
use crate::support::{Answer, HOST, TestServer};

const MD5_OF_X: &str = "ndTkYSaMgDT1yFZOFVxnpg==";

/// What is wrong, headers, body, status of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Body, u16);

async fn upload_path(server: &TestServer, name: &str) -> String {
    let data = server
        .graphql(
            "mutation C($files: [String!]!) { createRunFiles(input: {entityName: \"me\", projectName: \"p\", runName: \"r\", files: $files}) { files { uploadUrl } } }",
            json!({"files": [name]}),
        )
        .await;
    let url = data["createRunFiles"]["files"][0]["uploadUrl"]
        .as_str()
        .expect("a URL")
        .to_owned();
    url.strip_prefix(&format!("http://{HOST}"))
        .expect("of this host")
        .to_owned()
}

async fn download(server: &TestServer, name: &str, headers: &[(&str, &str)]) -> Answer {
    let key = server.key_header();
    let mut all = vec![("authorization", key.as_str())];
    all.extend_from_slice(headers);
    server
        .raw(
            Method::GET,
            &format!("/api/runs/me/p/r/files/{name}"),
            &all,
            Body::empty(),
        )
        .await
}

async fn with_a_file() -> (TestServer, String) {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let path = upload_path(&server, "a.txt").await;
    assert_eq!(
        server.raw(Method::PUT, &path, &[], "good").await.status,
        200
    );
    (server, path)
}

fn broken() -> Body {
    Body::from_stream(futures::stream::iter([
        Ok(Bytes::from(vec![b'x'; 600 << 10])),
        Err(std::io::Error::other("the client has gone")),
    ]))
}

#[tokio::test]
async fn a_refused_upload_leaves_the_old_content_and_no_object() {
    let (server, path) = with_a_file().await;
    let cases: Vec<Case> = vec![
        (
            "shorter than announced",
            &[("content-length", "9")],
            "x".into(),
            400,
        ),
        (
            "longer than announced",
            &[("content-length", "1")],
            "xyz".into(),
            400,
        ),
        (
            "another digest",
            &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")],
            "x".into(),
            400,
        ),
        (
            "a digest that is none",
            &[("content-md5", "nope")],
            "x".into(),
            400,
        ),
        (
            "a digest of another length",
            &[("content-md5", "AAAA")],
            "x".into(),
            400,
        ),
        (
            "five tebibytes and more",
            &[("content-length", "5497558138881")],
            "x".into(),
            413,
        ),
        ("cut off", &[], broken(), 400),
    ];
    for (what, headers, body, status) in cases {
        let answer = server.raw(Method::PUT, &path, headers, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.json());
        assert!(answer.json()["error"]["code"].is_string(), "{what}");
        assert_eq!(
            download(&server, "a.txt", &[]).await.body,
            b"good",
            "{what}"
        );
        assert_eq!(objects(&server), 1, "{what}");
    }
    let headers = [("content-md5", MD5_OF_X), ("content-length", "1")];
    let answer = server.raw(Method::PUT, &path, &headers, "x").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-md5")),
        (200, MD5_OF_X)
    );
    assert_eq!(
        (download(&server, "a.txt", &[]).await.body, objects(&server)),
        (b"x".to_vec(), 1)
    );
}

#[tokio::test]
async fn lengths_need_not_be_announced_and_empty_files_are_files() {
    let (server, path) = with_a_file().await;
    let pieces = futures::stream::iter(
        (0..40).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 50_000]))),
    );
    let answer = server
        .raw(Method::PUT, &path, &[], Body::from_stream(pieces))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        download(&server, "a.txt", &[]).await.body,
        vec![7; 2_000_000]
    );
    for headers in [&[("content-length", "0")][..], &[]] {
        let answer = server.raw(Method::PUT, &path, headers, Body::empty()).await;
        assert_eq!(answer.status, 200);
        let answer = download(&server, "a.txt", &[]).await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.body.len(),
                answer.header("content-length")
            ),
            (200, 0, "0")
        );
    }
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = TestServer::start_in(dir, |config| {
        config.limits.body_idle = std::time::Duration::from_millis(50);
    })
    .await;
    server.create_run("r").await;
    let path = upload_path(&server, "a.txt").await;
    let stalled = futures::stream::once(async {
        Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 300 << 10]))
    });
    let stalled = futures::StreamExt::chain(stalled, futures::stream::pending());
    let answer = server
        .raw(Method::PUT, &path, &[], Body::from_stream(stalled))
        .await;
    assert_eq!((answer.status.as_u16(), objects(&server)), (408, 0));
}

#[tokio::test]
async fn signed_urls_are_for_one_file_and_one_method() {
    let (server, path) = with_a_file().await;
    let cases = [
        (
            "no signature",
            path.split('?').next().expect("a path").to_owned(),
            400,
        ),
        ("no expiry", path.replace("expires=", "x="), 400),
        ("expiry is text", path.replace("expires=", "expires=x"), 400),
        ("another signature", path.replace("sig=", "sig=A"), 403),
        ("a signature that is none", format!("{path}!!"), 403),
        ("another name", path.replace("/a.txt", "/b.txt"), 403),
        ("another run", path.replace("/runs/1/", "/runs/2/"), 403),
        (
            "a run that is no number",
            path.replace("/runs/1/", "/runs/x/"),
            400,
        ),
        (
            "a run beyond numbers",
            path.replace("/runs/1/", "/runs/99999999999999999999/"),
            400,
        ),
        ("a name above", path.replace("/a.txt", "/%2e%2e/a.txt"), 400),
        (
            "a name above, twice encoded",
            path.replace("/a.txt", "/%252e%252e/a.txt"),
            403,
        ),
        ("an absolute name", path.replace("/a.txt", "/%2fa.txt"), 400),
        ("a NUL", path.replace("/a.txt", "/a%00.txt"), 400),
        ("no UTF-8", path.replace("/a.txt", "/%ff.txt"), 400),
    ];
    for (what, changed, status) in cases {
        let answer = server.raw(Method::PUT, &changed, &[], "x").await;
        assert_eq!(
            answer.status,
            status,
            "{what}: {changed}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let sig = path.split("sig=").nth(1).expect("a signature");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains(sig),
            "{what}: the signature comes back"
        );
    }
    assert_eq!(
        server
            .raw(Method::GET, &path, &[], Body::empty())
            .await
            .status,
        403
    );
    for method in [Method::POST, Method::DELETE, Method::PATCH] {
        assert_eq!(server.raw(method, &path, &[], "x").await.status, 405);
    }
    assert_eq!(download(&server, "a.txt", &[]).await.body, b"good");
}

#[tokio::test]
async fn ranges_and_conditions_are_those_of_http() {
    let (server, _path) = with_a_file().await;
    let etag = download(&server, "a.txt", &[])
        .await
        .header("etag")
        .to_owned();
    let bytes = |answer: Answer| {
        (
            answer.status.as_u16(),
            String::from_utf8_lossy(&answer.body).into_owned(),
        )
    };
    for (range, status) in [
        ("bytes=4-", 416),
        ("bytes=3-1", 416),
        ("bytes=x", 416),
        ("bytes=-", 416),
        ("bytes=99999999999999999999-", 416),
    ] {
        let answer = download(&server, "a.txt", &[("range", range)]).await;
        assert_eq!(answer.status, status, "{range}");
    }
    assert_eq!(
        bytes(download(&server, "a.txt", &[("range", "bytes=1-2")]).await),
        (206, "oo".into())
    );
    assert_eq!(
        bytes(download(&server, "a.txt", &[("range", "lines=1-2")]).await),
        (200, "good".into())
    );
    assert_eq!(
        bytes(
            download(
                &server,
                "a.txt",
                &[("range", "bytes=1-2"), ("if-range", "\"old\"")]
            )
            .await
        ),
        (200, "good".into())
    );
    assert_eq!(
        bytes(
            download(
                &server,
                "a.txt",
                &[("range", "bytes=1-2"), ("if-range", &etag)]
            )
            .await
        ),
        (206, "oo".into())
    );
    assert_eq!(
        download(&server, "a.txt", &[("if-match", "\"old\", \"older\"")])
            .await
            .status,
        412
    );
    assert_eq!(
        download(&server, "a.txt", &[("if-match", "nonsense")])
            .await
            .status,
        412
    );
    assert_eq!(
        bytes(download(&server, "a.txt", &[("if-match", &etag)]).await),
        (200, "good".into())
    );
    assert_eq!(
        bytes(download(&server, "a.txt", &[("if-none-match", &format!("W/{etag}"))]).await),
        (304, String::new())
    );
    assert_eq!(
        bytes(download(&server, "a.txt", &[("if-none-match", "\"old\"")]).await),
        (200, "good".into())
    );
}

#[tokio::test]
async fn a_missing_object_is_an_outage_and_not_an_empty_file() {
    let (server, path) = with_a_file().await;
    std::fs::remove_dir_all(server.dir.path().join("objects/files")).expect("removed");
    let answer = download(&server, "a.txt", &[]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "1")
    );
    assert_eq!(
        server.raw(Method::PUT, &path, &[], "again").await.status,
        200
    );
    assert_eq!(download(&server, "a.txt", &[]).await.body, b"again");
}

#[tokio::test]
async fn files_of_a_deleted_run_are_refused() {
    let (server, path) = with_a_file().await;
    let id = server.run("r", "id").await["id"].clone();
    let _: Value = server
        .graphql(
            "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
            json!({"id": id}),
        )
        .await;
    assert_eq!(server.raw(Method::PUT, &path, &[], "x").await.status, 404);
    assert_eq!(download(&server, "a.txt", &[]).await.status, 404);
}
