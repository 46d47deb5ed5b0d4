"""Console capture: what the program writes to standard output and error also goes to the run's log page.

`write` of the two streams is wrapped while a run captures. The wrapper calls the original first, never raises on its own
account, and becomes a plain pass-through when something else has wrapped the stream on top of it.
"""

from __future__ import annotations

import sys
import time
from _thread import get_ident

from . import _redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Sink = Callable[[str, str, int], None]


class _Stream:
    """One wrapped stream, shared by all capturing runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sinks: tuple[Sink, ...] = ()
        self._stream: Any = None
        self._original: Callable[[str], int] | None = None
        self._wrapper: Callable[[str], int] | None = None
        self._busy: set[int] = set()

    def add(self, sink: Sink) -> None:
        """Send what is written to `sink`."""
        self.sinks = (*self.sinks, sink)
        stream = getattr(sys, self.name)
        if stream is None or (self._stream is stream and self._wrapper is not None):
            return
        self._wrap(stream)

    def _wrap(self, stream: Any) -> None:
        original = stream.write

        def write(text: str) -> int:
            written: int = original(text)
            self._tell(text)
            return written

        try:
            stream.write = write
        except AttributeError:
            # A stream with slots or of C: it cannot be wrapped, and the program's output matters more.
            return
        self._stream, self._original, self._wrapper = stream, original, write

    def _tell(self, text: str) -> None:
        thread = get_ident()
        if not self.sinks or not isinstance(text, str) or thread in self._busy:
            return
        # A sink that prints would call itself for ever.
        self._busy.add(thread)
        try:
            text = _redact.own_keys(text)
            now = time.time_ns() // 1000
            for sink in self.sinks:
                sink(self.name, text, now)
        except Exception:  # noqa: BLE001, S110, RUF100 - print() in user code must not fail because of the run
            pass
        finally:
            self._busy.discard(thread)

    def remove(self, sink: Sink) -> None:
        """Undo `add`; the last one restores the stream."""
        self.sinks = tuple(other for other in self.sinks if other != sink)
        if self.sinks or self._stream is None:
            return
        if self._stream.__dict__.get("write") is self._wrapper:
            del self._stream.write
            if self._stream.write != self._original:
                # The original was an attribute of the stream too (another library's wrapper).
                self._stream.write = self._original
        self._stream = self._original = self._wrapper = None


_stdout, _stderr = _Stream("stdout"), _Stream("stderr")


def start(sink: Sink) -> None:
    """Send both streams to `sink(stream name, text, time in microseconds)`."""
    _stdout.add(sink)
    _stderr.add(sink)


def stop(sink: Sink) -> None:
    """Undo `start`."""
    _stdout.remove(sink)
    _stderr.remove(sink)
