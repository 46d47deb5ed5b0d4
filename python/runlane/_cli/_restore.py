"""`restore`: the code and config of a run, as the commands on its page make them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import click

from runlane.errors import CommError, Error
from runlane.terminal import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runlane.public_api._stored_run import Run

_ANSWER_BYTES = 64 << 20
_PLAIN = re.compile(r"[\w.-]{1,200}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@click.command()
@click.argument("run")
@click.option("--no-git", is_flag=True, help="Restore the config only.")
@click.option(
    "--branch/--no-branch",
    default=True,
    help="Make the branch wandb/RUN_ID (default), or check the commit out without one.",
)
@click.option("-p", "--project", help="Project of the run.")
@click.option("-e", "--entity", help="Entity of the run.")
def restore(run: str, no_git: bool, branch: bool, project: str | None, entity: str | None) -> None:
    """Restore the code and config of RUN.

    RUN is a run's id, PROJECT:ID, ENTITY/PROJECT:ID or ENTITY/PROJECT/ID. The config goes to wandb/config.yaml. In a
    clone of the run's repository its commit is checked out on a branch of its own, and its changes are applied; elsewhere the
    repository, or what the run saved of its code, is put into a new directory.
    """
    from runlane.public_api import Api

    api = Api()
    stored = api.run(_path(run, project, entity))
    _write_config(stored)
    recipe = _recipe(stored)
    if not no_git:
        place = _restore_code(stored, recipe["plan"], branch)
        for note in recipe["notes"]:
            click.echo(f"Note: {printable(note)}")
        if place is not None:
            click.echo(f"Restored the code of {stored.name} in {place}")
            _tell_rest(recipe)
    image = (stored.metadata or {}).get("docker")
    if isinstance(image, str) and image:
        click.echo(f"The run was in a container: docker run --rm -it {printable(image)}")


def _path(run: str, project: str | None, entity: str | None) -> str:
    parts = [part for part in run.replace(":", "/").split("/") if part]
    if len(parts) == 1 and project:
        parts.insert(0, project)
    if len(parts) == 2 and entity:
        parts.insert(0, entity)
    elif len(parts) == 1 and entity:
        raise Error("`--entity` needs `--project`, or a run as PROJECT:ID")
    return "/".join(parts)


def _recipe(run: Run) -> dict[str, Any]:
    """What the server says about making the run again.

    Raises:
        CommError: The server is none of ours, or cannot be reached.
    """
    from urllib.parse import quote

    path = "/".join(quote(part, safe="") for part in run.path)
    try:
        with run._api._client.download(f"/api/runs/{path}/reproduce") as answer:
            recipe: dict[str, Any] = json.loads(answer.read(_ANSWER_BYTES))
    except CommError as error:
        if "answered 404" in str(error):
            raise CommError("this server does not say how to make the run's code again", error) from error
        raise
    return recipe


def _write_config(run: Run) -> None:
    """Write the run's config to `wandb/config.yaml`, as W&B's command does."""
    import yaml

    os.makedirs("wandb", exist_ok=True)
    target = os.path.join("wandb", "config.yaml")
    values = {key: {"value": value} for key, value in run.config.items()}
    with open(target, "w", encoding="utf-8") as file:
        yaml.safe_dump(values, file, allow_unicode=True, sort_keys=False)
    click.echo(f"Restored config of {run.name} to {target}")


def _git(*words: str, cwd: str, content: bytes | None = None, quiet: bool = False) -> str:
    """Run git; what it prints.

    Raises:
        Error: git is missing or fails.
    """
    try:
        result = subprocess.run(  # noqa: S603 - the words are checked, values stand behind options
            ["git", *words],  # noqa: S607 - the user's git
            cwd=cwd,
            input=content,
            stdin=None if content is not None else subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise Error("git is not installed") from error
    if result.returncode != 0:
        if quiet:
            return ""
        told = result.stderr.decode(errors="replace").strip()
        raise Error(f"`git {words[0]}` failed: {told}")
    return result.stdout.decode(errors="replace").strip()


def _restore_code(run: Run, plan: dict[str, Any], branch: bool) -> str | None:
    """Make the tree; where it is, or None if there is nothing to make it of."""
    target = str(plan["target"])
    if not _PLAIN.fullmatch(target) or target in (".", ".."):
        raise Error(f"the server names a directory that is none: {target!r}")
    if plan["source"] == "files":
        return _restore_files(run, plan["files"], target)
    base = plan["base"]
    if base is not None and not _COMMIT.fullmatch(base):
        raise Error(f"the server names a commit that is none: {base!r}")
    root = _git("rev-parse", "--show-toplevel", cwd=".", quiet=True)
    if root and plan["source"] != "none":
        if _git("status", "--porcelain", "--untracked-files=no", cwd=root):
            raise Error(
                "this repository has uncommitted changes\nhint: commit or stash them, or restore in an empty directory"
            )
        _fetch(run, plan, root)
    else:
        root = os.path.abspath(target)
        if os.path.exists(root):
            raise Error(f"`{target}` exists already")
        _clone(run, plan, root)
    if base is not None:
        where = ["-b", f"wandb/{run.id}"] if branch else ["--detach"]
        _git("checkout", *where, base, cwd=root)
    if plan["submodules"]:
        _git("submodule", "update", "--init", "--recursive", cwd=root)
    for patch in plan["patches"]:
        _git("apply", "--whitespace=nowarn", cwd=root, content=_content(run, patch))
    return root


def _fetch(run: Run, plan: dict[str, Any], root: str) -> None:
    """Get the commit into a repository that is here already."""
    base = str(plan["base"])
    if _git("cat-file", "-t", base, cwd=root, quiet=True) == "commit":
        return
    if plan["source"] == "bundle":
        bundle = _bundle(run, plan, root)
        _git("fetch", bundle, "HEAD", cwd=root)
        os.unlink(bundle)
        return
    # Not every server hands out a commit by its name.
    _git("fetch", "--", str(plan["remote"]), base, cwd=root, quiet=True)
    if _git("cat-file", "-t", base, cwd=root, quiet=True) != "commit":
        _git("fetch", "--all", cwd=root)


def _clone(run: Run, plan: dict[str, Any], root: str) -> None:
    parent, name = os.path.split(root)
    if plan["source"] == "none":
        _git("init", name, cwd=parent)
    elif plan["source"] == "bundle":
        bundle = _bundle(run, plan, parent)
        _git("clone", bundle, name, cwd=parent)
        os.unlink(bundle)
    else:
        _git("clone", "--", str(plan["remote"]), name, cwd=parent)


def _bundle(run: Run, plan: dict[str, Any], directory: str) -> str:
    """Download the snapshot; its path."""
    path = os.path.join(directory, f".{run.id}.bundle")
    with open(path, "wb") as file:
        file.write(_content(run, str(plan["bundle"])))
    return path


def _content(run: Run, name: str) -> bytes:
    """A file of the run.

    Raises:
        Error: The run has no such file.
    """
    found = run.files([name])
    if not found:
        raise Error(f"the run has no file `{name}` (yet)")
    with run._api._client.download(found[0].direct_url) as answer:
        return bytes(answer.read())


def _restore_files(run: Run, names: list[str], target: str) -> str | None:
    if not names:
        return None
    root = os.path.abspath(target)
    if os.path.exists(root):
        raise Error(f"`{target}` exists already")
    for name in names:
        path = os.path.abspath(os.path.join(root, name.removeprefix("code/")))
        if not path.startswith(root + os.sep):
            raise Error(f"the file name `{name}` leaves the directory")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(_content(run, name))
    return root


def _tell_rest(recipe: dict[str, Any]) -> None:
    """Print what is left to do: environment and command."""
    for step in recipe["steps"]:
        if step["title"] == "Code":
            continue
        click.echo(f"\n# {step['title']}")
        for command in step["commands"]:
            # Not through the pager of a terminal: it is to be copied.
            sys.stdout.write(printable(command) + "\n")
