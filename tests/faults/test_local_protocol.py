"""Bytes on the daemon's socket that no client of ours sends (reliability.md 7.3, socket rows): a bad frame, message or number
closes that connection, a bad request gets a typed error, and the daemon goes on.

Beside every case a healthy run logs through its own connection; at the end it must have every row, once. Messages are built
here byte by byte from proto/runlane_local.proto; nothing of the client under test is used for them.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import logs
import pytest
from driven import Trainer
from table import record
from trials import trials
from world import Home

Start = Callable[..., Trainer]

# A daemon that closes a connection does so at once; the rest is for a machine that has other things to do.
PATIENCE_SECS = 15
_FRAME_LIMIT = 32 << 20


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def fixed64(field: int, value: int) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def text(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def frame(payload: bytes) -> bytes:
    return b"\x52" + struct.pack("<I", len(payload)) + payload


HELLO = frame(text(1, number(1, 1) + number(2, 4711) + text(3, "test")))


def call(key: str | bytes = "x", json: str | bytes = "1") -> bytes:
    """An entry with one call of one value."""
    item = text(1, key) + text(16, json)
    return text(1, text(1, item))


def batch(stream: int, first_seq: int, *entries: bytes) -> bytes:
    return frame(
        text(3, number(1, stream) + number(2, first_seq) + b"".join(text(3, one) for one in entries))
    )


def request(stream: int, request_id: int, body: bytes) -> bytes:
    return frame(text(4, number(1, request_id) + number(2, stream) + body))


class Raw:
    """A connection to a daemon's record socket that sends what it is told."""

    def __init__(self, home: Home, greet: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_SECS)
        self.socket.connect(f"{home.env['RUNLANE_RUNTIME_DIR']}/daemon-v1.sock")
        self._buffer = b""
        if greet:
            self.send(HELLO)
            assert self.receive()[0] == 1

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            # Closed already, by what was sent before.
            return

    def receive(self) -> tuple[int, bytes]:
        """The field number and the bytes of the next message."""
        header = self._read(5)
        assert header[0] == 0x52
        payload = self._read(struct.unpack("<I", header[1:])[0])
        field, at = _varint_at(payload, 0)
        assert field & 7 == 2
        length, at = _varint_at(payload, at)
        assert at + length == len(payload)
        return field >> 3, payload[at:]

    def _read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._buffer += data
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def is_closed(self) -> bool:
        """Whether the daemon closes the connection, within a bounded wait."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
        return True

    def answer(self) -> dict[int, list[object]]:
        """The fields of the next answer to `open` or `request`; acknowledgements and notices are passed over."""
        while True:
            kind, body = self.receive()
            if kind in (2, 4):
                return fields(body)

    def open(
        self, place: Path, run_id: str, writer: int = 7, attach: bool = False
    ) -> dict[int, list[object]]:
        """OpenRun of an offline run; the fields of the answer (2: stream, 4: error)."""
        place.mkdir(exist_ok=True)
        settings = (
            text(1, run_id)
            + text(3, "p")
            + number(4, 1)
            + text(7, str(place))
            + text(8, str(place / "files"))
            + number(25, 1)
            + number(29, 1)
        )
        spill = str(place / f"run-{run_id}.{writer:016x}.runlane-spill")
        body = number(1, 1) + text(2, settings) + text(3, text(1, run_id) + text(3, "p"))
        body += fixed64(4, writer) + text(5, spill) + number(6, int(attach))
        self.send(frame(text(2, body)))
        return self.answer()

    def stream_of(self, place: Path, run_id: str, writer: int = 7, attach: bool = False) -> int:
        answer = self.open(place, run_id, writer, attach)
        assert 4 not in answer, answer
        stream = answer[2][0]
        assert isinstance(stream, int)
        return stream

    def close(self) -> None:
        self.socket.close()


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data: bytes) -> dict[int, list[object]]:
    """The fields of a message, by number."""
    found: dict[int, list[object]] = {}
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at)
        value: object
        if key & 7 == 0:
            value, at = _varint_at(data, at)
        elif key & 7 == 2:
            length, at = _varint_at(data, at)
            value, at = data[at : at + length], at + length
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, at = data[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def error_of(answer: dict[int, list[object]], field: int) -> tuple[str, int]:
    """Message and code of the error in an answer."""
    error = fields(bytes(answer[field][0]))  # type: ignore[call-overload]
    return bytes(error[1][0]).decode(), int(error[2][0])  # type: ignore[call-overload]


class Healthy:
    """A run that logs beside the attacks."""

    def __init__(self, home: Home, trainer: Trainer) -> None:
        self.home = home
        self.trainer = trainer
        self.rows = 0
        trainer.do("run = wandb.init(project='p', mode='offline', id='healthy')")

    def log(self, count: int = 20) -> None:
        self.trainer.log(range(self.rows, self.rows + count))
        self.rows += count

    def finish(self) -> None:
        """Finish; every row must be in the log, once and in order, and the daemon the one it was."""
        self.trainer.do("run.finish()")
        self.trainer.end()
        (directory,) = self.home.run_dirs()
        assert [row["x"] for row in logs.rows(directory / "run-healthy.wandb")] == list(range(self.rows))


def daemon_pid(home: Home) -> int:
    raw = Raw(home, greet=False)
    raw.send(HELLO)
    _kind, body = raw.receive()
    raw.close()
    pid = fields(body)[2][0]
    assert isinstance(pid, int)
    return pid


@pytest.fixture
def healthy(home: Home, trainer: Start) -> Iterator[Healthy]:
    """A run beside the test, which loses nothing, in a daemon that does not end."""
    run = Healthy(home, trainer(None))
    run.log()
    before = daemon_pid(home)
    yield run
    run.log()
    assert daemon_pid(home) == before, "the daemon went down"
    run.finish()


BAD_FRAMES = {
    "wrong magic": b"\x51\x01\0\0\0\x01",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "length 0": b"\x52\0\0\0\0",
    "length over the limit": b"\x52" + struct.pack("<I", _FRAME_LIMIT + 1),
    "length of 4 GiB": b"\x52\xff\xff\xff\xff",
    "trailing bytes": HELLO + b"trailing",
    "no greeting": request(1, 1, text(4, b"")),
    "another protocol": frame(text(1, number(1, 2))),
    "an empty message": frame(b"\x82\x7d\x00"),
}

BAD_PAYLOADS = {
    "truncated varint": b"\x0a\xff",
    "10-byte varint overflow": b"\x08" + b"\xff" * 10 + b"\x01",
    "field number 0": b"\x02\x00",
    "wrong wire type": number(1, 5),
    "unopened group": b"\x0c",
    "unclosed group": b"\x2b",
    "length of 2 GiB": b"\x0a" + varint(2 << 30) + b"x",
    "length beyond the frame": b"\x22\x7fabc",
    "invalid UTF-8": text(1, number(1, 1) + text(3, b"\xff\xfe")),
    "an unknown message": text(9, b"new"),
}


def test_p73_frames(healthy: Healthy) -> None:
    """7.3 frames: wrong magic, length 0, length over the limit, trailing bytes, what is no protocol of ours."""
    waits = []
    for name, data in BAD_FRAMES.items():
        raw = Raw(healthy.home, greet=False)
        raw.send(data)
        began = time.monotonic()
        assert raw.is_closed(), name
        waits.append(time.monotonic() - began)
        healthy.log(5)
    record(
        "7.3",
        "bad frame",
        "closed, run beside it loses 0",
        f"closed in {max(waits) * 1e3:.0f} ms",
        len(waits),
    )


def test_p73_torn_frames(healthy: Healthy, tmp_path: Path) -> None:
    """7.3 frames: more announced than sent, nothing sent at all. A partial frame is never applied."""
    Raw(healthy.home, greet=False).close()
    place = tmp_path / "torn"
    raw = Raw(healthy.home)
    stream = raw.stream_of(place, "torn")
    raw.send(batch(stream, 1, call(json="1")))
    whole = batch(stream, 2, call(json="2"), call(json="3"))
    for cut in range(1, len(whole)):
        # The run is taken up again by each connection, as a client does.
        raw.send(whole[:cut])
        raw.close()
        raw = Raw(healthy.home)
        stream = raw.stream_of(place, "torn", attach=True)
    raw.send(request(stream, 9, text(7, number(1, 0))))
    while 7 not in (answer := raw.answer()) or not fields(bytes(answer[7][0])).get(1):  # type: ignore[call-overload]
        pass
    assert [row["x"] for row in logs.rows(place / "run-torn.wandb")] == [1]
    record("7.3", "frame torn at every byte, run beside it", "0 rows lost or made up", "0", len(whole) - 1)


def test_p73_protobuf(healthy: Healthy) -> None:
    """7.3 protobuf: what does not decode closes the connection."""
    for name, payload in BAD_PAYLOADS.items():
        raw = Raw(healthy.home)
        raw.send(frame(payload))
        assert raw.is_closed(), name
        healthy.log(5)
    record("7.3", "payload that does not decode", "closed, run beside it loses 0", "0", len(BAD_PAYLOADS))


def nested(depth: int) -> bytes:
    """A chain of length-delimited fields 1."""
    data = b""
    for _ in range(depth):
        data = text(1, data)
    return data


BAD_ENTRIES = {
    "truncated varint": text(1, b"\x08\xff"),
    "varint overflow": text(1, b"\x10" + b"\xff" * 10 + b"\x01"),
    "length of 2 GiB": text(1, b"\x0a" + varint(2 << 30)),
    "wrong wire type": number(1, 5),
    "group tags": text(1, b"\x0b\x0c"),
    "deep nesting of a call": text(1, nested(10_000)),
    "deep nesting of a record": text(2, nested(10_000)),
    "invalid UTF-8 in a key": call(key=b"\xff\xfe"),
    "invalid UTF-8 in a record": text(2, text(17, text(1, b"\xff\xfe"))),
    "duplicate oneof": call(json="1") + text(2, text(17, text(1, "bad"))),
    "a record that is none": text(2, b"\xff\xff\xff"),
}


def test_p73_protobuf_in_entries(healthy: Healthy, tmp_path: Path) -> None:
    """7.3 protobuf: an entry that does not decode closes the connection or is left out; what came before is kept."""
    for index, (name, entry) in enumerate(BAD_ENTRIES.items()):
        run_id, place = f"bad{index}", tmp_path / f"bad{index}"
        raw = Raw(healthy.home)
        stream = raw.stream_of(place, run_id)
        raw.send(batch(stream, 1, call(json="1")))
        raw.send(batch(stream, 2, entry))
        # Comes back with an answer or not at all; either way the run can be taken up again.
        raw.send(request(stream, 3, text(4, b"")))
        try:
            raw.answer()
        except (EOFError, ConnectionResetError):
            outcome = "closed"
        else:
            outcome = "left out"
        raw.close()
        again = Raw(healthy.home)
        stream = again.stream_of(place, run_id, attach=True)
        finish(again, stream)
        kept = [row.get("x") for row in logs.rows(place / f"run-{run_id}.wandb")]
        assert kept[:1] == [1], (name, outcome, kept)
        assert all(value in (1, None) for value in kept), (name, outcome, kept)
        healthy.log(5)
    record("7.3", "entry that does not decode", "what came before is kept", "0 lost", len(BAD_ENTRIES))


def finish(raw: Raw, stream: int) -> None:
    raw.send(request(stream, 9, text(7, number(1, 0))))
    while True:
        answer = raw.answer()
        if 7 in answer and fields(bytes(answer[7][0])).get(1):  # type: ignore[call-overload]
            return


def test_p73_unknown_fields_are_preserved(healthy: Healthy, tmp_path: Path) -> None:
    """7.3 protobuf: a field and a record type of a later release are in the log byte for byte."""
    raw = Raw(healthy.home)
    stream = raw.stream_of(tmp_path / "new", "new")
    unknown_field = text(9_000, b"from a later release")
    unknown_type = text(9_001, b"a new kind of record")
    raw.send(batch(stream, 1, text(2, text(17, text(1, "new")) + unknown_field), text(2, unknown_type)))
    finish(raw, stream)
    data = (tmp_path / "new" / "run-new.wandb").read_bytes()
    assert unknown_field in data
    assert unknown_type in data


def test_p73_sequence_numbers(healthy: Healthy, tmp_path: Path) -> None:
    """7.3 seq: repeats are dropped; behind a gap nothing is applied, the client is asked again; no number wraps."""
    place = tmp_path / "seq"
    raw = Raw(healthy.home)
    stream = raw.stream_of(place, "seq")
    raw.send(batch(stream, 1, call(json="1"), call(json="2")))
    raw.send(batch(stream, 1, call(json="1"), call(json="2"), call(json="3")))
    raw.send(batch(stream, 2, call(json="2")))
    for first in (5, 0, 2**64 - 1):
        raw.send(batch(stream, first, call(json="99"), call(json="98")))
        assert raw.is_closed(), first
        raw = Raw(healthy.home)
        answer = raw.open(place, "seq", attach=True)
        # What the client sends next begins behind this number.
        assert answer.get(5) == [3], first
        stream = int(answer[2][0])  # type: ignore[call-overload]
    raw.send(batch(stream, 4, call(json="4")))
    finish(raw, stream)
    assert [row["x"] for row in logs.rows(place / "run-seq.wandb")] == [1, 2, 3, 4]


def test_p73_streams(healthy: Healthy, tmp_path: Path) -> None:
    """7.3 streams: data for a run that is not open or finished is refused with a word, requests with a typed error."""
    place = tmp_path / "twice"
    usage = 3
    raw = Raw(healthy.home)
    raw.send(batch(77, 1, call()))
    kind, notice = raw.receive()
    assert kind == 5
    assert b"not open" in bytes(fields(notice)[3][0])  # type: ignore[call-overload]
    raw.send(request(77, 5, text(4, b"")))
    assert error_of(raw.answer(), 2) == ("the run is not open, or finished already", usage)

    # Attaching to a run that is not there.
    message, code = error_of(raw.open(place, "twice", attach=True), 4)
    assert "cannot open transaction log" in message
    assert code == usage
    # Two inits of one id.
    stream = raw.stream_of(place, "twice")
    message, code = error_of(raw.open(place, "twice", writer=8), 4)
    assert "open already" in message
    assert code == usage
    # Hostile names.
    for run_id in ("", "..", "a/b", "x" * 300):
        message, code = error_of(raw.open(tmp_path / "names", run_id), 4)
        assert code == usage, message
    # A run that has ended.
    finish(raw, stream)
    message, code = error_of(raw.open(place, "twice", attach=True), 4)
    assert "finished" in message
    assert code == usage


def test_b4_frame_fuzz_beside_a_healthy_run(healthy: Healthy, tmp_path: Path) -> None:
    """B4: random damage to valid frames costs that connection only; the run beside it loses nothing."""
    seed = random.randrange(1 << 32)
    source = random.Random(seed)
    count = trials(300, 5_000)
    began = time.monotonic()
    for round_number in range(count):
        raw = Raw(healthy.home, greet=False)
        raw.socket.settimeout(0.2)
        place = tmp_path / "fuzz"
        place.mkdir(exist_ok=True)
        settings = text(1, f"f{round_number}") + number(4, 1) + text(7, str(place)) + text(8, str(place))
        opened = frame(text(2, number(1, 1) + text(2, settings) + fixed64(4, 7)))
        data = bytearray(HELLO + opened + batch(1, 1, call(), call(json="2")) + request(1, 2, text(4, b"")))
        for _ in range(source.randrange(1, 8)):
            at = source.randrange(len(data))
            choice = source.randrange(4)
            if choice == 0:
                data[at] = source.randrange(256)
            elif choice == 1:
                del data[at + 1 : at + source.randrange(2, 16)]
            elif choice == 2:
                data[at:at] = source.randbytes(source.randrange(1, 16))
            else:
                data = data[: at + 1]
        raw.send(bytes(data))
        if round_number % 10 == 0:
            healthy.log(5)
        raw.close()
    print(f"seed {seed}, {time.monotonic() - began:.1f} s")
    healthy.log()
    record("B4", "damaged frames beside a healthy run", "healthy run loses 0", "0", count)


def test_b4_peers_that_announce_much_and_send_nothing(healthy: Healthy) -> None:
    """B4: frames that are announced and never sent hold memory that others need; the run beside them goes on at once."""
    stalled = []
    for _ in range(4):
        raw = Raw(healthy.home)
        raw.send(b"\x52" + struct.pack("<I", _FRAME_LIMIT) + b"x" * 1_000)
        stalled.append(raw)
    worst = 0.0
    for _ in range(20):
        began = time.monotonic()
        healthy.log(50)
        healthy.trainer.flush()
        worst = max(worst, time.monotonic() - began)
    assert worst < PATIENCE_SECS / 2
    for raw in stalled:
        raw.close()
    record(
        "B4",
        "4 peers announce 32 MiB each and send nothing",
        "run beside them logs on",
        f"{worst * 1e3:.0f} ms",
        20,
    )
