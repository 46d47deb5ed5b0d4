"""The world that each test gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from core_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of its own; its daemons are killed afterwards."""
    world = World(tmp_path)
    yield world
    world.close()
    assert "Traceback" not in world.log(), world.log()
