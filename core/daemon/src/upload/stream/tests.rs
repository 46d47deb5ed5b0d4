//! The file stream against servers that answer, fail and forget.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn body(step: Step) -> Value {
    match step {
        Step::Send(body) => serde_json::from_str(&body).expect("JSON"),
        other => panic!("nothing to send: {other:?}"),
    }
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
    assert_eq!(body(stream.next(start)), serde_json::json!({}));
    assert_eq!(stream.next(start), Step::Busy);
    stream.succeeded(start, None);
    stream.push(Lines::History, "{\"a\":1}".to_owned());
    stream.set_summary("{}".to_owned());
    assert_eq!(
        stream.next(start),
        Step::Wait(start + Duration::from_secs(15))
    );
    let sent = body(stream.next(start + Duration::from_secs(15)));
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
    let first = body(stream.next(start));
    assert_eq!(
        first["files"]["wandb-history.jsonl"],
        serde_json::json!({"offset": 13, "content": ["new"]})
    );
    let at = stream.failed(start, 1.0, Some(Duration::from_secs(7)));
    assert!(at >= start + Duration::from_secs(7));
    assert_eq!(stream.next(start), Step::Wait(at));
    stream.push(Lines::History, "newer".to_owned());
    let again = body(stream.next(at));
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
    let first = body(stream.next(start));
    assert!(first.get("complete").is_none());
    stream.succeeded(start, None);
    let last = body(stream.next(start));
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
    body(stream.next(start));
    stream.succeeded(start, Some((2.0, 8.0)));
    stream.set_preempting();
    assert_eq!(
        stream.next(start),
        Step::Wait(start + Duration::from_secs(4))
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
                Event::Sent(arrives) => if let Step::Send(body) = stream.next(now) {
                    if arrives {
                        store(&mut server, &body);
                        stream.succeeded(now, None);
                    } else {
                        stream.failed(now, 0.5, None);
                    }
                },
                Event::LostAnswer => if let Step::Send(body) = stream.next(now) {
                    store(&mut server, &body);
                    stream.failed(now, 0.5, None);
                },
            }
        }
        prop_assert_eq!(&server, &pushed);
        prop_assert_eq!(stream.stored().history, pushed.len() as u64);
    }
}
