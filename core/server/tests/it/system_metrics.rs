//! System metrics: series, keys, rows and last values, before and after they are moved into objects.

use serde_json::{Value, json};

use crate::charts::{Series, ask};
use crate::support::TestServer;

/// A sample every 15 s of a counter that starts anew at the sample 50, beside a gauge.
fn sample(index: usize) -> String {
    let counted = if index < 50 {
        index * 30
    } else {
        (index - 50) * 60
    };
    let time = index * 15;
    format!(
        r#"{{"_wandb":true,"_timestamp":{},"_runtime":{time},"system.network.sent":{counted},"system.gpu.0.temp/l:node-1":{}}}"#,
        1_800_000_000 + time,
        40 + index % 7,
    )
}

/// Samples of another resource of the host, into rows of their own.
fn memory(index: usize) -> String {
    format!(
        r#"{{"_timestamp":{},"_runtime":{},"system.memory_percent":{}}}"#,
        1_800_000_000 + index,
        index,
        index % 100
    )
}

async fn example(server: &TestServer) {
    server.create_run("r").await;
    server
        .send_history(
            "r",
            0,
            &[r#"{"_step":0,"_runtime":1,"system.memory_percent":7}"#],
        )
        .await;
    let lines: Vec<String> = (0..200).map(sample).collect();
    for (part, lines) in lines.chunks(40).enumerate() {
        server.send_events("r", part * 40, lines).await;
    }
}

fn events(key: &str) -> Value {
    json!({"run": "me/p/r", "key": key, "stream": "events"})
}

fn points(series: &Series) -> Vec<(f64, f64)> {
    series
        .entries
        .iter()
        .map(|entry| (entry.0, entry.3))
        .collect()
}

#[tokio::test]
async fn series_of_events_are_exact_before_and_after_compaction() {
    let server = TestServer::start().await;
    example(&server).await;
    for compacted in [false, true] {
        if compacted {
            assert_eq!(server.server.upkeep_now().await.expect("upkeep works").1, 1);
        }
        let temperature = events("system.gpu.0.temp/l:node-1");
        let answer = ask(
            &server,
            json!({"x": "_runtime", "range": [15, 60], "series": [temperature, events("gone")]}),
        )
        .await;
        assert_eq!((answer[0].flags, answer[0].total), (1, 200));
        assert_eq!(answer[0].extent, (0.0, 2985.0));
        assert_eq!(
            points(&answer[0]),
            [(15.0, 41.0), (30.0, 42.0), (45.0, 43.0), (60.0, 44.0)]
        );
        assert_eq!(answer[1].flags & 2, 2);
        let buckets = ask(
            &server,
            json!({"x": "_timestamp", "buckets": 2, "series": [temperature]}),
        )
        .await;
        let [first, second] = &buckets[0].entries[..] else {
            panic!("two buckets")
        };
        assert_eq!((first.0, first.1, first.2), (1_800_000_000.0, 40.0, 46.0));
        assert_eq!((second.4, second.0), (100, 1_800_000_000.0 + 1_500.0));
        let mean = (0..100).map(|index| f64::from(40 + index % 7)).sum::<f64>() / 100.0;
        assert!((first.3 - mean).abs() < 1e-9);
    }
}

#[tokio::test]
async fn rates_of_counters_are_per_second_and_leave_out_restarts() {
    let server = TestServer::start().await;
    example(&server).await;
    server.server.upkeep_now().await.expect("upkeep works");
    server.send_events("r", 200, &[sample(200)]).await;
    let mut counter = events("system.network.sent");
    counter["rate"] = json!(true);
    let answer = ask(&server, json!({"x": "_runtime", "series": [counter]})).await;
    let rates = points(&answer[0]);
    // 201 samples have 200 differences, one of which spans the restart.
    assert_eq!((answer[0].total, rates.len()), (199, 199));
    assert_eq!(rates[0], (15.0, 2.0));
    assert_eq!(rates[48], (735.0, 2.0));
    assert_eq!(rates[49], (765.0, 4.0));
    assert_eq!(rates[198], (3000.0, 4.0));
}

#[tokio::test]
async fn history_and_events_of_one_key_are_apart() {
    let server = TestServer::start().await;
    example(&server).await;
    let key = "system.memory_percent";
    server.send_events("r", 200, &[memory(41)]).await;
    let both = json!([{"run": "me/p/r", "key": r"system\.memory_percent"}, events(key)]);
    let answer = ask(&server, json!({"x": "_runtime", "series": both})).await;
    assert_eq!(points(&answer[0]), [(1.0, 7.0)]);
    assert_eq!(points(&answer[1]), [(41.0, 41.0)]);
    let bad = json!({"series": [{"run": "me/p/r", "key": key, "stream": "output"}]});
    let answer = server.post("/api/charts/series", bad.to_string()).await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn keys_and_last_values_cover_all_resources_of_a_host() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let none = server.run("r", "systemMetricKeys systemMetrics").await;
    assert_eq!(none, json!({"systemMetricKeys": [], "systemMetrics": "{}"}));
    example(&server).await;
    for compacted in [false, true] {
        if compacted {
            server.server.upkeep_now().await.expect("upkeep works");
        } else {
            server.send_events("r", 200, &[memory(41)]).await;
        }
        let run = server
            .run(
                "r",
                "systemMetricKeys systemMetrics eventsLineCount eventsTail",
            )
            .await;
        assert_eq!(
            run["systemMetricKeys"],
            json!([
                "system.gpu.0.temp/l:node-1",
                "system.memory_percent",
                "system.network.sent"
            ])
        );
        let last: Value = serde_json::from_str(run["systemMetrics"].as_str().expect("text"))
            .expect("a JSON object");
        assert_eq!(
            last,
            json!({
                "system.gpu.0.temp/l:node-1": 43,
                "system.memory_percent": 41,
                "system.network.sent": 8940
            })
        );
        assert_eq!(run["eventsLineCount"], 201);
        let tail: Vec<String> = serde_json::from_str(run["eventsTail"].as_str().expect("text"))
            .expect("a list of texts");
        assert_eq!(tail.len(), 1);
        assert!(tail[0].contains("system.memory_percent"), "{tail:?}");
    }
}

#[tokio::test]
async fn rows_with_many_keys_are_moved_by_their_bytes() {
    let server = TestServer::start_in(tempfile::tempdir().expect("directory"), |config| {
        config.compact_lines = 1_000_000;
    })
    .await;
    server.create_run("r").await;
    let wide = |index: usize| {
        let keys: Vec<String> = (0..4_000)
            .map(|key| {
                format!(
                    r#""system.openmetrics.node.metric_{key}.0":{}"#,
                    index + key
                )
            })
            .collect();
        format!(r#"{{"_runtime":{index},{}}}"#, keys.join(","))
    };
    let mut offset = 0;
    let mut bytes = 0;
    while bytes < 33 << 20 {
        let lines: Vec<String> = (offset..offset + 20).map(wide).collect();
        bytes += lines.iter().map(String::len).sum::<usize>();
        server.send_events("r", offset, &lines).await;
        offset += 20;
    }
    assert_eq!(server.server.upkeep_now().await.expect("upkeep works").1, 1);
    assert_eq!(server.server.upkeep_now().await.expect("upkeep works").1, 0);
    let key = "system.openmetrics.node.metric_7.0";
    let answer = ask(
        &server,
        json!({"x": "_runtime", "buckets": 10_000, "series": [events(key)]}),
    )
    .await;
    assert_eq!(answer[0].total, offset as u64);
    assert!(
        points(&answer[0])
            .iter()
            .all(|(x, y)| (y - x - 7.0).abs() < 1e-9)
    );
}

#[tokio::test]
async fn sampled_events_and_their_ends_come_from_objects_and_tail() {
    let server = TestServer::start().await;
    example(&server).await;
    server.server.upkeep_now().await.expect("upkeep works");
    server.send_events("r", 200, &[sample(200)]).await;
    let rows = server.run("r", "events(samples: 3)").await["events"].clone();
    let rows: Vec<String> = serde_json::from_value(rows).expect("texts");
    let runtimes: Vec<i64> = rows
        .iter()
        .map(|row| {
            let row: Value = serde_json::from_str(row).expect("JSON");
            row["_runtime"].as_i64().expect("a number")
        })
        .collect();
    assert_eq!(runtimes, [0, 1500, 3000]);
}
