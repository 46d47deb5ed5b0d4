"""The run directory: made as wandb lays it out, with the links beside it."""

from __future__ import annotations

import os

from . import terminal
from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._settings import Settings

#: Enough for a name that every common file system takes with the stamp and suffixes around it.
_MAX_SUFFIX = 1000


def _is_usable(directory: str) -> bool:
    try:
        # The daemon is told the path as text.
        directory.encode()
        os.makedirs(directory, exist_ok=True)
    except (OSError, ValueError):
        return False
    return os.access(directory, os.R_OK | os.W_OK | os.X_OK)


def usable_root(settings: Settings) -> str:
    """The directory that will hold `wandb/`: the one asked for, or the system's temporary one with a warning.

    Raises:
        UsageError: Neither can be written.
    """
    root = settings.root_dir
    if _is_usable(root) and _is_usable(settings.wandb_dir):
        return root
    import tempfile

    fallback = tempfile.gettempdir()
    terminal.termwarn(f"Path {settings.wandb_dir} wasn't writable, using system temp directory {fallback}.")
    if not _is_usable(fallback):
        raise UsageError(
            f"neither `{root}` nor `{fallback}` can be written\nhint: set `WANDB_DIR` to a writable directory"
        )
    return fallback


def _relative_link(target: str, link: str) -> None:
    temporary = f"{link}.{os.getpid()}.runlane-tmp"
    try:
        os.symlink(os.path.relpath(target, os.path.dirname(link)), temporary)
        os.replace(temporary, link)
    except OSError:
        # A file system without links, or somebody's own file of that name: the link is a convenience only.
        try:
            os.unlink(temporary)
        except OSError:
            return


def create(settings: Settings) -> None:
    """Make the run directory of `settings` and the links to it; a taken name gets a number.

    Raises:
        UsageError: The directory cannot be made.
    """
    number = 0
    while True:
        if number:
            settings.x_sync_dir_suffix = str(number)
        try:
            os.makedirs(settings.wandb_dir, exist_ok=True)
            os.mkdir(settings.sync_dir)
            break
        except FileExistsError:
            number += 1
            if number > _MAX_SUFFIX:
                raise UsageError(
                    f"cannot find a free name for the run directory: `{settings.sync_dir}`"
                ) from None
        except OSError as error:
            raise UsageError(
                f"cannot create the run directory: {error.strerror}: `{settings.sync_dir}`\n"
                "hint: set `WANDB_DIR` to a writable directory"
            ) from error
    for directory in (settings.files_dir, settings.log_dir, settings.tmp_dir, settings._tmp_code_dir):
        os.makedirs(directory, exist_ok=True)
    if settings.symlink:
        _relative_link(settings.sync_dir, settings.sync_symlink_latest)
        _relative_link(settings.log_user, settings.log_symlink_user)
        _relative_link(settings.log_internal, settings.log_symlink_internal)
