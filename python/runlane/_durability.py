"""How far a run's data is: the rungs of durability, what a caller may wait for, how that is spelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

#: Words of `Run.flush` and what the daemon calls them.
_LEVELS = {
    "logged": "logged",
    "synced": "synced",
    "durable": "synced",
    "uploaded": "uploaded",
    "acknowledged": "uploaded",
}


class Durability(NamedTuple):
    """The highest sequence number of this process's entries (calls and records, counted from 1) on each rung.

    Each rung survives more than the one before it. All are 0 before the first entry.
    """

    #: The call has returned: what it logged is in this process's memory.
    returned: int
    #: The kernel has it: it survives the death of this process.
    handed_over: int
    #: It is in the run's log on this host: it survives the death of every process.
    logged: int
    #: It is on stable storage: it survives a power cut.
    synced: int
    #: The server has stored it. 0 offline.
    uploaded: int
    #: Rows and console lines that could not be kept anywhere (memory and disk full).
    lost: int
    #: Bytes in this process's memory, over all of its runs, that are not logged yet.
    queued_bytes: int

    def at(self, level: str) -> int:
        """The number on the rung `logged`, `synced` or `uploaded`."""
        return {"logged": self.logged, "synced": self.synced, "uploaded": self.uploaded}[level]


def level_of(word: Any) -> str:
    """The daemon's word for a level.

    Raises:
        TypeError: It is no text.
        ValueError: There is no such level.
    """
    if not isinstance(word, str):
        raise TypeError(f"`level` must be a string, got {type(word).__name__}")
    if word not in _LEVELS:
        allowed = ", ".join(f"'{name}'" for name in _LEVELS)
        raise ValueError(f"`level` must be one of {allowed}; got {word!r}")
    return _LEVELS[word]


def timeout_of(timeout: Any) -> float | None:
    """Seconds to wait; None for as long as it takes.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative or NaN.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"`timeout` must be a number of seconds or None, got {type(timeout).__name__}")
    if not timeout >= 0:
        raise ValueError(f"`timeout` must not be negative, got {timeout}")
    return float(timeout)
