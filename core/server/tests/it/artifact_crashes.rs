//! Commits that break off: whatever step it was, the version is absent or complete, and doing it again completes it.

use runlane_model::artifact::digest::Algorithm;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::artifact_client::{Client, manifest_digest};
use crate::database;
use crate::support::TestServer;

/// Entries in one transaction of a commit, and some more.
const MANY: usize = 5_003;

async fn execute(server: &TestServer, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if let Some(url) = database::of(server.dir.path()).await {
        let mut connection = database::connect(&url).await;
        connection.execute(sql).await.expect("executed");
        return;
    }
    let path = server.dir.path().join("runlane.db");
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .expect("the database opens");
    connection.execute(sql).await.expect("executed");
}

/// A manifest of `count` references and its digest.
fn references(count: usize) -> (String, String) {
    let name = |number: usize| format!("dir/{number:06}");
    let uri = |number: usize| format!("https://example.com/{number}");
    let contents: serde_json::Map<String, Value> = (0..count)
        .map(|number| {
            let entry = json!({"digest": uri(number), "ref": uri(number), "size": 1});
            (name(number), entry)
        })
        .collect();
    let entries: Vec<(String, String)> = (0..count)
        .map(|number| (name(number), uri(number)))
        .collect();
    let pairs = entries
        .iter()
        .map(|(path, digest)| (path.as_str(), digest.as_str()));
    let digest = runlane_model::artifact::manifest::digest_of(Algorithm::Md5, pairs);
    let manifest =
        json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1", "contents": contents});
    (manifest.to_string(), digest)
}

async fn facts(client: &Client<'_>) -> Value {
    let query = "{ project(name: \"p\", entityName: \"me\") { artifactCollection(name: \"ds\") {
        aliases { totalCount }
        artifacts { totalCount edges { node { fileCount size files(first: 10000) { totalCount edges { node { name } } } } } } } } }";
    client.ask(query, json!({})).await["project"]["artifactCollection"].clone()
}

/// The server was killed when it had stored some of the entries, of this manifest or of one that was announced before it.
#[tokio::test]
async fn entries_of_a_broken_commit_do_not_get_into_the_version() {
    for count in [3, MANY] {
        let server = TestServer::start().await;
        let client = Client::owner(&server);
        let (manifest, digest) = references(count);
        let id = client.create("ds", &digest).await;
        client.send_manifest(&id, manifest, "FULL").await;
        for path in ["dir/000001", "left/over"] {
            let sql = format!(
                "INSERT INTO artifact_entries (artifact_id, path, digest, size_bytes, ref) VALUES (1, '{path}', 'old', 9, 'old:x')"
            );
            execute(&server, &sql).await;
        }
        // Nobody sees anything of it.
        let before = facts(&client).await;
        assert_eq!(
            (
                &before["aliases"]["totalCount"],
                &before["artifacts"]["totalCount"]
            ),
            (&json!(0), &json!(0))
        );
        let read = "query A($id: ID!) { artifact(id: $id) { state versionIndex size fileCount } }";
        let pending = client.ask(read, json!({"id": id})).await;
        assert_eq!(
            pending["artifact"],
            json!({"state": "PENDING", "versionIndex": null, "size": 0, "fileCount": 0})
        );
        assert_eq!(client.committed(&id).await, id);
        let after = facts(&client).await;
        let node = &after["artifacts"]["edges"][0]["node"];
        assert_eq!(
            (&node["fileCount"], &node["size"]),
            (&json!(count), &json!(count))
        );
        let files = node["files"]["edges"].as_array().expect("a list");
        assert_eq!(files.len(), count);
        assert!(files.iter().all(|file| file["node"]["name"] != "left/over"));
    }
}

/// Entries of more than one statement, and names of more than one.
#[tokio::test]
async fn files_are_found_by_many_names() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let (manifest, digest) = references(1_203);
    let id = client.create("ds", &digest).await;
    client.send_manifest(&id, manifest, "FULL").await;
    client.committed(&id).await;
    let names: Vec<String> = (0..2_000)
        .rev()
        .map(|number| format!("dir/{number:06}"))
        .collect();
    let query = "query F($id: ID!, $names: [String!]!) { artifact(id: $id) { filesByNames: files(names: $names, first: 1500) {
        totalCount edges { node { name } } } } }";
    let found = client.ask(query, json!({"id": id, "names": names})).await;
    let files = &found["artifact"]["filesByNames"];
    assert_eq!(files["totalCount"], 1_203);
    let first: Vec<&str> = files["edges"]
        .as_array()
        .expect("a list")
        .iter()
        .take(2)
        .filter_map(|edge| edge["node"]["name"].as_str())
        .collect();
    assert_eq!(first, ["dir/000000", "dir/000001"]);
}

/// A store that does not answer for a moment is no refusal: clients ask again at the HTTP status only.
#[tokio::test]
async fn a_store_that_is_away_is_asked_again() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let (manifest, digest) = references(3);
    let id = client.create("ds", &digest).await;
    client.send_manifest(&id, manifest, "FULL").await;
    let (objects, away) = (
        server.dir.path().join("objects"),
        server.dir.path().join("away"),
    );
    std::fs::rename(&objects, &away).expect("away");
    let answer = client.commit(&id).await;
    assert_eq!(answer.status, 503, "{}", answer.json());
    std::fs::remove_dir_all(&objects).ok();
    std::fs::rename(&away, &objects).expect("back");
    assert_eq!(client.committed(&id).await, id);
}

/// The answer to the commit was lost, with the server or on the way: asked again, it is the same one, also by another server process.
#[tokio::test]
async fn a_commit_is_repeated_after_a_restart() {
    let server = TestServer::start().await;
    let files: [(&str, &[u8]); 2] = [("a", b"1"), ("b", b"2")];
    let (id, version) = {
        let client = Client::owner(&server);
        let id = client
            .create("ds", &manifest_digest(Algorithm::Md5, &files))
            .await;
        client.upload(&id, &files, "FULL").await;
        (id.clone(), client.committed(&id).await)
    };
    let TestServer {
        server: old, dir, ..
    } = server;
    drop(old);
    let server = TestServer::start_in(dir, |_| ()).await;
    let client = Client::owner(&server);
    assert_eq!(client.committed(&id).await, version);
    let facts = facts(&client).await;
    assert_eq!(
        (
            &facts["artifacts"]["totalCount"],
            &facts["aliases"]["totalCount"]
        ),
        (&json!(1), &json!(1))
    );
}

/// Everything before the commit is lost with the client: what it had uploaded is there for the next one, and there is no version.
#[tokio::test]
async fn what_nobody_commits_is_no_version() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("a", b"1")];
    let digest = manifest_digest(Algorithm::Md5, &files);
    // Created; created with its manifest; created with manifest and files.
    client.create("ds", &digest).await;
    let id = client.create("ds", &digest).await;
    client.manifest(&id, "").await;
    let id = client.create("ds", &digest).await;
    client.upload(&id, &files, "FULL").await;
    let before = facts(&client).await;
    assert_eq!(before["artifacts"]["totalCount"], 0);
    let id = client.create("ds", &digest).await;
    let begun = client.begin_one(&id, "a", b"1").await;
    assert_eq!(begun.upload, None, "the bytes are there");
    assert_eq!(
        client.log_as("ds", &files, json!({})).await,
        client.log_as("ds", &files, json!({})).await
    );
    assert_eq!(facts(&client).await["artifacts"]["totalCount"], 1);
}

#[tokio::test]
async fn a_run_is_deleted_with_its_artifacts_if_asked() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    for (run, all) in [("r1", false), ("r2", true)] {
        server.create_run(run).await;
        let content = run.as_bytes();
        client
            .log_as("ds", &[("a", content)], json!({"runName": run}))
            .await;
        let id = server.run(run, "id").await["id"].clone();
        let query = "mutation D($id: ID!, $all: Boolean) { deleteRun(input: {id: $id, deleteArtifacts: $all}) { clientMutationId } }";
        client.ask(query, json!({"id": id, "all": all})).await;
        assert_eq!(facts(&client).await["artifacts"]["totalCount"], 1, "{run}");
    }
}

/// A commit that takes longer than a request may goes on; asked again, its outcome is told.
#[tokio::test]
async fn a_long_commit_goes_on_without_its_request() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = TestServer::start_in(dir, |config| {
        config.limits.join_wait = std::time::Duration::ZERO;
    })
    .await;
    let client = Client::owner(&server);
    let (manifest, digest) = references(MANY);
    let id = client.create("ds", &digest).await;
    client.send_manifest(&id, manifest, "FULL").await;
    let first = client.commit(&id).await;
    assert_eq!(first.status, 503, "W&B's client asks again at this status");
    assert_eq!(
        first.json()["errors"][0]["extensions"]["code"],
        "in_progress"
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let answer = client.commit(&id).await;
        if answer.status == 200 {
            let done = answer.json();
            assert_eq!(
                done["data"]["commitArtifact"]["artifact"]["state"], "COMMITTED",
                "{done}"
            );
            break;
        }
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        facts(&client).await["artifacts"]["edges"][0]["node"]["fileCount"],
        json!(MANY)
    );
}
