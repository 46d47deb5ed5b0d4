//! Files in parts: sent in any order, interrupted and gone on with, joined once.

use std::time::Duration;

use axum::http::Method;
use runlane_model::artifact::digest::{Algorithm, Digest};

use crate::artifact_client::{Begun, Client, md5, objects};
use crate::support::TestServer;

fn hex(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Md5, bytes).hex()
}

/// Ten parts of a file, the last one shorter.
fn parts() -> Vec<Vec<u8>> {
    (0..10_u8)
        .map(|number| vec![number; if number == 9 { 1_000 } else { 300_000 }])
        .collect()
}

/// Announces `file.bin` of a version in these parts.
async fn begin(client: &Client<'_>, artifact: &str, parts: &[Vec<u8>]) -> Begun {
    let whole = parts.concat();
    let manifest = client.manifest(artifact, "").await.0;
    let hexes = parts.iter().map(|part| hex(part)).collect();
    let file = ("file.bin", client.digest(&whole), String::new(), hexes);
    client.begin(artifact, &manifest, &[file]).await.remove(0)
}

fn message(answer: &crate::support::Answer) -> String {
    answer.json()["errors"][0]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn parts_in_any_order_become_the_file() {
    let server = TestServer::start().await;
    for (client, collection) in [
        (Client::owner(&server), "m"),
        (Client::owner(&server).with_xxh128(), "x"),
    ] {
        let mut parts = parts();
        parts[0][0] = collection.as_bytes()[0];
        let whole = parts.concat();
        let files: [(&str, &[u8]); 1] = [("file.bin", &whole)];
        let artifact = client.create_for(collection, &files).await;
        let begun = begin(&client, &artifact, &parts).await;
        assert_eq!(begun.parts.len(), 10);
        assert!(begun.upload.is_some(), "a whole upload would do as well");
        let order = [9, 3, 0, 7, 1, 2, 8, 4, 6, 5];
        let sent = order.map(|at| {
            let (number, path, is_stored) = &begun.parts[at];
            assert_eq!((*number, *is_stored), (at as u64 + 1, false));
            client.put(path, parts[at].clone())
        });
        for (answer, at) in futures::future::join_all(sent).await.iter().zip(order) {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("etag"), format!("\"{}\"", hex(&parts[at])));
        }
        client.put_manifest(&artifact, &files).await;
        let early = client.commit(&artifact).await;
        assert!(early.json()["errors"].is_array(), "not joined yet");
        for _ in 0..2 {
            let done = client.complete(&artifact, &begun).await.json();
            let digest = &done["data"]["completeMultipartUploadArtifact"]["digest"];
            assert_eq!(*digest, client.digest(&whole), "{done}");
        }
        assert_eq!(client.commit(&artifact).await.json().get("errors"), None);
        let found = client
            .get(&client.url(collection, "file.bin").await, &[])
            .await;
        assert!(found.body == whole);
        // Repeated because its answer was lost, it says the same of a version that is committed.
        let done = client.complete(&artifact, &begun).await.json();
        assert_eq!(done.get("errors"), None, "{done}");
        // The parts are gone: the whole and the manifest are there.
        assert_eq!(objects(&server), if collection == "m" { 2 } else { 4 });
        let late = client.put(&begun.parts[0].1, parts[0].clone()).await;
        assert_eq!(late.status, 409);
    }
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut server = TestServer::start_in(dir, |_| ()).await;
    let parts = parts();
    let artifact = Client::owner(&server).create_for("ds", &[]).await;
    let first = begin(&Client::owner(&server), &artifact, &parts).await;
    for at in [0, 4, 9] {
        let answer = Client::owner(&server)
            .put(&first.parts[at].1, parts[at].clone())
            .await;
        assert_eq!(answer.status, 200);
    }
    // The server is killed and starts again: what was acknowledged is there.
    let TestServer {
        server: old, dir, ..
    } = server;
    drop(old);
    server = TestServer::start_in(dir, |_| ()).await;
    let client = Client::owner(&server);
    let again = begin(&client, &artifact, &parts).await;
    assert_eq!(again.upload_id, first.upload_id);
    let stored: Vec<u64> = again
        .parts
        .iter()
        .filter(|(_, _, is_stored)| *is_stored)
        .map(|(number, _, _)| *number)
        .collect();
    assert_eq!(stored, [1, 5, 10]);
    let early = client.complete(&artifact, &again).await;
    let text = message(&early);
    assert!(
        text.starts_with("7 of 10 parts are missing: 2, 3, 4, 6, 7, 8, 9;"),
        "{text}"
    );
    for (number, path, is_stored) in &again.parts {
        if !is_stored {
            let part = parts[usize::try_from(*number - 1).expect("small")].clone();
            assert_eq!(client.put(path, part).await.status, 200);
        }
    }
    let done = client.complete(&artifact, &again).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
    assert_eq!(objects(&server), 1);
}

#[tokio::test]
async fn parts_that_are_wrong_are_refused() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let parts = parts();
    let artifact = client.create_for("ds", &[]).await;
    let begun = begin(&client, &artifact, &parts).await;
    let path = &begun.parts[0].1;
    for body in [parts[1].clone(), parts[0][1..].to_vec(), Vec::new()] {
        assert_eq!(client.put(path, body).await.status, 400);
    }
    assert_eq!(objects(&server), 0);
    let answer = client.put(path, parts[0].clone()).await;
    assert_eq!(answer.status, 200);
    let answer = client.put(path, parts[0].clone()).await;
    assert_eq!(answer.status, 200, "the same part twice");
    assert_eq!(
        client.put(path, parts[1].clone()).await.status,
        400,
        "other bytes"
    );
    assert_eq!(objects(&server), 1);
    let long = "9".repeat(30);
    for number in ["0", "11", "-1", "x", long.as_str()] {
        let (head, tail) = path.split_once("/1/").expect("its number");
        let answer = client
            .put(&format!("{head}/{number}/{tail}"), parts[0].clone())
            .await;
        assert!([400, 403].contains(&answer.status.as_u16()), "{number}");
    }
}

#[tokio::test]
async fn a_file_that_is_begun_again_in_other_parts_keeps_those_that_are_the_same() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let parts = parts();
    let artifact = client.create_for("ds", &[]).await;
    let first = begin(&client, &artifact, &parts).await;
    for (part, (_, path, _)) in parts.iter().zip(&first.parts) {
        assert_eq!(client.put(path, part.clone()).await.status, 200);
    }
    let mut fewer: Vec<Vec<u8>> = parts[..8].to_vec();
    fewer.push(parts[8..].concat());
    let second = begin(&client, &artifact, &fewer).await;
    assert_eq!(second.upload_id, first.upload_id);
    let stored = second.parts.iter().filter(|(_, _, is_stored)| *is_stored);
    assert_eq!((stored.count(), second.parts.len()), (8, 9));
    // The URL of a part that is not in the list any more.
    assert_eq!(
        client.put(&first.parts[8].1, parts[8].clone()).await.status,
        409
    );
    assert!(message(&client.complete(&artifact, &second).await).contains("missing: 9;"));
    assert_eq!(
        client
            .put(&second.parts[8].1, fewer[8].clone())
            .await
            .status,
        200
    );
    let done = client.complete(&artifact, &second).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
    assert_eq!(objects(&server), 1);
}

#[tokio::test]
async fn parts_that_do_not_make_the_announced_file_are_not_joined() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let parts = parts();
    let artifact = client.create_for("ds", &[]).await;
    let manifest = client.manifest(&artifact, "").await.0;
    let hexes: Vec<String> = parts.iter().map(|part| hex(part)).collect();
    let lie = ("file.bin", md5(b"another file"), String::new(), hexes);
    let begun = client.begin(&artifact, &manifest, &[lie]).await.remove(0);
    for (part, (_, path, _)) in parts.iter().zip(&begun.parts) {
        assert_eq!(client.put(path, part.clone()).await.status, 200);
    }
    let answer = client.complete(&artifact, &begun).await;
    assert!(
        message(&answer).contains("was announced"),
        "{}",
        message(&answer)
    );
    assert_eq!(objects(&server), 10, "no whole");
    let again = client.begin_one(&artifact, "x", b"another file").await;
    assert!(again.upload.is_some(), "nothing has this digest");
    // Nobody goes on with it.
    server.clock.advance(Duration::from_hours(25));
    server.server.collect_now().await.expect("collected");
    assert_eq!(objects(&server), 0);
}

#[tokio::test]
async fn lists_of_parts_that_are_none_are_refused() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let artifact = client.create_for("ds", &[]).await;
    let manifest = client.manifest(&artifact, "").await.0;
    let files = "mutation F($input: CreateArtifactFilesInput!) { createArtifactFiles(input: $input) { files { edges { node { uploadUrl } } } } }";
    let ask = async |numbers: Vec<i64>, hex: &str| {
        let parts: Vec<_> = numbers
            .into_iter()
            .map(|number| serde_json::json!({"partNumber": number, "hexMD5": hex}))
            .collect();
        let file = serde_json::json!({
            "artifactID": artifact, "artifactManifestID": manifest, "name": "file.bin",
            "digest": md5(b"x"), "md5": "", "uploadPartsInput": parts,
        });
        let input = serde_json::json!({"artifactFiles": [file], "storageLayout": "V2"});
        client
            .answer(files, serde_json::json!({"input": input}))
            .await
            .json()
    };
    let good = hex(b"x");
    for (numbers, hex) in [
        (vec![0], good.as_str()),
        (vec![2], &good),
        (vec![1, 1], &good),
        (vec![1, 3], &good),
        (vec![-1], &good),
        ((1..=10_001).collect(), &good),
        (vec![1], "nothex"),
        (vec![1], ""),
    ] {
        let count = numbers.len();
        let reply = ask(numbers, hex).await;
        assert!(reply["errors"].is_array(), "{count} {hex}: {reply}");
    }
}

#[tokio::test]
async fn parts_of_another_upload_or_nobody_lead_nowhere() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let parts = parts();
    let artifact = client.create_for("ds", &[]).await;
    let begun = begin(&client, &artifact, &parts).await;
    let other = client.create_for("other", &[]).await;
    for (artifact, upload_id) in [
        (&other, begun.upload_id.clone()),
        (&artifact, Some("0".repeat(32))),
        (&artifact, Some(String::new())),
    ] {
        let wrong = Begun {
            upload_id,
            ..begun.clone()
        };
        let answer = client.complete(artifact, &wrong).await;
        assert!(answer.json()["errors"].is_array());
    }
    let answer = server.raw(Method::GET, &begun.parts[0].1, &[], "").await;
    assert_eq!(answer.status, 405);
}
