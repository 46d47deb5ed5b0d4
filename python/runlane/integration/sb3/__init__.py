"""Stable-Baselines3: `WandbCallback`. Metrics come from its TensorBoard files: `init(sync_tensorboard=True)`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._callback import WandbCallback as WandbCallback

__all__ = ("WandbCallback",)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _callback

    return getattr(_callback, name)
