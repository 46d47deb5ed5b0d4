"""Finding transaction logs: files, run directories, and directories of run directories."""

from __future__ import annotations

import os

#: Directories that hold no runs and may be huge.
_PRUNED = frozenset(
    (".git", "node_modules", ".venv", "venv", "__pycache__", "site-packages", ".tox", ".mypy_cache")
)
_MAX_DEPTH = 8


def is_online(log: str) -> bool:
    """Whether the run was uploaded while it went on."""
    return not os.path.basename(os.path.dirname(log)).startswith("offline-")


def is_synced(log: str) -> bool:
    """Whether an explicit sync stored everything."""
    return os.path.exists(f"{log}.synced")


def _logs_in(directory: str) -> list[str]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [
        os.path.join(directory, name)
        for name in names
        if name.endswith(".wandb") and os.path.isfile(os.path.join(directory, name))
    ]


def _unique(logs: list[str]) -> list[str]:
    """Each file once, also if it is reached by several names."""
    seen: set[tuple[int, int]] = set()
    unique = []
    for log in logs:
        status = os.stat(log)
        key = (status.st_dev, status.st_ino)
        if key not in seen:
            seen.add(key)
            unique.append(os.path.realpath(log))
    return unique


def find(path: str) -> tuple[list[str], bool]:
    """The logs that `path` means, and whether it names a run itself (not a directory of runs)."""
    if os.path.isfile(path):
        return ([path] if path.endswith(".wandb") else []), True
    own = _logs_in(path)
    if own:
        return own, True
    found: list[str] = []
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return [], False
    for name in names:
        # A link such as latest-run names a run that is found under its own name.
        directory = os.path.join(path, name)
        if os.path.isdir(directory) and not os.path.islink(directory):
            found += _logs_in(directory)
    return found, False


def collect(paths: tuple[str, ...] | list[str]) -> tuple[list[str], set[str]]:
    """All logs of `paths`, and those of them that were named themselves."""
    logs: list[str] = []
    named: set[str] = set()
    for path in paths:
        found, itself = find(path)
        found = _unique(found)
        logs += found
        if itself:
            named.update(found)
    return _unique(logs), named


def below(directory: str) -> list[str]:
    """Logs of offline runs anywhere below `directory`, oldest first."""
    found: list[str] = []
    top = os.path.abspath(directory)
    for current, directories, names in os.walk(top):
        depth = current[len(top) :].count(os.sep)
        directories[:] = (
            sorted(name for name in directories if name not in _PRUNED) if depth < _MAX_DEPTH else []
        )
        if os.path.basename(current).startswith("offline-run-"):
            found += [os.path.join(current, name) for name in names if name.endswith(".wandb")]
            directories.clear()
    return sorted(_unique(found), key=lambda log: os.path.basename(os.path.dirname(log)))
