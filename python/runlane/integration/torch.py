"""torch: histograms of gradients and parameters are `run.watch`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def __getattr__(name: str) -> Any:
    if name == "wandb_torch":
        from runlane import _later

        return _later.wandb_torch
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}\nhint: `run.watch(model)` follows a model"
    )
