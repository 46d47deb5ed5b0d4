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


def _checked_pattern(glob_str: Any) -> str:
    if not isinstance(glob_str, (str, bytes, os.PathLike)):
        raise TypeError(f"`glob_str` must be a path or pattern, got {type(glob_str).__name__}")
    pattern = os.fsdecode(glob_str)
    if not pattern:
        raise ValueError("`glob_str` must not be empty")
    if "\0" in pattern or "\n" in pattern:
        raise ValueError("`glob_str` must not contain NUL or newline characters")
    return str(pattern)


def _base(pattern: str, base_path: Any) -> str:
    if base_path is not None:
        if not isinstance(base_path, (str, bytes, os.PathLike)):
            raise TypeError(f"`base_path` must be a path, got {type(base_path).__name__}")
        base = os.path.abspath(os.fsdecode(base_path))
    elif os.path.isabs(pattern):
        # One directory level is kept in the run.
        base = os.path.dirname(os.path.dirname(pattern))
        if globbing.has_magic(base):
            raise ValueError(f"`{pattern}` has a pattern above its last directory; pass `base_path`")
        terminal.termwarn(
            f"Saving files without folders. If you want to preserve subdirectories pass base_path to wandb.save, i.e."
            f' wandb.save("{pattern}", base_path="{base}")',
            repeat=False,
        )
    else:
        base = os.getcwd()
    return base


def _matches(pattern: str, base: str, literal: bool) -> list[str]:
    full = os.path.abspath(pattern)
    if full != base and not (full + os.sep).startswith(base.rstrip(os.sep) + os.sep):
        raise ValueError(f"`{pattern}` is not below the base path `{base}`")
    found = [full] if literal else sorted(globbing.glob(full, recursive=True))
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


def _place(source: str, target: str, link: bool) -> bool:
    """Put `source` at `target` of the run; False if it is a copy, which does not follow later changes."""
    if os.path.exists(target) and os.path.samefile(source, target) and not os.path.islink(target):
        return True
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.lexists(target):
        os.unlink(target)
    if link:
        try:
            os.symlink(os.path.abspath(source), target)
        except OSError:
            pass
        else:
            return True
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        return False
    return True


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
        terminal.termlog(f"{pattern} is a cloud storage url, can't save file to wandb.")
        return [], []
    base = _base(pattern, base_path)
    saved: list[str] = []
    published: list[tuple[str, str, str]] = []
    inside = os.path.abspath(files_dir)
    for path in _matches(pattern, base, literal=not use_glob):
        in_run = path.startswith(inside + os.sep)
        name = os.path.relpath(path, inside if in_run else base)
        _check_name(name)
        target = os.path.join(inside, name)
        follows = True if in_run else _place(path, target, symlink)
        if not follows and policy == "live":
            terminal.termwarn(
                f"Can't follow changes of `{path}`: it was copied and is uploaded once", repeat=False
            )
        saved.append(target)
        published.append(
            (name.replace(os.sep, "/"), "now" if policy == "live" and not follows else policy, "other")
        )
    if not saved:
        terminal.termwarn(f"no file matches `{pattern}`: nothing is saved")
    elif symlink:
        terminal.termlog(
            f"Symlinked {len(saved)} file{'s' if len(saved) > 1 else ''} into the W&B run directory; call wandb.save again to"
            " sync new files.",
            repeat=False,
        )
    return saved, published


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

    file = Api().run(run_path).file(name)
    if file.size is None:
        raise ValueError(f"File {name} not found in {run_path}.")
    return file.download(root=root, replace=True)
