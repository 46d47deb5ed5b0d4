"""The code of a run, made again from its files by the commands on its page: every tree is the same, byte for byte."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from world import PYTHON, Home, Server

TRAIN = """
import sys
import runlane as wandb
run = wandb.init(project=sys.argv[1], id=sys.argv[2], name="a 'good' $run", save_code=True, mode=sys.argv[3])
run.log({"x": 1})
run.finish()
"""
#: What is no part of the tree: git's own files, runs, and what git is told to ignore.
NO_CODE = {".git", "wandb", "secret.txt", ".env"}


def git(*words: str, cwd: Path) -> str:
    """Run git with an identity."""
    who = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main"]
    result = subprocess.run(["git", *who, *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"git {words}: {result.stderr}"
    return result.stdout.strip()


def repository(root: Path, kind: str) -> Path:
    """A work tree with changes of every sort. `kind`: `pushed`, `unpushed`, `alone` (no remote) or `empty` (no commit)."""
    tree = root / "my repo"
    if kind in ("pushed", "unpushed"):
        git("init", "--bare", "-q", str(root / "origin.git"), cwd=root)
        git("clone", "-q", str(root / "origin.git"), str(tree), cwd=root)
    else:
        git("init", "-q", str(tree), cwd=root)
    (tree / "src").mkdir()
    (tree / "src" / "train.py").write_text(TRAIN)
    (tree / ".gitignore").write_text("secret.txt\n")
    (tree / "secret.txt").write_text("hush")
    for name in ("modified", "staged", "deleted", "renamed", "mode", "crlf"):
        (tree / f"{name}.txt").write_text("".join(f"line {number} of {name}\n" for number in range(50)))
    (tree / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    (tree / "binary.bin").write_bytes(bytes(range(256)) * 8)
    (tree / "to-link").write_text("a file that becomes a link\n")
    git("add", "-A", cwd=tree)
    if kind != "empty":
        git("commit", "-qm", "first", cwd=tree)
    if kind in ("pushed", "unpushed"):
        git("push", "-q", "origin", "HEAD", cwd=tree)
    if kind == "unpushed":
        git("checkout", "-qb", "work", cwd=tree)
        (tree / "modified.txt").write_text("committed, but not pushed\n")
        (tree / "binary.bin").write_bytes(b"\0committed\xff")
        git("commit", "-qam", "second", cwd=tree)
    change(tree)
    return tree


def change(tree: Path) -> None:
    """Uncommitted changes of every sort."""
    (tree / "modified.txt").write_text("changed\nno newline at the end")
    (tree / "staged.txt").write_text("staged\n")
    (tree / "added.txt").write_text("added\n")
    (tree / "renamed.txt").rename(tree / "moved.txt")
    git("add", "staged.txt", "added.txt", "moved.txt", cwd=tree)
    (tree / "staged.txt").write_text("staged, and changed again\n")
    (tree / "deleted.txt").unlink()
    (tree / "mode.txt").chmod(0o755)
    (tree / "crlf.txt").write_bytes(b"one\r\ntwo\r\nthree\n")
    (tree / "binary.bin").write_bytes(os.urandom(5000) + b"\0")
    (tree / "to-link").unlink()
    (tree / "to-link").symlink_to("modified.txt")
    new = tree / "new dir" / "ümläut"
    new.mkdir(parents=True)
    (new / "untracked 'file'.py").write_text("print('untracked')\n")
    (new / "empty").touch()
    (new / "binary").write_bytes(os.urandom(1000) + b"\0")
    (new / "run.sh").write_text("#!/bin/sh\n")
    (new / "run.sh").chmod(0o755)
    (new / "dangling").symlink_to("../nowhere")
    (tree / ".env").write_text("TOKEN=1\n")


def tree_of(root: Path) -> dict[str, Any]:
    """Names, kinds, executable bits and bytes of all files below a directory."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if NO_CODE & set(name.parts):
            continue
        if path.is_symlink():
            found[str(name)] = ("link", os.readlink(path))
        elif path.is_file():
            found[str(name)] = (bool(path.stat().st_mode & stat.S_IXUSR), path.read_bytes())
    return found


def ask(server: Server, path: str) -> Any:
    """What the server answers to its app."""
    token = b64encode(f"api:{server.api_key}".encode()).decode()
    request = urllib.request.Request(
        f"{server.base_url}/api/runs/{path}", headers={"Authorization": f"Basic {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def train(home: Home, server: Server, tree: Path, project: str, mode: str) -> None:
    """Run the program in `src`, and upload an offline run."""
    env = {**server.env, "WANDB_DIR": str(tree)}
    words = [project, "r1", mode]
    script = f"cd {shlex.quote(str(tree / 'src'))} && exec {shlex.quote(PYTHON)} train.py {shlex.join(words)}"
    home.run(["sh", "-c", script], check=True, env=env)
    if mode == "offline":
        directory = next((tree / "wandb").glob("offline-run-*"))
        home.runlane("sync", str(directory), env=server.env)


def make_again(home: Home, server: Server, commands: list[str], place: Path) -> Path:
    """Run commands as they are on the page, in an empty directory; returns where they end."""
    place.mkdir()
    script = "\n".join(["set -e", *commands, "pwd"])
    env = {
        name: value for name, value in home.env.items() if not name.startswith(("RUNLANE_", "WANDB_", "GIT_"))
    }
    env["WANDB_API_KEY"] = server.api_key
    result = subprocess.run(
        ["sh", "-c", script], cwd=place, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    return Path(result.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("pushed", "online"), ("unpushed", "offline"), ("alone", "online"), ("empty", "offline")],
)
def test_the_commands_of_the_page_make_the_same_tree(
    home: Home, server: Server, project: str, tmp_path: Path, kind: str, mode: str
) -> None:
    tree = repository(tmp_path, kind)
    expected = tree_of(tree)
    train(home, server, tree, project, mode)
    assert tree_of(tree) == expected, "the run itself leaves the tree alone"
    entity = server.entity
    recipe = ask(server, f"{entity}/{project}/r1/reproduce")
    steps = {step["title"]: step["commands"] for step in recipe["steps"]}
    assert server.api_key not in json.dumps(recipe)
    found = make_again(home, server, steps["Code"], tmp_path / "again")
    assert tree_of(found) == expected
    assert any("`.env`" in note or ".env (secret)" in note for note in recipe["notes"])
    assert steps["Run"] == ["cd src", f"python train.py {shlex.join([project, 'r1', mode])}"]
    assert steps["Environment"][-1].endswith("requirements.txt | pip install -r /dev/stdin")
    if kind == "pushed":
        head = git("rev-parse", "HEAD", cwd=tree)
        assert recipe["repository"] == str(tmp_path / "origin.git")
        assert recipe["gitState"] == f'git checkout -b "a-good-run" {head}'
        assert git("rev-parse", "HEAD", cwd=found) == head
        assert git("branch", "--show-current", cwd=found) == "a-good-run"


def test_restore_does_the_same_in_an_empty_directory_and_in_a_clone(
    home: Home, server: Server, project: str, tmp_path: Path
) -> None:
    tree = repository(tmp_path, "unpushed")
    expected = tree_of(tree)
    train(home, server, tree, project, "online")

    def restore(place: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = ("-m", "runlane", "restore", *words)
        script = f"cd {shlex.quote(str(place))} && exec {shlex.quote(PYTHON)} {shlex.join(words)}"
        return home.run(["sh", "-c", script], check=check, env=server.env)

    empty, clone = tmp_path / "empty", tmp_path / "clone"
    empty.mkdir()
    told = restore(empty, f"{project}:r1").stdout
    assert tree_of(empty / "origin") == expected
    assert (empty / "wandb" / "config.yaml").exists()
    assert "python train.py" in told
    git("clone", "-q", str(tmp_path / "origin.git"), str(clone), cwd=tmp_path)
    (clone / "mode.txt").write_text("mine\n")
    refused = restore(clone, "r1", "-p", project, check=False)
    assert refused.returncode == 1
    assert "uncommitted changes" in refused.stderr
    git("checkout", "-q", ".", cwd=clone)
    restore(clone, "r1", "-p", project)
    assert tree_of(clone) == expected
    assert git("branch", "--show-current", cwd=clone) == "wandb/r1"
    config_only = tmp_path / "config-only"
    config_only.mkdir()
    restore(config_only, "--no-git", "r1", "-p", project, "-e", server.entity)
    assert [path.name for path in config_only.iterdir()] == ["wandb"]


def test_changes_in_submodules_come_back(home: Home, server: Server, project: str, tmp_path: Path) -> None:
    """Text and binary ones, committed there or not; of one that is nested, too."""
    (Path(home.env["HOME"]) / ".gitconfig").write_text('[protocol "file"]\n\tallow = always\n')

    def sub(name: str, inside: Path) -> Path:
        """A repository as a submodule of another one."""
        origin, made = tmp_path / f"{name}.git", tmp_path / f"{name}-first"
        git("init", "--bare", "-q", str(origin), cwd=tmp_path)
        git("clone", "-q", str(origin), str(made), cwd=tmp_path)
        (made / "text").write_text("text\n")
        (made / "binary").write_bytes(b"\0" * 100)
        git("add", "-A", cwd=made)
        git("commit", "-qm", "first", cwd=made)
        git("push", "-q", "origin", "HEAD", cwd=made)
        git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(origin), name, cwd=inside)
        git("add", "-A", cwd=inside)
        git("commit", "-qm", f"add {name}", cwd=inside)
        git("push", "-q", "origin", "HEAD", cwd=inside)
        return inside / name

    git("init", "--bare", "-q", str(tmp_path / "top.git"), cwd=tmp_path)
    git("clone", "-q", str(tmp_path / "top.git"), str(tmp_path / "top"), cwd=tmp_path)
    top = tmp_path / "top"
    (top / "src").mkdir()
    (top / "src" / "train.py").write_text(TRAIN)
    middle = sub("middle", top)
    deep = sub("deep", middle)
    git("add", "-A", cwd=top)
    git("commit", "-qm", "newer middle", cwd=top)
    git("push", "-q", "origin", "HEAD", cwd=top)
    (middle / "text").write_text("committed\n")
    git("commit", "-qam", "not pushed", cwd=middle)
    for place in (middle, deep):
        (place / "binary").write_bytes(b"\0changed\xff")
    (deep / "text").unlink()
    expected = tree_of(top)
    train(home, server, top, project, "online")
    recipe = ask(server, f"{server.entity}/{project}/r1/reproduce")
    found = make_again(home, server, recipe["steps"][0]["commands"], tmp_path / "again")
    assert tree_of(found) == expected
