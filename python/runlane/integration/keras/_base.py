"""The base class of the callbacks: Keras's own, whichever of its two homes is there."""

from __future__ import annotations

from runlane.integration._frameworks import framework

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_callbacks = framework("keras.callbacks", "tensorflow.keras.callbacks")
Callback: Any = _callbacks.Callback
ModelCheckpoint: Any = _callbacks.ModelCheckpoint


def learning_rate(model: Any, step: int) -> float | None:
    """The learning rate of a model's optimizer at `step` (of a schedule); None where it has none."""
    rate = getattr(getattr(model, "optimizer", None), "learning_rate", None)
    if rate is None:
        return None
    if callable(rate):
        # A schedule of `tf.keras` 2; Keras 3 gives its present value.
        rate = rate(step)
    try:
        return float(rate)
    except (TypeError, ValueError):
        return None
