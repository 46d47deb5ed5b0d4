"""runlane and wandb side by side, in one run, rounds interleaved; prints ratios and says which goal is met.

python benches/side_by_side.py PEER_PYTHON [--rounds 7] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

PROBE = str(Path(__file__).with_name("probe.py"))


class World:
    """A home of the bench's own for one of the two, and how to start Python in it."""

    def __init__(self, python: str, module: str) -> None:
        self.python, self.module = python, module
        self.home = Path(tempfile.mkdtemp(prefix="bench-"))
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "RUNLANE_"))
        }
        self.env |= {
            "HOME": str(self.home),
            "RUNLANE_RUNTIME_DIR": str(self.home / "run"),
            "WANDB_ERROR_REPORTING": "false",
            "PYTHONDONTWRITEBYTECODE": "",
        }

    def seconds(self, code: str) -> float:
        """Wall seconds of a whole interpreter that runs `code`."""
        begin = perf_counter()
        subprocess.run([self.python, "-c", code], env=self.env, check=True, stdout=subprocess.DEVNULL)
        return perf_counter() - begin

    def probe(self, *words: str) -> dict[str, float]:
        """One measurement of benches/probe.py."""
        command = [self.python, PROBE, self.module, *words]
        output = subprocess.run(
            command, env=self.env, cwd=self.home, check=True, capture_output=True, text=True
        ).stdout
        line = next(line for line in output.splitlines() if line.startswith("RESULT"))
        found: dict[str, float] = json.loads(line.removeprefix("RESULT"))
        return found

    def daemon(self) -> int | None:
        """The process id of the daemon of this home, if one runs."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"daemon" in words and str(self.home / "run").encode() in words:
                return int(process.name)
        return None

    def stop_daemon(self) -> None:
        """End the daemon and wait until it is gone."""
        pid = self.daemon()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}").exists() and self.daemon() is not None:
                pass

    def close(self) -> None:
        """Leave nothing behind."""
        self.stop_daemon()
        shutil.rmtree(self.home, ignore_errors=True)


class Report:
    """Ratios against goals."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(self, what: str, ratio: float, goal: float, *, at_most: bool = False, firm: bool = True) -> None:
        """One ratio; `at_most` goals are upper bounds; goals that are not firm are aims."""
        met = ratio <= goal if at_most else ratio >= goal
        sign = "≤" if at_most else "≥"
        verdict = "ok" if met else ("MISSED" if firm else "short of the aim")
        print(f"{what:<58} {ratio:8.2f}x   goal {sign} {goal:g}x   {verdict}")
        self.rows.append({"what": what, "ratio": ratio, "goal": goal, "met": met, "firm": firm})

    @property
    def missed(self) -> int:
        """How many firm goals are missed."""
        return sum(1 for row in self.rows if row["firm"] and not row["met"])


def median(values: list[float]) -> float:
    """The middle one: a round that met a busy machine does not count."""
    return statistics.median(values)


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
    print(f"{'  (import wandb / bare interpreter)':<58} {median(peer_imported) / median(peer_bare):8.2f}x")


def compare_init(ours: World, peer: World, rounds: int, report: Report) -> None:
    """`init()` offline: with the daemon running, without, and the peer's."""
    warm, cold, theirs = [], [], []
    for _ in range(rounds):
        ours.stop_daemon()
        cold.append(ours.probe("init")["init"])
        warm.append(ours.probe("init")["init"])
        theirs.append(peer.probe("init")["init"])
    report.add("offline init, daemon running: faster by", median(theirs) / median(warm), 20)
    report.add("offline init, cold: faster by", median(theirs) / median(cold), 10)


def compare_log(ours: World, peer: World, rounds: int, report: Report) -> None:
    """One `log()` call of 1, 10 and 100 floats."""
    for scalars in (1, 10, 100):
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(ours.probe("log", str(scalars)))
            theirs.append(peer.probe("log", str(scalars)))
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
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    ours, peer = World(sys.executable, "runlane"), World(arguments.peer, "wandb")
    report = Report()
    try:
        compare_imports(ours, peer, arguments.rounds, report)
        compare_init(ours, peer, arguments.rounds, report)
        compare_log(ours, peer, arguments.rounds, report)
    finally:
        ours.close()
        peer.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(report.rows, indent=1) + "\n", encoding="utf-8")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
