//! Two server processes on one PostgreSQL database and one directory of objects. With the embedded database, which has one server,
//! these tests have nothing to do: they run in the pass of the suite that is told `RUNLANE_TEST_STORE=postgres`.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use futures::StreamExt as _;
use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_server::{DatabaseUrl, ObjectsPlace, Server, ServerConfig, ServerError, StoreError};
use serde_json::{Value, json};
use sqlx::Executor as _;
use tower::ServiceExt as _;

use crate::artifact_client::Client;
use crate::database;
use crate::support::{Answer, HOST, TestServer};

struct Pair {
    one: TestServer,
    other: TestServer,
    url: DatabaseUrl,
    _objects: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Option<Self> {
        let objects = tempfile::tempdir().expect("temporary directory");
        let (dir, other_dir) = (tempfile::tempdir(), tempfile::tempdir());
        let (dir, other_dir) = (dir.expect("temporary"), other_dir.expect("temporary"));
        let url = database::of(dir.path()).await?;
        let shared = |config: &mut ServerConfig| {
            config.database_url = Some(url.clone());
            config.objects = ObjectsPlace::Directory(objects.path().to_owned());
        };
        // At once, on an empty database: the tables and the first user are made by one of them.
        let (one, other) = tokio::join!(
            TestServer::start_in(dir, shared),
            TestServer::start_in(other_dir, shared)
        );
        Some(Self {
            one,
            other,
            url,
            _objects: objects,
        })
    }

    /// A statement of the administrator's, and then nobody is connected any more.
    async fn administer(&self, statement: &str) {
        let cluster = std::env::var("RUNLANE_TEST_POSTGRES").expect("the URL of a cluster");
        let mut connection = database::connect(&cluster.parse().expect("a URL")).await;
        let url = self.url.to_string();
        let name = url.rsplit('/').next().expect("a database");
        let statement = format!(
            "{}; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
            statement.replace("$database", name)
        );
        connection
            .execute(sqlx::AssertSqlSafe(statement))
            .await
            .expect("done");
    }
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range
        .map(|step| format!(r#"{{"_step":{step},"loss":{step}.5}}"#))
        .collect()
}

fn body(offset: usize, lines: &[String]) -> Value {
    json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}})
}

#[tokio::test]
async fn rows_of_one_run_through_both_servers_are_stored_once() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.one.create_run("r").await;
    let requests = (0..40).flat_map(|part| [(part, &pair.one), (part, &pair.other)]);
    let sent = requests.map(|(part, server)| async move {
        // Each half overlaps the one before.
        let start = part * 10;
        let lines = lines(start..start + 15);
        server.stream("r", &body(start, &lines)).await.status
    });
    let answers: Vec<_> = futures::stream::iter(sent)
        .buffer_unordered(16)
        .collect()
        .await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    for server in [&pair.one, &pair.other] {
        assert_eq!(server.history("r").await, lines(0..405));
    }
}

#[tokio::test]
async fn contents_that_both_take_at_once_are_one() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let (one, other) = (Client::owner(&pair.one), Client::owner(&pair.other));
    for round in 0..5_u8 {
        let parts: Vec<Vec<u8>> = (0..4).map(|part| vec![round * 10 + part; 50_000]).collect();
        let whole = parts.concat();
        let small = [round; 9];
        let files: [(&str, &[u8]); 2] = [("whole", &whole), ("small", &small)];
        let collection = format!("c{round}");
        let artifact = one.create_for(&collection, &files).await;
        let path = one.begin_one(&artifact, "small", &small).await.upload;
        let path = path.expect("a URL");
        let puts = tokio::join!(
            one.put(&path, small.to_vec()),
            other.put(&path, small.to_vec())
        );
        assert_eq!((puts.0.status.as_u16(), puts.1.status.as_u16()), (200, 200));
        let manifest = one.manifest(&artifact, "").await.0;
        let hexes: Vec<String> = parts
            .iter()
            .map(|part| Digest::of(Algorithm::Md5, part).hex())
            .collect();
        let file = || ("whole", one.digest(&whole), String::new(), hexes.clone());
        let (begun, again) = (
            one.begin(&artifact, &manifest, &[file()]).await.remove(0),
            other.begin(&artifact, &manifest, &[file()]).await.remove(0),
        );
        assert_eq!(begun.upload_id, again.upload_id);
        // Every part through both at once.
        let sent = parts
            .iter()
            .zip(&begun.parts)
            .map(|(part, (_, path, _))| async {
                tokio::join!(one.put(path, part.clone()), other.put(path, part.clone()))
            });
        for (mine, theirs) in futures::future::join_all(sent).await {
            assert_eq!((mine.status.as_u16(), theirs.status.as_u16()), (200, 200));
        }
        let both = tokio::join!(
            one.complete(&artifact, &begun),
            other.complete(&artifact, &again)
        );
        // Whoever comes second may find the parts gone while it reads them; asked again, it knows.
        for (client, answer) in [(&one, both.0), (&other, both.1)] {
            if answer.json().get("errors").is_some() {
                let again = client.complete(&artifact, &begun).await.json();
                assert_eq!(again.get("errors"), None, "{again}");
            }
        }
        other.put_manifest(&artifact, &files).await;
        let done = one.commit(&artifact).await.json();
        assert_eq!(done.get("errors"), None, "{done}");
        let found = other.get(&other.url(&collection, "whole").await, &[]).await;
        assert!(found.body == whole);
    }
    let mut connection = database::connect(&pair.url).await;
    let rows: (i64, i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), COUNT(DISTINCT object_key), (SELECT COUNT(*) FROM artifact_upload_parts) FROM blobs",
    )
    .fetch_one(&mut connection)
    .await
    .expect("a count");
    assert_eq!(rows, (10, 10, 0));
}

#[tokio::test]
async fn runs_that_both_create_at_once_are_one() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let create =
        "mutation U($name: String) { upsertBucket(input: {name: $name, modelName: \"new\"}) {
        inserted bucket { id } } }";
    for number in 0..20 {
        let name = json!({"name": format!("r{number}")});
        let (one, other) = tokio::join!(
            pair.one.graphql(create, name.clone()),
            pair.other.graphql(create, name)
        );
        let (one, other) = (&one["upsertBucket"], &other["upsertBucket"]);
        assert_eq!(one["bucket"]["id"], other["bucket"]["id"]);
        let inserted = [&one["inserted"], &other["inserted"]];
        assert!(
            inserted.contains(&&json!(true)) && inserted.contains(&&json!(false)),
            "{inserted:?}"
        );
    }
}

#[tokio::test]
async fn groups_of_runs_in_both_servers_do_not_end_each_other() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    for run in 0..8 {
        pair.one.create_run(&format!("r{run}")).await;
    }
    let requests = (0..25).flat_map(|part| (0..8).map(move |run| (part, run)));
    let sent = requests.map(|(part, run)| {
        // The same runs in opposite orders.
        let (server, run) = if run % 2 == 0 {
            (&pair.one, run)
        } else {
            (&pair.other, 7 - run)
        };
        async move {
            let lines = lines(part * 4..part * 4 + 4);
            server
                .stream(&format!("r{run}"), &body(part * 4, &lines))
                .await
                .status
        }
    });
    let answers: Vec<_> = futures::stream::iter(sent)
        .buffer_unordered(32)
        .collect()
        .await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
}

#[tokio::test]
async fn keys_links_and_pages_work_through_either_server() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.one.create_run("r").await;
    let key = pair.one.key_header();
    let answer = pair
        .other
        .raw(
            Method::GET,
            "/api/session",
            &[("authorization", &key)],
            Body::empty(),
        )
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        pair.one.server.credentials().entity,
        pair.other.server.credentials().entity
    );
}

#[tokio::test]
async fn pages_hear_of_runs_that_change_through_the_other_server() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.one.create_run("r").await;
    let Pair { one, other, .. } = pair;
    let (key, other_key) = (one.key_header(), other.key_header());
    let (router, other_router) = (one.server.router(), other.server.router());
    // Servers tell each other while they serve.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serve = |server: Server| {
        let mut stopped = stopped.clone();
        tokio::spawn(server.serve(async move { drop(stopped.wait_for(|stop| *stop).await) }))
    };
    let serving = [serve(one.server), serve(other.server)];
    let request = Request::get("/api/live?entity=me&project=p")
        .header(header::HOST, HOST)
        .header(header::AUTHORIZATION, other_key)
        .body(Body::empty())
        .expect("a valid request");
    let answer = other_router.oneshot(request).await.expect("an answer");
    let mut events = answer.into_body().into_data_stream();
    let told = async {
        let mut seen = String::new();
        let mut line = 0;
        // The first ones may be sent before the other server listens.
        while !seen.contains("event: run") {
            let request = Request::post("/files/me/p/r/file_stream")
                .header(header::HOST, HOST)
                .header(header::AUTHORIZATION, &key)
                .body(Body::from(body(line, &lines(line..line + 1)).to_string()))
                .expect("a valid request");
            let answer = router.clone().oneshot(request).await.expect("an answer");
            assert_eq!(answer.status(), 200);
            line += 1;
            let part = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
            if let Ok(Some(Ok(part))) = part {
                seen.push_str(std::str::from_utf8(&part).expect("text"));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told)
        .await
        .expect("told soon");
    drop(events);
    stop.send_replace(true);
    for one in serving {
        one.await.expect("ended").expect("in order");
    }
}

#[tokio::test]
async fn history_that_both_move_into_objects_is_there_once() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.one.create_run("r").await;
    let all = lines(0..1_000);
    for part in 0..5 {
        pair.one
            .send_history("r", part * 200, &all[part * 200..(part + 1) * 200])
            .await;
    }
    let (one, other) = tokio::join!(pair.one.server.upkeep_now(), pair.other.server.upkeep_now());
    let written = one.expect("done").1 + other.expect("done").1;
    assert!(written >= 1);
    for server in [&pair.one, &pair.other] {
        assert_eq!(server.history("r").await, all);
        assert_eq!(
            server.run("r", "historyLineCount").await["historyLineCount"],
            1_000
        );
    }
}

#[tokio::test]
async fn silent_run_is_given_up_by_one_server_and_goes_on_through_the_other() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.one.create_run("r").await;
    for server in [&pair.one, &pair.other] {
        server.clock.advance(Duration::from_mins(6));
    }
    let (one, other) = tokio::join!(pair.one.server.upkeep_now(), pair.other.server.upkeep_now());
    assert_eq!(one.expect("done").0 + other.expect("done").0, 1);
    assert_eq!(pair.other.run("r", "state").await["state"], "crashed");
    pair.other.send_history("r", 0, &lines(0..1)).await;
    assert_eq!(pair.one.run("r", "state").await["state"], "running");
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(
        answer.status,
        503,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn database_that_is_gone_or_read_only_is_answered_with_try_again() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.one.create_run("r").await;
    pair.one.send_history("r", 0, &lines(0..3)).await;
    let next = body(3, &lines(3..6));

    pair.administer("ALTER DATABASE $database SET default_transaction_read_only = on")
        .await;
    for server in [&pair.one, &pair.other] {
        assert_unavailable(&server.stream("r", &next).await);
    }
    pair.administer("ALTER DATABASE $database RESET default_transaction_read_only")
        .await;
    assert_eq!(pair.one.history("r").await, lines(0..3));

    pair.administer("ALTER DATABASE $database ALLOW_CONNECTIONS false")
        .await;
    assert_unavailable(&pair.one.stream("r", &next).await);
    pair.administer("ALTER DATABASE $database ALLOW_CONNECTIONS true")
        .await;
    assert_eq!(pair.one.stream("r", &next).await.status, 200);
    assert_eq!(pair.other.history("r").await, lines(0..6));
}

#[tokio::test]
async fn run_that_somebody_holds_is_answered_with_try_again_and_left_as_it_is() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.one.create_run("held").await;
    let mut holder = database::connect(&pair.url).await;
    holder
        .execute("BEGIN; SELECT id FROM runs FOR UPDATE")
        .await
        .expect("all runs are locked");
    assert_unavailable(&pair.one.stream("held", &body(0, &lines(0..2))).await);
    holder.execute("ROLLBACK").await.expect("unlocked");
    assert_eq!(pair.one.history("held").await, Vec::<String>::new());
    assert_eq!(
        pair.one.stream("held", &body(0, &lines(0..2))).await.status,
        200
    );
}

#[tokio::test]
async fn database_of_a_newer_server_is_left_alone_and_both_versions_are_named() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    database::connect(&pair.url)
        .await
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (9999, 'of the future', TRUE, '\\x00', 0)",
        )
        .await
        .expect("a newer schema");
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut config = ServerConfig::new(dir.path(), "me");
    config.port = 0;
    config.database_url = Some(pair.url.clone());
    let error = Server::start(config).await.expect_err("too new");
    assert!(
        matches!(
            error,
            ServerError::Database(StoreError::NewerSchema { found: 9999, .. })
        ),
        "{error}"
    );
    // Those that run go on: an upgrade adds, and takes away only what no older server needs.
    pair.one.create_run("r").await;
}

#[tokio::test]
async fn database_that_cannot_be_reached_is_named_without_its_password() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut config = ServerConfig::new(dir.path(), "me");
    config.port = 0;
    let url = "postgres://me:secret@host.invalid:1/runlane";
    config.database_url = Some(url.parse().expect("a URL"));
    let error = Server::start(config)
        .await
        .expect_err("nobody is there")
        .to_string();
    assert!(
        error.contains("me@host.invalid:1/runlane") && !error.contains("secret"),
        "{error}"
    );
}
