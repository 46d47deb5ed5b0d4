"""The fixtures that every test may ask for; what they are made of is in world.py."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driven import OwnServer, Trainer
from postgres import Cluster
from world import REPOSITORY, Home, Server, make_home, start_server, stop_server

# `nohup` has it ignored, which programs inherit: those under test would not end by it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A fresh home; its daemon is stopped at the end."""
    made = make_home(tmp_path)
    yield made
    made.stop_daemon()
    shutil.rmtree(made.env["RUNLANE_RUNTIME_DIR"], ignore_errors=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server per test process; tests keep apart by project name."""
    root = tmp_path_factory.mktemp("server")
    owner = make_home(root)
    started = start_server(owner, root / "data")
    yield started
    stop_server(owner, root / "data")
    shutil.rmtree(owner.env["RUNLANE_RUNTIME_DIR"], ignore_errors=True)


@pytest.fixture(scope="session")
def wandb_python() -> str:
    """An interpreter that has the real wandb 0.31.0."""
    path = os.environ.get("RUNLANE_TEST_WANDB") or str(REPOSITORY / ".venv-wandb" / "bin" / "python")
    if not Path(path).exists():
        pytest.fail(f"no interpreter with wandb at `{path}`: run `make setup`, or set RUNLANE_TEST_WANDB")
    return path


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project name of the test's own."""
    return "".join(character if character.isalnum() else "-" for character in request.node.name)[:100]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL cluster, one per test process; it may lose data when it crashes."""
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def postgres_database(postgres: Cluster) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def trainer(home: Home) -> Iterator[Callable[..., Trainer]]:
    """Starts training processes (`trainer(env)`); none outlives the test."""
    started: list[Trainer] = []

    def start(env: dict[str, str] | None = None, **words: Any) -> Trainer:
        started.append(Trainer(home, env or {}, **words))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OwnServer]:
    """A server that the test may stop."""
    made = OwnServer(tmp_path / "own")
    yield made
    made.stop()
