"""Rows to durable, CPU of all processes per row, bytes per row and the idle daemon, beside wandb.

Every number is net of an empty harness measured in the same run: the same process that opens and finishes a run and walks
the same loop, without logging.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench_world import Report, World, median

FLAT_OUT, PEER_FLAT_OUT = 200_000, 20_000
PACED, PER_SECOND = 10_000, 1_000
SCRIPT = "cost.py"


class Cost:
    """Medians of some rounds of one side, per row."""

    def __init__(self, world: World, rows: int, per_second: int, rounds: int) -> None:
        secs, cpu, size = [], [], []
        for _ in range(rounds):
            empty, empty_cpu = world.measured(SCRIPT, "idle", str(rows), str(per_second))
            full, full_cpu = world.measured(SCRIPT, "log", str(rows), str(per_second))
            secs.append((full["secs"] - empty["secs"]) / rows)
            cpu.append((full_cpu - empty_cpu) / rows)
            size.append((full["log_bytes"] - empty["log_bytes"]) / rows)
        self.secs, self.cpu, self.bytes = median(secs), median(cpu), median(size)


def compare_durable(ours: World, peer: World, rounds: int, report: Report) -> None:
    """200,000 rows of 10 scalars flat out (wandb: 20,000), and 1,000 a second."""
    mine, theirs = Cost(ours, FLAT_OUT, 0, rounds), Cost(peer, PEER_FLAT_OUT, 0, rounds)
    report.add("200,000 rows x 10 scalars to durable: rows/s more by", theirs.secs / mine.secs, 80)
    report.add("CPU of all processes per row, flat out: less by", theirs.cpu / mine.cpu, 50)
    report.add("bytes of the log per row / wandb's", mine.bytes / theirs.bytes, 0.6, at_most=True)
    mine, theirs = Cost(ours, PACED, PER_SECOND, rounds), Cost(peer, PACED, PER_SECOND, rounds)
    report.add("CPU of all processes per row, 1,000 rows/s: less by", theirs.cpu / mine.cpu, 50)


def measure_idle_daemon(ours: World, report: Report) -> None:
    """Resident memory of the daemon after a run, with nothing to do."""
    ours.stop_daemon()
    ours.probe(SCRIPT, "log", "1000", "0")
    time.sleep(3)
    pid = ours.daemon()
    if pid is None:
        raise RuntimeError("the daemon did not stay")
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    report.add("idle daemon, resident", int(resident.split()[1]) / 1024, 15, at_most=True, unit=" MiB")
