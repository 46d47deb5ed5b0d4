//! Changes of versions and collections, links, and what is deleted.

use std::time::Duration;

use serde_json::{Value, json};

use crate::artifact_client::Client;
use crate::support::TestServer;

const READ: &str = "query A($id: ID!) { artifact(id: $id) { description metadata ttlDurationSeconds ttlIsInherited updatedAt
    tags { name } aliases { alias artifactCollection { __typename name } } artifactType { name } artifactSequence { name } } }";
const UPDATE: &str = "mutation U($input: UpdateArtifactInput!) { updateArtifact(input: $input) { artifact { id } } }";
const ADD: &str = "mutation A($id: ID!, $c: String!, $alias: String!) { addAliases(input: {artifactID: $id, aliases: [
    {entityName: \"me\", projectName: \"p\", artifactCollectionName: $c, alias: $alias}]}) { success } }";
const TAKE: &str = "mutation A($id: ID!, $c: String!, $alias: String!) { deleteAliases(input: {artifactID: $id, aliases: [
    {entityName: \"me\", projectName: \"p\", artifactCollectionName: $c, alias: $alias}]}) { success } }";
const DELETE: &str = "mutation D($id: ID!, $all: Boolean) { deleteArtifact(input: {artifactID: $id, deleteAliases: $all}) { artifact { id state } } }";
const LINK: &str = "mutation L($id: ID!, $port: String!, $project: String!, $aliases: [ArtifactAliasInput!]) {
    linkArtifact(input: {artifactID: $id, artifactPortfolioName: $port, entityName: \"me\", projectName: $project, aliases: $aliases}) {
        versionIndex artifactMembership { artifactCollection { __typename id name } aliases { alias } } } }";
const PORT: &str = "query P($project: String!) { project(name: $project, entityName: \"me\") { artifactCollection(name: \"port\") {
    __typename id defaultArtifactType { name } artifacts(order: \"+version_index\") { edges { version node { versionIndex aliases { alias } } } } } } }";

async fn read(client: &Client<'_>, id: &str) -> Value {
    client.ask(READ, json!({"id": id})).await["artifact"].clone()
}

#[tokio::test]
async fn a_version_is_described_anew() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let words =
        json!({"description": "first", "tags": [{"tagName": "a"}], "ttlDurationSeconds": 60});
    let id = client.log_as("ds", &[("a", b"1")], words).await;
    let before = read(&client, &id).await;
    assert_eq!(before["updatedAt"], Value::Null);
    assert_eq!(
        (&before["ttlDurationSeconds"], &before["ttlIsInherited"]),
        (&json!(60), &json!(false))
    );
    let change = json!({"artifactID": id, "description": "second", "metadata": "{\"k\": 1}", "ttlDurationSeconds": -2,
        "tagsToAdd": [{"tagName": "b"}, {"tagName": "b"}], "tagsToDelete": [{"tagName": "a"}]});
    client.ask(UPDATE, json!({"input": change})).await;
    let after = read(&client, &id).await;
    assert_eq!(after["description"], "second");
    assert_eq!(after["metadata"], "{\"k\": 1}");
    assert_eq!(after["tags"], json!([{"name": "b"}]));
    assert_eq!(
        (&after["ttlDurationSeconds"], &after["ttlIsInherited"]),
        (&json!(-2), &json!(false))
    );
    assert_ne!(after["updatedAt"], Value::Null);
    // What is left out stays; null clears a description.
    client
        .ask(
            UPDATE,
            json!({"input": {"artifactID": id, "description": null, "ttlDurationSeconds": -1}}),
        )
        .await;
    let after = read(&client, &id).await;
    assert_eq!(
        (&after["description"], &after["metadata"]),
        (&Value::Null, &json!("{\"k\": 1}"))
    );
    assert_eq!(
        (&after["ttlDurationSeconds"], &after["ttlIsInherited"]),
        (&json!(-1), &json!(true))
    );
    for (change, said) in [
        (json!({"metadata": "1"}), "it must be a JSON object"),
        (json!({"tagsToAdd": [{"tagName": ""}]}), "invalid tag"),
        (json!({"ttlDurationSeconds": -5}), "ttlDurationSeconds"),
        (
            json!({"aliases": [{"alias": "v0", "artifactCollectionName": "ds"}]}),
            "reads as a version",
        ),
    ] {
        let mut input = change;
        input["artifactID"] = json!(id);
        let refused = client.refusal(UPDATE, json!({"input": input})).await;
        assert!(refused.contains(said), "{refused}");
    }
}

#[tokio::test]
async fn aliases_are_given_and_taken() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let one = client.log_as("ds", &[("a", b"1")], json!({})).await;
    let two = client.log_as("ds", &[("a", b"2")], json!({})).await;
    client
        .ask(ADD, json!({"id": one, "c": "ds", "alias": "best"}))
        .await;
    client
        .ask(ADD, json!({"id": two, "c": "ds", "alias": "best"}))
        .await;
    assert_eq!(read(&client, &one).await["aliases"], json!([]));
    let held = read(&client, &two).await["aliases"].clone();
    assert_eq!(held.as_array().map(Vec::len), Some(2), "{held}");
    // Taken from one that does not have it: nothing happens.
    client
        .ask(TAKE, json!({"id": one, "c": "ds", "alias": "best"}))
        .await;
    assert_eq!(read(&client, &two).await["aliases"], held);
    client
        .ask(TAKE, json!({"id": two, "c": "ds", "alias": "best"}))
        .await;
    let held = read(&client, &two).await["aliases"].clone();
    assert_eq!(
        held,
        json!([{"alias": "latest", "artifactCollection": {"__typename": "ArtifactSequence", "name": "ds"}}])
    );
    for query in [ADD, TAKE] {
        for (collection, alias, said) in [
            ("ds", "v3", "reads as a version"),
            ("ds", "a/b", "invalid alias"),
            ("nothing", "x", "no artifact collection `me/p/nothing`"),
        ] {
            let refused = client
                .refusal(query, json!({"id": one, "c": collection, "alias": alias}))
                .await;
            assert!(refused.contains(said), "{refused}");
        }
    }
    client.log_as("other", &[("a", b"1")], json!({})).await;
    let refused = client
        .refusal(ADD, json!({"id": one, "c": "other", "alias": "x"}))
        .await;
    assert!(
        refused.contains("`other` does not have this artifact"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_version_that_has_aliases_is_deleted_only_with_them() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let one = client.log_as("ds", &[("a", b"1")], json!({})).await;
    let two = client.log_as("ds", &[("a", b"2")], json!({})).await;
    let refused = client
        .refusal(DELETE, json!({"id": two, "all": false}))
        .await;
    assert!(
        refused.contains("`ds:v1` has the aliases latest"),
        "{refused}"
    );
    client.ask(DELETE, json!({"id": one, "all": false})).await;
    let done = client.ask(DELETE, json!({"id": two, "all": true})).await;
    assert_eq!(
        done["deleteArtifact"]["artifact"],
        json!({"id": two, "state": "DELETED"})
    );
    // Again: it is as it was asked to be.
    client.ask(DELETE, json!({"id": two})).await;
    assert_eq!(read(&client, &two).await, Value::Null);
    // Its index is not used again, and its content is new.
    let three = client.log_as("ds", &[("a", b"2")], json!({})).await;
    let found = client
        .ask(
            "query A($id: ID!) { artifact(id: $id) { versionIndex } }",
            json!({"id": three}),
        )
        .await;
    assert_eq!(found["artifact"]["versionIndex"], 2);
}

#[tokio::test]
async fn links_are_places_in_a_portfolio() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let one = client.log_as("ds", &[("a", b"1")], json!({})).await;
    let two = client.log_as("ds", &[("a", b"2")], json!({})).await;
    // The project is made on demand, as that of registered models is.
    let prod = json!([{"alias": "prod", "artifactCollectionName": "port"}]);
    let link = |id: &str, aliases: Value| json!({"id": id, "port": "port", "project": "model-registry", "aliases": aliases});
    let made = client.ask(LINK, link(&two, prod)).await;
    assert_eq!(made["linkArtifact"]["versionIndex"], 0);
    let portfolio = &made["linkArtifact"]["artifactMembership"]["artifactCollection"];
    assert_eq!(
        (&portfolio["__typename"], &portfolio["name"]),
        (&json!("ArtifactPortfolio"), &json!("port"))
    );
    let made = client.ask(LINK, link(&one, json!([]))).await;
    assert_eq!(made["linkArtifact"]["versionIndex"], 1);
    // Again: the same place, and `latest` is with what was linked last.
    let again = client
        .ask(
            LINK,
            link(
                &two,
                json!([{"alias": "x", "artifactCollectionName": "port"}]),
            ),
        )
        .await;
    assert_eq!(again["linkArtifact"]["versionIndex"], 0);
    let aliases = &again["linkArtifact"]["artifactMembership"]["aliases"];
    assert_eq!(aliases.as_array().map(Vec::len), Some(3), "{aliases}");
    let found = client.ask(PORT, json!({"project": "model-registry"})).await;
    let port = &found["project"]["artifactCollection"];
    assert_eq!(port["defaultArtifactType"]["name"], "dataset");
    assert_eq!(port["artifacts"]["edges"][0]["version"], "v0");
    assert_eq!(
        port["artifacts"]["edges"][0]["node"]["versionIndex"], 1,
        "its own index is that of its sequence"
    );
    let places = client
        .ask("query A($id: ID!) { artifact(id: $id) { artifactMemberships { edges { node { versionIndex artifactCollection { name } } } } } }", json!({"id": two}))
        .await;
    assert_eq!(
        places["artifact"]["artifactMemberships"]["edges"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let unlink = "mutation U($id: ID!, $port: ID!) { unlinkArtifact(input: {artifactID: $id, artifactPortfolioID: $port}) { success } }";
    for success in [true, false] {
        let done = client
            .ask(unlink, json!({"id": two, "port": port["id"]}))
            .await;
        assert_eq!(done["unlinkArtifact"]["success"], success);
    }
    assert!(client.urls("ds").await.is_some());
    for (port, project, said) in [
        ("a/b", "p", "invalid collection name"),
        ("ds", "p", "artifacts are logged to `ds`"),
        ("port", "wandb-registry-model", "needs registries"),
    ] {
        let refused = client
            .refusal(
                LINK,
                json!({"id": one, "port": port, "project": project, "aliases": []}),
            )
            .await;
        assert!(refused.contains(said), "{refused}");
    }
    let model = client
        .log_as("m", &[("a", b"1")], json!({"artifactTypeName": "model"}))
        .await;
    let refused = client.refusal(LINK, link(&model, json!([]))).await;
    assert!(
        refused.contains("`port` is for type `dataset`"),
        "{refused}"
    );
    let pending = client.create("new", &"0".repeat(32)).await;
    let refused = client.refusal(LINK, link(&pending, json!([]))).await;
    assert!(
        refused.contains("cannot be linked before it is committed"),
        "{refused}"
    );
    // What is logged to a collection of links?
    let refused = client.refusal(
        "mutation C { createArtifact(input: {entityName: \"me\", projectName: \"model-registry\", artifactTypeName: \"dataset\",
            artifactCollectionName: \"port\", digest: \"00000000000000000000000000000000\"}) { artifact { id } } }",
        json!({}),
    );
    assert!(refused.await.contains("is a collection of links"));
}

#[tokio::test]
async fn collections_are_renamed_retyped_tagged_and_deleted() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let id = client.log_as("ds", &[("a", b"1")], json!({})).await;
    client.log_as("taken", &[("a", b"1")], json!({})).await;
    let collection = client
        .ask("{ project(name: \"p\", entityName: \"me\") { artifactCollection(name: \"ds\") { id } } }", json!({}))
        .await["project"]["artifactCollection"]["id"]
        .clone();
    let rename = "mutation U($id: ID!, $name: String) { updateArtifactSequence(input: {artifactSequenceID: $id, name: $name,
        description: \"d\"}) { artifactCollection { __typename name description state } } }";
    let done = client
        .ask(rename, json!({"id": collection, "name": "new"}))
        .await;
    let expected = json!({"__typename": "ArtifactSequence", "name": "new", "description": "d", "state": "READY"});
    assert_eq!(
        done["updateArtifactSequence"]["artifactCollection"],
        expected
    );
    assert_eq!(read(&client, &id).await["artifactSequence"]["name"], "new");
    for (name, said) in [
        ("taken", "`taken` already"),
        ("a/b", "invalid collection name"),
    ] {
        let refused = client
            .refusal(rename, json!({"id": collection, "name": name}))
            .await;
        assert!(refused.contains(said), "{refused}");
    }
    let retype = "mutation M($id: ID!) { moveArtifactSequence(input: {artifactSequenceID: $id, destinationArtifactTypeName: \"other\"}) {
        artifactCollection { defaultArtifactType { name } } } }";
    client.ask(retype, json!({"id": collection})).await;
    assert_eq!(read(&client, &id).await["artifactType"]["name"], "other");
    let wrong = "mutation D($id: ID!) { deleteArtifactPortfolio(input: {artifactPortfolioID: $id}) { artifactCollection { state } } }";
    let refused = client.refusal(wrong, json!({"id": collection})).await;
    assert!(
        refused.contains("is a sequence, not a portfolio"),
        "{refused}"
    );
    let delete = "mutation D($id: ID!) { deleteArtifactSequence(input: {artifactSequenceID: $id}) { artifactCollection { __typename state } } }";
    let done = client.ask(delete, json!({"id": collection})).await;
    let expected = json!({"__typename": "ArtifactSequence", "state": "DELETED"});
    assert_eq!(
        done["deleteArtifactSequence"]["artifactCollection"],
        expected
    );
    assert_eq!(read(&client, &id).await, Value::Null);
    assert_eq!(client.urls("new").await, None);
    // The name is free, and the versions begin anew.
    let again = client.log_as("new", &[("a", b"1")], json!({})).await;
    assert_ne!(again, id);
    assert_eq!(server.server.sweep_now().await.expect("swept"), 1);
    assert_eq!(server.server.sweep_now().await.expect("swept"), 0);
}

#[tokio::test]
async fn versions_go_when_their_time_is_over() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let hour = json!({"ttlDurationSeconds": 3600});
    let ends = client.log_as("ds", &[("a", b"1")], hour.clone()).await;
    let linked = client.log_as("ds", &[("a", b"2")], hour.clone()).await;
    let saved = client.log_as("ds", &[("a", b"3")], hour).await;
    let stays = client
        .log_as("ds", &[("a", b"4")], json!({"ttlDurationSeconds": -2}))
        .await;
    client
        .ask(
            LINK,
            json!({"id": linked, "port": "port", "project": "p", "aliases": []}),
        )
        .await;
    client
        .ask(
            UPDATE,
            json!({"input": {"artifactID": saved, "ttlDurationSeconds": -1}}),
        )
        .await;
    server.clock.advance(Duration::from_secs(3_599));
    assert_eq!(server.server.sweep_now().await.expect("swept"), 0);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(server.server.sweep_now().await.expect("swept"), 1);
    assert_eq!(read(&client, &ends).await, Value::Null);
    for id in [linked, saved, stays] {
        assert_ne!(read(&client, &id).await, Value::Null);
    }
}

#[tokio::test]
async fn artifacts_of_a_deleted_project_are_gone() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let id = client
        .log_as("ds", &[("a", b"1")], json!({"clientID": "c"}))
        .await;
    let project = client
        .ask(
            "{ project(name: \"p\", entityName: \"me\") { id } }",
            json!({}),
        )
        .await;
    let delete = "mutation D($id: String!) { deleteModel(input: {id: $id}) { success } }";
    client
        .ask(delete, json!({"id": project["project"]["id"]}))
        .await;
    assert_eq!(read(&client, &id).await, Value::Null);
    let mapped = client
        .ask(
            "{ clientIDMapping(clientID: \"c\") { serverID } }",
            json!({}),
        )
        .await;
    assert_eq!(mapped["clientIDMapping"], Value::Null);
    let refused = client
        .refusal(UPDATE, json!({"input": {"artifactID": id}}))
        .await;
    assert!(refused.contains("no artifact with this id"), "{refused}");
    assert_eq!(server.server.sweep_now().await.expect("swept"), 1);
    assert_eq!(server.server.sweep_now().await.expect("swept"), 0);
    // A project of the same name is another one.
    let again = client.log_as("ds", &[("a", b"1")], json!({})).await;
    assert_ne!(again, id);
}

#[tokio::test]
async fn a_version_that_is_not_committed_gets_no_aliases() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let id = client.create("ds", &"0".repeat(32)).await;
    let given =
        json!({"artifactID": id, "aliases": [{"alias": "best", "artifactCollectionName": "ds"}]});
    let refused = client.refusal(UPDATE, json!({"input": given})).await;
    assert!(
        refused.contains("cannot get aliases before it is committed"),
        "{refused}"
    );
}
