"""What one `run.log` call costs the caller: 1, 10 and 100 scalars, beside an empty Python call with one dict argument.

    python benches/log_call.py [--rounds N] [--binary PATH] [--wandb PYTHON]

Calls are timed in blocks of 20 (median) and one by one (p50, p99); blocks of `log` and of the empty call take turns in one
process, so that both meet the same machine. The cost of the loop and of reading the clock is measured and taken off. With
`--wandb`, an interpreter that has wandb runs the same blocks against `wandb.init(mode="offline")`.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

SIZES = (1, 10, 100)
BLOCK = 20
Call = Callable[[dict[str, float]], Any]


def empty(data: dict[str, float]) -> None:
    """The yardstick."""


def row(size: int) -> dict[str, float]:
    """A row as a training loop logs it: floats, and every fifth value an int."""
    return {
        f"train/metric_{number}": number if number % 5 == 4 else number + 0.123456789
        for number in range(size)
    }


def block_nanos(call: Call | None, data: dict[str, float]) -> float:
    """Nanoseconds per call over one block; of the loop alone without a call."""
    turns = repeat(None, BLOCK)
    if call is None:
        started = time.perf_counter_ns()
        for _ in turns:
            pass
    else:
        started = time.perf_counter_ns()
        for _ in turns:
            call(data)
    return (time.perf_counter_ns() - started) / BLOCK


def single_nanos(call: Call | None, data: dict[str, float]) -> int:
    """Nanoseconds of one call; of the clock alone without a call."""
    started = time.perf_counter_ns()
    if call is not None:
        call(data)
    return time.perf_counter_ns() - started


def percentile(values: list[int], share: float) -> int:
    """The value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(log: Call, rounds: int, pause_secs: float) -> dict[int, dict[str, float]]:
    """Medians and percentiles in nanoseconds for each size."""
    results = {}
    for size in SIZES:
        data = row(size)
        blocks: dict[str, list[float]] = {"log": [], "empty": [], "loop": []}
        singles: dict[str, list[int]] = {"log": [], "empty": [], "clock": []}
        for _ in range(rounds // 10):
            log(data)
        gc.collect()
        for _ in range(rounds):
            blocks["empty"].append(block_nanos(empty, data))
            blocks["log"].append(block_nanos(log, data))
            blocks["loop"].append(block_nanos(None, data))
            singles["empty"].append(single_nanos(empty, data))
            singles["log"].append(single_nanos(log, data))
            singles["clock"].append(single_nanos(None, data))
            if pause_secs:
                time.sleep(pause_secs)
        loop = statistics.median(blocks["loop"])
        clock = statistics.median(singles["clock"])
        results[size] = {
            "block": statistics.median(blocks["log"]) - loop,
            "empty": statistics.median(blocks["empty"]) - loop,
            "p50": percentile(singles["log"], 0.5) - clock,
            "p99": percentile(singles["log"], 0.99) - clock,
            "max": max(singles["log"]) - clock,
        }
    return results


def measure_runlane(rounds: int, binary: str, pause_secs: float) -> dict[int, dict[str, float]]:
    """Our own call, against a daemon of its own."""
    from runlane import _core

    with tempfile.TemporaryDirectory(prefix="runlane-bench-") as directory:
        runtime, sync_dir = Path(directory, "runtime"), Path(directory, "run")
        runtime.mkdir(mode=0o700)
        sync_dir.mkdir()
        connection = _core.Connection.open(str(runtime), binary, 20.0)
        run = _core.RunBase()
        run._set_hooks(
            lambda _key, value: str(value), lambda *_: None, lambda _level, text: print(text, file=sys.stderr)
        )
        files_dir = sync_dir / "files"
        files_dir.mkdir()
        settings = {
            "run_id": "bench",
            "project": "bench",
            "offline": True,
            "sync_dir": str(sync_dir),
            "files_dir": str(files_dir),
        }
        answer = run._open(connection, settings, {"run_id": "bench", "project": "bench"}, [], False, 20.0)
        if answer["error"]:
            sys.exit(f"the daemon refused the run: {answer['error']}")
        try:
            return measure(run.log, rounds, pause_secs)
        finally:
            run._finish(0, 60.0, False, lambda _progress: None)
            if run._lost_rows:
                sys.exit(f"{run._lost_rows} rows were lost")


def measure_wandb(rounds: int) -> dict[int, dict[str, float]]:
    """The peer's call. Runs in its interpreter."""
    import wandb

    with tempfile.TemporaryDirectory(prefix="runlane-bench-") as directory:
        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        run = wandb.init(mode="offline", dir=directory, project="bench", settings=settings)
        try:
            return measure(run.log, rounds, 0.0)
        finally:
            run.finish()


def default_binary() -> str:
    """The native binary of the installed package."""
    override = os.environ.get("RUNLANE_CORE_BINARY")
    if override:
        return override
    spec = importlib.util.find_spec("runlane")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("runlane is not installed in this interpreter")
    return str(Path(next(iter(spec.submodule_search_locations)), "_bin", "runlane-core"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument(
        "--pause-millis", type=float, default=0.0, help="sleep between rounds, as a training loop computes"
    )
    parser.add_argument("--binary", help="runlane-core (default: that of the installed package)")
    parser.add_argument("--wandb", metavar="PYTHON", help="interpreter with wandb, for the comparison")
    parser.add_argument("--peer-json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer_json:
        print(json.dumps(measure_wandb(options.rounds)))
        return
    ours = measure_runlane(options.rounds, options.binary or default_binary(), options.pause_millis / 1000)
    peer: dict[int, dict[str, float]] = {}
    if options.wandb:
        rounds = max(200, options.rounds // 20)
        command = [options.wandb, __file__, "--peer-json", "--rounds", str(rounds)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peer = {int(size): values for size, values in json.loads(output.splitlines()[-1]).items()}
    print(f"Python {platform.python_version()}, {options.rounds} rounds, {os.cpu_count()} cores")
    print(
        "scalars   block p50   over empty      p50      p99       max"
        + ("   wandb p50/ours   p99/ours" if peer else "")
    )
    for size, found in ours.items():
        line = (
            f"{size:7} {found['block']:8.0f} ns {found['block'] / found['empty']:10.1f} x"
            f" {found['p50']:6.0f} ns {found['p99']:6.0f} ns {found['max'] / 1000:6.0f} µs"
        )
        if peer:
            line += f" {peer[size]['p50'] / found['p50']:14.0f} x {peer[size]['p99'] / found['p99']:8.0f} x"
        print(line)
    print(f"empty call: {statistics.median(found['empty'] for found in ours.values()):.0f} ns")


if __name__ == "__main__":
    main()
