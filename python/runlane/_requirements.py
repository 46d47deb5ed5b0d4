"""`requirements.txt`: the installed distributions, one `name==version` a line."""

from __future__ import annotations

import os


def installed() -> list[str]:
    """`name==version` of every installed distribution, sorted, each name once."""
    from importlib import metadata

    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        try:
            name, version = distribution.metadata["Name"], distribution.version
        except (KeyError, TypeError, OSError):
            # A half-removed package on the path is no reason to lose the others.
            continue
        if name and version:
            found.setdefault(name, version)
    return [f"{name}=={version}" for name, version in sorted(found.items(), key=lambda item: item[0].lower())]


def write(files_dir: str) -> str | None:
    """Write the file into the run's files; the name relative to them, or None if that failed."""
    try:
        with open(os.path.join(files_dir, "requirements.txt"), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in installed())
    except OSError:
        return None
    return "requirements.txt"
