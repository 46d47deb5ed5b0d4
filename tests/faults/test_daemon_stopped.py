"""T3: the daemon is stopped for a while, or for good (reliability.md 4.1)."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import logs
from scripts import (
    PRELUDE,
    calls_in,
    daemon_pid,
    left_behind,
    log_of,
    said,
    start,
    wait_until,
)
from table import record
from trials import trials
from world import Home, Server

CALL_BOUND_MS = 50.0
QUEUE_BOUND_MIB = 64

#: Logs fast until it has more in its queue than memory may hold, then a thousand calls a second until its input ends.
STOPPED = (
    PRELUDE
    + """
import select
pad = "p" * 3000
call = 0
def log_one():
    global call
    page.attempt(call)
    run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call), "pad": pad})
    page.done(call)
    call += 1
log_one()
assert run.flush("logged")
def peak(name):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])
before = peak("VmHWM")
print("logged", flush=True)
sys.stdin.readline()
most = 0
while call < 40_000:
    log_one()
    most = max(most, run._queued_bytes)
while not select.select([sys.stdin], [], [], 0)[0]:
    log_one()
    most = max(most, run._queued_bytes)
    time.sleep(0.001)
grown = peak("VmHWM") - before
run.finish()
print("RESULT", most, grown, run._lost_rows, call, flush=True)
"""
)


def _files_of(pid: int) -> list[str]:
    return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def test_t3_daemon_stopped_and_continued(home: Home) -> None:
    """No call waits, memory is bounded, the rest goes to the spill file; continued, everything arrives in order."""
    seconds = trials(5, 60)
    victim = start(home, STOPPED, "stopped")
    assert victim.process.stdout is not None and victim.process.stdin is not None
    assert victim.process.stdout.readline() == "logged\n"
    daemon = daemon_pid(home)
    os.kill(daemon, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        victim.process.stdin.write("\n")
        victim.process.stdin.flush()
        victim.page.wait_for(40_000, timeout=60)
        assert any("runlane-spill" in name for name in left_behind(home)), "no spill file"
        time.sleep(max(0, begun + seconds - time.monotonic()))
    finally:
        os.kill(daemon, signal.SIGCONT)
    output, _ = victim.process.communicate("\n", timeout=100)
    assert victim.process.returncode == 0, said(home, "stopped")
    _, most, grown, lost, logged = output.split()
    assert calls_in(log_of(home, "stopped")) == list(range(int(logged)))
    assert int(lost) == 0 and logs.losses(log_of(home, "stopped")) == []
    wait_until(lambda: not left_behind(home), "the spill file is removed")
    longest = victim.page.longest_call_ms
    record(
        "T3",
        f"SIGSTOP of the daemon, {seconds} s: calls",
        f"{CALL_BOUND_MS:g} ms",
        f"{longest:.1f} ms",
        int(logged),
    )
    record("T3", f"SIGSTOP of the daemon, {seconds} s: rows", "0 rows, in order", "0 rows", 1)
    record(
        "T3",
        f"SIGSTOP of the daemon, {seconds} s: memory of the trainer's queue",
        f"{QUEUE_BOUND_MIB} MiB",
        f"{int(most) / (1 << 20):.0f} MiB",
        1,
    )
    assert longest <= CALL_BOUND_MS
    assert int(most) <= QUEUE_BOUND_MIB << 20
    # Buffers that wait for their next use come on top of the queue.
    assert int(grown) < (QUEUE_BOUND_MIB + 32) << 10


NEVER = (
    PRELUDE
    + """
run.log({"i0": 0, "x0": x_of(0)})
assert run.flush("logged")
print("logged", flush=True)
sys.stdin.readline()
for call in range(1, 3000):
    page.attempt(call)
    run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)})
    page.done(call)
assert not run.flush("logged", timeout=0.2)
known = run.durability()
assert known.returned > known.logged and known.queued_bytes > 0, known
begun = time.monotonic()
run.finish()
print("RESULT", time.monotonic() - begun, flush=True)
"""
).replace("settings=wandb.Settings(", "settings=wandb.Settings(finish_timeout=2, ")


def test_t3_daemon_never_continued(home: Home, server: Server) -> None:
    """`finish` is bounded and says what to do; the rows are in the spill file, and `sync` finds them."""
    victim = start(home, NEVER, "never")
    assert victim.process.stdout is not None
    assert victim.process.stdout.readline() == "logged\n"
    daemon = daemon_pid(home)
    os.kill(daemon, signal.SIGSTOP)
    try:
        output, _ = victim.process.communicate("\n", timeout=60)
        took = float(output.split()[1])
        assert victim.process.returncode == 0, said(home, "never")
        assert "runlane sync" in said(home, "never")
        assert took < 15
        assert victim.page.longest_call_ms < CALL_BOUND_MS
    finally:
        os.kill(daemon, signal.SIGKILL)
    log = log_of(home, "never")
    home.runlane("sync", str(log.parent), env=server.env)
    assert calls_in(log) == list(range(3000))
    assert left_behind(home) == []
    record("T3", "SIGSTOP of the daemon for good: finish(finish_timeout=2)", "15 s", f"{took:.1f} s", 1)
    record("T3", "SIGSTOP of the daemon for good: rows behind `sync`", "0 rows", "0 rows", 1)


FULL = (
    PRELUDE
    + """
import resource
pad = "p" * 20_000
def log(first, behind):
    for call in range(first, behind):
        page.attempt(call)
        run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call), "pad": pad})
        page.done(call)
log(0, 1)
assert run.flush("logged")
print("logged", flush=True)
sys.stdin.readline()
# Files of this process cannot grow: the disk is full for the spill file.
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
log(1, 5000)
lost = run._lost_rows
print("lost", lost, flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
assert run.flush("logged", timeout=60)
log(5000, 5100)
assert run._lost_rows == lost and run.durability().lost == lost
run.finish()
"""
)


def test_t3_memory_and_disk_full_while_the_daemon_is_stopped(home: Home) -> None:
    """What can be kept nowhere is counted, once, in its place in the log; no call waits or raises, and the user is told."""
    victim = start(home, FULL, "full")
    assert victim.process.stdout is not None and victim.process.stdin is not None
    assert victim.process.stdout.readline() == "logged\n"
    daemon = daemon_pid(home)
    os.kill(daemon, signal.SIGSTOP)
    try:
        victim.process.stdin.write("\n")
        victim.process.stdin.flush()
        lost = int(victim.process.stdout.readline().split()[1])
    finally:
        os.kill(daemon, signal.SIGCONT)
    victim.process.communicate("\n", timeout=90)
    assert victim.process.returncode == 0, said(home, "full")
    log = log_of(home, "full")
    found = calls_in(log)
    assert lost > 1000 and len(found) == 5100 - lost
    assert found == sorted(set(found)) and found[0] == 0 and found[-100:] == list(range(5000, 5100))
    markers = logs.losses(log)
    assert sum(marker.count for marker in markers) == lost
    assert {marker.stream for marker in markers} == {"history"}
    # One for each stretch without room, not one for each row.
    assert len(markers) < 50
    # In their place: what stands before a marker and behind it differs by what it counts.
    gaps = [(one, other - one - 1) for one, other in pairwise(found) if other != one + 1]
    assert [gap for _, gap in gaps] == [marker.count for marker in markers]
    assert said(home, "full").count("rows are being lost") == 1
    assert f"lost {lost} rows (memory was full and the spill file could not grow)" in said(home, "full")
    longest = victim.page.longest_call_ms
    record(
        "T3",
        "memory and disk full while the daemon is stopped: rows without a marker",
        "0 rows",
        "0 rows",
        lost,
    )
    record(
        "T3", "memory and disk full while the daemon is stopped: calls", "50 ms", f"{longest:.1f} ms", 5100
    )
    assert longest < CALL_BOUND_MS
