//! Who may reach what: every route and every change of the schema, for the owner, a member, a stranger and nobody.

use axum::http::Method;
use serde_json::{Value, json};

use crate::artifact_access;
use crate::people::{UPSERT, World, id};
use crate::support::{Answer, TestServer};

/// Routes that are about one run, and what they answer a stranger. `{run}` is `team/p/r`.
const RUN_ROUTES: [(&str, &str); 5] = [
    ("POST", "/files/{run}/file_stream"),
    ("GET", "/api/runs/{run}/logs"),
    ("GET", "/api/runs/{run}/reproduce"),
    ("GET", "/api/runs/{run}/history"),
    ("GET", "/api/runs/{run}/files/a.txt"),
];

/// All other routes, and why they need no such check.
const OTHER_ROUTES: [(&str, &str); 19] = [
    ("/graphql", "every field checks; see below"),
    (
        "/api/charts/series",
        "several runs: unknown ones are said to be so; see below",
    ),
    (
        "/api/live",
        "events of runs that the caller may see; see below",
    ),
    ("/api/session", "about the caller"),
    ("/api/logout", "about the caller"),
    ("/api/login-links", "about the caller"),
    ("/api/limits", "about the server"),
    (
        "/api/server/unknown-operations",
        "for administrators; see below",
    ),
    ("/healthz", "open"),
    ("/ready", "open"),
    ("/login", "open"),
    ("/api/login", "open"),
    ("/storage/runs/{run_id}/{*name}", "signed for one file"),
    (
        "/storage/artifacts/{artifact_id}/{md5}/{xxh128}",
        "signed for one content",
    ),
    (
        "/storage/parts/{upload_id}/{number}/{md5}",
        "signed for one part",
    ),
    (
        "/storage/blobs/{entity_id}/{object}/{name}",
        "signed for one content",
    ),
    (
        "/storage/manifests/{manifest_id}/{md5}",
        "signed for one manifest",
    ),
    (
        "/artifactsV2/{*path}",
        "checks the project; see `blob_access`",
    ),
    (
        "/artifacts/{entity}/{digest}",
        "checks the projects; see `blob_access`",
    ),
];

const READ: &str =
    "{ project(name: \"p\", entityName: \"team\") { readOnly run(name: \"r\") { name } } }";

#[tokio::test]
async fn every_route_is_in_the_table() {
    let source = include_str!("../../src/routes.rs");
    let mut found = 0;
    for part in source.split(".route(").skip(1) {
        let path = part.split('"').nth(1).expect("a path");
        let run_path = path
            .replace("{entity}/{project}/{run}", "{run}")
            .replace("{*name}", "a.txt");
        let known = RUN_ROUTES.iter().any(|(_, known)| *known == run_path)
            || OTHER_ROUTES.iter().any(|(known, _)| *known == path);
        assert!(known, "`{path}` is in neither table: who may use it?");
        found += 1;
    }
    assert!(found >= RUN_ROUTES.len());
}

#[tokio::test]
async fn runs_of_a_team_are_for_its_members() {
    let world = World::new().await;
    for (method, route) in RUN_ROUTES {
        let path = route.replace("{run}", "team/p/r");
        let method: Method = method.parse().expect("a method");
        for (who, expected) in [
            ("nobody", &[401][..]),
            ("stranger", &[404][..]),
            ("member", &[200, 404][..]),
        ] {
            let answer = world.send(who, method.clone(), &path, json!({})).await;
            assert!(
                expected.contains(&answer.status.as_u16()),
                "{who} {path}: {}",
                answer.status
            );
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            if who == "stranger" {
                // Not there and not yours are the same, and the own entities are named.
                let elsewhere = route.replace("{run}", "nowhere/p/r");
                let other = world.send(who, method.clone(), &elsewhere, json!({})).await;
                let (mine, theirs) = (answer.json(), other.json());
                let (mine, theirs) = (&mine["error"]["message"], &theirs["error"]["message"]);
                let theirs = theirs.as_str().expect("a text").replace("nowhere", "team");
                assert_eq!(mine.as_str(), Some(theirs.as_str()));
                assert!(theirs.contains("yours are: stranger"), "{theirs}");
            } else if who == "member" && answer.status == 404 {
                assert!(text.contains("no file"), "{path}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn charts_show_strangers_nothing() {
    let world = World::new().await;
    let question = json!({"series": [{"run": "team/p/r", "key": "loss"}]});
    let unknown = |answer: &Answer| answer.body[8] & 2 == 2;
    let mine = world
        .send(
            "member",
            Method::POST,
            "/api/charts/series",
            question.clone(),
        )
        .await;
    let theirs = world
        .send("stranger", Method::POST, "/api/charts/series", question)
        .await;
    assert_eq!((mine.status.as_u16(), theirs.status.as_u16()), (200, 200));
    assert!(!unknown(&mine) && unknown(&theirs));
    assert!(theirs.body.len() < mine.body.len());
}

#[tokio::test]
async fn levels_of_projects_open_them_to_others() {
    let world = World::new().await;
    let stream = "/files/team/p/r/file_stream";
    for (level, reads, writes) in [
        ("PRIVATE", false, false),
        ("ENTITY_WRITE", false, false),
        ("USER_READ", true, false),
        ("USER_WRITE", true, true),
        ("RESTRICTED", false, false),
    ] {
        world.set_access(level).await;
        let read = world.ask("stranger", READ, json!({})).await;
        assert_eq!(
            read["data"]["project"]["run"]["name"] == "r",
            reads,
            "{level}: {read}"
        );
        if reads {
            assert_eq!(read["data"]["project"]["readOnly"], !writes, "{level}");
        }
        let sent = world
            .send("stranger", Method::POST, stream, json!({}))
            .await
            .status
            .as_u16();
        let refused = if reads { 403 } else { 404 };
        assert_eq!(sent, if writes { 200 } else { refused }, "{level}");
        let changed = world
            .ask("stranger", UPSERT, json!({"entity": "team"}))
            .await;
        assert_eq!(changed["errors"].is_null(), writes, "{level}: {changed}");
        // Members go on in any case, and nobody else manages.
        assert_eq!(
            world
                .send("member", Method::POST, stream, json!({}))
                .await
                .status,
            200
        );
        let listed = world
            .ask(
                "stranger",
                "{ models(entityName: \"team\") { edges { node { name } } } }",
                json!({}),
            )
            .await;
        let names = &listed["data"]["models"]["edges"];
        assert_eq!(
            names.as_array().is_some_and(|edges| edges.len() == 1),
            reads,
            "{level}: {listed}"
        );
    }
    world.set_access("ENTITY_READ").await;
    assert_eq!(
        world
            .send("member", Method::POST, stream, json!({}))
            .await
            .status,
        403
    );
    assert_eq!(
        world
            .send("boss", Method::POST, stream, json!({}))
            .await
            .status,
        200
    );
    let unknown = "mutation { upsertModel(input: {name: \"p\", entityName: \"team\", access: \"WORLD\"}) { inserted } }";
    let refused = world.ask("boss", unknown, json!({})).await.to_string();
    assert!(refused.contains("ENTITY_READ"), "{refused}");
}

/// Every change of the schema with a target in the team, and whether a member of the team may make it.
fn changes() -> Vec<(&'static str, String, bool)> {
    let run = id("Run:v1:r:p:team");
    let project = id("Project:v1:p:team");
    let key = id("ApiKey:1");
    let of_run = "entityName: \"team\", projectName: \"p\", runName: \"r\"";
    vec![
        ("upsertBucket", format!("(input: {{id: \"{run}\", notes: \"n\"}}) {{ inserted }}"), true),
        ("rewindRun", "(input: {runName: \"r\", entityName: \"team\", projectName: \"p\", metricName: \"_step\", metricValue: 0}) { rewoundRun { id } }".into(), true),
        ("stopRun", format!("(input: {{id: \"{run}\"}}) {{ success }}"), true),
        ("createRunFiles", format!("(input: {{{of_run}, files: [\"a\"]}}) {{ runID }}"), true),
        ("markRunFilesUploaded", format!("(input: {{{of_run}, files: [\"a\"]}}) {{ success }}"), true),
        ("notifyScriptableRunAlert", format!("(input: {{{of_run}, title: \"t\", text: \"\"}}) {{ success }}"), true),
        ("updateRunState", format!("(input: {{id: \"{run}\", state: \"failed\"}}) {{ success }}"), true),
        ("moveRun", format!("(input: {{id: \"{run}\", projectName: \"p\"}}) {{ run {{ id }} }}"), true),
        ("deleteRun", format!("(input: {{id: \"{run}\"}}) {{ clientMutationId }}"), true),
        ("undeleteRun", format!("(input: {{id: \"{run}\"}}) {{ run {{ id }} }}"), true),
        ("upsertModel", "(input: {name: \"p\", entityName: \"team\", description: \"d\"}) { inserted }".into(), true),
        ("renameProject", "(input: {entityName: \"team\", oldProjectName: \"p\", newProjectName: \"q\"}) { inserted }".into(), false),
        ("deleteModel", format!("(input: {{id: \"{project}\"}}) {{ success }}"), false),
        ("createInvite", "(input: {entityName: \"team\", username: \"stranger\"}) { invite { id } }".into(), false),
        ("deleteInvite", format!("(input: {{entityName: \"team\", id: \"{}\"}}) {{ success }}", id("User:2")), false),
        ("createServiceAccount", "(input: {entityName: \"team\", description: \"d\"}) { user { id } }".into(), false),
        ("createTeam", "(input: {teamName: \"mine\"}) { entity { id } }".into(), false),
        ("createUser", "(input: {email: \"x@example.org\", admin: true}) { user { id } }".into(), false),
        ("updateUser", "(input: {username: \"me\", disabled: true}) { user { id } }".into(), false),
        ("generateApiKey", "(input: {username: \"me\"}) { apiKey { name } }".into(), false),
        ("deleteApiKey", format!("(input: {{id: \"{key}\"}}) {{ success }}"), false),
        ("deleteFiles", format!("(input: {{files: [\"{}\"]}}) {{ success }}", id("File:1")), true),
    ]
}

#[tokio::test]
async fn changes_are_for_those_who_may_make_them() {
    let world = World::new().await;
    let upload = "mutation { createRunFiles(input: {entityName: \"team\", projectName: \"p\", runName: \"r\", files: [\"a\"]}) { files { uploadUrl } } }";
    let made = world.ask("member", upload, json!({})).await;
    let url = made["data"]["createRunFiles"]["files"][0]["uploadUrl"]
        .as_str()
        .expect("a URL");
    let path = url.split_once("localhost:8080").expect("our own").1;
    let put = world.server.raw(Method::PUT, path, &[], "content").await;
    assert_eq!(put.status, 200);
    for (name, arguments, member) in changes() {
        let query = format!("mutation {{ {name}{arguments} }}");
        let stranger = world.ask("stranger", &query, json!({})).await;
        if name == "deleteFiles" {
            assert_eq!(stranger["data"]["deleteFiles"]["success"], false);
        } else {
            let status = &stranger["errors"][0]["extensions"]["status"];
            assert!(
                [403, 404].contains(&status.as_i64().unwrap_or_default()),
                "{name}: {stranger}"
            );
        }
        let answer = world.ask("member", &query, json!({})).await;
        if member {
            assert_eq!(answer["errors"], Value::Null, "{name}: {answer}");
        } else {
            assert_eq!(
                answer["errors"][0]["extensions"]["status"],
                if name == "deleteApiKey" { 404 } else { 403 },
                "{name}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn every_change_of_the_schema_is_in_the_table() {
    let server = TestServer::start().await;
    let found = server
        .graphql(
            "{ __schema { mutationType { fields { name } } } }",
            json!({}),
        )
        .await;
    let later = include_str!("../../src/graphql/later.graphql");
    let table: Vec<&str> = changes().into_iter().map(|(name, _, _)| name).collect();
    for field in found["__schema"]["mutationType"]["fields"]
        .as_array()
        .expect("fields")
    {
        let name = field["name"].as_str().expect("a name");
        let known = table.contains(&name)
            || artifact_access::CHANGES.contains(&name)
            || later.contains(&format!("{name}(input"));
        assert!(
            known,
            "`{name}` is not in the table: who may make this change?"
        );
    }
}

#[tokio::test]
async fn foreign_and_unknown_entities_are_refused_alike() {
    let world = World::new().await;
    for entity in ["team", "nowhere"] {
        let made = world
            .ask("stranger", UPSERT, json!({"entity": entity}))
            .await;
        let message = made["errors"][0]["message"].as_str().expect("a message");
        assert_eq!(
            message,
            format!("there is no entity `{entity}` for you; yours are: stranger")
        );
    }
    // Without an entity a run goes to the caller's own.
    let made = world.ask("stranger", UPSERT, json!({})).await;
    let run = made["data"]["upsertBucket"]["bucket"]["id"]
        .as_str()
        .expect("an id");
    assert_eq!(run, id("Run:v1:r:p:stranger"));
    assert_eq!(
        made["data"]["upsertBucket"]["bucket"]["user"]["username"],
        "stranger"
    );
}

#[tokio::test]
async fn a_server_with_one_entity_files_every_name_under_it() {
    let server = TestServer::start().await;
    let made = server
        .graphql(UPSERT, json!({"entity": "somebody-else"}))
        .await;
    let bucket = &made["upsertBucket"]["bucket"];
    assert_eq!(bucket["id"], id("Run:v1:r:p:me"));
    assert_eq!(bucket["user"]["username"], "me");
}
