//! The daemon over its real socket, with a minimal client: log, acknowledge, repeat, reconnect, die.

mod support;

use prost::Message;
use runlane_proto::local;
use runlane_proto::wandb_internal::record::RecordType;
use support::{Client, Daemon, call, history_of, records_of};

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_run_is_logged_acknowledged_and_finished() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    let reply = client.open(&run, 7, false).await;
    assert_eq!(
        (reply.logged_seq, reply.detached, reply.error),
        (0, false, None)
    );
    client
        .batch(
            reply.stream,
            1,
            vec![call(&[("loss", 0.5)], None), call(&[("loss", 0.25)], None)],
        )
        .await;
    client.wait_logged(reply.stream, 2).await;
    // The same entries again, and one more: applied once.
    client
        .batch(
            reply.stream,
            1,
            vec![
                call(&[("loss", 0.5)], None),
                call(&[("loss", 0.25)], None),
                call(&[("loss", 0.125)], Some(9)),
            ],
        )
        .await;
    client.wait_logged(reply.stream, 3).await;
    assert!(run.pending().exists(), "the open row is kept");
    let json = client.summary(reply.stream).await;
    assert!(json.contains("\"loss\":0.25"), "{json}");
    let progress = client.finish(reply.stream, 3).await;
    assert!(progress.done && progress.complete, "{progress:?}");
    assert_eq!(progress.rows_total, 3);
    assert!(!run.pending().exists());

    let records = records_of(&run.log());
    assert_eq!(
        history_of(&records, "loss"),
        [(0, "0.5"), (1, "0.25"), (9, "0.125")].map(support::owned)
    );
    assert!(matches!(
        records[0].record_type,
        Some(RecordType::Header(_))
    ));
    assert!(matches!(records[1].record_type, Some(RecordType::Run(_))));
    let Some(RecordType::Exit(exit)) = &records[records.len() - 1].record_type else {
        panic!("exit last")
    };
    assert_eq!(exit.exit_code, 3);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_row_survives_the_daemon() {
    let first = Daemon::start().await;
    let run = first.run_directory("abc");
    let mut client = Client::connect(&first).await;
    let reply = client.open(&run, 7, false).await;
    let entries = vec![call(&[("a", 1.0)], Some(4)), call(&[("b", 2.0)], Some(4))];
    client.batch(reply.stream, 1, entries.clone()).await;
    client.wait_logged(reply.stream, 2).await;
    first.kill().await;

    let second = Daemon::start().await;
    let mut client = Client::connect(&second).await;
    let reply = client.open(&run, 7, true).await;
    assert_eq!((reply.error, reply.logged_seq), (None, 2));
    client.batch(reply.stream, 1, entries).await;
    client
        .batch(reply.stream, 3, vec![call(&[("a", 3.0)], Some(5))])
        .await;
    client.wait_logged(reply.stream, 3).await;
    client.finish(reply.stream, 0).await;
    let records = records_of(&run.log());
    assert_eq!(
        history_of(&records, "a"),
        [(4, "1.0"), (5, "3.0")].map(support::owned)
    );
    assert_eq!(history_of(&records, "b"), [(4, "2.0")].map(support::owned));
    let numbers: Vec<i64> = records.iter().map(|record| record.num).collect();
    assert_eq!(
        numbers,
        (1..=i64::try_from(records.len()).expect("few")).collect::<Vec<_>>()
    );
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_beside_a_dead_run_are_absorbed_by_sync() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    let mut client = Client::connect(&daemon).await;
    let reply = client.open(&run, 7, false).await;
    client
        .batch(reply.stream, 1, vec![call(&[("a", 1.0)], Some(4))])
        .await;
    client.wait_logged(reply.stream, 1).await;
    daemon.kill().await;
    run.spill(
        7,
        2,
        &[call(&[("a", 2.0)], Some(5)), call(&[("a", 3.0)], None)],
    );

    // No server: the upload fails, what lay beside the log is in it all the same.
    let request = runlane_daemon::sync::Request {
        base_url: "http://127.0.0.1:9".to_owned(),
        logs: vec![run.log()],
        ..Default::default()
    };
    let (sender, mut progress) = tokio::sync::mpsc::channel(64);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let work = tokio::spawn(runlane_daemon::sync::run(request, sender, stopped));
    assert!(progress.recv().await.is_some());
    stop.send_replace(true);
    while progress.recv().await.is_some() {}
    assert_eq!(work.await.expect("no panic").failed, 1);
    let records = records_of(&run.log());
    assert_eq!(
        history_of(&records, "a"),
        [(4, "1.0"), (5, "3.0")].map(support::owned)
    );
    assert!(!run.pending().exists() && !run.spill_path(7).exists());
    assert!(
        !records
            .iter()
            .any(|record| matches!(record.record_type, Some(RecordType::Exit(_))))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_costs_one_connection_only() {
    let daemon = Daemon::start().await;
    let run = daemon.run_directory("abc");
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[0x52, 0, 0, 0, 0],
        &[0x52, 3, 0, 0, 0, 0xff, 0xff, 0xff],
    ] {
        let mut client = Client::connect(&daemon).await;
        client.send_bytes(bytes).await;
        assert!(client.is_closed().await);
    }
    let mut client = Client::connect(&daemon).await;
    let mut settings = run.settings();
    settings.run_id = "../x".to_owned();
    let reply = client.open_with(settings, 7, false).await;
    assert!(
        reply
            .error
            .expect("refused")
            .message
            .contains("invalid run id")
    );
    let reply = client.open(&run, 7, true).await;
    assert!(
        reply
            .error
            .expect("no such run")
            .message
            .contains("cannot open transaction log")
    );
    let reply = client.open(&run, 7, false).await;
    // A gap in the numbers is an error of the protocol; nothing behind it is applied.
    client
        .batch(reply.stream, 5, vec![call(&[("a", 1.0)], None)])
        .await;
    assert!(client.is_closed().await);
    let mut client = Client::connect(&daemon).await;
    let reply = client.open(&run, 7, true).await;
    assert_eq!((reply.error, reply.logged_seq), (None, 0));
    daemon.stop().await;
}

/// 7.3: an attach to a missing run fails; the run can be opened at once, however its actor and the next request meet.
#[tokio::test(flavor = "multi_thread")]
async fn p73_a_run_opens_right_behind_a_failed_attach() {
    let daemon = Daemon::start().await;
    let mut client = Client::connect(&daemon).await;
    for number in 0..200 {
        let run = daemon.run_directory(&format!("r{number}"));
        let reply = client.open(&run, 7, true).await;
        assert!(reply.error.is_some(), "there is no such run");
        let reply = client.open(&run, 7, false).await;
        assert_eq!(reply.error, None, "try {number}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_daemon_takes_its_socket_away() {
    let daemon = Daemon::start_with_idle(std::time::Duration::from_millis(20)).await;
    let socket = daemon.socket();
    daemon.ended().await;
    assert!(!socket.exists());
}

#[test]
fn the_batch_field_is_where_the_fast_path_looks_for_it() {
    let message = local::ClientMessage {
        message: Some(local::client_message::Message::Batch(local::Batch {
            stream: 1,
            ..Default::default()
        })),
    };
    assert_eq!(message.encode_to_vec()[0], 3 << 3 | 2);
}
