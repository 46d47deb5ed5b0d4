"""What the benches share: homes of their own for both sides, whole-process CPU times, and the table of ratios."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).parent
_PR_SET_CHILD_SUBREAPER = 36


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
            "TMPDIR": str(self.home),
        }

    def seconds(self, code: str) -> float:
        """Wall seconds of a whole interpreter that runs `code`."""
        begin = perf_counter()
        subprocess.run([self.python, "-c", code], env=self.env, check=True, stdout=subprocess.DEVNULL)
        return perf_counter() - begin

    def probe(self, script: str, *words: str) -> dict[str, float]:
        """The result that a script of this folder prints."""
        command = [self.python, str(HERE / script), self.module, *words]
        output = subprocess.run(
            command, env=self.env, cwd=self.home, check=True, capture_output=True, text=True
        ).stdout
        line = next(line for line in output.splitlines() if line.startswith("RESULT"))
        found: dict[str, float] = json.loads(line.removeprefix("RESULT"))
        return found

    def measured(self, script: str, *words: str) -> tuple[dict[str, float], float]:
        """As `probe`, and the CPU seconds of every process that the script started, its daemon included."""
        self.stop_daemon()
        reap_orphans()
        before = children_cpu()
        found = self.probe(script, *words)
        self.stop_daemon()
        reap_orphans()
        return found, children_cpu() - before

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
            os.kill(pid, signal.SIGTERM)
            while self.daemon() == pid:
                reap_orphans(wait=False)
                time.sleep(0.002)

    def close(self) -> None:
        """Leave nothing behind."""
        self.stop_daemon()
        shutil.rmtree(self.home, ignore_errors=True)


def adopt_orphans() -> None:
    """Become the parent of daemons and services that detach, so that their CPU time is told by the kernel."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


def reap_orphans(*, wait: bool = True) -> None:
    """Collect the processes that have ended; with `wait`, until there is none."""
    while True:
        try:
            pid, _ = os.waitpid(-1, 0 if wait else os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def children_cpu() -> float:
    """CPU seconds, user and system, of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Report:
    """Ratios against goals."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(
        self,
        what: str,
        value: float,
        goal: float,
        *,
        at_most: bool = False,
        firm: bool = True,
        unit: str = "x",
    ) -> None:
        """One ratio; `at_most` goals are upper bounds; goals that are not firm are aims."""
        met = value <= goal if at_most else value >= goal
        sign = "≤" if at_most else "≥"
        verdict = "ok" if met else ("MISSED" if firm else "short of the aim")
        print(f"{what:<64} {value:10,.2f}{unit}   goal {sign} {goal:,g}{unit}   {verdict}", flush=True)
        self.rows.append({"what": what, "value": value, "unit": unit, "goal": goal, "met": met, "firm": firm})

    def note(self, what: str, value: float, unit: str = "x") -> None:
        """A number beside the others, without a goal."""
        print(f"  ({what})".ljust(64) + f" {value:10,.2f}{unit}", flush=True)

    @property
    def missed(self) -> int:
        """How many firm goals are missed."""
        return sum(1 for row in self.rows if row["firm"] and not row["met"])


def median(values: list[float]) -> float:
    """The middle one: a round that met a busy machine does not count."""
    return statistics.median(values)
