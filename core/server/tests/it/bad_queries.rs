//! GraphQL requests that are wrong, or made to cost much.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

/// Bound of what a bad request may cost, in processor time of the thread that answers it.
const CPU_MILLIS: u64 = 100;

fn cpu_millis() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).expect("positive") * 1000
        + u64::try_from(time.tv_nsec).expect("positive") / 1_000_000
}

/// What the client reads of a refusal: `errors[0].message`, `error.message` or `error`.
fn message(answer: &Answer) -> String {
    let body = answer.json();
    let text = [&body["errors"][0]["message"], &body["error"]["message"]]
        .into_iter()
        .find_map(Value::as_str);
    text.unwrap_or_default().to_owned()
}

async fn check_refused(
    server: &TestServer,
    what: &str,
    body: impl Into<axum::body::Body>,
    status: u16,
) {
    let before = cpu_millis();
    let answer = server.post("/graphql", body).await;
    let spent = cpu_millis() - before;
    let shown = String::from_utf8_lossy(&answer.body)
        .chars()
        .take(300)
        .collect::<String>();
    assert_eq!(answer.status, status, "{what}: {shown}");
    let message = message(&answer);
    assert!(
        !message.is_empty() && message.len() <= 2_000,
        "{what}: {shown}"
    );
    assert!(
        answer.body.len() < 64 << 10,
        "{what}: an answer of {} bytes",
        answer.body.len()
    );
    assert!(spent <= CPU_MILLIS, "{what}: {spent} ms");
    assert!(!String::from_utf8_lossy(&answer.body).contains(&server.server.credentials().api_key));
    server.graphql("{ viewer { id } }", json!({})).await;
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused() {
    let server = TestServer::start().await;
    let long = format!("{{ viewer {{ id(x: \"{}\") }} }}", "x".repeat(1 << 20));
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("empty", Vec::new(), 400),
        ("no JSON", b"query { viewer { id } }".to_vec(), 400),
        (
            "a batch",
            b"[{\"query\": \"{ viewer { id } }\"}]".to_vec(),
            400,
        ),
        (
            "members in their order",
            b"[\"{ viewer { id } }\", {}, \"\"]".to_vec(),
            400,
        ),
        ("query is a number", b"{\"query\": 1}".to_vec(), 400),
        ("no query", b"{}".to_vec(), 400),
        (
            "a hash of a persisted query",
            br#"{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}}"#.to_vec(),
            400,
        ),
        (
            "variables are a list",
            b"{\"query\": \"{ viewer { id } }\", \"variables\": []}".to_vec(),
            400,
        ),
        (
            "no UTF-8",
            b"{\"query\": \"{ viewer { \xff } }\"}".to_vec(),
            400,
        ),
        (
            "a byte order mark",
            "\u{feff}{\"query\": \"{ viewer { id } }\"}".into(),
            400,
        ),
        (
            "deep JSON",
            format!(
                "{{\"query\": \"{{ viewer {{ id }} }}\", \"variables\": {{\"a\": {}",
                "[".repeat(50_000)
            )
            .into(),
            400,
        ),
        (
            "a million values",
            format!(
                "{{\"query\": \"{{ viewer {{ id }} }}\", \"variables\": {{\"a\": [{}0]}}}}",
                "0,".repeat(1_000_000)
            )
            .into(),
            413,
        ),
        (
            "a long string in the document",
            json!({"query": long}).to_string().into(),
            400,
        ),
    ];
    for (what, body, status) in cases {
        check_refused(&server, what, body, status).await;
    }
    let key = server.key_header();
    for kind in [
        "text/plain",
        "application/graphql",
        "multipart/form-data; boundary=x",
        "",
    ] {
        let headers = [("authorization", key.as_str()), ("content-type", kind)];
        let answer = server
            .raw(
                Method::POST,
                "/graphql",
                &headers,
                "{\"query\": \"{ viewer { id } }\"}",
            )
            .await;
        assert_eq!(answer.status, 415, "{kind}");
    }
    let answer = server
        .raw(
            Method::GET,
            "/graphql?query=%7Bviewer%7Bid%7D%7D",
            &[("authorization", key.as_str())],
            "",
        )
        .await;
    assert_eq!(answer.status, 405);
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
        ("content-length", "16777217"),
    ];
    let answer = server.raw(Method::POST, "/graphql", &headers, "{}").await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn documents_that_do_not_fit_the_schema_are_refused_with_the_name() {
    let server = TestServer::start().await;
    let with =
        |query: &str, variables: Value| json!({"query": query, "variables": variables}).to_string();
    let project = "query P($n: String!) { project(name: $n) { id } }";
    let cases = [
        ("unknown field", with("{ viewer { nosuchfield } }", json!({})), "nosuchfield"),
        ("unknown operation", json!({"query": "query A { viewer { id } }", "operationName": "Bee"}).to_string(), "Bee"),
        ("no operation", with("fragment F on User { id }", json!({})), ""),
        ("several operations and no name", json!({"query": "query A { viewer { id } } query B { viewer { id } }", "operationName": ""}).to_string(), ""),
        ("unknown type of a variable", with("query P($n: Strin) { project(name: $n) { id } }", json!({})), "Strin"),
        ("wrong type of a variable", with(project, json!({"n": 5})), "n"),
        ("null for what may not be null", with(project, json!({"n": null})), ""),
        ("missing variable", with(project, json!({})), "n"),
        ("undeclared variable that is used", with("{ project(name: $n) { id } }", json!({"n": "p"})), "n"),
        ("unknown fragment", with("{ viewer { ...F } }", json!({})), "F"),
        ("unknown directive", with("{ viewer @nosuch { id } }", json!({})), "nosuch"),
        ("subscription", with("subscription { viewer { id } }", json!({})), ""),
        ("half a document", with("{ viewer { id }", json!({})), ""),
    ];
    for (what, body, word) in cases {
        check_refused(&server, what, body.clone(), 400).await;
        let answer = server.post("/graphql", body).await;
        assert!(
            message(&answer).contains(word),
            "{what}: {}",
            message(&answer)
        );
    }
}

#[tokio::test]
async fn bombs_cost_little() {
    use std::fmt::Write as _;
    let server = TestServer::start().await;
    let mut fragments = "{ viewer { ...F0 } }".to_owned();
    for level in 0..30 {
        write!(
            fragments,
            " fragment F{level} on User {{ ...F{} ...F{} }}",
            level + 1,
            level + 1
        )
        .expect("in memory");
    }
    fragments.push_str(" fragment F30 on User { id }");
    let repeated = |text: &str, times: usize| text.repeat(times);
    let cases = [
        ("deep", format!("{{ viewer {}", repeated("{ teams { edges { node { user ", 30_000 / 30))),
        ("deep and closed", format!("{{ viewer {}{{ id }}{} }}", repeated("{ teams { edges { node { user ", 9), repeated("} } } }", 9))),
        ("brackets in an argument", format!("{{ project(name: {}) {{ id }} }}", repeated("[", 60_000))),
        ("aliases", format!("{{ {} }}", (0..3_000).fold(String::new(), |text, i| text + &format!("a{i}: viewer {{ id }} ")))),
        ("the same field", format!("{{ {} }}", repeated("viewer { id } ", 5_000))),
        ("directives", format!("{{ viewer {} {{ id }} }}", repeated("@include(if: true) ", 1_000))),
        ("few fields with many directives", format!("{{ viewer {{ {} }} }}", repeated(&format!("id {} ", repeated("@skip(if: false) ", 11)), 20))),
        ("fragments in fragments", fragments),
        ("a cycle of fragments", "{ viewer { ...A } } fragment A on User { ...B } fragment B on User { ...A }".to_owned()),
        ("unknown fields", format!("{{ viewer {{ {} }} }}", (0..4_000).fold(String::new(), |text, i| text + &format!("x{i} ")))),
        ("unknown variables", format!("query({}) {{ viewer {{ id }} }}", (0..1_500).fold(String::new(), |text, i| text + &format!("$v{i}: Nope ")))),
        ("pages of pages", "{ viewer { teams(first: 1000) { edges { node { projects(first: 1000) { edges { node { runs(first: 1000) { edges { node { id } } } } } } } } } } }".to_owned()),
        ("the schema in the schema", format!("{{ __schema {{ types {{ {} name {} }} }} }}", repeated("fields { type { ", 8), repeated("} } ", 8))),
    ];
    for (what, query) in cases {
        check_refused(
            &server,
            what,
            json!({"query": query, "variables": {}}).to_string(),
            400,
        )
        .await;
    }
}

#[tokio::test]
async fn what_the_client_sends_beyond_the_rules_is_taken() {
    let server = TestServer::start().await;
    let bodies = [
        json!({"query": "query Viewer { viewer { id } }", "operationName": ""}),
        json!({"query": "query Viewer { viewer { id } }", "operationName": null, "variables": null}),
        json!({"query": "query Viewer { viewer { id __typename } }", "operationName": "Viewer", "variables": {"undeclared": [1, {"a": null}]}}),
        json!({"query": "query Viewer { viewer { id @include(if: true) } }", "extensions": {"anything": 1}, "more": true}),
        json!({"query": "{ __schema { types { name fields { name args { name type { name ofType { name } } } type { name ofType { name ofType { name } } } } } } }"}),
    ];
    for body in bodies {
        let answer = server.post("/graphql", body.to_string()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json().get("errors")),
            (200, None),
            "{body}: {}",
            answer.json()
        );
    }
    // A configuration of ten megabytes is sent by `wandb verify`.
    let config = json!({"a": {"value": "x".repeat(10 << 20)}}).to_string();
    server
        .graphql(
            "mutation U($config: JSONString) { upsertBucket(input: {name: \"big\", modelName: \"p\", config: $config}) { inserted } }",
            json!({"config": config}),
        )
        .await;
}

#[tokio::test]
async fn bad_pages_and_cursors_are_refused_and_large_pages_are_cut() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let runs = |arguments: &str| {
        format!(
            "{{ project(name: \"p\", entityName: \"me\") {{ runs({arguments}) {{ edges {{ node {{ name }} }} }} }} }}"
        )
    };
    for arguments in [
        "first: -1",
        "after: \"!!\"",
        "after: \"AAAA\"",
        "after: \"Y3Vyc29yOi01\"",
        "after: \"' OR 1=1\"",
    ] {
        let answer = server.graphql_answer(&runs(arguments), json!({})).await;
        let body = answer.json();
        let status = answer.status.as_u16();
        assert!(matches!(status, 200 | 400), "{arguments}: {body}");
        let code = body["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_default();
        assert!(code.starts_with("invalid"), "{arguments}: {body}");
    }
    for arguments in ["first: 0", "first: 1000000000", "first: 5, after: \"\""] {
        let answer = server.graphql_answer(&runs(arguments), json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json().get("errors")),
            (200, None),
            "{arguments}: {}",
            answer.json()
        );
    }
}

#[tokio::test]
async fn texts_of_any_characters_are_stored_or_refused() {
    let server = TestServer::start().await;
    for text in [
        "a\u{0}b",
        "\u{202e}x",
        "\u{feff}",
        "'; DROP TABLE runs; --",
        "\u{1b}[2J",
        "💥",
    ] {
        let answer = server
            .graphql_answer(
                "mutation U($t: String) { upsertBucket(input: {name: \"r\", modelName: \"p\", displayName: $t, notes: $t, groupName: $t, jobType: $t, tags: [\"a\"]}) { bucket { displayName } } }",
                json!({"t": text}),
            )
            .await;
        assert_eq!(answer.status, 200, "{text:?}");
        let body = answer.json();
        let code = body["errors"][0]["extensions"]["status"]
            .as_u64()
            .unwrap_or(200);
        assert!(matches!(code, 200 | 400 | 422), "{text:?}: {body}");
    }
    server.create_run("next").await;
}
