"""Online runs: resuming, servers that are away, daemons and trainers that die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driven import OwnServer, Trainer, TrainerError
from reading import plain, read_run
from runlane import Api
from runlane.errors import CommError
from world import Home, Server

# What the network's back-off may take at most before the next try, with room for a slow machine.
PATIENCE_SECS = 90

Start = Callable[..., Trainer]


def stored(server: Server, path: str) -> dict[str, Any] | None:
    """State and rows of a run at the server, or None if it does not know it."""
    api = Api(overrides={"base_url": server.base_url}, api_key=server.api_key)
    try:
        run = api.run(path)
    except CommError as error:
        if "Could not find run" not in str(error):
            raise
        return None
    return {"state": run.state, "x": [row.get("x") for row in run.scan_history()]}


def wait_for(server: Server, path: str, *, rows: int, state: str | None = None) -> None:
    """Wait until the server has so many rows of the run, and the run the state."""
    deadline = time.monotonic() + PATIENCE_SECS
    while True:
        found = stored(server, path)
        if found and len(found["x"]) >= rows and state in (None, found["state"]):
            return
        if time.monotonic() > deadline:
            pytest.fail(f"{path}: {rows} rows, state {state} did not come: {found}")
        time.sleep(0.1)


def daemons(home: Home) -> list[int]:
    """The processes of this home's daemon."""
    runtime = home.env["RUNLANE_RUNTIME_DIR"].encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if runtime in words and b"daemon" in words:
                found.append(int(process.name))
    return found


def kill_daemon(home: Home) -> int:
    """Kill the daemon of this home, once there is one, as the kernel would for want of memory."""
    deadline = time.monotonic() + 20
    while not daemons(home):
        assert time.monotonic() < deadline, "nobody started a daemon"
        time.sleep(0.01)
    (pid,) = daemons(home)
    os.kill(pid, signal.SIGKILL)
    while pid in daemons(home):
        time.sleep(0.001)
    return pid


def init(project: str, run: str = "online", **words: Any) -> str:
    """The line that starts a run."""
    given = "".join(f", {name}={value!r}" for name, value in words.items())
    return f"run = wandb.init(project={project!r}, id={run!r}{given})"


def a_finished_run(start: Start, server: Server, project: str, rows: int = 10) -> None:
    one = start(server.env)
    one.do(init(project, config={"lr": 0.1, "kept": [1, 2]}, tags=["old"], name="first"))
    one.log(range(rows))
    one.do("run.summary['best'] = 42")
    one.do("run.finish()")
    one.end()


RESUME_FACTS = (
    "import json; print(json.dumps([run.resumed, run.step, dict(run.config), run.summary.get('x'), "
    "run.summary.get('best'), run.name]))"
)


@pytest.mark.parametrize("how", ["argument", "variable", "must", "true"])
def test_a_resumed_run_goes_on_where_it_stood(
    home: Home, server: Server, project: str, trainer: Start, how: str
) -> None:
    a_finished_run(trainer, server, project)
    env = {**server.env, "WANDB_RESUME": "allow"} if how == "variable" else server.env
    modes: dict[str, dict[str, Any]] = {
        "argument": {"resume": "allow"},
        "must": {"resume": "must"},
        "true": {"resume": True},
    }
    words = modes.get(how, {})
    second = trainer(env)
    second.do(init(project, config={"lr": 0.5, "added": True}, **words))
    (line,) = second.do(RESUME_FACTS)
    assert json.loads(line) == [True, 10, {"lr": 0.5, "kept": [1, 2], "added": True}, 9, 42, "first"]
    second.log(range(10, 15))
    second.do("run.finish()")
    second.end()
    found = read_run(home, server, f"{project}/online")
    assert [row["_step"] for row in found["rows"]] == list(range(15))
    assert [row["x"] for row in found["rows"]] == list(range(15))
    times = [row["_runtime"] for row in found["rows"]]
    assert times == sorted(times)
    assert found["config"] == {"lr": 0.5, "kept": [1, 2], "added": True}
    assert (found["summary"]["x"], found["summary"]["best"], found["summary"]["_step"]) == (14, 42, 14)
    assert (found["state"], found["name"], found["tags"]) == ("finished", "first", ["old"])


def test_a_resumed_run_whose_daemon_dies_before_the_first_row_keeps_its_steps(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    a_finished_run(trainer, server, project)
    second = trainer(server.env)
    second.do(init(project, resume="allow"))
    kill_daemon(home)
    second.log(range(10, 15))
    second.do("run.finish()")
    second.end()
    found = read_run(home, server, f"{project}/online")
    assert [(row["_step"], row["x"]) for row in found["rows"]] == [(i, i) for i in range(15)]


def test_resume_refuses_what_it_was_told_to_refuse(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    one = trainer(server.env)
    with pytest.raises(TrainerError, match=r"^UsageError: run `nobody` does not exist"):
        one.do(init(project, "nobody", resume="must"))
    assert stored(server, f"{project}/nobody") is None
    a_finished_run(trainer, server, project)
    with pytest.raises(TrainerError, match=r"^UsageError: run `online` already exists"):
        one.do(init(project, resume="never"))
    # The process goes on, and what was refused left nothing behind for `sync`.
    one.do(init(project, "other", resume="never"))
    one.do("run.log({'x': 1})")
    one.do("run.finish()")
    one.end()
    assert stored(server, f"{project}/online") == {"state": "finished", "x": list(range(10))}
    assert stored(server, f"{project}/other") == {"state": "finished", "x": [1]}
    logs = [path.name for path in home.wandb_dir.glob("run-*/*.wandb")]
    assert sorted(logs) == ["run-online.wandb", "run-other.wandb"]


def test_an_id_used_again_without_resume_is_what_the_real_client_makes_of_it(
    home: Home, server: Server, project: str, trainer: Start, wandb_python: str
) -> None:
    for run, words in (
        ("ours", {}),
        ("theirs", {"python": wandb_python, "module": "wandb"}),
    ):
        for first in (0, 100):
            one = trainer(server.env, **words)
            one.do(init(project, run, config={f"from{first}": 1}))
            (line,) = one.do("print(run.resumed, run.step)")
            assert line == "False 0"
            one.log(range(first, first + 5))
            one.do(f"print('console {first}')")
            one.do("run.finish()")
            one.end()
    ours = read_run(home, server, f"{project}/ours")
    theirs = read_run(home, server, f"{project}/theirs")
    for one in (ours, theirs):
        one["rows"] = [(row["_step"], row["x"]) for row in one["rows"]]
    assert ours["rows"] == theirs["rows"]
    assert (ours["config"], ours["state"]) == (theirs["config"], "finished")
    assert ours["summary"]["x"] == theirs["summary"]["x"] == 104


def test_a_server_that_is_away_at_the_start_gets_every_row_when_it_comes(
    home: Home, own_server: OwnServer, project: str, trainer: Start
) -> None:
    server = own_server.start()
    own_server.stop()
    one = trainer(server.env)
    started = time.monotonic()
    one.do(init(project, config={"lr": 0.1}))
    assert time.monotonic() - started < 8  # five seconds of waiting, and the start of an interpreter
    assert "does not answer" in one.said()
    one.log(range(20))
    server = own_server.start()
    wait_for(server, f"{project}/online", rows=20, state="running")
    one.log(range(20, 25))
    one.do("run.finish()")
    one.end()
    found = read_run(home, server, f"{project}/online")
    assert [(row["_step"], row["x"]) for row in found["rows"]] == [(i, i) for i in range(25)]
    assert (found["state"], found["config"]) == ("finished", {"lr": 0.1})


def test_init_waits_at_most_its_time_for_a_server(
    home: Home, own_server: OwnServer, project: str, trainer: Start
) -> None:
    server = own_server.start()
    own_server.stop()
    one = trainer(server.env)
    one.do("import time; start = time.monotonic()")
    one.do(init(project))
    (line,) = one.do("print(time.monotonic() - start)")
    assert float(line) < 6
    one.do("start = time.monotonic()")
    one.log(range(100))
    (line,) = one.do("print(time.monotonic() - start)")
    assert float(line) < 1
    one.flush()
    one.kill()
    # Nothing is lost with the process: the log is there, and a later command uploads it.
    server = own_server.start()
    (directory,) = home.run_dirs()
    home.runlane("sync", str(directory), env=server.env)
    assert stored(server, f"{project}/online") == {"state": "crashed", "x": list(range(100))}


@pytest.mark.parametrize("words", [{"force": True}, {"resume": "must"}, {"resume": "never"}])
def test_a_start_that_needs_the_server_fails_without_it(
    own_server: OwnServer, project: str, trainer: Start, words: dict[str, Any]
) -> None:
    server = own_server.start()
    own_server.stop()
    one = trainer(server.env)
    started = time.monotonic()
    with pytest.raises(TrainerError, match=f"^CommError: .*{server.base_url}"):
        one.do(init(project, **words))
    assert time.monotonic() - started < 8


def test_a_rejected_key_is_an_error_at_once(home: Home, server: Server, project: str, trainer: Start) -> None:
    key = server.api_key[:-1] + ("A" if server.api_key[-1] != "A" else "B")
    one = trainer({**server.env, "WANDB_API_KEY": key})
    started = time.monotonic()
    with pytest.raises(TrainerError, match=r"^AuthenticationError: the server refuses the API key") as raised:
        one.do(init(project))
    assert time.monotonic() - started < 5
    assert key not in str(raised.value) + one.said()
    one.do(f"wandb.login(key={server.api_key!r}, host={server.base_url!r}, relogin=True)")
    assert stored(server, f"{project}/online") is None


def test_sync_completes_a_run_whose_processes_were_all_killed(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    one = trainer(server.env)
    one.do(init(project, config={"lr": 0.1}))
    one.log(range(50))
    wait_for(server, f"{project}/online", rows=50)
    # An explicit step stays open: its row is in no log record yet.
    one.do("[run.log({'x': i}) for i in range(50, 90)]")
    one.do("run.log({'x': 90}, step=95)")
    one.do("print('last words')")
    one.flush()
    (pid,) = daemons(home)
    for victim in (pid, one.process.pid):
        os.kill(victim, signal.SIGKILL)
    one.process.wait(10)
    (directory,) = home.run_dirs()
    synced = home.runlane("sync", str(directory), env=server.env)
    assert f"{project}/" in synced.stdout + synced.stderr
    found = read_run(home, server, f"{project}/online")
    expected = [(i, i) for i in range(90)] + [(95, 90)]
    assert [(row["_step"], row["x"]) for row in found["rows"]] == expected
    assert (found["state"], found["config"]) == ("crashed", {"lr": 0.1})
    assert found["summary"]["x"] == 90
    home.runlane("sync", "--include-synced", str(directory), env=server.env)
    assert plain(read_run(home, server, f"{project}/online")) == plain(found)


def test_a_killed_daemon_is_started_again_and_loses_nothing(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    one = trainer(server.env)
    one.do(init(project))
    killed = []
    for round_number in range(3):
        one.log(range(round_number * 40, round_number * 40 + 40))
        killed.append(kill_daemon(home))
    one.do("import time; start = time.monotonic()")
    one.log(range(120, 160))
    (line,) = one.do("print(time.monotonic() - start)")
    assert float(line) < 1, "logging waited for a daemon"
    one.do("run.finish()")
    one.end()
    assert len(set(killed)) == 3
    found = read_run(home, server, f"{project}/online")
    assert [(row["_step"], row["x"]) for row in found["rows"]] == [(i, i) for i in range(160)]
    assert (found["state"], found["summary"]["x"]) == ("finished", 159)


def test_a_server_that_restarts_gets_every_row_once(
    home: Home, own_server: OwnServer, project: str, trainer: Start
) -> None:
    server = own_server.start()
    one = trainer(server.env)
    one.do(init(project))
    one.log(range(20))
    wait_for(server, f"{project}/online", rows=20)
    own_server.stop()
    one.log(range(20, 40))
    server = own_server.start()
    one.log(range(40, 60))
    one.do("run.finish()", timeout=PATIENCE_SECS)
    one.end()
    found = read_run(home, server, f"{project}/online")
    assert [(row["_step"], row["x"]) for row in found["rows"]] == [(i, i) for i in range(60)]
    assert (found["state"], found["summary"]["x"]) == ("finished", 59)


def test_finish_without_the_server_is_bounded_and_says_what_uploads(
    home: Home, own_server: OwnServer, project: str, trainer: Start
) -> None:
    server = own_server.start()
    one = trainer(server.env)
    one.do(init(project, settings={"finish_timeout": 2}))
    own_server.stop()
    one.log(range(30))
    started = time.monotonic()
    one.do("run.finish()")
    assert time.monotonic() - started < 6
    (directory,) = home.run_dirs()
    assert f"runlane sync {directory}" in one.said()
    one.end()
    home.stop_daemon()
    server = own_server.start()
    home.runlane("sync", str(directory), env=server.env)
    assert stored(server, f"{project}/online") == {"state": "finished", "x": list(range(30))}


def test_alerts_are_stored_once_within_their_waiting_time(
    server: Server, project: str, trainer: Start
) -> None:
    one = trainer(server.env)
    one.do(init(project))
    one.do("run.alert('Loss', 'is NaN', level='WARN')")
    one.do("run.alert('Loss', 'is NaN again', level='WARN')")
    one.do("run.alert('Other', 'text', wait_duration=0)")
    one.do("run.finish()")
    one.end()
    with contextlib.closing(
        sqlite3.connect(f"file:{server.data_dir / 'runlane.db'}?mode=ro", uri=True)
    ) as db:
        alerts = db.execute(
            "SELECT title, text, severity FROM alerts WHERE run_id IN (SELECT r.id FROM runs r JOIN projects p ON "
            "p.id = r.project_id WHERE p.name = ?) ORDER BY id",
            (project,),
        ).fetchall()
    assert alerts == [("Loss", "is NaN", "WARN"), ("Other", "text", "INFO")]


def test_the_real_client_resumes_a_run_of_ours(
    home: Home, server: Server, project: str, trainer: Start, wandb_python: str
) -> None:
    a_finished_run(trainer, server, project)
    second = trainer(server.env, python=wandb_python, module="wandb")
    second.do(init(project, resume="allow", config={"added": True}))
    (line,) = second.do("import json; print(json.dumps([run.resumed, run.starting_step, dict(run.config)]))")
    assert json.loads(line) == [True, 10, {"lr": 0.1, "kept": [1, 2], "added": True}]
    second.log(range(10, 15))
    second.do("run.finish()")
    second.end()
    found = read_run(home, server, f"{project}/online")
    assert [(row["_step"], row["x"]) for row in found["rows"]] == [(i, i) for i in range(15)]
    assert found["config"] == {"lr": 0.1, "kept": [1, 2], "added": True}
    assert (found["state"], found["summary"]["x"], found["summary"]["best"]) == ("finished", 14, 42)


def test_the_daemon_uploads_what_a_finished_process_left(
    home: Home, own_server: OwnServer, project: str, trainer: Start
) -> None:
    server = own_server.start()
    one = trainer(server.env)
    one.do(init(project, settings={"finish_timeout": 1}))
    own_server.stop()
    one.log(range(30))
    one.do("run.finish()")
    one.end()
    own_server.start()
    wait_for(server, f"{project}/online", rows=30, state="finished")
    assert stored(server, f"{project}/online") == {"state": "finished", "x": list(range(30))}


@pytest.mark.parametrize("killed", ["nobody", "early", "late"])
def test_a_resumed_run_that_could_not_ask_the_server_goes_on_behind_its_rows(
    home: Home, own_server: OwnServer, project: str, trainer: Start, killed: str
) -> None:
    server = own_server.start()
    a_finished_run(trainer, server, project)
    own_server.stop()
    second = trainer(server.env)
    second.do(init(project, resume="allow", config={"added": True}))
    second.log(range(10, 15))
    second.flush()
    if killed == "early":
        kill_daemon(home)
        second.log(range(15, 16))
        second.flush()
    own_server.start()
    if killed == "late":
        wait_for(server, f"{project}/online", rows=15)
        kill_daemon(home)
    second.log(range(16, 20))
    second.do("run.finish()")
    second.end()
    found = read_run(home, server, f"{project}/online")
    values = [x for x in range(20) if x != 15 or killed == "early"]
    assert [row["x"] for row in found["rows"]] == values
    assert [row["_step"] for row in found["rows"]] == list(range(len(values)))
    assert found["config"] == {"lr": 0.1, "kept": [1, 2], "added": True}
    assert (found["summary"]["x"], found["summary"]["best"], found["state"]) == (19, 42, "finished")
