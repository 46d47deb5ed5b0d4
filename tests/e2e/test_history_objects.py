"""Long histories become Parquet objects that any tool can read, and stay the same for every reader."""

from __future__ import annotations

import time
from pathlib import Path

from reading import plain, read_run
from test_fixtures import unpacked
from world import Home, make_home, start_server, stop_server

# Reads the objects with pyarrow alone: prints rows, steps and one column's sum.
READ = """
import pyarrow.parquet as pq
tables = [pq.read_table(path) for path in {paths!r}]
steps = sorted(step for table in tables for step in table["_step"].to_pylist())
print("PARQUET", len(steps), steps[0], steps[-1], sum(sum(table["tokens"].to_pylist()) for table in tables))
"""


def test_a_long_history_moves_into_parquet_that_pyarrow_reads(
    home: Home, tmp_path: Path, wandb_python: str
) -> None:
    (tmp_path / "owner").mkdir()
    owner = make_home(tmp_path / "owner")
    data = tmp_path / "data"
    server = start_server(owner, data)
    try:
        directory, _ = unpacked("f-long", home.work)
        home.runlane("sync", "--project", "long", str(directory), env=server.env)
        before = read_run(home, server, "long/fixf0001")
        deadline = time.monotonic() + 60
        while not (objects := sorted(str(path) for path in data.glob("objects/**/*.parquet"))):
            assert time.monotonic() < deadline, "no Parquet object was written"
        printed = home.python(READ.format(paths=objects), python=wandb_python).stdout
        after = read_run(home, server, "long/fixf0001")
    finally:
        stop_server(owner, data)
    assert plain(after) == plain(before)
    rows = before["rows"][: int(printed.split()[1])]
    assert printed.split() == [
        "PARQUET",
        str(len(rows)),
        "0",
        str(rows[-1]["_step"]),
        str(sum(row["tokens"] for row in rows)),
    ]
    assert len(rows) >= 10_000
