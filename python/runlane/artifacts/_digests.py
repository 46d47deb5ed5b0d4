"""Digests of an artifact's files: MD5 or XXH3-128, written in base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os

from ._errors import DownloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ._entries import ArtifactManifestEntry

    class Hasher(Protocol):
        """What collects bytes and tells their digest."""

        def update(self, data: memoryview | bytes, /) -> None: ...
        def digest(self) -> bytes: ...


DIGEST_BYTES = 16
_BLOCK_BYTES = 1 << 20


def hasher(algorithm: str) -> Hasher:
    """A new hasher of `md5` or `xxh128`; both let other threads run meanwhile."""
    if algorithm == "md5":
        return hashlib.md5(usedforsecurity=False)
    from runlane import _core

    return _core.Digester(algorithm)


def algorithm_of(entry: ArtifactManifestEntry) -> str:
    """What an entry's digest is made with: `md5` or `xxh128`."""
    return "xxh128" if (entry.extra or {}).get("alg") == "XXH128" else "md5"


def digest_bytes(entry: ArtifactManifestEntry) -> bytes:
    """The digest of an entry with contents.

    Raises:
        DownloadError: It is none.
    """
    try:
        digest = base64.b64decode(entry.digest, validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise DownloadError(f"the entry `{entry.path}` has a digest that is none: {str(entry.digest)!r:.100}")
    return digest


def file_digest(path: str, algorithm: str) -> str:
    """The digest of a file in base64, read block by block.

    Raises:
        OSError: The file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return descriptor_digest(descriptor, algorithm)
    finally:
        os.close(descriptor)


def descriptor_digest(descriptor: int, algorithm: str, size: int | None = None) -> str:
    """The digest of an open file, or of its first `size` bytes, in base64."""
    return base64.b64encode(feed(hasher(algorithm), descriptor, size).digest()).decode()


def feed(into: Hasher, descriptor: int, size: int | None = None) -> Hasher:
    """Have a hasher take an open file, or its first `size` bytes."""
    block = bytearray(_BLOCK_BYTES)
    view = memoryview(block)
    position = 0
    while size is None or position < size:
        wanted = view if size is None else view[: min(_BLOCK_BYTES, size - position)]
        count = os.preadv(descriptor, [wanted], position)
        if count == 0:
            break
        into.update(view[:count])
        position += count
    return into
