//! The engine against a fake outside: sockets that take one byte, fail, or die; disks that are full.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use prost::Message as _;
use runlane_proto::local::{
    Ack, ClientMessage, DaemonMessage, HelloReply, OpenRunReply, Response, RunSettings,
    client_message, daemon_message,
};
use runlane_proto::local::{FinishProgress, Flush, Request, request, response};
use runlane_proto::wandb_internal::{ErrorInfo, RunRecord};

use super::ports::{Attempt, Ports, Progress, Socket, SpillFile, Starting};
use super::{Engine, INSPECTION, LINGER, Next, TICK, Woken};
use crate::hub::{Answer, Command, Hub, HubConfig, OpenSpec, Slot, Stream, StreamState};
use crate::io::shelf::Shelf;
use crate::queue::loss::Kind;

/// What the fake daemon and the fake disk are.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a fake")]
struct Outside {
    daemon_runs: bool,
    connected: bool,
    /// Bytes that the socket takes before it says `WouldBlock`; `None` takes everything.
    room: Option<usize>,
    /// At most this many bytes at a time.
    bite: usize,
    /// The next call of the socket fails.
    fault: Option<ErrorKind>,
    acknowledges: bool,
    /// The daemon does not open runs.
    refuses: bool,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Payload bytes of entries by number, as the daemon applied them.
    applied: BTreeMap<u64, u64>,
    writer_logged: u64,
    opens: Vec<bool>,
    requests: Vec<u64>,
    starts: usize,
    start_fails: bool,
    disk_full: bool,
    spill: Option<Vec<(u64, Vec<u8>)>>,
    spilled_frames: usize,
    /// The daemon took this process for dead and removed the file.
    spill_removed: bool,
    /// The program closed the socket's descriptor.
    descriptor_closed: bool,
}

#[derive(Clone)]
struct World(Rc<RefCell<Outside>>);

impl World {
    /// The daemon dies: what it did not log is gone, and so is the connection.
    fn kill_daemon(&self) {
        let mut outside = self.0.borrow_mut();
        outside.daemon_runs = false;
        outside.drop_connection();
    }
}

impl Outside {
    fn drop_connection(&mut self) {
        self.connected = false;
        self.incoming.clear();
        self.outgoing.clear();
    }

    /// Handles every whole frame that arrived.
    fn serve(&mut self) {
        loop {
            let Some(length) = self.incoming.get(1..5) else {
                return;
            };
            assert_eq!(self.incoming[0], 0x52, "torn frame");
            let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
            if self.incoming.len() < 5 + length {
                return;
            }
            let payload: Vec<u8> = self.incoming.drain(..5 + length).skip(5).collect();
            let message = ClientMessage::decode(payload.as_slice())
                .expect("valid")
                .message
                .expect("known");
            self.answer(message);
        }
    }

    fn answer(&mut self, message: client_message::Message) {
        use daemon_message::Message;
        match message {
            client_message::Message::Hello(_) => {
                self.send(Message::Hello(HelloReply {
                    protocol: 1,
                    pid: 7,
                    daemon_version: String::new(),
                }));
            }
            client_message::Message::OpenRun(open) => {
                self.opens.push(open.attach);
                let logged_seq = self.writer_logged;
                let request_id = open.request_id;
                self.send(Message::OpenRun(OpenRunReply {
                    request_id,
                    stream: u64::from(!self.refuses),
                    error: self.refuses.then(ErrorInfo::default),
                    logged_seq,
                    ..Default::default()
                }));
            }
            client_message::Message::Batch(batch) => {
                for (offset, entry) in batch.entry.iter().enumerate() {
                    let seq = batch.first_seq + offset as u64;
                    if seq <= self.writer_logged {
                        continue;
                    }
                    assert_eq!(seq, self.writer_logged + 1, "no gaps");
                    let step = match &entry.entry {
                        Some(runlane_proto::local::entry::Entry::Call(call)) => {
                            call.step.expect("numbered").num
                        }
                        other => panic!("{other:?}"),
                    };
                    self.applied.insert(seq, step.cast_unsigned());
                    self.writer_logged = seq;
                }
                if self.acknowledges {
                    let logged_seq = self.writer_logged;
                    self.send(Message::Ack(Ack {
                        stream: 1,
                        logged_seq,
                        synced_seq: 0,
                    }));
                }
            }
            client_message::Message::Request(request) => {
                self.requests.push(self.writer_logged);
                let finish = FinishProgress {
                    done: true,
                    ..Default::default()
                };
                let response = Some(response::Response::Finish(finish));
                self.send(Message::Response(Response {
                    request_id: request.request_id,
                    error: None,
                    response,
                }));
            }
        }
    }

    fn send(&mut self, message: daemon_message::Message) {
        let payload = DaemonMessage {
            message: Some(message),
        }
        .encode_to_vec();
        self.outgoing.push(0x52);
        self.outgoing
            .extend_from_slice(&u32::try_from(payload.len()).expect("short").to_le_bytes());
        self.outgoing.extend_from_slice(&payload);
    }
}

struct FakeSocket(World);

impl Socket for FakeSocket {
    fn check(&self) -> io::Result<()> {
        if self.0.0.borrow().descriptor_closed {
            return Err(ErrorKind::NotConnected.into());
        }
        Ok(())
    }

    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut outside = self.0.0.borrow_mut();
        if let Some(fault) = outside.fault.take() {
            return Err(fault.into());
        }
        if !outside.connected {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let room = outside
            .room
            .unwrap_or(usize::MAX)
            .min(outside.bite)
            .min(bytes.len());
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if let Some(left) = &mut outside.room {
            *left -= room;
        }
        outside.incoming.extend_from_slice(&bytes[..room]);
        outside.serve();
        Ok(room)
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut outside = self.0.0.borrow_mut();
        if !outside.connected {
            return Ok(0);
        }
        let length = outside.outgoing.len().min(into.len()).min(outside.bite);
        if length == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (to, from) in into.iter_mut().zip(outside.outgoing.drain(..length)) {
            *to = from;
        }
        Ok(length)
    }
}

struct FakeSpill(World);

impl SpillFile for FakeSpill {
    fn append(&mut self, entries_bytes: &[u8], _entries: u32, first_seq: u64) -> io::Result<u64> {
        let mut outside = self.0.0.borrow_mut();
        if outside.disk_full {
            return Err(ErrorKind::StorageFull.into());
        }
        outside.spilled_frames += 1;
        let frames = outside.spill.as_mut().expect("exists");
        assert!(
            frames.last().is_none_or(|(last, _)| *last < first_seq),
            "the file is in order"
        );
        frames.push((first_seq, entries_bytes.to_vec()));
        Ok(frames.len() as u64 - 1)
    }

    fn read(&mut self, place: u64, len: usize) -> io::Result<Vec<u8>> {
        let outside = self.0.0.borrow();
        let frames = outside.spill.as_ref().expect("exists");
        let (_, bytes) = &frames[usize::try_from(place).expect("small")];
        assert_eq!(bytes.len(), len);
        Ok(bytes.clone())
    }

    fn is_gone(&mut self) -> bool {
        self.0.0.borrow().spill_removed
    }
}

struct FakeStart;

impl Starting for FakeStart {
    fn progress(&mut self) -> Progress {
        Progress::Listening
    }
}

impl Ports for World {
    type Socket = FakeSocket;
    type Spill = FakeSpill;
    type Starting = FakeStart;
    type Wait = ();

    fn connect(&mut self) -> io::Result<FakeSocket> {
        let mut outside = self.0.borrow_mut();
        if !outside.daemon_runs {
            return Err(ErrorKind::NotFound.into());
        }
        // What the old one had in it went with it.
        outside.drop_connection();
        outside.connected = true;
        outside.descriptor_closed = false;
        Ok(FakeSocket(self.clone()))
    }

    fn start_daemon(&mut self) -> io::Result<Attempt<FakeSocket, FakeStart>> {
        let mut outside = self.0.borrow_mut();
        outside.starts += 1;
        if outside.start_fails {
            return Err(ErrorKind::NotFound.into());
        }
        outside.daemon_runs = true;
        Ok(Attempt::Started(FakeStart))
    }

    fn create_spill(&mut self, _path: &Path, _writer: u64) -> io::Result<FakeSpill> {
        let mut outside = self.0.borrow_mut();
        if outside.disk_full {
            return Err(ErrorKind::StorageFull.into());
        }
        outside.spill = Some(Vec::new());
        outside.spill_removed = false;
        Ok(FakeSpill(self.clone()))
    }

    fn remove_spill(&mut self, _path: &Path) -> io::Result<()> {
        self.0.borrow_mut().spill = None;
        Ok(())
    }

    fn wait_for(&self, _: Option<(&FakeSocket, bool)>, _: Option<&FakeStart>, _: Option<Duration>) {
    }
}

struct Bench {
    world: World,
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    engine: Engine<World>,
    now: Instant,
    logged: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with_shelf(|_, _| None)
    }

    fn with_shelf(shelve: impl FnOnce(u64, &std::path::Path) -> Option<Arc<Shelf>>) -> Self {
        let config = HubConfig {
            runtime_dir: "/run".into(),
            binary: "/bin/core".into(),
        };
        let hub = Arc::new(Hub::new(config).expect("event descriptor"));
        let settings = RunSettings {
            run_id: "r".into(),
            sync_dir: "/run".into(),
            ..Default::default()
        };
        let spec = Arc::new(OpenSpec {
            settings,
            run: RunRecord::default(),
            writer_info: None,
        });
        let stream = Arc::new(Stream::new(Arc::clone(&hub), spec, 1, 0, shelve));
        let outside = Outside {
            bite: usize::MAX,
            acknowledges: true,
            ..Default::default()
        };
        let world = World(Rc::new(RefCell::new(outside)));
        let now = Instant::now();
        let engine = Engine::new(Arc::clone(&hub), world.clone(), now);
        let bench = Self {
            world,
            hub,
            stream,
            engine,
            now,
            logged: 0,
        };
        bench.hub.send(Command::Open {
            stream: Arc::clone(&bench.stream),
            attach: false,
            preface: Vec::new(),
            slot: None,
        });
        bench
    }

    /// Logs one numbered call.
    fn log(&mut self) {
        self.logged += 1;
        let mut step = vec![0x12, 0, 0x08];
        crate::wire::put_varint(&mut step, self.logged);
        step[1] = u8::try_from(step.len() - 2).expect("short");
        let mut entry = vec![0x1a, 0, 0x0a, u8::try_from(step.len()).expect("short")];
        entry.extend_from_slice(&step);
        entry[1] = u8::try_from(entry.len() - 2).expect("short");
        self.stream
            .append(&entry, Kind::History, crate::hub::unix_micros(), |_| {
                panic!("there is room")
            })
            .expect("open");
    }

    fn turn(&mut self) -> Next {
        let woken = Woken {
            readable: true,
            called: false,
        };
        self.engine.turn(self.now, woken)
    }

    /// Turns until nothing changes any more, a millisecond each.
    fn settle(&mut self) {
        for _ in 0..5000 {
            self.turn();
            self.now += Duration::from_millis(1);
        }
    }

    fn applied(&self) -> Vec<u64> {
        self.world.0.borrow().applied.values().copied().collect()
    }
}

#[test]
fn a_missing_daemon_is_started_and_gets_everything() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.log();
    }
    for _ in 0..8 {
        bench.turn();
    }
    assert_eq!(bench.applied(), [1, 2, 3]);
    assert_eq!(bench.world.0.borrow().starts, 1);
    assert!(bench.stream.is_settled());
    assert_eq!(bench.hub.budget.used(), 0);
    assert!(bench.world.0.borrow().spill.is_none());
}

#[test]
fn the_writer_sleeps_when_nothing_happens_and_looks_often_when_rows_come() {
    let mut bench = Bench::new();
    bench.settle();
    assert_eq!(bench.turn(), Next::Sleep(Some(super::INSPECTION)));
    bench.log();
    assert_eq!(bench.turn(), Next::Tick(super::TICK));
}

/// Adds a line to the table of the fault tests (`tests/faults/table.py`), if somebody collects one.
fn record(fault: &str, bound: &str, worst: &str, trials: usize) {
    use std::io::Write as _;
    let Some(directory) = std::env::var_os("RUNLANE_FAULT_TABLE") else {
        return;
    };
    let line = format!(
        "{{\"id\": \"T6\", \"fault\": \"{fault}\", \"bound\": \"{bound}\", \"worst\": \"{worst}\", \"trials\": {trials}}}"
    );
    std::fs::create_dir_all(&directory).expect("directory of the table");
    let name = format!("{}-client.jsonl", std::process::id());
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(Path::new(&directory).join(name))
        .expect("file of the table");
    writeln!(file, "{line}").expect("written");
}

/// T6: partial writes.
#[test]
fn t6_one_byte_at_a_time_makes_no_torn_frame() {
    let mut bench = Bench::new();
    bench.world.0.borrow_mut().bite = 1;
    for _ in 0..50 {
        bench.log();
    }
    bench.settle();
    assert_eq!(bench.applied(), (1..=50).collect::<Vec<_>>());
    record(
        "partial writes of 1 byte",
        "no torn frame, 0 rows",
        "0 rows",
        50,
    );
}

/// T6: `EINTR`, `ECONNRESET`, `EPIPE`, `EAGAIN`.
#[test]
fn t6_interrupted_and_reset_calls_lose_nothing() {
    for fault in [
        ErrorKind::Interrupted,
        ErrorKind::ConnectionReset,
        ErrorKind::BrokenPipe,
        ErrorKind::WouldBlock,
    ] {
        let mut bench = Bench::new();
        bench.log();
        bench.settle();
        bench.log();
        bench.world.0.borrow_mut().fault = Some(fault);
        if fault != ErrorKind::Interrupted && fault != ErrorKind::WouldBlock {
            bench.world.0.borrow_mut().drop_connection();
        }
        bench.settle();
        bench.log();
        bench.settle();
        assert_eq!(bench.applied(), [1, 2, 3], "{fault:?}");
    }
    record(
        "EINTR, EAGAIN, EPIPE, ECONNRESET from the socket",
        "0 rows",
        "0 rows",
        4,
    );
}

#[test]
fn a_connection_cut_within_a_frame_is_resumed_at_the_acknowledged_number() {
    let mut bench = Bench::new();
    bench.log();
    bench.settle();
    for _ in 0..20 {
        bench.log();
    }
    bench.world.0.borrow_mut().room = Some(30);
    bench.turn();
    assert!(
        !bench.world.0.borrow().incoming.is_empty(),
        "half a frame arrived"
    );
    bench.world.kill_daemon();
    bench.world.0.borrow_mut().room = None;
    bench.settle();
    assert_eq!(bench.applied(), (1..=21).collect::<Vec<_>>());
    assert_eq!(bench.world.0.borrow().opens, [false, true]);
}

#[test]
fn what_the_socket_does_not_take_is_spilled_within_ten_milliseconds_and_drained_later() {
    let mut bench = Bench::new();
    bench.log();
    bench.settle();
    bench.world.0.borrow_mut().room = Some(0);
    bench.log();
    let Next::Tick(wait) = bench.turn() else {
        panic!("there is a row")
    };
    assert!(wait <= Duration::from_millis(10));
    bench.now += Duration::from_millis(2);
    bench.turn();
    assert!(bench.world.0.borrow().spill.is_none(), "not yet");
    bench.now += Duration::from_millis(1);
    bench.turn();
    assert_eq!(bench.world.0.borrow().spill.as_ref().map(Vec::len), Some(1));
    bench.world.0.borrow_mut().room = None;
    bench.settle();
    assert_eq!(bench.applied(), [1, 2]);
    assert!(
        bench.world.0.borrow().spill.is_none(),
        "drained and removed"
    );
}

#[test]
fn a_silent_daemon_has_what_it_was_sent_spilled_too() {
    let mut bench = Bench::new();
    bench.world.0.borrow_mut().acknowledges = false;
    bench.log();
    for _ in 0..9 {
        bench.turn();
        bench.now += Duration::from_millis(1);
    }
    assert_eq!(bench.world.0.borrow().spilled_frames, 0);
    bench.now += Duration::from_millis(100);
    bench.turn();
    assert_eq!(bench.world.0.borrow().spilled_frames, 1);
    assert_eq!(
        bench.turn(),
        Next::Sleep(Some(super::INSPECTION)),
        "and that is all there is to do"
    );
}

#[test]
fn a_spill_file_that_the_daemon_took_is_replaced() {
    let mut bench = Bench::new();
    bench.log();
    bench.settle();
    bench.world.0.borrow_mut().room = Some(0);
    bench.log();
    bench.settle();
    assert_eq!(bench.world.0.borrow().spilled_frames, 1);
    {
        let mut outside = bench.world.0.borrow_mut();
        outside.drop_connection();
        outside.spill_removed = true;
        outside.room = None;
        outside.acknowledges = false;
    }
    bench.settle();
    assert_eq!(bench.world.0.borrow().spilled_frames, 2, "in the new file");
    bench.world.0.borrow_mut().acknowledges = true;
    bench.log();
    bench.settle();
    assert_eq!(bench.applied(), [1, 2, 3]);
    assert!(bench.world.0.borrow().spill.is_none());
}

#[test]
fn a_full_disk_is_tried_again_after_a_second_and_told_once() {
    let mut bench = Bench::new();
    bench.log();
    bench.settle();
    {
        let mut outside = bench.world.0.borrow_mut();
        outside.room = Some(0);
        outside.disk_full = true;
    }
    bench.log();
    bench.settle();
    let notices = bench.stream.take_notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    bench.world.0.borrow_mut().disk_full = false;
    bench.settle();
    assert_eq!(bench.world.0.borrow().spilled_frames, 1);
}

#[test]
fn a_daemon_that_keeps_dying_is_started_five_times_a_minute() {
    let mut bench = Bench::new();
    bench.log();
    for _ in 0..20 {
        bench.settle();
        bench.world.kill_daemon();
    }
    bench.settle();
    // A hundred seconds passed: two windows.
    assert!(
        bench.world.0.borrow().starts <= 10,
        "{}",
        bench.world.0.borrow().starts
    );
    let told = bench
        .stream
        .take_notices()
        .iter()
        .filter(|(_, text)| text.contains("does not stay up"))
        .count();
    assert!((1..=2).contains(&told), "{told}");
}

#[test]
fn a_binary_that_cannot_be_started_is_told_to_those_who_wait() {
    let mut bench = Bench::new();
    bench.world.0.borrow_mut().start_fails = true;
    bench.settle();
    let status = bench.hub.status();
    assert!(status.failures >= 3);
    assert!(status.failure.expect("a reason").contains("hint:"));
}

#[test]
fn a_request_waits_for_the_entries_before_it_and_survives_the_daemon() {
    let mut bench = Bench::new();
    bench.settle();
    bench.world.0.borrow_mut().room = Some(0);
    for _ in 0..5 {
        bench.log();
    }
    let slot = Arc::new(Slot::default());
    let request = Some(request::Request::Flush(Flush::default()));
    bench.hub.send(Command::Request {
        stream: bench.stream.id,
        after_seq: bench.logged,
        request: Request {
            request_id: 900,
            stream: 0,
            request,
        },
        slot: Arc::clone(&slot),
    });
    bench.settle();
    assert!(slot.wait(Duration::ZERO).is_none());
    bench.world.kill_daemon();
    bench.world.0.borrow_mut().room = None;
    bench.settle();
    assert!(matches!(
        slot.wait(Duration::ZERO),
        Some(Answer::Response(_))
    ));
    assert_eq!(bench.world.0.borrow().requests, [5]);
}

#[test]
fn an_abandoned_stream_is_forgotten_when_it_is_empty() {
    let mut bench = Bench::new();
    bench.log();
    bench.hub.send(Command::Abandon {
        stream: bench.stream.id,
    });
    bench.settle();
    assert_eq!(bench.applied(), [1]);
    assert!(bench.engine.lanes.is_empty());
    assert_eq!(bench.turn(), Next::Sleep(None));
}

#[test]
fn a_caller_hands_over_what_a_late_writer_has_not_taken() {
    let mut bench = Bench::new();
    bench.log();
    bench.settle();
    for _ in 0..3 {
        bench.log();
    }
    bench.engine.help(bench.now);
    assert_eq!(bench.applied(), [1, 2, 3, 4]);
    assert_eq!(bench.stream.reached().handed_over, 4);
    // A socket without room keeps the rest for the writer.
    bench.world.0.borrow_mut().room = Some(3);
    bench.log();
    bench.engine.help(bench.now);
    assert_eq!(bench.applied().len(), 4);
    bench.world.0.borrow_mut().room = None;
    bench.log();
    bench.engine.help(bench.now);
    bench.settle();
    assert_eq!(bench.applied(), [1, 2, 3, 4, 5, 6]);
    assert!(bench.stream.is_settled());
}

#[test]
fn help_touches_neither_a_broken_connection_nor_the_spill_file() {
    let mut bench = Bench::new();
    bench.log();
    bench.settle();
    bench.world.0.borrow_mut().descriptor_closed = true;
    bench.log();
    bench.engine.help(bench.now);
    assert_eq!(
        bench.applied(),
        [1],
        "nothing is written to a foreign descriptor"
    );
    bench.settle();
    assert_eq!(bench.applied(), [1, 2], "over a new connection");
    bench.world.0.borrow_mut().room = Some(0);
    bench.log();
    bench.settle();
    assert_eq!(bench.world.0.borrow().spilled_frames, 1);
    bench.world.0.borrow_mut().room = None;
    bench.log();
    bench.engine.help(bench.now);
    assert_eq!(bench.applied(), [1, 2]);
    bench.settle();
    assert_eq!(bench.applied(), [1, 2, 3, 4]);
}

#[derive(Clone, Debug)]
enum Fault {
    Log(u8),
    Turns(u8),
    Help,
    CloseDescriptor,
    Kill,
    Cut,
    Room(Option<u16>),
    Bite(u8),
    DiskFull(bool),
    Silent(bool),
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        4 => (1u8..20).prop_map(Fault::Log),
        4 => (1u8..40).prop_map(Fault::Turns),
        2 => Just(Fault::Help),
        1 => Just(Fault::CloseDescriptor),
        1 => Just(Fault::Kill),
        1 => Just(Fault::Cut),
        2 => prop::option::of(0u16..300).prop_map(Fault::Room),
        1 => (1u8..60).prop_map(Fault::Bite),
        1 => any::<bool>().prop_map(Fault::DiskFull),
        1 => any::<bool>().prop_map(Fault::Silent),
    ];
    prop::collection::vec(fault, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_every_call_arrives_once_and_in_order(faults in faults()) {
        let mut bench = Bench::new();
        for fault in faults {
            match fault {
                Fault::Log(count) => (0..count).for_each(|_| bench.log()),
                Fault::Turns(count) => {
                    for _ in 0..count {
                        bench.turn();
                        bench.now += Duration::from_millis(3);
                    }
                }
                Fault::Help => bench.engine.help(bench.now),
                Fault::CloseDescriptor => bench.world.0.borrow_mut().descriptor_closed = true,
                Fault::Kill => bench.world.kill_daemon(),
                Fault::Cut => bench.world.0.borrow_mut().drop_connection(),
                Fault::Room(room) => bench.world.0.borrow_mut().room = room.map(usize::from),
                Fault::Bite(bite) => bench.world.0.borrow_mut().bite = usize::from(bite),
                Fault::DiskFull(full) => bench.world.0.borrow_mut().disk_full = full,
                Fault::Silent(silent) => bench.world.0.borrow_mut().acknowledges = !silent,
            }
        }
        {
            let mut outside = bench.world.0.borrow_mut();
            outside.room = None;
            outside.bite = usize::MAX;
            outside.acknowledges = true;
            outside.daemon_runs = true;
        }
        bench.log();
        bench.settle();
        prop_assert_eq!(bench.applied(), (1..=bench.logged).collect::<Vec<_>>());
        prop_assert!(bench.stream.is_settled());
        prop_assert_eq!(bench.hub.budget.used(), 0);
        prop_assert!(bench.world.0.borrow().spill.is_none());
    }
}

#[test]
fn safe_rows_are_sent_seldom_and_leave_the_shelf_when_they_are_acknowledged() {
    let directory = tempfile::tempdir().expect("a directory");
    let shelves = directory.path().join("shelves");
    let mut bench =
        Bench::with_shelf(|writer, spill| Shelf::create_in(&shelves, writer, spill).ok());
    let shelf = bench.stream.intake.shelf().expect("a memory file system");
    let on_shelf = || {
        let file = std::fs::read(shelf.path()).expect("read");
        runlane_model::shelf::slots(&file)
            .iter()
            .map(|slot| slot.entries)
            .sum::<u32>()
    };
    bench.settle();
    bench.log();
    assert_eq!(on_shelf(), 1, "before anybody has looked");
    assert_eq!(bench.turn(), Next::Tick(LINGER));
    bench.log();
    bench.settle();
    assert_eq!(bench.applied(), [1, 2]);
    assert_eq!(on_shelf(), 0);
    assert_eq!(bench.turn(), Next::Sleep(Some(INSPECTION)));
}

#[test]
fn rows_that_do_not_fit_on_the_shelf_are_handed_over_in_haste() {
    let directory = tempfile::tempdir().expect("a directory");
    let shelves = directory.path().join("shelves");
    let mut bench =
        Bench::with_shelf(|writer, spill| Shelf::create_in(&shelves, writer, spill).ok());
    bench.settle();
    bench.world.0.borrow_mut().acknowledges = false;
    let slots = runlane_model::shelf::SLOTS;
    for _ in 0..=slots {
        assert!(matches!(bench.turn(), Next::Tick(_) | Next::Sleep(_)));
        bench.log();
    }
    assert!(
        !bench.stream.intake.is_safe(),
        "every slot waits for its acknowledgement"
    );
    assert_eq!(bench.turn(), Next::Tick(TICK));
    bench.world.0.borrow_mut().acknowledges = true;
    bench.log();
    bench.settle();
    assert_eq!(bench.applied().len(), slots + 2);
}

#[test]
fn rows_of_a_run_that_the_daemon_does_not_take_up_leave_the_shelf_for_the_spill_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let shelves = directory.path().join("shelves");
    let mut bench =
        Bench::with_shelf(|writer, spill| Shelf::create_in(&shelves, writer, spill).ok());
    bench.settle();
    bench.world.kill_daemon();
    bench.world.0.borrow_mut().refuses = true;
    bench.settle();
    assert!(bench.stream.is_hopeless());
    bench.log();
    bench.stream.close(StreamState::Abandoned);
    bench.hub.send(Command::Abandon {
        stream: bench.stream.id,
    });
    bench.turn();
    let spilled = bench.world.0.borrow().spill.as_ref().map(Vec::len);
    assert_eq!(spilled, Some(1));
    assert!(!bench.stream.intake.shelf().expect("one").path().exists());
}
