//! Who may see and change artifacts: through their projects, and through links.

use serde_json::{Value, json};

use crate::artifact_client::{Client, manifest_digest};
use crate::people::{World, id};
use runlane_model::artifact::digest::Algorithm;

/// Every change of the schema that is about artifacts, in an order in which a member can make them all.
pub(crate) const CHANGES: [&str; 20] = [
    "createArtifact",
    "createArtifactManifest",
    "updateArtifactManifest",
    "createArtifactFiles",
    "completeMultipartUploadArtifact",
    "commitArtifact",
    "useArtifact",
    "updateArtifact",
    "addAliases",
    "deleteAliases",
    "linkArtifact",
    "createArtifactCollectionTagAssignments",
    "deleteArtifactCollectionTagAssignments",
    "updateArtifactSequence",
    "updateArtifactPortfolio",
    "moveArtifactSequence",
    "unlinkArtifact",
    "deleteArtifactPortfolio",
    "deleteArtifact",
    "deleteArtifactSequence",
];

/// The arguments of a change, with a target in the team.
fn arguments(name: &str) -> String {
    let committed = id("Artifact:1");
    let pending = id("Artifact:2");
    let sequence = id("ArtifactCollection:1");
    let portfolio = id("ArtifactCollection:3");
    let of = "entityName: \"team\", projectName: \"p\"";
    match name {
        "createArtifact" => format!(
            "(input: {{{of}, artifactTypeName: \"dataset\", artifactCollectionName: \"ds\", digest: \"{}\", runName: \"r\"}}) {{ artifact {{ id }} }}",
            "1".repeat(32)
        ),
        "createArtifactManifest" => format!(
            "(input: {{artifactID: \"{pending}\", name: \"m\", digest: \"\", {of}, runName: \"r\", type: FULL}}) {{ artifactManifest {{ id }} }}"
        ),
        "updateArtifactManifest" => format!(
            "(input: {{artifactManifestID: \"{}\", digest: \"XUFAKrxLKna5cZ2REBfFkg==\"}}) {{ artifactManifest {{ file {{ uploadUrl }} }} }}",
            id("ArtifactManifest:2")
        ),
        "createArtifactFiles" => format!(
            "(input: {{storageLayout: V2, artifactFiles: [{{artifactID: \"{pending}\", name: \"a\", md5: \"XUFAKrxLKna5cZ2REBfFkg==\"}}]}}) {{ files {{ edges {{ node {{ uploadUrl }} }} }} }}"
        ),
        "completeMultipartUploadArtifact" => format!(
            "(input: {{completeMultipartAction: Complete, completedParts: [], artifactID: \"{pending}\", storagePath: \"a\", uploadID: \"x\"}}) {{ digest }}"
        ),
        "commitArtifact" => {
            format!("(input: {{artifactID: \"{committed}\"}}) {{ artifact {{ id }} }}")
        }
        "useArtifact" => format!(
            "(input: {{artifactID: \"{committed}\", {of}, runName: \"r\"}}) {{ artifact {{ id }} }}"
        ),
        "updateArtifact" => format!(
            "(input: {{artifactID: \"{committed}\", description: \"d\"}}) {{ artifact {{ id }} }}"
        ),
        "addAliases" | "deleteAliases" => format!(
            "(input: {{artifactID: \"{committed}\", aliases: [{{{of}, artifactCollectionName: \"ds\", alias: \"x\"}}]}}) {{ success }}"
        ),
        "linkArtifact" => format!(
            "(input: {{artifactID: \"{committed}\", artifactPortfolioName: \"port\", {of}}}) {{ versionIndex }}"
        ),
        "createArtifactCollectionTagAssignments" => {
            format!(
                "(input: {{{of}, artifactCollectionName: \"ds\", tags: [{{tagName: \"t\"}}]}}) {{ tags {{ name }} }}"
            )
        }
        "deleteArtifactCollectionTagAssignments" => {
            format!(
                "(input: {{{of}, artifactCollectionName: \"ds\", tags: [{{tagName: \"t\"}}]}}) {{ success }}"
            )
        }
        "updateArtifactSequence" => {
            format!(
                "(input: {{artifactSequenceID: \"{sequence}\", description: \"d\"}}) {{ artifactCollection {{ id }} }}"
            )
        }
        "updateArtifactPortfolio" => {
            format!(
                "(input: {{artifactPortfolioID: \"{portfolio}\", description: \"d\"}}) {{ artifactCollection {{ id }} }}"
            )
        }
        "moveArtifactSequence" => format!(
            "(input: {{artifactSequenceID: \"{sequence}\", destinationArtifactTypeName: \"dataset\"}}) {{ artifactCollection {{ id }} }}"
        ),
        "unlinkArtifact" => {
            format!(
                "(input: {{artifactID: \"{committed}\", artifactPortfolioID: \"{portfolio}\"}}) {{ success }}"
            )
        }
        "deleteArtifactPortfolio" => {
            format!(
                "(input: {{artifactPortfolioID: \"{portfolio}\"}}) {{ artifactCollection {{ id }} }}"
            )
        }
        "deleteArtifact" => format!(
            "(input: {{artifactID: \"{committed}\", deleteAliases: true}}) {{ artifact {{ id }} }}"
        ),
        "deleteArtifactSequence" => {
            format!(
                "(input: {{artifactSequenceID: \"{sequence}\"}}) {{ artifactCollection {{ id }} }}"
            )
        }
        other => panic!("`{other}` has no arguments"),
    }
}

/// A team with a committed version, a pending one, and a portfolio.
async fn world() -> World {
    let world = World::new().await;
    let member = Client::of(&world, "member", "team");
    let files: [(&str, &[u8]); 1] = [("a", b"secret")];
    let more = json!({"clientID": "known", "runName": "r"});
    assert_eq!(member.log_as("ds", &files, more).await, id("Artifact:1"));
    let pending = member
        .create("pending", &manifest_digest(Algorithm::Md5, &[]))
        .await;
    assert_eq!(pending, id("Artifact:2"));
    assert_eq!(
        member.manifest(&pending, "").await.0,
        id("ArtifactManifest:2")
    );
    member
        .ask(
            &format!("mutation {{ linkArtifact{} }}", arguments("linkArtifact")),
            json!({}),
        )
        .await;
    world
}

#[tokio::test]
async fn changes_of_artifacts_are_for_those_who_may_write_to_the_project() {
    let world = world().await;
    for name in CHANGES {
        let query = format!("mutation {{ {name}{} }}", arguments(name));
        let refused = world.ask("stranger", &query, json!({})).await;
        let status = &refused["errors"][0]["extensions"]["status"];
        assert!(
            [403, 404].contains(&status.as_i64().unwrap_or_default()),
            "{name}: {refused}"
        );
        let answer = world.ask("member", &query, json!({})).await;
        // There is no such upload; the member may ask, though.
        if name == "completeMultipartUploadArtifact" {
            let said = answer["errors"][0]["message"].as_str().unwrap_or_default();
            assert!(!said.contains("no artifact with this id"), "{answer}");
        } else {
            assert_eq!(answer["errors"], Value::Null, "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn who_may_only_look_changes_nothing() {
    let world = world().await;
    world.set_access("USER_READ").await;
    for name in CHANGES {
        let query = format!("mutation {{ {name}{} }}", arguments(name));
        let refused = world.ask("stranger", &query, json!({})).await;
        assert_eq!(
            refused["errors"][0]["extensions"]["status"], 403,
            "{name}: {refused}"
        );
    }
    let read =
        "{ project(name: \"p\", entityName: \"team\") { artifact(name: \"ds\") { state } } }";
    let found = world.ask("stranger", read, json!({})).await;
    assert_eq!(
        found["data"]["project"]["artifact"]["state"], "COMMITTED",
        "{found}"
    );
}

#[tokio::test]
async fn strangers_find_nothing_by_any_name() {
    let world = world().await;
    let artifact = id("Artifact:1");
    let sequence = id("ArtifactCollection:1");
    let query = format!(
        "{{ artifact(id: \"{artifact}\") {{ id }} artifactCollection(id: \"{sequence}\") {{ id }} clientIDMapping(clientID: \"known\") {{ serverID }} }}"
    );
    let mine = world.ask("member", &query, json!({})).await;
    assert_eq!(mine["data"]["artifact"]["id"], json!(artifact));
    assert_eq!(mine["data"]["clientIDMapping"]["serverID"], json!(artifact));
    let theirs = world.ask("stranger", &query, json!({})).await;
    let nothing = json!({"artifact": null, "artifactCollection": null, "clientIDMapping": null});
    assert_eq!(theirs["data"], nothing);
}

#[tokio::test]
async fn a_link_shows_the_version_and_hides_where_it_comes_from() {
    let world = world().await;
    // The stranger may see the portfolio's project, not the source's.
    let link = format!(
        "mutation {{ linkArtifact(input: {{artifactID: \"{}\", artifactPortfolioName: \"shown\", entityName: \"team\", projectName: \"open\"}}) {{ versionIndex }} }}",
        id("Artifact:1")
    );
    assert_eq!(
        world.ask("member", &link, json!({})).await["errors"],
        Value::Null
    );
    let open = "mutation { upsertModel(input: {name: \"open\", entityName: \"team\", access: \"USER_READ\"}) { inserted } }";
    assert_eq!(
        world.ask("boss", open, json!({})).await["errors"],
        Value::Null
    );
    let using = format!("mutation {{ useArtifact{} }}", arguments("useArtifact"));
    assert_eq!(
        world.ask("member", &using, json!({})).await["errors"],
        Value::Null
    );
    let read = "{ project(name: \"open\", entityName: \"team\") { artifactCollectionMembership(name: \"shown:latest\") { artifact {
        id size
        aliases { alias artifactCollection { name } }
        artifactSequence { name description project { name } latestArtifact { id } tags { edges { node { name } } }
            aliases { totalCount } artifacts { totalCount } artifactMembership(aliasName: \"v0\") { id } }
        createdBy { __typename } usedBy { totalCount edges { node { name } } }
        artifactMemberships { edges { node { artifactCollection { name } } } }
        files { edges { node { name directUrl } } }
    } } } }";
    let found = world.ask("stranger", read, json!({})).await;
    let artifact = &found["data"]["project"]["artifactCollectionMembership"]["artifact"];
    assert_eq!(artifact["size"], 6, "{found}");
    let sequence = json!({"name": "ds", "description": null, "project": null, "latestArtifact": null, "tags": {"edges": []},
        "aliases": {"totalCount": 0}, "artifacts": {"totalCount": 0}, "artifactMembership": null});
    assert_eq!(artifact["artifactSequence"], sequence);
    assert_eq!(artifact["createdBy"], Value::Null);
    assert_eq!(artifact["usedBy"], json!({"totalCount": 0, "edges": []}));
    let places = json!({"edges": [{"node": {"artifactCollection": {"name": "shown"}}}]});
    assert_eq!(artifact["artifactMemberships"], places);
    assert_eq!(
        artifact["aliases"],
        json!([{"alias": "latest", "artifactCollection": {"name": "shown"}}])
    );
    assert_eq!(artifact["files"]["edges"][0]["node"]["name"], "a");
    // By its id too, and to no member of the team is anything hidden.
    let by_id = format!(
        "{{ artifact(id: \"{}\") {{ id artifactSequence {{ project {{ name }} }} createdBy {{ __typename }} }} }}",
        id("Artifact:1")
    );
    let found = world.ask("stranger", &by_id, json!({})).await;
    assert_eq!(
        found["data"]["artifact"]["artifactSequence"]["project"],
        Value::Null
    );
    let found = world.ask("member", &by_id, json!({})).await;
    assert_eq!(
        found["data"]["artifact"]["artifactSequence"]["project"]["name"],
        "p"
    );
    assert_eq!(found["data"]["artifact"]["createdBy"]["__typename"], "Run");
}

#[tokio::test]
async fn bytes_of_another_entity_are_had_only_by_who_may_read_them() {
    let world = world().await;
    let member = Client::of(&world, "member", "member");
    let stranger = Client::of(&world, "stranger", "stranger");
    let files: [(&str, &[u8]); 1] = [("a", b"secret")];
    let digest = manifest_digest(Algorithm::Md5, &files);
    let mut manifest: Value = serde_json::from_str(&member.manifest_of(&files)).expect("JSON");
    manifest["contents"]["a"]["birthArtifactID"] = json!(id("Artifact:1"));
    // The digest alone is no proof: the bytes were uploaded to the team only.
    for (client, commits) in [(&stranger, false), (&member, true)] {
        let artifact = client.create("copy", &digest).await;
        client
            .send_manifest(&artifact, manifest.to_string(), "FULL")
            .await;
        let done = client.commit(&artifact).await.json();
        assert_eq!(done["errors"].is_null(), commits, "{done}");
        if commits {
            let url = client.url("copy", "a").await;
            assert_eq!(client.get(&url, &[]).await.body, b"secret");
        } else {
            let said = done["errors"][0]["message"].as_str().unwrap_or_default();
            assert!(said.contains("its bytes were not uploaded"), "{said}");
        }
    }
}
