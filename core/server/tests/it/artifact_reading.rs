//! Reading artifacts: lists, pages, filters, orders, files.

use serde_json::{Value, json};

use crate::artifact_client::Client;
use crate::support::TestServer;

const LIST: &str = "query L($filters: JSONString, $order: String, $first: Int, $after: String) {
    project(name: \"p\", entityName: \"me\") { artifactType(name: \"dataset\") { artifactCollection(name: \"ds\") { __typename
        artifacts(filters: $filters, order: $order, first: $first, after: $after) {
            totalCount pageInfo { endCursor hasNextPage } edges { version node { versionIndex } } } } } } }";
const COLLECTIONS: &str = "query L($filters: JSONString, $order: String, $first: Int, $after: String) {
    project(name: \"p\", entityName: \"me\") { artifactCollections(filters: $filters, order: $order, first: $first, after: $after) {
        totalCount pageInfo { endCursor hasNextPage } edges { node { __typename name } } } } }";

/// The texts at `pointer` in the nodes of a connection.
fn texts<'a>(connection: &'a Value, pointer: &str) -> Vec<&'a str> {
    let edges = connection["edges"].as_array().expect("a list");
    edges
        .iter()
        .map(|edge| {
            edge.pointer(pointer)
                .and_then(Value::as_str)
                .expect("a text")
        })
        .collect()
}

async fn listed(client: &Client<'_>, variables: Value) -> Value {
    let found = client.ask(LIST, variables).await;
    found["project"]["artifactType"]["artifactCollection"]["artifacts"].clone()
}

async fn five(client: &Client<'_>) {
    for (number, words) in [
        json!({"metadata": "{\"acc\": 0.5}", "tags": [{"tagName": "odd"}]}),
        json!({"metadata": "{\"acc\": 0.9, \"of\": {\"x\": 1}}"}),
        json!({"description": "the third", "tags": [{"tagName": "odd"}, {"tagName": "good"}]}),
        json!({"aliases": [{"alias": "best", "artifactCollectionName": "ds"}]}),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    {
        let content = "x".repeat(number + 1);
        client
            .log_as("ds", &[("a", content.as_bytes())], words)
            .await;
    }
}

#[tokio::test]
async fn versions_are_listed_the_newest_first_in_pages() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    five(&client).await;
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = listed(
            &client,
            json!({"first": 2, "after": after, "filters": "{\"state\": \"COMMITTED\"}"}),
        )
        .await;
        assert_eq!(page["totalCount"], 5);
        seen.extend(texts(&page, "/version").into_iter().map(str::to_owned));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, ["v4", "v3", "v2", "v1", "v0"]);
}

#[tokio::test]
async fn versions_are_filtered_and_ordered() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    five(&client).await;
    for (filter, order, expected) in [
        ("{}", "+version_index", vec!["v0", "v1", "v2", "v3", "v4"]),
        ("{}", "version_index", vec!["v0", "v1", "v2", "v3", "v4"]),
        ("{}", "-size", vec!["v4", "v3", "v2", "v1", "v0"]),
        ("{}", "createdAt", vec!["v0", "v1", "v2", "v3", "v4"]),
        (r#"{"state": "PENDING"}"#, "", vec![]),
        (r#"{"tag": "odd"}"#, "", vec!["v2", "v0"]),
        (r#"{"tags": {"$in": ["good", "nothing"]}}"#, "", vec!["v2"]),
        (r#"{"alias": "best"}"#, "", vec!["v3"]),
        (r#"{"version": "v1"}"#, "", vec!["v1"]),
        (r#"{"version_index": {"$gte": 3}}"#, "", vec!["v4", "v3"]),
        (r#"{"metadata.acc": {"$gt": 0.6}}"#, "", vec!["v1"]),
        (r#"{"metadata.of.x": 1}"#, "", vec!["v1"]),
        (r#"{"description": {"$regex": "^the"}}"#, "", vec!["v2"]),
        (
            r#"{"$or": [{"size": 1}, {"size": 5}]}"#,
            "",
            vec!["v4", "v0"],
        ),
    ] {
        let page = listed(&client, json!({"filters": filter, "order": order})).await;
        assert_eq!(texts(&page, "/version"), expected, "{filter} {order}");
        assert_eq!(page["totalCount"], expected.len(), "{filter} {order}");
    }
    for (filter, order, said) in [
        ("{", "", "invalid filter"),
        (r#"{"nothing": 1}"#, "", "`nothing` is no key of these"),
        (r#"{"tag": {"$where": "1"}}"#, "", "$where"),
        ("{}", "+nothing", "`nothing` is no key of these"),
    ] {
        let answer = client
            .answer(LIST, json!({"filters": filter, "order": order}))
            .await;
        assert_eq!(answer.status, 400, "{filter} {order}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(said), "{text}");
    }
}

#[tokio::test]
async fn collections_are_listed_filtered_and_ordered() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    for name in ["b", "a", "c"] {
        client.log_as(name, &[("a", b"1")], json!({})).await;
    }
    let tag = "mutation { createArtifactCollectionTagAssignments(input: {entityName: \"me\", projectName: \"p\",
        artifactCollectionName: \"a\", tags: [{tagName: \"t\"}]}) { tags { name } } }";
    client.ask(tag, json!({})).await;
    for (filter, order, expected) in [
        ("", "", vec!["c", "a", "b"]),
        ("", "+name", vec!["a", "b", "c"]),
        ("", "-name", vec!["c", "b", "a"]),
        ("", "+created_at", vec!["b", "a", "c"]),
        (r#"{"name": {"$in": ["a", "b"]}}"#, "name", vec!["a", "b"]),
        (r#"{"tag": "t"}"#, "", vec!["a"]),
        (r#"{"name": {"$contains": "z"}}"#, "", vec![]),
    ] {
        let found = client
            .ask(COLLECTIONS, json!({"filters": filter, "order": order}))
            .await;
        let page = &found["project"]["artifactCollections"];
        assert_eq!(texts(page, "/node/name"), expected, "{filter} {order}");
        assert_eq!(page["totalCount"], expected.len());
    }
    let found = client
        .ask(
            COLLECTIONS,
            json!({"first": 2, "filters": r#"{"name": {"$regex": "."}}"#}),
        )
        .await;
    let page = &found["project"]["artifactCollections"];
    assert_eq!(
        (
            page["totalCount"].as_i64(),
            page["pageInfo"]["hasNextPage"].as_bool()
        ),
        (Some(3), Some(true))
    );
    let after = page["pageInfo"]["endCursor"].clone();
    let found = client
        .ask(COLLECTIONS, json!({"first": 2, "after": after}))
        .await;
    assert_eq!(
        texts(&found["project"]["artifactCollections"], "/node/name"),
        ["b"]
    );
}

#[tokio::test]
async fn files_are_all_entries_and_nothing_else() {
    const FILES: &str = "query F($names: [String!], $first: Int, $after: String) { project(name: \"p\", entityName: \"me\") {
        artifactCollection(name: \"ds\") { artifactMembership(aliasName: \"v0\") { files(names: $names, first: $first, after: $after) {
            totalCount pageInfo { endCursor hasNextPage }
            edges { node { __typename id name displayName directUrl sizeBytes mimetype digest md5 storagePath } } } } } } }";
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let digest = "XUFAKrxLKna5cZ2REBfFkg==";
    client.log_as("other", &[("q", b"hello")], json!({})).await;
    let contents = json!({
        "dir/a.txt": {"digest": digest, "size": 5}, "b.json": {"digest": digest},
        "z": {"digest": "https://example.com/z", "ref": "https://example.com/z", "size": 7},
    });
    let manifest =
        json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1", "contents": contents})
            .to_string();
    let whole = [
        ("b.json", digest),
        ("dir/a.txt", digest),
        ("z", "https://example.com/z"),
    ];
    let hash = runlane_model::artifact::manifest::digest_of(
        runlane_model::artifact::digest::Algorithm::Md5,
        whole,
    );
    let id = client.create("ds", &hash).await;
    client.send_manifest(&id, manifest, "FULL").await;
    client.committed(&id).await;
    let page = |found: Value| {
        found["project"]["artifactCollection"]["artifactMembership"]["files"].clone()
    };
    let all = page(client.ask(FILES, json!({})).await);
    assert_eq!(all["totalCount"], 3);
    assert_eq!(texts(&all, "/node/name"), ["b.json", "dir/a.txt", "z"]);
    let file = &all["edges"][1]["node"];
    assert_eq!(file["displayName"], "dir/a.txt");
    assert_eq!(
        (&file["sizeBytes"], &file["mimetype"]),
        (&json!(5), &json!("text/plain"))
    );
    assert_eq!(
        (file["digest"].as_str(), file["md5"].as_str()),
        (Some(digest), Some(digest))
    );
    assert!(
        file["directUrl"]
            .as_str()
            .is_some_and(|url| url.starts_with("http://")),
        "{file}"
    );
    assert_eq!(
        all["edges"][2]["node"]["directUrl"],
        "https://example.com/z"
    );
    assert_eq!(all["edges"][2]["node"]["sizeBytes"], 7);
    // The sum of all sizes, the missing one from the bytes.
    let found = client
        .ask(
            "query A($id: ID!) { artifact(id: $id) { size fileCount } }",
            json!({"id": id}),
        )
        .await;
    assert_eq!(found["artifact"], json!({"size": 17, "fileCount": 3}));
    let first = page(client.ask(FILES, json!({"first": 2})).await);
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    let after = first["pageInfo"]["endCursor"].clone();
    let rest = page(client.ask(FILES, json!({"first": 2, "after": after})).await);
    assert_eq!(texts(&rest, "/node/name"), ["z"]);
    assert_eq!(rest["pageInfo"]["hasNextPage"], false);
    let named = page(
        client
            .ask(FILES, json!({"names": ["z", "nothing", "b.json"]}))
            .await,
    );
    assert_eq!(texts(&named, "/node/name"), ["b.json", "z"]);
    assert_eq!(named["totalCount"], 2);
    let bad = client.refusal(FILES, json!({"after": "%%"})).await;
    assert!(bad.contains("not a cursor"), "{bad}");
    let by_entries = "query E($id: ID!) { artifact(id: $id) { filesByManifestEntries(storageLayout: \"V2\", manifestVersion: \"1\",
        entries: [{name: \"b.json\", digest: \"x\"}]) { edges { node { name } } } } }";
    let found = client.ask(by_entries, json!({"id": id})).await;
    assert_eq!(
        texts(&found["artifact"]["filesByManifestEntries"], "/node/name"),
        ["b.json"]
    );
}

#[tokio::test]
async fn names_lead_to_versions() {
    const NAMED: &str = "query N($name: String!) { project(name: \"p\", entityName: \"me\") {
        artifact(name: $name) { versionIndex } artifactCollectionMembership(name: $name) { __typename versionIndex } } }";
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    five(&client).await;
    for (name, index) in [
        ("ds", Some(4)),
        ("ds:latest", Some(4)),
        ("ds:v1", Some(1)),
        ("ds:best", Some(3)),
        ("ds:v9", None),
        ("ds:nothing", None),
        ("nothing:latest", None),
        ("ds:v99999999999999999999", None),
        ("", None),
        (":", None),
    ] {
        let found = client.ask(NAMED, json!({"name": name})).await;
        let project = &found["project"];
        assert_eq!(
            project["artifact"]["versionIndex"].as_i64(),
            index,
            "{name}"
        );
        let place = &project["artifactCollectionMembership"];
        assert_eq!(place["versionIndex"].as_i64(), index, "{name}");
    }
    let odd = client
        .ask(
            "{ artifact(id: \"nothing\") { id } artifactCollection(id: \"UnVu\") { id } }",
            json!({}),
        )
        .await;
    assert_eq!(odd, json!({"artifact": null, "artifactCollection": null}));
}
