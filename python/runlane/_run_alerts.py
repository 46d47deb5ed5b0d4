"""Alerts: a title, a text, a level and a time to wait before the same title may be sent again."""

from __future__ import annotations

import enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEFAULT_WAIT_MILLIS = 60_000


class AlertLevel(enum.Enum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


_LEVELS = ("INFO", "WARN", "ERROR")


def alert_record(title: str, text: str, level: Any, wait_duration: Any) -> dict[str, Any]:
    """The record of one alert.

    Raises:
        TypeError: Title or text is no string, or the waiting time is no number of seconds or timedelta.
        ValueError: The level or the waiting time is not allowed.
    """
    for name, value in (("title", title), ("text", text)):
        if not isinstance(value, str):
            raise TypeError(f"`{name}` of an alert must be a string, got {type(value).__name__}")
    level = AlertLevel.INFO if level is None else level
    word = level.value if isinstance(level, AlertLevel) else level
    if word not in _LEVELS:
        raise ValueError(f"level must be one of 'INFO', 'WARN', or 'ERROR', got {level!r}")
    if wait_duration is None:
        millis = _DEFAULT_WAIT_MILLIS
    elif hasattr(wait_duration, "total_seconds"):
        millis = int(wait_duration.total_seconds() * 1000)
    elif isinstance(wait_duration, (int, float)) and not isinstance(wait_duration, bool):
        millis = int(wait_duration * 1000)
    else:
        raise TypeError("wait_duration must be an int, float, or datetime.timedelta")
    if millis < 0:
        raise ValueError("`wait_duration` must not be negative")
    return {"title": title, "text": text, "level": str(word), "wait_millis": millis}
