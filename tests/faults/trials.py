"""How often a fault is tried: the short form of `make test`, or the full one of `make test-faults`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")


def is_full() -> bool:
    """Whether RUNLANE_FAULT_TRIALS asks for the full counts of reliability.md."""
    word = os.environ.get("RUNLANE_FAULT_TRIALS", "")
    if word not in ("", "short", "full"):
        raise ValueError(f"RUNLANE_FAULT_TRIALS must be `short` or `full`, not `{word}`")
    return word == "full"


def trials(short: T, full: T) -> T:
    """The one or the other: a number of trials, a duration, a list of cases."""
    return full if is_full() else short
