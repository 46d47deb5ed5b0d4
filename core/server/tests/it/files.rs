//! Run files: signed URLs up and down, and nothing outside them.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{HOST, TestServer};

const CREATE: &str = "mutation C($files: [String!]!) {
    createRunFiles(input: {entityName: \"me\", projectName: \"p\", runName: \"r\", files: $files}) {
        runID uploadHeaders files { name uploadUrl }
    }
}";
const FIELDS: &str = "fileCount files(first: 10) { totalCount edges { node { id name directUrl sizeBytes mimetype md5 } } }";

fn path_of(url: &Value) -> String {
    let url = url.as_str().expect("a URL");
    url.strip_prefix(&format!("http://{HOST}"))
        .expect("an absolute URL of this host")
        .to_owned()
}

async fn upload_url(server: &TestServer, name: &str) -> String {
    let data = server.graphql(CREATE, json!({"files": [name]})).await;
    path_of(&data["createRunFiles"]["files"][0]["uploadUrl"])
}

async fn upload(server: &TestServer, name: &str, bytes: &[u8]) {
    let path = upload_url(server, name).await;
    let answer = server.raw(Method::PUT, &path, &[], bytes.to_vec()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn files_go_up_and_down_and_replace_each_other() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let name = "media/a b%20é.txt";
    upload(&server, name, b"first").await;
    upload(&server, name, b"second!").await;
    upload(&server, "empty", b"").await;
    let run = server.run("r", FIELDS).await;
    assert_eq!(run["fileCount"], 2);
    let node = run["files"]["edges"][1]["node"].clone();
    assert_eq!(
        (&node["name"], &node["sizeBytes"], &node["mimetype"]),
        (&json!(name), &json!(7), &json!("text/plain"))
    );
    let answer = server
        .raw(
            Method::GET,
            &path_of(&node["directUrl"]),
            &[],
            Body::empty(),
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_slice()),
        (200, b"second!".as_slice())
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("sandbox")
    );
    let part = server
        .raw(
            Method::GET,
            &path_of(&node["directUrl"]),
            &[("range", "bytes=2-3")],
            Body::empty(),
        )
        .await;
    assert_eq!(
        (
            part.status.as_u16(),
            part.body.as_slice(),
            part.header("content-range")
        ),
        (206, b"co".as_slice(), "bytes 2-3/7")
    );
    let objects = walk(&server.dir.path().join("objects/files"));
    assert_eq!(objects, 2, "the replaced object is gone");
    let delete = "mutation D($files: [ID!]!) { deleteFiles(input: {files: $files, projectId: 1}) { success } }";
    let data = server.graphql(delete, json!({"files": node["id"]})).await;
    assert_eq!(data["deleteFiles"]["success"], true);
    assert_eq!(server.run("r", "fileCount").await["fileCount"], 1);
}

fn walk(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn pages_run_scripts_in_frames_of_the_app_alone() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    upload(&server, "page.html", b"<script>alert(1)</script>").await;
    upload(&server, "drawing.svg", b"<svg/>").await;
    let key = server.key_header();
    let policy = async |path: &str, destination: Option<&str>| {
        let mut headers = vec![("authorization", key.as_str())];
        headers.extend(destination.map(|value| ("sec-fetch-dest", value)));
        let path = format!("/api/runs/me/p/r/files/{path}");
        let answer = server.raw(Method::GET, &path, &headers, Body::empty());
        let answer = answer.await;
        assert_eq!(answer.status, 200);
        answer.header("content-security-policy").to_owned()
    };
    let scripted = "sandbox allow-scripts; default-src 'none';";
    let framed = policy("page.html?frame=1", Some("iframe")).await;
    assert!(framed.starts_with(scripted), "{framed}");
    assert!(framed.contains("connect-src 'none'") && framed.contains("frame-ancestors 'self'"));
    // Browsers do not say what for on plain HTTP by the name of another machine.
    assert!(
        policy("page.html?frame=1", None)
            .await
            .starts_with(scripted)
    );
    for (path, destination) in [
        ("page.html?frame=1", "document"),
        ("page.html?frame=1", "empty"),
        ("page.html", "iframe"),
        ("drawing.svg?frame=1", "iframe"),
    ] {
        let found = policy(path, Some(destination)).await;
        assert!(
            found.starts_with("sandbox; "),
            "{path} {destination}: {found}"
        );
    }
}

#[tokio::test]
async fn app_reads_files_with_the_key_only() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    upload(&server, "page.html", b"<script>alert(1)</script>").await;
    let path = "/api/runs/me/p/r/files/page.html";
    let answer = server.get(path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("sandbox; default-src 'none'")
    );
    assert!(answer.header("content-disposition").starts_with("inline"));
    let download = server.get(&format!("{path}?download=1")).await;
    assert!(
        download
            .header("content-disposition")
            .starts_with("attachment; filename=\"page.html\"")
    );
    assert_eq!(
        server.get("/api/runs/me/p/r/files/gone.txt").await.status,
        404
    );
    assert_eq!(
        server
            .raw(Method::GET, path, &[], Body::empty())
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn every_part_of_a_signed_url_counts() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let put = upload_url(&server, "a.txt").await;
    assert_eq!(
        server
            .raw(Method::GET, &put, &[], Body::empty())
            .await
            .status,
        403
    );
    for (from, to) in [
        ("/a.txt", "/b.txt"),
        ("/runs/1/", "/runs/2/"),
        ("method=put", "method=get"),
        ("expires=1", "expires=2"),
        ("sig=", "sig=A"),
    ] {
        let changed = put.replacen(from, to, 1);
        assert_ne!(changed, put);
        let answer = server.raw(Method::PUT, &changed, &[], "x").await;
        assert_eq!(answer.status, 403, "{changed}");
    }
    server.clock.advance(std::time::Duration::from_hours(1));
    assert_eq!(
        server.raw(Method::PUT, &put, &[], "x").await.status,
        200,
        "valid for an hour at least"
    );
    server.clock.advance(std::time::Duration::from_hours(12));
    assert_eq!(server.raw(Method::PUT, &put, &[], "x").await.status, 403);
}

#[tokio::test]
async fn interrupted_uploads_are_cleared_away_at_the_next_start() {
    let server = TestServer::start().await;
    if crate::database::of(server.dir.path()).await.is_some() {
        // Another server may be writing them: they are left for a day.
        return;
    }
    server.create_run("r").await;
    upload(&server, "kept.txt", b"kept").await;
    let objects = server.dir.path().join("objects");
    std::fs::write(objects.join("files/1/0123456789abcdef"), "half of a file").expect("written");
    let dir = server.dir;
    drop(server.server);
    let again = TestServer::start_in(dir, |_| ()).await;
    assert_eq!(walk(&objects), 1);
    assert_eq!(
        again.get("/api/runs/me/p/r/files/kept.txt").await.body,
        b"kept"
    );
}

#[tokio::test]
async fn wrong_length_or_digest_leaves_no_file() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let put = upload_url(&server, "a.txt").await;
    let wrong_md5 = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    assert_eq!(
        server.raw(Method::PUT, &put, &wrong_md5, "x").await.status,
        400
    );
    assert_eq!(server.run("r", "fileCount").await["fileCount"], 0);
}

#[tokio::test]
async fn names_cannot_leave_their_run() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    for name in [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "a\\..\\x",
        "a\u{0}b",
        "",
        "a//b",
        ".",
    ] {
        let answer = server
            .graphql_answer(CREATE, json!({"files": [name]}))
            .await;
        let errors = answer.json()["errors"].clone();
        assert_eq!(
            errors[0]["extensions"]["code"], "invalid",
            "{name:?}: {errors}"
        );
    }
    for path in [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/x",
        "a%5c..%5cx",
        "a%00b",
        "%252e%252e%252fx",
        "..%c0%afx",
    ] {
        let answer = server.get(&format!("/api/runs/me/p/r/files/{path}")).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 404),
            "{path}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn how_a_run_is_made_again_follows_from_its_files() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let path = "/api/runs/me/p/r/reproduce";
    let base = "a".repeat(40);
    let manifest = json!({"version": 1, "directory": "src", "program": "train.py", "code": {
        "source": "remote", "remote": "https://example.org/x.git", "base": base, "patches": ["diff.patch"]}});
    upload(
        &server,
        "runlane-code.json",
        manifest.to_string().as_bytes(),
    )
    .await;
    upload(&server, "diff.patch", b"a patch").await;
    let recipe = server.get(path).await.json();
    assert_eq!(recipe["repository"], "https://example.org/x.git");
    let commands = &recipe["steps"][0]["commands"];
    assert_eq!(commands[0], "git clone https://example.org/x.git x");
    let command = commands[3].as_str().expect("a command");
    let url = format!("http://{HOST}/api/runs/me/p/r/files/diff.patch");
    assert!(command.contains(&url), "{command}");
    assert!(!recipe.to_string().contains("local-"), "no key is shown");
    // A manifest that is none is as good as none.
    upload(
        &server,
        "runlane-code.json",
        b"{\"version\": 1, \"directory\": \"..\"",
    )
    .await;
    let recipe = server.get(path).await.json();
    assert_eq!(recipe["plan"]["source"], "files");
    let stranger = server.raw(Method::GET, path, &[], Body::empty()).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(
        server.get("/api/runs/me/p/none/reproduce").await.status,
        404
    );
}
