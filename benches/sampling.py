"""What system metrics cost beside wandb: CPU of the processes that sample and write, while a run does nothing else.

What they use without metrics, in the same run of the bench, is subtracted. Ticks are counted in the log, and what one costs
is scaled to the default interval. The script is also the sampled process:

python benches/sampling.py {runlane|wandb} INTERVAL SECS
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from bench_world import Report, World, median

INTERVAL_SECS, SECS = 0.1, 8.0
#: What starting costs is over by then.
WARM_UP_SECS = 1.5
DEFAULT_INTERVAL_SECS = 15.0
#: A key that stands in each sample of either side once.
TICK = b"proc.cpu.threads"


def _per_tick(world: World, rounds: int) -> float:
    """CPU seconds of one tick."""
    found = []
    for _ in range(rounds):
        idle = world.probe("sampling.py", "0", str(SECS))
        sampled = world.probe("sampling.py", str(INTERVAL_SECS), str(SECS))
        # A tick late now and then is no failure of the bench; a sampler that hardly samples is.
        if sampled["ticks"] < SECS / INTERVAL_SECS / 2:
            raise RuntimeError(f"{world.module} took {sampled['ticks']:.0f} samples in {SECS} s")
        found.append((sampled["cpu"] - idle["cpu"]) / sampled["ticks"])
    return median(found)


def compare_sampling(ours: World, peer: World, rounds: int, report: Report) -> None:
    """Sampling everything that this host has, at the shortest interval."""
    mine, theirs = _per_tick(ours, rounds), _per_tick(peer, rounds)
    what = "system metrics every 15 s, of one core"
    # 2,000 ppm are the 0.2 % of one core that it may cost.
    report.add(what, mine / DEFAULT_INTERVAL_SECS * 1e6, 2_000, at_most=True, unit=" ppm")
    report.note("wandb's", theirs / DEFAULT_INTERVAL_SECS * 1e6, " ppm")
    report.note("CPU of one sample: less by", theirs / max(mine, 1e-6))


def _services_cpu() -> float:
    """CPU seconds, user and system, of all processes of this home but this one."""
    home = f"HOME={os.environ['HOME']}\0".encode()
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(process.name) == os.getpid() or home not in (process / "environ").read_bytes():
                continue
            words = (process / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            # It has ended.
            continue
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


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
    time.sleep(WARM_UP_SECS)
    begin, cpu = time.monotonic(), _services_cpu()
    time.sleep(secs)
    cpu = _services_cpu() - cpu
    sampled_secs = time.monotonic() - begin
    run.finish()
    (log,) = Path(folder).glob("wandb/*run-*/run-*.wandb")
    ticks = log.read_bytes().count(TICK) * sampled_secs / (sampled_secs + WARM_UP_SECS)
    print("RESULT" + json.dumps({"ticks": ticks, "cpu": cpu}))


if __name__ == "__main__":
    main()
