"""Queries over 10,000 runs of 200 keys: filter, order, page, count, on both databases, also while runs are being written.

python benches/run_table.py [--database sqlite postgres] [--runs 10000] [--keys 200] [--rounds 15]

Times are whole requests over HTTP, with the page of 50 runs (config and summary included where it says so).
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import sys
import threading
import time
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bench_world import HERE, Report, World, median
from ingest import UPSERT, BenchServer
from run_seed import seed_postgres, seed_sqlite

sys.path.insert(0, str(HERE.parent / "tests"))
from postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT, PATTERN = "run-table", "pattern"
GOAL_MILLIS = 50.0
LIST = """
query Runs($entity: String!, $project: String!, $filters: JSONString, $order: String, $after: String, $first: Int) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, order: $order, after: $after, first: $first) {
      totalCount edges { node { name displayName state tags config summaryMetrics } cursor } pageInfo { endCursor hasNextPage }
    }
  }
}
"""
CURSORS = LIST.replace("name displayName state tags config summaryMetrics", "name")
COUNT = """
query Count($entity: String!, $project: String!, $filters: JSONString) {
  project(name: $project, entityName: $entity) { runCount(filters: $filters) }
}
"""
GOOD = {"config.lr": {"$lte": 0.01}, "summary_metrics.val.loss": {"$lt": 0.5}}
MIXED = {
    "$or": [
        {"config.optimizer": {"$in": ["adam", "lion"]}, "tags": "tag2"},
        {"displayName": {"$regex": "7$"}, "state": {"$ne": "crashed"}},
    ]
}
QUERIES: dict[str, dict[str, Any]] = {
    "filter by config and summary": {"filters": GOOD, "order": "-created_at"},
    "order by a summary key": {"filters": {}, "order": "-summary_metrics.val.acc"},
    "order by a config key": {"filters": {}, "order": "+config.param_10.value"},
    "filter and order": {"filters": GOOD, "order": "+summary_metrics.metric/40"},
    "filter by text, tags, state, order by text": {"filters": MIXED, "order": "-config.optimizer"},
    "newest first": {"filters": {}, "order": "-created_at"},
}


class Client:
    """One connection to a server."""

    def __init__(self, server: BenchServer, entity: str) -> None:
        self.entity = entity
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=120)
        basic = base64.b64encode(f"api:{server.key}".encode()).decode()
        self.headers = {"Content-Type": "application/json", "Authorization": f"Basic {basic}"}

    def ask(self, query: str, **variables: object) -> tuple[dict[str, Any], float]:
        """The project of the answer, and how many milliseconds it took."""
        variables = {"entity": self.entity, "project": PROJECT, **variables}
        if "filters" in variables:
            variables["filters"] = json.dumps(variables["filters"])
        body = json.dumps({"query": query, "variables": variables})
        begin = perf_counter()
        self.connection.request("POST", "/graphql", body, self.headers)
        text = self.connection.getresponse().read()
        millis = (perf_counter() - begin) * 1e3
        answer = json.loads(text)
        if answer.get("errors"):
            raise RuntimeError(answer["errors"])
        found: dict[str, Any] = answer["data"].get("project") or {}
        return found, millis


@contextmanager
def writing(server: BenchServer, entity: str) -> Iterator[list[int]]:
    """Runs get new summaries all the time, as from trainings; the list's only number says how many."""
    client, written, stop = Client(server, entity), [0], threading.Event()
    query = """
    mutation U($name: String, $entity: String, $project: String, $summary: JSONString) {
      upsertBucket(input: {name: $name, entityName: $entity, modelName: $project, summaryMetrics: $summary}) { inserted }
    }
    """

    def write() -> None:
        while not stop.is_set():
            written[0] += 1
            summary = json.dumps({f"metric/{key}": written[0] / (key + 1) for key in range(100)})
            client.ask(query, name=f"seeded{written[0] * 37 % 1_000}", summary=summary)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def measure_queries(
    database: str, report: Report, *, runs: int = 10_000, keys: int = 200, rounds: int = 15
) -> None:
    """All queries on one database, `sqlite` or `postgres`."""
    world = World(sys.executable, "runlane")
    cluster = Cluster(durable=True) if database == "postgres" else None
    url = cluster.create_database() if cluster else None
    server = None
    try:
        server = BenchServer(world, database=url)
        entity = server.graphql("query { viewer { entity } }")["viewer"]["entity"]
        server.graphql(UPSERT, entity=entity, project=PROJECT, name=PATTERN)
        if cluster and url:
            seed_postgres(cluster.bin / "psql", url, PATTERN, runs, keys)
        else:
            seed_sqlite(server.data / "runlane.db", PATTERN, runs, keys)
        client = Client(server, entity)
        _measure(client, server, report, database, rounds)
    finally:
        if server:
            server.stop()
        if cluster:
            cluster.remove()
        world.close()


def _measure(client: Client, server: BenchServer, report: Report, database: str, rounds: int) -> None:
    def row(what: str, millis: list[float]) -> None:
        report.add(f"{database}: {what}", median(millis), GOAL_MILLIS, at_most=True, unit="ms")

    _, cold = client.ask(CURSORS, first=1, **QUERIES["filter and order"])
    report.note(f"{database}: the first query, which reads all runs", cold, "ms")
    for what, query in QUERIES.items():
        row(f"{what}, 50 runs", [client.ask(LIST, first=50, **query)[1] for _ in range(rounds)])
    row("count", [client.ask(COUNT, filters=GOOD)[1] for _ in range(rounds)])
    after, deep = None, dict(QUERIES["order by a summary key"])
    for _ in range(9):
        page, _ = client.ask(CURSORS, first=1000, after=after, **deep)
        after = page["runs"]["pageInfo"]["endCursor"]
    row("page behind 9,000 runs", [client.ask(LIST, first=50, after=after, **deep)[1] for _ in range(rounds)])
    with writing(server, client.entity) as written:
        begin, before = time.monotonic(), written[0]
        busy = [client.ask(LIST, first=50, **QUERIES["filter and order"])[1] for _ in range(rounds * 3)]
        rate = (written[0] - before) / (time.monotonic() - begin)
    row("filter and order while runs are written", busy)
    report.note(f"{database}: summaries written per second meanwhile", rate, "/s")


def main() -> int:
    """Measure; 1 if a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--database", nargs="+", choices=("sqlite", "postgres"), default=["sqlite", "postgres"]
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    report = Report()
    for database in arguments.database:
        measure_queries(database, report, runs=arguments.runs, keys=arguments.keys, rounds=arguments.rounds)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
