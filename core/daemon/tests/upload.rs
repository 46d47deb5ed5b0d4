//! Uploads against a server that fails in all the ways servers do: every row arrives once, whatever happens.

#[path = "upload/server.rs"]
mod server;

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::sync::Arc;

use runlane_daemon::sync::{State, Summary};
use serde_json::json;
use tokio::task::JoinSet;

use self::server::{Fault, Put, Server, Way, cutting_proxy, log_of, marker, sync, sync_with};

/// One line of the table of faults (`tools/fault_table.py`).
fn record(id: &str, fault: &str, bound: &str, worst: &str, trials: usize) {
    let Some(directory) = std::env::var_os("RUNLANE_FAULT_TABLE") else {
        return;
    };
    let name = format!("{}-uploads.jsonl", std::process::id());
    let line = json!({"id": id, "fault": fault, "bound": bound, "worst": worst, "trials": trials});
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(std::path::Path::new(&directory).join(name))
        .expect("the table's directory");
    writeln!(file, "{line}").expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_arrives_once_through_faults() {
    let faults = [
        Fault::RetryAfter(429),
        Fault::Status(500),
        Fault::LostAnswer,
        Fault::Status(503),
    ];
    let (server, url) = Server::start(&faults, true).await;
    let log = log_of(1_000, Some(0));
    let (summary, told) = sync(&url, &log.path).await;
    assert_eq!(
        summary,
        Summary {
            synced: 1,
            failed: 0,
            partial: 0
        },
        "{told:?}"
    );
    let last = told.last().expect("told");
    assert_eq!(
        (last.state, last.rows, last.run_path.as_deref()),
        (State::Done, 1_000, Some("ent/proj/abc"))
    );
    assert_eq!(last.bytes, last.total_bytes);
    let seen = server.seen.lock().expect("unpoisoned");
    assert_eq!(seen.history.len(), 1_000);
    assert_eq!(seen.history[3], r#"{"loss":3.5,"a":{"b":NaN},"_step":3}"#);
    assert_eq!(seen.output.len(), 2);
    assert_eq!(seen.end, Some(json!({"exitcode": 0, "runlane": null})));
    // Our log has no summary records: the values follow from the rows.
    let document = seen.summary.as_ref().expect("sent");
    assert_eq!(
        (&document["loss"], &document["_step"]),
        (&json!(999.5), &json!(999))
    );
    let mut files = seen.files.clone();
    files.sort();
    assert_eq!(files, ["config.yaml", "note.txt", "wandb-summary.json"]);
    // Named again where the answer was lost.
    let named: std::collections::BTreeSet<&String> = seen.uploaded.iter().collect();
    assert_eq!(named.len(), 3);
    assert_eq!(seen.upserts[0]["tags"], json!(["new"]));
    assert!(
        seen.keys
            .iter()
            .all(|key| key == "Basic YXBpOmxvY2FsLWtleQ==")
    );
    assert!(marker(&log).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_an_end_is_a_death() {
    let (server, url) = Server::start(&[], true).await;
    let log = log_of(5, None);
    let (summary, _told) = sync(&url, &log.path).await;
    assert_eq!(summary.synced, 1);
    let end = server.seen.lock().expect("unpoisoned").end.clone();
    assert_eq!(
        end,
        Some(json!({"exitcode": 1, "runlane": {"trainer_died": true}}))
    );

    let (server, url) = Server::start(&[], false).await;
    sync(&url, &log.path).await;
    let end = server.seen.lock().expect("unpoisoned").end.clone();
    assert_eq!(end, Some(json!({"exitcode": 1, "runlane": null})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_fails_with_the_server_s_words_and_the_next_sync_goes_on() {
    // The heartbeat that asks whether it is the content is refused as well.
    let faults = [Fault::Status(404), Fault::Status(404)];
    let (server, url) = Server::start(&faults, true).await;
    let log = log_of(10, Some(2));
    let (summary, told) = sync(&url, &log.path).await;
    assert_eq!(summary.failed, 1);
    assert!(
        told.last()
            .expect("told")
            .error
            .as_deref()
            .is_some_and(|error| error.contains("status 404: no"))
    );
    assert!(!marker(&log).exists());
    let (summary, _told) = sync(&url, &log.path).await;
    assert_eq!(summary.synced, 1);
    let (again, _told) = sync(&url, &log.path).await;
    assert_eq!(again.synced, 1);
    let seen = server.seen.lock().expect("unpoisoned");
    assert_eq!(seen.history.len(), 10);
    assert_eq!(seen.end.as_ref().expect("ended")["exitcode"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_log_is_stored_as_far_as_it_goes_and_not_marked() {
    let (server, url) = Server::start(&[], true).await;
    let log = log_of(50, Some(0));
    let bytes = std::fs::read(&log.path).expect("readable");
    std::fs::write(&log.path, &bytes[..bytes.len() - 3]).expect("cut");
    let (summary, _told) = sync(&url, &log.path).await;
    assert_eq!(summary.partial, 1);
    assert_eq!(server.seen.lock().expect("unpoisoned").history.len(), 50);
    assert!(!marker(&log).exists());
}

/// N2: the connection breaks after every so many bytes of the request, and of the response.
#[tokio::test(flavor = "multi_thread")]
async fn n2_an_exchange_cut_anywhere_stores_every_row_once() {
    const AT_A_TIME: usize = 24;
    let is_full = std::env::var("RUNLANE_FAULT_TRIALS").is_ok_and(|word| word == "full");
    let step = if is_full { 1 } else { 4 };
    let mut points: VecDeque<(Way, usize)> = (0..700)
        .step_by(step)
        .map(|at| (Way::Request, at))
        .chain((0..300).step_by(step).map(|at| (Way::Response, at)))
        .collect();
    let mut trials = JoinSet::new();
    let (mut cuts, mut tried) = (0, 0);
    while !points.is_empty() || !trials.is_empty() {
        while trials.len() < AT_A_TIME
            && let Some((way, at)) = points.pop_front()
        {
            trials.spawn(async move {
                let (server, url) = Server::start(&[], true).await;
                let (through, cut) = cutting_proxy(&url, way, at).await;
                let log = log_of(5, Some(0));
                let (summary, told) = sync(&through, &log.path).await;
                assert_eq!(summary.synced, 1, "{way:?} {at}: {told:?}");
                let seen = server.seen.lock().expect("unpoisoned");
                assert_eq!(seen.history.len(), 5, "{way:?} {at}");
                assert_eq!(seen.output.len(), 2, "{way:?} {at}");
                assert_eq!(seen.end.as_ref().expect("ended")["exitcode"], 0);
                usize::from(cut.lock().expect("unpoisoned").is_some())
            });
        }
        if let Some(trial) = trials.join_next().await {
            cuts += trial.expect("no panic");
            tried += 1;
        }
    }
    // A few points lie behind the end of the exchange.
    assert!(cuts >= 200, "{cuts} of {tried} were cut");
    record(
        "N2",
        "file_stream exchange cut after n bytes of request or response",
        "every row once",
        "0 rows missing, 0 twice",
        cuts,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn n7_a_refused_line_is_set_apart_and_sent_again_on_demand() {
    for ours in [true, false] {
        let (server, url) = Server::start(&[], ours).await;
        *server.poison.lock().expect("unpoisoned") = Some(r#"\"loss\":417.5"#);
        let log = log_of(1_000, Some(0));
        let (summary, told) = sync(&url, &log.path).await;
        assert_eq!((summary.partial, summary.synced), (1, 0), "{told:?}");
        let dead = log.directory.path().join("run-abc.wandb.runlane-dead");
        {
            let seen = server.seen.lock().expect("unpoisoned");
            assert_eq!(seen.history.len(), 1_000);
            assert_eq!(seen.history[417], r#"{"_step":417}"#);
            assert_eq!(
                seen.history[418],
                r#"{"loss":418.5,"a":{"b":NaN},"_step":418}"#
            );
            assert_eq!(seen.output.len(), 2);
            assert_eq!(seen.end.as_ref().expect("ended")["exitcode"], 0);
            assert!(seen.requests < 40, "{} requests", seen.requests);
        }
        let warnings: Vec<&String> = told
            .iter()
            .flat_map(|progress| &progress.warnings)
            .collect();
        let told_of = warnings
            .iter()
            .filter(|text| text.contains("that row is not acceptable"));
        assert_eq!(told_of.count(), 1, "{warnings:?}");
        let directory = log.directory.path().display().to_string();
        let command = format!("runlane sync --retry-quarantined {directory}");
        assert!(
            warnings.iter().any(|text| text.contains(&command)),
            "{warnings:?}"
        );
        assert!(!marker(&log).exists());
        let letter: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&dead).expect("there")).expect("one line");
        assert_eq!(
            letter,
            json!({"file": "wandb-history.jsonl", "line": 417, "status": 422,
                "reason": "status 422: that row is not acceptable",
                "text": r#"{"loss":417.5,"a":{"b":NaN},"_step":417}"#})
        );
        // Refused again: it stays.
        let (summary, _told) = sync_with(&url, &log.path, true).await;
        assert_eq!(summary.partial, 1);
        assert!(dead.exists());
        *server.poison.lock().expect("unpoisoned") = None;
        let (summary, told) = sync_with(&url, &log.path, true).await;
        assert_eq!(summary.synced, 1, "{told:?}");
        assert!(!dead.exists());
        assert!(marker(&log).exists());
        let seen = server.seen.lock().expect("unpoisoned");
        assert_eq!(seen.history.len(), 1_001);
        assert_eq!(
            seen.history[1_000],
            r#"{"loss":417.5,"a":{"b":NaN},"_step":417}"#
        );
    }
    record(
        "N7",
        "one row of 1,000 refused with 422",
        "found, kept apart, all others stored, sent again on demand",
        "999 of 999 others stored",
        2,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn n12_expired_urls_wrong_digests_and_redirects_end_in_the_right_bytes() {
    let (server, url) = Server::start(&[], true).await;
    let log = log_of(3, Some(0));
    let names = ["expired", "corrupt", "moved", "busy", "forbidden"];
    let items = names.map(|name| (name, format!("bytes of {name}")));
    for (name, text) in &items {
        std::fs::write(log.directory.path().join("files").join(name), text).expect("written");
    }
    log.append_files(&names);
    let answers = [
        ("expired", vec![Put::Status(403), Put::Digest]),
        ("corrupt", vec![Put::WrongDigest, Put::Digest]),
        ("moved", vec![Put::Redirect, Put::Digest]),
        ("busy", vec![Put::Status(503), Put::Digest]),
        ("forbidden", vec![Put::Status(403); 99]),
    ];
    *server.puts.lock().expect("unpoisoned") = answers
        .into_iter()
        .map(|(name, puts)| (name.to_owned(), VecDeque::from(puts)))
        .collect::<HashMap<_, _>>();
    let (summary, told) = sync(&url, &log.path).await;
    assert_eq!(summary.synced, 1, "{told:?}");
    let seen = server.seen.lock().expect("unpoisoned");
    for (name, text) in &items {
        let stored = seen
            .contents
            .get(*name)
            .map(|bytes| String::from_utf8_lossy(bytes));
        let expected = (*name != "forbidden").then_some(text.as_str());
        assert_eq!(stored.as_deref(), expected, "{name}");
    }
    let asked = seen.urls_asked.iter().flatten();
    assert!(asked.filter(|name| *name == "expired").count() >= 2);
    let warnings: Vec<&String> = told
        .iter()
        .flat_map(|progress| &progress.warnings)
        .collect();
    let given_up = "file `forbidden` not uploaded: status 403: Request has expired";
    assert!(
        warnings.iter().any(|text| *text == given_up),
        "{warnings:?}"
    );
    assert!(
        !format!("{told:?}").contains("c2VjcmV0"),
        "a signature was told"
    );
    record(
        "N12",
        "upload URL expired, moved; store busy; stored with another digest",
        "URL renewed, digest checked",
        "5 of 5 as they must be",
        5,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn n11_files_that_are_none_do_not_block_the_others() {
    let (server, url) = Server::start(&[], true).await;
    let log = log_of(3, Some(0));
    let files = log.directory.path().join("files");
    let fifo = std::process::Command::new("mkfifo")
        .arg(files.join("fifo"))
        .status();
    assert!(fifo.expect("mkfifo runs").success());
    std::fs::create_dir(files.join("directory")).expect("created");
    std::os::unix::fs::symlink("/dev/zero", files.join("device")).expect("linked");
    std::os::unix::fs::symlink(files.join("loop"), files.join("loop")).expect("linked");
    std::fs::write(files.join("good"), b"good").expect("written");
    log.append_files(&["fifo", "directory", "device", "loop", "missing", "good"]);
    let started = std::time::Instant::now();
    let (summary, told) = sync(&url, &log.path).await;
    assert_eq!(summary.synced, 1, "{told:?}");
    assert!(started.elapsed().as_secs() < 30);
    let warnings: Vec<&String> = told
        .iter()
        .flat_map(|progress| &progress.warnings)
        .collect();
    for name in ["fifo", "directory", "device", "loop", "missing"] {
        let text = format!("file `{name}` not uploaded");
        assert!(
            warnings.iter().any(|told| told.starts_with(&text)),
            "{name}: {warnings:?}"
        );
    }
    let seen = server.seen.lock().expect("unpoisoned");
    assert_eq!(seen.contents["good"], b"good");
    record(
        "N11",
        "FIFO, device, directory, dangling and missing in the place of files",
        "each reported, others uploaded, < 30 s",
        &format!("{:.1} s", started.elapsed().as_secs_f64()),
        5,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn n11_a_file_that_changes_all_the_time_is_stored_as_it_was_at_one_moment() {
    let (server, url) = Server::start(&[], true).await;
    let log = log_of(3, Some(0));
    let path = log.directory.path().join("files/changing");
    // Each version is of one byte throughout: a mixture of two would show.
    let version = |byte: u8| vec![byte; 3 << 20];
    std::fs::write(&path, version(b'a')).expect("written");
    log.append_files(&["changing"]);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writer = tokio::task::spawn_blocking(move || {
        for byte in (b'a'..=b'z').cycle() {
            if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
            // In place, as a careless program does it.
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .expect("there");
            file.write_all(&version(byte)).expect("written");
            std::thread::sleep(std::time::Duration::from_millis(40));
        }
    });
    let (summary, told) = sync(&url, &log.path).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.await.expect("no panic");
    assert_eq!(summary.synced, 1, "{told:?}");
    let seen = server.seen.lock().expect("unpoisoned");
    let is_named = seen.uploaded.iter().any(|name| name == "changing");
    let warned = told
        .iter()
        .flat_map(|progress| &progress.warnings)
        .any(|text| text.contains("the file changed while it was uploaded"));
    // Either a version that was measured as it was sent, or a report; never a silent mixture.
    assert!(is_named != warned, "named {is_named}, warned {warned}");
    assert_eq!(seen.history.len(), 3);
}
