"""Files that say which environment a program ran in, besides `requirements.txt`: conda's packages, uv's lock file.

No process is started: conda keeps what it has installed as JSON files below the prefix, uv its project's files beside the program.
"""

from __future__ import annotations

import os
import sys

from . import _redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._settings import Settings

CONDA = "conda-environment.yaml"
#: A lock file or project file beyond this is none.
_PROJECT_FILE_BYTES = 16 << 20
_CONDA_PACKAGES = 5_000
_CONDA_RECORD_BYTES = 8 << 20
#: What a project of uv's consists of, as far as its environment goes.
_UV_FILES = ("uv.lock", "pyproject.toml", ".python-version")


def _read(path: str, limit: int) -> str | None:
    """A regular file as text, or None."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > limit:
            return None
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(limit)
    except OSError:
        return None


def _quoted(text: str) -> str:
    """A YAML scalar: plain where that is safe."""
    import json

    plain = text and text[0].isalnum() and all(char.isalnum() or char in "._-+=/:@" for char in text)
    return text if plain and ": " not in text and not text.endswith(":") else json.dumps(text)


def conda_environment(prefix: str, installed: list[tuple[str, str, str]]) -> str | None:
    """The packages of a conda prefix, in the form of `conda env export`.

    Args:
        prefix: The environment's directory.
        installed: Name, version and installer of every Python distribution; those that pip or uv brought are listed below `pip`.

    Returns:
        The text of `conda-environment.yaml`, or None if the prefix is none of conda's.
    """
    import json

    directory = os.path.join(prefix, "conda-meta")
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))[:_CONDA_PACKAGES]
    except OSError:
        return None
    channels: list[str] = []
    packages: list[str] = []
    for name in names:
        try:
            record = json.loads(_read(os.path.join(directory, name), _CONDA_RECORD_BYTES) or "null")
            packages.append(f"{record['name']}={record['version']}={record['build']}")
            channel = _channel(record)
        except (ValueError, KeyError, TypeError):
            # A record that is being written or damaged costs its own line.
            continue
        if channel and channel not in channels:
            channels.append(channel)
    if not packages:
        return None
    pip = sorted(
        f"{name}=={version}" for name, version, installer in installed if installer not in ("conda", "")
    )
    lines = [f"name: {_quoted(os.path.basename(prefix.rstrip(os.sep)) or 'base')}", "channels:"]
    lines += [f"  - {_quoted(channel)}" for channel in channels or ["defaults"]]
    lines.append("dependencies:")
    lines += [f"  - {_quoted(package)}" for package in sorted(packages)]
    if pip:
        lines.append("  - pip:")
        lines += [f"      - {_quoted(package)}" for package in pip]
    lines.append(f"prefix: {_quoted(prefix)}")
    return "\n".join(lines) + "\n"


def _channel(record: dict[str, object]) -> str:
    """The channel of a package by name where it has one of the usual ones, else by address, without credentials."""
    channel = _redact.text(str(record.get("channel") or "")).rstrip("/")
    for platform in ("noarch", str(record.get("subdir") or "")):
        channel = channel.removesuffix(f"/{platform}") if platform else channel
    for host in ("https://conda.anaconda.org/", "https://repo.anaconda.com/"):
        channel = channel.removeprefix(host)
    return "defaults" if channel.startswith("pkgs/") else channel


def _is_uv(prefix: str) -> bool:
    """Whether uv has made this environment."""
    text = _read(os.path.join(prefix, "pyvenv.cfg"), 1 << 16) or ""
    return any(line.partition("=")[0].strip() == "uv" for line in text.splitlines())


def _uv_project(start: str, stop: str | None) -> str | None:
    """The directory with the lock file that holds for `start`; `stop` is the last one to look in."""
    path = os.path.realpath(start)
    last = os.path.realpath(stop) if stop else None
    while True:
        if os.path.isfile(os.path.join(path, "uv.lock")):
            return path
        parent = os.path.dirname(path)
        if path in (last, parent):
            return None
        path = parent


def write(settings: Settings, directory: str, prefix: str = sys.prefix) -> list[str]:
    """Write the files that there are into the run's files; their names.

    Args:
        settings: The run's settings; with `disable_code` uv's project files, which are the user's, are not taken.
        directory: Where the program was started.
        prefix: The environment.
    """
    files_dir = settings.files_dir
    texts: dict[str, str | None] = {}
    if os.path.isdir(os.path.join(prefix, "conda-meta")):
        texts[CONDA] = conda_environment(prefix, _installed())
    if not settings.disable_code and _is_uv(prefix):
        program = settings.program if settings.program and os.path.isfile(settings.program) else None
        start = os.path.dirname(program) if program else directory
        project = _uv_project(start, settings.git_root) if start else None
        for name in _UV_FILES if project else ():
            text = _read(os.path.join(str(project), name), _PROJECT_FILE_BYTES)
            # An index may be named with its password.
            texts[name] = text and "".join(_redact.text(line) for line in text.splitlines(keepends=True))
    written = []
    for name, text in texts.items():
        if text is None:
            continue
        try:
            with open(os.path.join(files_dir, name), "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        except OSError:
            continue
        written.append(name)
    return written


def _installed() -> list[tuple[str, str, str]]:
    """Name, version and installer of every distribution."""
    from importlib import metadata

    found: dict[str, tuple[str, str, str]] = {}
    for distribution in metadata.distributions():
        try:
            name, version = distribution.metadata["Name"], distribution.version
            installer = (distribution.read_text("INSTALLER") or "").strip()
        except (KeyError, TypeError, OSError, UnicodeError):
            continue
        if name and version:
            found.setdefault(name, (name, version, installer))
    return list(found.values())
