"""runlane and wandb side by side, in one run, rounds interleaved; prints ratios and says which goal is met.

python benches/side_by_side.py PEER_PYTHON [--rounds 7] [--only calls durable ingest] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from artifacts import compare_artifacts
from bench_world import Report, World, adopt_orphans, median
from durable import compare_durable, measure_idle_daemon
from ingest import DATABASES, measure_ingest
from media import compare_media
from public_api import compare_public_api
from run_table import measure_queries
from sampling import compare_sampling
from tables import compare_tables
from watch_cost import compare_watch

PROBE = "probe.py"
PARTS = (
    "calls",
    "durable",
    "ingest",
    "reading",
    "queries",
    "watch",
    "sampling",
    "media",
    "tables",
    "artifacts",
)


def compare_imports(ours: World, peer: World, rounds: int, report: Report) -> None:
    """Interpreter start with and without the import, each in its own environment."""
    bare, imported, peer_bare, peer_imported = [], [], [], []
    for world, module in ((ours, "runlane"), (peer, "wandb")):
        world.seconds(f"import {module}")
    for turn in range(rounds * 3):
        bare.append(ours.seconds("pass"))
        imported.append(ours.seconds("import runlane"))
        if turn % 3 == 0:
            peer_bare.append(peer.seconds("pass"))
            peer_imported.append(peer.seconds("import wandb"))
    report.add("import runlane / bare interpreter", median(imported) / median(bare), 1.3, at_most=True)
    report.note("import wandb / bare interpreter", median(peer_imported) / median(peer_bare))


def compare_init(ours: World, peer: World, rounds: int, report: Report) -> None:
    """`init()` offline: with the daemon running, without, and the peer's."""
    warm, cold, theirs = [], [], []
    for _ in range(rounds):
        ours.stop_daemon()
        cold.append(ours.probe(PROBE, "init")["init"])
        warm.append(ours.probe(PROBE, "init")["init"])
        theirs.append(peer.probe(PROBE, "init")["init"])
    report.add("offline init, daemon running: faster by", median(theirs) / median(warm), 20)
    report.add("offline init, cold: faster by", median(theirs) / median(cold), 10)


def compare_log(ours: World, peer: World, rounds: int, report: Report) -> None:
    """One `log()` call of 1, 10 and 100 floats."""
    for scalars in (1, 10, 100):
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(ours.probe(PROBE, "log", str(scalars)))
            theirs.append(peer.probe(PROBE, "log", str(scalars)))
        for point, goal in (("p50", 100), ("p99", 50)):
            ratio = median([row[point] for row in theirs]) / median([row[point] for row in mine])
            report.add(f"log of {scalars} scalars, {point}: faster by", ratio, goal)
        if scalars == 10:
            over = median([row["p50"] for row in mine]) / median([row["empty"] for row in mine])
            report.add(
                "log of 10 scalars, p50 / an empty call with a dict", over, 20, at_most=True, firm=False
            )


def main() -> int:
    """Run all comparisons; 1 if a firm goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", help="an interpreter that has wandb")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--databases",
        nargs="+",
        choices=DATABASES,
        default=DATABASES,
        help="of the servers that rows are sent to",
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    ours, peer = World(sys.executable, "runlane"), World(arguments.peer, "wandb")
    report = Report()
    adopt_orphans()
    try:
        if "calls" in arguments.only:
            compare_imports(ours, peer, arguments.rounds, report)
            compare_init(ours, peer, arguments.rounds, report)
            compare_log(ours, peer, arguments.rounds, report)
        if "durable" in arguments.only:
            compare_durable(ours, peer, max(1, arguments.rounds // 2), report)
            measure_idle_daemon(ours, report)
        if "sampling" in arguments.only:
            compare_sampling(ours, peer, max(1, arguments.rounds // 2), report)
        if "ingest" in arguments.only:
            measure_ingest(ours, report, arguments.databases)
        if "queries" in arguments.only:
            for database in arguments.databases:
                measure_queries(database, report, rounds=2 * arguments.rounds + 1)
        if "reading" in arguments.only:
            compare_public_api(ours, peer, arguments.rounds, report)
        for part, compare in (
            ("media", compare_media),
            ("tables", compare_tables),
            ("artifacts", compare_artifacts),
        ):
            if part in arguments.only:
                compare(ours, peer, max(1, arguments.rounds // 2), report)
        if "watch" in arguments.only:
            compare_watch(max(3, arguments.rounds // 2), report)
    finally:
        ours.close()
        peer.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(report.rows, indent=1) + "\n", encoding="utf-8")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
