"""The debug log of a run, `logs/debug.log`: what this process did, and every line it printed."""

from __future__ import annotations

import os
import time

from . import _redact

_NAMES = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR"}
#: The log stops growing here: it is for people, and a warning in a loop must not fill the disk.
_MAX_BYTES = 10 * 1024 * 1024


class DebugLog:
    """Appends lines to a file. Never raises: a full disk costs the log, not the run."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: int | None = None
        self._identity = (0, 0)
        self._left = _MAX_BYTES
        self._open()

    def _open(self) -> None:
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._identity = _identity(self._file)
        except OSError:
            return

    def _is_ours(self) -> bool:
        """Whether the descriptor is still the log: a program may have closed it, and opened a file of its own under its number."""
        try:
            return self._file is not None and _identity(self._file) == self._identity
        except OSError:
            return False

    def write(self, level: int, text: str) -> None:
        """Append one line with time, level and process."""
        if self._file is None or not text.strip():
            return
        text = _redact.own_keys(text)
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        line = f"{stamp},{int(now * 1000) % 1000:03d} {_NAMES.get(level, 'INFO'):<7} {os.getpid()} {text.rstrip()}\n"
        data = line.encode("utf-8", "replace")[: self._left]
        self._left -= len(data)
        if not self._is_ours():
            self._file = None
            self._open()
        try:
            if self._file is not None:
                os.write(self._file, data)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the file; later lines are dropped."""
        is_ours = self._is_ours()
        file, self._file = self._file, None
        if file is not None and is_ours:
            os.close(file)


def _identity(file: int) -> tuple[int, int]:
    found = os.fstat(file)
    return found.st_dev, found.st_ino
