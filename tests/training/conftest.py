"""An interpreter with torch."""

from __future__ import annotations

import pytest
from world import REPOSITORY


@pytest.fixture(scope="session")
def torch_python() -> str:
    """An interpreter that has torch, runlane and wandb."""
    path = REPOSITORY / ".venv-torch" / "bin" / "python"
    if not path.exists():
        pytest.skip("no torch: `make setup` installs Debian's python3-torch where it is root and apt answers")
    return str(path)
