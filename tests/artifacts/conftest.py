"""A clean world for tests of stored artifacts: own home and directory, no variables, a server in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_server import KEY, FakeServer, StoredVersion
from runlane import _credentials, _setup, terminal
from runlane.artifacts import Artifact
from runlane.public_api import Api


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; the cache is `cache/artifacts` beside it."""
    for name in list(os.environ):
        if name.startswith(("WANDB", "RUNLANE")) or name in ("NETRC", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            monkeypatch.delenv(name)
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "work")
    _setup._process = None
    _credentials.forget()
    terminal._state.once.clear()
    terminal.termsetup(None)
    yield tmp_path / "work"
    _setup.teardown()
    _setup._process = None


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "artifacts"


@pytest.fixture
def stored(world: Path) -> Iterator[FakeServer]:
    """The server."""
    made = FakeServer()
    yield made
    made.close()


@pytest.fixture
def api(stored: FakeServer) -> Api:
    return Api(overrides={"base_url": stored.url}, api_key=KEY, timeout=5)


@pytest.fixture
def fetch(api: Api) -> Callable[[StoredVersion], Artifact]:
    """The artifact of a version that the server has."""
    return lambda version: api.artifact(f"e/p/{version.collection}:v{version.index}")
