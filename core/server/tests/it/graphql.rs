//! Runs and projects as W&B's client and the app ask for them.

use serde_json::{Value, json};

use crate::support::TestServer;

const UPSERT: &str = "mutation UpsertBucket($id: String, $name: String, $project: String, $entity: String, $displayName: String, $notes: String, $config: JSONString, $tags: [String!], $summaryMetrics: JSONString, $groupName: String) {
    upsertBucket(input: {id: $id, name: $name, modelName: $project, entityName: $entity, displayName: $displayName, notes: $notes, config: $config, tags: $tags, summaryMetrics: $summaryMetrics, groupName: $groupName}) {
        bucket { id name displayName description config sweepName project { id name entity { id name } } historyLineCount tags notes }
        inserted
    }
}";

async fn upsert(server: &TestServer, variables: Value) -> Value {
    server.graphql(UPSERT, variables).await["upsertBucket"].clone()
}

#[tokio::test]
async fn run_is_made_once_and_null_leaves_values() {
    let server = TestServer::start().await;
    let first = upsert(
        &server,
        json!({"name": "run1", "project": "p", "displayName": "first", "notes": "n", "tags": ["a"],
        "config": "{\"x\": {\"value\": NaN}}", "undeclared": 1}),
    )
    .await;
    assert_eq!(first["inserted"], true);
    let bucket = &first["bucket"];
    assert_eq!(bucket["id"], "UnVuOnYxOnJ1bjE6cDptZQ==");
    assert_eq!(bucket["project"]["entity"]["name"], "me");
    assert_eq!(bucket["config"], "{\"x\": {\"value\": NaN}}");
    let second = upsert(
        &server,
        json!({"name": "run1", "project": "p", "config": "{}"}),
    )
    .await;
    assert_eq!(second["inserted"], false);
    assert_eq!(second["bucket"]["displayName"], "first");
    assert_eq!(
        (&second["bucket"]["tags"], &second["bucket"]["config"]),
        (&json!(["a"]), &json!("{}"))
    );
    let third = upsert(
        &server,
        json!({"id": bucket["id"], "tags": [], "summaryMetrics": "{\"a\": 1}"}),
    )
    .await;
    assert_eq!(
        (&third["bucket"]["tags"], &third["bucket"]["notes"]),
        (&json!([]), &json!("n"))
    );
    assert_eq!(
        server.run("run1", "summaryMetrics").await["summaryMetrics"],
        "{\"a\": 1}"
    );
}

#[tokio::test]
async fn run_without_a_name_gets_words_and_its_number() {
    let server = TestServer::start().await;
    upsert(&server, json!({"name": "a", "project": "p"})).await;
    let run = upsert(&server, json!({"name": "b", "project": "p"})).await;
    let name = run["bucket"]["displayName"]
        .as_str()
        .expect("a name")
        .to_owned();
    let words: Vec<&str> = name.split('-').collect();
    assert_eq!((words.len(), words[2]), (3, "2"), "{name}");
}

#[tokio::test]
async fn unknown_entity_is_filed_under_the_default_one() {
    let server = TestServer::start().await;
    let run = upsert(
        &server,
        json!({"name": "a", "project": "p", "entity": "team"}),
    )
    .await;
    assert_eq!(run["bucket"]["project"]["entity"]["name"], "me");
    let body = json!({}).to_string();
    assert_eq!(
        server
            .post("/files/team/p/a/file_stream", body)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn bad_values_are_refused_with_their_reason() {
    let server = TestServer::start().await;
    let cases = [
        (json!({"name": "a/b", "project": "p"}), "run id"),
        (json!({"name": "a", "project": "p:q"}), "project"),
        (
            json!({"name": "a", "project": "p", "config": "[]"}),
            "`config`",
        ),
        (
            json!({"name": "a", "project": "p", "summaryMetrics": "{"}),
            "`summaryMetrics`",
        ),
        (json!({"name": "a", "project": "p", "tags": [""]}), "tag"),
        (json!({"id": "bm9uc2Vuc2U="}), "id of a run"),
        (
            json!({"id": "UnVuOnYxOnJ1bjE6cDptZQ=="}),
            "no run with this id",
        ),
    ];
    for (variables, part) in cases {
        let answer = server.graphql_answer(UPSERT, variables.clone()).await;
        let message = answer.json()["errors"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(message.contains(part), "{variables}: {message}");
    }
    let data = server
        .graphql("{ project(name: \"p\") { name } }", json!({}))
        .await;
    assert_eq!(
        data["project"],
        Value::Null,
        "refused upserts leave no project"
    );
}

#[tokio::test]
async fn deleted_run_is_gone_and_its_id_stays_taken() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let id = server.run("r", "id").await["id"].clone();
    let delete = "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }";
    server
        .graphql(delete, json!({"id": id, "deleteArtifacts": false}))
        .await;
    assert_eq!(server.run("r", "id").await, Value::Null);
    let answer = server
        .graphql_answer(UPSERT, json!({"name": "r", "project": "p"}))
        .await
        .json();
    let message = answer["errors"][0]["message"].as_str().expect("an error");
    assert!(message.contains("deleted before"), "{message}");
    assert_eq!(server.stream("r", &json!({})).await.status, 404);
}

#[tokio::test]
async fn resume_status_has_all_that_the_client_needs() {
    let server = TestServer::start().await;
    let query = "query RunResumeStatus($project: String, $entity: String, $name: String!) {
        model(name: $project, entityName: $entity) { id name entity { id name }
            bucket(name: $name, missingOk: true) { id name summaryMetrics displayName logLineCount historyLineCount
                eventsLineCount historyTail eventsTail config tags notes wandbConfig(keys: [\"t\"]) } } }";
    let ask = json!({"project": "p", "entity": null, "name": "r"});
    assert_eq!(
        server.graphql(query, ask.clone()).await["model"],
        Value::Null
    );
    upsert(&server, json!({"name": "r", "project": "p", "config": "{\"_wandb\": {\"value\": {\"t\": {\"1\": [2]}, \"m\": []}}}"})).await;
    server
        .send_history("r", 0, &[r#"{"_step":0,"l":1}"#, r#"{"_step":4,"l":NaN}"#])
        .await;
    let bucket = server.graphql(query, ask).await["model"]["bucket"].clone();
    assert_eq!(bucket["historyLineCount"], 2);
    assert_eq!(bucket["historyTail"], r#"["{\"_step\":4,\"l\":NaN}"]"#);
    assert_eq!(
        (
            &bucket["eventsTail"],
            &bucket["eventsLineCount"],
            &bucket["logLineCount"]
        ),
        (&json!("[]"), &json!(0), &json!(0))
    );
    assert_eq!(bucket["wandbConfig"], r#"{"t":{"1":[2]}}"#);
}

#[tokio::test]
async fn unknown_fields_and_hostile_documents_are_refused() {
    let server = TestServer::start().await;
    let deep = format!(
        "{{ viewer {}{{ id }}{} }}",
        "{ teams { edges { node { user ".repeat(20),
        "} } } }".repeat(20)
    );
    let wide = format!(
        "{{ {} }}",
        (0..3000)
            .map(|index| format!("a{index}: models(first: 1000) {{ edges {{ node {{ id }} }} }}"))
            .collect::<Vec<_>>()
            .concat()
    );
    let cases = [
        ("{ shoes(size: 42) { name } }", "shoes"),
        (
            "mutation { createShoe(input: {}) { shoe { id } } }",
            "createShoe",
        ),
        ("{ viewer { id }", ""),
        ("", ""),
        (deep.as_str(), ""),
        (wide.as_str(), ""),
        (
            "query { ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
            "",
        ),
    ];
    for (query, part) in cases {
        let answer = server.graphql_answer(query, json!({})).await;
        assert_eq!(
            answer.status,
            400,
            "{}",
            query.chars().take(60).collect::<String>()
        );
        let message = answer.json()["errors"][0]["message"]
            .as_str()
            .expect("a message")
            .to_owned();
        assert!(message.contains(part), "{message}");
    }
    for body in ["", "[]", "{", "{\"query\": 1}", "\u{feff}{}"] {
        assert_eq!(server.post("/graphql", body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn history_is_read_by_window_sample_and_keys() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let lines: Vec<String> = (0..50)
        .map(|step| {
            if step % 2 == 0 {
                format!(r#"{{"_step":{step},"even":{step},"a":{{"b":Infinity}}}}"#)
            } else {
                format!(r#"{{"_step":{step}}}"#)
            }
        })
        .collect();
    server.send_history("r", 0, &lines).await;
    let run = server
        .run("r", "history(minStep: 10, maxStep: 13, samples: 100)")
        .await;
    assert_eq!(run["history"], json!(lines[10..13]));
    let run = server.run("r", "history(samples: 8)").await;
    let sample = run["history"].as_array().expect("rows");
    assert_eq!(
        (sample.len(), &sample[0], &sample[7]),
        (8, &json!(lines[0]), &json!(lines[49]))
    );
    let spec = json!({"keys": ["_step", "a.b", "even", "_step"], "minStep": 3, "maxStep": 6, "samples": 10}).to_string();
    let query = "query S($spec: JSONString!) { project(name: \"p\", entityName: \"me\") { run(name: \"r\") { sampledHistory(specs: [$spec]) } } }";
    let data = server.graphql(query, json!({"spec": spec})).await;
    let rows = &data["project"]["run"]["sampledHistory"][0];
    assert_eq!(
        rows,
        &json!([{"_step": 4, "a.b": "Infinity", "even": 4}, {"_step": 6, "a.b": "Infinity", "even": 6}])
    );
    let run = server
        .run("r", "all: keySteps(key: \"even\") late: keySteps(key: \"even\", minStep: 45) none: keySteps(key: \"odd\")")
        .await;
    let even: Vec<usize> = (0..50).step_by(2).collect();
    assert_eq!(
        (&run["all"], &run["late"], &run["none"]),
        (&json!(even), &json!([46, 48]), &json!([]))
    );
    let run = server
        .run(
            "r",
            "parquetHistory(liveKeys: [\"_step\"]) { parquetUrls liveData }",
        )
        .await;
    assert_eq!(
        run["parquetHistory"]["liveData"].as_array().map(Vec::len),
        Some(50)
    );
}

#[tokio::test]
async fn app_fields_describe_the_run() {
    let server = TestServer::start().await;
    let config = json!({"_wandb": {"value": {"e": {"x1": {"host": "box", "program": "train.py", "args": ["--lr", "1"], "gpu": null}}}}}).to_string();
    upsert(&server, json!({"name": "r", "project": "p", "config": config, "summaryMetrics": "{\"_runtime\": 12.5}"})).await;
    server
        .stream("r", &json!({"complete": true, "exitcode": 4}))
        .await;
    let run = server
        .run(
            "r",
            "host program command exitCode runtimeSeconds metadata project { name entityName }",
        )
        .await;
    assert_eq!(
        run,
        json!({"host": "box", "program": "train.py", "command": "train.py --lr 1", "exitCode": 4, "runtimeSeconds": 12.5,
        "metadata": {"host": "box", "program": "train.py", "args": ["--lr", "1"], "gpu": null},
        "project": {"name": "p", "entityName": "me"}})
    );
    let data = server
        .graphql(
            "{ recentRuns(first: 5) { name } serverInfo { features { name isEnabled } } }",
            json!({}),
        )
        .await;
    assert_eq!(data["recentRuns"], json!([{"name": "r"}]));
    let features = data["serverInfo"]["features"].as_array().expect("features");
    assert!(features.contains(&json!({"name": "RUNLANE_FAST_STREAM", "isEnabled": true})));
}

#[tokio::test]
async fn a_default_of_a_variable_counts_in_directives_too() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let query = "query Q($with: Boolean = true, $name: String = \"p\") { project(name: $name) { name id @include(if: $with) } }";
    for (variables, shown) in [
        (json!({}), true),
        (json!({"with": true}), true),
        (json!({"with": false}), false),
    ] {
        let found = server.graphql(query, variables.clone()).await;
        assert_eq!(found["project"].get("id").is_some(), shown, "{variables}");
    }
}
