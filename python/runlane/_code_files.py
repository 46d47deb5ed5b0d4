"""Source files: the program as a file of the run, below `code/`, and what `log_code` finds as an artifact.

Contents are copied: a link would show what the file becomes later.
"""

from __future__ import annotations

import os
import shutil
import stat

from . import _redact, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ._settings import Settings
    from .artifacts import Artifact

    #: Takes a path, or a path and the root.
    Filter = Callable[..., bool]

FOLDER = "code"
_FILE_BYTES = 100 << 20
#: Source code is smaller; what is larger is not searched for keys.
_SEARCHED_BYTES = 8 << 20
_ALL_BYTES = 1 << 30
_FILES = 20_000
#: Directories looked into; beyond, the root is most likely a mistake.
_DIRECTORIES = 100_000
#: Files that cannot be taken and are named.
_NAMED = 5
_NAME_CHARACTERS = 128
_RUN_FOLDERS = ("wandb", ".wandb")


def default_include(path: str) -> bool:
    """Python files, `requirements…` and `Dockerfile…`."""
    name = os.path.basename(path)
    return name.endswith(".py") or name.startswith(("Dockerfile", "requirements"))


def default_exclude(path: str, root: str) -> bool:
    """What lies in the folders of runs."""
    return os.path.relpath(path, root).split(os.sep)[0] in _RUN_FOLDERS


def _with_root(decide: Filter) -> Filter:
    """A filter of one or two arguments as one of two.

    Raises:
        TypeError: It is no function.
    """
    import inspect

    if not callable(decide):
        raise TypeError(f"a filter must be a function of a path, got {type(decide).__name__}")
    try:
        count = len(inspect.signature(decide).parameters)
    except (TypeError, ValueError):
        count = 1
    return decide if count > 1 else lambda path, _root: decide(path)


def _walk(root: str) -> Iterator[str]:
    """Files below `root` in order; links to directories are not followed, so that a loop has no turn."""
    directories = 0
    for folder, names, files in os.walk(root):
        names.sort()
        directories += 1
        if directories > _DIRECTORIES:
            terminal.termwarn(
                f"log_code: `{root}` has more than {_DIRECTORIES} directories, the rest is left out"
            )
            return
        for name in sorted(files):
            yield os.path.join(folder, name)


def _problem(path: str, root: str) -> str | None:
    """Why a file cannot be taken."""
    try:
        found = os.stat(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_size > _FILE_BYTES:
        return f"has more than {_FILE_BYTES >> 20} MiB"
    if os.path.islink(path) and not os.path.realpath(path).startswith(os.path.realpath(root) + os.sep):
        return "is a link that leads out of the directory"
    name = os.path.relpath(path, root)
    if "\\" in name or "\n" in name or not name.isprintable():
        return "has a name that cannot be stored"
    return None


def _hide_own_keys(path: str) -> None:
    """Take the API key of this process out of a copy: programs that sign in by themselves name it."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        text = file.read()
    hidden = _redact.own_keys(text)
    if hidden != text:
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(hidden)


def copy(source: str, files_dir: str, name: str) -> bool:
    """Copy a file to `code/<name>` of the run; False with a warning if that fails."""
    return _copy_to(source, os.path.join(files_dir, FOLDER, name))


def _copy_to(source: str, target: str) -> bool:
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        shutil.copyfile(source, target)
        if os.path.getsize(target) <= _SEARCHED_BYTES:
            _hide_own_keys(target)
    except OSError as error:
        terminal.termwarn(f"`{source}` cannot be saved: {error.strerror}")
        return False
    return True


def _found(top: str, files_dir: str, wanted: Filter, unwanted: Filter) -> Iterator[str]:
    """The source files below `top` that can be taken, up to the bounds."""
    count = total = left_out = 0
    inside = os.path.realpath(files_dir) + os.sep
    for path in _walk(top):
        if not wanted(path, top) or unwanted(path, top) or os.path.realpath(path).startswith(inside):
            continue
        problem = _problem(path, top)
        if problem is not None:
            left_out += 1
            if left_out <= _NAMED:
                terminal.termwarn(f"log_code: `{path}` {problem} and is not saved")
            continue
        total += os.path.getsize(path)
        if count >= _FILES or total > _ALL_BYTES:
            terminal.termwarn(
                f"log_code: `{top}` has more than {_FILES} files or {_ALL_BYTES >> 30} GiB of code, the rest is left out"
            )
            break
        yield path
        count += 1
    if left_out > _NAMED:
        terminal.termwarn(f"log_code: {left_out - _NAMED} more files cannot be saved")


def draft(
    settings: Settings, root: Any, name: str | None, include: Filter, exclude: Filter
) -> Artifact | None:
    """An artifact with the source files below `root`; None with a warning if there are none.

    Raises:
        TypeError: `root` is no path, or a filter no function.
        ValueError: The name is not allowed.
    """
    from .artifacts import _staging
    from .artifacts._artifact import internal

    if not isinstance(root, (str, bytes, os.PathLike)):
        raise TypeError(f"`root` must be a path, got {type(root).__name__}")
    top = os.path.abspath(os.fsdecode(root))
    wanted, unwanted = _with_root(include), _with_root(exclude)
    made = internal(artifact_name(settings, name), "code")
    if os.path.isdir(top):
        with _staging.scratch() as directory:
            target = os.path.join(directory, "file")
            for path in _found(top, settings.files_dir, wanted, unwanted):
                if _copy_to(path, target):
                    staged = _staging.adopt(target, made.manifest.digest_algorithm)
                    below = "/".join(os.path.relpath(path, top).split(os.sep))
                    made._add_staged(below, staged, skip_cache=False, overwrite=True)
    if not len(made.manifest):
        terminal.termwarn(
            "No relevant files were detected in the specified directory. No code will be logged to your run."
        )
        return None
    return made


def artifact_name(settings: Settings, name: str | None) -> str:
    """The name of the code artifact: as it is given, or `source-<project>-<program>`, without what names cannot have."""
    from .data_types import _table_files

    if name is not None:
        return _table_files.artifact_name("", name)
    whole = f"source-{settings.project}-{settings.program_relpath or settings.program}"
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "_" for char in whole)
    if len(safe) <= _NAME_CHARACTERS:
        return safe
    # Both ends tell something: the project, and which program of it.
    half = _NAME_CHARACTERS // 2 - 1
    return f"{safe[:half]}..{safe[-half:]}"
