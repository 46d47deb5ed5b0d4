"""Artifacts of both clients, the unmodified wandb 0.31.0 and ours, at our server: what they see, and what the server holds then."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import artifact_scenarios
import pytest
from playing import HERE
from stored_versions import asked, fetched, logged_versions, used_ids
from world import FIXTURES, PYTHON, Home, Server, make_home


def digest_of(manifest: dict[str, Any]) -> str:
    """The digest of what a manifest names: over paths and digests in the order of the paths."""
    contents = manifest["contents"]
    entries = "".join(f"{path}:{contents[path]['digest']}\n" for path in sorted(contents))
    return hashlib.md5(f"wandb-artifact-manifest-v1\n{entries}".encode()).hexdigest()


class Seen(dict[str, Any]):
    """What a client saw, by scenario."""

    project: str


@pytest.fixture(scope="module", params=["wandb", "runlane"])
def seen(
    request: pytest.FixtureRequest,
    server: Server,
    wandb_python: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seen]:
    """All scenarios, played by one process of a client."""
    module = request.param
    home: Home = make_home(tmp_path_factory.mktemp(f"artifacts-{module}"))
    world = {"entity": server.entity, "project": f"artifacts-{module}", "module": module}
    names = [one.__name__ for one in artifact_scenarios.SHARED]
    results = home.root / "results.json"
    python = PYTHON if module == "runlane" else wandb_python
    words = [module, str(HERE / "artifact_scenarios.py"), json.dumps(world), str(results), *names]
    home.run([python, str(HERE / "run_scenarios.py"), *words], check=True, env=server.env, timeout=200)
    found = json.loads(results.read_text(encoding="utf-8"))
    played = Seen({name: one.get("value", one.get("error")) for name, one in found.items()})
    played.project = world["project"]
    yield played
    home.stop_daemon()


def test_everything_that_is_logged_is_there(seen: Seen, server: Server) -> None:
    assert seen["log_everything"] == {
        "version": "v0",
        "state": "COMMITTED",
        "aliases": ["best", "latest", "x y"],
        "tags": ["tag b", "tag-a"],
        "size": 1027,
        "file_count": 7,
        "ttl": 259200.0,
        "metadata": {"rows": 3, "of": {"x": [1.5]}},
        "description": "all of it",
        "digest": seen["log_everything"]["digest"],
        "qualified_name": "everything:v0",
        "paths": ["again/two.txt", "dir/a.txt", "dir/sub/b.txt", "far.bin", "n.json", "one.txt", "page"],
        "history_step": 1,
    }
    (stored,) = logged_versions(server, seen.project, "logs-everything").values()
    assert (stored.state, stored.type, stored.aliases) == ("COMMITTED", "dataset", ["best", "latest", "x y"])
    assert stored.digest == seen["log_everything"]["digest"]
    assert {
        path: stored.content(path) for path in ("one.txt", "again/two.txt", "dir/sub/b.txt", "n.json")
    } == {
        "one.txt": b"one",
        "again/two.txt": b"one",
        "dir/sub/b.txt": b"b" * 1_000,
        "n.json": b'{"n": 1}',
    }
    # The digest is over paths and digests in the order of the paths, and files are what their digests say.
    contents = stored.manifest["contents"]
    assert sorted(contents) == sorted(stored.urls) == seen["log_everything"]["paths"]
    assert digest_of(stored.manifest) == stored.digest
    for path, entry in contents.items():
        if "ref" not in entry:
            assert base64.b64encode(hashlib.md5(stored.content(path)).digest()).decode() == entry["digest"]
    assert contents["page"]["ref"] == stored.urls["page"] == "https://example.invalid/page"
    assert contents["far.bin"]["ref"].startswith("file:///")


def test_the_same_content_is_one_version(seen: Seen, server: Server) -> None:
    assert seen["log_the_same_twice"] == {
        "versions": ["v0", "v1", "v0"],
        "same_id": True,
        "aliases": {"v1": [], "v0": ["latest", "one", "two"]},
    }
    assert sorted(logged_versions(server, seen.project, "logs-twice")) == ["same:v0", "same:v1"]


def test_versions_of_one_artifact_have_one_type(seen: Seen, server: Server) -> None:
    assert seen["log_another_type"] == "ValueError"
    assert list(logged_versions(server, seen.project, "logs-types")) == ["typed:v0"]


def test_other_digests_are_kept_and_checked(seen: Seen) -> None:
    """The values are the vectors of the reference."""
    assert seen["log_with_other_digests"] == {
        "digest": "ce6b81b5cc6189a6b7bfd1879a52e911",
        "entry": "tenBrQcbPn/Hec+qXlI4GA==",
        "extra": {"alg": "XXH128"},
        "content": {"q.txt": "hello"},
    }


def test_models_come_back_by_alias(seen: Seen, server: Server) -> None:
    assert seen["log_models"] == {"file": "weights.bin", "content": "weights"}
    (made,) = logged_versions(server, seen.project, "logs-models").values()
    assert (made.type, made.aliases) == ("model", ["good", "latest"])
    assert used_ids(server, seen.project, "uses-models") == {made.id}


def test_increments_drafts_and_shared_versions_are_whole(seen: Seen) -> None:
    assert seen["log_increments"] == {"version": "v1", "content": {"a.txt": "1", "b.txt": "2", "c.txt": "2"}}
    assert seen["log_drafts"] == {"version": "v1", "content": {"a.txt": "a", "b.txt": "b", "c.txt": "c"}}
    assert seen["log_together"] == {
        "codes": [0, 0, 0],
        "version": "v0",
        "content": {"part-1.txt": "1", "part-2.txt": "2", "part-3.txt": "3"},
    }


def test_lineage_says_who_made_and_who_used(seen: Seen) -> None:
    assert seen["use_and_trace"] == {
        "content": {"data.csv": "1,2"},
        "logged_by": "makes-traced",
        "used_by": ["uses-traced"],
        "inputs": ["traced:v0"],
        "outputs": ["traced:v0"],
    }


def test_downloads_are_whole_in_part_or_one_file(seen: Seen) -> None:
    every = ["a.txt", "dir/b.txt", "dir/c.txt", "other/d.txt"]
    assert seen["download_and_verify"] == {
        "whole": every,
        "part": {"dir/b.txt": "b", "dir/c.txt": "c"},
        "entry": "a",
        "verified": False,
        "checked": {"a.txt": "a", "dir/b.txt": "b", "dir/c.txt": "c", "other/d.txt": "d"},
        "files": every,
        "one": [["dir/b.txt", 1]],
        "count": 4,
    }


def test_versions_collections_and_types_are_listed(seen: Seen) -> None:
    found = seen["list_versions"]
    assert sorted(found.pop("aliases")) == ["latest"]
    assert found.pop("ordered") == ["downloaded"]
    assert found == {
        "newest_first": ["v3", "v2", "v1", "v0"],
        "count": 4,
        "oldest_first": ["v0", "v1", "v2", "v3"],
        "tagged": ["v2", "v0"],
        "types": True,
        "collections": True,
        "filtered": ["listed"],
        "exists": [True, False, True, False],
    }


def test_what_is_said_of_a_version_changes(seen: Seen) -> None:
    assert seen["change_a_version"] == {
        "description": "said later",
        "metadata": {"k": 2},
        "aliases": ["latest", "new"],
        "tags": ["t2", "t3"],
        "ttl": 7200.0,
        "no_ttl": None,
    }


def test_deleted_versions_are_gone_for_good(seen: Seen, server: Server) -> None:
    found = seen["delete_versions"]
    assert found.pop("refused") is not None
    assert found == {"before": ["v2", "v1"], "after": ["v1"], "later": "v3"}
    assert sorted(logged_versions(server, seen.project, "logs-deletes")) == ["doomed:v1"]


def test_links_are_versions_of_a_portfolio(seen: Seen) -> None:
    assert seen["link_versions"] == {
        "versions": ["v0", "v1", "v0"],
        "is_link": True,
        "name": "portfolio:prod",
        "source": "linked:v1",
        "latest": "v0",
        "content": {"a.txt": "1"},
        "links": ["portfolio:v1"],
        "listed": ["v0"],
        "source_stays": True,
    }


def test_collections_change_and_go(seen: Seen) -> None:
    assert seen["change_collections"] == {
        "name": "renamed",
        "description": "what it is",
        "tags": ["c1", "c2"],
        "version": "v0",
        "old": False,
        "type": "other",
        "deleted": True,
    }


BLOCK = 32_768
HEAD = 7


def _moved(log: bytes, old: bytes, new: bytes) -> bytes:
    """A transaction log in which a path is another one of the same length; its checksums are made anew."""
    assert len(old) == len(new)
    data = bytearray(log.replace(old, new))
    at = HEAD
    while at + HEAD <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        end = at + HEAD + length
        struct.pack_into("<I", data, at, zlib.crc32(bytes([kind]) + data[at + HEAD : end]))
        at = end
    return bytes(data)


@pytest.fixture
def staging() -> Iterator[Path]:
    """A directory whose path is as long as that in the fixtures: the real client looks for files where the log says."""
    original = "/tmp/fix/wandb-data/artifacts/staging"
    path = Path("/tmp") / secrets.token_hex(len(original))[: len(original) - len("/tmp/")]
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("fixture", ["b-media", "c-artifacts"])
def test_a_fixture_syncs_with_all_of_its_artifacts(
    fixture: str, home: Home, server: Server, wandb_python: str, staging: Path
) -> None:
    """W&B's own `wandb sync` stores every artifact of an offline directory, and the server returns it byte for byte."""
    (source,) = (FIXTURES / fixture).glob("offline-run-*")
    directory = home.work / source.name
    shutil.copytree(source, directory)
    expected = json.loads((FIXTURES / fixture / "expected.json").read_text(encoding="utf-8"))
    contents = {}
    for path in (FIXTURES / fixture / "staging").iterdir():
        shutil.copy(path, staging / path.name)
        contents[base64.b64encode(hashlib.md5(path.read_bytes()).digest()).decode()] = path.read_bytes()
    (log,) = directory.glob("*.wandb")
    log.write_bytes(
        _moved(log.read_bytes(), expected["staging"]["original_dir"].encode(), str(staging).encode())
    )
    # Into the project that the log names: with another one, wandb looks for the run of an artifact where the log says.
    home.run([wandb_python, "-m", "wandb", "sync", str(directory)], check=True, env=server.env, timeout=120)
    stored = logged_versions(server, expected["run"]["project"], expected["run"]["run_id"])
    counts: Counter[str] = Counter()
    logged = {}
    for one in expected["artifacts"]:
        logged[f"{one['name']}:v{counts[one['name']]}"] = one
        counts[one["name"]] += 1
    assert sorted(stored) == sorted(logged)
    for name, one in logged.items():
        version = stored[name]
        assert (version.state, version.type) == ("COMMITTED", one["type"])
        assert version.digest == digest_of(version.manifest)
        if not name.endswith("inc_table:v1"):  # an increment, which has the entries of v0 as well
            assert version.digest == one["digest"]
        is_last = name.endswith(f":v{counts[one['name']] - 1}")
        assert version.aliases == sorted(alias for alias in one["aliases"] if is_last or alias != "latest")
        assert version.tags == sorted(one["tags"])
        assert sorted(version.urls) == sorted(version.manifest["contents"])
        for entry in one["entries"]:
            kept = version.manifest["contents"][entry["path"]]
            assert (kept["digest"], kept.get("ref")) == (entry["digest"], entry.get("ref"))
            if "ref" not in entry:
                assert version.content(entry["path"]) == contents[entry["digest"]]


def test_an_offline_run_of_wandb_syncs_its_artifacts(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    script = f"""
import wandb
run = wandb.init(project="{project}", id="offline", mode="offline", settings=wandb.Settings(silent=True))
art = wandb.Artifact("ds", type="dataset", metadata={{"k": 1}})
with art.new_file("a.txt") as file:
    file.write("content")
run.log_artifact(art, aliases=["one"])
run.log({{"t": wandb.Table(columns=["x"], data=[[1], [2]])}})
run.finish()
"""
    home.python(script, env=server.env, python=wandb_python)
    (directory,) = (home.work / "wandb").glob("offline-run-*")
    home.run([wandb_python, "-m", "wandb", "sync", str(directory)], check=True, env=server.env, timeout=60)
    stored = logged_versions(server, project, "offline")
    assert sorted(stored) == ["ds:v0", "run-offline-t:v0"]
    assert stored["ds:v0"].content("a.txt") == b"content"
    assert stored["ds:v0"].aliases == ["latest", "one"]
    table = json.loads(stored["run-offline-t:v0"].content("t.table.json"))
    assert (table["columns"], table["data"]) == (["x"], [[1], [2]])
    assert stored["run-offline-t:v0"].type == "run_table"


def test_a_model_registry_is_made_by_linking_to_it(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    """`link_model` links to the project `model-registry` of the entity, which nobody has made before."""
    (home.work / "net.bin").write_bytes(b"weights")
    script = f"""
import wandb
run = wandb.init(project="{project}", id="links", settings=wandb.Settings(silent=True))
run.link_model("net.bin", "{project}-nets", aliases=["prod"])
run.finish()
"""
    home.python(script, env=server.env, python=wandb_python)
    query = """query Q($name: String!) { project(name: "model-registry") { artifactCollectionMembership(name: $name) {
        versionIndex artifactCollection { __typename } artifact { artifactType { name } files { edges { node { directUrl } } } } } } }"""
    found = asked(server, query, {"name": f"{project}-nets:prod"})["project"]["artifactCollectionMembership"]
    assert (found["versionIndex"], found["artifactCollection"]["__typename"]) == (0, "ArtifactPortfolio")
    assert found["artifact"]["artifactType"]["name"] == "model"
    (file,) = found["artifact"]["files"]["edges"]
    assert fetched(file["node"]["directUrl"]) == b"weights"
