"""`WandbCallback`, the older callback: metrics, the best epoch, and the best model as a file of the run."""

from __future__ import annotations

import os

from runlane import terminal
from runlane.errors import NotYetError, UsageError
from runlane.integration._frameworks import active_run, plain

from ._base import Callback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NEEDS_MEDIA = (
    "log_weights",
    "log_gradients",
    "log_evaluation",
    "validation_data",
    "generator",
    "training_data",
)


class WandbCallback(Callback):  # type: ignore[misc, unused-ignore]
    """Logs the metrics of each epoch beside `epoch`, keeps the best epoch in the summary and the best model in the run's files.

    The summary gets `best_<monitor>` and `best_epoch`. The model is the file `model-best.keras` of the run.

    Args:
        monitor: The metric that decides which epoch is the best. Default: `val_loss`.
        verbose: 1 prints when a model is saved.
        mode: `min`, `max`, or `auto`: `max` for metrics with `acc` in their names or that begin with `fmeasure`.
        save_weights_only: Save the weights alone, as `model-best.weights.h5`.
        save_model: Save the best model.
        log_batch_frequency: Log a batch's metrics every so many batches.
        log_best_prefix: Prefix of the summary's keys; None keeps none.
        **options: What shows inputs, predictions or weights (`log_weights`, `log_gradients`, `log_evaluation`, `validation_data`, `generator`,
            `training_data`) is refused while it comes later; the others have no effect without it.

    Raises:
        Error: There is no active run.
        NotYetError: An option asks for what comes later.
        UsageError: `mode` is something else.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        verbose: int = 0,
        mode: str = "auto",
        save_weights_only: bool = False,
        save_model: bool = True,
        log_batch_frequency: int | None = None,
        log_best_prefix: str | None = "best_",
        **options: Any,
    ) -> None:
        super().__init__()
        self._run = active_run("WandbCallback")
        for name in _NEEDS_MEDIA:
            if options.get(name) is not None and options[name] is not False:
                raise NotYetError(
                    f"`WandbCallback({name}=…)` is not available yet: what this callback shows comes with a later version of runlane\n"
                    "hint: log it from a callback of your own, with `Image`, `Table` or `run.watch`"
                )
        if mode not in ("auto", "min", "max"):
            raise UsageError(f"`mode` must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.verbose = verbose
        self.save_weights_only = save_weights_only
        self.save_model = save_model
        self.log_batch_frequency = log_batch_frequency
        self.log_best_prefix = log_best_prefix
        rises = mode == "max" or (mode == "auto" and ("acc" in monitor or monitor.startswith("fmeasure")))
        self._sign = -1.0 if rises else 1.0
        self.best = -self._sign * float("inf") if rises else float("inf")
        self._saved = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log an epoch's metrics, and keep it if it is the best."""
        row = {name: plain(value) for name, value in (logs or {}).items()}
        self._run.log({"epoch": epoch, **row})
        current = row.get(self.monitor)
        if not isinstance(current, (int, float)) or not self._sign * current < self._sign * self.best:
            return
        self.best = float(current)
        if self.log_best_prefix is not None:
            self._run.summary.update(
                {f"{self.log_best_prefix}{self.monitor}": self.best, f"{self.log_best_prefix}epoch": epoch}
            )
        if self.save_model:
            self._save(epoch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log a batch's metrics if it is its turn."""
        if self.log_batch_frequency and batch % self.log_batch_frequency == 0:
            self._run.log({name: plain(value) for name, value in (logs or {}).items()})

    def _save(self, epoch: int) -> None:
        name = "model-best.weights.h5" if self.save_weights_only else "model-best.keras"
        path = os.path.join(self._run.dir, name)
        try:
            if self.save_weights_only:
                self.model.save_weights(path, overwrite=True)
            else:
                self.model.save(path, overwrite=True)
        except Exception as error:  # noqa: BLE001, RUF100 - whatever a model's own saving raises must not end the training
            terminal.termwarn(f"the model cannot be saved: {error}", repeat=False)
            return
        if not self._saved:
            self._saved = True
            self._run.save(path, base_path=self._run.dir, policy="live")
        if self.verbose:
            terminal.termlog(f"epoch {epoch}: {self.monitor} is {self.best:.5g}, saved `{name}`")
