"""The command line: texts, exit codes, what the native binary is asked to do."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from runlane import __version__, _servers, _setup
from runlane._cli import _local_runs as local_runs
from runlane._cli import cli, main
from runlane._cli._server import server_arguments

KEY = "k" * 40


@pytest.fixture
def run(world):
    def invoke(*arguments, **options):
        _setup._process = None
        return CliRunner().invoke(cli, list(arguments), **options)

    return invoke


@pytest.fixture
def binary(world, monkeypatch):
    """A native binary that writes down its arguments and input, and plays back `events`."""
    path = world / "runlane-core"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "record = {'arguments': sys.argv[1:], 'input': sys.stdin.read() if sys.argv[1:] == ['sync'] else ''}\n"
        "json.dump(record, open(os.path.dirname(os.path.abspath(__file__)) + '/asked.json', 'w'))\n"
        "events = os.path.dirname(os.path.abspath(__file__)) + '/events'\n"
        "sys.stdout.write(open(events).read() if os.path.exists(events) else '')\n"
        "sys.exit(int(os.environ.get('BINARY_STATUS', '0')))\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("RUNLANE_CORE_BINARY", str(path))
    return world


def _asked(world):
    return json.loads((world / "asked.json").read_text())


def _offline_run(world, name="offline-run-20260102_030405-abc", log="run-abc.wandb"):
    directory = world / "wandb" / name
    directory.mkdir(parents=True)
    (directory / log).write_bytes(b"log")
    return directory / log


def _destination(monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)


def test_version(run):
    assert run("--version").output == f"runlane, version {__version__}\n"


def test_every_command_has_help(run):
    names = run("--help").output.split("Commands:")[1].split()
    for name in (
        "sync",
        "server",
        "ui",
        "login",
        "status",
        "online",
        "offline",
        "enabled",
        "disabled",
        "init",
        "exec",
    ):
        assert name in names
        assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("command", "mode"),
    [("offline", "offline"), ("disabled", "disabled"), ("enabled", "online"), ("off", "offline")],
)
def test_modes_are_written_to_the_workspace(run, world, command, mode):
    assert run(command).exit_code == 0
    assert f"mode = {mode}" in (world / "wandb" / "settings").read_text()
    assert run("online").exit_code == 0
    assert "mode" not in (world / "wandb" / "settings").read_text()


def test_init_and_status(run, world):
    assert run("init", "-p", "proj", "-e", "ent", "-m", "offline").exit_code == 0
    assert (world / "wandb" / ".gitignore").read_text() == "*\n!settings\n"
    shown = json.loads(run("status").output.partition("Current Settings\n")[2])
    assert (shown["project"], shown["entity"]) == ("proj", "ent")
    assert sorted(shown) == [
        "base_url",
        "entity",
        "git_remote",
        "ignore_globs",
        "organization",
        "project",
        "root_dir",
    ]
    assert run("init", "--reset", "-p", "other").exit_code == 0
    text = (world / "wandb" / "settings").read_text()
    assert "project = other" in text
    assert "entity" not in text


def test_init_refuses_a_bad_project(world, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["init", "-p", "a/b"])
    assert ended.value.code == 1
    assert "Error: Invalid project name" in capsys.readouterr().err
    assert not (world / "wandb" / "settings").exists()


def test_sync_request_carries_options_and_key_on_standard_input(run, binary, monkeypatch):
    log = _offline_run(binary)
    _destination(monkeypatch)
    events = [
        {"log": str(log), "state": "uploading", "rows": 1, "bytes": 3, "total_bytes": 6, "warnings": ["odd"]},
        {
            "log": str(log),
            "state": "done",
            "rows": 2,
            "bytes": 6,
            "total_bytes": 6,
            "url": "http://h/r",
            "warnings": ["odd"],
        },
        {"summary": {"synced": 1, "failed": 0, "partial": 0}},
    ]
    (binary / "events").write_text("".join(json.dumps(event) + "\n" for event in events))
    done = run(
        "sync",
        "--id",
        "new",
        "-p",
        "p",
        "-e",
        "e",
        "--job-type",
        "j",
        "--replace-tags",
        "a=b,c=d",
        "-n",
        "2",
        "--follow",
        str(log),
    )
    assert done.exit_code == 0, done.output
    asked = _asked(binary)
    assert asked["arguments"] == ["sync"]
    request = json.loads(asked["input"])
    assert request["logs"] == [os.path.realpath(log)]
    assert (request["base_url"], request["api_key"]) == ("http://127.0.0.1:9", KEY)
    assert (request["run_id"], request["project"], request["entity"], request["job_type"]) == (
        "new",
        "p",
        "e",
        "j",
    )
    assert request["replace_tags"] == {"a": "b", "c": "d"}
    assert (request["parallel"], request["follow"], request["mark_synced"]) == (2, True, True)
    assert "Syncing 1 run(s):" in done.output
    assert (
        "Finished syncing wandb/offline-run-20260102_030405-abc/run-abc.wandb: 2 rows (http://h/r)"
        in done.output
    )
    assert done.output.count("odd") == 1


def test_sync_ends_with_the_engines_status(run, binary, monkeypatch):
    log = _offline_run(binary)
    _destination(monkeypatch)
    (binary / "events").write_text(
        json.dumps({"log": str(log), "state": "failed", "error": "no such entity"}) + "\n"
    )
    monkeypatch.setenv("BINARY_STATUS", "1")
    done = run("sync", str(log))
    assert done.exit_code == 1
    assert "Failed: wandb/offline-run-20260102_030405-abc/run-abc.wandb: no such entity" in done.output


def test_sync_selects_runs(run, world):
    first = _offline_run(world)
    _offline_run(world, "offline-run-20260102_030406-syn", "run-syn.wandb")
    (world / "wandb" / "offline-run-20260102_030406-syn" / "run-syn.wandb.synced").touch()
    online = _offline_run(world, "run-20260102_030407-onl", "run-onl.wandb")
    (world / "wandb" / "latest-run").symlink_to("run-20260102_030407-onl")
    text = run("sync", "--dry-run").output
    assert "Skipped 1 synced run(s). Include with --no-skip-synced." in text
    assert "Skipped 1 online run(s). Include with --no-skip-online." in text
    assert "Would sync 1 run(s):\n  wandb/offline-run-20260102_030405-abc/run-abc.wandb" in text
    assert "Would sync 3 run(s)" in run("sync", "--dry-run", "--no-skip-online", "--include-synced").output
    # A run that is named is meant, whatever its kind; one file counts once.
    assert "Would sync 1 run(s)" in run("sync", "--dry-run", str(online), str(online.parent)).output
    assert "Would sync 1 run(s)" in run("sync", "--dry-run", str(first.parent)).output


def test_sync_asks_before_taking_everything(run, binary, monkeypatch):
    _offline_run(binary)
    _destination(monkeypatch)
    assert run("sync", input="n\n").exit_code == 1
    assert not (binary / "asked.json").exists()
    assert run("sync", "--yes").exit_code == 0
    assert (binary / "asked.json").exists()


def test_sync_refuses(run, world):
    _offline_run(world)
    assert run("sync").exit_code == 1
    assert "no server is configured" in run("sync", "wandb").output
    assert "no such file or directory: nowhere" in run("sync", "nowhere").output
    assert "needs pairs old=new" in run("sync", "--replace-tags", "a", "wandb").output
    removed = run("sync", "--sync-all")
    assert removed.exit_code == 2
    assert "use `runlane sync` without arguments" in removed.output


def test_sync_without_runs(run, world):
    (world / "empty").mkdir()
    assert run("sync", "empty").output == "No runs to sync.\n"


def test_sync_without_a_key(run, world, monkeypatch):
    _offline_run(world)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert "Not authenticated." in run("sync", "wandb").output


def test_missing_binary_is_one_clear_error(run, world, monkeypatch):
    _offline_run(world)
    _destination(monkeypatch)
    monkeypatch.setenv("RUNLANE_CORE_BINARY", "/nowhere/runlane-core")
    done = run("sync", "wandb")
    assert done.exit_code == 1
    assert "the native binary is missing: /nowhere/runlane-core" in done.output


def test_server_gets_its_places(world):
    home = os.environ["HOME"]
    assert server_arguments("start", ["--detach"]) == [
        "server",
        "start",
        "--detach",
        "--data-dir",
        f"{home}/.local/share/runlane/server",
        "--registry",
        f"{home}/.config/wandb/server.runlane.json",
    ]
    # Only a server that starts is announced.
    assert server_arguments("env", ["--data-dir=/d"]) == ["server", "env", "--data-dir=/d"]


def test_server_becomes_the_binary(binary, world):
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + "/python"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "runlane", "server", "start", "--port", "0"]
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert _asked(world)["arguments"][:4] == ["server", "start", "--port", "0"]


def test_offline_runs_below_a_directory(world):
    log = _offline_run(world)
    deep = world / "a" / "b" / "wandb" / "offline-run-20260101_000000-x"
    deep.mkdir(parents=True)
    (deep / "run-x.wandb").write_bytes(b"")
    (world / "node_modules" / "offline-run-1-y").mkdir(parents=True)
    (world / "node_modules" / "offline-run-1-y" / "run-y.wandb").write_bytes(b"")
    _offline_run(world, "run-20260102_030407-onl", "run-onl.wandb")
    assert local_runs.below(str(world)) == [os.path.realpath(deep / "run-x.wandb"), os.path.realpath(log)]


def test_login_command(run, world, monkeypatch):
    done = run("login", KEY, "--host", "http://127.0.0.1:9", "--no-verify")
    assert done.exit_code == 0, done.output
    assert KEY in (Path(os.environ["HOME"]) / ".netrc").read_text()
    assert run("login", "--cloud", "--host", "http://x").exit_code == 1


def test_exec_makes_wandb_mean_runlane(world):
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + "/python"
    script = (
        "import importlib.metadata, wandb, wandb.errors, runlane\n"
        "from wandb.errors import CommError\n"
        "from wandb.sdk.lib.config_util import ConfigError\n"
        "from wandb.sdk.data_types.base_types.wb_value import WBValue\n"
        "assert wandb.__name__ == 'wandb' and wandb.__version__ == '0.31.0'\n"
        "assert importlib.metadata.version('wandb') == '0.31.0'\n"
        "assert CommError is runlane.CommError and wandb.errors.Error is runlane.Error\n"
        "assert ConfigError is runlane.errors.ConfigError\n"
        "assert issubclass(wandb.Image, WBValue)\n"
        "assert wandb.run is None and not hasattr(wandb, 'nothing')\n"
        "wandb.config = {'a': 1}\n"
        "assert runlane.config == {'a': 1}\n"
        "print('fine')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "runlane", "exec", "--", sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_exec_of_an_unknown_command(run):
    done = run("exec", "--", "no-such-program-here")
    assert done.exit_code == 1
    assert "command not found: no-such-program-here" in done.output


@pytest.fixture
def local_server(world):
    """A registered server of this user that hands out sign-in links; what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.headers["Authorization"], self.headers["Origin"]))
            body = json.dumps({"url": "/login?token=once"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{http.server_port}"
    credentials = world / "credentials.json"
    credentials.write_text(json.dumps({"username": "u", "entity": "u", "api_key": KEY}))
    registry = Path(_servers.registry_path())
    registry.parent.mkdir(parents=True)
    registry.write_text(
        json.dumps({"base_url": url, "pid": os.getpid(), "data_dir": "/d", "credentials": str(credentials)})
    )
    yield url, asked
    http.shutdown()
    http.server_close()


def test_ui_uploads_without_marking_and_prints_a_sign_in_link(run, binary, local_server):
    log = _offline_run(binary)
    url, asked = local_server
    done = run("ui", "--no-open", "--no-follow", str(binary))
    assert done.exit_code == 0, done.output
    assert f"Open {url}/login?token=once" in done.output
    assert "1 offline run(s)" in done.output
    request = json.loads(_asked(binary)["input"])
    assert request["logs"] == [os.path.realpath(log)]
    assert (request["base_url"], request["api_key"]) == (url, KEY)
    assert (request["mark_synced"], request["follow"]) == (False, False)
    assert asked == [("/api/login-links", "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode(), url)]


def test_sync_goes_to_the_running_server_of_this_user(run, binary, local_server):
    log = _offline_run(binary)
    assert run("sync", str(log)).exit_code == 0
    assert json.loads(_asked(binary)["input"])["base_url"] == local_server[0]


def test_ui_says_why_no_server_could_be_started(run, binary, monkeypatch):
    monkeypatch.setenv("BINARY_STATUS", "1")
    done = run("ui", "--no-open", "--no-follow")
    assert done.exit_code == 1
    assert "the server could not be started" in done.output
    assert _asked(binary)["arguments"][:3] == ["server", "start", "--detach"]
