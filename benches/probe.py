"""One measurement, run in either interpreter: prints a JSON line.

python benches/probe.py {runlane|wandb} {init|log} [scalars]
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from time import perf_counter_ns

CALLS = 20_000


def empty_call(data: dict[str, float]) -> None:
    """What a call costs that does nothing with its one dict argument."""


def measure_init(module: str) -> dict[str, float]:
    """Seconds of `init()` in offline mode, the module being imported already."""
    tracker = importlib.import_module(module)
    folder = tempfile.mkdtemp(prefix="bench-")
    begin = perf_counter_ns()
    run = tracker.init(project="bench", mode="offline", dir=folder, settings={"silent": True})
    seconds = (perf_counter_ns() - begin) / 1e9
    run.finish()
    return {"init": seconds}


def measure_log(module: str, scalars: int) -> dict[str, float]:
    """Nanoseconds of one `log()` call with so many floats: p50, p99, and p50 of an empty call in the same process."""
    tracker = importlib.import_module(module)
    folder = tempfile.mkdtemp(prefix="bench-")
    run = tracker.init(project="bench", mode="offline", dir=folder, settings={"silent": True})
    rows = [{f"metric_{index}": index + turn / 7 for index in range(scalars)} for turn in range(64)]
    calls = CALLS if module == "runlane" else CALLS // 10
    for turn in range(500):
        run.log(rows[turn % 64])
    taken = timed(run.log, rows, calls)
    empty = timed(empty_call, rows, calls)
    clock = timed_nothing(calls)
    run.finish()
    return {
        "p50": percentile(taken, 50) - clock,
        "p99": percentile(taken, 99) - clock,
        "empty": percentile(empty, 50) - clock,
    }


def timed(call: object, rows: list[dict[str, float]], calls: int) -> list[int]:
    """Nanoseconds of each call, the clock's own share included."""
    taken = [0] * calls
    clock = perf_counter_ns
    for turn in range(calls):
        row = rows[turn % 64]
        begin = clock()
        call(row)  # type: ignore[operator]
        taken[turn] = clock() - begin
    return taken


def timed_nothing(calls: int) -> float:
    """Nanoseconds that reading the clock twice takes."""
    taken = [0] * calls
    clock = perf_counter_ns
    for turn in range(calls):
        begin = clock()
        taken[turn] = clock() - begin
    return percentile(taken, 50)


def percentile(values: list[int], percent: int) -> float:
    """The value below which `percent` of the values lie."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)])


if __name__ == "__main__":
    name, what = sys.argv[1:3]
    found = measure_init(name) if what == "init" else measure_log(name, int(sys.argv[3]))
    print("RESULT" + json.dumps(found))
