"""Children of `fork`: they forget the parent's connection and log with a writer of their own."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from core_world import World, items_of
from runlane import _core

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
WATCHDOG_SECS = 30


def in_child(work: Callable[[], None]) -> int:
    """Fork; run `work` in the child, which exits 0 if it did not raise; returns the child's pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    with contextlib.suppress(BaseException):
        signal.alarm(WATCHDOG_SECS)
        work()
        status = 0
    os._exit(status)


def wait_for_child(pid: int) -> None:
    """The child ended well."""
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"child ended with {status}"


def test_a_child_logs_with_a_writer_of_its_own(world: World) -> None:
    run = world.open()
    run.log({"who": "parent", "n": 0})
    world.wait_for("call", 1)

    def work() -> None:
        run.log({"who": "child", "n": 0})
        run.log({"who": "child", "n": 1})
        assert _core.flush_at_exit(20.0)

    wait_for_child(in_child(work))
    run.log({"who": "parent", "n": 1})
    run._finish(0, 0.0, False, lambda _: None)
    rows = collections.defaultdict(list)
    writers = collections.defaultdict(set)
    for call in world.events("call"):
        found = items_of(call)
        rows[found["who"]].append(found["n"])
        writers[found["who"]].add(call["writer"])
    assert rows == {"parent": [0, 1], "child": [0, 1]}
    assert len(writers["parent"] | writers["child"]) == 2
    assert [event["attach"] for event in world.events("open")] == [False, True]


def test_a_child_that_does_nothing_leaves_the_parent_alone(world: World) -> None:
    run = world.open()
    run.log({"n": 0})
    wait_for_child(in_child(lambda: None))
    run.log({"n": 1})
    run._finish(0, 0.0, False, lambda _: None)
    assert [items_of(call)["n"] for call in world.events("call")] == [0, 1]
    assert len(world.events("hello")) == 1


def test_a_child_forks_again(world: World) -> None:
    run = world.open()

    def grandchild() -> None:
        run.log({"who": "grandchild"})
        assert _core.flush_at_exit(20.0)

    def child() -> None:
        run.log({"who": "child"})
        wait_for_child(in_child(grandchild))
        run.log({"who": "child again"})
        assert _core.flush_at_exit(20.0)

    wait_for_child(in_child(child))
    calls = world.wait_for("call", 3)
    assert sorted(items_of(call)["who"] for call in calls) == ["child", "child again", "grandchild"]
    assert len({call["writer"] for call in calls}) == 2


def test_a_child_opens_a_run_of_its_own(world: World) -> None:
    world.open().log({"n": 0})

    def work() -> None:
        run = world.open(run_id="r2")
        run.log({"n": 1})
        assert run._finish(0, 0.0, False, lambda _: None)["done"]

    wait_for_child(in_child(work))
    assert [event["run_id"] for event in world.events("open")] == ["r1", "r2"]


def test_the_daemon_sees_the_parent_die_although_a_child_lives(world: World) -> None:
    reader, writer = os.pipe()

    def trainer() -> None:
        world.open().log({"n": 0})
        world.wait_for("call", 1)
        idle = os.fork()
        if idle == 0:
            time.sleep(WATCHDOG_SECS)
            os._exit(0)
        os.write(writer, f"{idle}\n".encode())
        time.sleep(WATCHDOG_SECS)

    pid = in_child(trainer)
    idle = int(os.read(reader, 100))
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert world.wait_for("gone", 1)
    finally:
        os.kill(idle, signal.SIGKILL)
        os.close(reader)
        os.close(writer)


def test_forks_under_load_do_not_deadlock(world: World) -> None:
    run = world.open()
    stop = threading.Event()
    logged = [0, 0]

    def busy(number: int) -> None:
        while not stop.is_set():
            run.log({"thread": number, "n": logged[number]})
            logged[number] += 1
            time.sleep(0)

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()

    def work() -> None:
        run.log({"child": os.getpid()})
        assert _core.flush_at_exit(25.0)

    kinds = [work, lambda: run.log({"lost with the child": 1}), lambda: None]
    for turn in range(30):
        wait_for_child(in_child(kinds[turn % 3]))
    stop.set()
    for thread in threads:
        thread.join()
    run._finish(0, 0.0, False, lambda _: None)
    found = [items_of(call) for call in world.events("call")]
    assert len([row for row in found if "child" in row]) == 10
    for number in range(2):
        assert [row["n"] for row in found if row.get("thread") == number] == list(range(logged[number]))


def test_a_finished_run_stays_finished_in_a_child(world: World) -> None:
    run = world.open()
    run._finish(0, 0.0, False, lambda _: None)

    def work() -> None:
        with pytest.raises(RuntimeError, match="finished"):
            run.log({"n": 1})

    wait_for_child(in_child(work))
    assert len(world.events("open")) == 1
