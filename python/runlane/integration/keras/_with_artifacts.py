"""Callbacks that store artifacts: they come with those."""

from __future__ import annotations

from runlane.errors import NotYetError

from ._base import Callback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class WandbModelCheckpoint(Callback):  # type: ignore[misc, unused-ignore]
    """Stores a model as an artifact after epochs or batches.

    Raises:
        NotYetError: Always, and before training begins rather than after its first epoch.
    """

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotYetError(
            "`WandbModelCheckpoint` stores models as artifacts, which come with a later version of runlane\n"
            "hint: use `keras.callbacks.ModelCheckpoint(path)` and `run.save(path)`"
        )


class WandbEvalCallback(Callback):  # type: ignore[misc, unused-ignore]
    """Base of callbacks that show a model's predictions in tables.

    Raises:
        NotYetError: Always, and before training begins.
    """

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotYetError(
            "`WandbEvalCallback` keeps its data as an artifact, which come with a later version of runlane\n"
            "hint: log a `Table` from a callback of your own"
        )
