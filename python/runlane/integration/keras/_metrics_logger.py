"""`WandbMetricsLogger`: metrics of epochs and batches."""

from __future__ import annotations

from runlane.errors import UsageError
from runlane.integration._frameworks import active_run

from ._base import Callback, learning_rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class WandbMetricsLogger(Callback):  # type: ignore[misc, unused-ignore]
    """Logs what Keras passes to its callbacks, and the learning rate.

    Keys are `epoch/<metric>` over `epoch/epoch`, and `batch/<metric>` over `batch/batch_step`, both counted from 0.

    Args:
        log_freq: `epoch`, `batch`, or a number of batches after which the batch's metrics are logged. Epochs are always logged.
        initial_global_step: The batch that training begins with, when it goes on at an `initial_epoch`; a schedule's learning rate
            depends on it.

    Raises:
        Error: There is no active run.
        UsageError: `log_freq` is something else.
    """

    def __init__(
        self, log_freq: str | int = "epoch", initial_global_step: int = 0, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._run = active_run("WandbMetricsLogger")
        if log_freq == "batch":
            log_freq = 1
        if log_freq != "epoch" and (
            isinstance(log_freq, (bool, str)) or not isinstance(log_freq, int) or log_freq < 1
        ):
            raise UsageError(f"`log_freq` must be 'epoch', 'batch' or a number of batches, got {log_freq!r}")
        self.initial_global_step = initial_global_step
        self.global_step = initial_global_step
        self.logging_batch_wise = log_freq != "epoch"
        self.log_freq: int | None = log_freq if isinstance(log_freq, int) else None
        if self.logging_batch_wise:
            self._define("batch/batch_step", "batch/*")
        self._define("epoch/epoch", "epoch/*")

    def _define(self, axis: str, metrics: str) -> None:
        self._run.define_metric(axis)
        self._run.define_metric(metrics, step_metric=axis)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log an epoch's metrics."""
        row = {f"epoch/{name}": value for name, value in (logs or {}).items()}
        row["epoch/epoch"] = epoch
        rate = learning_rate(self.model, self.global_step)
        if rate is not None:
            row["epoch/learning_rate"] = rate
        self._run.log(row)

    def on_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count a batch, and log its metrics if it is its turn."""
        self.global_step += 1
        if self.log_freq is None or batch % self.log_freq:
            return
        row = {f"batch/{name}": value for name, value in (logs or {}).items()}
        row["batch/batch_step"] = self.global_step - 1
        rate = learning_rate(self.model, self.global_step)
        if rate is not None:
            row["batch/learning_rate"] = rate
        self._run.log(row)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras after each batch."""
        self.on_batch_end(batch, logs)
