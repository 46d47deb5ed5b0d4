"""What people do with the Public API, played by the real client and by ours: both see the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import scenarios
from playing import play, seed
from world import Home, Server, make_home


def _seen(server: Server, root: Path, python: str, module: str) -> dict[str, Any]:
    """What one client sees in a project of its own, which is called the same in what is returned."""
    project = f"both-{module}"
    seed(server, project)
    root.mkdir()
    home: Home = make_home(root)
    names = [one.__name__ for one in scenarios.SHARED]
    seen = play(home, server.env, python, module, names, {"entity": server.entity, "project": project})
    found: dict[str, Any] = json.loads(json.dumps(seen).replace(project, "PROJECT"))
    found["attributes_of_a_run"].pop("created_at")
    # Errors are worded otherwise; ours are of the documented class.
    refused = found.pop("what_is_not_there")
    found["refused"] = sorted(refused)
    return found


def test_both_clients_see_the_same(server: Server, tmp_path: Path, wandb_python: str) -> None:
    theirs = _seen(server, tmp_path / "theirs", wandb_python, "wandb")
    ours = _seen(server, tmp_path / "ours", sys.executable, "runlane")
    assert ours.keys() == theirs.keys()
    for name, seen in theirs.items():
        assert ours[name] == seen, name
