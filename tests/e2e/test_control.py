"""The daemon's control service with a real daemon: what the command line shows of it and does to it."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from driven import OwnServer, Trainer, TrainerError
from world import PYTHON, Home, Server

Start = Callable[..., Trainer]
PATIENCE_SECS = 30


def status(home: Home) -> dict[str, Any]:
    """`runlane daemon status --json`."""
    found = json.loads(home.runlane("daemon", "status", "--json").stdout)
    assert isinstance(found, dict)
    return found


def wait_until(home: Home, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The daemon's status once it is as wanted."""
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition(found := status(home)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def is_gone(pid: int) -> bool:
    """Whether a process has ended; what is left of it may wait for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_without_a_daemon(home: Home) -> None:
    result = home.runlane("daemon", "status", check=False)
    assert (result.returncode, result.stdout) == (3, "no daemon is running\n")
    assert home.runlane("daemon", "status", "--json", check=False).stdout == "null\n"
    result = home.runlane("daemon", "health", check=False)
    assert (result.returncode, result.stdout) == (1, "no daemon is running\n")
    assert home.runlane("daemon", "stop").stdout == "no daemon is running\n"
    # A socket that nobody answers on is no daemon.
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(f"{home.env['RUNLANE_RUNTIME_DIR']}/daemon-v1-control.sock")
    stale.close()
    assert home.runlane("daemon", "status", check=False).returncode == 3
    result = home.runlane("tail", "nope", check=False)
    assert result.returncode == 1
    assert "no run `nope`: no daemon is running" in result.stderr


def test_runs_are_listed_and_health_is_served(
    home: Home, trainer: Start, server: Server, project: str
) -> None:
    offline, online = trainer(), trainer(server.env)
    offline.do(f"run = wandb.init(project='{project}', mode='offline', id='away')")
    online.do(f"run = wandb.init(project='{project}', id='here')")
    offline.log(range(10))
    online.log(range(20))
    online.flush()
    offline.flush()
    found = wait_until(home, lambda found: sum(run["uploaded_rows"] for run in found["runs"]) == 20)
    assert found["connections"] == 2
    assert 0 < found["resident_bytes"] < 256 << 20
    away, here = sorted(found["runs"], key=lambda run: run["run_id"])
    assert (away["state"], away["offline"], away["rows"]) == ("running", True, 10)
    assert (here["state"], here["offline"], here["rows"], here["problem"]) == ("running", False, 20, "")
    assert here["entity"] == server.entity
    assert here["writers"][0]["pid"] == online.process.pid
    assert Path(here["log"]).is_file()
    assert Path(here["directory"]).is_dir()
    text = home.runlane("daemon", "status").stdout
    assert f"{server.entity}/{project}/here: running, 20 rows, 20 uploaded" in text
    assert home.runlane("daemon", "health").stdout == "serving\n"
    online.do("run.finish()")
    offline.do("run.finish()")


def test_a_live_tail_sees_rows_while_they_are_logged(home: Home, trainer: Start) -> None:
    one = trainer()
    one.do("run = wandb.init(project='p', mode='offline', id='live')")
    one.do("run.log({'loss': 0.5, 'text': 'a\\x1b[31mb', 'deep': {'er': 1}})")
    one.flush()
    tail = subprocess.Popen(
        [PYTHON, "-m", "runlane", "tail", "live", "-n", "5"],
        cwd=home.work,
        env=home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tail.stdout is not None
        assert tail.stderr is not None
        first = tail.stdout.readline()
        assert first.startswith("step 0  ")
        assert "  loss=0.5  text=a\\x1b[31mb" in first
        assert 'deep={"er": 1}' in first
        for step in range(1, 4):
            one.do(f"run.log({{'loss': {step}}})")
            assert tail.stdout.readline().endswith(f"loss={step}\n")
        one.do("run.finish(3)")
        assert tail.wait(PATIENCE_SECS) == 0
        assert tail.stderr.read() == "the run has ended with exit code 3\n"
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()
        tail.stderr.close()


def test_a_run_that_has_ended_is_read_from_its_log(home: Home) -> None:
    home.python(
        "import runlane\n"
        "with runlane.init(project='p', mode='offline', id='done') as run:\n"
        "    for i in range(100): run.log({'x': i})\n"
    )
    home.runlane("daemon", "stop")
    (directory,) = home.run_dirs()
    for name in ("done", str(directory), "wandb/latest-run", f"{directory}/run-done.wandb"):
        result = home.runlane("tail", name, "-n", "2", "--json")
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(row["x"], row["_step"]) for row in rows] == [(98, 98), (99, 99)], name
        assert result.stderr == "the run has ended with exit code 0\n"
    result = home.runlane("tail", "missing/run-x.wandb", check=False)
    assert result.returncode == 1
    (directory / "run-done.wandb").write_bytes(b"no log at all")
    result = home.runlane("tail", str(directory), check=False)
    assert result.returncode == 1
    assert "not a transaction log" in result.stderr


def test_an_unknown_run_is_an_error_that_names_the_open_ones(home: Home, trainer: Start) -> None:
    one = trainer()
    one.do("run = wandb.init(project='p', mode='offline', id='open1')")
    result = home.runlane("tail", "nope", check=False)
    assert result.returncode == 1
    assert "no open run `nope`; open are `p/open1`" in result.stderr
    one.do("run.finish()")


CONTROL = """
import sys
from runlane._control import Control
with Control() as control:
{body}
"""


def ask(home: Home, body: str) -> list[str]:
    """Lines that a script prints which has `control`."""
    code = CONTROL.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    return home.python(code).stdout.splitlines()


def test_flush_stop_and_progress(home: Home, trainer: Start, server: Server, project: str) -> None:
    one = trainer(server.env)
    one.do(f"run = wandb.init(project='{project}', id='r')")
    one.log(range(200))
    one.flush()
    flushed = ask(
        home, "print(*(control.flush('r', level, 20).reached for level in ('logged', 'synced', 'uploaded')))"
    )
    assert flushed == ["True True True"]
    assert status(home)["runs"][0]["uploaded_rows"] == 200
    # The process is interrupted as by the stop button of the server.
    assert ask(home, "print(control.stop_run('r'))") == ["1"]
    with pytest.raises(TrainerError, match="KeyboardInterrupt"):
        one.do("import time; time.sleep(30)", timeout=PATIENCE_SECS)
    one.do("run.finish()")
    states = ask(
        home,
        "from runlane._control import enum_name\n"
        "for progress in control.upload_progress(interval=0.1):\n"
        "    print(*(enum_name(run, 'state') for run in progress.run))",
    )
    assert set(states) <= {"uploading", "done", ""}


def test_stop_ends_the_daemon_and_says_what_remains(
    home: Home, trainer: Start, own_server: OwnServer
) -> None:
    server = own_server.start()
    one = trainer(server.env)
    one.do("run = wandb.init(project='p', id='left')")
    own_server.stop()
    one.log(range(50))
    one.flush()
    one.kill()
    wait_until(home, lambda found: all(run["ended"] for run in found["runs"]))
    pid = status(home)["pid"]
    result = home.runlane("daemon", "stop", "--timeout", "0.5")
    assert "the daemon has ended" in result.stdout
    assert is_gone(pid)
    assert "not uploaded whole" in result.stdout
    command = result.stdout.splitlines()[-1].split()
    assert command[:2] == ["runlane", "sync"]
    assert home.runlane("daemon", "health", check=False).returncode == 1
    for name in ("daemon-v1.sock", "daemon-v1-control.sock"):
        assert not Path(home.env["RUNLANE_RUNTIME_DIR"], name).exists()
    # The command that was named does it.
    server = own_server.start()
    home.runlane(*command[1:], env=server.env)


def test_a_live_run_outlives_the_daemon(home: Home, trainer: Start) -> None:
    one = trainer()
    one.do("run = wandb.init(project='p', mode='offline', id='goes-on')")
    one.log(range(10))
    one.flush()
    result = home.runlane("daemon", "stop")
    assert "1 run(s) go on" in result.stdout
    one.log(range(10, 20))
    one.flush()
    assert status(home)["runs"][0]["rows"] == 20
    one.do("run.finish()")


class Gate(ThreadingHTTPServer):
    """Passes requests on to a server, whose key it keeps to itself: visitors need another one, which changes."""

    daemon_threads = True

    def __init__(self, server: Server, key: str) -> None:
        super().__init__(("127.0.0.1", 0), _GateHandler)
        self.server = server
        self.key = key
        self.refused = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _GateHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def _serve(self) -> None:
        gate = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != _basic(gate.key):
            gate.refused += 1
            self._answer(401, {}, b'{"error": "unknown key"}')
            return
        headers = dict(self.headers.items())
        headers |= {
            "Host": gate.server.base_url.partition("://")[2],
            "Authorization": _basic(gate.server.api_key),
        }
        request = urllib.request.Request(
            gate.server.base_url + self.path, data=body or None, headers=headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECS) as response:
                self._answer(response.status, dict(response.headers.items()), response.read())
        except urllib.error.HTTPError as error:
            with error:
                self._answer(error.code, dict(error.headers.items()), error.read())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names of the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Nothing on standard error."""


def _basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"api:{key}".encode()).decode()


def test_login_gives_a_running_daemon_the_new_key(
    home: Home, trainer: Start, server: Server, project: str
) -> None:
    """N8 through the command line: the upload of a run whose key was revoked goes on after `runlane login`."""
    old, new = "local-" + "o" * 43, "local-" + "n" * 43
    gate = Gate(server, old)
    try:
        one = trainer({"WANDB_BASE_URL": gate.url, "WANDB_API_KEY": old})
        one.do(f"run = wandb.init(project='{project}', id='rekeyed')")
        one.log(range(10))
        wait_until(home, lambda found: found["runs"][0]["uploaded_rows"] == 10)
        gate.key = new
        one.log(range(10, 30))
        paused = wait_until(home, lambda found: found["runs"][0]["state"] == "paused")
        assert old not in json.dumps(paused)
        result = home.runlane("login", "--host", gate.url, "--no-verify", new)
        assert "1 run(s) that waited for a key go on uploading" in result.stderr
        assert new not in result.stdout + result.stderr
        wait_until(home, lambda found: found["runs"][0]["uploaded_rows"] == 30)
        one.do("run.finish()")
        assert gate.refused > 0
    finally:
        gate.shutdown()
        gate.server_close()


def test_login_says_nothing_of_a_daemon_that_does_not_run(home: Home) -> None:
    result = home.runlane("login", "--host", "http://127.0.0.1:9", "--no-verify", "local-" + "x" * 43)
    assert "running daemon" not in result.stdout + result.stderr


def test_training_never_loads_grpc(home: Home) -> None:
    code = (
        "import sys, runlane\n"
        "run = runlane.init(project='p', mode='offline')\n"
        "run.log({'x': 1})\n"
        "run.finish()\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('grpc', 'google')))"
    )
    assert home.python(code).stdout.splitlines()[-1] == "[]"
