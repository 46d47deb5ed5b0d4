"""Mirroring of TensorBoard's event files by hand: for a root directory, or to stop it.

`init(sync_tensorboard=True)` is enough for most programs.
"""

from __future__ import annotations

from . import _tensorboard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike


def patch(
    save: bool = True,
    tensorboard_x: bool | None = None,
    pytorch: bool | None = None,
    root_logdir: str | PathLike[str] = "",
) -> None:
    """Mirror what TensorBoard writers write into the active run, until `unpatch`. Call it before the writers are made.

    Args:
        save: Upload the event files with the run, too.
        tensorboard_x: Leave TensorFlow 2 alone.
        pytorch: Leave TensorFlow 2 alone.
        root_logdir: Directory that keys are relative to: `val/loss` for the tag `loss` in `<root_logdir>/val`. Default: what the
            log directories have in common, if there is more than one.

    Raises:
        ValueError: It is patched already.
    """
    _tensorboard.patch(save, tensorboard_x, pytorch, str(root_logdir))


def unpatch() -> None:
    """Undo `patch`, or what `init(sync_tensorboard=True)` did; without either, do nothing."""
    _tensorboard.unpatch()


def reset_state() -> None:
    """Accepted without effect: steps are counted by the daemon, for each file."""


__all__ = ("patch", "reset_state", "unpatch")
