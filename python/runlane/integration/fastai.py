"""fastai: version 1, for which wandb had a callback here, is gone; version 2 has one of its own."""

from __future__ import annotations

from runlane.errors import UnsupportedError


class WandbCallback:
    """The callback of fastai 1.

    Raises:
        UnsupportedError: Always.
    """

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise UnsupportedError(
            "this callback was for fastai 1\nhint: fastai 2 has its own: `from fastai.callback.wandb import WandbCallback`"
        )


__all__ = ("WandbCallback",)
