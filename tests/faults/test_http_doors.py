"""The server's door, with clients that are slow, rude or wrong: over bare sockets, byte by byte."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from world import Home, Server, make_home, start_server, stop_server

PATIENCE_SECS = 15


@dataclass
class Door:
    """A server with short patience, and how to speak to it."""

    server: Server
    home: Home

    @property
    def port(self) -> int:
        return int(self.server.base_url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        return int((self.server.data_dir / "server.pid").read_text().split()[0])

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(b"api:" + self.server.api_key.encode()).decode()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """The head of a request with credentials."""
        fixed = (
            f"{method} {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: {self.authorization}",
        )
        return "\r\n".join((*fixed, *lines, "", "")).encode("latin-1")

    def post(self, path: str, body: bytes, *lines: str) -> Answer:
        """One whole request with a JSON body."""
        head = self.head(
            "POST", path, "Content-Type: application/json", f"Content-Length: {len(body)}", *lines
        )
        with self.connect() as connection:
            connection.sendall(head + body)
            return read_answer(connection)

    def graphql(self, query: str) -> dict[str, object]:
        answer = self.post("/graphql", json.dumps({"query": query}).encode())
        assert answer.status == 200, answer
        data: dict[str, object] = answer.json()["data"]
        return data

    def is_well(self) -> bool:
        """Whether an ordinary request is answered, in ordinary time."""
        began = time.monotonic()
        with self.connect() as connection:
            connection.sendall(self.head("GET", "/api/session"))
            return read_answer(connection).status == 200 and time.monotonic() - began < 2


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def read_answer(connection: socket.socket) -> Answer:
    """The next answer on a connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {received!r}")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", "0")):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("closed within a body")
        body += piece
    return Answer(int(lines[0].split()[1]), headers, body)


def closed_after(connection: socket.socket) -> tuple[float, bytes]:
    """How long the server leaves the connection open, and what it says before."""
    began = time.monotonic()
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return time.monotonic() - began, received


def wait_until(is_true: Callable[[], bool], otherwise: str) -> None:
    """Return when it is true; fail with `otherwise` if that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECS
    while not is_true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    root = tmp_path_factory.mktemp("door")
    home = make_home(root)
    patience = ("--head-timeout-secs", "1", "--stall-timeout-secs", "1", "--idle-timeout-secs", "2")
    server = start_server(home, root / "data", *patience, "--max-connections", "200")
    made = Door(server, home)
    made.graphql('mutation { upsertBucket(input: {name: "r", modelName: "p"}) { inserted } }')
    yield made
    stop_server(home, root / "data")


STREAM = "/files/x/p/r/file_stream"
ROW = json.dumps({"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"_step":0}']}}}).encode()


def stored_lines(door: Door) -> object:
    return door.graphql('{ project(name: "p") { run(name: "r") { historyLineCount } } }')["project"]


NOTHING = {"run": {"historyLineCount": 0}}


def test_a_body_without_end_is_given_up(door: Door) -> None:
    """Chunks that stop coming: 408 after the pause that is allowed, nothing stored."""
    with door.connect() as connection:
        connection.sendall(
            door.head("POST", STREAM, "Content-Type: application/json", "Transfer-Encoding: chunked")
            + b"%x\r\n" % len(ROW)
            + ROW
            + b"\r\n"
        )
        began = time.monotonic()
        answer = read_answer(connection)
    assert answer.status == 408, answer
    assert answer.json()["error"]["code"] == "timeout"
    assert 0.5 < time.monotonic() - began < 5
    assert stored_lines(door) == NOTHING
    assert door.is_well()


@pytest.mark.parametrize(
    "sent",
    [b"zz\r\nx\r\n", b"-1\r\n\r\n", b"ffffffffffffffffff\r\nx", b"5\r\nabcXX\r\n0\r\n\r\n"],
    ids=["no number", "negative", "huge", "longer than it says"],
)
def test_chunks_that_are_malformed_are_refused(door: Door, sent: bytes) -> None:
    """400 or a closed connection; nothing stored; the next client is served."""
    with door.connect() as connection:
        connection.sendall(
            door.head("POST", STREAM, "Content-Type: application/json", "Transfer-Encoding: chunked") + sent
        )
        _, received = closed_after(connection)
    assert received == b"" or received.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408")), received
    assert stored_lines(door) == NOTHING
    assert door.is_well()


def test_a_body_shorter_than_announced_is_not_stored(door: Door) -> None:
    """The client goes away in the middle of a body, plain or gzip."""
    zipped = gzip.compress(ROW)
    for body, lines in ((ROW, ()), (zipped, ("Content-Encoding: gzip",))):
        with door.connect() as connection:
            announced = f"Content-Length: {len(body) + 5}"
            connection.sendall(
                door.head("POST", STREAM, "Content-Type: application/json", announced, *lines) + body
            )
            connection.shutdown(socket.SHUT_WR)
            _, received = closed_after(connection)
        assert received == b"" or received.startswith(b"HTTP/1.1 400"), received
    answer = door.post(STREAM, zipped[:-6], "Content-Encoding: gzip")
    assert (answer.status, answer.json()["error"]["code"]) == (400, "malformed")
    assert stored_lines(door) == NOTHING


def test_heads_that_do_not_end_are_given_up(door: Door) -> None:
    """A header every 200 ms, for as long as the server likes: no longer than the head may take."""
    with door.connect() as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{door.port}\r\n".encode())
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 6:
                connection.sendall(b"X-More: 1\r\n")
                connection.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1024):
                        break
        assert time.monotonic() - began < 4
    assert door.is_well()


def test_connections_without_requests_are_closed(door: Door) -> None:
    """Before the first request, and between requests."""
    with door.connect() as connection:
        waited, received = closed_after(connection)
        assert received == b""
        assert 1 < waited < 5
    with door.connect() as connection:
        connection.sendall(door.head("GET", "/healthz"))
        assert read_answer(connection).status == 200
        waited, _ = closed_after(connection)
        assert 1 < waited < 5


def test_a_client_that_takes_no_answer_is_given_up(door: Door) -> None:
    """A file of 30 MB whose reader stops reading: the connection ends, the server's memory stays."""
    create = (
        'mutation { createRunFiles(input: {entityName: "x", projectName: "p", runName: "r", files: ["big"]})'
        " { files { uploadUrl } } }"
    )
    created = door.graphql(create)["createRunFiles"]
    assert isinstance(created, dict)
    path = created["files"][0]["uploadUrl"].removeprefix(door.server.base_url)
    body = bytes(30 << 20)
    with door.connect() as connection:
        connection.sendall(door.head("PUT", path, f"Content-Length: {len(body)}") + body)
        assert read_answer(connection).status == 200
    process = psutil.Process(door.pid)

    def open_connections() -> int:
        return sum(one.status == "ESTABLISHED" for one in process.net_connections("tcp"))

    wait_until(lambda: open_connections() == 0, "the upload's connection is open")
    stalled = [socket.socket() for _ in range(5)]
    for connection in stalled:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", door.port))
        connection.sendall(door.head("GET", "/api/runs/x/p/r/files/big"))
    wait_until(lambda: open_connections() == 5, "the readers are not served")
    assert process.memory_info().rss < 400 << 20
    wait_until(lambda: open_connections() == 0, "stalled readers are still served")
    for connection in stalled:
        connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", b"431"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic " + b"A" * (1 << 20) + b"\r\n\r\n",
            b"431",
        ),
    ],
    ids=["very long path", "long path", "header of 1 MiB", "50,000 headers", "credentials of 1 MiB"],
)
def test_heads_that_are_too_large_are_refused(door: Door, head: bytes, status: bytes) -> None:
    with door.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head)
        _, received = closed_after(connection)
    assert received.startswith(b"HTTP/1.1 " + status), received[:200]
    assert door.is_well()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET\t/\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: b\xc3\xbccher.example\r\n\r\n",
        b"GET http://evil.example/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
    ids=[
        "empty lines",
        "TLS",
        "unknown version",
        "tabs",
        "no colon",
        "folded",
        "NUL",
        "negative length",
        "two lengths",
        "unknown coding",
        "no host",
        "host that is no ASCII",
        "host of somebody else",
    ],
)
def test_requests_that_are_none_are_refused(door: Door, request_bytes: bytes) -> None:
    """A status of the client's fault, or a closed connection; never a crash, never another request smuggled in."""
    with door.connect() as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        _, received = closed_after(connection)
    assert received == b"" or received.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), received[:200]
    assert received.count(b"HTTP/1.1 ") <= 1
    assert door.is_well()


def test_a_request_cannot_be_hidden_in_another(door: Door) -> None:
    """A length and chunks in one request: whichever counts, the hidden request is not answered."""
    hidden = door.head("GET", "/api/session")
    with door.connect() as connection:
        connection.sendall(
            door.head(
                "POST",
                "/graphql",
                "Content-Type: application/json",
                f"Content-Length: {5 + len(hidden)}",
                "Transfer-Encoding: chunked",
            )
            + b"0\r\n\r\n"
            + hidden
        )
        _, received = closed_after(connection)
    assert b'"username"' not in received, received


def test_a_refusal_reaches_a_client_that_is_still_sending(door: Door) -> None:
    """5 MB with a wrong key: the client reads 401, not a reset."""
    body = b" " * (5 << 20)
    head = door.head("POST", "/graphql", "Content-Type: application/json", f"Content-Length: {len(body)}")
    head = head.replace(door.authorization.encode(), b"Basic " + base64.b64encode(b"api:wrong"))
    with door.connect() as connection:
        connection.sendall(head + body)
        answer = read_answer(connection)
    assert answer.status == 401
    announced = door.head("POST", "/graphql", "Content-Type: application/json", "Content-Length: 99999999999")
    with door.connect() as connection:
        connection.sendall(announced + body)
        answer = read_answer(connection)
    assert (answer.status, answer.json()["error"]["code"]) == (413, "too_large")


def test_crowds_of_idle_connections_leave_room_for_others(door: Door) -> None:
    """More connections than the server takes: the last ones are told so; when the idle ones are gone, all is well."""
    crowd = [door.connect() for _ in range(200)]
    try:
        deadline = time.monotonic() + PATIENCE_SECS
        while True:
            with door.connect() as connection:
                _, received = closed_after(connection)
            if received:
                break
            assert time.monotonic() < deadline
        assert received.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in received
        while True:
            with contextlib.suppress(ConnectionError):
                if door.is_well():
                    break
            assert time.monotonic() < deadline, "the crowd was not sent away"
            time.sleep(0.1)
    finally:
        for connection in crowd:
            connection.close()


def test_slow_uploads_cost_no_memory_and_no_time_of_others(door: Door) -> None:
    """100 clients announce 64 MiB each and send a little: others are served, the memory stays."""
    process = psutil.Process(door.pid)
    before = process.memory_info().rss
    slow = []
    for _ in range(100):
        connection = door.connect()
        announced = ("Content-Type: application/json", f"Content-Length: {64 << 20}")
        connection.sendall(door.head("POST", STREAM, *announced) + b" " * 20_000)
        slow.append(connection)
    for _ in range(10):
        assert door.is_well()
    assert process.memory_info().rss - before < 64 << 20
    statuses = [read_answer(connection).status for connection in slow]
    assert set(statuses) == {408}
    for connection in slow:
        connection.close()


def test_no_answer_and_no_line_of_the_log_has_the_key(door: Door) -> None:
    """After all that came before in this module."""
    log = (door.server.data_dir / "server.log").read_text()
    assert door.server.api_key not in log
    assert door.authorization.removeprefix("Basic ") not in log
    assert "panicked" not in log


def wait_for_end(pid: int) -> None:
    psutil.Process(pid).wait(PATIENCE_SECS)


@pytest.fixture
def own_door(tmp_path: Path) -> Iterator[Door]:
    home = make_home(tmp_path)
    server = start_server(home, tmp_path / "data", "--drain-secs", "1")
    made = Door(server, home)
    made.graphql('mutation { upsertBucket(input: {name: "r", modelName: "p"}) { inserted } }')
    yield made
    with contextlib.suppress(OSError, FileNotFoundError, IndexError):
        os.kill(made.pid, signal.SIGKILL)


def test_a_stopping_server_finishes_what_it_began(own_door: Door) -> None:
    """S14: `/ready` says so first, the open request is answered with `Connection: close`, then the process ends with 0."""
    pid = own_door.pid
    with own_door.connect() as slow, own_door.connect() as idle:
        idle.sendall(own_door.head("GET", "/healthz"))
        assert read_answer(idle).status == 200
        length = f"Content-Length: {len(ROW)}"
        slow.sendall(own_door.head("POST", STREAM, "Content-Type: application/json", length) + ROW[:10])
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_SECS
        while True:
            with own_door.connect() as probe:
                probe.sendall(own_door.head("GET", "/ready"))
                ready = read_answer(probe)
            if ready.status == 503:
                break
            assert time.monotonic() < deadline
        assert ready.json() == {"status": "stopping"}
        assert ready.headers["connection"] == "close"
        # Still taken, while balancers look elsewhere.
        accepted = own_door.post(STREAM, b"{}")
        assert (accepted.status, accepted.headers["connection"]) == (200, "close")
        while True:
            try:
                own_door.connect().close()
            except ConnectionRefusedError:
                break
            assert time.monotonic() < deadline, "connections are still accepted"
            time.sleep(0.02)
        assert closed_after(idle)[1] == b""
        slow.sendall(ROW[10:])
        answer = read_answer(slow)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert json.loads(answer.body)["runlane"]["history"] == 1
    wait_for_end(pid)
    assert "cut off" not in (own_door.server.data_dir / "server.log").read_text()
