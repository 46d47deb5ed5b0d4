"""Callbacks for Keras 3 (any backend) and `tf.keras`: `WandbMetricsLogger`, and `WandbCallback` as far as metrics and files go.

Keras is imported when a callback is first asked for. `WandbModelCheckpoint` and `WandbEvalCallback` store artifacts, and come with
them: they can be imported, and say so when they are made.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._legacy import WandbCallback as WandbCallback
    from ._metrics_logger import WandbMetricsLogger as WandbMetricsLogger
    from ._with_artifacts import WandbEvalCallback as WandbEvalCallback
    from ._with_artifacts import WandbModelCheckpoint as WandbModelCheckpoint

_NAMES = {
    "WandbCallback": "_legacy",
    "WandbEvalCallback": "_with_artifacts",
    "WandbMetricsLogger": "_metrics_logger",
    "WandbModelCheckpoint": "_with_artifacts",
}

__all__ = ("WandbCallback", "WandbEvalCallback", "WandbMetricsLogger", "WandbModelCheckpoint")


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_NAMES[name]}", __name__), name)
