"""What system metrics cost beside wandb: CPU of every process of a run that does nothing but being sampled.

The same process without metrics, in the same run of the bench, is subtracted. Ticks are counted in the log, and what one
costs is scaled to the default interval. The script is also the measured process:

python benches/sampling.py {runlane|wandb} INTERVAL SECS
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

from bench_world import Report, World, median

INTERVAL_SECS, SECS = 0.1, 6.0
DEFAULT_INTERVAL_SECS = 15.0
#: A key that stands in each sample of either side once.
TICK = b"proc.cpu.threads"


def _per_tick(world: World, rounds: int) -> float:
    """CPU seconds of one tick, of all processes."""
    found = []
    for _ in range(rounds):
        _, idle = world.measured("sampling.py", "0", str(SECS))
        sampled, cpu = world.measured("sampling.py", str(INTERVAL_SECS), str(SECS))
        # A tick late now and then is no failure of the bench; a sampler that hardly samples is.
        if sampled["ticks"] < SECS / INTERVAL_SECS / 2:
            raise RuntimeError(f"{world.module} took {sampled['ticks']:.0f} samples in {SECS} s")
        found.append((cpu - idle) / sampled["ticks"])
    return max(median(found), 0.0)


def compare_sampling(ours: World, peer: World, rounds: int, report: Report) -> None:
    """Sampling everything that this host has, at the shortest interval."""
    mine, theirs = _per_tick(ours, rounds), _per_tick(peer, rounds)
    share = mine / DEFAULT_INTERVAL_SECS * 100
    what = "system metrics every 15 s, of one core"
    report.add(what, share, 0.2, at_most=True, unit=" %")
    report.note("wandb's", theirs / DEFAULT_INTERVAL_SECS * 100, " %")
    if mine > 0:
        report.note("CPU of one sample: less by", theirs / mine)


def main() -> None:
    """Be sampled for a while."""
    module, interval, secs = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    tracker = importlib.import_module(module)
    folder = tempfile.mkdtemp(prefix="bench-")
    words = {"x_stats_sampling_interval": interval} if interval else {"x_disable_stats": True}
    run = tracker.init(
        project="bench",
        mode="offline",
        dir=folder,
        settings=tracker.Settings(silent=True, console="off", **words),
    )
    time.sleep(secs)
    run.finish()
    (log,) = Path(folder).glob("wandb/*run-*/run-*.wandb")
    print("RESULT" + json.dumps({"ticks": log.read_bytes().count(TICK)}))


if __name__ == "__main__":
    main()
