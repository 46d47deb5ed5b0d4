"""T8b: the daemon runs out of descriptors (reliability.md 4.1)."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from pathlib import Path

from driven import Trainer
from scripts import PRELUDE, calls_in, daemon_pid, daemon_pids, left_behind, log_of, said, start, wait_until
from table import record
from world import Home

LIMIT = 64
CONNECTIONS = 300

LOGGING = (
    PRELUDE
    + """
import select
call = 0
print("logged", flush=True)
while not select.select([sys.stdin], [], [], 0.001)[0]:
    page.attempt(call)
    # An open row now and then: the pending file is written too.
    run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)}, commit=call % 3 == 2)
    page.done(call)
    call += 1
    if call % 200 == 0:
        assert run.flush("synced", timeout=20)
run.finish()
"""
)


def _cpu_secs(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_t8b_daemon_out_of_descriptors(home: Home, trainer) -> None:
    """Open runs go on; newcomers get a typed error at once; the daemon neither spins nor dies, and recovers without a restart."""
    victim = start(home, LOGGING, "going-on")
    victim.page.wait_for(10)
    pid = daemon_pid(home)
    path = os.path.join(home.env["RUNLANE_RUNTIME_DIR"], "daemon-v1.sock")
    idle: list[socket.socket] = []
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, hard))
        for count in range(CONNECTIONS):
            one = socket.socket(socket.AF_UNIX)
            one.settimeout(5)
            with contextlib.suppress(OSError):
                one.connect(path)
                idle.append(one)
            if count % 50 == 49:
                # Descriptors that the daemon has open for a moment (a sample, a sync) leave room for one more connection.
                time.sleep(0.1)
        open_descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        assert open_descriptors < LIMIT, "the reserve is used up"
        used = _cpu_secs(pid)
        returned = victim.page.returned
        begun = time.monotonic()
        newcomer: Trainer = trainer()
        (line,) = newcomer.do(
            'exec(\'try:\\n  wandb.init(mode="offline")\\n  print("STARTED")\\nexcept wandb.Error as error:\\n'
            '  print(type(error).__name__, str(error).replace(chr(10), " "))\')'
        )
        assert line.startswith("CoreNotAvailableError") and "no descriptors left" in line, line
        refused_after = time.monotonic() - begun
        time.sleep(1)
        # A logging run costs a little; a spinning loop would cost all of the time.
        busy = (_cpu_secs(pid) - used) / (time.monotonic() - begun)
        assert busy < 0.6, f"the daemon used {busy:.0%} of a processor"
        victim.page.wait_for(returned + 200)
    finally:
        for one in idle:
            one.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    # Without a restart: the same daemon takes newcomers in again.
    newcomer.do("run = wandb.init(mode='offline', id='newcomer')")
    newcomer.do("run.log({'i0': 0, 'x0': 1}); run.finish()")
    newcomer.end()
    assert daemon_pids(home) == [pid]
    victim.process.communicate("\n", timeout=60)
    assert victim.process.returncode == 0, said(home, "going-on")
    assert calls_in(log_of(home, "going-on")) == list(range(victim.page.returned))
    assert victim.page.longest_call_ms < 50
    wait_until(lambda: not left_behind(home), "nothing left behind")
    record(
        "T8b",
        f"descriptors of the daemon limited to {LIMIT}, {CONNECTIONS} idle connections: open run",
        "0 rows",
        "0 rows",
        1,
    )
    record(
        "T8b", "a newcomer meanwhile", "typed error", f"CoreNotAvailableError after {refused_after:.1f} s", 1
    )
    record("T8b", "the daemon's accept loop meanwhile", "does not spin", f"{busy:.0%} of a processor", 1)


def test_t8b_no_descriptor_at_all(home: Home) -> None:
    """The limit falls below what is in use: `accept` itself fails. The open run goes on, and so does the daemon afterwards."""
    victim = start(home, LOGGING, "no-more")
    victim.page.wait_for(10)
    pid = daemon_pid(home)
    path = os.path.join(home.env["RUNLANE_RUNTIME_DIR"], "daemon-v1.sock")
    idle = []
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for _ in range(20):
        idle.append(socket.socket(socket.AF_UNIX))
        idle[-1].connect(path)
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) >= 50, "connections are served")
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, hard))
        late = socket.socket(socket.AF_UNIX)
        late.settimeout(0.5)
        late.connect(path)
        used, begun = _cpu_secs(pid), time.monotonic()
        returned = victim.page.returned
        time.sleep(1.5)
        busy = (_cpu_secs(pid) - used) / (time.monotonic() - begun)
        assert busy < 0.6, f"the daemon used {busy:.0%} of a processor"
        victim.page.wait_for(returned + 100)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        for one in idle:
            one.close()
        late.close()
    victim.process.communicate("\n", timeout=60)
    assert victim.process.returncode == 0, said(home, "no-more")
    assert daemon_pids(home) == [pid]
    assert calls_in(log_of(home, "no-more")) == list(range(victim.page.returned))
    assert victim.page.longest_call_ms < 50
    record("T8b", "`accept` of the daemon fails (limit below what is open): open run", "0 rows", "0 rows", 1)
