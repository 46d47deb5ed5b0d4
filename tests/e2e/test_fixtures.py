"""W&B's real offline directories: each syncs, and the server returns what its expected.json says."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from reading import leaf_paths, plain, read_run
from world import FIXTURES, Home, Server

NAMES = sorted(path.parent.name for path in FIXTURES.glob("*/expected.json"))
STATES = {0: "finished", None: "crashed"}


def unpacked(name: str, into: Path) -> tuple[Path, dict[str, Any]]:
    """A writable copy of a fixture's run directory, its log decompressed, and its expectations."""
    expected = json.loads((FIXTURES / name / "expected.json").read_text(encoding="utf-8"))
    (source,) = (FIXTURES / name).glob("offline-run-*")
    target = into / source.name
    shutil.copytree(source, target)
    for packed in target.glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    return target, expected


def without_clock(document: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on when the run was made, as expected.json leaves it out."""
    kept = {key: value for key, value in document.items() if key not in {"_timestamp", "_runtime"}}
    if isinstance(kept.get("_wandb"), dict):
        kept["_wandb"] = {key: value for key, value in kept["_wandb"].items() if key != "runtime"}
    if kept.get("_wandb") == {}:
        del kept["_wandb"]
    return kept


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_syncs_to_what_it_holds(
    home: Home, server: Server, project: str, wandb_python: str, name: str
) -> None:
    directory, expected = unpacked(name, home.work)
    home.runlane("sync", "--project", project, str(directory), env=server.env, timeout=240)
    run_id = expected["run"]["run_id"]
    ours = read_run(home, server, f"{project}/{run_id}")
    history = expected["history"]
    steps = history.get("steps", list(range(history["rows"])))
    assert [row["_step"] for row in ours["rows"]] == steps
    assert plain(without_clock(ours["rows"][0])) == plain(history["first_row"])
    assert plain(without_clock(ours["rows"][-1])) == plain(history["last_row"])
    counts = Counter(path for row in ours["rows"] for path in leaf_paths(row))
    expected_counts = history["key_counts"]
    assert len(counts) == expected_counts if isinstance(expected_counts, int) else counts == expected_counts
    assert plain(ours["config"]) == plain(expected["config"])
    assert plain(without_clock(ours["summary"])) == plain(without_clock(expected["summary"]))
    assert sorted(ours["tags"]) == sorted(expected["run"].get("tags", []))
    state = STATES.get(expected["exit_code"], "failed")
    # A machine that was taken away is no failure of the run's.
    is_preempted = state == "failed" and expected["record_counts"].get("preempting", 0) > 0
    assert ours["state"] == ("preempted" if is_preempted else state)
    for field, key in [
        ("display_name", "name"),
        ("notes", "notes"),
        ("run_group", "group"),
        ("job_type", "job_type"),
    ]:
        if expected["run"].get(field):
            assert ours[key] == expected["run"][field]
    present = {path.removeprefix("files/") for path in expected["files_on_disk"]}
    assert {item["path"] for item in expected["files"]} & present <= set(ours["files"])
    theirs = read_run(home, server, f"{project}/{run_id}", python=wandb_python)
    assert plain(ours) == plain(theirs)
    # Marked only when everything is stored: a cut log is not whole, and artifacts stay in the log for a later release.
    marker = directory / f"run-{run_id}.wandb.synced"
    assert marker.exists() == (not expected["truncated"] and not expected.get("artifacts"))
