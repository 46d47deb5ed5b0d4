"""Lightning Fabric: `WandbLogger`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._logger import WandbLogger as WandbLogger

__all__ = ("WandbLogger",)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _logger

    return getattr(_logger, name)
