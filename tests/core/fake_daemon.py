#!/usr/bin/env python3
"""A daemon for tests of `runlane._core`: speaks the local protocol by hand and writes down what it gets.

Started as `fake_daemon.py daemon --runtime-dir DIR --ready-fd N`, like the real one. It appends one JSON line per event to
`DIR/events.jsonl`; a second daemon reads there what the first had applied when it was killed. Files in DIR steer it: `no-ack`
(nothing is acknowledged), `die-at-start`.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
from pathlib import Path

Message = dict[int, list]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """One varint and the position behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def decode(data: bytes) -> Message:
    """The fields of a message by number, in order; nested messages stay bytes."""
    fields: Message = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = data[at : at + 8], at + 8
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
            assert len(value) == length, "truncated field"
        else:
            raise AssertionError(f"wire type {kind}")
        fields.setdefault(number, []).append(value)
    return fields


def put_varint(value: int) -> bytes:
    """`value` as a varint."""
    out = bytearray()
    value &= (1 << 64) - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(fields: list[tuple[int, int | bytes]]) -> bytes:
    """A message of varint and length-delimited fields."""
    out = b""
    for number, value in fields:
        if isinstance(value, bytes):
            out += put_varint(number << 3 | 2) + put_varint(len(value)) + value
        else:
            out += put_varint(number << 3) + put_varint(value)
    return out


def signed(value: int) -> int:
    """An int64 from its unsigned form."""
    return value - (1 << 64) if value >> 63 else value


def item(data: bytes) -> list:
    """A history item as [path, kind, value]."""
    fields = decode(data)
    path = [part.decode() for part in fields.get(2, fields.get(1, []))]
    if 3 in fields:
        return [path, "none", None]
    if 4 in fields:
        return [path, "boolean", bool(fields[4][0])]
    if 5 in fields:
        return [path, "integer", (fields[5][0] >> 1) ^ -(fields[5][0] & 1)]
    if 6 in fields:
        return [path, "number", fields[6][0].hex()]
    if 7 in fields:
        return [path, "text", fields[7][0].decode()]
    return [path, "json", fields[8][0].decode()]


def call(data: bytes) -> dict:
    """A `PartialHistoryRequest`."""
    fields = decode(data)
    step = signed(decode(fields[2][0]).get(1, [0])[0]) if 2 in fields else None
    flush = bool(decode(fields[3][0]).get(1, [0])[0]) if 3 in fields else None
    return {"items": [item(part) for part in fields.get(1, [])], "step": step, "flush": flush}


class Daemon:
    """See the module."""

    def __init__(self, runtime_dir: Path) -> None:
        self.dir = runtime_dir
        self.writers: dict[str, int] = {}
        log = runtime_dir / "events.jsonl"
        text = log.read_text() if log.exists() else ""
        for line in text.splitlines(keepends=True):
            if not line.endswith("\n"):
                os.truncate(log, len(text) - len(line))
            elif (event := json.loads(line)).get("seq"):
                self.writers[event["writer"]] = event["seq"]
        self.events = log.open("a", buffering=1)
        self.selector = selectors.DefaultSelector()
        self.streams: dict[tuple[int, int], str] = {}
        self.buffers: dict[int, bytearray] = {}

    def note(self, event: str, **facts: object) -> None:
        """Write an event down."""
        self.events.write(json.dumps({"event": event, **facts}) + "\n")

    def serve(self, ready_fd: int) -> None:
        """Listen until killed."""
        path = self.dir / "daemon-v1.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(64)
        self.selector.register(listener, selectors.EVENT_READ)
        self.note("listening", pid=os.getpid())
        os.write(ready_fd, b"!")
        os.close(ready_fd)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    self.buffers[client.fileno()] = bytearray()
                    self.selector.register(client, selectors.EVENT_READ)
                else:
                    self.read(key.fileobj)

    def read(self, client: socket.socket) -> None:
        """Take what a client sent."""
        try:
            data = client.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        number = client.fileno()
        if not data:
            self.note("gone", writers=[writer for (fd, _), writer in self.streams.items() if fd == number])
            self.streams = {key: writer for key, writer in self.streams.items() if key[0] != number}
            self.selector.unregister(client)
            client.close()
            return
        buffer = self.buffers[number]
        buffer += data
        while len(buffer) >= 5:
            assert buffer[0] == 0x52, "torn frame"
            (length,) = struct.unpack("<I", buffer[1:5])
            if len(buffer) < 5 + length:
                break
            payload = bytes(buffer[5 : 5 + length])
            del buffer[: 5 + length]
            ((kind, (body,)),) = decode(payload).items()
            (self.hello, self.open_run, self.batch, self.request)[kind - 1](client, decode(body))

    def send(self, client: socket.socket, kind: int, fields: list[tuple[int, int | bytes]]) -> None:
        """Send one `DaemonMessage`."""
        payload = encode([(kind, encode(fields))])
        try:
            client.sendall(b"R" + struct.pack("<I", len(payload)) + payload)
        except (BrokenPipeError, ConnectionResetError):
            return

    def hello(self, client: socket.socket, fields: Message) -> None:
        """Greet."""
        self.note("hello", protocol=fields[1][0], pid=fields[2][0])
        self.send(client, 1, [(1, 1), (2, os.getpid()), (3, b"fake")])

    def open_run(self, client: socket.socket, fields: Message) -> None:
        """Open a run; one with the project `refuse` is refused."""
        settings = decode(fields[2][0])
        writer = fields[4][0].hex()
        attach = bool(fields.get(6, [0])[0])
        run_id, project = settings[1][0].decode(), settings.get(3, [b""])[0].decode()
        preface = [next(number for number in decode(record)) for record in fields.get(7, [])]
        self.note(
            "open", run_id=run_id, writer=writer, attach=attach, preface=preface, spill=fields[5][0].decode()
        )
        request_id = fields[1][0]
        if project == "refuse":
            error = encode([(1, b"not this one"), (2, 3)])
            self.send(client, 2, [(1, request_id), (4, error)])
            return
        stream = 1 + len([key for key in self.streams if key[0] == client.fileno()])
        self.streams[client.fileno(), stream] = writer
        reply = [
            (1, request_id),
            (2, stream),
            (3, fields[3][0]),
            (5, self.writers.get(writer, 0)),
            (7, b"http://x/run"),
        ]
        self.send(client, 2, reply)

    def batch(self, client: socket.socket, fields: Message) -> None:
        """Apply entries once, in order."""
        stream, first = fields[1][0], fields[2][0]
        writer = self.streams[client.fileno(), stream]
        applied = self.writers.get(writer, 0)
        assert first <= applied + 1, f"gap: {first} after {applied}"
        for offset, data in enumerate(fields.get(3, [])):
            if first + offset <= applied:
                continue
            entry = decode(data)
            if 1 in entry:
                self.note("call", writer=writer, seq=first + offset, **call(entry[1][0]))
            elif 2 in entry:
                record = decode(entry[2][0])
                self.note("record", writer=writer, seq=first + offset, kind=next(iter(record)))
            self.writers[writer] = first + offset
        if not (self.dir / "no-ack").exists():
            self.send(client, 3, [(1, stream), (2, self.writers[writer]), (3, 0)])

    def request(self, client: socket.socket, fields: Message) -> None:
        """Answer a request."""
        request_id, stream = fields[1][0], fields[2][0]
        writer = self.streams[client.fileno(), stream]
        (kind,) = (number for number in fields if number > 2)
        self.note("request", kind=kind, after=self.writers.get(writer, 0))
        answers = {
            3: (3, encode([(1, 1)])),
            4: (4, encode([(1, b'{"loss": 1}')])),
            5: (5, encode([(1, 7)])),
            6: (6, encode([(1, encode([(2, b"loss"), (3, struct.pack("<2f", 1.5, 2.5))]))])),
            8: (8, encode([(1, self.writers.get(writer, 0)), (4, 3)])),
        }
        if kind == 7:
            self.send(client, 4, [(1, request_id), (7, encode([(3, 5), (4, 2)]))])
            self.send(client, 5, [(1, stream), (2, 30), (3, b"a notice")])
            answers[7] = (7, encode([(1, 1), (2, 1), (3, 5), (4, 5)]))
        self.send(client, 4, [(1, request_id), answers[kind]])


def main() -> None:
    """Run as the daemon."""
    arguments = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    runtime_dir = Path(arguments["--runtime-dir"])
    if (runtime_dir / "die-at-start").exists():
        with (runtime_dir / "starts").open("a") as starts:
            starts.write("x")
        sys.exit(1)
    with (runtime_dir / "daemon.log").open("a") as log:
        os.dup2(log.fileno(), 2)
    Daemon(runtime_dir).serve(int(arguments["--ready-fd"]))


if __name__ == "__main__":
    main()
