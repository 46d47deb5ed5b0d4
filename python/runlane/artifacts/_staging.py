"""The staging directory of this process: where files of artifacts wait until they are uploaded."""

from __future__ import annotations

import atexit
import errno
import os

from runlane import _core, _exit_hooks

from . import _storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._entries import ArtifactDigestAlgorithm

POLICIES = ("mutable", "immutable")

#: (process, root) -> what is open; a forked child opens its own.
_open: dict[tuple[int, str], _core.Staging] = {}


def _opened() -> _core.Staging:
    place = (os.getpid(), _storage.staging_dir())
    if place not in _open:
        if not any(pid == place[0] for pid, _ in _open):
            atexit.register(_close_unless_runs_do, place[0])
        # Of two threads that come first, one opens for both: what the other opened closes itself.
        return _open.setdefault(place, _core.Staging(place[1]))
    return _open[place]


def _close_unless_runs_do(pid: int) -> None:
    if os.getpid() == pid and not _exit_hooks.will_run():
        close()


def close() -> None:
    """Remove what was not logged. The process ends."""
    for (pid, _), staging in _open.items():
        if pid == os.getpid():
            staging.close()


def check_policy(policy: str | None) -> bool:
    """Whether files are copied.

    Raises:
        ValueError: There is no such policy.
    """
    if policy is not None and policy not in POLICIES:
        raise ValueError(f"Invalid policy {policy!r}. Policy may only be `mutable` or `immutable`.")
    return policy != "immutable"


def take(paths: Sequence[str], algorithm: ArtifactDigestAlgorithm, *, copy: bool) -> list[_core.StagedFile]:
    """Files with their digests; large ones are hashed while the program goes on.

    Args:
        paths: Absolute paths.
        algorithm: How they are hashed.
        copy: Into the staging directory, so that later changes of the files do not matter.

    Raises:
        OSError: A file cannot be read, or not be copied.
        ValueError: One is not a regular file.
    """
    if not copy:
        return _core.Staging.leave(list(paths), algorithm.short)
    try:
        return _opened().copy(list(paths), algorithm.short)
    except OSError as error:
        raise _explained(error) from error


def adopt(path: str, algorithm: ArtifactDigestAlgorithm) -> _core.StagedFile:
    """Take over a file that was written to a path of `scratch`, or to `scratch_file`."""
    return _opened().adopt(path, algorithm.short)


class scratch:  # noqa: N801 - used as a function
    """A fresh directory in this process's part of the staging directory; gone with all that is left in it."""

    def __enter__(self) -> str:
        import tempfile

        try:
            self._path = tempfile.mkdtemp(prefix="new-", dir=_opened().directory)
        except OSError as error:
            raise _explained(error) from error
        return self._path

    def __exit__(self, *_error: object) -> None:
        import shutil

        shutil.rmtree(self._path, ignore_errors=True)


class scratch_file:  # noqa: N801 - used as a function
    """A path in this process's part of the staging directory; gone if nobody has taken the file over.

    Removing a directory may take longer than all the rest: an object that is one file needs none.
    """

    def __enter__(self) -> str:
        import tempfile

        try:
            descriptor, self._path = tempfile.mkstemp(prefix="new-", dir=_opened().directory)
        except OSError as error:
            raise _explained(error) from error
        os.close(descriptor)
        return self._path

    def __exit__(self, *_error: object) -> None:
        try:
            os.unlink(self._path)
        except OSError:
            # Taken over; or left to the end of the process.
            return


def _explained(error: OSError) -> OSError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = 'set `WANDB_DATA_DIR` to a larger disk, or add files with `policy="immutable"`, which copies nothing'
    elif error.errno in (errno.EACCES, errno.EROFS) and str(error.filename or "").startswith(
        _storage.staging_dir()
    ):
        hint = "set `WANDB_DATA_DIR` to a writable directory"
    else:
        return error
    return type(error)(
        error.errno,
        f"{error.strerror}: files of artifacts are staged in `{_storage.staging_dir()}`\nhint: {hint}",
        error.filename,
    )
