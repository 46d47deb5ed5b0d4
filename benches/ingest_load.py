"""The generator of the ingest bench, a process of its own: many runs stream rows to one server at the same time.

python benches/ingest_load.py HOST PORT KEY ENTITY PROJECT RUNS ROWS ROWS_PER_REQUEST

Each run has one connection and one request under way, as every client has. Bodies are prepared before the clock starts, so
that the generator's own work per request is to send them; its CPU seconds are printed beside the time.
"""

from __future__ import annotations

import base64
import json
import resource
import selectors
import socket
import sys
import time

SCALARS = 10


def row(step: int) -> str:
    """The row of a step, the same in every run."""
    values = {f"metric_{index}": index + step / 7 for index in range(SCALARS)}
    return json.dumps(values | {"_step": step, "_runtime": step / 100, "_timestamp": 1.7e9 + step / 100})


def bodies(rows: int, per_request: int) -> list[bytes]:
    """The requests of one run."""
    made = []
    for first in range(0, rows, per_request):
        content = [row(step) for step in range(first, min(first + per_request, rows))]
        files = {"wandb-history.jsonl": {"offset": first, "content": content}}
        made.append(json.dumps({"files": files}).encode())
    return made


class Stream:
    """One run's connection."""

    def __init__(self, address: tuple[str, int], head: str, requests: list[bytes]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.head, self.requests, self.next = head, requests, 0
        self.out = memoryview(b"")
        self.answer = b""

    def start(self) -> None:
        """Put the next request on its way."""
        body = self.requests[self.next]
        self.out = memoryview(self.head.format(length=len(body)).encode() + body)
        self.answer = b""
        self.send()

    def send(self) -> None:
        """Send what the socket takes."""
        try:
            while self.out:
                self.out = self.out[self.socket.send(self.out) :]
        except BlockingIOError:
            return

    def receive(self) -> bool:
        """Read; true when the answer is whole."""
        part = self.socket.recv(65536)
        if not part:
            sys.exit("the server closed a connection")
        self.answer += part
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"the server refused rows: {self.answer[:500]!r}")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        if len(body) < length:
            return False
        stored = json.loads(body)["runlane"]["history"]
        sent = json.loads(bytes(self.requests[self.next][:64]).split(b'"offset": ')[1].split(b",")[0])
        if stored <= sent:
            sys.exit(f"answered before the rows were stored: {stored} rows, the request began at {sent}")
        self.next += 1
        return True


def main() -> None:
    """Send everything, tell how long it took."""
    host, port, key, entity, project, *numbers = sys.argv[1:]
    runs, rows, per_request = map(int, numbers)
    requests = bodies(rows, per_request)
    basic = base64.b64encode(f"api:{key}".encode()).decode()
    streams = []
    for number in range(runs):
        head = (
            f"POST /files/{entity}/{project}/run-{number}/file_stream HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Authorization: Basic {basic}\r\nContent-Type: application/json\r\n"
            "Content-Length: {length}\r\n\r\n"
        )
        streams.append(Stream((host, int(port)), head, requests))
    selector = selectors.DefaultSelector()
    begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for stream in streams:
        stream.start()
        selector.register(stream.socket, _events(stream), stream)
    open_streams = len(streams)
    while open_streams:
        for key_, events in selector.select():
            stream = key_.data
            if events & selectors.EVENT_WRITE:
                stream.send()
            if events & selectors.EVENT_READ and stream.receive():
                if stream.next == len(requests):
                    selector.unregister(stream.socket)
                    stream.socket.close()
                    open_streams -= 1
                    continue
                stream.start()
            selector.modify(stream.socket, _events(stream), stream)
    secs = time.perf_counter() - begin
    now = resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    print("RESULT" + json.dumps({"secs": secs, "cpu": cpu, "bytes": runs * sum(map(len, requests))}))


def _events(stream: Stream) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.out else 0)


if __name__ == "__main__":
    main()
