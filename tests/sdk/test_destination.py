"""Where a run goes: servers, keys, modes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from runlane import _credentials, _servers
from runlane._settings import Settings
from runlane.errors import AuthenticationError

KEY = "k" * 40
URL = "http://127.0.0.1:9"


def _register(pid=None, key=KEY, base_url=URL):
    directory = Path(_servers.registry_path()).parent
    directory.mkdir(parents=True, exist_ok=True)
    credentials = directory / "credentials.json"
    credentials.write_text(json.dumps({"username": "u", "entity": "u", "api_key": key}))
    record = {
        "base_url": base_url,
        "pid": pid or os.getpid(),
        "data_dir": str(directory),
        "credentials": str(credentials),
    }
    Path(_servers.registry_path()).write_text(json.dumps(record))


def _netrc(text, name=".netrc"):
    path = Path.home() / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_without_a_server_the_run_stays_here_and_one_line_says_so(wandb, daemon, capsys):
    run = wandb.init()
    assert run.offline is True
    assert daemon.opened[-1]["settings"]["offline"] is True
    lines = [line for line in capsys.readouterr().err.splitlines() if "runlane ui" in line]
    assert lines == [
        "runlane: No server is configured: this run stays on this machine. Look at it with `runlane ui`."
    ]


def test_a_key_alone_selects_no_host(wandb, daemon, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    _netrc(f"machine api.wandb.ai\n login user\n password {KEY}\n")
    wandb.init(mode="online")
    assert "base_url" not in daemon.opened[-1]["settings"]
    assert "api_key" not in daemon.opened[-1]["settings"]


def test_environment_names_server_and_key(wandb, daemon, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", URL)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    wandb.init()
    settings = daemon.opened[-1]["settings"]
    assert (settings["base_url"], settings["api_key"], settings["offline"]) == (URL, KEY, False)
    assert settings["init_timeout_secs"] == 5.0
    assert settings["force"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        {"force": True},
        {"resume": "must", "id": "a"},
        {"resume": "never", "id": "a"},
        {"fork_from": "b?_step=1"},
        {"resume_from": "a?_step=1"},
    ],
)
def test_starts_that_need_the_server_wait_for_it(arguments, wandb, daemon):
    wandb.init(settings={"base_url": URL, "api_key": KEY}, **arguments)
    settings = daemon.opened[-1]["settings"]
    assert settings["init_timeout_secs"] == 90.0
    assert settings["force"] is True


def test_shorter_init_timeout_is_kept(wandb, daemon):
    wandb.init(settings={"base_url": URL, "api_key": KEY, "init_timeout": 2})
    assert daemon.opened[-1]["settings"]["init_timeout_secs"] == 2.0


def test_running_server_of_this_user_is_used_with_its_own_key(wandb, daemon, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "o" * 40)
    _register()
    wandb.init()
    settings = daemon.opened[-1]["settings"]
    assert (settings["base_url"], settings["api_key"]) == (URL, KEY)


def test_dead_registration_is_ignored(wandb):
    _register(pid=2**22 - 1)
    assert _servers.running_server() is None
    assert wandb.init().offline is True


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"base_url": 5, "pid": "x"}', "\x00"])
def test_broken_registration_is_ignored(content):
    _register()
    Path(_servers.registry_path()).write_text(content)
    assert _servers.running_server() is None


def test_force_without_a_server_or_key_is_an_error(wandb):
    with pytest.raises(wandb.UsageError, match="no server is configured"):
        wandb.init(force=True)
    with pytest.raises(wandb.UsageError, match=r"No API key configured.*runlane login"):
        wandb.init(force=True, settings={"base_url": URL})


def test_server_without_a_key_keeps_the_run_here(wandb, capsys):
    assert wandb.init(settings={"base_url": URL}).offline is True
    assert "No API key is configured for http://127.0.0.1:9" in capsys.readouterr().err


def test_key_of_a_wrong_form_is_an_error_without_the_key(wandb):
    with pytest.raises(AuthenticationError, match="40 or more characters") as caught:
        wandb.init(settings={"base_url": URL, "api_key": "shortsecret"})
    assert "shortsecret" not in str(caught.value)


@pytest.mark.parametrize("mode", ["offline", "dryrun"])
def test_offline_modes(mode, wandb, daemon, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", URL)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    run = wandb.init(mode=mode)
    assert run.offline is True
    assert "api_key" not in daemon.opened[-1]["settings"]
    assert "/offline-run-" in run.sync_dir


def test_key_order(monkeypatch):
    settings = Settings(base_url=URL)
    _register(key="s" * 40)
    assert _credentials.find_key(settings) == ("s" * 40, "local server")
    _credentials.remember(URL, "l" * 40)
    assert _credentials.find_key(settings) == ("l" * 40, "login")
    assert _credentials.find_key(settings, file_key="f" * 40) == ("f" * 40, "settings")
    _netrc(f"machine 127.0.0.1:9\n  login user\n  password {'n' * 40}\n")
    assert _credentials.find_key(settings, file_key="f" * 40) == ("n" * 40, "netrc")
    monkeypatch.setenv("WANDB_API_KEY", "e" * 40)
    assert _credentials.find_key(settings, file_key="f" * 40) == ("e" * 40, "environment")
    settings.api_key = "c" * 40
    assert _credentials.find_key(settings, file_key="f" * 40) == ("c" * 40, "code")


def test_key_and_identity_token_exclude_each_other(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "/x")
    with pytest.raises(AuthenticationError, match="Both"):
        _credentials.find_key(Settings(base_url=URL))


def test_netrc_places(monkeypatch, tmp_path):
    _netrc(f"machine 127.0.0.1:9 login user password {KEY}\n", "_netrc")
    assert _credentials.key_from_netrc(URL) == KEY
    monkeypatch.setenv("NETRC", str(tmp_path / "other"))
    assert _credentials.key_from_netrc(URL) is None


def test_writing_netrc_keeps_other_entries_and_is_private():
    path = _netrc(
        f"machine other\n  login a\n  password b\nmachine 127.0.0.1:9\n  login user\n  password {'o' * 40}\n"
    )
    _credentials.write_netrc(URL, KEY)
    assert _credentials.key_from_netrc(URL) == KEY
    assert _credentials.key_from_netrc("http://other") == "b"
    assert path.read_text().count("machine") == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_login_stores_the_key(wandb, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", URL)
    assert wandb.login(key=KEY, verify=False) is True
    assert _credentials.key_from_netrc(URL) == KEY
    assert wandb.api.api_key == KEY


def test_login_refuses(wandb, monkeypatch):
    with pytest.raises(wandb.UsageError, match="no server is configured"):
        wandb.login(key=KEY)
    wandb.teardown()
    monkeypatch.setenv("WANDB_BASE_URL", URL)
    with pytest.raises(AuthenticationError):
        wandb.login(key="short", verify=False)
    with pytest.raises(wandb.UsageError, match="No API key configured"):
        wandb.login()


def test_login_with_host_writes_the_global_file(wandb, daemon):
    assert wandb.login(key=KEY, host=URL + "/", verify=False) is True
    wandb.teardown()
    wandb.init()
    assert daemon.opened[-1]["settings"]["base_url"] == URL


def test_disabled_mode_touches_nothing(wandb, daemon, world):
    run = wandb.init(mode="disabled", config={"a": 1})
    assert isinstance(run, wandb.Run)
    assert (run.entity, run.project, run.name) == ("dummy", "dummy", f"dummy-{run.id}")
    assert run.disabled is True
    assert run.get_url() is None
    run.log({"loss": 0.5})
    run.summary["n"] = {"b": 2}
    run.config["c"] = 3
    assert run.summary["loss"] == 0.5
    assert run.summary["n"]["b"] == 2
    assert dict(run.config) == {"a": 1, "c": 3}
    assert wandb.run is run
    assert not run.use_artifact("x:latest").download().anything
    assert run.save("x") == []
    run.define_metric("a", summary="max")
    run.alert("t", "x")
    run.watch(None)
    run.finish()
    assert wandb.run is None
    assert daemon.opened == []
    assert list(world.iterdir()) == []


def test_disabled_by_environment(wandb, daemon, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with wandb.init() as run:
        run.log({"a": 1})
        wandb.log({"b": 1})
    assert daemon.opened == []
