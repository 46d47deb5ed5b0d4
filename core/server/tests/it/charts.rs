//! Buckets against the plain computation.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a thousand steps fit any number"
)]

use serde_json::{Value, json};

use crate::support::TestServer;

/// One decoded series of an answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Series {
    pub(crate) flags: u32,
    pub(crate) total: u64,
    pub(crate) extent: (f64, f64),
    pub(crate) entries: Vec<(f64, f64, f64, f64, u32)>,
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("enough bytes");
        self.0 = rest;
        *head
    }

    fn f64(&mut self) -> f64 {
        f64::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

fn decode(bytes: &[u8]) -> Vec<Series> {
    let mut cursor = Cursor(bytes);
    assert_eq!(&cursor.take(), b"RLS1");
    let series = (0..cursor.u32())
        .map(|_| {
            let flags = cursor.u32();
            let total = u64::from_le_bytes(cursor.take());
            let extent = (cursor.f64(), cursor.f64());
            let (count, padding) = (cursor.u32(), cursor.u32());
            assert_eq!(padding, 0);
            let mut column = |_| (0..count).map(|_| cursor.f64()).collect::<Vec<_>>();
            let (x, min, max, mean) = (column(0), column(1), column(2), column(3));
            let counts: Vec<u32> = (0..count).map(|_| cursor.u32()).collect();
            // Header and entries have 36 bytes each.
            if count % 2 == 0 {
                assert_eq!(cursor.u32(), 0);
            }
            let entries = (0..count as usize)
                .map(|i| (x[i], min[i], max[i], mean[i], counts[i]))
                .collect();
            Series {
                flags,
                total,
                extent,
                entries,
            }
        })
        .collect();
    assert!(cursor.0.is_empty());
    series
}

pub(crate) async fn ask(server: &TestServer, body: Value) -> Vec<Series> {
    let answer = server.post("/api/charts/series", body.to_string()).await;
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.runlane.series"
    );
    decode(&answer.body)
}

fn value(step: usize) -> f64 {
    ((step * 7919) % 1000) as f64 / 10.0 - 30.0
}

/// A run of 1000 rows; every fifth value is NaN.
async fn example(server: &TestServer) {
    server.create_run("r").await;
    let lines: Vec<String> = (0..1000)
        .map(|step| match step % 5 {
            4 => format!(
                r#"{{"_step":{step},"_runtime":{},"m":{{"v":NaN}}}}"#,
                step as f64 / 4.0
            ),
            _ => format!(
                r#"{{"_step":{step},"_runtime":{},"m":{{"v":{}}}}}"#,
                step as f64 / 4.0,
                value(step)
            ),
        })
        .collect();
    for (index, part) in lines.chunks(90).enumerate() {
        server.send_history("r", index * 90, part).await;
    }
}

/// The buckets that the definition gives.
fn plain(low: usize, high: usize, buckets: usize) -> Vec<(f64, f64, f64, f64, u32)> {
    let width = (high - low) as f64 / buckets as f64;
    let mut found: Vec<Vec<usize>> = vec![Vec::new(); buckets];
    for step in low..=high {
        let bucket = (((step - low) as f64 / width) as usize).min(buckets - 1);
        found[bucket].push(step);
    }
    found
        .into_iter()
        .filter(|steps| !steps.is_empty())
        .map(|steps| {
            let values: Vec<f64> = steps
                .iter()
                .filter(|step| *step % 5 != 4)
                .map(|step| value(*step))
                .collect();
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (steps[0] as f64, min, max, mean, steps.len() as u32)
        })
        .collect()
}

fn assert_close(found: &[(f64, f64, f64, f64, u32)], expected: &[(f64, f64, f64, f64, u32)]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let exact = |entry: &(f64, f64, f64, f64, u32)| (entry.0, entry.1, entry.2, entry.4);
        assert_eq!(exact(found), exact(expected));
        assert!(
            (found.3 - expected.3).abs() < 1e-9,
            "{found:?} {expected:?}"
        );
    }
}

#[tokio::test]
async fn buckets_are_exact_before_and_after_compaction() {
    let server = TestServer::start().await;
    example(&server).await;
    let series = json!([{"run": "me/p/r", "key": "m.v"}]);
    for compacted in [false, true] {
        if compacted {
            assert!(server.server.upkeep_now().await.expect("upkeep works").1 > 0);
        }
        for (range, low, high, buckets) in [
            (Value::Null, 0, 999, 100),
            (json!([100, 499]), 100, 499, 37),
            (json!([0, 998]), 0, 998, 7),
        ] {
            let answer = ask(
                &server,
                json!({"x": "_step", "range": range, "buckets": buckets, "series": series}),
            )
            .await;
            let [found] = &answer[..] else {
                panic!("one series")
            };
            assert_eq!(
                (found.flags, found.total, found.extent),
                (0, 1000, (0.0, 999.0))
            );
            assert_close(&found.entries, &plain(low, high, buckets));
        }
    }
}

#[tokio::test]
async fn few_points_come_one_by_one_over_any_axis() {
    let server = TestServer::start().await;
    example(&server).await;
    server.server.upkeep_now().await.expect("upkeep works");
    server
        .send_history(
            "r",
            1000,
            &[r#"{"_step":1000,"_runtime":250.0,"m":{"v":5}}"#],
        )
        .await;
    let body = json!({"x": "_runtime", "range": [249.25, 250], "buckets": 10, "series": [{"run": "me/p/r", "key": "m.v"}]});
    let answer = ask(&server, body).await;
    assert_eq!((answer[0].flags, answer[0].total), (1, 1001));
    let points: Vec<(f64, f64)> = answer[0]
        .entries
        .iter()
        .map(|entry| (entry.0, entry.3))
        .collect();
    assert_eq!(points[0], (249.25, value(997)));
    assert_eq!(points[1], (249.5, value(998)));
    assert!(points[2].1.is_nan());
    assert_eq!(points[3], (250.0, 5.0));
}

#[tokio::test]
async fn unknown_runs_and_keys_are_marked_and_bad_questions_refused() {
    let server = TestServer::start().await;
    example(&server).await;
    let series = json!([{"run": "me/p/gone", "key": "m.v"}, {"run": "me/p/r", "key": "gone"}]);
    for series in ask(&server, json!({"series": series})).await {
        assert_eq!((series.flags & 2, series.entries.len()), (2, 0));
    }
    let one = json!([{"run": "me/p/r", "key": "m.v"}]);
    for body in [
        json!({"series": one, "buckets": 0}),
        json!({"series": one, "buckets": 1_000_000}),
        json!({"series": one, "range": [2, 1]}),
        json!({"series": [{"run": "r", "key": "m.v"}]}),
        json!({"series": "x"}),
        json!({}),
    ] {
        let answer = server.post("/api/charts/series", body.to_string()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert_eq!(answer.json()["error"]["code"], "invalid");
    }
}
