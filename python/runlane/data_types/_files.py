"""Media files of a run: `media/<kind>/<key>_<step>_<first 20 hex digits of the content's SHA-256><extension>`.

`MediaFile` is the content of one media object until it is logged, and after that: bytes in memory, a temporary file, a file of the
user's, or a file of a run. What is in memory is bounded over all objects together; beyond that it lies in temporary files.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
from _thread import RLock, get_ident
from contextlib import suppress
from hashlib import sha256

from runlane import _exit_hooks
from runlane._json_text import without_surrogates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Longest file name, in bytes.
_NAME_BYTES = 255
#: What is added to the name of an entry made of a key.
_SUFFIX_BYTES = 64
#: What names of files and the server's paths cannot have.
_UNSAFE = re.compile(r"[\\\x00-\x1f\x7f]")
#: Content of media objects that is kept in memory, in bytes; further content goes to temporary files.
MEMORY_BYTES = 64 << 20
#: Bytes that are hashed or copied at once.
_CHUNK_BYTES = 1 << 20


def _components(key: str) -> list[str]:
    """The directories and the file name that a key stands for; none leads out of where it lies."""
    parts = [part for part in without_surrogates(key).split("/") if part]
    return ["_" * len(part) if part in (".", "..") else _UNSAFE.sub("_", part) for part in parts] or ["_"]


def _cut(name: str, most: int) -> str:
    """`name` in at most `most` bytes; two long names stay two."""
    data = name.encode()
    if len(data) <= most:
        return name
    mark = f"~{sha256(data).hexdigest()[:8]}"
    return data[: most - len(mark)].decode("utf-8", "ignore") + mark


def entry_key(key: str) -> str:
    """The key as the name of an artifact's entry."""
    return "/".join(_cut(part, _NAME_BYTES - _SUFFIX_BYTES) for part in _components(key))


def media_path(kind: str, key: str, step: int | str, digest: str, extension: str) -> str:
    """The path of a media file, relative to the run's files.

    Args:
        kind: Directory below `media`.
        key: The key that was logged; its slashes make directories.
        step: The step that the client believes is current, or `summary`.
        digest: SHA-256 of the content, hexadecimal, or another identity.
        extension: With its dot.
    """
    *directories, name = _components(key)
    ending = f"_{step}_{digest[:20]}{extension}"
    name = _cut(name, _NAME_BYTES - len(ending.encode())) + ending
    return "/".join(["media", kind, *(_cut(part, _NAME_BYTES) for part in directories), name])


def _placed(target: str, make: Any) -> None:
    """Make the file `target` whole or not at all: `make(path)` makes it under another name.

    The daemon may be reading a file of the same name, and another thread writing it; all have the same content.
    """
    folder, name = os.path.split(target)
    os.makedirs(folder, exist_ok=True)
    mark = f".{os.getpid()}-{get_ident()}.part"
    partial = os.path.join(folder, _cut(name, _NAME_BYTES - len(mark)) + mark)
    try:
        make(partial)
        os.replace(partial, target)
    except OSError:
        if os.path.lexists(partial):
            os.unlink(partial)
        raise


def _write(path: str, content: Any) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _copy(source: str, target: str) -> None:
    import shutil

    shutil.copyfile(source, target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without hard links.
        _copy(source, target)


def store(run: Any, kind: str, key: str, step: int | str, extension: str, content: bytes) -> dict[str, Any]:
    """Write a media file into the run's files and have it uploaded.

    Returns:
        `sha256`, `size` in bytes, and `path` relative to the run's files.

    Raises:
        OSError: It cannot be written.
    """
    return MediaFile.of_bytes(content, extension).store(run, kind, key, step)


def _digest_of(path: str) -> tuple[str, int]:
    """SHA-256, hexadecimal, and size of a file; reads it piece by piece."""
    hasher = sha256()
    size = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
            size += len(chunk)
    return hasher.hexdigest(), size


class _Temporary:
    """The directory of this process's temporary media files, and how much content is in memory."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector and signal handlers give back memory in whatever thread holds it.
        self.lock = RLock()
        self.memory_bytes = 0
        self._directory: str | None = None
        self._pid = 0
        self._count = 0

    def path(self, extension: str) -> str:
        """A new path, in a directory that goes away with the process."""
        directory = self._directory
        if directory is None or self._pid != os.getpid():
            directory = self._make_directory()
        with self.lock:
            self._count += 1
            count = self._count
        return os.path.join(directory, f"{count:08x}{extension}")

    def _make_directory(self) -> str:
        # Not under the lock, which a signal handler's thread may wait for.
        import tempfile

        made = tempfile.mkdtemp(prefix="runlane-media-")
        with self.lock:
            # The parent's directory is the parent's to remove.
            if self._directory is None or self._pid != os.getpid():
                self._directory, self._pid = made, os.getpid()
                return made
            known = self._directory
        os.rmdir(made)
        return known

    def remove(self) -> None:
        """Remove the directory of this process. It ends."""
        directory = self._directory
        if directory is not None and self._pid == os.getpid():
            import shutil

            self._directory = None
            shutil.rmtree(directory, ignore_errors=True)

    def owns(self, path: str) -> bool:
        """Whether a file is one of this process's temporary files."""
        return self._directory is not None and os.path.dirname(path) == self._directory

    def take(self, size: int) -> bool:
        """Whether `size` more bytes may stay in memory."""
        with self.lock:
            if self.memory_bytes + size > MEMORY_BYTES:
                return False
            self.memory_bytes += size
            return True

    def give_back(self, size: int) -> None:
        """`size` bytes are no longer in memory."""
        with self.lock:
            self.memory_bytes -= size


temporary = _Temporary()


def _at_exit() -> None:
    # Runs that are finished at the end may still need the files: then they are removed after that.
    if not _exit_hooks.will_run():
        temporary.remove()


def _after_fork() -> None:
    # A thread of the parent may have held it.
    temporary.lock = RLock()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)


class MediaFile:
    """The content of one media object.

    Attributes:
        extension: Of the file's name, with its dot.
        is_temporary: No file of the user's: named by its content in artifacts.
    """

    __slots__ = (
        "_content",
        "_lock",
        "_make",
        "_path",
        "_pid",
        "_sha256",
        "_size",
        "extension",
        "is_temporary",
    )

    def __init__(self, extension: str, is_temporary: bool) -> None:
        self.extension = extension
        self.is_temporary = is_temporary
        self._content: Any = None
        self._path: str | None = None
        self._sha256 = ""
        self._size = 0
        #: Makes content and digest of what is kept until it is needed.
        self._make: Callable[[], tuple[bytes, str]] | None = None
        self._lock: Any = None
        self._pid = 0

    @classmethod
    def of_later(cls, make: Callable[[], tuple[bytes, str]], extension: str, size: int) -> MediaFile:
        """Content that is made when it is first asked for, by whatever thread asks.

        Args:
            make: Returns bytes, and their SHA-256 in hexadecimal digits.
            extension: Of the file's name.
            size: Bytes that `make` keeps in memory; `temporary.take` has accounted for them.
        """
        file = cls(extension, is_temporary=True)
        file._make, file._size = make, size
        file._lock, file._pid = RLock(), os.getpid()
        return file

    @property
    def is_pending(self) -> bool:
        """Whether the content is still to be made."""
        return self._make is not None

    def _ready(self) -> None:
        if self._make is None:
            return
        if self._pid != os.getpid():
            # A thread of the parent may have held it when this process began.
            self._lock, self._pid = RLock(), os.getpid()
        with self._lock:
            make = self._make
            if make is None:
                return
            content, digest = make()
            if self._make is None:
                return
            temporary.give_back(self._size)
            self._sha256, self._size = digest, len(content)
            self._keep(content)
            self._make = None

    def _keep(self, content: bytes) -> None:
        """Hold content in memory, or where that is full in a temporary file."""
        if temporary.take(self._size):
            self._content = content
            return
        path = temporary.path(self.extension)
        _write(path, content)
        self._path = path

    @classmethod
    def of_bytes(cls, content: Any, extension: str, digest: str | None = None) -> MediaFile:
        """Content that was made here.

        Args:
            content: Bytes.
            extension: Of the file's name.
            digest: Its SHA-256 in hexadecimal digits, if it is known.

        Raises:
            OSError: The memory for such content is full, and it cannot be written to a temporary file.
        """
        file = cls(extension, is_temporary=True)
        file._sha256 = digest or sha256(content).hexdigest()
        file._size = len(content)
        file._keep(content)
        return file

    @classmethod
    def of_temporary(cls, path: str, extension: str) -> MediaFile:
        """A file that was made here, at a path of `temporary`.

        Raises:
            OSError: It cannot be read.
        """
        file = cls(extension, is_temporary=True)
        file._path = path
        file._sha256, file._size = _digest_of(path)
        return file

    @classmethod
    def of_user(cls, path: str, extension: str | None = None) -> MediaFile:
        """A file of the user's; it is read now, and copied when it is logged.

        Raises:
            OSError: It cannot be read.
        """
        file = cls(os.path.splitext(path)[1] if extension is None else extension, is_temporary=False)
        file._path = os.path.abspath(path)
        file._sha256, file._size = _digest_of(path)
        return file

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, hexadecimal."""
        self._ready()
        return self._sha256

    @property
    def size(self) -> int:
        """Bytes."""
        self._ready()
        return self._size

    @property
    def name(self) -> str:
        """The name of the file as it lies here."""
        return os.path.basename(self.local_path())

    def local_path(self) -> str:
        """A path of a file with the content; content in memory is written to a temporary file first.

        Raises:
            OSError: It cannot be written.
        """
        self._ready()
        # Threads may log one object at once: content goes away only when there is a path.
        content = self._content
        if self._path is None and content is not None:
            path = temporary.path(self.extension)
            _write(path, content)
            self._path = path
            self._forget()
        assert self._path is not None
        return self._path

    def read(self) -> bytes:
        """The content.

        Raises:
            OSError: The file cannot be read.
        """
        self._ready()
        content = self._content
        if content is not None:
            return bytes(content)
        with open(self.local_path(), "rb") as file:
            return file.read()

    def opened(self) -> Any:
        """The content for a library that reads files: a path, or an open file."""
        self._ready()
        content = self._content
        if content is None:
            return self.local_path()
        from io import BytesIO

        return BytesIO(content)

    def store(
        self, run: Any, kind: str, key: str, step: int | str, id_: int | str | None = None
    ) -> dict[str, Any]:
        """Put the file into the run's files, and have it uploaded; a temporary one moves there.

        Returns:
            `sha256`, `size` in bytes, and `path` relative to the run's files.

        Raises:
            OSError: It cannot be written.
        """
        path = media_path(kind, key, step, self.sha256 if id_ is None else str(id_), self.extension)
        target = os.path.join(run._settings.files_dir, *path.split("/"))
        self._put(target, bool(getattr(run._settings, "allow_media_symlink", False)))
        run._publish("files", {"files": [(path, "now", "other")]})
        return {"sha256": self.sha256, "size": self.size, "path": path}

    def _put(self, target: str, link: bool) -> None:
        content, source = self._content, self._path
        if content is not None:
            _placed(target, lambda partial: _write(partial, content))
            self._path = target
            self._forget()
            return
        if source is None or source == target:
            return
        if self.is_temporary:
            # Renaming a link over another one of the same file does nothing, and leaves both.
            if os.path.exists(target) and os.path.samefile(source, target):
                return
            _placed(target, lambda partial: _link_or_copy(source, partial))
            if temporary.owns(source):
                self._path = target
                with suppress(FileNotFoundError):
                    os.unlink(source)
        elif link:
            _placed(target, lambda partial: os.symlink(os.path.realpath(source), partial))
        else:
            _placed(target, lambda partial: _copy(source, partial))

    def _forget(self) -> None:
        with temporary.lock:
            had, self._content = self._content, None
        if had is not None:
            temporary.give_back(self._size)

    def __del__(self) -> None:
        if (self._content is not None or self._make is not None) and not sys.is_finalizing():
            temporary.give_back(self._size)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process need not see a temporary file.
        content = self.read() if self.is_temporary else None
        return _restored, (self.extension, self._path, self._sha256, self._size, content)


def _restored(extension: str, path: str | None, digest: str, size: int, content: bytes | None) -> MediaFile:
    if content is not None:
        return MediaFile.of_bytes(content, extension, digest)
    file = MediaFile(extension, is_temporary=False)
    file._path, file._sha256, file._size = path, digest, size
    return file
