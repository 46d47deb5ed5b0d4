"""N1: servers that cannot be reached, in every way; a server that is killed and comes back twenty times."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import logs
import pytest
from driven import OwnServer, Trainer
from fault_server import KEY, FaultServer
from network_world import (
    CALL_BOUND_SECS,
    PATIENCE_SECS,
    begin,
    run_dir,
    timed_log,
    wait_until,
    worst_call,
)
from reading import read_run
from table import record
from trials import trials
from world import Home

Start = Callable[..., Trainer]


@pytest.fixture
def unreachable() -> Iterator[dict[str, str]]:
    """Addresses where nothing answers, by the reason."""
    with ExitStack() as stack:
        closed = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        refused = closed.getsockname()[1]
        closed.close()
        # Connections are taken by the kernel and never by anybody else.
        hole = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        plain = stack.enter_context(FaultServer())
        yield {
            "refused": f"http://127.0.0.1:{refused}",
            "black-hole": f"http://127.0.0.1:{hole.getsockname()[1]}",
            "no-name": "http://no-such-host.invalid:8080",
            "no-tls": f"https://127.0.0.1:{plain.port}",
        }


def test_n1_an_unreachable_server_costs_training_nothing(
    home: Home, unreachable: dict[str, str], project: str, trainer: Start
) -> None:
    secs = trials(12, 30)
    rows = range(secs * 20)
    worst: dict[str, float] = {}
    failures: list[BaseException] = []

    def train(name: str, url: str) -> None:
        try:
            one = trainer({"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY})
            begun = time.monotonic()
            begin(one, project, name, settings={"finish_timeout": 1})
            assert time.monotonic() - begun < 15, "init waited for longer than it may"
            timed_log(one, rows, pause=1 / 20)
            worst[name] = worst_call(one)
            begun = time.monotonic()
            one.do("run.finish()")
            assert time.monotonic() - begun < 10
            said = one.said()
            assert f"{len(rows)} rows (" in said and "are left: " in said, said
            assert f"runlane sync {run_dir(home, name)}" in said, said
            assert KEY not in said
            one.end()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=train, args=item) for item in unreachable.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    assert max(worst.values()) < CALL_BOUND_SECS, worst
    home.stop_daemon()
    with FaultServer() as server:
        directories = [str(run_dir(home, name)) for name in unreachable]
        home.runlane("sync", *directories, env=server.env)
        for name in unreachable:
            assert [row["x"] for row in server.run(name).rows()] == list(rows), name
            assert server.run(name).exit_code == 0
            log = run_dir(home, name) / f"run-{name}.wandb"
            assert [row["x"] for row in logs.rows(log)] == list(rows)
    record(
        "N1",
        f"{', '.join(unreachable)} for {secs} s",
        f"0 rows lost, no exception, calls <= {CALL_BOUND_SECS * 1e3:.0f} ms (loaded machine)",
        f"0 rows, {max(worst.values()) * 1e3:.1f} ms",
        len(unreachable),
    )


def test_n1_a_server_killed_and_restarted_twenty_times_has_every_row_once(
    home: Home, own_server: OwnServer, project: str, trainer: Start
) -> None:
    kills = 20
    server = own_server.start()
    one = trainer(server.env)
    begin(one, project, "killed")
    stopped = threading.Event()
    logged = 0

    def train() -> None:
        nonlocal logged
        while not stopped.is_set():
            timed_log(one, range(logged, logged + 20), pause=0.005)
            logged += 20

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for number in range(kills):
            time.sleep(0.07 * (number % 7))
            own_server.kill()
            own_server.start_again()
    finally:
        stopped.set()
        thread.join()
    worst = worst_call(one)
    begun = time.monotonic()
    one.do("run.finish()", timeout=PATIENCE_SECS)
    drained = time.monotonic() - begun
    one.end()
    found = read_run(home, server, f"{project}/killed")
    assert [(row["_step"], row["x"]) for row in found["rows"]] == [(i, i) for i in range(logged)]
    assert (found["state"], found["summary"]["x"]) == ("finished", logged - 1)
    assert worst < CALL_BOUND_SECS
    record(
        "N1",
        f"server killed and restarted {kills} times in one run of {logged} rows",
        "every row once",
        f"0 missing, 0 twice, finished {drained:.1f} s after the last start",
        kills,
    )


def test_the_daemon_goes_on_when_the_script_has_ended(home: Home, project: str, trainer: Start) -> None:
    with FaultServer() as server:
        from fault_server import Reply

        is_down = True
        server.rules.append(lambda request: Reply(503) if is_down and request.kind == "file_stream" else None)
        one = trainer(server.env)
        begin(one, project, "left", settings={"finish_timeout": 1})
        timed_log(one, range(50))
        one.do("run.finish()")
        assert "the daemon goes on with it when this process has ended" in one.said()
        one.end()
        assert server.run("left").exit_code is None
        is_down = False
        wait_until("the run's end is stored", lambda: server.run("left").exit_code == 0)
        assert [row["x"] for row in server.run("left").rows()] == list(range(50))
