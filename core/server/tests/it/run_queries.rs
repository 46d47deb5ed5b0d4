//! Lists of runs over GraphQL: filters, orders, pages, counts, and what is refused.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::TestServer;

const RUNS: &str =
    "query Runs($cursor: String, $order: String, $filters: JSONString, $first: Int) {
    project(name: \"p\", entityName: \"me\") {
        runCount(filters: $filters)
        runs(filters: $filters, after: $cursor, first: $first, order: $order) {
            totalCount edges { node { name } cursor } pageInfo { endCursor hasNextPage } } } }";

async fn upsert(server: &TestServer, input: Value) -> Value {
    let query = "mutation U($name: String, $displayName: String, $config: JSONString, $summary: JSONString, $tags: [String!], $state: String, $group: String) {
        upsertBucket(input: {name: $name, displayName: $displayName, modelName: \"p\", config: $config, summaryMetrics: $summary, tags: $tags, state: $state, groupName: $group})
        { bucket { id } inserted } }";
    server.graphql(query, input).await["upsertBucket"]["bucket"].clone()
}

async fn page(server: &TestServer, variables: Value) -> Value {
    server.graphql(RUNS, variables).await["project"].clone()
}

/// The names on all pages, and the count that every page told.
async fn all(server: &TestServer, filters: &str, order: &str, first: i32) -> Vec<String> {
    let mut variables = json!({"filters": filters, "order": order, "first": first});
    let mut names = Vec::new();
    loop {
        let project = page(server, variables.clone()).await;
        assert_eq!(project["runCount"], project["runs"]["totalCount"]);
        let edges = project["runs"]["edges"].as_array().expect("edges").clone();
        names.extend(
            edges
                .iter()
                .map(|edge| edge["node"]["name"].as_str().expect("a name").to_owned()),
        );
        if project["runs"]["pageInfo"]["hasNextPage"] == false {
            assert_eq!(project["runCount"], names.len());
            return names;
        }
        let end = &project["runs"]["pageInfo"]["endCursor"];
        assert_eq!(end, &edges.last().expect("an edge")["cursor"]);
        variables["cursor"] = end.clone();
    }
}

async fn seeded(server: &TestServer, count: i64) {
    for index in 0..count {
        server.clock.advance(Duration::from_secs(1));
        upsert(
            server,
            json!({
                "name": format!("r{index}"),
                "displayName": format!("run {index}"),
                "config": format!(r#"{{"lr":{{"value":{index}}},"opt":{{"value":{{"name":"adam","l":[{index}]}}}},"a.b":{{"value":{}}}}}"#, index % 2),
                "summary": format!(r#"{{"score":{},"train":{{"acc":{}}},"note":"n{}"}}"#, 100 - index, index % 4, index % 3),
                "tags": if index % 2 == 0 { json!(["even", "x"]) } else { json!([]) },
                "group": format!("g{}", index % 3),
            }),
        )
        .await;
    }
}

#[tokio::test]
async fn every_page_size_shows_every_run_once() {
    let server = TestServer::start().await;
    seeded(&server, 9).await;
    for (filters, order, expected) in [
        ("{}", "+created_at", "012345678"),
        ("{}", "-created_at", "876543210"),
        ("{}", "+summary_metrics.score", "876543210"),
        ("{}", "-summary_metrics.train.acc", "37261 5048"),
        ("{}", "+config.a.b.value", "024681357"),
        ("{}", "-tags", "024681357"),
        ("{}", "-group", "258147036"),
        (
            r#"{"config.lr":{"$gte":2,"$lt":7}}"#,
            "-summary_metrics.note",
            "25436",
        ),
        (r#"{"tags":"even"}"#, "-config.lr", "86420"),
        (r#"{"tags":null}"#, "name", "1357"),
        (
            r#"{"config.opt.name":"adam","config.opt.l.0":{"$gt":5}}"#,
            "displayName",
            "678",
        ),
        (r#"{"name":{"$in":["r3","r1","zz"]}}"#, "-name", "31"),
        (
            r#"{"$or":[{"name":"r3"},{"name":"r5"}],"summary.score":{"$lt":96}}"#,
            "name",
            "5",
        ),
        (
            r#"{"state":"running","username":"me","entity":"me"}"#,
            "-duration",
            "012345678",
        ),
    ] {
        let expected: Vec<String> = expected
            .chars()
            .filter(|digit| *digit != ' ')
            .map(|digit| format!("r{digit}"))
            .collect();
        let whole = all(&server, filters, order, 1_000).await;
        assert_eq!(whole, expected, "{filters} {order}");
        for first in [1, 2, 4] {
            let pages = all(&server, filters, order, first).await;
            assert_eq!(pages, whole, "{filters} {order} {first}");
        }
    }
}

#[tokio::test]
async fn a_query_sees_every_change_that_came_before_it() {
    let server = TestServer::start().await;
    seeded(&server, 4).await;
    let good = r#"{"summary_metrics.score":{"$gt":98}}"#;
    assert_eq!(all(&server, good, "name", 50).await, ["r0", "r1"]);
    upsert(
        &server,
        json!({"name": "r3", "summary": r#"{"score":200}"#}),
    )
    .await;
    assert_eq!(all(&server, good, "name", 50).await, ["r0", "r1", "r3"]);
    assert_eq!(
        all(&server, good, "-summary.score", 1).await,
        ["r3", "r0", "r1"]
    );
    let gone = upsert(
        &server,
        json!({"name": "r0", "summary": r#"{"score":null}"#}),
    )
    .await;
    assert_eq!(all(&server, good, "name", 50).await, ["r1", "r3"]);
    let tagged = r#"{"tags":"late"}"#;
    assert!(all(&server, tagged, "name", 50).await.is_empty());
    upsert(&server, json!({"name": "r2", "tags": ["late"]})).await;
    assert_eq!(all(&server, tagged, "name", 50).await, ["r2"]);
    server
        .graphql(
            "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
            json!({"id": gone["id"]}),
        )
        .await;
    assert_eq!(
        all(&server, r#"{"group":{"$exists":true}}"#, "name", 50).await,
        ["r1", "r2", "r3"]
    );
    // A heartbeat moves what has no duration of its own.
    server.clock.advance(Duration::from_mins(10));
    server
        .send_history("r1", 0, &[r#"{"_step":0,"a":1}"#])
        .await;
    let long = r#"{"duration":{"$gt":500},"state":"running"}"#;
    assert_eq!(all(&server, long, "name", 50).await, ["r1"]);
    let exit = json!({"complete": true, "exitcode": 0});
    assert_eq!(server.stream("r1", &exit).await.status, 200);
    assert!(all(&server, long, "name", 50).await.is_empty());
    assert_eq!(
        all(&server, r#"{"state":"finished"}"#, "name", 50).await,
        ["r1"]
    );
}

#[tokio::test]
async fn a_listing_goes_on_where_it_was_while_runs_are_added() {
    let server = TestServer::start().await;
    seeded(&server, 6).await;
    for (order, better) in [
        ("-created_at", "{}"),
        ("-summary_metrics.score", r#"{"score":900}"#),
    ] {
        let first = page(&server, json!({"order": order, "first": 2})).await;
        let cursor = first["runs"]["pageInfo"]["endCursor"].clone();
        server.clock.advance(Duration::from_secs(1));
        let name = format!("new{}", better.len());
        upsert(&server, json!({"name": name, "summary": better})).await;
        let next = page(
            &server,
            json!({"order": order, "first": 2, "cursor": cursor}),
        )
        .await;
        let names: Vec<&str> = next["runs"]["edges"]
            .as_array()
            .expect("edges")
            .iter()
            .filter_map(|edge| edge["node"]["name"].as_str())
            .collect();
        let expected = if order == "-created_at" {
            ["r3", "r2"]
        } else {
            ["r2", "r3"]
        };
        assert_eq!(names, expected, "{order}");
    }
}

#[tokio::test]
async fn a_project_too_large_for_the_table_is_answered_alike() {
    let small = TestServer::start_in(tempfile::tempdir().expect("a directory"), |config| {
        config.run_table_bytes = 1;
    })
    .await;
    let large = TestServer::start().await;
    for server in [&small, &large] {
        seeded(server, 9).await;
    }
    for (filters, order) in [
        ("{}", "-summary_metrics.train.acc"),
        (r#"{"config.opt.l":{"$gt":3}}"#, "+config.a.b"),
        (r#"{"tags":{"$ne":"x"}}"#, "-tags"),
        (r#"{"notes":null}"#, "-config.opt"),
    ] {
        for first in [2, 50] {
            assert_eq!(
                all(&small, filters, order, first).await,
                all(&large, filters, order, first).await,
                "{filters} {order}"
            );
        }
    }
}

/// Sends a question that is refused; returns code, HTTP status and message. It is answered soon.
async fn refused(server: &TestServer, variables: Value) -> (String, u16, String) {
    let shown = variables.to_string();
    let begin = Instant::now();
    let answer = server.graphql_answer(RUNS, variables).await;
    let took = begin.elapsed();
    let shown = &shown[..shown.len().min(100)];
    // The bound is 50 ms; builds for tests are slower, and other tests run beside this one.
    assert!(took < Duration::from_millis(250), "{shown}: {took:?}");
    let error = &answer.json()["errors"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&error["extensions"]["code"]),
        answer.status.as_u16(),
        text(&error["message"]),
    )
}

#[tokio::test]
async fn bad_filters_are_refused_with_their_place() {
    let server = TestServer::start().await;
    seeded(&server, 2).await;
    let deep = format!("{}{{}}{}", r#"{"$and":["#.repeat(500), "]}".repeat(500));
    let huge = format!(
        r#"{{"name":{{"$in":[{}"x"]}}}}"#,
        r#""abcdefgh","#.repeat(40_000)
    );
    let wide = format!(
        r#"{{"$and":[{}{{}}]}}"#,
        r#"{"name":{"$ne":"x"}},"#.repeat(3_000)
    );
    for (filters, part) in [
        ("not JSON", "filters"),
        ("[]", "not an object"),
        (r#"{"$where":"sleep(1000)"}"#, "/$where"),
        (r#"{"config.lr":{"$where":"1"}}"#, "/config.lr/$where"),
        (r#"{"config.lr":{"$near":1}}"#, "`$near`"),
        (r#"{"nonsense":1}"#, "/nonsense"),
        (r#"{"config":{"lr":1}}"#, "/config"),
        (r#"{"config.":1}"#, "/config."),
        (r#"{"name; DROP TABLE runs":1}"#, "/name; DROP TABLE runs"),
        (r#"{"name":{"$regex":"("}}"#, "/name/$regex"),
        (r#"{"name":{"$regex":"((a{100}){100}){100}"}}"#, "too large"),
        (r#"{"name":{"$in":"x"}}"#, "needs a list"),
        (r#"{"config.lr":{"$gt":[1]}}"#, "/config.lr/$gt"),
        (r#"{"config.lr":{"$exists":"yes"}}"#, "true or false"),
        (r#"{"createdAt":{"$gt":"yesterday"}}"#, "/createdAt/$gt"),
        (r#"{"config.lr":NaN}"#, "NaN"),
        (r#"{"name":"a\u0000b"}"#, "NUL"),
        (&deep, "nested"),
        (&huge, "longer than"),
        (&wide, "conditions"),
    ] {
        let shown = &filters[..filters.len().min(100)];
        let (code, status, message) = refused(&server, json!({"filters": filters})).await;
        assert_eq!(
            (code.as_str(), status),
            ("invalid_filter", 400),
            "{shown}: {message}"
        );
        assert!(message.contains(part), "{shown}: {message}");
        assert!(message.len() < 1_000, "{shown}");
    }
}

#[tokio::test]
async fn bad_orders_cursors_and_page_sizes_are_refused() {
    let server = TestServer::start().await;
    seeded(&server, 3).await;
    for order in [
        "nonsense",
        "+",
        "++name",
        "name DESC; DROP TABLE runs",
        "-config.",
        "summary_metrics",
        "name,state",
        "-a\0b",
    ] {
        let (code, status, message) = refused(&server, json!({"order": order})).await;
        assert_eq!(
            (code.as_str(), status),
            ("invalid_order", 400),
            "{order}: {message}"
        );
    }
    let first = page(&server, json!({"order": "-summary.score", "first": 1})).await;
    let cursor = first["runs"]["pageInfo"]["endCursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    let long = "A".repeat(100_000);
    for (cursor, order) in [
        (cursor.as_str(), "+summary.score"),
        (&cursor, "-created_at"),
        (&cursor[1..], "-summary.score"),
        ("Y3Vyc29yOjE=", "-summary.score"),
        ("%00", "-summary.score"),
        ("💥", "-summary.score"),
        (&long, "-summary.score"),
    ] {
        let (code, status, message) =
            refused(&server, json!({"order": order, "cursor": cursor})).await;
        assert_eq!(
            (code.as_str(), status),
            ("invalid_cursor", 400),
            "{message}"
        );
        assert!(message.contains("begin again"), "{message}");
    }
    let (_, status, _) = refused(
        &server,
        json!({"order": "-summary.score", "cursor": cursor, "filters": "{\"state\":\"x\"}"}),
    )
    .await;
    assert_eq!(status, 400);
    assert_eq!(refused(&server, json!({"first": -1})).await.0, "invalid");
    let none = page(&server, json!({"first": 0})).await;
    assert_eq!(none["runs"]["edges"], json!([]));
    assert_eq!(none["runs"]["totalCount"], 3);
    assert_eq!(
        all(&server, "{}", "name", 1_000_000_000).await,
        ["r0", "r1", "r2"]
    );
}

#[tokio::test]
async fn patterns_that_take_others_for_ever_are_answered() {
    let server = TestServer::start().await;
    let notes = format!("{}!", "a".repeat(50_000));
    upsert(
        &server,
        json!({"name": "r0", "config": format!(r#"{{"t":{{"value":"{notes}"}}}}"#)}),
    )
    .await;
    for pattern in ["^(a+)+$", "^(a|a)*$", "(.*a){20}b", "(a?){30}a{30}b"] {
        let begin = Instant::now();
        let filters = json!({"config.t": {"$regex": pattern}}).to_string();
        assert!(all(&server, &filters, "name", 50).await.is_empty());
        assert!(begin.elapsed() < Duration::from_secs(2), "{pattern}");
    }
}
