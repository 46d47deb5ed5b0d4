"""W&B's real offline directories: each syncs, and the server returns what its expected.json says."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from reading import leaf_paths, plain, read_run
from stored_versions import StoredVersion, logged_versions
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
    if (FIXTURES / name / "staging").is_dir():
        # The log names the places of the machine that it was made on; the copies are in the user's staging directory.
        shutil.copytree(FIXTURES / name / "staging", staging_dir(home))
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
    # Marked only when everything is stored: a cut log is not whole.
    marker = directory / f"run-{run_id}.wandb.synced"
    assert marker.exists() == (not expected["truncated"])
    check_artifacts(logged_versions(server, project, run_id), expected.get("artifacts", []), name)
    assert not list(staging_dir(home).glob("*")), "staged copies go once their version is stored"


def staging_dir(home: Home) -> Path:
    """Where this home's staged copies of artifact files are."""
    return Path(home.env["XDG_DATA_HOME"]) / "wandb" / "artifacts" / "staging"


def check_artifacts(found: dict[str, StoredVersion], expected: list[dict[str, Any]], name: str) -> None:
    """Compare versions with what expected.json says; contents with the fixture's copies."""
    numbered: dict[str, dict[str, Any]] = {}
    for artifact in expected:
        earlier = sum(name.startswith(f"{artifact['name']}:") for name in numbered)
        numbered[f"{artifact['name']}:v{earlier}"] = artifact
    assert sorted(found) == sorted(numbered)
    contents = {hashlib.md5(path.read_bytes()).digest(): path for path in (FIXTURES / name).glob("staging/*")}
    added: dict[str, dict[str, Any]] = {}
    for full_name, artifact in numbered.items():
        version = found[full_name]
        facts = (version.state, version.type, version.tags)
        assert facts == ("COMMITTED", artifact["type"], sorted(artifact["tags"]))
        is_newest = full_name == max(other for other in found if other.startswith(f"{artifact['name']}:"))
        entries = {entry["path"]: entry for entry in artifact["entries"]}
        if artifact["type"] == "wandb-run-incremental-table":
            # Each version has the entries of those before as well.
            added |= entries
            entries = dict(added)
        else:
            assert version.digest == artifact["digest"]
        assert version.aliases == (sorted(artifact["aliases"]) if is_newest else [])
        assert sorted(version.manifest["contents"]) == sorted(entries)
        for path, entry in version.manifest["contents"].items():
            assert (entry["digest"], entry.get("size", 0), entry.get("ref")) == (
                entries[path]["digest"],
                entries[path].get("size", 0),
                entries[path].get("ref"),
            )
            if "ref" not in entry:
                digest = base64.b64decode(entry["digest"])
                assert version.content(path) == contents[digest].read_bytes()
                assert entry["birthArtifactID"] in {other.id for other in found.values()}
