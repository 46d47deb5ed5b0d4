"""Artifacts before they are logged: what a draft takes, what it refuses, what it says of itself."""

from __future__ import annotations

import datetime
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runlane
from runlane.artifacts import (
    Artifact,
    ArtifactFinalizedError,
    ArtifactManifest,
    ArtifactManifestEntry,
    ArtifactNotLoggedError,
    ArtifactTTL,
)

EMPTY = "64e7c61456b10382e2f3b571ac24b659"


@pytest.mark.parametrize(
    "name",
    ["", "x" * 129, "a b", "a/b", "a:v1", "ä", ".", "..", "-a", "a\n", "\na", "a\0"],
    ids=repr,
)
def test_names_that_break_a_rule_are_refused(world: Path, name: str) -> None:
    with pytest.raises(ValueError, match="invalid artifact name"):
        Artifact(name, "t")
    assert not list(world.iterdir())


@pytest.mark.parametrize("name", ["a", "x" * 128, "A-b_c.1", "_", "run-1", ".hidden"])
def test_names_within_the_rules_are_kept(name: str) -> None:
    assert Artifact(name, "dataset").name == name


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("a", ""),
        ("a", "x/y"),
        ("a", "x:y"),
        ("a", "t\n"),
        ("a", "t" * 129),
        ("a", "job"),
        ("a", "wandb-history"),
        ("run-abc-t", "run_table"),
        ("source-p-x.py", "code"),
    ],
)
def test_types_that_break_a_rule_or_are_reserved_are_refused(name: str, type_: str) -> None:
    with pytest.raises(ValueError, match=r"artifact type|reserved"):
        Artifact(name, type_)


def test_reserved_types_take_other_names() -> None:
    assert Artifact("mine", "run_table").type == "run_table"
    assert Artifact("mine", "code").type == "code"


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": 1},
        {"name": None},
        {"type": None},
        {"type": 5},
        {"description": 5},
        {"metadata": [1]},
        {"metadata": 5},
        {"metadata": {"a": object()}},
        {"metadata": {"a": {"b": lambda: 1}}},
        {"storage_region": 5},
        {"digest_algorithm": 5},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_arguments_of_a_wrong_type_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Artifact(**{"name": "a", "type": "t", **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"metadata": {str(number): 1 for number in range(101)}},
        {"metadata": {"a": "x" * (1 << 20)}},
        {"metadata": "no JSON"},
        {"storage_region": ""},
        {"digest_algorithm": "SHA1"},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_arguments_that_break_a_rule_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Artifact("a", "t", **arguments)


def test_metadata_of_a_cycle_is_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    with pytest.raises(ValueError, match="nested deeper"):
        Artifact("a", "t", metadata=cycle)


def test_metadata_is_a_copy_of_plain_values() -> None:
    given = {
        "n": float("nan"),
        "list": [1, (2, 3), {4}],
        1: np.float32(1.5),
        "array": np.arange(3),
        "at": datetime.datetime(2020, 1, 1),
        "for": datetime.timedelta(days=1),
        "bytes": b"x",
        "path": Path("a/b"),
        "enum": ArtifactTTL.INHERIT,
    }
    artifact = Artifact("a", "t", metadata=given)
    given["list"].append(5)  # type: ignore[attr-defined]
    found = artifact.metadata
    assert math.isnan(found.pop("n"))
    assert found == {
        "list": [1, [2, 3], [4]],
        "1": 1.5,
        "array": [0, 1, 2],
        "at": "2020-01-01T00:00:00",
        "for": "1 day, 0:00:00",
        "bytes": "x",
        "path": "a/b",
        "enum": 0,
    }
    artifact.metadata = {"b": 1}
    with pytest.raises(TypeError):
        artifact.metadata = [1]  # type: ignore[assignment]
    assert artifact.metadata == {"b": 1}
    artifact.metadata = None  # type: ignore[assignment]
    assert artifact.metadata == {}


def test_each_draft_has_ids_of_its_own() -> None:
    ids = [
        one
        for draft in (Artifact("a", "t"), Artifact("a", "t"))
        for one in (draft._client_id, draft._sequence_client_id)
    ]
    assert len(set(ids)) == 4
    assert all(len(one) == 128 and set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789") for one in ids)


def test_an_empty_draft_says_what_it_is() -> None:
    draft = Artifact("a", "dataset", description="what it is")
    assert (draft.name, draft.type, draft.description, draft.id) == ("a", "dataset", "what it is", None)
    assert (draft.state, draft.digest, draft.size, len(draft.manifest)) == ("PENDING", EMPTY, 0, 0)
    assert (draft.digest_algorithm.value, draft.incremental, draft.distributed_id) == (
        "MANIFEST_MD5",
        False,
        None,
    )
    assert draft.is_draft()
    assert not draft.is_link
    assert repr(draft) == "<Artifact a>"
    assert Artifact("a", "t", digest_algorithm="XXH128").digest == "f13c5dd8602ab5d18a0c87ce730a735e"


@pytest.mark.parametrize(
    "name",
    "aliases collection commit_hash created_at entity file_count history_step project qualified_name source_entity tags ttl"
    " updated_at url version".split(),
)
def test_a_draft_has_nothing_of_a_version(name: str) -> None:
    with pytest.raises(ArtifactNotLoggedError, match=r"'Artifact\.\w+' used prior to logging"):
        getattr(Artifact("a", "t"), name)


@pytest.mark.parametrize(
    "call",
    [
        lambda draft: draft.wait(),
        lambda draft: draft.download(),
        lambda draft: draft.get("x"),
        lambda draft: draft["x"],
        lambda draft: draft.get_entry("x"),
        lambda draft: draft.new_draft(),
        lambda draft: draft.delete(),
    ],
)
def test_methods_of_versions_say_that_the_artifact_is_not_logged(call: Any) -> None:
    with pytest.raises(ArtifactNotLoggedError):
        call(Artifact("a", "t"))


def test_a_draft_that_is_final_takes_nothing_more(world: Path) -> None:
    (world / "f").write_text("x")
    draft = Artifact("a", "t")
    draft.add_file("f")
    draft.finalize()

    def new_file() -> None:
        with draft.new_file("x"):
            pass

    for method, call in {
        "add_file": lambda: draft.add_file("f"),
        "add_dir": lambda: draft.add_dir("."),
        "add_reference": lambda: draft.add_reference("s3://b/k"),
        "remove": lambda: draft.remove("f"),
        "new_file": new_file,
        "add": lambda: draft.add(runlane.Table(["a"], [[1]]), "t"),
    }.items():
        with pytest.raises(ArtifactFinalizedError, match=rf"'Artifact\.{method}' used on logged artifact"):
            call()
    assert list(draft.manifest.entries) == ["f"]


def test_the_time_to_live_is_a_duration_or_none() -> None:
    draft = Artifact("a", "t")
    draft.ttl = datetime.timedelta(days=1)
    assert (draft.ttl, draft._ttl_secs()) == (datetime.timedelta(days=1), 86400)
    draft.ttl = None
    assert (draft.ttl, draft._ttl_secs()) == (None, -2)
    draft.ttl = ArtifactTTL.INHERIT
    assert draft._ttl_secs() == -1
    with pytest.raises(TypeError):
        draft.ttl = 5  # type: ignore[assignment]
    with pytest.raises(ValueError, match="positive"):
        draft.ttl = datetime.timedelta(seconds=-1)


def test_manifests_are_written_and_read_back() -> None:
    manifest = ArtifactManifest()
    manifest.add_entry(ArtifactManifestEntry(path="b/x", digest="d", size=1))
    manifest.add_entry(
        ArtifactManifestEntry(path="bc", digest="e", ref="s3://b", birthArtifactID="Q", extra={"etag": "1"})
    )
    form = manifest.to_manifest_json()
    assert form == {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": {
            "b/x": {"digest": "d", "size": 1},
            "bc": {"digest": "e", "ref": "s3://b", "birthArtifactID": "Q", "extra": {"etag": "1"}},
        },
    }
    again = ArtifactManifest.from_manifest_json(form)
    assert again.to_manifest_json() == form
    assert [entry.path for entry in again.get_entries_in_directory("b")] == ["b/x"]
    assert again.size() == 1
    with pytest.raises(ValueError, match="Cannot add the same path twice: 'bc'"):
        again.add_entry(ArtifactManifestEntry(path="bc", digest="other"))
    again.add_entry(ArtifactManifestEntry(path="bc", digest="other"), overwrite=True)
    again.remove_entry(ArtifactManifestEntry(path="bc", digest="any"))
    with pytest.raises(FileNotFoundError):
        again.remove_entry(ArtifactManifestEntry(path="bc", digest="any"))
    assert len(again) == 1


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"version": 2, "contents": {}},
        {"version": 1, "storagePolicy": "x", "contents": {}},
        {"version": 1},
        {"version": 1, "contents": []},
        {"version": 1, "contents": {"a": {}}},
        {"version": 1, "contents": {"a": {"digest": "d", "size": -1}}},
        {"version": 1, "contents": {"a": {"digest": "d", "ref": 5}}},
    ],
    ids=str,
)
def test_what_is_no_manifest_is_refused(form: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"manifest|policy"):
        ArtifactManifest.from_manifest_json(form)


def test_entries_are_compared_by_what_they_say() -> None:
    entry = ArtifactManifestEntry(path="x", digest="d", size=1)
    assert entry == ArtifactManifestEntry(path="x", digest="d", size=1)
    assert entry != ArtifactManifestEntry(path="x", digest="e", size=1)
    assert entry.to_json() == {"path": "x", "digest": "d", "size": 1, "extra": {}, "skip_cache": False}
    assert repr(entry) == "ArtifactManifestEntry(path='x', digest='d', size=1, skip_cache=False)"
    with pytest.raises(ValueError, match="Only reference entries"):
        entry.ref_target()
    for call in (entry.ref_url, entry.parent_artifact, entry.download):
        with pytest.raises(NotImplementedError):
            call()


SURFACE = """
import inspect, json, sys
if sys.argv[1] == "runlane":
    import runlane as wandb
    from runlane.artifacts import ArtifactManifest, ArtifactManifestEntry
else:
    import wandb
    from wandb.sdk.artifacts.artifact_manifest import ArtifactManifest
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry

RUN = "log_artifact upsert_artifact finish_artifact log_model log_code use_artifact use_model link_artifact link_model"
ENTRY = "download parent_artifact ref_target ref_url digest_algorithm to_json"
MANIFEST = "add_entry remove_entry get_entry_by_path get_entries_in_directory digest size to_manifest_json from_manifest_json version"


def shape(owner, name):
    found = inspect.getattr_static(owner, name)
    if isinstance(found, property):
        return ["property", found.fset is not None]
    parameters = inspect.signature(getattr(owner, name)).parameters.values()
    return [[one.name, None if callable(one.default) else repr(one.default)] for one in parameters if one.name != "self"]


told = {}
for owner, names in (
    (wandb.Artifact, ["__init__", *(name for name in dir(wandb.Artifact) if name[0] != "_")]),
    (wandb.Run, RUN.split()),
    (ArtifactManifestEntry, ENTRY.split()),
    (ArtifactManifest, MANIFEST.split()),
):
    for name in names:
        told[f"{owner.__name__}.{name}"] = shape(owner, name)
print(json.dumps(told))
"""


def test_names_arguments_and_defaults_are_those_of_wandb(wandb_python: str, tmp_path: Path) -> None:
    shapes = {}
    for module, python in (("runlane", sys.executable), ("wandb", wandb_python)):
        done = subprocess.run(
            [python, "-c", SURFACE, module], check=True, capture_output=True, text=True, cwd=tmp_path
        )
        shapes[module] = json.loads(done.stdout.splitlines()[-1])
    ours, theirs = shapes["runlane"], shapes["wandb"]
    # Filters of `log_code` have another default, with the same meaning.
    for name in ("Run.log_code",):
        ours[name], theirs[name] = ([part[0] for part in side[name]] for side in (ours, theirs))
    assert {name: ours.get(name) for name in theirs} == theirs
