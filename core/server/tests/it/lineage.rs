//! Runs that go on from the history of another one, against a twin that copies rows.

#![expect(clippy::cast_precision_loss, reason = "a hundred steps fit any number")]

use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::charts::ask;
use crate::support::TestServer;

const UPSERT: &str = "mutation U($name: String, $id: String, $config: JSONString, $summary: JSONString) { upsertBucket(input: \
    {name: $name, id: $id, modelName: \"p\", config: $config, summaryMetrics: $summary}) { inserted bucket { name historyLineCount } } }";
const REWIND: &str = "mutation R($run: String!, $metric: String!, $step: Float!) { rewindRun(input: {runName: $run, entityName: \"me\", \
    projectName: \"p\", metricName: $metric, metricValue: $step}) { rewoundRun { id name generation historyLineCount config } } }";

fn config_with(parent: &str, step: f64, more: &Value) -> String {
    let mut internal = json!({"branch_point": {"run_id": parent, "step": step}, "t": {}});
    internal
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    json!({"_wandb": {"value": internal}}).to_string()
}

/// The reply to the first upsert of a fork: data or errors.
async fn try_fork(server: &TestServer, child: &str, parent: &str, step: f64) -> Value {
    let config = config_with(parent, step, &json!({}));
    let variables = json!({"name": child, "config": config});
    server.graphql_answer(UPSERT, variables).await.json()
}

async fn fork(server: &TestServer, child: &str, parent: &str, step: f64) -> i64 {
    let reply = try_fork(server, child, parent, step).await;
    let count = &reply["data"]["upsertBucket"]["bucket"]["historyLineCount"];
    count.as_i64().unwrap_or_else(|| panic!("{reply}"))
}

async fn try_rewind(server: &TestServer, run: &str, step: f64) -> Value {
    let variables = json!({"run": run, "metric": "_step", "step": step});
    server.graphql_answer(REWIND, variables).await.json()
}

async fn rewind(server: &TestServer, run: &str, step: f64) -> i64 {
    let reply = try_rewind(server, run, step).await;
    let count = &reply["data"]["rewindRun"]["rewoundRun"]["historyLineCount"];
    count.as_i64().unwrap_or_else(|| panic!("{reply}"))
}

fn message(reply: &Value) -> &str {
    reply["errors"][0]["message"]
        .as_str()
        .unwrap_or_else(|| panic!("no error: {reply}"))
}

fn row(step: i64, value: i64) -> String {
    format!(r#"{{"_step":{step},"v":{value},"k{}":1}}"#, value % 3)
}

/// Logs `values` at steps from `step` on.
async fn log(server: &TestServer, run: &str, offset: i64, step: i64, values: &[i64]) {
    let lines: Vec<String> = (step..)
        .zip(values)
        .map(|(step, value)| row(step, *value))
        .collect();
    let offset = usize::try_from(offset).expect("not negative");
    server.send_history(run, offset, &lines).await;
}

async fn values(server: &TestServer, run: &str) -> Vec<(i64, i64)> {
    let rows = server.history(run).await;
    rows.iter().map(|row| parsed(row)).collect()
}

fn parsed(row: &str) -> (i64, i64) {
    let row: Value = serde_json::from_str(row).expect("a row");
    (
        row["_step"].as_i64().expect("a step"),
        row["v"].as_i64().expect("a value"),
    )
}

async fn small_objects() -> TestServer {
    TestServer::start_in(tempfile::tempdir().expect("a directory"), |config| {
        config.compact_lines = 4;
        config.max_history_parts = 40;
    })
    .await
}

/// A run as a plain copy of rows.
#[derive(Debug, Clone)]
struct Twin {
    name: String,
    rows: Vec<(i64, i64)>,
    next_step: i64,
    deleted: bool,
    archived: bool,
}

impl Twin {
    fn cut(&self, step: i64) -> Vec<(i64, i64)> {
        let kept = self.rows.iter().filter(|(at, _)| *at <= step);
        kept.copied().collect()
    }
}

#[derive(Debug, Clone)]
enum Change {
    Log(prop::sample::Index, u8, u8),
    Fork(prop::sample::Index, prop::sample::Index),
    Rewind(prop::sample::Index, prop::sample::Index),
    Delete(prop::sample::Index),
    Compact,
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        5 => (index(), 1..9_u8, 0..3_u8).prop_map(|(run, rows, gap)| Change::Log(run, rows, gap)),
        3 => (index(), index()).prop_map(|(run, step)| Change::Fork(run, step)),
        3 => (index(), index()).prop_map(|(run, step)| Change::Rewind(run, step)),
        1 => index().prop_map(Change::Delete),
        2 => Just(Change::Compact),
    ]
}

/// The server and the twin, after each change of both.
struct World {
    server: TestServer,
    twins: Vec<Twin>,
    next_value: i64,
}

impl World {
    fn live(&self) -> Vec<usize> {
        let twins = self.twins.iter().enumerate();
        twins
            .filter(|(_, twin)| !twin.archived && !twin.deleted)
            .map(|(index, _)| index)
            .collect()
    }

    async fn apply(&mut self, change: &Change) {
        let live = self.live();
        // Archives are forked as well as runs.
        let readable: Vec<usize> = (0..self.twins.len())
            .filter(|index| !self.twins[*index].deleted)
            .collect();
        match change {
            Change::Compact => {
                self.server.server.upkeep_now().await.expect("looked after");
            }
            Change::Delete(run) if live.len() > 2 => {
                let name = self.twins[*run.get(&live)].name.clone();
                let id = self.server.run(&name, "id").await["id"].clone();
                let query =
                    "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }";
                self.server.graphql(query, json!({"id": id})).await;
                let archives = format!("{name}:");
                for twin in &mut self.twins {
                    twin.deleted |= twin.name == name || twin.name.starts_with(&archives);
                }
            }
            Change::Log(run, rows, gap) if !live.is_empty() => {
                let twin = &mut self.twins[*run.get(&live)];
                let step = twin.next_step + i64::from(*gap);
                let new: Vec<i64> = (0..i64::from(*rows)).map(|n| self.next_value + n).collect();
                self.next_value += i64::from(*rows);
                let offset = i64::try_from(twin.rows.len()).expect("few");
                log(&self.server, &twin.name, offset, step, &new).await;
                twin.rows.extend((step..).zip(new));
                twin.next_step = step + i64::from(*rows);
            }
            Change::Fork(run, at) if !readable.is_empty() => {
                let parent = self.twins[*run.get(&readable)].clone();
                let Some((last, _)) = parent.rows.last().copied() else {
                    return;
                };
                let step = i64::try_from(at.index(usize::try_from(last).expect("small") + 1))
                    .expect("small");
                let name = format!("f{}", self.twins.len());
                let rows = parent.cut(step);
                let count = fork(&self.server, &name, &parent.name, step as f64).await;
                assert_eq!(
                    count,
                    i64::try_from(rows.len()).expect("few"),
                    "fork of {} at {step}",
                    parent.name
                );
                self.twins.push(Twin {
                    name,
                    rows,
                    next_step: step + 1,
                    deleted: false,
                    archived: false,
                });
            }
            Change::Rewind(run, at) if !live.is_empty() => {
                let index = *run.get(&live);
                let before = self.twins[index].clone();
                let Some((last, _)) = before.rows.last().copied() else {
                    return;
                };
                let step = i64::try_from(at.index(usize::try_from(last).expect("small") + 1))
                    .expect("small");
                let rows = before.cut(step);
                let count = rewind(&self.server, &before.name, step as f64).await;
                assert_eq!(
                    count,
                    i64::try_from(rows.len()).expect("few"),
                    "{} to {step}",
                    before.name
                );
                let archives = format!("{}:", before.name);
                let known = self
                    .twins
                    .iter()
                    .filter(|twin| twin.name.starts_with(&archives))
                    .count();
                let generation = self.server.run(&before.name, "generation").await["generation"]
                    .as_u64()
                    .expect("a number");
                let is_new = usize::try_from(generation).expect("small") > known;
                if is_new {
                    self.twins.push(Twin {
                        name: format!("{archives}{known}"),
                        archived: true,
                        ..before
                    });
                }
                let twin = &mut self.twins[index];
                twin.rows = rows;
                twin.next_step = step + 1;
            }
            _ => {}
        }
    }

    async fn check(&self) {
        for twin in self.twins.iter().filter(|twin| !twin.deleted) {
            self.check_one(twin).await;
        }
        let list = self
            .server
            .graphql(
                "query { project(name: \"p\", entityName: \"me\") { runCount } }",
                json!({}),
            )
            .await;
        let live = i64::try_from(self.live().len()).expect("few");
        assert_eq!(list["project"]["runCount"], live, "archives are in no list");
    }

    async fn check_one(&self, twin: &Twin) {
        let (server, name) = (&self.server, twin.name.as_str());
        let found = server
            .run(name, "historyLineCount lastStep historyKeys historyTail summaryMetrics archived parquetHistory(liveKeys: [\"_step\"]) { liveData }")
            .await;
        assert_eq!(values(server, name).await, twin.rows, "rows of {name}");
        assert_eq!(found["historyLineCount"], twin.rows.len(), "{name}");
        assert_eq!(
            found["lastStep"].as_i64(),
            twin.rows.last().map(|(step, _)| *step),
            "{name}"
        );
        assert_eq!(found["archived"], twin.archived, "{name}");
        let steps = found["parquetHistory"]["liveData"]
            .as_array()
            .expect("a list");
        let steps: Vec<i64> = steps
            .iter()
            .filter_map(|row| row["_step"].as_i64())
            .collect();
        let expected: Vec<i64> = twin.rows.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, expected, "steps of {name}");
        let count = found["historyKeys"]["keys"]["v"]["typeCounts"][0]["count"]
            .as_u64()
            .unwrap_or(0);
        assert_eq!(count, twin.rows.len() as u64, "keys of {name}");
        if let Some((last, _)) = twin.rows.last() {
            assert_eq!(found["historyKeys"]["lastStep"], *last, "{name}");
            assert_eq!(
                found["historyKeys"]["keys"]["_step"]["monotonic"], true,
                "{name}"
            );
            let tail: Vec<String> =
                serde_json::from_str(found["historyTail"].as_str().expect("text")).expect("a list");
            assert_eq!(Some(&parsed(&tail[0])), twin.rows.last(), "{name}");
            let middle = last / 2;
            let page = server
                .run(
                    name,
                    &format!(
                        "history(minStep: {middle}, maxStep: {}, samples: 1000)",
                        last + 1
                    ),
                )
                .await;
            let page: Vec<String> = serde_json::from_value(page["history"].clone()).expect("texts");
            let page: Vec<(i64, i64)> = page.iter().map(|row| parsed(row)).collect();
            let expected: Vec<(i64, i64)> = twin
                .rows
                .iter()
                .filter(|(step, _)| *step >= middle)
                .copied()
                .collect();
            assert_eq!(page, expected, "page of {name}");
        }
        let series = [
            json!({"run": format!("me/p/{name}"), "key": "v"}),
            json!({"run": format!("me/p/{name}"), "key": "k0"}),
        ];
        let found = ask(
            server,
            json!({"x": "_step", "range": null, "buckets": 1000, "series": series}),
        )
        .await;
        let points: Vec<(f64, f64)> = found[0]
            .entries
            .iter()
            .map(|entry| (entry.0, entry.1))
            .collect();
        let expected: Vec<(f64, f64)> = twin
            .rows
            .iter()
            .map(|(step, value)| (*step as f64, *value as f64))
            .collect();
        assert_eq!(points, expected, "chart of {name}");
        let expected = twin.rows.iter().filter(|(_, value)| value % 3 == 0).count();
        assert_eq!(found[1].total, expected as u64, "chart of {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn runs_show_what_a_copy_of_the_rows_would(changes in prop::collection::vec(change(), 4..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = small_objects().await;
            let mut world = World { server, twins: Vec::new(), next_value: 0 };
            for name in ["a", "b"] {
                world.server.create_run(name).await;
                world.twins.push(Twin { name: name.to_owned(), rows: Vec::new(), next_step: 0, deleted: false, archived: false });
            }
            for (at, change) in changes.iter().enumerate() {
                world.apply(change).await;
                if at % 4 == 3 {
                    world.check().await;
                }
            }
            world.check().await;
        });
    }
}

#[tokio::test]
async fn a_fork_begins_with_its_parents_summary_and_says_where_it_is_from() {
    let server = small_objects().await;
    server.create_run("a").await;
    let definitions = json!({"m": [{"1": "v", "6": [3], "7": [1, 2]}]});
    let config = json!({"_wandb": {"value": definitions}}).to_string();
    server
        .graphql(UPSERT, json!({"name": "a", "config": config}))
        .await;
    log(&server, "a", 0, 0, &[5, 1, 9, 2]).await;
    assert_eq!(fork(&server, "b", "a", 2.7).await, 3);
    let fields = "summaryMetrics config immutableId inheritedLineCount origin { run { name } step rewound deleted } state";
    let found = server.run("b", fields).await;
    let summary: Value =
        serde_json::from_str(found["summaryMetrics"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        summary,
        json!({"_step": 2, "v": {"min": 1, "max": 9}, "k0": 1, "k1": 1, "k2": 1})
    );
    assert_eq!(
        (
            &found["immutableId"],
            &found["inheritedLineCount"],
            &found["state"]
        ),
        (&json!("b:0"), &json!(3), &json!("running"))
    );
    let origin = json!({"run": {"name": "a"}, "step": 2, "rewound": false, "deleted": false});
    assert_eq!(found["origin"], origin);
    // What the client sends comes on top; a whole summary of somebody else's replaces it.
    let body = json!({"files": {
        "wandb-history.jsonl": {"offset": 3, "content": [row(3, 4)]},
        "wandb-summary.json": {"offset": 0, "content": [r#"{"_step":3,"v":4}"#]},
    }});
    assert_eq!(server.stream("b", &body).await.status, StatusCode::OK);
    let summary = |found: Value| -> Value {
        serde_json::from_str(found["summaryMetrics"].as_str().expect("text")).expect("JSON")
    };
    assert_eq!(
        summary(server.run("b", "summaryMetrics").await),
        json!({"_step": 3, "v": 4, "k0": 1, "k1": 1, "k2": 1})
    );
    let id = server.run("b", "id").await["id"].clone();
    server
        .graphql(UPSERT, json!({"id": id, "summary": r#"{"own":1}"#}))
        .await;
    let body = json!({"files": {"wandb-summary.json": {"offset": 0, "content": [r#"{"_step":3,"v":4}"#]}}});
    server.stream("b", &body).await;
    assert_eq!(
        summary(server.run("b", "summaryMetrics").await),
        json!({"_step": 3, "v": 4})
    );
    // The same upsert again, and one that has the whole config, change nothing.
    assert_eq!(fork(&server, "b", "a", 2.7).await, 4);
    assert_eq!(
        server.run("a", "historyLineCount").await["historyLineCount"],
        4
    );
}

#[tokio::test]
async fn forks_and_rewinds_that_cannot_be_are_refused_with_the_reason() {
    let server = small_objects().await;
    server.create_run("a").await;
    server.create_run("empty").await;
    log(&server, "a", 0, 0, &[1, 2, 3]).await;
    for (parent, step, part) in [
        ("a", 3.0, "the last step of `a` that has arrived here is 2"),
        ("nobody", 0.0, "there is no run `nobody` in project `p`"),
        ("empty", 0.0, "`empty` has no history"),
        ("a", -1.0, "`_step=-1` is not a step of a run"),
        ("a:1", 0.0, "there is no run `a:1`"),
    ] {
        let reply = try_fork(&server, "x", parent, step).await;
        assert!(message(&reply).contains(part), "{reply}");
        assert_eq!(
            server.run("x", "name").await,
            Value::Null,
            "nothing is left of it"
        );
    }
    fork(&server, "b", "a", 1.0).await;
    let reply = try_fork(&server, "b", "a", 0.0).await;
    assert!(
        message(&reply).contains("there is a run `b` already"),
        "{reply}"
    );
    for (run, step, part) in [
        ("a", 9.0, "the last step of `a` that has arrived here is 2"),
        ("nobody", 0.0, "there is no run `me/p/nobody`"),
        ("a", f64::from(-3), "is not a step of a run"),
    ] {
        let reply = try_rewind(&server, run, step).await;
        assert!(message(&reply).contains(part), "{reply}");
    }
    let variables = json!({"run": "a", "metric": "loss", "step": 1.0});
    let reply = server.graphql_answer(REWIND, variables).await.json();
    assert!(message(&reply).contains("only to a `_step`"), "{reply}");
    rewind(&server, "a", 1.0).await;
    // It has come no further than it was rewound to.
    let reply = try_fork(&server, "y", "a", 2.0).await;
    assert!(
        message(&reply).contains("the last step of `a` that has arrived here is 1"),
        "{reply}"
    );
    let reply = try_rewind(&server, "a:0", 1.0).await;
    assert!(message(&reply).contains("does not change"), "{reply}");
}

#[tokio::test]
async fn histories_of_too_many_parts_are_refused() {
    let server = TestServer::start_in(tempfile::tempdir().expect("a directory"), |config| {
        config.max_history_parts = 3;
    })
    .await;
    server.create_run("r0").await;
    log(&server, "r0", 0, 0, &[0]).await;
    for depth in 1..=3 {
        let (child, parent) = (format!("r{depth}"), format!("r{}", depth - 1));
        let count = fork(&server, &child, &parent, f64::from(depth - 1)).await;
        log(
            &server,
            &child,
            count,
            i64::from(depth),
            &[i64::from(depth)],
        )
        .await;
    }
    assert_eq!(
        values(&server, "r3").await,
        [(0, 0), (1, 1), (2, 2), (3, 3)]
    );
    let reply = try_fork(&server, "r4", "r3", 3.0).await;
    assert!(message(&reply).contains("the limit is 3"), "{reply}");
    // Where fewer rows are wanted, fewer parts are.
    assert_eq!(fork(&server, "r5", "r3", 1.0).await, 2);
}

#[tokio::test]
async fn a_rewind_keeps_the_id_and_archives_the_rest() {
    let server = small_objects().await;
    server.create_run("a").await;
    log(&server, "a", 0, 0, &[10, 11, 12, 13, 14, 15]).await;
    server
        .send_events("a", 0, &[r#"{"system.cpu":1,"_runtime":1}"#.to_owned()])
        .await;
    let body = json!({"files": {"output.log": {"offset": 0, "content": ["old"]}}, "complete": true, "exitcode": 0});
    server.stream("a", &body).await;
    fork(&server, "child", "a", 4.0).await;
    assert_eq!(rewind(&server, "a", 2.0).await, 3);
    // The same again, as after an answer that was lost.
    assert_eq!(rewind(&server, "a", 2.0).await, 3);
    let found = server.run("a", "generation immutableId state exitCode eventsLineCount logLineCount origin { run { name } rewound step } generations { name state historyLineCount }").await;
    assert_eq!(
        found,
        json!({
            "generation": 1, "immutableId": "a:1", "state": "running", "exitCode": null, "eventsLineCount": 0, "logLineCount": 0,
            "origin": {"run": {"name": "a:0"}, "rewound": true, "step": 2},
            "generations": [{"name": "a:0", "state": "finished", "historyLineCount": 6}],
        })
    );
    let archive = server.run("a:0", "id archived historyLineCount eventsLineCount logLineCount logLines { edges { node { line } } } systemMetrics").await;
    assert_eq!(archive["logLines"]["edges"][0]["node"]["line"], "old");
    assert_eq!(
        (
            &archive["archived"],
            &archive["historyLineCount"],
            &archive["eventsLineCount"]
        ),
        (&json!(true), &json!(6), &json!(1))
    );
    // The fork is one of the state that it was made of.
    let origin = server.run("child", "origin { run { name } rewound }").await;
    assert_eq!(
        origin["origin"],
        json!({"run": {"name": "a:0"}, "rewound": false})
    );
    log(&server, "a", 3, 3, &[93, 94]).await;
    assert_eq!(
        values(&server, "a").await,
        [(0, 10), (1, 11), (2, 12), (3, 93), (4, 94)]
    );
    assert_eq!(values(&server, "child").await.len(), 5);
    // The present state has an immutable id, too, and a precise state can be forked.
    assert_eq!(server.run("a:1", "name").await["name"], "a");
    assert_eq!(server.run("a:2", "name").await, Value::Null);
    fork(&server, "late", "a:0", 5.0).await;
    assert_eq!(values(&server, "late").await.last(), Some(&(5, 15)));
    // An archive takes nothing.
    let answer = server.stream("a:0", &json!({})).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let reply = server
        .graphql_answer(UPSERT, json!({"name": "a:0"}))
        .await
        .json();
    assert!(message(&reply).contains("does not change"), "{reply}");
}

/// A request as W&B's client sends it.
async fn original(server: &TestServer, run: &str, body: &Value) -> StatusCode {
    let key = server.key_header();
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
        ("user-agent", "wandb-core"),
    ];
    let path = format!("/files/me/p/{run}/file_stream");
    let method = axum::http::Method::POST;
    server
        .raw(method, &path, &headers, body.to_string())
        .await
        .status
}

fn part(offset: i64, lines: &[String], summary_step: i64) -> Value {
    let summary = json!({"_step": summary_step}).to_string();
    json!({"files": {
        "wandb-history.jsonl": {"offset": offset, "content": lines},
        "wandb-summary.json": {"offset": 0, "content": [summary]},
    }})
}

#[tokio::test]
async fn late_lines_of_an_old_process_do_not_land_in_a_rewound_run() {
    let server = small_objects().await;
    server.create_run("a").await;
    log(&server, "a", 0, 0, &[0, 1, 2, 3, 4, 5]).await;
    assert_eq!(rewind(&server, "a", 2.0).await, 3);
    let old = |step: i64| row(step, 70 + step);
    // Behind the end, in the place of kept rows, in the place of new rows.
    assert_eq!(
        original(&server, "a", &part(6, &[old(6)], 6)).await,
        StatusCode::CONFLICT
    );
    assert_eq!(
        original(&server, "a", &part(2, &[old(2)], 2)).await,
        StatusCode::CONFLICT
    );
    assert_eq!(
        original(&server, "a", &part(3, &[row(3, 93), row(4, 94)], 4)).await,
        StatusCode::OK
    );
    assert_eq!(
        original(&server, "a", &part(3, &[row(3, 93), row(4, 94)], 4)).await,
        StatusCode::OK,
        "sent again"
    );
    assert_eq!(
        original(&server, "a", &part(4, &[old(4)], 4)).await,
        StatusCode::CONFLICT
    );
    // A summary that goes further than the rows, and an end whose summary lags behind.
    let summary = |step: i64| json!({"files": {"wandb-summary.json": {"offset": 0, "content": [json!({"_step": step, "old": 1}).to_string()]}}});
    assert_eq!(
        original(&server, "a", &summary(5)).await,
        StatusCode::CONFLICT
    );
    let mut end = summary(2);
    end["complete"] = json!(true);
    end["exitcode"] = json!(1);
    assert_eq!(original(&server, "a", &end).await, StatusCode::CONFLICT);
    // Our client says which state it writes to.
    let ours = |generation: i64, offset: i64| json!({"runlane": {"generation": generation}, "files": {"wandb-history.jsonl": {"offset": offset, "content": [row(5, 95)]}}});
    let answer = server.stream("a", &ours(0, 5)).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (StatusCode::CONFLICT, &json!("rewound"))
    );
    let answer = server.stream("a", &ours(1, 5)).await;
    assert_eq!(
        (answer.status, &answer.json()["runlane"]["generation"]),
        (StatusCode::OK, &json!(1))
    );
    assert_eq!(
        values(&server, "a").await,
        [(0, 0), (1, 1), (2, 2), (3, 93), (4, 94), (5, 95)]
    );
    let found = server.run("a", "state summaryMetrics").await;
    assert_eq!(found["state"], "running");
    assert!(
        !found["summaryMetrics"]
            .as_str()
            .expect("text")
            .contains("old")
    );
}

#[tokio::test]
async fn the_config_of_an_old_process_does_not_replace_that_of_a_rewound_run() {
    let server = small_objects().await;
    let config = |writer: &str, lr: i64| {
        json!({"lr": {"value": lr}, "_wandb": {"value": {"e": {writer: {"host": "h"}}}}})
            .to_string()
    };
    server
        .graphql(UPSERT, json!({"name": "a", "config": config("old", 1)}))
        .await;
    log(&server, "a", 0, 0, &[0, 1]).await;
    rewind(&server, "a", 0.0).await;
    let new = config_with("a", 0.0, &json!({"e": {"new": {}}}));
    server
        .graphql(UPSERT, json!({"name": "a", "config": new}))
        .await;
    let reply = server
        .graphql_answer(UPSERT, json!({"name": "a", "config": config("old", 2)}))
        .await
        .json();
    assert!(
        message(&reply).contains("was rewound while this process was logging"),
        "{reply}"
    );
    // A process that resumes the run later names itself, and the branch point is kept.
    server
        .graphql(UPSERT, json!({"name": "a", "config": config("later", 3)}))
        .await;
    let found = server.run("a", "config").await;
    let found: Value = serde_json::from_str(found["config"].as_str().expect("text")).expect("JSON");
    assert_eq!(found["lr"]["value"], 3);
    assert_eq!(
        found["_wandb"]["value"]["branch_point"],
        json!({"run_id": "a", "step": 0.0})
    );
}

#[tokio::test]
async fn forks_of_shared_runs_have_the_rows_of_all_writers_up_to_the_step() {
    let server = small_objects().await;
    server.create_run("s").await;
    let key = server.key_header();
    let send = async |client: &str, offset: usize, lines: Vec<String>| {
        let headers = [
            ("authorization", key.as_str()),
            ("content-type", "application/json"),
            ("x-wandb-async-client-id", client),
        ];
        let body = json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}});
        let method = axum::http::Method::POST;
        server
            .raw(
                method,
                "/files/me/p/s/file_stream",
                &headers,
                body.to_string(),
            )
            .await
    };
    // Steps of the second writer go back and forth: two processes share it.
    let second = [4, 0, 5, 1, 2, 6, 3];
    send("one", 0, (0..6).map(|step| row(step, 100 + step)).collect()).await;
    send(
        "two",
        0,
        second.iter().map(|step| row(*step, 200 + step)).collect(),
    )
    .await;
    let expected: Vec<(i64, i64)> = (0..4)
        .flat_map(|step| [(step, 100 + step), (step, 200 + step)])
        .collect();
    for compacted in [false, true] {
        if compacted {
            assert!(server.server.upkeep_now().await.expect("compacted").1 > 0);
        }
        let child = format!("c{compacted}");
        assert_eq!(fork(&server, &child, "s", 3.0).await, 8);
        assert_eq!(
            values(&server, &child).await,
            expected,
            "compacted: {compacted}"
        );
        let series = json!([{"run": format!("me/p/{child}"), "key": "v"}]);
        let found = ask(
            &server,
            json!({"x": "_step", "range": null, "buckets": 1000, "series": series}),
        )
        .await;
        assert_eq!(found[0].total, 8);
    }
    // Rows that come later, though of an early step, are not the forks'.
    send("one", 6, vec![row(1, 999)]).await;
    server.server.upkeep_now().await.expect("looked after");
    for child in ["cfalse", "ctrue"] {
        assert_eq!(values(&server, child).await, expected, "{child}");
    }
    assert_eq!(values(&server, "s").await.len(), 14);
}
