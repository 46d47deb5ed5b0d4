"""Tables in artifacts are the files that wandb makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from world import PYTHON, make_home

SCRIPT = Path(__file__).with_name("artifact_cases.py")
# PNGs are compressed differently, names of files come from their content; names of joined tables are numbers of ours.
VARYING = re.compile(
    r"[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{20}|(?<=\"digest\": \")[A-Za-z0-9+/=]{24}|(?<=t[12]_)\d+|\d+ bytes"
)
# Where wandb raises or reads its own file wrong, see docs/differences.md.
OURS = ()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, wandb_python: str) -> list[dict[str, dict[str, str]]]:
    """What wandb and what runlane make of the cases."""
    home = make_home(tmp_path_factory.mktemp("both"))
    found = []
    for module, python in (("wandb", wandb_python), ("runlane", PYTHON)):
        results = home.work / f"{module}.json"
        home.run([python, str(SCRIPT), module, str(results)], check=True)
        found.append(json.loads(results.read_text()))
    return found


def test_tables_are_the_files_that_wandb_makes_of_them(both: list[dict[str, dict[str, str]]]) -> None:
    theirs = both[0]
    assert len(theirs) > 50 and not [name for name, found in theirs.items() if "error" in found]
    differing = {}
    for name in theirs:
        varies = name.startswith(("image", "joined", "classes"))
        expected, found = (_comparable(one[name], varies) for one in both)
        if expected != found:
            differing[name] = (expected, found)
    assert not differing


def _comparable(entries: dict[str, str], varies: bool) -> list[tuple[str, str]]:
    made = list(entries.items())
    if varies:
        made = [(VARYING.sub("#", path), VARYING.sub("#", text)) for path, text in made]
    return sorted(made)
