"""Filters, orders and pages of runs as the real client's Public API asks for them."""

from __future__ import annotations

import base64
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from postgres import Cluster
from world import REPOSITORY, Home, Server, make_home, start_server, stop_server

sys.path.insert(0, str(REPOSITORY / "benches"))
from run_seed import seed_sqlite

FIELDS = "$n{0}: String, $c{0}: JSONString, $s{0}: JSONString, $t{0}: [String!], $g{0}: String, $d{0}: String, $st{0}: String"
UPSERT = (
    "u{0}: upsertBucket(input: {{name: $n{0}, modelName: $project, config: $c{0}, summaryMetrics: $s{0}, "
    "tags: $t{0}, groupName: $g{0}, displayName: $d{0}, jobType: $g{0}, state: $st{0}}}) {{ inserted }}"
)
AT_ONCE = 50


def post(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON that a request is answered with."""
    basic = base64.b64encode(f"api:{server.api_key}".encode()).decode()
    request = urllib.request.Request(
        server.base_url + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {basic}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def graphql(server: Server, query: str, **variables: object) -> dict[str, Any]:
    """The `data` of an answer."""
    found = post(server, "/graphql", {"query": query, "variables": variables})
    assert not found.get("errors"), found
    data: dict[str, Any] = found["data"]
    return data


def seed(server: Server, project: str, runs: list[dict[str, Any]]) -> None:
    """Make runs over the API, many in one request and several requests at a time."""
    graphql(
        server,
        "mutation ($p: String) { upsertModel(input: {name: $p}) { inserted } }",
        p=project,
    )

    def send(some: list[dict[str, Any]]) -> None:
        variables: dict[str, Any] = {"project": project}
        for place, run in enumerate(some):
            config = {key: {"value": value} for key, value in run.get("config", {}).items()}
            variables |= {
                f"n{place}": run["name"],
                f"c{place}": json.dumps(config),
                f"s{place}": json.dumps(run.get("summary", {})),
                f"t{place}": run.get("tags", []),
                f"g{place}": run.get("group"),
                f"d{place}": run.get("display_name", run["name"]),
                f"st{place}": run.get("state", "running"),
            }
        words = ", ".join(FIELDS.format(place) for place in range(len(some)))
        body = " ".join(UPSERT.format(place) for place in range(len(some)))
        graphql(server, f"mutation ($project: String, {words}) {{ {body} }}", **variables)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, (runs[start : start + AT_ONCE] for start in range(0, len(runs), AT_ONCE))))


def end(server: Server, project: str, run: str, exit_code: int) -> None:
    """Finish a run, as its client does."""
    entity = graphql(server, "{ viewer { entity } }")["viewer"]["entity"]
    post(server, f"/files/{entity}/{project}/{run}/file_stream", {"complete": True, "exitcode": exit_code})


def asked(home: Home, server: Server, python: str, script: str, **words: object) -> Any:
    """What a script of the real client prints last, as JSON; `words` are its variables."""
    values = f"import json\nglobals().update(json.loads({json.dumps(words)!r}))\n"
    done = home.python(values + script, env=server.env, python=python)
    return json.loads(done.stdout.strip().splitlines()[-1])


def example_runs() -> list[dict[str, Any]]:
    """Eight runs with a little of everything."""
    return [
        {
            "name": f"run{index}",
            "display_name": f"name-{index}",
            "group": f"g{index % 2}",
            "tags": ["odd", "x"] if index % 2 else [],
            "state": ["running", "running", "running", "pending"][index % 4],
            "config": {
                "lr": [0.01, 0.1][index % 2],
                "nested": {"x": index % 3, "list": [index, {"y": 1}]},
                "dotted.key": index,
                "text": f"t{index % 4}",
                **({"rare": True} if index == 5 else {}),
            },
            "summary": {
                "loss": float("nan") if index == 3 else 2 - index / 4,
                "train": {"acc": index / 8},
                **({} if index == 6 else {"score": index % 4}),
            },
        }
        for index in range(8)
    ]


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "01234567"),
    ({"state": "finished"}, "04"),
    ({"config.lr": {"$gt": 0.05}}, "1357"),
    ({"config.lr.value": {"$gt": 0.05}}, "1357"),
    ({"config.nested.x": 1}, "147"),
    ({"config.nested.value.x": 1}, "147"),
    ({"config.nested.list.0": {"$in": [1, 2]}}, "12"),
    ({"config.dotted.key": {"$gte": 6}}, "67"),
    ({"summary_metrics.loss": {"$lt": 1.5}}, "4567"),
    ({"summary_metrics.train.acc": {"$gte": 0.5}}, "4567"),
    ({"summary_metrics.score": None}, "6"),
    ({"summary_metrics.score": {"$exists": False}}, "6"),
    ({"summary_metrics.score": {"$ne": 3}}, "012456"),
    ({"summary_metrics.score": {"$nin": [0, 1, 2]}}, "367"),
    ({"config.rare": True}, "5"),
    ({"config.rare": {"$ne": True}}, "0123467"),
    ({"tags": {"$in": ["odd"]}}, "1357"),
    ({"tags": "x"}, "1357"),
    ({"tags": {"$ne": "x"}}, "0246"),
    ({"tags": None}, "0246"),
    ({"tags.odd": True}, "1357"),
    ({"displayName": {"$regex": "^name-[01]"}}, "01"),
    ({"display_name": {"$contains": "-7"}}, "7"),
    ({"$or": [{"name": "run0"}, {"group": "g1"}]}, "01357"),
    ({"$nor": [{"name": "run0"}, {"group": "g1"}]}, "246"),
    ({"$and": [{"jobType": "g1"}, {"$not": {"state": "pending"}}]}, "15"),
    ({"jobType": "g0", "username": "USER"}, "0246"),
    ({"username": "nobody"}, ""),
    ({"createdAt": {"$gt": "2020-01-01T00:00:00"}}, "01234567"),
    ({"created_at": {"$lt": "2020-01"}}, ""),
    ({"heartbeat_at": {"$gte": "2020"}}, "01234567"),
    ({"$and": [{"sweep": "cee3abd6"}]}, ""),
    ({"$or": [{"$and": [{"config.text.value": "t1"}, {"tags": {"$all": ["x", "odd"]}}]}]}, "15"),
    ({"inputArtifacts": "model:latest"}, ""),
    ({"duration": {"$gte": 0}}, "01234567"),
]
ORDERS = [
    ("+created_at", "01234567"),
    ("-created_at", "76543210"),
    ("created_at", "01234567"),
    ("-name", "76543210"),
    ("+displayName", "01234567"),
    ("+summary_metrics.loss", "76542103"),
    ("-summary_metrics.loss", "01245673"),
    ("-summary_metrics.train.acc", "76543210"),
    ("+summary_metrics.score", "04152376"),
    ("-summary_metrics.score", "37215046"),
    ("+config.lr", "02461357"),
    ("-config.lr.value", "13570246"),
    ("-config.nested.x", "25147036"),
    ("+state", "26043715"),
]
EVERYTHING = """
import wandb
api = wandb.Api()
user = api.viewer.username
found = {}
for place, (filters, expected) in enumerate(filters_asked):
    filters = json.loads(json.dumps(filters).replace("USER", user))
    runs = api.runs(path, filters=filters, order="+name", per_page=3)
    listed = [run.id for run in runs]
    assert len(runs) == len(listed), (filters, len(runs), listed)
    found[str(place)] = "".join(name[-1] for name in listed)
orders = {order: "".join(run.id[-1] for run in api.runs(path, order=order, per_page=3)) for order, _ in orders_asked}
refused = {}
for words in bad:
    try:
        list(api.runs(path, **words))
        refused[json.dumps(words)] = "nothing raised"
    except Exception as error:
        refused[json.dumps(words)] = f"{type(error).__name__}: {error}"
print(json.dumps({"filters": found, "orders": orders, "refused": refused}))
"""
BAD: list[tuple[dict[str, Any], str]] = [
    ({"filters": {"config.lr": {"$near": 1}}}, "/config.lr/$near"),
    ({"filters": {"nonsense": 1}}, "`nonsense`"),
    ({"filters": {"createdAt": {"$gt": "yesterday"}}}, "a time as text"),
    ({"order": "+nonsense"}, "`nonsense`"),
]


def test_the_reference_s_filters_and_orders(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    """Every example of the reference selects and orders as described; what is unknown is an error that names it."""
    seed(server, project, example_runs())
    for index in (0, 2, 4, 6):
        end(server, project, f"run{index}", exit_code=index // 2 % 2)
    begin = time.monotonic()
    found = asked(
        home,
        server,
        wandb_python,
        EVERYTHING,
        path=project,
        filters_asked=FILTERS,
        orders_asked=ORDERS,
        bad=[words for words, _ in BAD],
    )
    took = time.monotonic() - begin
    for place, (filters, expected) in enumerate(FILTERS):
        assert found["filters"][str(place)] == expected, filters
    for order, expected in ORDERS:
        assert found["orders"][order] == expected, order
    for words, part in BAD:
        assert part in found["refused"][json.dumps(words)], words
    # The client does not try again what can never be answered.
    assert took < 60


PAGES = """
import wandb
api = wandb.Api()
sizes = {}
for size in sizes_asked:
    runs = api.runs(path, order="+summary_metrics.score", per_page=size)
    sizes[str(size)] = [run.id for run in runs]
    assert len(runs) == len(sizes[str(size)])
some = api.runs(path, order="-created_at", per_page=1)
first = [some[place].id for place in range(20)]
print(json.dumps({"sizes": sizes, "first": first, "total": len(some), "best": api.runs(path, order="-summary_metrics.score", per_page=1)[0].id}))
"""


def test_pages_over_a_thousand_runs(home: Home, server: Server, project: str, wandb_python: str) -> None:
    """Every page size lists every run once, in order, ties by creation."""
    runs = [{"name": f"r{index:04}", "summary": {"score": index * 7 % 250}} for index in range(1_000)]
    seed(server, project, runs)
    found = asked(home, server, wandb_python, PAGES, path=project, sizes_asked=[13, 50, 200, 1_000])
    every = found["sizes"]["1000"]
    assert sorted(every) == [run["name"] for run in runs]
    scores = [int(name[1:]) * 7 % 250 for name in every]
    assert scores == sorted(scores)
    assert all(listed == every for listed in found["sizes"].values())
    assert found["total"] == 1_000
    assert len(set(found["first"])) == 20
    assert int(found["best"][1:]) * 7 % 250 == 249


LIST = """
query ($project: String, $filters: JSONString, $order: String) {
  project(name: $project) { runs(filters: $filters, order: $order, first: 50) { totalCount edges { node { name } } } }
}
"""


@pytest.mark.parametrize("runs", [3_000])
def test_a_query_over_many_runs_is_soon_answered(server: Server, project: str, runs: int) -> None:
    """Filter and order over thousands of runs take a fraction of a second, also in a build for tests on a busy machine."""
    seed(server, project, [{"name": project[:60]}])
    seed_sqlite(Path(server.data_dir) / "runlane.db", project[:60], runs, keys=60)
    filters = json.dumps({"config.lr": {"$lte": 0.01}, "summary_metrics.val.loss": {"$lt": 0.5}})
    words = {"project": project, "filters": filters, "order": "-summary_metrics.val.acc"}
    graphql(server, LIST, **words)
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        page = graphql(server, LIST, **words)["project"]["runs"]
        times.append(time.perf_counter() - begin)
        assert len(page["edges"]) == 50
        assert 0 < page["totalCount"] < runs
    assert sorted(times)[2] < 0.25, times


def test_servers_on_one_database_see_each_other_s_runs(tmp_path: Path, project: str) -> None:
    """What one process commits, the next query of the other sees, whichever asks first."""
    cluster = Cluster()
    homes: list[tuple[Home, Path]] = []
    try:
        url = cluster.create_database()
        servers = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            homes.append((make_home(tmp_path / name), tmp_path / name / "data"))
            servers.append(start_server(*homes[-1], "--database", url))
        first, second = servers[0], replace(servers[1], api_key=servers[0].api_key)
        good = json.dumps({"summary_metrics.score": {"$gte": 5}})

        def names(server: Server) -> list[str]:
            words = {"project": project, "filters": good, "order": "-summary_metrics.score"}
            edges = graphql(server, LIST, **words)["project"]["runs"]["edges"]
            return [edge["node"]["name"] for edge in edges]

        seed(first, project, [{"name": f"r{score}", "summary": {"score": score}} for score in range(8)])
        assert names(second) == names(first) == ["r7", "r6", "r5"]
        for turn, (writer, reader) in enumerate([(first, second), (second, first)] * 5):
            seed(writer, project, [{"name": f"r{turn % 5}", "summary": {"score": 10 + turn}}])
            assert names(reader)[0] == f"r{turn % 5}"
            assert names(writer) == names(reader)
    finally:
        for started in homes:
            stop_server(*started)
        cluster.remove()
