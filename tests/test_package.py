"""The installed package: what the wheel carries, and what an import costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import runlane
from world import Home

HEAVY = ["numpy", "google.protobuf", "grpc", "click", "yaml", "rich", "psutil", "asyncio", "urllib.request"]


def test_the_wheel_carries_the_binary_and_the_web_app() -> None:
    package = Path(runlane.__file__).parent
    binary = package / "_bin" / "runlane-core"
    assert os.access(binary, os.X_OK)
    version = subprocess.run(
        [str(binary), "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert version == f"runlane-core {runlane.__version__}"
    info = json.loads((package / "_bin" / "build-info.json").read_text())
    assert info["version"] == version
    page = (package / "_web" / "index.html").read_text()
    assert "<script" in page
    assert (package / "py.typed").exists()


def test_the_command_says_its_version(home: Home) -> None:
    assert runlane.__version__ in home.runlane("--version").stdout
    script = Path(sys.executable).with_name("runlane")
    assert runlane.__version__ in home.run([str(script), "--version"], check=True).stdout


def test_neither_import_nor_logging_loads_anything_heavy(home: Home) -> None:
    code = f"""
import sys
import runlane
heavy = {HEAVY!r}
print("IMPORT", sorted(set(heavy) & set(sys.modules)))
run = runlane.init(mode="offline")
run.log({{"a": 1, "b": 0.5, "c": {{"d": [1, 2]}}, "e": "text", "f": None}})
print("LOG", sorted({{"numpy", "google.protobuf", "grpc"}} & set(sys.modules)))
run.finish()
"""
    printed = home.python(code).stdout
    assert "IMPORT []" in printed and "LOG []" in printed


def test_the_extension_matches_its_stubs() -> None:
    import runlane._core as core

    for name in ("Connection", "RunBase", "DaemonError", "flush_at_exit", "__version__"):
        assert hasattr(core, name)
    assert core.__version__ == runlane.__version__
