"""Calls of `log` whose images are encoded in the background (`x_async_media`).

The native part keeps the place of such a call: whatever this process logs after it waits behind it. One thread makes what is missing,
in the order of the calls; whoever has to wait for it (`flush`, `finish`, the end of the process) helps. What waits is bounded by the
memory for media contents (`data_types._files.MEMORY_BYTES`): where that is full, images are encoded by the call itself. The other
values of such calls have a bound of their own, beyond which a call waits.

A process that is killed by SIGKILL loses the calls that wait, all or the last of them, never one in between. For SIGTERM and SIGHUP
there is a handler, as far as the program has none of its own: it makes what is missing, and ends the process as before.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque

from . import _core, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from ._core import HeldCall

#: Signals that end the process, and whose action is the default one in most programs.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
#: What calls keep in memory beside their images, in bytes; further ones wait.
WAITING_BYTES = 16 << 20
#: What a call needs besides, about.
_CALL_BYTES = 1024
#: What a process that was told to end waits for its images.
_TERM_SECS = 9.0
#: And then for the daemon to take the rows.
_FLUSH_SECS = 2.0


class MediaQueue:
    """The calls of one process that wait for their media, in their order."""

    def __init__(self) -> None:
        # Reentrant: a signal handler of the main thread drains, whatever that thread is at.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._calls: deque[HeldCall] = deque()
        self._bytes = 0
        #: The thread that makes a call's values. One at a time: an image that several calls have is stored by the first of them.
        self._busy: int | None = None
        self._thread: threading.Thread | None = None
        #: The signal that told the process to end while its main thread was making something.
        self._told_to_end: int | None = None

    def take(self, call: HeldCall) -> None:
        """Have the missing values of a call made soon."""
        with self._changed:
            self._calls.append(call)
            self._bytes += call.size + _CALL_BYTES
            goes_on = self._bytes <= WAITING_BYTES and self._has_thread()
            self._changed.notify()
        if not goes_on:
            self.drain()

    def _has_thread(self) -> bool:
        """Whether a thread makes what is missing; the interpreter starts none when it ends."""
        if self._thread is None:
            _on_signals()
            thread = threading.Thread(target=self._work, name="runlane-media", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def is_settled(self) -> bool:
        """Whether nothing is missing."""
        return not self._calls and self._busy is None

    def drain(self, timeout: float | None = None) -> bool:
        """Make what is missing; returns whether all of it is made when the time is up."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_settled() and self._busy != threading.get_ident():
            if self._make_next(wait=False):
                continue
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            with self._changed:
                self._changed.wait_for(lambda: self._busy is None, left)
        if self._told_to_end is not None and self._busy is None:
            _terminated(self._told_to_end, None)
        return self.is_settled()

    def end(self, number: int) -> bool:
        """Make what is missing before the process ends; False if this very thread is at it, which ends the process then."""
        if self._busy == threading.get_ident():
            self._told_to_end = number
            return False
        self._told_to_end = None
        self.drain(_TERM_SECS)
        return True

    def _work(self) -> None:
        while True:
            self._make_next(wait=True)

    def _make_next(self, wait: bool) -> bool:
        with self._changed:
            while not self._calls or self._busy is not None:
                if not wait:
                    return False
                self._changed.wait()
            # In this order: who asks without the lock whether all is settled must not look in between.
            self._busy = threading.get_ident()
            call = self._calls.popleft()
            self._bytes -= call.size + _CALL_BYTES
        try:
            call.complete()
        except Exception as error:  # noqa: BLE001, RUF100 - a thread of ours has nobody else to tell
            terminal.termerror(
                f"an image could not be stored: {type(error).__name__}: {terminal.printable(str(error))}"
            )
        finally:
            with self._changed:
                self._busy = None
                self._changed.notify_all()
        return True


_queue = MediaQueue()


def take(call: HeldCall) -> None:
    """Have the missing values of a call made soon."""
    _queue.take(call)


def drain(timeout: float | None = None) -> bool:
    """Make what is missing in this process; returns whether all of it is made when the time is up."""
    return _queue.drain(timeout)


def is_settled() -> bool:
    """Whether nothing is missing in this process."""
    return _queue.is_settled()


def _forget() -> None:
    """In a child of `fork`: the calls are its parent's, and so is what its end waits for."""
    global _queue  # noqa: PLW0603, RUF100 - one per process
    _queue = MediaQueue()
    for number in _SIGNALS:
        if signal.getsignal(number) is _terminated:
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget)


def _on_signals() -> None:
    """Have signals whose action is the default one wait for what is missing; the native part's handler does not know of it."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminated)


def _terminated(number: int, _frame: FrameType | None) -> None:
    if _queue.end(number):
        _core.flush_at_exit(_FLUSH_SECS)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
