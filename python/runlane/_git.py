"""What git knows of a directory, read from its files: starting `git` would cost more than all of `init`."""

from __future__ import annotations

import os

from . import _redact


def find_root(start: str) -> str | None:
    """The work tree that contains `start`, or None."""
    path = os.path.abspath(start)
    while True:
        if os.path.exists(os.path.join(path, ".git")):
            return path
        parent = os.path.dirname(path)
        if parent == path:
            return None
        path = parent


def _read(*parts: str) -> str | None:
    try:
        with open(os.path.join(*parts), encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return None


def _directories(root: str) -> tuple[str, str] | None:
    """The git directory of the work tree, and the one it shares with its siblings."""
    path = os.path.join(root, ".git")
    if os.path.isfile(path):
        text = (_read(path) or "").strip()
        if not text.startswith("gitdir:"):
            return None
        path = os.path.normpath(os.path.join(root, text[7:].strip()))
    common = _read(path, "commondir")
    return path, os.path.normpath(os.path.join(path, common.strip())) if common else path


def _resolve(directory: str, common: str, reference: str) -> str | None:
    for place in (directory, common):
        text = _read(place, *reference.split("/"))
        if text:
            return text.strip()
    for line in (_read(common, "packed-refs") or "").splitlines():
        commit, _, name = line.partition(" ")
        if name.strip() == reference:
            return commit
    return None


def head_commit(root: str) -> str | None:
    """The commit that is checked out, or None in an empty repository."""
    directories = _directories(root)
    if directories is None:
        return None
    head = (_read(directories[0], "HEAD") or "").strip()
    commit = _resolve(*directories, head[4:].strip()) if head.startswith("ref:") else head
    is_hash = (
        commit is not None and len(commit) in (40, 64) and all(char in "0123456789abcdef" for char in commit)
    )
    return commit if is_hash else None


def without_credentials(url: str) -> str:
    """`url` without user name, password and tokens; the user name of ssh is no secret, and no address without it."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("ssh", "git+ssh", "ssh+git"):
        host, slash, path = rest.partition("/")
        user, at, host = host.rpartition("@")
        return f"{scheme}://{user.partition(':')[0]}{at}{host}{slash}{_redact.text(path)}"
    if separator:
        host, slash, path = rest.partition("/")
        url = f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
    return _redact.text(url)


def remote_url(root: str, remote: str = "origin") -> str | None:
    """The URL of a remote, without credentials, or None."""
    directories = _directories(root)
    if directories is None:
        return None
    inside = False
    for line in (_read(directories[1], "config") or "").splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped == f'[remote "{remote}"]'
        elif inside:
            name, separator, value = stripped.partition("=")
            if separator and name.strip().lower() == "url":
                return without_credentials(value.strip().strip('"'))
    return None


def default_project(program: str | None) -> str | None:
    """The project name that wandb derives from a repository: its directory's name, and the program's place below it.

    Args:
        program: Path of the program, None where there is none (interactive use).

    Returns:
        The name, or None outside git.
    """
    directory = os.path.dirname(os.path.abspath(program)) if program else os.getcwd()
    root = find_root(os.getcwd())
    if root is None:
        return None
    name = os.path.basename(root)
    if program and (directory + os.sep).startswith(root + os.sep):
        below = os.path.relpath(directory, root)
        if below != ".":
            name += f"-{below.replace(os.sep, '_')}"
    return "".join("_" if char in "/\\#?%:" or ord(char) < 32 else char for char in name)[:128]
