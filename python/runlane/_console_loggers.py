"""`capture_loggers`: records of Python loggers that go to the run's console log and nowhere else."""

from __future__ import annotations

import logging

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._run import Run


class _Handler(logging.Handler):
    def __init__(self, run: Run, level: int) -> None:
        super().__init__(level)
        self._run = run
        self.setFormatter(logging.Formatter(logging.BASIC_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._run._log_text(self.format(record))
        except Exception:
            self.handleError(record)


class Captured:
    """The handlers that were added to loggers."""

    def __init__(self) -> None:
        self._handlers: list[tuple[logging.Logger, logging.Handler]] = []

    def add(self, logger: logging.Logger, handler: logging.Handler) -> None:
        """Add a handler; `stop` takes it away again."""
        logger.addHandler(handler)
        self._handlers.append((logger, handler))

    def stop(self) -> None:
        """Leave the loggers as they were."""
        for logger, handler in self._handlers:
            logger.removeHandler(handler)
        self._handlers = []


def capture(run: Run, loggers: Mapping[str, str]) -> Captured:
    """Send what the named loggers pass on, from a level up, to `run`. The loggers' own levels are left as they are.

    Args:
        run: The run.
        loggers: Name -> level (`"INFO"`, `"20"`); the empty name is the root logger. One that is no level is told of
            once and left out.
    """
    captured = Captured()
    for name, level in loggers.items():
        number = _level(level)
        if number is None:
            terminal.termwarn(
                f"logger `{name}` is not captured: `{level}` is no level\nhint: DEBUG, INFO, WARNING, ERROR or CRITICAL"
            )
            continue
        captured.add(logging.getLogger(name or None), _Handler(run, number))
    return captured


def _level(level: object) -> int | None:
    text = str(level).strip().upper()
    if text.isdecimal():
        return int(text)
    number = logging.getLevelName(text)
    return number if isinstance(number, int) else None
