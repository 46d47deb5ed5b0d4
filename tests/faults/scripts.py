"""The training scripts of the fault tests, and starting and killing them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import logs
import pytest
from oracle import HERE, Page, x_of
from world import Home

#: What every script begins with: `page`, `run`, `x_of`; arguments are the page's path and the run's id.
PRELUDE = f"""
import os, signal, sys, threading, time
sys.path.insert(0, {HERE!r})
from oracle import Page, x_of
import runlane as wandb
page = Page(sys.argv[1])
run = wandb.init(project="faults", id=sys.argv[2], mode=os.environ.get("FAULT_MODE", "offline"),
                 settings=wandb.Settings(console="off", x_disable_meta=True, x_save_requirements=False))
"""

#: Logs until it is killed. Third argument: calls a second, 0 for as fast as it goes; fourth: how.
#: Each call carries its number under a key of its own within the row, so that calls of one row do not hide one another.
LOGGER = (
    PRELUDE
    + """
rate, form = float(sys.argv[3]), sys.argv[4]
print("logged", flush=True)
call, due = 0, time.monotonic()
while True:
    if rate:
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))
    data = {f"i{call % 3}": call, f"x{call % 3}": x_of(call)} if rate else {f"i{call % 3}": call}
    page.attempt(call)
    if form == "plain":
        run.log(data)
    elif form == "step":
        run.log(data, step=call // 3)
    else:
        run.log(data, commit=call % 3 == 2)
    page.done(call)
    call += 1
"""
)


@dataclass
class Victim:
    """A training process that is going to be killed."""

    process: subprocess.Popen[str]
    page: Page
    run_id: str

    def kill(self) -> int:
        """Kill it; returns CLOCK_MONOTONIC right before."""
        now = time.monotonic_ns()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        return now


def start(home: Home, code: str, run_id: str, *words: str, env: dict[str, str] | None = None) -> Victim:
    """Start a script that begins with PRELUDE; returns at once."""
    script = home.root / f"{run_id}.py"
    script.write_text(code, encoding="utf-8")
    page = Page(home.root / f"{run_id}.page")
    process = subprocess.Popen(
        [sys.executable, str(script), str(home.root / f"{run_id}.page"), run_id, *words],
        cwd=home.work,
        env={**home.env, **(env or {})},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(home.root / f"{run_id}.stderr").open("w"),
    )
    return Victim(process, page, run_id)


def run_to_end(
    home: Home, code: str, run_id: str, *words: str, env: dict[str, str] | None = None, timeout: float = 60
) -> tuple[int, str, Page]:
    """Run a script to its end: exit status, what it printed, its page."""
    victim = start(home, code, run_id, *words, env=env)
    try:
        output, _ = victim.process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        victim.process.kill()
        pytest.fail(f"{run_id} did not end within {timeout} s\n{said(home, run_id)}")
    return victim.process.returncode, output, victim.page


def said(home: Home, run_id: str) -> str:
    """What a script wrote to standard error."""
    return (home.root / f"{run_id}.stderr").read_text()


def log_of(home: Home, run_id: str) -> Path:
    """The log of a run."""
    (found,) = home.wandb_dir.glob(f"*run-*-{run_id}/run-{run_id}.wandb")
    return found


def calls_in(log: Path, *, with_values: bool = True) -> list[int]:
    """The numbers of the calls in a log, in order; fails if a value is not the one that was logged, bit for bit."""
    found: list[int] = []
    for row in logs.rows(log):
        for place in range(3):
            if (call := row.get(f"i{place}")) is not None:
                assert call % 3 == place, row
                if with_values:
                    assert float(row[f"x{place}"]).hex() == x_of(call).hex(), row
                found.append(call)
    return found


def calls_of_closed(home: Home, run_id: str, *, with_values: bool = True) -> list[int]:
    """The calls in a log once the daemon has let go of it: behind the death of its process, or the end of the run."""
    log = log_of(home, run_id)
    wait_until(lambda: str(log) not in _open_files(home), f"the daemon closes {log.name}")
    return calls_in(log, with_values=with_values)


def _open_files(home: Home) -> set[str]:
    found = set()
    for pid in daemon_pids(home):
        for entry in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(entry))
    return found


def daemon_pids(home: Home) -> list[int]:
    """The processes of a home's daemon."""
    runtime = home.env["RUNLANE_RUNTIME_DIR"].encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if runtime in words and b"daemon" in words:
            found.append(int(process.name))
    return found


def daemon_pid(home: Home, timeout: float = 10.0) -> int:
    """The daemon of a home, once there is one."""
    deadline = time.monotonic() + timeout
    while not (found := daemon_pids(home)):
        assert time.monotonic() < deadline, f"no daemon within {timeout} s"
        time.sleep(0.005)
    return found[0]


def kill_daemon(home: Home) -> int:
    """Kill the daemon and wait until it is gone; CLOCK_MONOTONIC right before."""
    pid = daemon_pid(home)
    now = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    while pid in daemon_pids(home):
        time.sleep(0.001)
    return now


def left_behind(home: Home) -> list[str]:
    """Spill and pending files and shelves, which only unfinished business leaves."""
    patterns = ("*.runlane-spill", "*.runlane-pending")
    found = [path.name for pattern in patterns for path in home.wandb_dir.glob(f"*/{pattern}")]
    return sorted(found + shelves(home))


def shelves(home: Home) -> list[str]:
    """The shelves of this home's writers; their heads name the spill file."""
    found = []
    for path in Path(f"/dev/shm/runlane-{os.getuid()}").glob("*"):
        with contextlib.suppress(OSError):
            if str(home.root).encode() in path.read_bytes()[:8192]:
                found.append(f"shelf {path.name}")
    return found


def wait_until(condition: object, what: str, timeout: float = 20.0) -> None:
    """Poll for what another process does."""
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what} within {timeout} s"
        time.sleep(0.01)
