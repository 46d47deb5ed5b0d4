"""T4: the daemon is killed, cannot be started, or dies at the wrong moment (reliability.md 4.1)."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest
from scripts import (
    PRELUDE,
    calls_in,
    daemon_pids,
    kill_daemon,
    left_behind,
    log_of,
    run_to_end,
    said,
    start,
    wait_until,
)
from table import record
from trials import trials
from world import Home, Server

RESTART_BOUND_SECS = 2.0

#: Logs at a rate until its input ends, then finishes.
LIVING = (
    PRELUDE
    + """
import select
rate, call = float(sys.argv[3]), 0
print("logged", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    data = {f"i{call % 3}": call, f"x{call % 3}": x_of(call)}
    page.attempt(call)
    run.log(data) if sys.argv[4] == "plain" else run.log(data, step=call // 3)
    page.done(call)
    call += 1
    if rate:
        time.sleep(1 / rate)
run.finish()
"""
)


@pytest.mark.parametrize(
    ("rate", "form", "counts"),
    [(10, "plain", (8, 52)), (1000, "plain", (8, 52)), (1000, "step", (4, 52)), (0, "plain", (4, 52))],
)
def test_t4_daemon_killed(home: Home, rate: int, form: str, counts: tuple[int, int]) -> None:
    """No exception, nothing lost, started again within two seconds. A process may start five a minute, its first one included."""
    dice = random.Random()
    kills, slowest, rows, longest = 0, 0.0, 0, 0.0
    while kills < trials(*counts):
        run_id = f"t4-{kills}"
        victim = start(home, LIVING, run_id, str(rate), form)
        victim.page.wait_for(1)
        for _ in range(4):
            time.sleep(dice.uniform(0, 0.3 if rate else 0.1))
            before = kill_daemon(home)
            wait_until(lambda: daemon_pids(home), "a new daemon", timeout=20)
            slowest = max(slowest, (time.monotonic_ns() - before) / 1e9)
            kills += 1
        victim.process.communicate("\n", timeout=60)
        assert victim.process.returncode == 0, said(home, run_id)
        found = calls_in(log_of(home, run_id))
        assert found == list(range(victim.page.returned)), "lost, double or out of order"
        assert "Traceback" not in said(home, run_id)
        rows += len(found)
        longest = max(longest, victim.page.longest_call_ms)
    name = f"SIGKILL of the daemon, {rate or 'flat out'}{' rows/s' if rate else ''}" + (
        ", log(d, step=s)" if form == "step" else ""
    )
    record("T4", f"{name}: rows", "0 rows", f"0 of {rows} rows", kills)
    record("T4", f"{name}: calls", "50 ms", f"{longest:.1f} ms", rows)
    record("T4", f"{name}: start of another", f"{RESTART_BOUND_SECS:g} s", f"{slowest:.2f} s", kills)
    assert slowest <= RESTART_BOUND_SECS
    assert longest < 50
    assert left_behind(home) == []


TOO_OFTEN = (
    PRELUDE
    + """
print("logged", flush=True)
call = 0
import select
while not select.select([sys.stdin], [], [], 0.005)[0]:
    page.attempt(call)
    run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)})
    page.done(call)
    call += 1
"""
)


def test_t4_a_daemon_that_keeps_dying_is_started_five_times_a_minute(home: Home, server: Server) -> None:
    """After that rows go to the spill file, with one warning; `sync` finds them."""
    victim = start(home, TOO_OFTEN, "often")
    victim.page.wait_for(1)
    seen: set[int] = set()
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline and "does not stay up" not in said(home, "often"):
        for pid in daemon_pids(home):
            if pid not in seen:
                seen.add(pid)
                kill_daemon(home)
        time.sleep(0.02)
    assert said(home, "often").count("does not stay up") == 1
    # The first one was started by `init`.
    assert 5 <= len(seen) <= 6, seen
    returned = victim.page.returned
    victim.page.wait_for(returned + 50)
    assert any("runlane-spill" in name for name in left_behind(home))
    killed_at = victim.kill()
    assert victim.page.longest_call_ms < 50
    log = log_of(home, "often")
    home.runlane("sync", str(log.parent), env=server.env)
    found = calls_in(log)
    assert found == list(range(len(found)))
    age_ms = (killed_at - victim.page.returned_at_ns(min(len(found), victim.page.returned - 1))) / 1e6
    assert victim.page.returned - len(found) <= 0 or age_ms < 20
    record("T4", "a daemon that is killed at once, again and again: starts", "5 a minute", f"{len(seen)}", 1)


def _binary(home: Home, body: str) -> dict[str, str]:
    script = home.root / "not-the-core"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return {"RUNLANE_CORE_BINARY": str(script)}


def _unusable(home: Home, case: str) -> tuple[dict[str, str], str]:
    if case == "missing":
        return {"RUNLANE_CORE_BINARY": str(home.root / "nothing-there")}, "nothing-there"
    if case == "not executable":
        path = home.root / "plain-file"
        path.write_text("hello")
        return {"RUNLANE_CORE_BINARY": str(path)}, "Permission denied"
    if case == "aborts at its start":
        return _binary(home, "kill -ABRT $$"), "the daemon ended before it listened"
    return _binary(home, "exit 3"), "the daemon ended before it listened"


@pytest.mark.parametrize("case", ["missing", "not executable", "aborts at its start", "exits at its start"])
def test_t4_a_daemon_that_cannot_be_started_is_a_typed_error_at_init(home: Home, case: str) -> None:
    """`init` says what is wrong; it does not hang, and leaves no process."""
    env, reason = _unusable(home, case)
    code = """
import time
import runlane as wandb
begun = time.monotonic()
try:
    wandb.init(mode="offline")
except wandb.Error as error:
    print(type(error).__name__, str(error).replace("\\n", " "), flush=True)
print("took", time.monotonic() - begun)
"""
    output = home.python(code, env=env).stdout
    assert "CoreNotAvailableError" in output and reason in output, output
    assert float(output.split("took ")[1]) < 16
    assert daemon_pids(home) == []
    record("T4", f"daemon {case}: init", "typed error", "CoreNotAvailableError", 1)


@pytest.mark.parametrize(
    "case", trials(["missing", "aborts at its start"], ["missing", "not executable", "aborts at its start"])
)
def test_t4_a_daemon_that_cannot_be_started_again_costs_nothing(
    home: Home, server: Server, case: str
) -> None:
    """The binary goes away under a running script: rows go to the spill file, and `sync` finds them."""
    env, _ = _unusable(home, case)
    link = home.root / "core"
    real = os.environ.get("RUNLANE_CORE_BINARY") or str(_installed_binary())
    link.symlink_to(real)
    limits = {"RUNLANE_CORE_BINARY": str(link), "WANDB_FINISH_TIMEOUT": "2"}
    victim = start(home, TOO_OFTEN, "gone", env=limits)
    victim.page.wait_for(1)
    link.unlink()
    if Path(env["RUNLANE_CORE_BINARY"]).exists():
        link.symlink_to(env["RUNLANE_CORE_BINARY"])
    kill_daemon(home)
    victim.page.wait_for(victim.page.returned + 200)
    wait_until(lambda: any("runlane-spill" in name for name in left_behind(home)), "a spill file")
    begun = time.monotonic()
    victim.process.communicate("\n", timeout=100)
    assert victim.process.returncode == 0, said(home, "gone")
    assert time.monotonic() - begun < 20
    assert victim.page.longest_call_ms < 50
    log = log_of(home, "gone")
    home.runlane("sync", str(log.parent), env=server.env)
    assert calls_in(log) == list(range(victim.page.returned))
    record("T4", f"daemon killed and {case}: rows behind `sync`", "0 rows", "0 rows", 1)


def _installed_binary() -> Path:
    import runlane

    return Path(runlane.__file__).parent / "_bin" / "runlane-core"


def _kill_the_first(home: Home, stop: threading.Event) -> None:
    while not stop.is_set():
        if daemon_pids(home):
            kill_daemon(home)
            return


def test_t4_killed_while_the_first_run_is_opened(home: Home) -> None:
    """`init` gets its answer from the next daemon."""
    count = trials(3, 20)
    for number in range(count):
        run_id = f"opening-{number}"
        stop = threading.Event()
        killer = threading.Thread(target=_kill_the_first, args=(home, stop))
        killer.start()
        code = PRELUDE + "run.log({'i0': 0, 'x0': x_of(0)})\nrun.finish()\n"
        status, _, _ = run_to_end(home, code, run_id)
        stop.set()
        killer.join()
        assert status == 0, said(home, run_id)
        assert calls_in(log_of(home, run_id)) == [0]
        if daemon_pids(home):
            kill_daemon(home)
    record("T4", "SIGKILL of the daemon while `init` opens the run", "no exception, 0 rows", "0 rows", count)
