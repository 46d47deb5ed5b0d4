"""The history as our `Api()` reads it: in exact types, as the real client's, and as data frames."""

from __future__ import annotations

import json
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from reading import plain
from runlane import Api
from runlane.errors import CommError
from world import Home, Server

PROJECT = "api-history"
#: More than the server keeps as a tail.
ROWS, COMPACTED = 21_000, 20_000
ODD = [
    '{"_step":0,"loss":1,"f":1.0,"b":true,"s":"x","n":null,"nan":NaN,"inf":Infinity,"ninf":-Infinity,'
    '"big":9007199254740993,"nest":{"a":{"b":1},"c":2.0},"lit.dot":3,"list":[1,2.5,null,{"x":1}],"e":{},"el":[]}',
    '{"_step":1,"loss":2.5,"f":2,"b":"str","s":5,"n":1,"nest":{"a":{"b":2}},"nan":1.5,"big":0.5}',
    '{"_step":5,"loss":3,"nest":"scalar","lit":{"dot":7},"img":{"_type":"image-file","path":"x.png","size":3}}',
    '{"_step":7,"loss":3,"n":null,"s":"\\u00fc\\ud83d\\ude00","\\ud83d\\ude00":"key"}',
    '{"_step":9,"loss":-0.0,"small":1e-300,"exp":1e22,"neg":-9223372036854775808}',
]


class Stored:
    """A server with runs that are made of lines."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.api = Api({"base_url": server.base_url}, api_key=server.api_key)
        self.entity = str(self.api.default_entity)

    def post(self, run: str, body: dict[str, Any], client: str | None = None) -> None:
        basic = b64encode(f"api:{self.server.api_key}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {basic}"}
        if client is not None:
            headers["X-WANDB-ASYNC-CLIENT-ID"] = client
        url = f"{self.server.base_url}/files/{self.entity}/{PROJECT}/{run}/file_stream"
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).close()

    def make(self, run: str, lines: list[str], *, client: str | None = None, start: int = 0) -> Any:
        """Store lines of history; the run."""
        self.api.create_run(run_id=run, project=PROJECT, entity=self.entity)
        for offset in range(0, len(lines), 5_000):
            content = {"offset": start + offset, "content": lines[offset : offset + 5_000]}
            self.post(run, {"files": {"wandb-history.jsonl": content}}, client)
        return Api({"base_url": self.server.base_url}, api_key=self.server.api_key).run(f"{PROJECT}/{run}")

    def finish(self, run: str) -> None:
        self.post(run, {"complete": True, "exitcode": 0})


@pytest.fixture(scope="module")
def stored(server: Server) -> Stored:
    return Stored(server)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    made = list(ODD)
    for step in range(10, ROWS):
        row: dict[str, Any] = {"_step": step, "loss": step / 7, "count": step}
        if step % 1_000 == 0:
            row["rare"] = {"deep": step}
        made.append(json.dumps(row))
    return made


def _objects(stored: Stored) -> set[Path]:
    return set(stored.server.data_dir.glob("objects/**/*.parquet"))


@pytest.fixture(scope="module", autouse=True)
def begun(stored: Stored, lines: list[str]) -> tuple[Any, set[Path]]:
    """The long run's first rows, stored before any test: the server moves them into an object within 15 s. And the objects before."""
    before = _objects(stored)
    return stored.make("long", lines[:COMPACTED]), before


@pytest.fixture(scope="module")
def long_run(stored: Stored, lines: list[str], begun: tuple[Any, set[Path]]) -> Any:
    """A run whose first rows are in a Parquet object and whose last ones are not."""
    run, before = begun
    deadline = time.monotonic() + 60
    while _objects(stored) == before:
        assert time.monotonic() < deadline, "no Parquet object was written"
        time.sleep(0.1)
    # The object is referred to a moment after it was written.
    time.sleep(0.3)
    content = {"offset": COMPACTED, "content": lines[COMPACTED:]}
    stored.post("long", {"files": {"wandb-history.jsonl": content}})
    stored.finish("long")
    return run


@pytest.fixture(scope="module")
def odd_run(stored: Stored) -> Any:
    """A run with the odd rows alone, none of them in an object."""
    run = stored.make("odd", ODD)
    stored.finish("odd")
    return run


def _exact(rows: Any) -> list[str]:
    """Rows as text, where 1 differs from 1.0 and a null from a missing key."""
    return [json.dumps(row, sort_keys=True) for row in rows]


# Runs in either client: what both say about the same run.
READ = """
import json
import {module} as wandb
run = wandb.Api().run({path!r})
scans = [{{}}, {{"max_step": 8}}, {{"min_step": 1, "max_step": 6}}, {{"keys": ["loss"]}}, {{"keys": ["nest.a.b"]}}, {{"keys": ["nest.a"]}},
    {{"keys": ["nest"]}}, {{"keys": ["lit.dot"]}}, {{"keys": ["s", "loss"]}}, {{"keys": ["n"]}}, {{"keys": ["b", "f", "inf"]}}, {{"keys": ["none"]}},
    {{"keys": ["nan"]}}, {{"keys": ["list"]}}, {{"keys": ["e"]}}, {{"keys": ["img"]}}, {{"keys": ["_step"]}}, {{"keys": []}}, {{"min_step": -5}},
    {{"keys": ["loss"], "min_step": 1, "max_step": 7, "page_size": 2}}]
samples = [{{}}, {{"samples": 3}}, {{"keys": ["loss", "nan"]}}, {{"keys": ["nest.a.b"]}}, {{"keys": ["n"]}}, {{"keys": ["loss"], "x_axis": "f"}},
    {{"stream": "system"}}]
print("READ" + json.dumps({{
    "scans": [list(run.scan_history(**options)) for options in scans],
    "samples": [run.history(pandas=False, **options) for options in samples],
    "columns": sorted(run.history().columns), "last": run.lastHistoryStep, "keys": sorted(run.history_keys["keys"]),
    "histories": wandb.Api().runs({project!r}, filters={{"name": run.id}}).histories(samples=3),
}}))
"""


def _read(home: Home, server: Server, module: str, path: str, python: str | None = None) -> Any:
    code = READ.format(module=module, path=path, project=path.rpartition("/")[0])
    output = home.python(code, env=server.env, **({"python": python} if python else {})).stdout
    line = next(line for line in output.splitlines() if line.startswith("READ"))
    return plain(json.loads(line.removeprefix("READ")))


def test_both_clients_read_the_same(home: Home, stored: Stored, odd_run: Any, wandb_python: str) -> None:
    path = "/".join(odd_run.path)
    ours = _read(home, stored.server, "runlane", path)
    theirs = _read(home, stored.server, "wandb", path, wandb_python)
    assert ours.keys() == theirs.keys()
    for name in ours:
        for mine, other in zip(ours[name], theirs[name], strict=True) if isinstance(ours[name], list) else []:
            assert mine == other, name
        assert ours[name] == theirs[name], name


def test_rows_of_several_writers_are_merged_by_step(stored: Stored) -> None:
    for number, client in enumerate(("one", "two")):
        rows = [json.dumps({"_step": step, "x": step, "by": client}) for step in range(number, 600, 2)]
        run = stored.make("shared", rows, client=client)
    rows = list(run.scan_history())
    assert [row["_step"] for row in rows] == [row["x"] for row in rows] == list(range(600))
    assert [row["by"] for row in rows[:4]] == ["one", "two", "one", "two"]
    assert [row["_step"] for row in run.scan_history(keys=["by"], min_step=5, max_step=9)] == [5, 6, 7, 8]


def test_system_metrics_come_as_a_frame_too(stored: Stored) -> None:
    run = stored.make("metrics", ODD[:1])
    rows = [{"system.cpu": 1.5 * n, "_runtime": n, "_timestamp": 1.7e9 + n} for n in range(5)]
    content = {"offset": 0, "content": [json.dumps(row) for row in rows]}
    stored.post("metrics", {"files": {"wandb-events.jsonl": content}})
    frame = run.history_frame(format="pandas", stream="system")
    assert frame.to_dict("records") == rows


def test_a_polars_frame_has_nulls_where_keys_are_missing(odd_run: Any) -> None:
    polars = pytest.importorskip("polars")
    frame = odd_run.history_frame(format="polars")
    assert frame["loss"].to_list() == [1.0, 2.5, 3.0, 3.0, 0.0]
    assert (frame["loss"].dtype, frame["_step"].dtype) == (polars.Float64, polars.Int64)
    assert frame["lit.dot"].to_list() == [3, None, 7, None, None]
    assert frame["b"].to_list() == ["true", '"str"', None, None, None]
    assert odd_run.scan_history and len(odd_run.history_frame(keys=["s", "loss"], format="polars")) == 3


ARROW = """
import json, sys
sys.path.insert(0, {packages!r})
import runlane
assert "pyarrow" not in sys.modules and "pandas" not in sys.modules and "numpy" not in sys.modules
run = runlane.Api().run({path!r})
table = run.history_frame()
table.validate(full=True)
print("ARROW" + json.dumps([str(table.schema.field(name).type) for name in ("_step", "loss", "b", "s")]))
print("ARROW" + json.dumps(table.select(["loss", "lit.dot", "nest.a.b", "b", "n", "img"]).to_pydict()))
print("ARROW" + json.dumps({{key.decode(): value.decode() for key, value in table.schema.field("list").metadata.items()}}))
"""


def test_an_arrow_table_has_the_columns_types(
    home: Home, stored: Stored, odd_run: Any, wandb_python: str
) -> None:
    import runlane

    # The peer's environment is the one that has pyarrow: our package is lent to it.
    packages = home.root / "lent"
    packages.mkdir()
    (packages / "runlane").symlink_to(Path(str(runlane.__file__)).parent)
    code = ARROW.format(packages=str(packages), path="/".join(odd_run.path))
    output = home.python(code, env=stored.server.env, python=wandb_python).stdout
    types, columns, metadata = (
        json.loads(line.removeprefix("ARROW")) for line in output.splitlines() if line.startswith("ARROW")
    )
    assert types == ["int64", "double", "large_string", "large_string"]
    assert columns == {
        "loss": [1.0, 2.5, 3.0, 3.0, 0.0],
        "lit.dot": [3, None, 7, None, None],
        "nest.a.b": [1, 2, None, None, None],
        "b": ["true", '"str"', None, None, None],
        "n": [None, 1, None, None, None],
        "img": [None, None, '{"_type":"image-file","path":"x.png","size":3}', None, None],
    }
    assert metadata == {"runlane.kind": "json"}


def test_bad_requests_for_a_history_are_refused_with_one_message(stored: Stored, odd_run: Any) -> None:
    path = "/".join(odd_run.path)
    client = stored.api._client
    for query, message in (
        ("keys=loss", "must be a JSON list of strings"),
        ("keys=[1]", "must be a JSON list of strings"),
        ("min_step=x", "min_step"),
        ("stream=other", "stream"),
        ("stream=events&min_step=1", "system metrics have no steps"),
    ):
        with pytest.raises(CommError, match=message):
            client.download(f"/api/runs/{path}/history?{query}")
    with pytest.raises(CommError, match="404"):
        client.download(f"/api/runs/{stored.entity}/{PROJECT}/missing/history")


def test_every_row_comes_back_as_it_was_logged(odd_run: Any, long_run: Any, lines: list[str]) -> None:
    assert _exact(odd_run.scan_history()) == _exact(json.loads(line) for line in ODD)
    assert _exact(long_run.scan_history()) == _exact(json.loads(line) for line in lines)


def test_windows_and_keys_across_objects_and_tail(long_run: Any) -> None:
    def steps(**options: Any) -> list[int]:
        return [row["_step"] for row in long_run.scan_history(**options)]

    assert steps(min_step=COMPACTED - 3, max_step=COMPACTED + 3) == list(range(COMPACTED - 3, COMPACTED + 3))
    assert steps(min_step=ROWS - 2) == [ROWS - 2, ROWS - 1]
    assert steps(min_step=5, max_step=5) == steps(min_step=ROWS) == steps(keys=["none"]) == []
    assert steps(keys=["rare.deep"]) == list(range(1_000, ROWS, 1_000))
    assert list(long_run.scan_history(keys=["rare.deep", "count"], max_step=2_500)) == [
        {"rare.deep": step, "count": step, "_step": step} for step in (1_000, 2_000)
    ]
    assert list(long_run.scan_history(keys=["rare"], max_step=1_001)) == [
        {"rare": {"deep": 1_000}, "_step": 1_000}
    ]


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict) and value and "_type" not in value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def test_a_pandas_frame_is_that_of_the_rows(odd_run: Any, long_run: Any, lines: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    for run, texts in ((odd_run, ODD), (long_run, lines)):
        expected = pandas.DataFrame.from_records([_flat(json.loads(line)) for line in texts])
        frame = run.history_frame(format="pandas")
        assert set(frame.columns) == set(expected.columns)
        frame = frame[list(expected.columns)]
        numeric = [name for name in expected if expected[name].dtype.kind in "iuf"]
        assert {name: frame[name].dtype for name in numeric} == {
            name: expected[name].dtype for name in numeric
        }
        pandas.testing.assert_frame_equal(frame, expected, check_dtype=False)
    frame = long_run.history_frame(keys=["loss"], format="pandas", min_step=100, max_step=103)
    assert frame.to_dict("list") == {"loss": [100 / 7, 101 / 7, 102 / 7]}
