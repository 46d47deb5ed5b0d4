"""Fixtures of the fault tests: training processes that are driven line by line, servers that come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driven import OwnServer, Trainer
from world import Home

Start = Callable[..., Trainer]


@pytest.fixture
def trainer(home: Home) -> Iterator[Start]:
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
