//! The file stream against servers that answer, fail and forget.

use proptest::prelude::*;
use runlane_model::backoff::{Admission, HostGate};
use serde_json::Value;

use super::*;

fn body(stream: &mut FileStream, now: Instant) -> Value {
    assert_eq!(stream.next(now), Step::Due);
    serde_json::from_str(&stream.compose(now)).expect("JSON")
}

fn stream() -> FileStream {
    FileStream::new(
        Duration::from_secs(15),
        true,
        Offsets::default(),
        Offsets::default(),
    )
}

#[test]
fn the_first_request_goes_at_once_and_the_next_after_the_interval() {
    let start = Instant::now();
    let mut stream = stream();
    assert_eq!(body(&mut stream, start), serde_json::json!({}));
    assert_eq!(stream.next(start), Step::Busy);
    stream.succeeded(start, None);
    stream.push(Lines::History, "{\"a\":1}".to_owned());
    stream.set_summary("{}".to_owned());
    assert_eq!(
        stream.next(start),
        Step::Wait(start + Duration::from_secs(15))
    );
    let sent = body(&mut stream, start + Duration::from_secs(15));
    assert_eq!(
        sent,
        serde_json::json!({"files": {
            "wandb-history.jsonl": {"offset": 0, "content": ["{\"a\":1}"]},
            "wandb-summary.json": {"offset": 0, "content": ["{}"]},
        }})
    );
    stream.succeeded(start, None);
    assert_eq!(stream.next(start), Step::Wait(start + HEARTBEAT));
}

#[test]
fn a_failed_request_is_sent_again_with_the_same_offset() {
    let start = Instant::now();
    let mut stream = FileStream::new(
        Duration::from_secs(1),
        true,
        Offsets {
            history: 12,
            events: 3,
            output: 0,
        },
        Offsets {
            history: 1,
            ..Offsets::default()
        },
    );
    for line in ["known", "new"] {
        stream.push(Lines::History, line.to_owned());
    }
    let first = body(&mut stream, start);
    assert_eq!(
        first["files"]["wandb-history.jsonl"],
        serde_json::json!({"offset": 13, "content": ["new"]})
    );
    let at = stream.failed(start, 1.0, Some(Duration::from_secs(7)), None);
    assert!(at >= start + Duration::from_secs(7));
    assert_eq!(stream.next(start), Step::Wait(at));
    stream.push(Lines::History, "newer".to_owned());
    let again = body(&mut stream, at);
    let expected = serde_json::json!({"offset": 13, "content": ["new", "newer"]});
    assert_eq!(again["files"]["wandb-history.jsonl"], expected);
}

#[test]
fn the_end_comes_last_and_alone_completes() {
    let start = Instant::now();
    let mut stream = stream();
    stream.push(Lines::History, "x".repeat(REQUEST_BYTES - 1));
    stream.push(Lines::History, "yy".to_owned());
    assert!(!stream.has_room());
    stream.finish(End {
        exit_code: 1,
        trainer_died: true,
        changes_state: true,
    });
    let first = body(&mut stream, start);
    assert!(first.get("complete").is_none());
    stream.succeeded(start, None);
    let last = body(&mut stream, start);
    assert_eq!(
        (last["complete"].clone(), last["exitcode"].clone()),
        (true.into(), 1.into())
    );
    assert_eq!(last["runlane"]["trainer_died"], true);
    stream.succeeded(start, None);
    assert_eq!(stream.next(start), Step::Complete);
}

#[test]
fn rate_limits_slow_the_stream_down() {
    let start = Instant::now();
    let mut stream = stream();
    body(&mut stream, start);
    stream.succeeded(
        start,
        Some(RateLimit {
            remaining: 0.0,
            reset: 100.0,
        }),
    );
    stream.set_preempting();
    assert_eq!(
        stream.next(start),
        Step::Wait(start + Duration::from_secs(10))
    );
}

#[derive(Debug, Clone)]
enum Event {
    Push(u8),
    Sent(bool),
    LostAnswer,
    Later,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => any::<u8>().prop_map(Event::Push),
        3 => any::<bool>().prop_map(Event::Sent),
        1 => Just(Event::LostAnswer),
        1 => Just(Event::Later),
    ];
    prop::collection::vec(event, 0..120)
}

proptest! {
    /// A server that stores ranges ends with exactly the lines that were pushed, whatever fails on the way.
    #[test]
    fn every_line_is_stored_once_and_in_order(events in events()) {
        let mut now = Instant::now();
        let mut stream = stream();
        let mut pushed: Vec<String> = Vec::new();
        let mut server: Vec<String> = Vec::new();
        let store = |server: &mut Vec<String>, body: &str| {
            let body: Value = serde_json::from_str(body).expect("JSON");
            let Some(file) = body["files"].get("wandb-history.jsonl") else { return };
            let offset = usize::try_from(file["offset"].as_u64().expect("a number")).expect("small");
            assert!(offset <= server.len(), "a gap");
            for (index, line) in file["content"].as_array().expect("a list").iter().enumerate() {
                let line = line.as_str().expect("a string").to_owned();
                match server.get(offset + index) {
                    Some(stored) => assert_eq!(stored, &line),
                    None => server.push(line),
                }
            }
        };
        for event in events.into_iter().chain([Event::Later, Event::Sent(true), Event::Later, Event::Sent(true)]) {
            match event {
                Event::Push(byte) => {
                    let line = format!("{} {byte}", pushed.len());
                    stream.push(Lines::History, line.clone());
                    pushed.push(line);
                }
                Event::Later => now += Duration::from_hours(1),
                Event::Sent(arrives) => if stream.next(now) == Step::Due {
                    let body = stream.compose(now);
                    if arrives {
                        store(&mut server, &body);
                        stream.succeeded(now, None);
                    } else {
                        stream.failed(now, 0.5, None, None);
                    }
                },
                Event::LostAnswer => if stream.next(now) == Step::Due {
                    let body = stream.compose(now);
                    store(&mut server, &body);
                    stream.failed(now, 0.5, None, None);
                },
            }
        }
        prop_assert_eq!(&server, &pushed);
        prop_assert_eq!(stream.stored().history, pushed.len() as u64);
    }
}

/// A server that takes everything but what `is_bad` says, with a status that says nothing; returns what it stored, what
/// was quarantined, and how many requests it took. `None`: the stream gave the run up.
fn against(
    lines: &[String],
    is_bad: impl Fn(&str) -> bool,
) -> Option<(Vec<String>, Vec<Quarantined>, usize)> {
    let mut now = Instant::now();
    let mut stream = stream();
    for line in lines {
        stream.push(Lines::History, line.clone());
    }
    let mut server: Vec<String> = Vec::new();
    let mut quarantined = Vec::new();
    let mut requests = 0;
    while stream.waiting_lines() > 0 {
        match stream.next(now) {
            Step::Due => {}
            Step::Wait(at) => {
                now = at;
                continue;
            }
            other => panic!("{other:?}"),
        }
        let body: Value = serde_json::from_str(&stream.compose(now)).expect("JSON");
        requests += 1;
        assert!(requests < 10_000);
        let file = &body["files"]["wandb-history.jsonl"];
        let content: Vec<String> = file["content"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|line| line.as_str().expect("text").to_owned())
            .collect();
        if content.iter().any(|line| is_bad(line)) || is_bad("") {
            match stream.refused() {
                Refusal::Everything => return None,
                Refusal::Narrowed => {}
                Refusal::Unit(unit) => quarantined.push(unit),
            }
            continue;
        }
        if let Some(offset) = file["offset"].as_u64() {
            assert_eq!(usize::try_from(offset).expect("small"), server.len());
        }
        server.extend(content);
        stream.succeeded(now, None);
    }
    Some((server, quarantined, requests))
}

fn rows(count: usize) -> Vec<String> {
    (0..count)
        .map(|step| format!("{{\"x\":{step},\"_step\":{step}}}"))
        .collect()
}

#[test]
fn n7_one_refused_line_is_found_by_halving_and_the_rest_arrives() {
    let lines = rows(1_000);
    for bad in [0, 1, 499, 998, 999] {
        let is_bad = |line: &str| line == lines[bad];
        let (server, quarantined, requests) = against(&lines, is_bad).expect("the run goes on");
        let expected = Quarantined {
            file: "wandb-history.jsonl",
            line: Some(bad as u64),
            text: lines[bad].clone(),
        };
        assert_eq!(quarantined, [expected]);
        assert_eq!(server.len(), lines.len());
        for (line, (stored, sent)) in server.iter().zip(&lines).enumerate() {
            let placeholder = format!("{{\"_step\":{line}}}");
            assert_eq!(stored, if line == bad { &placeholder } else { sent });
        }
        assert!(
            requests <= 40,
            "{requests} requests for one of {}",
            lines.len()
        );
    }
}

#[test]
fn n7_a_server_that_refuses_everything_quarantines_nothing_or_little() {
    // Deleted run: the heartbeat is refused as well.
    assert_eq!(against(&rows(100), |_| true), None);
    // Every row is refused, heartbeats are not.
    assert_eq!(against(&rows(100), |line| !line.is_empty()), None);
    let is_row = |line: &str| line.contains("\"x\"");
    assert_eq!(
        against(&rows(20), is_row).map(|(server, ..)| server.len()),
        Some(20)
    );
}

proptest! {
    /// Whatever is refused: everything else is stored in its place, and what is refused is told apart exactly.
    #[test]
    fn n7_any_set_of_refused_lines_is_told_apart(bad in prop::collection::btree_set(0_usize..300, 0..25)) {
        let lines = rows(300);
        let is_bad = |line: &str| bad.iter().any(|index| line == lines[*index]);
        let (server, quarantined, requests) = against(&lines, is_bad).expect("the run goes on");
        let found: Vec<u64> = quarantined.iter().filter_map(|unit| unit.line).collect();
        let expected: Vec<u64> = bad.iter().map(|index| *index as u64).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(server.len(), lines.len());
        prop_assert!(requests <= 4 + 25 * bad.len(), "{} requests for {} lines", requests, bad.len());
    }
}

#[test]
fn n7_a_run_that_is_deleted_later_loses_no_line_to_quarantine() {
    let now = Instant::now();
    let mut stream = stream();
    for line in rows(3) {
        stream.push(Lines::History, line);
        stream.compose(now);
        stream.succeeded(now, None);
    }
    stream.push(Lines::History, "{}".to_owned());
    stream.compose(now);
    assert_eq!(stream.refused(), Refusal::Narrowed);
    assert_eq!(stream.compose(now), "{}");
    assert_eq!(stream.refused(), Refusal::Everything);
}

#[test]
fn n9_a_slow_line_gets_smaller_requests_and_a_good_one_larger_again() {
    let start = Instant::now();
    let mut stream = stream();
    for _ in 0..200 {
        stream.push(Lines::History, "x".repeat(10 << 10));
    }
    let mut sizes = Vec::new();
    for _ in 0..12 {
        stream.hurry();
        stream.not_before = None;
        sizes.push(stream.compose(start).len() >> 10);
        stream.was_slow();
        stream.failed(start, 0.0, None, None);
    }
    assert!(
        sizes[0] > 1_900 && *sizes.last().expect("some") < 20,
        "{sizes:?}"
    );
    stream.compose(start);
    stream.succeeded(start, None);
    assert!(stream.compose(start).len() > 20 << 10);
}

#[test]
fn what_is_lost_is_told_to_our_server_once() {
    let start = Instant::now();
    let mut stream = stream();
    assert_eq!(body(&mut stream, start), serde_json::json!({}));
    stream.succeeded(start, None);
    stream.set_lost(3);
    stream.finish(End {
        exit_code: 1,
        trainer_died: true,
        changes_state: true,
    });
    let sent = body(&mut stream, start);
    assert_eq!(
        sent,
        serde_json::json!({"complete": true, "exitcode": 1, "runlane": {"lost": 3, "trainer_died": true}})
    );
    let mut other = FileStream::new(
        Duration::ZERO,
        false,
        Offsets::default(),
        Offsets::default(),
    );
    other.set_lost(3);
    assert_eq!(body(&mut other, start), serde_json::json!({}));
}

/// Time that a stream takes for so many requests, each of which takes 50 ms whether it fails or not.
fn drain(requests: usize, mut fails: impl FnMut() -> bool, mut random: impl FnMut() -> f64) -> f64 {
    const LATENCY: Duration = Duration::from_millis(50);
    let start = Instant::now();
    let mut now = start;
    let mut gate = HostGate::default();
    // The start of the run was answered.
    gate.succeeded(now, LATENCY);
    let mut stream = stream();
    (stream.max_bytes, stream.request_bytes) = (1, 1);
    for _ in 0..requests {
        stream.push(Lines::History, "{}".to_owned());
    }
    while stream.waiting_lines() > 0 {
        match stream.next(now) {
            Step::Due => {}
            Step::Wait(at) => {
                now = at;
                continue;
            }
            other => panic!("{other:?}"),
        }
        match gate.enter(now, random()) {
            Admission::Go => {}
            Admission::At(at) => {
                now = at;
                continue;
            }
            Admission::AfterAnother => panic!("there is one only"),
        }
        stream.compose(now);
        now += LATENCY;
        if fails() {
            gate.failed(now);
            let hope = gate.hope(now);
            stream.failed(now, random(), None, hope);
        } else {
            gate.succeeded(now, LATENCY);
            stream.succeeded(now, None);
        }
    }
    (now - start).as_secs_f64()
}

#[test]
fn n6_half_of_the_requests_fail_and_two_fifths_of_the_throughput_stay() {
    let mut worst = 1.0_f64;
    for seed in 1..=20_u64 {
        let state = std::cell::Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let random = || {
            let mut next = state.get();
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            state.set(next);
            f64::from(u32::try_from(next >> 40).expect("24 bits")) / f64::from(1 << 24)
        };
        let healthy = drain(2_000, || false, random);
        let flapping = drain(2_000, || random() < 0.5, random);
        worst = worst.min(healthy / flapping);
    }
    assert!(worst >= 0.4, "{worst:.2}");
    crate::upload::simulation::table::record(
        "N6",
        "half of the requests fail, 50 ms each (virtual time)",
        ">= 40 % of the healthy throughput",
        &format!("{:.0} %", worst * 100.0),
        20,
    );
}

#[test]
fn n4_a_summary_without_rows_says_where_it_stands() {
    let start = Instant::now();
    let mut stream = stream();
    for line in rows(3) {
        stream.push(Lines::History, line);
    }
    stream.compose(start);
    stream.succeeded(start, None);
    stream.set_summary("{}".to_owned());
    stream.hurry();
    assert_eq!(
        body(&mut stream, start),
        serde_json::json!({"files": {
            "wandb-history.jsonl": {"offset": 3, "content": []},
            "wandb-summary.json": {"offset": 0, "content": ["{}"]},
        }})
    );
}

#[test]
fn console_lines_are_sent_again_while_they_change_and_count_when_they_are_fixed() {
    let start = Instant::now();
    let later = start + Duration::from_mins(1);
    let mut stream = stream();
    let console = |stream: &mut FileStream, lines: &[(u64, &str)], fixed: u64| {
        let lines = lines
            .iter()
            .map(|(number, text)| (*number, (*text).to_owned()));
        stream.set_console(lines.collect(), fixed);
    };
    console(&mut stream, &[(0, "a"), (1, "10%"), (2, "b")], 1);
    let sent = body(&mut stream, start);
    let expected = serde_json::json!({"offset": 0, "content": ["a", "10%", "b"]});
    assert_eq!(sent["files"]["output.log"], expected);
    assert_eq!((stream.reach().output, stream.stored().output), (1, 0));
    // It changes while it is under way: the text that was sent is not the last one.
    console(&mut stream, &[(1, "50%")], 1);
    stream.succeeded(start, None);
    assert_eq!((stream.stored().output, stream.waiting_lines()), (1, 1));
    let sent = body(&mut stream, later);
    let expected = serde_json::json!({"offset": 1, "content": ["50%"]});
    assert_eq!(sent["files"]["output.log"], expected);
    stream.succeeded(later, None);
    assert_eq!((stream.waiting_lines(), stream.waiting_bytes()), (0, 0));
    // What is at the server already is stored as soon as it is fixed.
    console(&mut stream, &[], 3);
    assert_eq!((stream.stored().output, stream.pushed().output), (3, 3));
    // A failed request is sent again as the lines are then.
    console(&mut stream, &[(3, "x"), (4, "y")], 3);
    let later = later + Duration::from_mins(1);
    assert_eq!(body(&mut stream, later)["files"]["output.log"]["offset"], 3);
    let at = stream.failed(later, 1.0, None, None) + Duration::from_mins(1);
    console(&mut stream, &[(3, "z")], 5);
    let sent = body(&mut stream, at);
    let expected = serde_json::json!({"offset": 3, "content": ["z", "y"]});
    assert_eq!(sent["files"]["output.log"], expected);
    stream.succeeded(at, None);
    assert_eq!(stream.stored().output, 5);
    // After a restart, lines that are stored are not sent again; open ones are.
    let known = Offsets {
        output: 5,
        ..Offsets::default()
    };
    let interval = Duration::from_secs(1);
    let mut again = FileStream::new(interval, true, Offsets::default(), known);
    console(&mut again, &[(0, "a"), (4, "y"), (5, "open")], 5);
    let sent = body(&mut again, start);
    let expected = serde_json::json!({"offset": 5, "content": ["open"]});
    assert_eq!(sent["files"]["output.log"], expected);
}
