"""Rows per second that one server takes through file_stream from many runs at the same time, durable before each answer."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_world import HERE, Report, World
from ingest_load import row

sys.path.append(str(HERE.parent / "tests"))
from postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

DATABASES = ("sqlite", "postgres")
RUNS, ROWS, ROWS_PER_REQUEST = 50, 20_000, 1_000
UPSERT = """
mutation Upsert($name: String!, $entity: String!, $project: String!) {
  upsertBucket(input: {name: $name, entityName: $entity, modelName: $project}) { bucket { name } }
}
"""
HISTORY = """
query History($entity: String!, $project: String!, $run: String!, $from: Int64, $to: Int64) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { historyLineCount history(minStep: $from, maxStep: $to, samples: 100000) }
  }
}
"""


class BenchServer:
    """A server of the installed package on a free port, on a PostgreSQL database if given; `words` are more of `server start`'s options."""

    def __init__(self, world: World, *words: str, database: str | None = None) -> None:
        self.world, self.data = world, world.home / ("server-postgres" if database else "server")
        self.env = {**world.env, **({"RUNLANE_DATABASE_URL": database} if database else {})}
        self._run("start", "--detach", "--port", "0", *words)
        lines = self._run("env").splitlines()
        found = dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
        self.base_url, self.key = (found[name].strip("'\"") for name in ("WANDB_BASE_URL", "WANDB_API_KEY"))
        self.host, _, port = self.base_url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.pid = int((self.data / "server.pid").read_text().split()[0])

    def _run(self, *words: str) -> str:
        command = [self.world.python, "-m", "runlane", "server", *words, "--data-dir", str(self.data)]
        return subprocess.run(
            command, env=self.env, cwd=self.world.home, check=True, capture_output=True, text=True
        ).stdout

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        """The `data` of an answer."""
        basic = base64.b64encode(f"api:{self.key}".encode()).decode()
        request = urllib.request.Request(
            self.base_url + "/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {basic}"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            found = json.load(answer)
        if found.get("errors"):
            raise RuntimeError(found["errors"])
        data: dict[str, Any] = found["data"]
        return data

    def cpu(self) -> float:
        """CPU seconds that the server has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self._run("stop")


def measure_ingest(world: World, report: Report, databases: Sequence[str] = DATABASES) -> None:
    """50 runs at once, 20,000 rows of 10 scalars each, at most 1,000 rows a request; all rows read back.

    Args:
        world: Where the server runs.
        report: What is measured goes there.
        databases: Of `sqlite` and `postgres` those to measure; a PostgreSQL cluster that syncs as SQLite does is started for it.
    """
    for database in databases:
        if database == "sqlite":
            _measure(world, report, None)
            continue
        cluster = Cluster(durable=True)
        try:
            _measure(world, report, cluster.create_database())
        finally:
            cluster.remove()


def _measure(world: World, report: Report, database: str | None) -> None:
    server = BenchServer(world, database=database)
    place, goal = (", PostgreSQL", 50_000) if database else ("", 100_000)
    try:
        entity = server.graphql("query { viewer { entity } }")["viewer"]["entity"]
        for number in range(RUNS):
            server.graphql(UPSERT, name=f"run-{number}", entity=entity, project="ingest")
        words = [server.host, server.port, server.key, entity, "ingest", RUNS, ROWS, ROWS_PER_REQUEST]
        command = [sys.executable, str(HERE / "ingest_load.py"), *map(str, words)]
        before = server.cpu()
        output = subprocess.run(command, env=world.env, check=True, capture_output=True, text=True).stdout
        used = server.cpu() - before
        load = json.loads(output.partition("RESULT")[2])
        rows = RUNS * ROWS
        report.add(
            f"file_stream ingest, rows x 10 scalars per second{place}",
            rows / load["secs"],
            goal,
            unit=" rows/s",
            firm=database is None,
        )
        report.note("the generator's CPU / wall time", load["cpu"] / load["secs"])
        report.note("the server's CPU / wall time", used / load["secs"])
        read_back(server, entity)
    finally:
        server.stop()


def read_back(server: BenchServer, entity: str) -> None:
    """Every row of every run is there; three runs value by value."""
    for number in range(RUNS):
        run = _history(server, entity, number, 0, 1)
        if run["historyLineCount"] != ROWS:
            raise RuntimeError(f"run-{number} has {run['historyLineCount']} rows of {ROWS}")
    for number in (0, RUNS // 2, RUNS - 1):
        for first in range(0, ROWS, 10_000):
            lines = _history(server, entity, number, first, first + 10_000)["history"]
            expected = [json.loads(row(step)) for step in range(first, first + 10_000)]
            if [json.loads(line) for line in lines] != expected:
                raise RuntimeError(f"rows {first} and following of run-{number} are not what was sent")


def _history(server: BenchServer, entity: str, number: int, first: int, end: int) -> dict[str, Any]:
    words = {"entity": entity, "project": "ingest", "run": f"run-{number}", "from": first, "to": end}
    run: dict[str, Any] = server.graphql(HISTORY, **words)["project"]["run"]
    return run
