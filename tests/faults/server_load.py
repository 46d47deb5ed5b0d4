"""Writers that stream rows to servers which come and go, and the proof that what was acknowledged is there, once."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

ROWS_PER_REQUEST = 5
UPSERT = """mutation U($name: String!, $project: String!) {
  upsertBucket(input: {name: $name, modelName: $project}) { bucket { name } } }"""
HISTORY = """query H($project: String!, $run: String!) { project(name: $project) { run(name: $run) {
  historyLineCount history(samples: 1000000) } } }"""


def row(run: int, step: int) -> str:
    """The row of a step of a run."""
    return json.dumps({"_step": step, "loss": run + step / 7})


def graphql(base_url: str, key: str, query: str, variables: dict[str, str]) -> dict[str, object]:
    """The `data` of an answer without errors."""
    basic = base64.b64encode(f"api:{key}".encode()).decode()
    request = urllib.request.Request(
        base_url + "/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {basic}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, dict[str, object]] = json.load(answer)
    assert not found.get("errors"), found
    return found["data"]


@dataclass
class Load:
    """Some runs, each streamed by a thread that sends a request until it is answered with 200, to the next server if one fails.

    Args:
        servers: The addresses, as (host, port).
        key: An API key that all of them take.
        entity: Whose runs they are.
        project: Where the runs are; they exist.
        runs: How many.
    """

    servers: list[tuple[str, int]]
    key: str
    entity: str
    project: str
    runs: int = 4
    acknowledged: list[int] = field(init=False)
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.acknowledged = [0] * self.runs
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._stream, args=(run,)) for run in range(self.runs)]

    def create(self, base_url: str) -> None:
        """Create the runs."""
        for run in range(self.runs):
            graphql(base_url, self.key, UPSERT, {"name": f"run-{run}", "project": self.project})

    def start(self) -> None:
        """Begin to stream."""
        for thread in self._threads:
            thread.start()

    def wait_for_more(self, rows: int = ROWS_PER_REQUEST, timeout: float = 60) -> None:
        """Wait until each run has so many more rows acknowledged."""
        wanted = [count + rows for count in self.acknowledged]
        end = time.monotonic() + timeout
        while any(now < want for now, want in zip(self.acknowledged, wanted, strict=True)):
            assert time.monotonic() < end, f"no progress: {self.acknowledged} of {wanted}, {self.answers}"
            time.sleep(0.002)

    def stop(self) -> None:
        """End when what is under way is answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def check(self, base_url: str) -> None:
        """Every acknowledged row is there, once and as it was sent, and of the rest whole requests."""
        for run in range(self.runs):
            names = {"project": self.project, "run": f"run-{run}"}
            found = graphql(base_url, self.key, HISTORY, names)["project"]
            assert isinstance(found, dict)
            lines = found["run"]["history"]
            assert found["run"]["historyLineCount"] == len(lines)
            assert len(lines) in (self.acknowledged[run], self.acknowledged[run] + ROWS_PER_REQUEST)
            assert lines == [row(run, step) for step in range(len(lines))]

    def _stream(self, run: int) -> None:
        server = run
        connection: http.client.HTTPConnection | None = None
        headers = {
            "Content-Type": "application/json",
            "Authorization": "Basic " + base64.b64encode(f"api:{self.key}".encode()).decode(),
        }
        while not self._stop.is_set():
            first = self.acknowledged[run]
            content = [row(run, step) for step in range(first, first + ROWS_PER_REQUEST)]
            body = json.dumps({"files": {"wandb-history.jsonl": {"offset": first, "content": content}}})
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(
                        *self.servers[server % len(self.servers)], timeout=30
                    )
                path = f"/files/{self.entity}/{self.project}/run-{run}/file_stream"
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                answer.read()
                self.answers[str(answer.status)] += 1
                if answer.status == 200:
                    self.acknowledged[run] += ROWS_PER_REQUEST
                    continue
            except (OSError, http.client.HTTPException):
                self.answers["no answer"] += 1
            if connection is not None:
                connection.close()
            connection = None
            server += 1
            time.sleep(0.01)


def until(condition: Callable[[], bool], timeout: float = 30) -> float:
    """Wait for a condition; the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - began
