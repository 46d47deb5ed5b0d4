"""T8 and I9: descriptors that run out, are closed or get another meaning in the trainer; nothing is left behind (reliability.md)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import logs
from scripts import (
    PRELUDE,
    calls_in,
    daemon_pid,
    daemon_pids,
    left_behind,
    log_of,
    run_to_end,
    said,
    wait_until,
)
from table import record
from world import Home

EXHAUST = """
import resource
def exhaust(limit=64):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return held, (soft, hard)
def release(held, limits):
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
"""


def test_t8_no_descriptor_left_before_init(home: Home) -> None:
    """`init` fails with a typed error, or goes on; afterwards another one works."""
    code = (
        "import os\nimport runlane as wandb\nimport runlane._setup, runlane._init, runlane._core, runlane._finish\n"
        + EXHAUST
        + """
held, limits = exhaust()
try:
    run = wandb.init(mode="offline", id="first")
    outcome = "started"
except wandb.Error as error:
    outcome = type(error).__name__
release(held, limits)
print("OUTCOME", outcome, flush=True)
run = wandb.init(mode="offline", id="second", reinit="finish_previous")
run.log({"i0": 0})
run.finish()
"""
    )
    output = home.python(code).stdout
    outcome = output.split("OUTCOME ")[1].split()[0]
    assert outcome in ("started", "CoreNotAvailableError", "CommError", "UsageError", "Error")
    assert [row["i0"] for row in logs.rows(log_of(home, "second"))] == [0]
    record("T8", "RLIMIT_NOFILE exhausted before init", "typed error or spill", outcome, 1)


def test_t8_no_descriptor_left_after_init_and_at_reconnect(home: Home) -> None:
    """`log` never raises and nothing is lost, although the daemon dies while no socket can be made."""
    code = (
        PRELUDE
        + EXHAUST
        + """
from runlane import _setup
def log(first, behind):
    for call in range(first, behind):
        page.attempt(call)
        run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)})
        page.done(call)
log(0, 100)
time.sleep(0.6)  # What runlane loads in the background behind its start is loaded then.
held, limits = exhaust()
log(100, 500)
os.kill(_setup.process().connection().daemon_pid, signal.SIGKILL)
log(500, 1500)
time.sleep(0.3)
log(1500, 2000)
assert not run.flush("logged", timeout=0.2)
release(held, limits)
log(2000, 2100)
assert run.flush("logged", timeout=20)
assert run._lost_rows == 0
run.finish()
"""
    )
    status, _, page = run_to_end(home, code, "full")
    assert status == 0, said(home, "full")
    assert calls_in(log_of(home, "full")) == list(range(2100))
    assert page.longest_call_ms < 50
    assert left_behind(home) == []
    record("T8", "RLIMIT_NOFILE exhausted after init and at reconnect", "0 rows, no exception", "0 rows", 1)


#: Closes what it does not know, as daemonizing libraries do, and opens files that get the numbers.
CLOSED = (
    PRELUDE
    + """
def log(first, behind):
    for call in range(first, behind):
        page.attempt(call)
        run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)})
        page.done(call)
        if call % 10 == 0:
            time.sleep(0.001)
log(0, 300)
def is_file(number, path):
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except OSError:
        return False
highest = max(int(name) for name in os.listdir("/proc/self/fd"))
os.closerange(3, int(sys.argv[3]))
files = {}
number = 0
while sys.argv[4] == "reused" and number < highest + 64:
    # Every number up to the highest stands for a file of the user's now.
    path = os.path.join(sys.argv[5], f"file-{len(files)}")
    number = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(number, b"mine")
    files[number] = path
log(300, 1500)
assert run.flush("logged", timeout=20)
log(1500, 1600)
run.finish()
changed = [path for path in files.values() if open(path, "rb").read() != b"mine"]
gone = [number for number, path in files.items() if not is_file(number, path)]
print("RESULT", changed, gone, flush=True)
"""
)


def _closed_and_reused(home: Home, tmp_path: Path, below: int, what: str) -> None:
    status, output, page = run_to_end(home, CLOSED, "closed", str(below), what, str(tmp_path))
    assert status == 0, said(home, "closed")
    assert "RESULT [] []" in output, "files of the user's were written to or closed: " + output
    assert calls_in(log_of(home, "closed")) == list(range(1600))
    assert page.longest_call_ms < 50
    assert left_behind(home) == []


def test_t8_descriptors_3_to_255_closed(home: Home, tmp_path: Path) -> None:
    """Nothing happens: ours are elsewhere."""
    _closed_and_reused(home, tmp_path, 256, "closed")
    record("T8", "the program closes descriptors 3 to 255", "0 rows", "0 rows", 1)


def test_t8_all_descriptors_closed(home: Home, tmp_path: Path) -> None:
    """A new connection is made, and what the old one had in it is sent again."""
    _closed_and_reused(home, tmp_path, 4096, "closed")
    record("T8", "the program closes all descriptors", "0 rows", "0 rows", 1)


def test_t8_all_descriptors_closed_and_reused(home: Home, tmp_path: Path) -> None:
    """No byte of ours goes to a file of the user's that has one of our numbers now, and none of them is closed."""
    _closed_and_reused(home, tmp_path, 4096, "reused")
    record(
        "T8",
        "all descriptors closed, and the numbers given to files",
        "0 rows, 0 bytes in them",
        "0 rows, 0 bytes",
        1,
    )


def test_i9_nothing_is_left_behind(home: Home) -> None:
    """A process that made and finished many runs has as many descriptors and threads as after a few; when it is gone, so has the
    daemon, and no socket, lock or temporary file of either stays."""
    code = """
import os, time
import runlane as wandb
def one(number):
    run = wandb.init(mode="offline", id=f"many-{number}", settings=wandb.Settings(console="off"))
    for n in range(50):
        run.log({"n": n}, commit=n % 2 == 0)
    run.finish()
def counted():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
for number in range(3):
    one(number)
time.sleep(0.5)
before = counted()
for number in range(3, 23):
    one(number)
deadline = time.monotonic() + 10
while counted() > before and time.monotonic() < deadline:
    time.sleep(0.1)
print("RESULT", counted() <= before, before, counted(), flush=True)
"""
    # The daemon outlives the first process; its own count is taken when nobody is connected.
    home.python("import runlane; runlane.init(mode='offline').finish()")
    pid = daemon_pid(home)
    time.sleep(0.5)
    before = len(os.listdir(f"/proc/{pid}/fd"))
    output = home.python(code).stdout
    assert "RESULT True" in output, output
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before, "the daemon lets go")
    assert left_behind(home) == []
    runtime = Path(home.env["RUNLANE_RUNTIME_DIR"])
    home.stop_daemon()
    wait_until(lambda: not daemon_pids(home), "the daemon's end")
    stale = [entry.name for entry in runtime.iterdir() if entry.name.endswith(".sock")]
    assert stale == [], stale
    record("I9", "20 runs in one process: descriptors, threads, files", "as before", "as before", 1)
