//! Logging artifacts: what a version is, from its announcement to its commit.

use serde_json::{Value, json};

use crate::artifact_client::{Client, manifest_digest};
use crate::support::TestServer;
use runlane_model::artifact::digest::{Algorithm, Digest};

const CREATE: &str =
    "mutation C($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact {
    id state artifactSequence { latestArtifact { id } } } } }";
const VERSIONS: &str = "{ project(name: \"p\", entityName: \"me\") { artifactCollection(name: \"ds\") {
    artifacts(order: \"+version_index\") { totalCount edges { version node { id digest size fileCount aliases { alias } } } } } } }";
const MAPPING: &str = "query M($id: ID!) { clientIDMapping(clientID: $id) { serverID } }";

fn input(digest: &str, more: &Value) -> Value {
    let mut input = json!({
        "entityName": "me", "projectName": "p", "artifactTypeName": "dataset", "artifactCollectionName": "ds",
        "artifactCollectionNames": null, "digest": digest, "digestAlgorithm": "MANIFEST_MD5", "runName": null,
        "enableDigestDeduplication": true, "labels": null, "distributedID": null, "historyStep": null,
        "aliases": [{"alias": "latest", "artifactCollectionName": "ds"}],
    });
    for (name, value) in more.as_object().expect("an object") {
        input[name] = value.clone();
    }
    input
}

async fn versions(client: &Client<'_>) -> Vec<Value> {
    let found = client.ask(VERSIONS, json!({})).await;
    let edges = &found["project"]["artifactCollection"]["artifacts"]["edges"];
    edges.as_array().expect("a list").clone()
}

/// The aliases of a version of a list, sorted.
fn aliases(edge: &Value) -> Vec<&str> {
    let list = edge["node"]["aliases"].as_array().expect("a list");
    let mut words: Vec<&str> = list
        .iter()
        .filter_map(|one| one["alias"].as_str())
        .collect();
    words.sort_unstable();
    words
}

#[tokio::test]
async fn new_content_is_pending_and_known_content_is_committed() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("q.txt", b"hello")];
    // The test vector of the reference.
    let digest = "22572f4f3494bd013f0af76b2bdf1598";
    assert_eq!(manifest_digest(Algorithm::Md5, &files), digest);
    let made = client
        .ask(CREATE, json!({"input": input(digest, &json!({}))}))
        .await;
    let artifact = &made["createArtifact"]["artifact"];
    assert_eq!(artifact["state"], "PENDING");
    assert_eq!(
        artifact["artifactSequence"],
        json!({"latestArtifact": null})
    );
    let id = artifact["id"].as_str().expect("an id").to_owned();
    client.upload(&id, &files, "FULL").await;
    assert_eq!(client.committed(&id).await, id);
    // Again, and nothing is different.
    assert_eq!(client.committed(&id).await, id);
    let more = json!({"aliases": [{"alias": "best", "artifactCollectionName": "ds"}]});
    let again = client
        .ask(CREATE, json!({"input": input(digest, &more)}))
        .await;
    let expected =
        json!({"id": id, "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": id}}});
    assert_eq!(again["createArtifact"]["artifact"], expected);
    let listed = versions(&client).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["version"], "v0");
    assert_eq!(listed[0]["node"]["size"], 5);
    assert_eq!(listed[0]["node"]["fileCount"], 1);
    assert_eq!(aliases(&listed[0]), ["best", "latest"]);
}

#[tokio::test]
async fn aliases_move_to_the_version_that_has_the_content() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let one = client.log_as("ds", &[("a", b"1")], json!({})).await;
    client.log_as("ds", &[("a", b"2")], json!({})).await;
    assert_eq!(aliases(&versions(&client).await[1]), ["latest"]);
    assert_eq!(client.log_as("ds", &[("a", b"1")], json!({})).await, one);
    let listed = versions(&client).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (aliases(&listed[0]), aliases(&listed[1])),
        (vec!["latest"], vec![])
    );
}

#[tokio::test]
async fn a_client_finds_its_version_by_the_id_that_it_made_up() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("a", b"1")];
    let digest = manifest_digest(Algorithm::Md5, &files);
    let more = json!({"clientID": "c".repeat(128), "sequenceClientID": "s".repeat(128)});
    let made = client.create_as("ds", &digest, more.clone()).await;
    let mapped = client.ask(MAPPING, json!({"id": "c".repeat(128)})).await;
    assert_eq!(
        mapped["clientIDMapping"]["serverID"], made["id"],
        "while it is pending"
    );
    // The answer was lost: asked again, it is the same version.
    let again = client.create_as("ds", &digest, more.clone()).await;
    assert_eq!(again, made);
    // Somebody else commits the same content first: the id leads there.
    let other = client.log_as("ds", &files, json!({})).await;
    let id = made["id"].as_str().expect("an id");
    assert_ne!(other, id);
    client.upload(id, &files, "FULL").await;
    assert_eq!(client.committed(id).await, other);
    let mapped = client.ask(MAPPING, json!({"id": "c".repeat(128)})).await;
    assert_eq!(
        mapped["clientIDMapping"]["serverID"].as_str(),
        Some(other.as_str())
    );
    let found = client
        .ask(
            "query A($id: ID!) { artifact(id: $id) { id versionIndex } }",
            json!({"id": id}),
        )
        .await;
    assert_eq!(found["artifact"], json!({"id": other, "versionIndex": 0}));
    assert_eq!(versions(&client).await.len(), 1);
    let none = client.ask(MAPPING, json!({"id": "nobody's"})).await;
    assert_eq!(none["clientIDMapping"], Value::Null);
    // Deleted: logged with the same id it is a new one.
    client.delete(&other).await;
    let made = client.create_as("ds", &digest, more).await;
    assert_eq!(made["state"], "PENDING");
}

#[tokio::test]
async fn writers_of_one_version_share_it_and_the_last_one_commits_the_union() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let parts: [(&str, &[u8]); 3] = [("a", b"1"), ("b", b"2"), ("c", b"3")];
    let mut ids = Vec::new();
    for part in &parts {
        let digest = manifest_digest(Algorithm::Md5, &[*part]);
        let made = client
            .create_as("ds", &digest, json!({"distributedID": "g"}))
            .await;
        let id = made["id"].as_str().expect("an id").to_owned();
        client.upload(&id, &[*part], "PATCH").await;
        ids.push(id);
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    client.committed(&ids[0]).await;
    let listed = versions(&client).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["node"]["fileCount"], 3);
    assert_eq!(
        listed[0]["node"]["digest"],
        manifest_digest(Algorithm::Md5, &parts).as_str()
    );
    let urls = client.urls("ds").await.expect("a version");
    let names: Vec<&String> = urls.keys().collect();
    assert_eq!(names, ["a", "b", "c"]);
    // The merged manifest is an ordinary one.
    let path = client.manifest_url(&ids[0]).await;
    let manifest = client.get(&path, &[]).await.json();
    assert_eq!(
        manifest["contents"].as_object().map(serde_json::Map::len),
        Some(3)
    );
    // The next version is another one.
    let next = client
        .create_as("ds", &"0".repeat(32), json!({"distributedID": "g"}))
        .await;
    assert_ne!(next["id"].as_str(), Some(ids[0].as_str()));
}

#[tokio::test]
async fn increments_are_laid_over_the_latest_version() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    client
        .log_as("ds", &[("a", b"1"), ("b", b"1")], json!({}))
        .await;
    let news: [(&str, &[u8]); 2] = [("b", b"2"), ("c", b"2")];
    let made = client
        .create("ds", &manifest_digest(Algorithm::Md5, &news))
        .await;
    client.upload(&made, &news, "INCREMENTAL").await;
    client.committed(&made).await;
    let listed = versions(&client).await;
    let whole: [(&str, &[u8]); 3] = [("a", b"1"), ("b", b"2"), ("c", b"2")];
    assert_eq!(
        listed[1]["node"]["digest"],
        manifest_digest(Algorithm::Md5, &whole).as_str()
    );
    assert_eq!(listed[1]["node"]["fileCount"], 3);
}

#[tokio::test]
async fn a_version_is_committed_only_with_everything_that_it_has() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("a", b"1")];
    let id = client
        .create("ds", &manifest_digest(Algorithm::Md5, &files))
        .await;
    let commit =
        "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";
    let said = client.refusal(commit, json!({"id": id})).await;
    assert!(said.contains("its manifest was not uploaded"), "{said}");
    client
        .send_manifest(&id, client.manifest_of(&files), "FULL")
        .await;
    let said = client.refusal(commit, json!({"id": id})).await;
    assert!(
        said.contains("entry `a`") && said.contains("its bytes were not uploaded"),
        "{said}"
    );
    // Nothing is seen of it.
    assert_eq!(client.urls("ds").await, None);
    client.upload(&id, &files, "FULL").await;
    client.committed(&id).await;
    // What is committed takes nothing more.
    let more = "mutation F($id: ID!) { createArtifactFiles(input: {storageLayout: V2, artifactFiles: [
        {artifactID: $id, name: \"b\", md5: \"XUFAKrxLKna5cZ2REBfFkg==\"}]}) { files { totalCount } } }";
    let said = client.refusal(more, json!({"id": id})).await;
    assert!(
        said.contains("takes no more files: it is committed"),
        "{said}"
    );
}

#[tokio::test]
async fn words_are_checked_before_anything_is_made() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let good = "0".repeat(32);
    for (name, value, said) in [
        (
            "artifactCollectionName",
            json!("a b"),
            "invalid artifact name",
        ),
        (
            "artifactCollectionName",
            json!(".."),
            "invalid artifact name",
        ),
        ("artifactTypeName", json!("a/b"), "invalid artifact type"),
        ("digest", json!("no digest"), "32 hexadecimal digits"),
        ("metadata", json!("[1]"), "it must be a JSON object"),
        ("ttlDurationSeconds", json!(-7), "-1 (as the collection's)"),
        ("storageRegion", json!("moon"), "no storage region `moon`"),
        (
            "aliases",
            json!([{"alias": "v3", "artifactCollectionName": "ds"}]),
            "reads as a version",
        ),
        (
            "aliases",
            json!([{"alias": "a:b", "artifactCollectionName": "ds"}]),
            "invalid alias",
        ),
        (
            "aliases",
            json!([{"alias": "a", "artifactCollectionName": "other"}]),
            "is of collection `other`",
        ),
        ("tags", json!([{"tagName": "a/b"}]), "invalid tag"),
        ("runName", json!("nothing"), "no run `me/p/nothing`"),
        ("artifactCollectionNames", json!(["x"]), "2 are named"),
    ] {
        let mut more = json!({"aliases": []});
        more[name] = value.clone();
        let given = input(&good, &more);
        let answer = client.refusal(CREATE, json!({"input": given})).await;
        assert!(answer.contains(said), "{name} {value}: {answer}");
    }
    let found = client
        .ask(
            "{ project(name: \"p\", entityName: \"me\") { artifactTypes { totalCount } } }",
            json!({}),
        )
        .await;
    assert_eq!(found["project"], Value::Null);
    // All versions of an artifact have one type.
    client.log_as("ds", &[("a", b"1")], json!({})).await;
    let given = input(&good, &json!({"artifactTypeName": "model"}));
    let said = client.refusal(CREATE, json!({"input": given})).await;
    assert!(
        said.contains("`ds` has type `dataset`, and `model` was given"),
        "{said}"
    );
}

#[tokio::test]
async fn runs_have_what_they_logged_and_used() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    for run in ["maker", "again", "user"] {
        server.create_run(run).await;
    }
    let before = server.run("maker", "version").await;
    let id = client
        .log_as(
            "ds",
            &[("a", b"1")],
            json!({"runName": "maker", "historyStep": 3}),
        )
        .await;
    assert_ne!(server.run("maker", "version").await, before, "pages notice");
    client
        .log_as("ds", &[("a", b"1")], json!({"runName": "again"}))
        .await;
    let using = "mutation U($id: ID!) { useArtifact(input: {artifactID: $id, entityName: \"me\", projectName: \"p\",
        runName: \"user\", usedAs: \"data\"}) { artifact { id state digest } } }";
    for _ in 0..2 {
        client.ask(using, json!({"id": id})).await;
    }
    let lists = "outputArtifacts { totalCount edges { node { id historyStep } } } inputArtifacts { totalCount edges { node { id } } }";
    for (run, outputs, inputs) in [("maker", 1, 0), ("again", 1, 0), ("user", 0, 1)] {
        let found = server.run(run, lists).await;
        assert_eq!(
            found["outputArtifacts"]["totalCount"], outputs,
            "{run}: {found}"
        );
        assert_eq!(
            found["inputArtifacts"]["totalCount"], inputs,
            "{run}: {found}"
        );
    }
    let read = "query A($id: ID!) { artifact(id: $id) { historyStep createdBy { __typename ... on Run { name } } usedBy { totalCount edges { node { name } } } } }";
    let found = client.ask(read, json!({"id": id})).await;
    let expected = json!({"historyStep": 3, "createdBy": {"__typename": "Run", "name": "maker"},
        "usedBy": {"totalCount": 1, "edges": [{"node": {"name": "user"}}]}});
    assert_eq!(found["artifact"], expected);
    // A version outlives its run.
    let run = server.run("maker", "id").await["id"].clone();
    client
        .ask(
            "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
            json!({"id": run}),
        )
        .await;
    let found = client.ask(read, json!({"id": id})).await;
    assert_eq!(found["artifact"]["createdBy"], Value::Null);
    assert!(client.urls("ds").await.is_some());
    // Without a run it is the user's.
    let own = client.log_as("own", &[("a", b"1")], json!({})).await;
    let found = client.ask(read, json!({"id": own})).await;
    assert_eq!(found["artifact"]["createdBy"]["__typename"], "User");
}

/// The answer was lost, and the world has gone on: asked again, an announcement takes nothing back.
#[tokio::test]
async fn an_announcement_that_is_repeated_moves_no_alias_back() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let one: [(&str, &[u8]); 1] = [("a", b"1")];
    let digest = manifest_digest(Algorithm::Md5, &one);
    let id = client.log_as("ds", &one, json!({"clientID": "c"})).await;
    // Known content, from a client of its own.
    let known = json!({"clientID": "d"});
    client.create_as("ds", &digest, known.clone()).await;
    client.log_as("ds", &[("a", b"2")], json!({})).await;
    let more = json!([{"alias": "latest", "artifactCollectionName": "ds"},
        {"alias": "best", "artifactCollectionName": "ds"}]);
    for again in ["c", "d"] {
        let given = json!({"clientID": again, "aliases": more.clone()});
        let made = client.create_as("ds", &digest, given).await;
        assert_eq!(made, json!({"id": id, "state": "COMMITTED"}));
        let listed = versions(&client).await;
        assert_eq!(aliases(&listed[0]), ["best"], "{again}");
        assert_eq!(aliases(&listed[1]), ["latest"], "{again}");
    }
    // Another run logs it anew, whoever has made it.
    server.create_run("r").await;
    let given = json!({"clientID": "c", "runName": "r"});
    client.create_as("ds", &digest, given).await;
    let listed = versions(&client).await;
    assert_eq!(aliases(&listed[0]), ["best", "latest"]);
}

#[tokio::test]
async fn a_version_whose_content_comes_first_from_another_gives_it_its_tags() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("a", b"1")];
    let digest = manifest_digest(Algorithm::Md5, &files);
    let tagged = |tag: &str| json!({"tags": [{"tagName": tag}]});
    let made = client.create_as("ds", &digest, tagged("mine")).await;
    let other = client.log_as("ds", &files, tagged("theirs")).await;
    let id = made["id"].as_str().expect("an id");
    client.upload(id, &files, "FULL").await;
    assert_eq!(client.committed(id).await, other);
    let query = "query A($id: ID!) { artifact(id: $id) { tags { name } } }";
    let found = client.ask(query, json!({"id": id})).await;
    let expected = json!([{"name": "mine"}, {"name": "theirs"}]);
    assert_eq!(found["artifact"]["tags"], expected);
}

#[tokio::test]
async fn a_part_that_was_announced_and_never_came_is_missed() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let part: [(&str, &[u8]); 1] = [("a", b"1")];
    let digest = manifest_digest(Algorithm::Md5, &part);
    let id = client
        .create_as("ds", &digest, json!({"distributedID": "g"}))
        .await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    client.upload(&id, &part, "PATCH").await;
    let second: [(&str, &[u8]); 1] = [("b", b"1")];
    let file = client.manifest_of(&second);
    let announce = |digest: String| {
        json!({"input": {"artifactID": id, "name": "m.json", "digest": digest, "entityName": "me", "projectName": "p",
            "runName": "", "type": "PATCH"}})
    };
    let create = "mutation M($input: CreateArtifactManifestInput!) { createArtifactManifest(input: $input) { artifactManifest { id } } }";
    let md5 = crate::artifact_client::md5(file.as_bytes());
    // One that has said nothing yet, and whose answer may have been lost, is nobody's.
    client.ask(create, announce(String::new())).await;
    client.ask(create, announce(md5.clone())).await;
    let commit =
        "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";
    let said = client.refusal(commit, json!({"id": id})).await;
    assert!(
        said.contains("1 of its writers' manifests") && said.contains(&md5),
        "{said}"
    );
    // Its writer died and did it again.
    client.send_manifest(&id, file, "PATCH").await;
    client.committed(&id).await;
    assert_eq!(versions(&client).await[0]["node"]["fileCount"], 2);
}

#[tokio::test]
async fn paths_have_a_length_that_every_database_holds() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    // A text that no database makes smaller.
    let pieces = (0_u32..).map(|number| {
        let digest =
            |salt: u32| Digest::of(Algorithm::Md5, &(number * 8 + salt).to_le_bytes()).hex();
        (0..7).map(digest).collect::<String>()
    });
    let mut word = pieces.take(9).collect::<Vec<_>>().join("/");
    word.truncate(2_001);
    client
        .log_as("ds", &[(&word[..2_000], b"1")], json!({}))
        .await;
    let longer: [(&str, &[u8]); 1] = [(&word, b"1")];
    let digest = manifest_digest(Algorithm::Md5, &longer);
    let id = client.create("ds", &digest).await;
    client
        .send_manifest(&id, client.manifest_of(&longer), "FULL")
        .await;
    let commit =
        "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";
    let said = client.refusal(commit, json!({"id": id})).await;
    assert!(said.contains("1 to 2000 bytes"), "{said}");
}
