"""The cache of artifact files, in the layout that wandb uses too, so that both clients find each other's files.

    <cache dir>/obj/md5/<2 hex>/<30 hex>      contents by their MD5
    <cache dir>/obj/xxh128/<2 hex>/<30 hex>   contents by their XXH3-128
    <cache dir>/obj/etag/<2 hex>/<62 hex>     references: SHA-256 of (SHA-256 of the URI, SHA-256 of the ETag)
    <cache dir>/tmp/                          files that are still being written
    <cache dir>/checksums/<64 hex>.checksum   by the SHA-256 of a downloaded file's path: its digest; valid while newer than the file

Invariants: a name below `obj` appears by a rename of a complete, checked file, so any number of processes may work at once, and one
that is killed leaves at most a file in `tmp`. An entry may be gone, or damaged, at any time: who uses one checks what was read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time

from . import _storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

#: What is left free on the file system of the cache.
_SPARE_BYTES = 16 << 20
#: Of digests in `checksums`; a longer file is none.
_CHECKSUM_BYTES = 256


def free_bytes(path: str) -> int | None:
    """What is free on the file system of `path` or of the directory that it will be made in; None if that is not known."""
    while True:
        try:
            return shutil.disk_usage(path).free
        except OSError:
            parent = os.path.dirname(path)
            if parent == path:
                return None
            path = parent


def _sharded(name: str) -> tuple[str, str]:
    return name[:2], name[2:]


class Cache:
    """The cache below `root`. Any thread and any number of processes may use it."""

    def __init__(self, root: str | None = None) -> None:
        self.root = root or _storage.cache_dir()

    # --- names ------------------------------------------------------------------------------------------------------

    def content_path(self, algorithm: str, digest: bytes) -> str:
        """Where contents of this digest lie; `algorithm` is `md5` or `xxh128`."""
        return os.path.join(self.root, "obj", algorithm, *_sharded(digest.hex()))

    def reference_path(self, uri: str, etag: str) -> str:
        """Where the contents of `uri` lie that the other side calls `etag`."""
        both = hashlib.sha256(uri.encode()).digest() + hashlib.sha256(etag.encode()).digest()
        return os.path.join(self.root, "obj", "etag", *_sharded(hashlib.sha256(both).hexdigest()))

    def temporary_path(self) -> str:
        """A name of its own in `tmp`, which is made if it is not there.

        Raises:
            OSError: The directory cannot be made.
        """
        directory = os.path.join(self.root, "tmp")
        os.makedirs(directory, exist_ok=True)
        return os.path.join(directory, f"runlane-{os.getpid()}-{secrets.token_hex(8)}")

    def partial_path(self, algorithm: str, digest: bytes) -> str:
        """Where a large file of this digest is collected; another attempt goes on with what is there.

        Raises:
            OSError: The directory cannot be made.
        """
        directory = os.path.join(self.root, "tmp")
        os.makedirs(directory, exist_ok=True)
        return os.path.join(directory, f"runlane-{algorithm}-{digest.hex()}.part")

    # --- contents ---------------------------------------------------------------------------------------------------

    @staticmethod
    def find(path: str, size: int | None) -> bool:
        """Whether there is a file of this size; its contents are for the reader to check."""
        try:
            found = os.lstat(path)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and size in (None, found.st_size)

    @staticmethod
    def used(path: str) -> None:
        """Note that an entry was read: those that were not read for longest are removed first.

        Access times of the file system are not enough: most are mounted so that they are kept once a day.
        """
        try:
            os.utime(path, ns=(time.time_ns(), os.lstat(path).st_mtime_ns), follow_symlinks=False)
        except OSError:
            # Another user's file, or one that is gone: the order of removal is a little worse.
            return

    @staticmethod
    def adopt(temporary: str, path: str) -> None:
        """Make a complete, checked file an entry.

        Raises:
            OSError: The file cannot be moved.
        """
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(temporary, path)

    @staticmethod
    def drop(path: str) -> None:
        """Remove an entry that turned out to be damaged."""
        _unlink(path)

    # --- checksums of downloaded files ------------------------------------------------------------------------------

    def _checksum_path(self, target: str) -> str:
        return os.path.join(
            self.root,
            "checksums",
            f"{hashlib.sha256(os.path.abspath(target).encode(errors='surrogateescape')).hexdigest()}.checksum",
        )

    def checksum(self, target: str, found: os.stat_result) -> str | None:
        """The digest (base64) that was noted for a downloaded file, if the file was not changed since."""
        path = self._checksum_path(target)
        try:
            with open(path, encoding="ascii") as file:
                if os.fstat(file.fileno()).st_mtime_ns <= found.st_mtime_ns:
                    return None
                return file.read(_CHECKSUM_BYTES).strip() or None
        except (OSError, ValueError):
            return None

    def note_checksum(self, target: str, digest: str) -> None:
        """Note the digest (base64) of a file that was just written and checked; without success nothing is lost."""
        path = self._checksum_path(target)
        temporary = f"{path}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(temporary, "w", encoding="ascii") as file:
                file.write(digest)
            # Not the time of day: times of files are as coarse as the kernel's tick, and a change in this tick would look older.
            written = os.lstat(target).st_mtime_ns + 1000
            os.utime(temporary, ns=(written, written))
            os.replace(temporary, path)
        except OSError:
            _unlink(temporary)

    # --- space ------------------------------------------------------------------------------------------------------

    def make_room(self, size: int) -> bool:
        """Make room for `size` bytes, by removing what was used longest ago: first half of the cache, then all of it.

        Returns:
            Whether there is room.
        """
        if self._has_room(size):
            return True
        self.cleanup(self._size() // 2)
        if not self._has_room(size):
            self.cleanup(0)
        return self._has_room(size)

    def _has_room(self, size: int) -> bool:
        free = free_bytes(self.root)
        return free is None or free >= size + _SPARE_BYTES

    def _size(self) -> int:
        return sum(found.st_size for _, found in self._entries("obj"))

    def _entries(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        """Each file of a folder; what vanishes meanwhile is left out. Links are not followed."""
        folders = [os.path.join(self.root, folder)]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        try:
                            if entry.is_dir(follow_symlinks=False):
                                folders.append(entry.path)
                            else:
                                yield entry.path, entry.stat(follow_symlinks=False)
                        except OSError:
                            continue
            except OSError:
                continue

    def temporary_bytes(self) -> int:
        """How much lies in `tmp`: files that are being written, and what killed processes left."""
        return sum(found.st_size for _, found in self._entries("tmp"))

    def cleanup(self, target_bytes: int, remove_temporary: bool = False) -> int:
        """Remove the entries that were used longest ago until at most `target_bytes` are left.

        Args:
            target_bytes: What may stay.
            remove_temporary: Also remove what lies in `tmp`, whoever is writing it.

        Returns:
            How many bytes were removed.
        """
        removed = 0
        if remove_temporary:
            removed += sum(found.st_size for path, found in self._entries("tmp") if _unlink(path))
        entries = sorted(
            (max(found.st_atime_ns, found.st_mtime_ns), path, found.st_size)
            for path, found in self._entries("obj")
        )
        total = sum(size for _, _, size in entries)
        for _, path, size in entries:
            if total <= target_bytes:
                break
            if _unlink(path):
                total -= size
                removed += size
        if removed:
            self._forget_old_checksums()
        return removed

    def _forget_old_checksums(self) -> None:
        """Remove notes of files that nobody asked for in the last thirty days; a file without one is read again."""
        oldest = time.time_ns() - 30 * 86_400 * 1_000_000_000
        for path, found in self._entries("checksums"):
            if max(found.st_atime_ns, found.st_mtime_ns) < oldest:
                _unlink(path)

    def keep_bound(self, bound: int) -> None:
        """Keep the cache below `bound` bytes."""
        if self._size() > bound:
            self.cleanup(bound)


class Temporary:
    """A file being written: gone when it is left without having been taken."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        _unlink(self.path)


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk or quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
