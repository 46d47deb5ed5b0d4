"""With which exit code the process is about to end, and finishing open runs when it does.

`sys.exit` and `sys.excepthook` are wrapped, because neither atexit nor anything else tells the code: `sys.exit(n)` gives n,
None gives 0, another object 1, an uncaught exception 1, an uncaught KeyboardInterrupt 255.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn

KEYBOARD_INTERRUPT_CODE = 255
#: What a process that ends waits for its last rows.
_FLUSH_SECS = 5.0


def _main_thread() -> int:
    threading = sys.modules.get("threading")
    # Without that module nobody has started a thread that could have imported us.
    return int(threading.main_thread().ident) if threading is not None else get_ident()


class _Tracker:
    """The code known so far, for the process that installed the hooks."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.code: int | None = None
        self.main_thread = _main_thread()
        self.exit = sys.exit
        self.excepthook = sys.excepthook


_tracker: _Tracker | None = None
#: The process whose runs are finished when it ends.
_hooked: int | None = None


def will_run() -> bool:
    """Whether open runs of this process are finished when it ends."""
    return _hooked == os.getpid()


def code_of(value: object) -> int:
    """The exit status that `sys.exit(value)` gives."""
    if value is None:
        return 0
    return value if isinstance(value, int) else 1


def _exit(value: object = None) -> NoReturn:
    assert _tracker is not None
    # In another thread it ends that thread alone, and the process goes on.
    if get_ident() == _tracker.main_thread:
        _tracker.code = code_of(value)
    _tracker.exit(value)  # type: ignore[arg-type]
    raise SystemExit(value)


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    assert _tracker is not None
    _tracker.code = KEYBOARD_INTERRUPT_CODE if issubclass(kind, KeyboardInterrupt) else 1
    _tracker.excepthook(kind, error, traceback)


def install() -> None:
    """Start tracking; a second call does nothing."""
    global _tracker  # noqa: PLW0603, RUF100 - the one place that owns it
    if _tracker is None:
        _tracker = _Tracker()
        sys.exit = _exit
        sys.excepthook = _excepthook


def exit_code() -> int | None:
    """The exit code known so far, or None while the process goes on normally."""
    return _tracker.code if _tracker is not None else None


def _interrupt_again() -> None:
    """Keep the process's exit status that of an interrupt.

    The interpreter forgets that it was interrupted when code that it runs at the end (an import, say) evaluates a string;
    a shell would then see status 1 instead of 130 and go on with its loop.
    """
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102 - a constant
    except KeyboardInterrupt:
        return


def flush_process(timeout_secs: float) -> bool:
    """Send what this process has logged; False if the time ran out."""
    end = time.monotonic() + timeout_secs

    def left() -> float:
        return max(0.0, end - time.monotonic())

    media = sys.modules.get(f"{__package__}._media_queue")
    if media is not None:
        media.drain(left())
    artifacts = sys.modules.get(f"{__package__}.artifacts._logging")
    if artifacts is not None:
        artifacts.hand_over_all(left())
    core = sys.modules.get(f"{__package__}._core")
    return core is None or bool(core.flush_at_exit(left()))


def on_exit(finish_all: Callable[[int | None], None]) -> None:
    """Call `finish_all(exit code)` when the interpreter ends, in this process only; a forked child sends its last rows."""
    global _hooked  # noqa: PLW0603, RUF100 - the one place that owns it
    pid = _hooked = os.getpid()

    def at_exit() -> None:
        if os.getpid() == pid:
            finish_all(exit_code())
            staging = sys.modules.get(f"{__package__}.artifacts._staging")
            if staging is not None:
                staging.close()
        flush_process(_FLUSH_SECS)
        files = sys.modules.get(f"{__package__}.data_types._files")
        if files is not None:
            files.temporary.remove()
        if exit_code() == KEYBOARD_INTERRUPT_CODE:
            _interrupt_again()

    atexit.register(at_exit)
