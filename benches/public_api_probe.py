"""Reads through one client: python public_api_probe.py MODULE ENTITY WHAT; prints the seconds."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections import deque
from time import perf_counter


def main() -> None:
    """Time one reading, after the client is signed in and has the run."""
    module, entity, what = sys.argv[1:]
    api = importlib.import_module(module).Api()
    run = api.run(f"{entity}/reading/long")
    # What the peer keeps on disk would make later rounds faster.
    tempfile.tempdir = tempfile.mkdtemp()
    begin = perf_counter()
    if what == "scan_all":
        deque(run.scan_history(use_cache=False), maxlen=0)
    elif what == "scan_one":
        deque(run.scan_history(keys=["metric_0"], use_cache=False), maxlen=0)
    elif what == "history":
        run.history(pandas=False)
    elif what == "frame":
        from runlane._core import FrameColumns
        from runlane.public_api import _bulk

        columns = FrameColumns()
        with _bulk.frames(run) as frames:
            for frame in frames:
                columns.add(frame)
    else:
        count = sum(1 for _ in api.runs(f"{entity}/many"))
        assert count == 1_000, count
    print(f"RESULT{perf_counter() - begin}")


main()
