"""Media files of a run: `media/<kind>/<key>_<step>_<first 20 hex digits of the content's SHA-256><extension>`."""

from __future__ import annotations

import os
import re
from _thread import get_ident
from hashlib import sha256

from runlane._json_text import without_surrogates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Longest file name, in bytes.
_NAME_BYTES = 255
#: What names of files and the server's paths cannot have.
_UNSAFE = re.compile(r"[\\\x00-\x1f\x7f]")


def _components(key: str) -> list[str]:
    """The directories and the file name that a key stands for; none leads out of where it lies."""
    parts = [part for part in without_surrogates(key).split("/") if part]
    return ["_" if part in (".", "..") else _UNSAFE.sub("_", part) for part in parts] or ["_"]


def _cut(name: str, most: int) -> str:
    """`name` in at most `most` bytes; two long names stay two."""
    data = name.encode()
    if len(data) <= most:
        return name
    mark = f"~{sha256(data).hexdigest()[:8]}"
    return data[: most - len(mark)].decode("utf-8", "ignore") + mark


def media_path(kind: str, key: str, step: int | str, digest: str, extension: str) -> str:
    """The path of a media file, relative to the run's files.

    Args:
        kind: Directory below `media`.
        key: The key that was logged; its slashes make directories.
        step: The step that the client believes is current, or `summary`.
        digest: SHA-256 of the content, hexadecimal.
        extension: With its dot.
    """
    *directories, name = _components(key)
    ending = f"_{step}_{digest[:20]}{extension}"
    name = _cut(name, _NAME_BYTES - len(ending.encode())) + ending
    return "/".join(["media", kind, *(_cut(part, _NAME_BYTES) for part in directories), name])


def store(run: Any, kind: str, key: str, step: int | str, extension: str, content: bytes) -> dict[str, Any]:
    """Write a media file into the run's files and have it uploaded.

    Returns:
        `sha256`, `size` in bytes, and `path` relative to the run's files.

    Raises:
        OSError: It cannot be written.
    """
    digest = sha256(content).hexdigest()
    path = media_path(kind, key, step, digest, extension)
    target = os.path.join(run._settings.files_dir, *path.split("/"))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # The daemon may be reading a file of the same name, and another thread writing it; all have the same content.
    folder, name = os.path.split(target)
    mark = f".{os.getpid()}-{get_ident()}.part"
    partial = os.path.join(folder, _cut(name, _NAME_BYTES - len(mark)) + mark)
    try:
        with open(partial, "wb") as file:
            file.write(content)
        os.replace(partial, target)
    except OSError:
        if os.path.lexists(partial):
            os.unlink(partial)
        raise
    run._publish("files", {"files": [(path, "now", "other")]})
    return {"sha256": digest, "size": len(content), "path": path}
