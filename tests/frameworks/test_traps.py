"""What frameworks do beyond init, log and finish, one test each: `traps.py` does it, in one process under `runlane exec`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from world import make_home

SCRIPT = Path(__file__).with_name("traps.py")
NAMES = re.findall(r"^def (trap_\w+)\(", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def results(server, tmp_path_factory) -> dict[str, str]:
    """What became of each trap."""
    home = make_home(tmp_path_factory.mktemp("traps"))
    env = {**server.env, "WANDB_PROJECT": "traps", "WANDB_ENTITY": server.entity}
    try:
        done = home.runlane("exec", "--", sys.executable, str(SCRIPT), env=env, check=False, timeout=110)
    finally:
        home.stop_daemon()
        shutil.rmtree(home.env["RUNLANE_RUNTIME_DIR"], ignore_errors=True)
    print(done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[0].removeprefix("RESULTS "))


def test_there_are_as_many_traps_as_in_the_list():
    assert [int(name.split("_")[1]) for name in NAMES] == list(range(1, 36))


@pytest.mark.parametrize("name", NAMES)
def test_trap(results, name):
    assert results[name] == "ok", results[name]
