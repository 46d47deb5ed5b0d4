"""Servers and their database that die or are restarted while rows arrive (reliability.md 4.4: S1, S5, S10, S14).

What was answered with 200 is there afterwards, once; of what was not, whole requests or nothing.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from driven import core_binary
from postgres import Cluster, free_port
from server_load import Load, until
from table import record
from trials import trials
from world import Home, exported

ENTITY = "me"


class ServerProcess:
    """A server in the foreground, on a port of its own."""

    def __init__(
        self, home: Home, data: Path, database: str | None = None, objects: Path | None = None
    ) -> None:
        self.data, self.port = data, free_port()
        self.env = {**home.env, **({"RUNLANE_DATABASE_URL": database} if database else {})}
        self.words = ["--objects", str(objects)] if objects else []
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start it; the seconds until it is ready."""
        words = ["--port", str(self.port), "--data-dir", str(self.data), "--username", ENTITY, *self.words]
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [core_binary(), "server", "start", *words], env=self.env, stdout=log, stderr=log
            )
        return until(self._answers)

    def key(self) -> str:
        done = subprocess.run(
            [core_binary(), "server", "env", "--data-dir", str(self.data)],
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
        )
        return exported(done.stdout)["WANDB_API_KEY"]

    def end(self, how: signal.Signals) -> int:
        """Send the signal; the exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(60)
        self.process = None
        return status

    def close(self) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.data.parent / f"{self.data.name}.log").read_text()[-2000:]
        probe = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            probe.request("GET", "/ready")
            return probe.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            probe.close()


@pytest.fixture
def durable() -> Iterator[Cluster]:
    """A PostgreSQL cluster that keeps what it was given, and may be killed."""
    cluster = Cluster(durable=True)
    yield cluster
    cluster.remove()


def _load(server: ServerProcess, *others: ServerProcess) -> Load:
    load = Load([("127.0.0.1", one.port) for one in (server, *others)], server.key(), ENTITY, "killed")
    load.create(server.base_url)
    load.start()
    return load


def _kill_and_restart(server: ServerProcess, load: Load, times: int) -> float:
    slowest = 0.0
    chance = random.Random(times)
    for _ in range(times):
        load.wait_for_more(chance.choice((5, 10, 20)))
        server.end(signal.SIGKILL)
        slowest = max(slowest, server.start())
    load.wait_for_more()
    return slowest


def test_killed_server_has_every_acknowledged_row_once(home: Home, tmp_path: Path) -> None:
    server = ServerProcess(home, tmp_path / "data")
    times = trials(30, 1_000)
    try:
        server.start()
        load = _load(server)
        slowest = _kill_and_restart(server, load, times)
        load.stop()
        load.check(server.base_url)
    finally:
        server.close()
    assert slowest < 5
    record(
        "S1", "SIGKILL of the server, SQLite", "0 rows lost or twice; up in 5 s", f"{slowest:.2f} s", times
    )


def test_killed_server_on_postgres_has_every_acknowledged_row_once(
    home: Home, tmp_path: Path, postgres_database: str
) -> None:
    server = ServerProcess(home, tmp_path / "data", postgres_database)
    times = trials(4, 1_000)
    try:
        server.start()
        load = _load(server)
        slowest = _kill_and_restart(server, load, times)
        load.stop()
        load.check(server.base_url)
    finally:
        server.close()
    assert slowest < 5
    record(
        "S1",
        "SIGKILL of the server, PostgreSQL",
        "0 rows lost or twice; up in 5 s",
        f"{slowest:.2f} s",
        times,
    )


def test_crashes_of_postgres_lose_no_acknowledged_row(home: Home, tmp_path: Path, durable: Cluster) -> None:
    server = ServerProcess(home, tmp_path / "data", durable.create_database())
    times = trials(2, 200)
    kill_backends = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'runlane'"
    )
    try:
        server.start()
        load = _load(server)
        for _ in range(times):
            load.wait_for_more(10)
            durable.sql(kill_backends)
            load.wait_for_more(10)
            # As after a crash: nothing is written in order, the log is read at the start.
            durable.stop(signal.SIGQUIT)
            durable.start()
        load.wait_for_more()
        load.stop()
        load.check(server.base_url)
    finally:
        server.close()
    assert set(load.answers) <= {"200", "503"}, load.answers
    record("S5", "`immediate` stop of PostgreSQL, kill of backends", "0 rows lost or twice", "0", 2 * times)


def test_rolling_restart_of_two_servers_is_seen_by_nobody(
    home: Home, tmp_path: Path, postgres_database: str
) -> None:
    objects = tmp_path / "objects"
    one, other = (
        ServerProcess(home, tmp_path / name, postgres_database, objects) for name in ("one", "other")
    )
    times = trials(3, 50)
    try:
        one.start()
        other.start()
        load = _load(one, other)
        for _ in range(times):
            for server in (one, other):
                load.wait_for_more()
                assert server.end(signal.SIGTERM) == 0
                # The other one goes on for all.
                load.wait_for_more()
                server.start()
        load.stop()
        for server in (one, other):
            load.check(server.base_url)
    finally:
        one.close()
        other.close()
    # What one server has no answer for, the other one takes.
    assert set(load.answers) <= {"200", "503", "no answer"}, load.answers
    record("S14", "SIGTERM of two servers in turn", "0 rows lost or twice", "0", 2 * times)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_server_killed_while_it_makes_its_tables_starts_again(
    home: Home, tmp_path: Path, store: str, postgres_database: str
) -> None:
    database = postgres_database if store == "postgres" else None
    server = ServerProcess(home, tmp_path / "data", database)
    times = trials(6, 100)
    try:
        for delay in range(times):
            words = ["--port", str(server.port), "--data-dir", str(server.data), "--username", ENTITY]
            process = subprocess.Popen(
                [core_binary(), "server", "start", *words],
                env=server.env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                process.wait(0.01 + 0.008 * (delay % 12))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        server.start()
        load = _load(server)
        load.wait_for_more()
        load.stop()
        load.check(server.base_url)
    finally:
        server.close()
    record("S10", f"SIGKILL while tables are made, {store}", "starts again", "it did", times)
