"""Files of a run: `save` puts user files into the run, `restore` fetches one back."""

from __future__ import annotations

import glob as globbing
import os
import shutil
import stat

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

POLICIES = ("now", "end", "live")
#: A pattern that matches more files is most likely a mistake.
_MAX_MATCHES = 100_000
_COMPONENT_BYTES = 255
#: What the run itself keeps in its directory; a pattern that is meant for the user's files does not mean these.
_OWN = frozenset(
    "config.yaml output.log requirements.txt wandb-metadata.json wandb-summary.json runlane-code.json".split()
)


def _checked_pattern(glob_str: Any) -> str:
    if not isinstance(glob_str, (str, bytes, os.PathLike)):
        raise TypeError(f"`glob_str` must be a path or pattern, got {type(glob_str).__name__}")
    pattern = os.fsdecode(glob_str)
    if not pattern:
        raise ValueError("`glob_str` must not be empty")
    if "\0" in pattern or "\n" in pattern:
        raise ValueError("`glob_str` must not contain NUL or newline characters")
    return str(pattern)


def _base(pattern: str, base_path: Any) -> str | None:
    """The directory that names in the run are relative to; None: of each file the one above its own."""
    if base_path is not None:
        if not isinstance(base_path, (str, bytes, os.PathLike)):
            raise TypeError(f"`base_path` must be a path, got {type(base_path).__name__}")
        return os.path.abspath(os.fsdecode(base_path))
    if not os.path.isabs(pattern):
        return os.getcwd()
    base = os.path.dirname(os.path.dirname(pattern))
    terminal.termwarn(
        f"Saving files without folders. If you want to preserve subdirectories pass base_path to wandb.save, i.e."
        f' wandb.save("{pattern}", base_path="{base}")',
        repeat=False,
    )
    return None


def _matches(pattern: str, base: str | None, literal: bool) -> list[str]:
    full = os.path.abspath(pattern)
    if base is not None and full != base and not (full + os.sep).startswith(base.rstrip(os.sep) + os.sep):
        raise ValueError(f"`{pattern}` is not below the base path `{base}`")
    return _regular(pattern, [full] if literal else sorted(globbing.glob(full, recursive=True)))


def _matches_in_run(pattern: str, base: str | None, inside: str) -> list[str]:
    """Files that lie in the run's directory already, and that the pattern matches as it does outside."""
    if base is None or os.path.abspath(pattern).startswith(inside):
        return []
    below = os.path.relpath(os.path.abspath(pattern), base)
    found = globbing.glob(os.path.join(globbing.escape(inside), below), recursive=True)
    own = {os.path.join(inside, name) for name in _OWN}
    return _regular(pattern, sorted(path for path in found if path not in own))


def _regular(pattern: str, found: list[str]) -> list[str]:
    if len(found) > _MAX_MATCHES:
        raise ValueError(f"`{pattern}` matches {len(found)} files, the limit is {_MAX_MATCHES}")
    files: list[str] = []
    for path in found:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            if os.path.lexists(path):
                terminal.termwarn(f"`{path}` cannot be read and is not saved: {error.strerror}")
            continue
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            terminal.termwarn(f"`{path}` is not a regular file and is not saved")
            continue
        files.append(path)
    return files


def _check_name(name: str) -> None:
    problem = None
    if not _is_unicode(name):
        problem = "it is not valid Unicode"
    elif any(len(part.encode()) > _COMPONENT_BYTES for part in name.split(os.sep)):
        problem = f"a component has more than {_COMPONENT_BYTES} bytes"
    elif "\\" in name or "\n" in name:
        problem = "it has a backslash or newline"
    if problem:
        raise ValueError(f"file name {name!a} cannot be stored: {problem}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(source: str, target: str, link: bool) -> str:
    """Put `source` at `target` of the run: as a `symlink`, a hard `link`, or a `copy`, which does not follow later changes."""
    if os.path.exists(target) and os.path.samefile(source, target) and not os.path.islink(target):
        return "link"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.lexists(target):
        os.unlink(target)
    if link:
        try:
            os.symlink(os.path.abspath(source), target)
        except OSError:
            pass
        else:
            return "symlink"
    try:
        # Of a link the file behind it: a hard link to the link itself would lead nowhere from there.
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)
        return "copy"
    return "link"


def save(
    files_dir: str, glob_str: Any, base_path: Any, policy: Any, use_glob: bool, symlink: bool
) -> tuple[list[str], list[tuple[str, str, str]]]:
    """Put the files that match into the run's directory.

    Returns:
        Absolute paths of the files in the run, and what to publish of them: (name, policy, type).

    Raises:
        TypeError: `glob_str` is no path.
        ValueError: Unknown policy, a pattern above its base path, or too many matches.
    """
    if policy not in POLICIES:
        raise ValueError(f'policy must be one of "live", "now" or "end", got {policy!r}')
    pattern = _checked_pattern(glob_str)
    if pattern.startswith(("gs://", "s3://")):
        terminal.termlog(f"{pattern} is a cloud storage url, can't save file to W&B.")
        return [], []
    base = _base(pattern, base_path)
    # In order, each once.
    saved: dict[str, None] = {}
    published: list[tuple[str, str, str]] = []
    inside = os.path.abspath(files_dir)
    ways: dict[str, int] = {}
    found = _matches(pattern, base, literal=not use_glob)
    there = _matches_in_run(pattern, base, inside) if use_glob else []
    for path in (*found, *there):
        in_run = path.startswith(inside + os.sep)
        root = inside if in_run else base or os.path.dirname(os.path.dirname(path))
        name = os.path.relpath(path, root)
        _check_name(name)
        target = os.path.join(inside, name)
        if target in saved:
            continue
        way = "" if in_run else _place(path, target, symlink)
        follows = way != "copy"
        if way:
            ways[way] = ways.get(way, 0) + 1
        if not follows and policy == "live":
            terminal.termwarn(
                f"Can't follow changes of `{path}`: it was copied and is uploaded once", repeat=False
            )
        saved[target] = None
        published.append(
            (name.replace(os.sep, "/"), "now" if policy == "live" and not follows else policy, "other")
        )
    if not saved:
        hint = (
            "" if use_glob or not globbing.has_magic(pattern) else "\nhint: with `glob=True` it is a pattern"
        )
        terminal.termwarn(f"no file matches `{pattern}`: nothing is saved{hint}")
    _tell(ways)
    return list(saved), published


def _tell(ways: dict[str, int]) -> None:
    """Say once how files got into the run's directory."""
    for way, (verb, how) in {"symlink": ("Symlinked", ""), "link": ("Linked", " (hardlinks)")}.items():
        count = ways.get(way, 0)
        if count:
            files = f"{count} file{'s' if count > 1 else ''}"
            text = f"{verb} {files} into the W&B run directory{how}; call wandb.save again to sync new files."
            terminal.termlog(text, repeat=False)


def restore_file(name: str, run_path: str, replace: bool, root: str) -> TextIO | None:
    """Download one file of a run and open it for reading.

    Raises:
        ValueError: The run has no such file.
        CommError: The server cannot be reached.
    """
    target = os.path.join(root, name)
    if os.path.exists(target) and not replace:
        return open(target)
    from .public_api import Api

    found = Api().run(run_path).files([name])
    if not found:
        raise ValueError(f"File {name} not found in {run_path}.")
    return found[0].download(root=root, replace=True)
