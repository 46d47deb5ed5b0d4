"""Console capture: what the program writes to standard output and error also goes to the run's log page.

`wrap` (the default): `write` of `sys.stdout` and `sys.stderr` is wrapped while a run captures. The wrapper calls the original
first, never raises on its own account, and becomes a plain pass-through when something else has wrapped the stream on top of it.

`redirect`: descriptors 1 and 2 themselves are captured, by a thread of `_core` that does without the interpreter, so that C code and
child processes are included (`core/client/src/console/redirect.rs`). In notebooks, whose output does not go there, it is `wrap`.
"""

from __future__ import annotations

import sys
from _thread import get_ident

from . import _core, _redact, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._run import Run

    Sink = Callable[[bool, str], None]


#: Characters of one text that goes to the log only; a longer one loses its middle.
_TEXT_CHARACTERS = 1 << 20


class _Stream:
    """One wrapped stream, shared by all capturing runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_error = name == "stderr"
        self.sinks: tuple[Sink, ...] = ()
        self._stream: Any = None
        self._original: Callable[[str], int] | None = None
        self._wrapper: Callable[[str], int] | None = None
        self._busy: set[int] = set()
        self._told = False
        #: Called before each write.
        self.before: Callable[[bool], None] | None = None

    def add(self, sink: Sink) -> None:
        """Send what is written to `sink`."""
        self.sinks = (*self.sinks, sink)
        self._wrap_current()

    def order(self, before: Callable[[bool], None]) -> None:
        """Call `before` ahead of each write that follows one to the other stream, if the stream is one of the two descriptors."""
        try:
            is_ours = getattr(sys, self.name).fileno() == 1 + self.is_error
        except Exception:
            is_ours = False
        if is_ours:
            self.before = before
            self._wrap_current()

    def _wrap_current(self) -> None:
        stream = getattr(sys, self.name)
        if stream is None or (self._stream is stream and self._wrapper is not None):
            return
        self._wrap(stream)

    def _wrap(self, stream: Any) -> None:
        try:
            original = stream.write
        except AttributeError:
            return self._tell_once(stream)
        tell, busy = self._tell, self._busy

        def write(text: str) -> int:
            if self.before is not None and _last_written != [self.is_error]:
                _last_written[:] = [self.is_error]
                self.before(self.is_error)
            written: int = original(text)
            # A sink that prints would call itself for ever.
            if self.sinks and get_ident() not in busy:
                tell(text)
            return written

        try:
            stream.write = write
        except (AttributeError, TypeError):
            # A stream with slots or of C: it cannot be wrapped, and the program's output matters more.
            return self._tell_once(stream)
        self._stream, self._original, self._wrapper = stream, original, write
        return None

    def _tell_once(self, stream: Any) -> None:
        if not self._told:
            self._told = True
            terminal.termwarn(
                f"sys.{self.name} is not captured: `write` of a {type(stream).__name__} cannot be replaced"
                '\nhint: `Settings(console="redirect")` captures the descriptor'
            )

    def _tell(self, text: str) -> None:
        thread = get_ident()
        self._busy.add(thread)
        try:
            text = _redact.own_keys(text)
            for sink in self.sinks:
                sink(self.is_error, text)
        except Exception:  # noqa: BLE001, S110, RUF100 - print() in user code must not fail because of the run
            pass
        finally:
            self._busy.discard(thread)

    def renew(self) -> None:
        """Wrap the stream again if its own `write` was put back: IPython does that at the end of each cell."""
        if self.sinks and getattr(sys, self.name).write is not self._wrapper:
            self._stream = self._wrapper = None
            self._wrap_current()

    def remove(self, sink: Sink) -> None:
        """Undo `add`; the last one restores the stream."""
        self.sinks = tuple(other for other in self.sinks if other != sink)
        self._unwrap()

    def disorder(self) -> None:
        """Undo `order`."""
        self.before = None
        self._unwrap()

    def _unwrap(self) -> None:
        if self.sinks or self.before is not None or self._stream is None:
            return
        if getattr(self._stream, "__dict__", {}).get("write") is self._wrapper:
            del self._stream.write
            if self._stream.write != self._original:
                # The original was an attribute of the stream too (another library's wrapper).
                self._stream.write = self._original
        self._stream = self._original = self._wrapper = None


_stdout, _stderr = _Stream("stdout"), _Stream("stderr")
#: The stream that was written to last, while the order of the two is kept.
_last_written: list[bool] = []
#: Runs whose descriptors are captured.
_redirecting: list[Run] = []


def renew() -> None:
    """Go on capturing in a new cell of a notebook."""
    _stdout.renew()
    _stderr.renew()


def start(run: Run) -> None:
    """Begin to capture for `run`, as its settings say."""
    settings = run._settings
    if settings.capture_loggers:
        from . import _console_loggers

        run._loggers = _console_loggers.capture(run, settings.capture_loggers)
    if settings.console == "off":
        return
    if settings.console == "redirect" and not settings._jupyter:
        try:
            _flush()
            run._redirect(list(_redact.own()))
        except Exception as error:
            terminal.termwarn(
                f"the descriptors of the console cannot be captured: {error}; sys.stdout and sys.stderr are instead"
            )
        else:
            run._redirects = True
            _redirecting.append(run)
            for stream in (_stdout, _stderr):
                stream.order(_core.keep_order)
            return
    _stdout.add(run._print)
    _stderr.add(run._print)


def stop(run: Run) -> None:
    """Undo `start`: everything written before is with the run."""
    if run._loggers is not None:
        run._loggers.stop()
        run._loggers = None
    if run._redirects:
        run._redirects = False
        _redirecting.remove(run)
        if not _redirecting:
            _stdout.disorder()
            _stderr.disorder()
        _flush()
        run._restore()
        return
    _stdout.remove(run._print)
    _stderr.remove(run._print)


def loggable(text: str) -> str:
    """`text` without keys, lone surrogates and, if it is longer than a million characters, its middle."""
    if len(text) > _TEXT_CHARACTERS:
        half = _TEXT_CHARACTERS // 2
        text = (
            f"{text[:half]}\n[runlane: {len(text) - 2 * half} characters are left out here]\n{text[-half:]}"
        )
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return _redact.own_keys(text)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S110, RUF100 - a closed or foreign stream is the program's own affair
            pass
