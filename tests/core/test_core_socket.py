"""T6: what a socket can do to a stream of frames (reliability.md 4.1): little room, broken connections, interrupted calls."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time

from core_world import WAIT_SECS, World
from table import record
from test_core_queue import numbers


def own_sockets(world: World) -> list[socket.socket]:
    """The native part's connections to the daemon of this world, as further handles."""
    path = str(world.runtime_dir / "daemon-v1.sock")
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                one = socket.socket(fileno=os.dup(int(name)))
                if one.family == socket.AF_UNIX and one.getpeername() == path:
                    found.append(one)
                else:
                    one.close()
    return found


def test_t6_tiny_send_buffer(world: World) -> None:
    """The socket takes a few kilobytes at a time: `EAGAIN` and partial writes all the way, no frame is torn."""
    run = world.open()
    run.log({"n": 0})
    world.wait_for("call", 1)
    (ours,) = own_sockets(world)
    with ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 10_000
        pad = "x" * 3000
        slowest = 0.0
        for number in range(1, 3000):
            begun = time.perf_counter()
            run.log({"n": number, "pad": pad})
            slowest = max(slowest, time.perf_counter() - begun)
        run._finish(0, 0.0, False, lambda _: None)
    assert numbers(world) == list(range(3000))
    assert not world.spill_files()
    record("T6", "SO_SNDBUF of a few KiB: EAGAIN and partial writes", "no torn frame, 0 rows", "0 rows", 3000)


def test_t6_connections_that_break(world: World) -> None:
    """EPIPE and ECONNRESET at random moments: each connection goes on at the acknowledged number."""
    dice = random.Random()
    run = world.open()
    run.log({"n": 0})
    world.wait_for("call", 1)
    number, breaks = 1, 0
    pad = "x" * 500
    # Each connection that did not last is followed by a longer pause, up to two seconds.
    while breaks < 7:
        for _ in range(dice.randrange(50, 400)):
            run.log({"n": number, "pad": pad})
            number += 1
        time.sleep(dice.uniform(0, 0.01))
        for ours in own_sockets(world):
            with ours, contextlib.suppress(OSError):
                ours.shutdown(dice.choice([socket.SHUT_RDWR, socket.SHUT_WR]))
                breaks += 1
        deadline = time.monotonic() + WAIT_SECS
        while not (found := own_sockets(world)):
            assert time.monotonic() < deadline
            run.log({"n": number, "pad": pad})
            number += 1
            time.sleep(0.01)
        for ours in found:
            ours.close()
    run._finish(0, 0.0, False, lambda _: None)
    assert numbers(world) == list(range(number))
    assert not world.spill_files()
    record("T6", "EPIPE and ECONNRESET at random moments", "0 rows, each once", f"0 of {number} rows", breaks)
