"""Alerts, `mark_preempting` and requests to stop: from the program to the server, and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from driven import Trainer
from world import PYTHON, Home, Server

Start = Callable[..., Trainer]
DEADLINE_SECS = 40


def ask(server: Server, query: str, **variables: Any) -> dict[str, Any]:
    """The data of a GraphQL answer."""
    request = urllib.request.Request(
        f"{server.base_url}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": "Basic " + b64encode(f"api:{server.api_key}".encode()).decode(),
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found = json.load(answer)
    assert not found.get("errors"), found
    data: dict[str, Any] = found["data"]
    return data


def run_of(server: Server, project: str, run: str, selection: str) -> dict[str, Any] | None:
    """Fields of a run."""
    query = f"query R($p: String!, $r: String!) {{ project(name: $p) {{ run(name: $r) {{ {selection} }} }} }}"
    data = ask(server, query, p=project, r=run)
    return (data["project"] or {}).get("run")


def wait_for(server: Server, project: str, run: str, selection: str, wanted: Callable[[Any], bool]) -> Any:
    """The fields, once they are as wanted."""
    deadline = time.monotonic() + DEADLINE_SECS
    while True:
        found = run_of(server, project, run, selection)
        if found is not None and wanted(found):
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{run}: {selection} is {found}")
        time.sleep(0.05)


def alerts_of(server: Server, project: str, run: str) -> list[tuple[str, str, str]]:
    found = run_of(server, project, run, "alerts { title text severity }") or {"alerts": []}
    return [(alert["title"], alert["text"], alert["severity"]) for alert in reversed(found["alerts"])]


# The same lines for both libraries.
ALERTS = """
import datetime, time
import {module} as wandb
from {module} import AlertLevel
run = wandb.init(id={id!r}, project={project!r}, settings={{"console": "off", "x_disable_stats": True}})
run.alert(title="High Loss", text="Loss is increasing rapidly")
run.alert("High Loss", "again, too early")
run.alert(title="Disk", text="", level=AlertLevel.WARN, wait_duration=datetime.timedelta(minutes=5))
wandb.alert("Disk full", "now", level="ERROR", wait_duration=2.5)
run.alert("Ünïcode <@U1234ABCD>", "line 1\\nline 2", level="ERROR", wait_duration=300)
for bad, kind in (
    (lambda: run.alert("t", "x", level="LOUD"), ValueError),
    (lambda: run.alert("t", "x", level="error"), ValueError),
    (lambda: run.alert(5, "x"), TypeError),
    (lambda: run.alert("t", "x", wait_duration="5"), TypeError),
):
    try:
        bad()
    except kind:
        pass
    else:
        raise AssertionError(bad)
run.mark_preempting()
deadline = time.time() + 30
while (state := wandb.Api().run(run.path).state) != "preempting" and time.time() < deadline:
    time.sleep(0.1)
print("STATE", state)
run.finish()
"""


def test_alerts_arrive_as_those_of_wandb(home: Home, server: Server, project: str, wandb_python: str) -> None:
    """Titles, texts, levels, order, and which of them wait."""
    for module, python in (("runlane", PYTHON), ("wandb", wandb_python)):
        done = home.python(
            ALERTS.format(module=module, id=module, project=project), env=server.env, python=python
        )
        assert "STATE preempting" in done.stdout, module
        assert run_of(server, project, module, "state") == {"state": "finished"}
    ours, theirs = alerts_of(server, project, "runlane"), alerts_of(server, project, "wandb")
    assert [alert[0] for alert in ours] == ["High Loss", "Disk", "Disk full", "Ünïcode <@U1234ABCD>"]
    # Which of two alerts of one title comes first is up to the sender.
    assert sorted((title, level) for title, _, level in ours) == sorted(
        (title, level) for title, _, level in theirs
    )
    assert ours[0] == ("High Loss", "Loss is increasing rapidly", "INFO")
    assert ours[3][1:] == ("line 1\nline 2", "ERROR")


def test_alerts_of_an_offline_run_come_with_sync_and_once(home: Home, server: Server, project: str) -> None:
    """They are hours apart as they were sent, and arrive at one moment; a second sync brings none twice."""
    code = f"""
import time, runlane
from runlane import _core
run = runlane.init(mode="offline", project={project!r}, id="away")
for text in ("first", "second"):
    run.alert("Same title", text, wait_duration=0.2)
    time.sleep(0.3)
run.alert("No wait", "a", wait_duration=0)
run.alert("No wait", "b", wait_duration=0)
"""
    home.python(code)
    (run_dir,) = home.run_dirs()
    home.runlane("sync", str(run_dir), env=server.env)
    wanted = [
        ("Same title", "first", "INFO"),
        ("Same title", "second", "INFO"),
        ("No wait", "a", "INFO"),
        ("No wait", "b", "INFO"),
    ]
    assert alerts_of(server, project, "away") == wanted
    for leftover in (*run_dir.glob("*.runlane-cursor"), *run_dir.glob("*.synced")):
        leftover.unlink()
    home.runlane("sync", str(run_dir), env=server.env)
    assert alerts_of(server, project, "away") == wanted


def test_a_trainer_that_dies_leaves_an_alert(trainer: Start, server: Server, project: str) -> None:
    """No code is needed for it."""
    victim = trainer(server.env)
    victim.do(f"run = wandb.init(project={project!r}, id='dies'); run.log({{'a': 1}})")
    victim.flush()
    victim.kill()
    wait_for(server, project, "dies", "state", lambda run: run["state"] == "crashed")
    assert alerts_of(server, project, "dies") == [
        ("Run crashed", "The process ended without an exit code.", "ERROR")
    ]


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ("kill", "preempted"),
        ("run.finish()", "finished"),
        ("run.finish(exit_code=3)", "preempted"),
    ],
)
def test_a_preempting_run_ends_as_documented(
    trainer: Start, server: Server, project: str, end: str, state: str
) -> None:
    """`preempting` at once; `preempted` if it dies or fails, `finished` if it ends well."""
    leaving = trainer(server.env)
    leaving.do(f"run = wandb.init(project={project!r}, id='leaves'); run.log({{'a': 1}})")
    leaving.do("run.mark_preempting()")
    wait_for(server, project, "leaves", "state", lambda run: run["state"] == "preempting")
    if end == "kill":
        leaving.kill()
    else:
        leaving.do(end)
    wait_for(server, project, "leaves", "state", lambda run: run["state"] == state)
    assert alerts_of(server, project, "leaves") == []


def stop(server: Server, project: str, run: str) -> None:
    found = run_of(server, project, run, "id")
    assert found is not None
    data = ask(server, "mutation S($id: ID!) { stopRun(input: {id: $id}) { success } }", id=found["id"])
    assert data["stopRun"]["success"] is True


LOOP = """
import sys, time, runlane
{begin}
print("logged", flush=True)
run.log({{"a": 1}})
try:
    while True:
        time.sleep(0.05)
        {body}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""


def start(home: Home, server: Server, begin: str, body: str = "pass") -> subprocess.Popen[str]:
    """A script that goes on until it is interrupted; returns when its run is open."""
    script = home.root / f"loop-{time.monotonic_ns()}.py"
    script.write_text(LOOP.format(begin=begin, body=body))
    process = subprocess.Popen(
        [PYTHON, str(script)],
        cwd=home.work,
        env={**home.env, **server.env},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != "logged":
        assert process.poll() is None, process.stderr and process.stderr.read()
    return process


def test_the_stop_button_reaches_the_program_and_the_processes_that_attached(
    home: Home, server: Server, project: str
) -> None:
    """All of them get a KeyboardInterrupt, one that attaches later too; the run ends as `killed` with exit code 255."""
    owner = start(home, server, f"run = runlane.init(project={project!r}, id='stops')\nprint(run._attach_id)")
    (run_dir,) = home.run_dirs()
    attached = start(home, server, f"run = runlane.attach('stops:{run_dir}')")
    try:
        wait_for(server, project, "stops", "historyLineCount", lambda run: run["historyLineCount"] >= 1)
        stop(server, project, "stops")
        assert (run_of(server, project, "stops", "stopped shouldStop") or {})["stopped"] is True
        for process in (attached, owner):
            out, err = process.communicate(timeout=DEADLINE_SECS)
            assert "interrupted" in out, (out, err)
            assert process.returncode in (-signal.SIGINT, 130), (process.returncode, err)
    finally:
        for process in (attached, owner):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
    found = wait_for(
        server, project, "stops", "state exitCode", lambda run: run["state"] not in ("running", "preempting")
    )
    assert found == {"state": "killed", "exitCode": 255}


def test_every_rank_of_a_shared_run_is_stopped(home: Home, server: Server, project: str) -> None:
    """Writers of shared mode, each with its own stream."""

    def begin(rank: int) -> str:
        return (
            f"run = runlane.init(project={project!r}, id='ranks', settings=runlane.Settings(mode='shared',"
            f" x_label='rank-{rank}', x_primary={rank == 0}, x_update_finish_state={rank == 0}))"
        )

    ranks = [start(home, server, begin(0)), start(home, server, begin(1), "run.log({'b': 1})")]
    try:
        stop(server, project, "ranks")
        for process in ranks:
            out, err = process.communicate(timeout=DEADLINE_SECS)
            assert "interrupted" in out, (out, err)
    finally:
        for process in ranks:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
    wait_for(server, project, "ranks", "state", lambda run: run["state"] == "killed")


def test_a_stop_function_is_called_instead(home: Home, server: Server, project: str) -> None:
    """`stop_fn` decides what a stop means; the run goes on until the program ends it."""
    code = f"""
import threading, runlane
asked = threading.Event()
run = runlane.init(project={project!r}, id="asks", settings={{"stop_fn": asked.set}})
print("logged", flush=True)
assert asked.wait(30)
run.finish()
print("ended", flush=True)
"""
    process = home.start(code, env=server.env)
    stop(server, project, "asks")
    out, _ = process.communicate(timeout=DEADLINE_SECS)
    assert "ended" in out and process.returncode == 0
    assert run_of(server, project, "asks", "state exitCode") == {"state": "killed", "exitCode": 0}


def test_stop_on_fatal_error_stops_when_uploading_cannot_go_on(
    home: Home, own_server: Any, project: str
) -> None:
    """A run whose upload waits for a person is stopped only if it was asked for."""
    running = own_server.start()
    begin = "run = runlane.init(project={!r}, id={!r}, settings={{'stop_on_fatal_error': {}}})"
    eager = start(home, running, begin.format(project, "eager", True), "run.log({'a': 1})")
    calm = start(home, running, begin.format(project, "calm", False), "run.log({'a': 1})")
    try:
        own_server.stop()
        # A server at the same address that knows neither the key nor the runs.
        other = type(own_server)(home.root / "other")
        other.port = own_server.port
        other.start()
        try:
            out, err = eager.communicate(timeout=DEADLINE_SECS)
            assert "interrupted" in out, (out, err)
            assert calm.poll() is None
        finally:
            other.stop()
    finally:
        for process in (eager, calm):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(10)
