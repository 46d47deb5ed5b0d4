"""The stop button: when the server, or `StopRun` of the control service, asks a run to stop, its program is interrupted.

The main thread gets SIGINT, as from Ctrl-C, unless the setting `stop_fn` names something else to call.
"""

from __future__ import annotations

import os
from _signal import SIGINT, getsignal  # type: ignore[import-not-found, unused-ignore]
from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._run import Run

#: How often a run is asked whether it is to stop. The daemon has told it by then: this is a look at a flag.
_INTERVAL_SECS = 1.0


class StopWatch:
    """Waits in a thread until the run is asked to stop, or has ended.

    The process that opened the run has one, and each that attached to it: with a launcher every rank is interrupted. A child that
    inherited the run by a fork has none; its parent is interrupted and ends it.

    A lock stands for an event, and the C modules for `signal` and `threading`, which cost time to import.
    """

    def __init__(self, run: Run, *, joined: bool = False) -> None:
        """Start to wait; with `joined`, the request may have come before this process did."""
        self._run = run
        self._joined = joined
        self._pid = os.getpid()
        self._running = allocate_lock()
        self._running.acquire()
        start_new_thread(self._watch, ())

    def _watch(self) -> None:
        if self._joined and self._was_asked():
            self._stop()
            return
        while not self._running.acquire(timeout=_INTERVAL_SECS):
            if self._run._stop_requested:
                self._stop()
                return

    def _was_asked(self) -> bool:
        try:
            return bool(self._run._request("status", {}, _INTERVAL_SECS).get("should_stop"))
        except Exception as error:  # noqa: BLE001, RUF100 - a daemon that does not answer tells it later
            self._run._note(f"not known whether the run is to stop: {error}")
            return False

    def _stop(self) -> None:
        run = self._run
        run._note("asked to stop")
        stop = run._settings.stop_fn
        try:
            if stop is not None:
                stop()
            elif callable(getsignal(SIGINT)):
                # As a signal, which also ends a wait of the main thread. A program that ignores Ctrl-C ignores this.
                os.kill(self._pid, SIGINT)
        except Exception as error:  # noqa: BLE001, RUF100 - the user's function must not leave a traceback of a thread
            run._note(f"the run cannot be stopped: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Let the thread end."""
        if os.getpid() == self._pid and self._running.locked():
            self._running.release()
