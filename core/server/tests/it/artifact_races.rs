//! Several clients at the same artifact at once: what becomes of it has one order, and everybody hears the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runlane_model::artifact::digest::Algorithm;
use serde_json::{Value, json};

use crate::artifact_client::{Client, manifest_digest};
use crate::support::TestServer;

const CLIENTS: usize = 8;
const LATEST: &str = "{ project(name: \"p\", entityName: \"me\") { artifactCollectionMembership(name: \"ds:latest\") {
    versionIndex artifact { versionIndex state } } } }";
const ALL: &str = "{ project(name: \"p\", entityName: \"me\") { artifactCollection(name: \"ds\") {
    aliases(first: 100) { edges { node { alias } } }
    artifacts(first: 1000, order: \"+version_index\") { totalCount edges { version node { id aliases { alias } } } } } } }";

/// The index of the version that has `latest`.
async fn latest(client: &Client<'_>) -> Option<i64> {
    let found = client.ask(LATEST, json!({})).await;
    let place = &found["project"]["artifactCollectionMembership"];
    if place.is_null() {
        return None;
    }
    assert_eq!(place["artifact"]["state"], "COMMITTED", "{found}");
    assert_eq!(place["artifact"]["versionIndex"], place["versionIndex"]);
    place["versionIndex"].as_i64()
}

async fn holders(client: &Client<'_>, alias: &str) -> Vec<String> {
    let found = client.ask(ALL, json!({})).await;
    let edges = found["project"]["artifactCollection"]["artifacts"]["edges"].clone();
    let has = |edge: &&Value| {
        let list = edge["node"]["aliases"].as_array().expect("a list");
        list.iter().any(|one| one["alias"] == alias)
    };
    let list = edges.as_array().expect("a list").clone();
    list.iter()
        .filter(has)
        .map(|edge| edge["version"].as_str().expect("a text").to_owned())
        .collect()
}

/// Commits of different contents give each a version and `latest` to one of them; whoever looks sees one order, in which a version
/// that was committed before the look is never newer than what is seen.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_has_one_history() {
    const EACH: usize = 13;
    let server = Arc::new(TestServer::start().await);
    let over = Arc::new(AtomicBool::new(false));
    // One look first, so that the collection is there.
    Client::owner(&server)
        .log_as("ds", &[("a", b"0")], json!({}))
        .await;
    let watchers: Vec<_> = (0..2)
        .map(|_| {
            let (server, over) = (Arc::clone(&server), Arc::clone(&over));
            tokio::spawn(async move {
                let client = Client::owner(&server);
                let mut seen = vec![latest(&client).await.expect("a version")];
                while !over.load(Ordering::SeqCst) {
                    let now = latest(&client).await.expect("always one");
                    assert!(now >= *seen.last().expect("one"), "{now} after {seen:?}");
                    seen.push(now);
                }
                seen.len()
            })
        })
        .collect();
    let writers: Vec<_> = (0..CLIENTS)
        .map(|writer| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let client = Client::owner(&server);
                for round in 0..EACH {
                    let content = format!("{writer} {round}");
                    let files: [(&str, &[u8]); 1] = [("a", content.as_bytes())];
                    let id = client.log_as("ds", &files, json!({})).await;
                    let query = "query A($id: ID!) { artifact(id: $id) { versionIndex } }";
                    let found = client.ask(query, json!({"id": id})).await;
                    let own = found["artifact"]["versionIndex"]
                        .as_i64()
                        .expect("an index");
                    let now = latest(&client).await.expect("always one");
                    assert!(now >= own, "own {own} is committed, and latest is {now}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no writer fails");
    }
    over.store(true, Ordering::SeqCst);
    for watcher in watchers {
        assert!(watcher.await.expect("one order") > 1);
    }
    let client = Client::owner(&server);
    let last = format!("v{}", CLIENTS * EACH);
    assert_eq!(holders(&client, "latest").await, [last]);
}

/// An alias that is moved by hand is with exactly one version at every look, and at the end with that of one of the last moves.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_is_moved_by_many_belongs_to_one() {
    const ROUNDS: usize = 100;
    const MOVE: &str = "mutation M($id: ID!) { addAliases(input: {artifactID: $id, aliases: [
        {entityName: \"me\", projectName: \"p\", artifactCollectionName: \"ds\", alias: \"best\"}]}) { success } }";
    let server = Arc::new(TestServer::start().await);
    let client = Client::owner(&server);
    let mut ids = Vec::new();
    for number in 0..CLIENTS {
        let content = number.to_string();
        let files: [(&str, &[u8]); 1] = [("a", content.as_bytes())];
        ids.push(client.log_as("ds", &files, json!({})).await);
    }
    client.ask(MOVE, json!({"id": ids[0]})).await;
    let movers: Vec<_> = ids
        .iter()
        .cloned()
        .map(|id| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let client = Client::owner(&server);
                for _ in 0..ROUNDS.div_ceil(CLIENTS) {
                    client.ask(MOVE, json!({"id": id})).await;
                    assert_eq!(holders_at_once(&client).await, 1);
                }
            })
        })
        .collect();
    for mover in movers {
        mover.await.expect("one holder at every look");
    }
    assert_eq!(holders(&client, "best").await.len(), 1);
}

/// How many rows of the collection are called `best`, in one statement.
async fn holders_at_once(client: &Client<'_>) -> usize {
    let found = client.ask(ALL, json!({})).await;
    let edges = &found["project"]["artifactCollection"]["aliases"]["edges"];
    let list = edges.as_array().expect("a list");
    list.iter()
        .filter(|edge| edge["node"]["alias"] == "best")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_content_from_many_clients_is_one_version() {
    let server = Arc::new(TestServer::start().await);
    let files: [(&str, &[u8]); 2] = [("a", b"same"), ("b", b"same")];
    let digest = manifest_digest(Algorithm::Md5, &files);
    // All of them begin before one of them ends.
    let mut begun = Vec::new();
    for writer in 0..CLIENTS {
        let client = Client::owner(&server);
        let more = json!({"clientID": format!("client {writer}"),
            "aliases": [{"alias": format!("of-{writer}"), "artifactCollectionName": "ds"}]});
        let made = client.create_as("ds", &digest, more).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        client.upload(&id, &files, "FULL").await;
        begun.push(id);
    }
    let commits: Vec<_> = begun
        .iter()
        .cloned()
        .map(|id| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { Client::owner(&server).committed(&id).await })
        })
        .collect();
    let mut ids = Vec::new();
    for commit in commits {
        ids.push(commit.await.expect("committed"));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let client = Client::owner(&server);
    let found = client.ask(ALL, json!({})).await;
    let artifacts = &found["project"]["artifactCollection"]["artifacts"];
    assert_eq!(artifacts["totalCount"], 1);
    let aliases = artifacts["edges"][0]["node"]["aliases"].as_array();
    assert_eq!(
        aliases.map(Vec::len),
        Some(CLIENTS),
        "nobody's alias is lost"
    );
    // Whoever asks by an id that was given up finds the version.
    for id in begun {
        let query = "query A($id: ID!) { artifact(id: $id) { id } }";
        let found = client.ask(query, json!({"id": id})).await;
        assert_eq!(found["artifact"]["id"].as_str(), Some(ids[0].as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_comes_before_or_after_a_commit() {
    let server = Arc::new(TestServer::start().await);
    let client = Client::owner(&server);
    for round in 0..20 {
        let content = format!("round {round}");
        let files: [(&str, &[u8]); 1] = [("a", content.as_bytes())];
        let id = client
            .create("ds", &manifest_digest(Algorithm::Md5, &files))
            .await;
        client.upload(&id, &files, "FULL").await;
        let commit = {
            let (server, id) = (Arc::clone(&server), id.clone());
            tokio::spawn(async move { Client::owner(&server).commit(&id).await.json() })
        };
        let delete = {
            let (server, id) = (Arc::clone(&server), id.clone());
            tokio::spawn(async move { Client::owner(&server).delete(&id).await })
        };
        let committed = commit.await.expect("an answer");
        delete.await.expect("deleted");
        let said = committed["errors"][0]["message"].as_str();
        assert!(
            said.is_none_or(|said| said.contains("was deleted")),
            "{committed}"
        );
        // Whichever came first: it is gone, and no alias leads to it.
        assert_eq!(holders(&client, "latest").await, Vec::<String>::new());
        let query = "query A($id: ID!) { artifact(id: $id) { id } }";
        assert_eq!(
            client.ask(query, json!({"id": id})).await["artifact"],
            Value::Null
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_deletions_of_one_version_leave_no_dangling_place() {
    const LINK: &str = "mutation L($id: ID!) { linkArtifact(input: {artifactID: $id, artifactPortfolioName: \"port\",
        entityName: \"me\", projectName: \"p\", aliases: []}) { versionIndex } }";
    const PORT: &str =
        "{ project(name: \"p\", entityName: \"me\") { artifactCollection(name: \"port\") {
        aliases { totalCount } artifacts { totalCount edges { node { state } } } } } }";
    let server = Arc::new(TestServer::start().await);
    let client = Client::owner(&server);
    for round in 0..10 {
        let content = format!("round {round}");
        let id = client
            .log_as("ds", &[("a", content.as_bytes())], json!({}))
            .await;
        let link = {
            let (server, id) = (Arc::clone(&server), id.clone());
            tokio::spawn(async move {
                Client::owner(&server)
                    .answer(LINK, json!({"id": id}))
                    .await
                    .json()
            })
        };
        let delete = {
            let (server, id) = (Arc::clone(&server), id.clone());
            tokio::spawn(async move { Client::owner(&server).delete(&id).await })
        };
        link.await.expect("an answer");
        delete.await.expect("deleted");
        let found = client.ask(PORT, json!({})).await;
        let port = &found["project"]["artifactCollection"];
        if !port.is_null() {
            assert_eq!(port["artifacts"]["totalCount"], 0, "{found}");
            assert_eq!(port["aliases"]["totalCount"], 0, "{found}");
        }
    }
}
