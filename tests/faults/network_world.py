"""What the network tests share: a trainer that logs and times its calls, and waiting with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from driven import Trainer
from world import Home

#: Nothing waits longer; a loaded machine is slow.
PATIENCE_SECS = 90.0
#: The longest that a call may take here. The promise is 50 ms on an idle machine; these run beside others.
CALL_BOUND_SECS = 0.25

TIMED_LOG = """
import time
def timed_log(first, count, pause):
    global worst
    for i in range(first, first + count):
        begun = time.perf_counter()
        run.log({"x": i})
        worst = max(worst, time.perf_counter() - begun)
        if pause:
            time.sleep(pause)
worst = 0.0
"""


def wait_until(what: str, is_true: Callable[[], bool], secs: float = PATIENCE_SECS) -> float:
    """Wait until something holds; the seconds that it took."""
    begun = time.monotonic()
    while not is_true():
        if time.monotonic() - begun > secs:
            pytest.fail(f"after {secs} s: not {what}")
        time.sleep(0.05)
    return time.monotonic() - begun


def heard(trainer: Trainer) -> str:
    """What a process has written by now; the daemon's notices are shown with its next call."""
    trainer.flush()
    return trainer.said()


def begin(trainer: Trainer, project: str, run: str, **words: object) -> None:
    """Start a run in a trainer, ready for `timed_log`."""
    given = "".join(f", {name}={value!r}" for name, value in words.items())
    trainer.do(f"run = wandb.init(project={project!r}, id={run!r}{given})")
    trainer.do(f"exec({TIMED_LOG!r})")


def timed_log(trainer: Trainer, rows: range, pause: float = 0.0) -> None:
    """Log rows `{"x": i}`, timing each call."""
    trainer.do(f"timed_log({rows.start}, {len(rows)}, {pause})")


def worst_call(trainer: Trainer) -> float:
    """The longest call so far, in seconds."""
    (line,) = trainer.do("print(worst)")
    return float(line)


def run_dir(home: Home, run: str) -> Path:
    """The directory of a run."""
    (log,) = home.wandb_dir.glob(f"run-*/run-{run}.wandb")
    return log.parent


def everything_logged(home: Home) -> str:
    """All that was written for people to read: logs of the daemon and the runs, files of the runs."""
    places = [Path(home.env["RUNLANE_RUNTIME_DIR"]), home.wandb_dir]
    texts = []
    for place in places:
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                texts.append(path.read_bytes().decode("utf-8", "replace"))
    return "\n".join(texts)
