"""The names that frameworks use, one test each: `surface.py` asks for them, in one process under `runlane exec`."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from pathlib import Path

import pytest
from world import make_home

SCRIPT = Path(__file__).with_name("surface.py")


def _table(name: str) -> list[str]:
    """The keys of one of the script's tables."""
    for node in ast.parse(SCRIPT.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and node.targets[0].id == name:
            return [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
    raise AssertionError(name)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, str]:
    """What became of each name."""
    home = make_home(tmp_path_factory.mktemp("surface"))
    try:
        done = home.runlane("exec", "--", sys.executable, str(SCRIPT), check=False, timeout=110)
    finally:
        home.stop_daemon()
        shutil.rmtree(home.env["RUNLANE_RUNTIME_DIR"], ignore_errors=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[0].removeprefix("RESULTS "))


@pytest.mark.parametrize(
    "name",
    [
        *(f"path {path}" for path in _table("PATHS")),
        *(f"init({name}=)" for name in _table("INIT")),
        *(f"Settings({name}=)" for name in _table("SETTINGS")),
        *_table("CHECKS"),
    ],
)
def test_name(results, name):
    assert results[name] == "ok", results[name]
