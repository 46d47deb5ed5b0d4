//! The control service of a daemon over its socket: what it shows, what it does, and how it ends.

mod support;

use std::time::Duration;

use runlane_daemon::control::SERVICE_NAME;
use runlane_proto::control::{
    FlushLevel, FlushRequest, ListRunsRequest, RunState, ShutDownRequest, StatusRequest,
    StopRunRequest, TailRequest, UploadProgressRequest,
};
use support::{Client, Daemon, PATIENCE, call, control, health};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

fn tail_of(run: &str, last: u64, follow: bool) -> TailRequest {
    TailRequest {
        run: run.to_owned(),
        last,
        follow,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_and_its_runs_are_shown() {
    let daemon = Daemon::start().await;
    let mut control = control(&daemon).await;
    let status = control.status(StatusRequest {}).await.expect("answered");
    let status = status.into_inner();
    assert_eq!(
        (status.pid, status.connections, status.runs),
        (std::process::id(), 0, 0)
    );
    assert!(status.resident_bytes > 1 << 20 && status.uptime_secs > 0.0);
    let runs = [daemon.run_directory("one"), daemon.run_directory("two")];
    let mut client = Client::connect(&daemon).await;
    let mut streams = Vec::new();
    for (writer, run) in (7..).zip(&runs) {
        streams.push(client.open(run, writer, false).await.stream);
    }
    client
        .batch(streams[0], 1, vec![call(&[("loss", 0.5)], None)])
        .await;
    client.wait_logged(streams[0], 1).await;
    client.finish(streams[1], 0).await;

    let listed = control
        .list_runs(ListRunsRequest {})
        .await
        .expect("answered");
    let listed = listed.into_inner().run;
    assert_eq!(listed.len(), 2);
    let (one, two) = (&listed[0], &listed[1]);
    assert_eq!(
        (one.run_id.as_str(), one.project.as_str(), one.rows),
        ("one", "p", 1)
    );
    assert_eq!(one.log, runs[0].log().display().to_string());
    assert_eq!(
        (one.state(), one.offline, one.ended, one.complete),
        (RunState::Running, true, false, false)
    );
    assert_eq!(one.writer.len(), 1);
    assert!(one.writer[0].connected && one.writer[0].logged_seq == 1);
    assert_eq!((two.state(), two.ended), (RunState::Done, true));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_the_last_rows_and_new_ones_until_the_end() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    let stream = client.open(&run, 7, false).await.stream;
    let rows = |range: std::ops::Range<u32>| {
        range
            .map(|number| call(&[("x", f64::from(number))], None))
            .collect::<Vec<_>>()
    };
    client.batch(stream, 1, rows(0..500)).await;
    client.wait_logged(stream, 500).await;

    let mut control = control(&daemon).await;
    let tail = control.tail(tail_of("abc", 3, true)).await.expect("found");
    let mut tail = tail.into_inner();
    let first = tail.message().await.expect("rows").expect("rows");
    let steps: Vec<i64> = first.row.iter().map(|row| row.step).collect();
    assert_eq!(steps, [497, 498, 499]);
    assert_eq!(first.row[0].writer, 7);
    let value: serde_json::Value = serde_json::from_str(&first.row[2].json).expect("JSON");
    assert_eq!((&value["x"], &value["_step"]), (&499.0.into(), &499.into()));

    client.batch(stream, 501, rows(500..503)).await;
    let mut steps = Vec::new();
    while steps.len() < 3 {
        let reply = tail.message().await.expect("rows").expect("rows");
        steps.extend(reply.row.iter().map(|row| row.step));
    }
    assert_eq!(steps, [500, 501, 502]);
    client.finish(stream, 3).await;
    let last = tail.message().await.expect("an end").expect("an end");
    assert_eq!((last.ended, last.exit_code), (true, Some(3)));
    assert_eq!(tail.message().await.expect("the end"), None);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_does_not_follow_ends_and_may_show_everything() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    let stream = client.open(&run, 7, false).await.stream;
    // 20 MB of rows: more than the windows of a connection hold, so that the reader is slower than the log.
    let long = "v".repeat(100);
    let entries: Vec<_> = (0..50)
        .map(|number| {
            let names: Vec<String> = (0..100).map(|name| format!("{long}{name}")).collect();
            let items: Vec<(&str, f64)> = names
                .iter()
                .map(|name| (name.as_str(), f64::from(number)))
                .collect();
            call(&items, None)
        })
        .collect();
    let mut seq = 1;
    for _ in 0..20 {
        client.batch(stream, seq, entries.clone()).await;
        seq += entries.len() as u64;
    }
    client.wait_logged(stream, seq - 1).await;
    let place = run.log().display().to_string();
    let mut control = control(&daemon).await;
    let tail = control.tail(tail_of(&place, u64::MAX, false)).await;
    let mut tail = tail.expect("found by its log").into_inner();
    // Nobody reads the tail: the run goes on, and so do other calls of the same connection.
    client.batch(stream, seq, entries.clone()).await;
    client.wait_logged(stream, seq).await;
    control.status(StatusRequest {}).await.expect("answered");
    let mut rows = 0;
    while let Some(reply) = tail.message().await.expect("rows") {
        assert!(!reply.ended && reply.row.len() <= 256);
        rows += reply.row.len();
    }
    assert!(rows >= 1_000, "{rows}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_says_whether_its_level_was_reached() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    let stream = client.open(&run, 7, false).await.stream;
    client
        .batch(stream, 1, vec![call(&[("x", 1.0)], None)])
        .await;
    client.wait_logged(stream, 1).await;
    let mut control = control(&daemon).await;
    let request = |level: FlushLevel, timeout_secs| FlushRequest {
        run: String::new(),
        level: level.into(),
        timeout_secs,
    };
    for level in [FlushLevel::Logged, FlushLevel::Synced] {
        let reply = control.flush(request(level, 0.0)).await.expect("answered");
        assert!(reply.into_inner().reached, "{level:?}");
    }
    // An offline run is never uploaded.
    let reply = control.flush(request(FlushLevel::Uploaded, 0.05)).await;
    let reply = reply.expect("answered").into_inner();
    assert!(!reply.reached);
    assert_eq!(reply.behind[0].run_id, "abc");
    let refused = control.flush(request(FlushLevel::Unspecified, 0.0)).await;
    assert_eq!(refused.expect_err("no level").code(), Code::InvalidArgument);
    let refused = control.flush(request(FlushLevel::Logged, f64::NAN)).await;
    assert_eq!(refused.expect_err("no time").code(), Code::InvalidArgument);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_of_a_run_is_asked_to_stop() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut first = Client::connect(&daemon).await;
    let mut second = Client::connect(&daemon).await;
    first.open(&run, 7, false).await;
    second.open(&run, 8, true).await;
    let mut control = control(&daemon).await;
    let request = StopRunRequest {
        run: "p/abc".to_owned(),
    };
    let reply = control.stop_run(request).await.expect("found");
    assert_eq!(reply.into_inner().processes, 2);
    for client in [&mut first, &mut second] {
        client.wait_stop().await;
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_means_no_run_or_several_is_an_error_that_helps() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    client.open(&run, 7, false).await;
    let mut control = control(&daemon).await;
    let error = control.tail(tail_of("nope\u{1b}", 1, false)).await;
    let error = error.expect_err("unknown");
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(
        error.message(),
        "no open run `nope\\u{1b}`; open are `p/abc`"
    );
    let other = daemon.run_directory_in("elsewhere", "abc");
    client.open(&other, 8, false).await;
    let error = control.tail(tail_of("abc", 1, false)).await;
    let error = error.expect_err("two of them");
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("elsewhere"), "{}", error.message());
    let nameless = control.tail(tail_of("", 1, false)).await;
    assert_eq!(nameless.expect_err("none").code(), Code::InvalidArgument);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ends_with_the_last_run() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    let stream = client.open(&run, 7, false).await.stream;
    let mut control = control(&daemon).await;
    let request = UploadProgressRequest {
        run: "abc".to_owned(),
        interval_secs: 0.1,
    };
    let progress = control.upload_progress(request).await.expect("found");
    let mut progress = progress.into_inner();
    let first = progress.message().await.expect("open").expect("a state");
    assert_eq!(first.run[0].state(), RunState::Running);
    client.finish(stream, 0).await;
    let mut last = first;
    while let Some(next) = progress.message().await.expect("states") {
        last = next;
    }
    assert!(last.run.iter().all(|run| run.state() == RunState::Done));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_served_and_watched_until_the_end() {
    let daemon = Daemon::start().await;
    let mut health = health(&daemon).await;
    for service in ["", SERVICE_NAME] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let reply = health.check(request).await.expect("known");
        assert_eq!(reply.into_inner().status(), ServingStatus::Serving);
    }
    let request = HealthCheckRequest {
        service: "nothing".to_owned(),
    };
    let unknown = health.check(request).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    let watch = health.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.expect("known").into_inner();
    let state = watch.message().await.expect("a state").expect("a state");
    assert_eq!(state.status(), ServingStatus::Serving);
    let ended = tokio::spawn(daemon.stop());
    let state = watch.message().await.expect("a state").expect("a state");
    assert_eq!(state.status(), ServingStatus::NotServing);
    ended.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_says_what_is_unfinished_and_takes_the_sockets_away() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    let stream = client.open(&run, 7, false).await.stream;
    client
        .batch(stream, 1, vec![call(&[("x", 1.0)], None)])
        .await;
    client.wait_logged(stream, 1).await;
    let mut control = control(&daemon).await;
    let reply = control
        .shut_down(ShutDownRequest {})
        .await
        .expect("answered");
    let reply = reply.into_inner();
    assert_eq!(reply.pid, std::process::id());
    assert_eq!(reply.unfinished[0].run_id, "abc");
    let sockets = [daemon.socket(), daemon.control_socket()];
    daemon.ended().await;
    for socket in sockets {
        assert!(!socket.exists(), "{}", socket.display());
    }
    let records = support::records_of(&run.log());
    assert_eq!(support::history_of(&records, "x").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_socket_is_replaced_and_one_that_cannot_be_bound_costs_the_service_only() {
    let base = tempfile::tempdir().expect("a directory");
    let directory = base.path().join("runtime");
    runlane_daemon::socket::listener::prepare_directory(&directory).expect("created");
    let path = directory.join(runlane_daemon::control::SOCKET_NAME);
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "stale");
    let daemon = Daemon::start_in(&directory).await;
    let mut client = control(&daemon).await;
    client.status(StatusRequest {}).await.expect("answered");
    daemon.stop().await;

    std::fs::create_dir_all(path.join("in the way")).expect("created");
    let daemon = Daemon::start_in(&directory).await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    assert_eq!(client.open(&run, 7, false).await.error, None);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_connection_does_not_keep_an_idle_daemon() {
    let daemon = Daemon::start_with_idle(Duration::from_millis(300)).await;
    let mut control = control(&daemon).await;
    control.status(StatusRequest {}).await.expect("answered");
    let sockets = [daemon.socket(), daemon.control_socket()];
    tokio::time::timeout(PATIENCE, daemon.ended())
        .await
        .expect("it ends");
    assert!(sockets.iter().all(|socket| !socket.exists()));
    control
        .status(StatusRequest {})
        .await
        .expect_err("nobody is there");
}
