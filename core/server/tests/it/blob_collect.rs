//! What is removed when nobody needs it any more, and what is left alone; and what a server that is killed leaves.

use std::time::Duration;

use crate::artifact_client::{Client, md5, objects};
use crate::database;
use crate::support::TestServer;

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

async fn collect(server: &TestServer) -> (usize, usize) {
    server.server.collect_now().await.expect("collected")
}

#[tokio::test]
async fn content_of_a_deleted_version_goes_after_the_grace() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let kept: [(&str, &[u8]); 2] = [("a", b"both have it"), ("b", b"one has it")];
    client.log("kept", &kept).await;
    let files: [(&str, &[u8]); 2] = [("a", b"both have it"), ("c", b"the other one has it")];
    let gone = client.log("gone", &files).await;
    assert_eq!(objects(&server), 5);
    server.clock.advance(30 * DAY);
    assert_eq!(
        collect(&server).await,
        (0, 0),
        "versions keep what they have"
    );
    let path = client.url("gone", "c").await;
    client.delete(&gone).await;
    assert_eq!(
        collect(&server).await,
        (0, 0),
        "readers may be in the middle of it"
    );
    assert_eq!(client.get(&path, &[]).await.status, 200);
    server.clock.advance(DAY + HOUR);
    assert_eq!(collect(&server).await, (1, 2), "a content and a manifest");
    assert_eq!(objects(&server), 3);
    for (name, bytes) in kept {
        let found = client.get(&client.url("kept", name).await, &[]).await;
        assert_eq!(found.body, bytes);
    }
    assert_eq!(collect(&server).await, (0, 0));
}

#[tokio::test]
async fn a_version_that_nobody_goes_on_with_is_given_up() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[("a", b"hello")]).await;
    let file = client.begin_one(&artifact, "a", b"hello").await.upload;
    let file = file.expect("a URL");
    assert_eq!(client.put(&file, "hello").await.status, 200);
    client.put_manifest(&artifact, &[("a", b"hello")]).await;
    assert_eq!(objects(&server), 2);
    // Somebody goes on with it, slowly.
    for number in 0..4_u8 {
        server.clock.advance(20 * HOUR);
        assert_eq!(collect(&server).await, (0, 0), "{number}");
        let bytes = [number; 3];
        let next = client.begin_one(&artifact, "b", &bytes).await.upload;
        let next = next.expect("a URL");
        assert_eq!(client.put(&next, bytes.to_vec()).await.status, 200);
    }
    // What came first is known still.
    assert_eq!(
        client.begin_one(&artifact, "a", b"hello").await.upload,
        None
    );
    server.clock.advance(DAY + HOUR);
    collect(&server).await;
    let refused = client.commit(&artifact).await.json();
    assert!(refused["errors"].is_array(), "{refused}");
    server.clock.advance(DAY + HOUR);
    collect(&server).await;
    assert_eq!(objects(&server), 0);
    // Nothing is in the way of the next one.
    client.log("ds", &[("a", b"hello")]).await;
    let found = client.get(&client.url("ds", "a").await, &[]).await;
    assert_eq!(found.body, b"hello");
}

#[tokio::test]
async fn what_somebody_was_told_to_be_there_stays_until_the_commit() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let old = client.log("old", &[("a", b"hello")]).await;
    client.delete(&old).await;
    server.clock.advance(DAY + HOUR);
    // Announced before the collection: it is wanted from now on.
    let artifact = client.create_for("new", &[("a", b"hello")]).await;
    assert_eq!(
        client.begin_one(&artifact, "a", b"hello").await.upload,
        None
    );
    collect(&server).await;
    server.clock.advance(20 * HOUR);
    collect(&server).await;
    client.put_manifest(&artifact, &[("a", b"hello")]).await;
    let done = client.commit(&artifact).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
    server.clock.advance(10 * DAY);
    collect(&server).await;
    let found = client.get(&client.url("new", "a").await, &[]).await;
    assert_eq!(found.body, b"hello");
}

#[tokio::test]
async fn a_commit_finds_out_that_content_has_been_removed() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    // Known to the client from long ago, and never announced for this version.
    let old = client.log("old", &[("a", b"hello")]).await;
    client.delete(&old).await;
    server.clock.advance(DAY + HOUR);
    assert_eq!(collect(&server).await.0, 1);
    let artifact = client.create_for("new", &[("a", b"hello")]).await;
    client.put_manifest(&artifact, &[("a", b"hello")]).await;
    let refused = client.commit(&artifact).await.json();
    let text = refused["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(text.contains("`a`"), "the entry is named: {refused}");
    let path = client.begin_one(&artifact, "a", b"hello").await.upload;
    let path = path.expect("it is wanted again");
    assert_eq!(client.put(&path, "hello").await.status, 200);
    let done = client.commit(&artifact).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
}

/// The steps of logging a version; the server is killed after each of them.
const STEPS: usize = 6;

#[tokio::test]
async fn a_server_killed_between_two_steps_has_the_version_whole_or_not_at_all() {
    for killed_after in 0..STEPS {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut server = TestServer::start_in(dir, |_| ()).await;
        let files: [(&str, &[u8]); 1] = [("a", b"hello")];
        let mut later = Duration::ZERO;
        let mut artifact = String::new();
        for step in 0..STEPS {
            let client = Client::owner(&server);
            match step {
                0 => artifact = client.create_for("ds", &files).await,
                1 => {
                    client.begin_one(&artifact, "a", b"hello").await;
                }
                2 => {
                    let path = client.begin_one(&artifact, "a", b"hello").await.upload;
                    let put = client.put(&path.expect("a URL"), "hello").await;
                    assert_eq!(put.status, 200);
                }
                3 => {
                    client.manifest(&artifact, &md5(b"hello")).await;
                }
                4 => {
                    client.put_manifest(&artifact, &files).await;
                }
                _ => {
                    let done = client.commit(&artifact).await.json();
                    assert_eq!(done.get("errors"), None, "{done}");
                }
            }
            if step == killed_after {
                // An upload that was on its way leaves an object that no row names.
                let leftover = server.dir.path().join("objects/blobs/1/leftover");
                std::fs::create_dir_all(leftover.parent().expect("a directory")).expect("made");
                std::fs::write(&leftover, "half").expect("written");
                let TestServer {
                    server: old, dir, ..
                } = server;
                drop(old);
                later += HOUR;
                server = TestServer::start_later(dir, later, |_| ()).await;
                if database::of(server.dir.path()).await.is_none() {
                    assert!(!leftover.exists(), "removed at the start");
                } else {
                    // Another server might just be writing it; it would go after a day.
                    std::fs::remove_file(&leftover).expect("left alone");
                }
                let client = Client::owner(&server);
                let urls = client.urls("ds").await;
                if step == STEPS - 1 {
                    let urls = urls.expect("the version");
                    assert_eq!(client.get(&urls["a"], &[]).await.body, b"hello");
                } else {
                    assert_eq!(urls, None, "after step {step}");
                }
                // Going on, here with the next step, completes it.
            }
        }
        let client = Client::owner(&server);
        let found = client.get(&client.url("ds", "a").await, &[]).await;
        assert_eq!(found.body, b"hello", "killed after step {killed_after}");
        server.clock.advance(3 * DAY);
        collect(&server).await;
        assert_eq!(objects(&server), 2, "a content and the manifest");
    }
}

#[tokio::test]
async fn what_a_killed_client_has_left_is_collected() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    for steps in 0..4 {
        let artifact = client.create_for(&format!("c{steps}"), &[]).await;
        if steps > 0 {
            let bytes = [steps; 9];
            let path = client.begin_one(&artifact, "a", &bytes).await.upload;
            let put = client.put(&path.expect("a URL"), bytes.to_vec()).await;
            assert_eq!(put.status, 200);
        }
        if steps > 1 {
            let manifest = client.manifest(&artifact, "").await.0;
            let parts = vec!["9dd4e461268c8034f5c8564e155c67a6".to_owned(); 2];
            let file = ("b", md5(b"xx"), String::new(), parts);
            let begun = client.begin(&artifact, &manifest, &[file]).await.remove(0);
            assert_eq!(client.put(&begun.parts[1].1, "x").await.status, 200);
        }
        if steps > 2 {
            client.put_manifest(&artifact, &[("a", &[steps; 9])]).await;
        }
    }
    assert_eq!(objects(&server), 6);
    for _ in 0..2 {
        server.clock.advance(DAY + HOUR);
        collect(&server).await;
    }
    assert_eq!(objects(&server), 0);
}
