"""Two server processes on one PostgreSQL database and one bucket: clients may use either, and either may die."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from postgres import Cluster
from runlane._setup import core_binary
from s3 import BUCKET, S3Store
from table import record
from world import Home, exported, make_home

PATIENCE_SECS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Process:
    """One server process: it comes back at the same address, with the same data directory."""

    home: Home
    data: Path
    words: list[str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.data.parent / f"{self.data.name}.log").open("ab")
        self.process = subprocess.Popen(
            [
                core_binary(),
                "server",
                "start",
                "--port",
                str(self.port),
                "--data-dir",
                str(self.data),
                *self.words,
            ],
            env=self.home.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECS
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if request(self.port, "GET", "/ready").status == 200:
                    return
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(PATIENCE_SECS)

    def said(self) -> str:
        return (self.data.parent / f"{self.data.name}.log").read_text(errors="replace")[-4000:]


@dataclass
class Answer:
    status: int
    body: bytes


def request(
    port: int, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


@dataclass
class Pair:
    """Both processes, and a client that goes to the other one when one does not answer."""

    processes: list[Process]
    key: str
    home: Home
    store: S3Store

    @property
    def headers(self) -> dict[str, str]:
        token = base64.b64encode(f"api:{self.key}".encode()).decode()
        return {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def anyhow(self, turn: int, method: str, target: str, body: bytes = b"") -> bytes:
        """The body of a 200 answer, from whichever process gives one; the `turn`th is asked first."""
        deadline = time.monotonic() + PATIENCE_SECS
        for attempt in itertools.count(turn):
            process = self.processes[attempt % 2]
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = request(process.port, method, target, body, self.headers)
                if answer.status == 200:
                    return answer.body
                # Anything else than "try again" is a fault of the server.
                assert answer.status in (429, 503), (answer.status, answer.body)
            assert time.monotonic() < deadline, f"{method} {target} is not answered"
            time.sleep(0.02)
        raise AssertionError

    def graphql(self, turn: int, query: str, **variables: object) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        answer = json.loads(self.anyhow(turn, "POST", "/graphql", body))
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def create(self, turn: int, project: str, run: str) -> None:
        query = (
            "mutation U($run: String, $project: String)"
            " { upsertBucket(input: {name: $run, modelName: $project}) { inserted } }"
        )
        self.graphql(turn, query, run=run, project=project)

    def lines(self, turn: int, project: str, run: str) -> list[str]:
        query = (
            "query H($run: String!, $project: String)"
            " { project(name: $project) { run(name: $run) { history(samples: 1000000) } } }"
        )
        found: list[str] = self.graphql(turn, query, run=run, project=project)["project"]["run"]["history"]
        return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("pair")
    home = make_home(root)
    cluster = Cluster()
    store = S3Store(root / "s3")
    try:
        home.env |= store.env()
        words = ["--database", cluster.create_database(), "--objects", f"s3://{BUCKET}/team"]
        processes = [Process(home, root / name, words) for name in ("a", "b")]
        for process in processes:
            process.start()
        for process in processes:
            process.wait_until_ready()
        keys = [
            exported(home.runlane("server", "env", "--data-dir", str(process.data)).stdout)["WANDB_API_KEY"]
            for process in processes
        ]
        yield Pair(processes, keys[0], home, store)
        for process in processes:
            if process.process is not None and process.process.poll() is None:
                process.end(signal.SIGTERM)
    finally:
        store.stop()
        cluster.remove()


def row(run: int, step: int) -> str:
    return json.dumps({"_step": step, "x": run * 1_000_000 + step})


@dataclass
class Load:
    """Writers of history and of files, over both processes; what was acknowledged."""

    pair: Pair
    project: str
    stop: threading.Event = field(default_factory=threading.Event)
    rows: dict[str, int] = field(default_factory=dict)
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[BaseException] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, writers: int, uploaders: int) -> None:
        jobs: list[Callable[[], None]] = []
        for number in range(writers):
            jobs.append(lambda number=number: self.write(number))  # type: ignore[misc]
        for number in range(uploaders):
            jobs.append(lambda number=number: self.upload(number))  # type: ignore[misc]
        for job in jobs:
            thread = threading.Thread(target=self.guarded, args=(job,))
            thread.start()
            self.threads.append(thread)

    def guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as fault:
            self.faults.append(fault)

    def write(self, number: int) -> None:
        run = f"w{number}"
        self.pair.create(number, self.project, run)
        stored = 0
        for turn in itertools.count(number):
            if self.stop.is_set():
                return
            lines = [row(number, step) for step in range(stored, stored + 25)]
            body = {"files": {"wandb-history.jsonl": {"offset": stored, "content": lines}}}
            target = f"/files/x/{self.project}/{run}/file_stream"
            answer = json.loads(self.pair.anyhow(turn, "POST", target, json.dumps(body).encode()))
            stored += 25
            assert answer["runlane"]["history"] == stored, answer
            self.rows[run] = stored

    def upload(self, number: int) -> None:
        run = f"w{number}"
        self.pair.create(number, self.project, run)
        draw = random.Random(number)
        query = (
            "mutation C($project: String!, $run: String!, $files: [String!]!)"
            ' { createRunFiles(input: {entityName: "x", projectName: $project, runName: $run, files: $files})'
            " { files { uploadUrl } } }"
        )
        for turn in itertools.count(number):
            if self.stop.is_set():
                return
            # Every third name comes again with other bytes.
            name = f"media/{number}-{turn - turn % 3}.bin"
            content = draw.randbytes(draw.choice([0, 10, 5_000, 400_000]))
            created = self.pair.graphql(turn, query, project=self.project, run=run, files=[name])
            url = urlsplit(created["createRunFiles"]["files"][0]["uploadUrl"])
            # Signed by one process, used at the other.
            self.pair.anyhow(turn + 1, "PUT", f"{url.path}?{url.query}", content)
            self.files[run, name] = hashlib.sha256(content).hexdigest()

    def finish(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE_SECS)
            assert not thread.is_alive()
        if self.faults:
            raise self.faults[0]

    def check(self, reader: int) -> None:
        """Everything acknowledged is there once, read through one process."""
        for run, stored in self.rows.items():
            number = int(run.removeprefix("w"))
            found = self.pair.lines(reader, self.project, run)
            assert found == [row(number, step) for step in range(stored)], run
        for (run, name), digest in self.files.items():
            target = f"/api/runs/x/{self.project}/{run}/files/{name}"
            content = self.pair.anyhow(reader, "GET", target)
            assert hashlib.sha256(content).hexdigest() == digest, (run, name)


def test_either_process_may_die_under_load(pair: Pair) -> None:
    """S1, S14: writers and uploaders over both processes while one is killed, comes back, and the other is asked to stop."""
    load = Load(pair, "load")
    load.start(writers=4, uploaders=2)
    deaths = 0
    for victim, how in ((0, signal.SIGKILL), (1, signal.SIGKILL), (0, signal.SIGTERM), (1, signal.SIGTERM)):
        time.sleep(0.6)
        pair.processes[victim].end(how)
        deaths += 1
        time.sleep(0.3)
        pair.processes[victim].start()
        pair.processes[victim].wait_until_ready()
    time.sleep(0.3)
    load.finish()
    assert min(load.rows.values()) > 100
    assert len(load.files) > 4
    for reader in (0, 1):
        load.check(reader)
    rows = sum(load.rows.values())
    record(
        "S1",
        f"one of two servers killed or stopped under load ({rows} rows, {len(load.files)} files)",
        "0 acknowledged rows or files lost",
        "0",
        deaths,
    )
    for process in pair.processes:
        assert "panicked" not in process.said()


def test_what_one_process_stores_the_other_shows_at_once(pair: Pair) -> None:
    """Rows, summary, files and the end of a run; keys and sessions are those of the database."""
    pair.create(0, "seen", "r")
    for turn in range(6):
        body = {
            "files": {
                "wandb-history.jsonl": {"offset": turn, "content": [row(0, turn)]},
                "wandb-summary.json": {"offset": 0, "content": [row(0, turn)]},
            }
        }
        pair.anyhow(turn, "POST", "/files/x/seen/r/file_stream", json.dumps(body).encode())
        query = '{ project(name: "seen") { run(name: "r") { historyLineCount summaryMetrics } } }'
        run = pair.graphql(turn + 1, query)["project"]["run"]
        assert run == {"historyLineCount": turn + 1, "summaryMetrics": row(0, turn)}
        assert pair.lines(turn + 1, "seen", "r") == [row(0, step) for step in range(turn + 1)]


def test_live_events_cross_processes(pair: Pair) -> None:
    """A page that one process serves hears of a run that the other one stores."""
    pair.create(0, "live", "r")
    connection = http.client.HTTPConnection("127.0.0.1", pair.processes[1].port, timeout=20)
    connection.request("GET", "/api/live?entity=x&project=live", headers=pair.headers)
    events = connection.getresponse()
    assert events.status == 200
    assert events.readline() == b"event: ping\n"
    body = json.dumps({"files": {"wandb-history.jsonl": {"offset": 0, "content": [row(0, 0)]}}}).encode()
    answer = request(pair.processes[0].port, "POST", "/files/x/live/r/file_stream", body, pair.headers)
    assert answer.status == 200
    began = time.monotonic()
    for line in iter(events.readline, b""):
        if line.startswith(b"data:") and b'"run":"r"' in line.replace(b" ", b""):
            assert json.loads(line.removeprefix(b"data:"))["historyLineCount"] == 1
            break
        assert time.monotonic() - began < 10
    else:
        pytest.fail("the event stream ended")
    connection.close()


class RoundRobin:
    """A TCP proxy that gives each connection to the next process that takes it."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        for turn in itertools.count():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client, turn), daemon=True).start()

    def serve(self, client: socket.socket, turn: int) -> None:
        for attempt in range(2):
            try:
                server = socket.create_connection(("127.0.0.1", self.ports[(turn + attempt) % 2]), timeout=5)
                break
            except OSError:
                continue
        else:
            client.close()
            return
        server.settimeout(None)
        threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
        self.pump(client, server)

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()

    def close(self) -> None:
        self.listener.close()


SCRIPT = """
import sys, time, wandb
run = wandb.init(project="original", id="w", settings=wandb.Settings(x_file_stream_transmit_interval=0.2))
open("note.txt", "w").write("a note")
run.save("note.txt", policy="now")
for step in range(60):
    run.log({"x": step})
    time.sleep(0.05)
    if step == 20:
        print("logged", flush=True)
run.summary["best"] = 7
run.finish()
print("finished", flush=True)
"""


def test_the_original_client_does_not_notice_a_death(pair: Pair, tmp_path: Path, wandb_python: str) -> None:
    """wandb 0.31.0 behind a round-robin proxy; one process is killed while it logs."""
    proxy = RoundRobin([process.port for process in pair.processes])
    home = make_home(tmp_path)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    env = home.env | {"WANDB_BASE_URL": f"http://127.0.0.1:{proxy.port}", "WANDB_API_KEY": pair.key}
    process = subprocess.Popen(
        [wandb_python, str(script)],
        cwd=home.work,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.strip() == "logged":
                break
        pair.processes[0].end(signal.SIGKILL)
        said += process.stdout.read()
        assert process.wait(PATIENCE_SECS) == 0, said
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        pair.processes[0].start()
        pair.processes[0].wait_until_ready()
        proxy.close()
    query = (
        '{ project(name: "original") { run(name: "w")'
        " { state summaryMetrics historyLineCount files { edges { node { name } } } } } }"
    )
    for reader in (1, 0):
        run = pair.graphql(reader, query)["project"]["run"]
        assert (run["state"], run["historyLineCount"]) == ("finished", 60), said
        assert json.loads(run["summaryMetrics"])["best"] == 7
        names = {edge["node"]["name"] for edge in run["files"]["edges"]}
        assert {"note.txt", "config.yaml", "wandb-summary.json"} <= names
        rows = [json.loads(line) for line in pair.lines(reader, "original", "w")]
        assert [one["x"] for one in rows] == list(range(60))


def test_while_the_bucket_is_away_rows_are_stored_and_files_wait(pair: Pair) -> None:
    """S6 over the wire: 503 with `Retry-After` for files, 200 for rows, and all is well afterwards."""
    pair.create(0, "outage", "r")
    query = (
        'mutation { createRunFiles(input: {entityName: "x", projectName: "outage", runName: "r", files: ["a.txt"]})'
        " { files { uploadUrl } } }"
    )
    url = urlsplit(pair.graphql(0, query)["createRunFiles"]["files"][0]["uploadUrl"])
    target = f"{url.path}?{url.query}"
    pair.store.fail({"status": 503, "code": "SlowDown"})
    try:
        answer = request(pair.processes[0].port, "PUT", target, b"content")
        assert answer.status == 503
        assert json.loads(answer.body)["error"]["code"] == "unavailable"
        body = json.dumps({"files": {"wandb-history.jsonl": {"offset": 0, "content": [row(0, 0)]}}}).encode()
        pair.anyhow(1, "POST", "/files/x/outage/r/file_stream", body)
    finally:
        pair.store.fail()
    files = '{ project(name: "outage") { run(name: "r") { fileCount historyLineCount } } }'
    assert pair.graphql(1, files)["project"]["run"] == {"fileCount": 0, "historyLineCount": 1}
    assert request(pair.processes[1].port, "PUT", target, b"content").status == 200
    assert pair.anyhow(0, "GET", "/api/runs/x/outage/r/files/a.txt") == b"content"
