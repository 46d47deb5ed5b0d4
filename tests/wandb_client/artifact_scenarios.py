"""What people do with artifacts, one function each; the same body serves wandb and `import runlane as wandb`.

A scenario gets the module and its world (`entity`, `project`), works in a directory of its own, and returns what the client saw, as JSON.
Names of collections are those of the scenario, so that none meets another's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

World = SimpleNamespace


def _run(wandb: ModuleType, world: World, name: str, **words: Any) -> Any:
    settings = wandb.Settings(x_disable_stats=True, silent=True)
    return wandb.init(project=world.project, id=name, settings=settings, **words)


def _write(path: str, content: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content, encoding="utf-8")
    return path


def _path(world: World, name: str) -> str:
    return f"{world.entity}/{world.project}/{name}"


def _log(wandb: ModuleType, run: Any, name: str, files: dict[str, str], **words: Any) -> Any:
    """Log a version with these files, and wait for it."""
    art = wandb.Artifact(name, type="dataset", **words.pop("of", {}))
    for path, content in files.items():
        with art.new_file(path) as file:
            file.write(content)
    return run.log_artifact(art, **words).wait()


def _tree(root: str) -> dict[str, str]:
    found = {}
    for path in sorted(Path(root).rglob("*")):
        if path.is_file():
            found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return found


# --- logging ------------------------------------------------------------------------------------------------------


def log_everything(wandb: ModuleType, world: World) -> Any:
    """Files, a directory, a file written in place, references; metadata, description, tags, aliases, time to live."""
    _write("one.txt", "one")
    _write("dir/a.txt", "a")
    _write("dir/sub/b.txt", "b" * 1_000)
    _write("elsewhere.bin", "not uploaded")
    run = _run(wandb, world, "logs-everything")
    run.log({"loss": 1.0})
    run.log({"loss": 0.5})
    art = wandb.Artifact(
        "everything", type="dataset", description="all of it", metadata={"rows": 3, "of": {"x": [1.5]}}
    )
    art.add_file("one.txt")
    art.add_file("one.txt", name="again/two.txt")
    art.add_dir("dir", name="dir")
    with art.new_file("n.json") as file:
        json.dump({"n": 1}, file)
    art.add_reference(Path("elsewhere.bin").absolute().as_uri(), name="far.bin")
    art.add_reference("https://example.invalid/page", name="page", checksum=False)
    art.ttl = timedelta(days=3)
    logged = run.log_artifact(art, aliases=["best", "x y"], tags=["tag-a", "tag b"]).wait()
    seen = {
        "version": logged.version,
        "state": logged.state,
        "aliases": sorted(logged.aliases),
        "tags": sorted(logged.tags),
        "size": logged.size,
        "file_count": logged.file_count,
        "ttl": logged.ttl.total_seconds(),
        "metadata": logged.metadata,
        "description": logged.description,
        "digest": logged.digest,
        "qualified_name": logged.qualified_name.split("/")[-1],
        "paths": sorted(logged.manifest.entries),
        "history_step": logged.history_step,
    }
    run.finish()
    return seen


def log_the_same_twice(wandb: ModuleType, world: World) -> Any:
    """The same content makes no second version; the aliases move to it."""
    with _run(wandb, world, "logs-twice") as run:
        first = _log(wandb, run, "same", {"a.txt": "a"}, aliases=["one"])
        other = _log(wandb, run, "same", {"a.txt": "other"})
        again = _log(wandb, run, "same", {"a.txt": "a"}, aliases=["two"])
        versions = [first.version, other.version, again.version]
    api = wandb.Api()
    listed = api.artifacts("dataset", _path(world, "same"))
    return {
        "versions": versions,
        "same_id": first.id == again.id,
        "aliases": {one.version: sorted(one.aliases) for one in listed},
    }


def log_another_type(wandb: ModuleType, world: World) -> Any:
    """All versions of an artifact have one type."""
    with _run(wandb, world, "logs-types") as run:
        _log(wandb, run, "typed", {"a.txt": "a"})
        art = wandb.Artifact("typed", type="model")
        with art.new_file("a.txt") as file:
            file.write("b")
        try:
            run.log_artifact(art).wait()
        except Exception as error:
            return type(error).__name__
    return None


def log_with_other_digests(wandb: ModuleType, world: World) -> Any:
    _write("a.bin", "hello")
    with _run(wandb, world, "logs-xxh") as run:
        art = wandb.Artifact("hashed", type="dataset", digest_algorithm="XXH128")
        art.add_file("a.bin", name="q.txt")
        logged = run.log_artifact(art).wait()
        entry = logged.manifest.entries["q.txt"]
        root = logged.download(root="out")
    return {
        "digest": logged.digest,
        "entry": entry.digest,
        "extra": entry.extra,
        "content": _tree(root),
    }


def log_models(wandb: ModuleType, world: World) -> Any:
    _write("model/weights.bin", "weights")
    with _run(wandb, world, "logs-models") as run:
        run.log_model("model", name="net", aliases=["good"])
    with _run(wandb, world, "uses-models") as run:
        path = run.use_model("net:good")
        return {
            "file": Path(path).name,
            "content": _tree(path) if os.path.isdir(path) else Path(path).read_text(),
        }


def log_increments(wandb: ModuleType, world: World) -> Any:
    """Only what is new is given; the version has everything."""
    with _run(wandb, world, "logs-increments") as run:
        _log(wandb, run, "grows", {"a.txt": "1", "b.txt": "1"})
        more = wandb.Artifact("grows", type="dataset", incremental=True)
        with more.new_file("b.txt") as file:
            file.write("2")
        with more.new_file("c.txt") as file:
            file.write("2")
        logged = run.log_artifact(more).wait()
        return {"version": logged.version, "content": _tree(logged.download(root="out"))}


def log_drafts(wandb: ModuleType, world: World) -> Any:
    """A new version from an old one uploads what is new only."""
    with _run(wandb, world, "logs-drafts") as run:
        base = _log(wandb, run, "drafted", {"a.txt": "a", "b.txt": "b", "gone.txt": "x"})
        draft = base.new_draft()
        draft.remove("gone.txt")
        with draft.new_file("c.txt") as file:
            file.write("c")
        logged = run.log_artifact(draft).wait()
        return {"version": logged.version, "content": _tree(logged.download(root="out"))}


_PART = """
import sys
import {module} as wandb
settings = wandb.Settings(x_disable_stats=True, silent=True)
run = wandb.init(project={project!r}, group="together", id=f"part-{{sys.argv[1]}}", settings=settings)
art = wandb.Artifact("shared", type="dataset")
with art.new_file(f"part-{{sys.argv[1]}}.txt") as file:
    file.write(sys.argv[1])
if sys.argv[2] == "finish":
    run.finish_artifact(art).wait()
else:
    run.upsert_artifact(art)
run.finish()
"""


def log_together(wandb: ModuleType, world: World) -> Any:
    """Several processes write parts of one version; the last one commits the union."""
    script = _write("part.py", _PART.format(module=world.module, project=world.project))
    parts = [subprocess.Popen([sys.executable, script, str(number), "part"]) for number in (1, 2)]
    codes = [part.wait(60) for part in parts]
    codes.append(subprocess.run([sys.executable, script, "3", "finish"], timeout=60, check=False).returncode)
    found = wandb.Api().artifact(_path(world, "shared:latest"))
    return {"codes": codes, "version": found.version, "content": _tree(found.download(root="out"))}


# --- using and reading --------------------------------------------------------------------------------------------


def use_and_trace(wandb: ModuleType, world: World) -> Any:
    """Who logged it, who used it, and what a run's own lists say."""
    with _run(wandb, world, "makes-traced") as run:
        _log(wandb, run, "traced", {"data.csv": "1,2"})
    with _run(wandb, world, "uses-traced") as run:
        used = run.use_artifact("traced:latest")
        content = _tree(used.download())
    api = wandb.Api()
    art = api.artifact(_path(world, "traced:v0"), type="dataset")
    user = api.run(_path(world, "uses-traced"))
    maker = api.run(_path(world, "makes-traced"))
    return {
        "content": content,
        "logged_by": art.logged_by().id,
        "used_by": [one.id for one in art.used_by()],
        "inputs": [one.name for one in user.used_artifacts()],
        "outputs": [one.name for one in maker.logged_artifacts()],
    }


def download_and_verify(wandb: ModuleType, world: World) -> Any:
    with _run(wandb, world, "logs-downloads") as run:
        files = {"a.txt": "a", "dir/b.txt": "b", "dir/c.txt": "c", "other/d.txt": "d"}
        _log(wandb, run, "downloaded", files)
    art = wandb.Api().artifact(_path(world, "downloaded:latest"))
    whole = art.download(root="whole")
    part = art.download(root="part", path_prefix="dir/")
    entry = art.get_entry("a.txt").download(root="entry")
    art.verify(root=whole)
    _write("whole/a.txt", "changed")
    try:
        art.verify(root=whole)
        verified = True
    except ValueError:
        verified = False
    _write("checked/extra.txt", "extra")
    art.checkout(root="checked")
    return {
        "whole": sorted(_tree(whole)),
        "part": _tree(part),
        "entry": Path(entry).read_text(encoding="utf-8"),
        "verified": verified,
        "checked": _tree("checked"),
        "files": [file.name for file in art.files()],
        "one": [(file.name, file.size) for file in art.files(["dir/b.txt"])],
        "count": len(art.files()),
    }


def list_versions(wandb: ModuleType, world: World) -> Any:
    """Versions, collections and types of a project."""
    with _run(wandb, world, "logs-versions") as run:
        for number in range(4):
            _log(wandb, run, "listed", {"a.txt": str(number)}, tags=["even"] if number % 2 == 0 else [])
    api = wandb.Api()
    project = f"{world.entity}/{world.project}"
    listed = api.artifacts("dataset", _path(world, "listed"), per_page=2)
    collection = api.artifact_collection("dataset", _path(world, "listed"))
    return {
        "newest_first": [one.version for one in listed],
        "count": len(listed),
        "oldest_first": [
            one.version for one in api.artifacts("dataset", _path(world, "listed"), order="+version_index")
        ],
        "tagged": [one.version for one in api.artifacts("dataset", _path(world, "listed"), tags=["even"])],
        "types": "dataset" in [kind.name for kind in api.artifact_types(project)],
        "collections": "listed" in [one.name for one in api.artifact_type("dataset", project).collections()],
        "filtered": [
            one.name for one in api.artifact_type("dataset", project).collections(filters={"name": "listed"})
        ],
        "ordered": [one.name for one in api.artifact_collections(project, "dataset", order="+name")][:1],
        "aliases": collection.aliases,
        "exists": [
            api.artifact_exists(_path(world, "listed:v1")),
            api.artifact_exists(_path(world, "listed:v9")),
            api.artifact_collection_exists(_path(world, "listed"), "dataset"),
            api.artifact_collection_exists(_path(world, "nothing"), "dataset"),
        ],
    }


# --- changing -----------------------------------------------------------------------------------------------------


def change_a_version(wandb: ModuleType, world: World) -> Any:
    with _run(wandb, world, "logs-changes") as run:
        _log(wandb, run, "changed", {"a.txt": "a"}, aliases=["old"], tags=["t1"])
    api = wandb.Api()
    art = api.artifact(_path(world, "changed:v0"))
    art.description = "said later"
    art.metadata["k"] = 2
    art.aliases = ["new", "latest"]
    art.tags = ["t2", "t3"]
    art.ttl = timedelta(hours=2)
    art.save()
    found = wandb.Api().artifact(_path(world, "changed:new"))
    seen = {
        "description": found.description,
        "metadata": found.metadata,
        "aliases": sorted(found.aliases),
        "tags": sorted(found.tags),
        "ttl": found.ttl.total_seconds(),
    }
    found.ttl = None
    found.save()
    seen["no_ttl"] = wandb.Api().artifact(_path(world, "changed:v0")).ttl
    return seen


def delete_versions(wandb: ModuleType, world: World) -> Any:
    with _run(wandb, world, "logs-deletes") as run:
        _log(wandb, run, "doomed", {"a.txt": "0"})
        _log(wandb, run, "doomed", {"a.txt": "1"})
        _log(wandb, run, "doomed", {"a.txt": "2"}, aliases=["kept"])
    api = wandb.Api()
    api.artifact(_path(world, "doomed:v0")).delete()
    refused = None
    try:
        api.artifact(_path(world, "doomed:v2")).delete()
    except Exception as error:
        refused = type(error).__name__
    before = [one.version for one in wandb.Api().artifacts("dataset", _path(world, "doomed"))]
    api.artifact(_path(world, "doomed:v2")).delete(delete_aliases=True)
    after = [one.version for one in wandb.Api().artifacts("dataset", _path(world, "doomed"))]
    with _run(wandb, world, "logs-after-deletes") as run:
        later = _log(wandb, run, "doomed", {"a.txt": "2"}).version
    return {"refused": refused, "before": before, "after": after, "later": later}


def link_versions(wandb: ModuleType, world: World) -> Any:
    with _run(wandb, world, "logs-links") as run:
        first = _log(wandb, run, "linked", {"a.txt": "0"})
        second = _log(wandb, run, "linked", {"a.txt": "1"})
        one = run.link_artifact(first, f"{world.project}/portfolio", aliases=["staging"])
        two = run.link_artifact(second, f"{world.project}/portfolio", aliases=["prod"])
        again = run.link_artifact(first, f"{world.project}/portfolio")
    api = wandb.Api()
    link = api.artifact(_path(world, "portfolio:prod"))
    seen = {
        "versions": [one.version, two.version, again.version],
        "is_link": link.is_link,
        "name": link.name,
        "source": link.source_name,
        "latest": api.artifact(_path(world, "portfolio:latest")).version,
        "content": _tree(link.download(root="out")),
        "links": [one.name for one in api.artifact(_path(world, "linked:v1")).linked_artifacts],
    }
    link.unlink()
    seen["listed"] = [one.version for one in wandb.Api().artifacts("dataset", _path(world, "portfolio"))]
    seen["source_stays"] = wandb.Api().artifact_exists(_path(world, "linked:v1"))
    return seen


def change_collections(wandb: ModuleType, world: World) -> Any:
    with _run(wandb, world, "logs-collections") as run:
        _log(wandb, run, "named", {"a.txt": "a"})
        _log(wandb, run, "leaves", {"a.txt": "a"})
    api = wandb.Api()
    collection = api.artifact_collection("dataset", _path(world, "named"))
    collection.description = "what it is"
    collection.tags = ["c1", "c2"]
    collection.name = "renamed"
    collection.save()
    found = wandb.Api().artifact_collection("dataset", _path(world, "renamed"))
    seen = {
        "name": found.name,
        "description": found.description,
        "tags": sorted(found.tags),
        "version": wandb.Api().artifact(_path(world, "renamed:latest")).version,
        "old": wandb.Api().artifact_collection_exists(_path(world, "named"), "dataset"),
    }
    found.change_type("other")
    seen["type"] = wandb.Api().artifact(_path(world, "renamed:latest")).type
    wandb.Api().artifact_collection("dataset", _path(world, "leaves")).delete()
    seen["deleted"] = not wandb.Api().artifact_exists(_path(world, "leaves:v0"))
    return seen


#: All of them, for either client.
SHARED = [
    log_everything,
    log_the_same_twice,
    log_another_type,
    log_with_other_digests,
    log_models,
    log_increments,
    log_drafts,
    log_together,
    use_and_trace,
    download_and_verify,
    list_versions,
    change_a_version,
    delete_versions,
    link_versions,
    change_collections,
]
