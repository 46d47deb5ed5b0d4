"""N7, N8: rows that the server refuses, and keys."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable

import pytest
from driven import OwnServer, Trainer
from fault_server import FaultServer, Reply, Request
from network_world import (
    CALL_BOUND_SECS,
    PATIENCE_SECS,
    begin,
    everything_logged,
    heard,
    run_dir,
    timed_log,
    wait_until,
    worst_call,
)
from reading import read_run
from table import record
from world import Home, Server

Start = Callable[..., Trainer]


@pytest.mark.parametrize("status", [400, 404, 409, 410, 413, 422])
def test_n7_refused_rows_are_kept_apart_and_the_rest_arrives(
    home: Home, project: str, trainer: Start, status: int
) -> None:
    bad = {7, 8, 150}
    is_strict = True

    def rule(request: Request) -> Reply | None:
        if not is_strict or request.kind != "file_stream":
            return None
        part = (request.json.get("files") or {}).get("wandb-history.jsonl") or {"content": []}
        if any(json.loads(line).get("x") in bad for line in part["content"]):
            return Reply(status, {"error": {"message": "not this row"}})
        return None

    with FaultServer() as server:
        server.rules.append(rule)
        one = trainer(server.env)
        begin(one, project, "refused")
        timed_log(one, range(200))
        one.do("print('console line')")
        one.do("run.finish()", timeout=PATIENCE_SECS)
        one.end()
        stored = server.run("refused").rows()
        assert [row["_step"] for row in stored] == list(range(200))
        assert {row["_step"] for row in stored if "x" not in row} == bad
        assert server.run("refused").exit_code == 0
        assert "console line" in "".join(server.run("refused").lines["output.log"].values())
        directory = run_dir(home, "refused")
        dead = directory / "run-refused.wandb.runlane-dead"
        letters = [json.loads(line) for line in dead.read_text().splitlines()]
        assert [letter["line"] for letter in letters] == sorted(bad)
        assert {letter["status"] for letter in letters} == {status}
        assert {letter["reason"] for letter in letters} == {f"status {status}: not this row"}
        assert dead.stat().st_mode & 0o777 == 0o600
        command = f"runlane sync --retry-quarantined {directory}"
        assert one.said().count(command) == 1, one.said()
        requests = len(server.seen("file_stream"))
        is_strict = False
        synced = home.runlane(*command.split()[1:], env=server.env)
        assert "1 synced" in synced.stdout, synced.stdout + synced.stderr
        again = server.run("refused").rows()
        assert again[:200] == stored
        assert [row["x"] for row in again[200:]] == sorted(bad)
        assert not dead.exists()
        record(
            "N7",
            f"3 of 200 rows refused with {status}",
            "kept apart, the others stored, sent again on demand",
            f"197 of 197 others, {requests} requests",
            1,
        )


def test_n7_a_deleted_run_is_paused_and_not_taken_apart(home: Home, project: str, trainer: Start) -> None:
    is_deleted = False

    def rule(request: Request) -> Reply | None:
        if is_deleted and request.kind == "file_stream":
            return Reply(404, {"error": "there is no such run"})
        return None

    with FaultServer() as server:
        server.rules.append(rule)
        one = trainer(server.env)
        begin(one, project, "deleted")
        timed_log(one, range(20))
        wait_until("rows are stored", lambda: len(server.run("deleted").rows()) == 20)
        is_deleted = True
        timed_log(one, range(20, 60))
        wait_until("the pause is told", lambda: "uploads are paused" in heard(one))
        one.do("run.finish()")
        directory = run_dir(home, "deleted")
        said = one.said()
        assert "the server refuses everything of this run: status 404: there is no such run" in said
        assert f"runlane sync {directory}" in said
        assert not (directory / "run-deleted.wandb.runlane-dead").exists()
        one.end()
        home.stop_daemon()
        is_deleted = False
        home.runlane("sync", str(directory), env=server.env)
        assert [row["x"] for row in server.run("deleted").rows()] == list(range(60))


def rotate_key(server: Server) -> str:
    """Take the server's key away and give it another one; the new key."""
    new = server.api_key[:-4] + ("AAAA" if not server.api_key.endswith("AAAA") else "BBBB")
    with contextlib.closing(sqlite3.connect(server.data_dir / "runlane.db", timeout=30)) as db:
        (user,) = db.execute("SELECT user_id FROM api_keys").fetchone()
        # The hash of a key is SHA-256, its public id the beginning of that.

        digest = hashlib.sha256(new.encode()).digest()
        (length,) = db.execute("SELECT LENGTH(public_id) FROM api_keys").fetchone()
        db.execute("UPDATE api_keys SET revoked_at_micros = 1")
        db.execute(
            "INSERT INTO api_keys (user_id, public_id, secret_hash, description, created_at_micros)"
            " VALUES (?, ?, ?, 'rotated', 1)",
            (user, digest.hex()[:length], digest),
        )
        db.commit()
    return new


def test_n8_a_key_rotated_in_the_middle_pauses_and_resumes_without_a_restart(
    home: Home, own_server: OwnServer, project: str, trainer: Start
) -> None:
    server = own_server.start()
    one = trainer(server.env)
    begin(one, project, "rotated")
    timed_log(one, range(50))
    old = server.api_key
    new = rotate_key(server)
    timed_log(one, range(50, 100))
    wait_until(
        "the pause is told", lambda: "uploads are paused: the server refuses the API key" in heard(one)
    )
    timed_log(one, range(100, 150))
    time.sleep(2)
    assert one.said().count("uploads are paused") == 1
    # Another process of this user comes with the new key.
    renewed = Server(server.base_url, new, server.data_dir, {**server.env, "WANDB_API_KEY": new})
    begun = time.monotonic()
    other = trainer(renewed.env)
    begin(other, project, "other")
    other.do("run.finish()")
    other.end()
    wait_until("uploads go on", lambda: "uploads go on" in heard(one))
    resumed = time.monotonic() - begun
    timed_log(one, range(150, 200))
    assert worst_call(one) < CALL_BOUND_SECS
    one.do("run.finish()", timeout=PATIENCE_SECS)
    one.end()
    found = read_run(home, renewed, f"{project}/rotated")
    assert [(row["_step"], row["x"]) for row in found["rows"]] == [(i, i) for i in range(200)]
    assert found["state"] == "finished"
    said = everything_logged(home) + one.said() + other.said()
    assert old not in said
    assert new not in said
    record(
        "N8",
        "key revoked and replaced in mid-run",
        "paused with one warning, resumed without restart, 0 rows lost",
        f"0 rows, resumed {resumed:.1f} s after the new key came",
        1,
    )
