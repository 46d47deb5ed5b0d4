"""The debug log of a run, `logs/debug.log`: what this process did, and every line it printed."""

from __future__ import annotations

import os
import time

_NAMES = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR"}
#: The log stops growing here: it is for people, and a warning in a loop must not fill the disk.
_MAX_BYTES = 10 * 1024 * 1024


class DebugLog:
    """Appends lines to a file. Never raises: a full disk costs the log, not the run."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: int | None = None
        self._left = _MAX_BYTES
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return

    def write(self, level: int, text: str) -> None:
        """Append one line with time, level and process."""
        if self._file is None or not text.strip():
            return
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        line = f"{stamp},{int(now * 1000) % 1000:03d} {_NAMES.get(level, 'INFO'):<7} {os.getpid()} {text.rstrip()}\n"
        data = line.encode("utf-8", "replace")[: self._left]
        self._left -= len(data)
        try:
            os.write(self._file, data)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the file; later lines are dropped."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
