"""Sacred: `WandbObserver`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._observer import WandbObserver as WandbObserver

__all__ = ("WandbObserver",)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _observer

    return getattr(_observer, name)
