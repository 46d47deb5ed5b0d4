"""What a run keeps of its code: the same files as the real wandb, within bounds, and nothing with code saving off."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from test_reproduce import git
from world import PYTHON, Home, Server

TRAIN = """
import sys
import {module} as wandb
run = wandb.init(mode="offline", project="p", {words})
run.log({{"x": 1}})
run.finish()
"""


def files_of(
    home: Home, tree: Path, module: str, python: str, words: str = "save_code=True", **env: str
) -> dict[str, bytes]:
    """The files of a run of `src/train.py` in a work tree."""
    (tree / "src" / "train.py").write_text(TRAIN.format(module=module, words=words))
    before = set(home.run_dirs())
    script = f"cd {shlex.quote(str(tree / 'src'))} && exec {shlex.quote(python)} train.py"
    told = home.run(["/bin/sh", "-c", script], check=True, env={"WANDB_DIR": str(home.work), **env})
    (new,) = set(home.run_dirs()) - before
    directory = new / "files"
    found = {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    found["stderr"] = told.stderr.encode()
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone with one commit that is not pushed, and changes."""
    git("init", "--bare", "-q", str(tmp_path / "origin.git"), cwd=tmp_path)
    git("clone", "-q", str(tmp_path / "origin.git"), str(tmp_path / "tree"), cwd=tmp_path)
    made = tmp_path / "tree"
    (made / "src").mkdir()
    for name in ("modified", "staged", "deleted", "renamed", "mode", "crlf", "to-link"):
        (made / f"{name}.txt").write_text(f"{name}\n" * 20)
    (made / "to-link").write_text("x")
    (made / "binary.bin").write_bytes(b"\0" * 100)
    git("add", "-A", cwd=made)
    git("commit", "-qm", "first", cwd=made)
    git("push", "-q", "origin", "HEAD", cwd=made)
    (made / "modified.txt").write_text("committed\n")
    git("commit", "-qam", "second", cwd=made)
    return made


def test_the_same_files_as_wandb(home: Home, wandb_python: str, tree: Path) -> None:
    """Names and contents of program and patches; ours has binary changes in its patches, and files beside."""
    (tree / "modified.txt").write_text("changed\n")
    (tree / "renamed.txt").rename(tree / "moved.txt")
    git("add", "moved.txt", cwd=tree)
    theirs = files_of(home, tree, "wandb", wandb_python)
    ours = files_of(home, tree, "runlane", PYTHON)
    origin = git("rev-parse", "HEAD~1", cwd=tree)
    names = {"requirements.txt", "diff.patch", f"diff_{origin}.patch", "code/src/train.py"}
    assert names <= set(theirs)
    assert set(ours) - set(theirs) == {"runlane-code.json", "untracked.patch"}
    assert set(theirs) - set(ours) <= {"output.log"}
    for name in ("diff.patch", f"diff_{origin}.patch"):
        assert ours[name] == theirs[name]


@pytest.mark.parametrize("words", ["", "save_code=False", "save_code=True, settings={'disable_code': True}"])
def test_with_code_saving_off_nothing_of_the_code_is_kept(home: Home, tree: Path, words: str) -> None:
    (tree / "modified.txt").write_text("changed\n")
    found = files_of(home, tree, "runlane", PYTHON, words)
    assert not [name for name in found if name.endswith((".patch", ".py", "runlane-code.json"))]


def test_large_and_secret_files_are_left_out_and_named(home: Home, tree: Path) -> None:
    (tree / "data.bin").write_bytes(os.urandom(5 << 20))
    (tree / "server.pem").write_text("key")
    os.mkfifo(tree / "pipe")
    (tree / "loop").symlink_to("loop")
    (tree / "nested").mkdir()
    git("init", "-q", str(tree / "nested"), cwd=tree)
    (tree / "nested" / "file").write_text("x")
    change_names = {"data.bin": "size", "server.pem": "secret", "nested/": "repository"}
    found = files_of(home, tree, "runlane", PYTHON)
    manifest = json.loads(found["runlane-code.json"])
    assert {item["path"]: item["reason"] for item in manifest["left_out"]} == change_names
    assert b"server.pem" not in found["untracked.patch"]
    assert found["stderr"].decode().count("untracked files that are not saved") == 1


@pytest.mark.parametrize("problem", ["missing", "slow", "broken"])
def test_a_git_that_does_not_work_costs_one_warning(home: Home, tree: Path, problem: str) -> None:
    """Not installed, hanging for ever, or failing: the run, its program and everything else are there."""
    tools = home.root / "tools"
    tools.mkdir()
    if problem != "missing":
        script = "#!/bin/sh\nexec sleep 60\n" if problem == "slow" else "#!/bin/sh\nexit 3\n"
        (tools / "git").write_text(script)
        (tools / "git").chmod(0o755)
        (tools / "sleep").symlink_to("/bin/sleep")
    found = files_of(home, tree, "runlane", PYTHON, PATH=str(tools))
    assert "code/src/train.py" in found
    assert "diff.patch" not in found
    assert found["stderr"].decode().count("the state of the repository is not saved") == 1


def test_a_linked_work_tree_a_shallow_clone_and_a_subdirectory(
    home: Home, tree: Path, tmp_path: Path
) -> None:
    states: dict[str, Any] = {}
    git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=tree)
    git(
        "clone",
        "-q",
        "--depth",
        "1",
        f"file://{tmp_path}/origin.git",
        str(tmp_path / "shallow"),
        cwd=tmp_path,
    )
    for name in ("linked", "shallow"):
        place = tmp_path / name
        (place / "src").mkdir(exist_ok=True)
        (place / "modified.txt").write_text("changed\n")
        found = files_of(home, place, "runlane", PYTHON)
        states[name] = json.loads(found["runlane-code.json"])
        assert b"modified.txt" in found["diff.patch"]
        assert states[name]["directory"] == "src"
    assert states["linked"]["code"]["source"] == states["shallow"]["code"]["source"] == "remote"


def test_log_code_takes_sources_and_leaves_the_rest(home: Home) -> None:
    names = [
        "train.py", "pkg/mod.py", "requirements-dev.txt", "Dockerfile.gpu", "notes.txt", "wandb/run/x.py", ".wandb/y.py", "deep/wandb/z.py",
    ]  # fmt: skip
    for name in names:
        (home.work / name).parent.mkdir(parents=True, exist_ok=True)
        (home.work / name).write_text(name)
    outside = home.root / "outside.py"
    outside.write_text("outside")
    (home.work / "leads-out.py").symlink_to(outside)
    (home.work / "inside.py").symlink_to("train.py")
    (home.work / "loop.py").symlink_to("loop.py")
    (home.work / "around").symlink_to(".")
    os.mkfifo(home.work / "pipe.py")
    told = home.python(
        "import json, runlane as wandb\n"
        "run = wandb.init(mode='offline', project='p', settings=wandb.Settings(console='off'))\n"
        "def rel(found): return found and sorted(found.manifest.entries)\n"
        "one = rel(run.log_code())\n"
        "two = rel(run.log_code('pkg', include_fn=lambda path, root: path.endswith('mod.py')))\n"
        "three = rel(run.log_code('.', include_fn=lambda path: path.endswith('notes.txt'), exclude_fn=lambda path: 'deep' in path))\n"
        "four = run.log_code('.', include_fn=lambda path: False)\n"
        "five = run.log_code('nowhere')\n"
        "try:\n    run.log_code('.', include_fn=5)\nexcept TypeError as error:\n    six = 'TypeError'\n"
        "run.finish()\nprint(json.dumps([one, two, three, four, five, six]))\n"
    )
    one, two, three, four, five, six = json.loads(told.stdout)
    taken = [
        "train.py",
        "pkg/mod.py",
        "requirements-dev.txt",
        "Dockerfile.gpu",
        "deep/wandb/z.py",
        "inside.py",
    ]
    assert one == sorted(taken)
    assert (two, three, four, five, six) == (["mod.py"], ["notes.txt"], None, None, "TypeError")
    for name in ("leads-out.py", "loop.py", "pipe.py"):
        assert told.stderr.count(f"{name}` ") == 1, told.stderr


def test_the_key_of_the_process_is_not_in_saved_programs(home: Home, server: Server, project: str) -> None:
    (home.work / "other.py").write_bytes(f"KEY = '{server.api_key}'\r\nODD = '\xff'\n".encode("latin-1"))
    home.python(
        f"import runlane as wandb\nwandb.login(key='{server.api_key}', host='{server.base_url}')\n"
        f"run = wandb.init(project={project!r}, save_code=True)\nrun.log_code('.')\nrun.finish()\n",
        env={"WANDB_BASE_URL": server.base_url},
    )
    (directory,) = home.run_dirs()
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert "script.py" in {path.name for path in files}
    # The artifact of `log_code` is uploaded; its files are in the cache now.
    cached = [path for path in Path(home.env["HOME"]).rglob("obj/md5/*/*") if path.is_file()]
    assert not [path for path in (*files, *cached) if server.api_key.encode() in path.read_bytes()]
    assert "KEY = '[redacted]'\r\nODD = '\xff'\n".encode("latin-1") in {path.read_bytes() for path in cached}


@pytest.mark.parametrize(("words", "saved"), [("", True), ("save_code=False", False)])
def test_the_account_s_switch_counts_where_nobody_said_anything(
    home: Home, server: Server, project: str, words: str, saved: bool
) -> None:
    home.python(
        f"import runlane as wandb\nrun = wandb.init(project={project!r}, {words})\nrun.finish()\n",
        env=server.env,
    )
    (directory,) = home.run_dirs()
    assert (directory / "files" / "code" / "script.py").exists() is saved
