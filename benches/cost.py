"""The trainer whose rows and CPU seconds are measured, run in either interpreter; prints a JSON line.

python benches/cost.py {runlane|wandb} {log|idle} ROWS PER_SECOND

`log` logs ROWS rows of 10 floats, flat out with PER_SECOND 0; `idle` is the empty harness: the same process and the same
loop, without the call. The clock runs from the first call until everything is in the log: on stable storage for runlane,
`finish()` for wandb, which never asks for more.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SCALARS = 10
Call = Callable[[dict[str, float]], object]


def rows_of_floats() -> list[dict[str, float]]:
    """Different rows, so that no value is said twice in a row."""
    return [{f"metric_{index}": index + turn / 7 for index in range(SCALARS)} for turn in range(64)]


def pace(call: Call, rows: list[dict[str, float]], count: int, per_second: int) -> None:
    """`count` calls, each not before its time."""
    if not per_second:
        for turn in range(count):
            call(rows[turn % 64])
        return
    begin, clock = time.perf_counter(), time.perf_counter
    for turn in range(count):
        wait = begin + turn / per_second - clock()
        if wait > 0:
            time.sleep(wait)
        call(rows[turn % 64])


def main() -> None:
    """Open a run, log, finish, tell."""
    module, what, count, per_second = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    tracker = importlib.import_module(module)
    folder = tempfile.mkdtemp(prefix="bench-")
    rows = rows_of_floats()
    run = tracker.init(project="bench", mode="offline", dir=folder, settings={"silent": True})
    call = run.log if what == "log" else len
    begin = time.perf_counter()
    pace(call, rows, count, per_second)
    returned = time.perf_counter()
    if module == "runlane":
        if not run.flush(level="synced", timeout=60):
            sys.exit("not everything is on stable storage after 60 s")
        durable = time.perf_counter()
        run.finish()
    else:
        run.finish()
        durable = time.perf_counter()
    (log,) = Path(folder).glob("wandb/*run-*/run-*.wandb")
    found = {
        "secs": durable - begin,
        "loop_secs": returned - begin,
        "log_bytes": log.stat().st_size,
    }
    print("RESULT" + json.dumps(found))


if __name__ == "__main__":
    main()
