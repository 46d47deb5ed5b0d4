"""CatBoost: `fit(…, callbacks=[WandbCallback()])`, and `log_summary(model)` after it.

A row has the metrics of one iteration as `<data set>-<metric>` and `iteration@metric-period-<n>`.
"""

from __future__ import annotations

from ._frameworks import active_run
from ._models import log_importance, log_model_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TELEMETRY_CALLBACK = 27
_TELEMETRY_SUMMARY = 28


class WandbCallback:
    """Logs the iterations of a training.

    Args:
        metric_period: The `metric_period` of the training: it names the metric that counts the iterations.

    Raises:
        Error: There is no active run.
    """

    def __init__(self, metric_period: int = 1) -> None:
        self._run = active_run("WandbCallback")
        self.metric_period = metric_period
        self._run._record_feature(_TELEMETRY_CALLBACK)

    def after_iteration(self, info: Any) -> bool:
        """Log the metrics of an iteration; training goes on."""
        row = {
            f"{data}-{metric}": values[-1]
            for data, metrics in (info.metrics or {}).items()
            for metric, values in metrics.items()
            if values
        }
        self._run.log({**row, f"iteration@metric-period-{self.metric_period}": info.iteration})
        return True


def log_summary(
    model: Any,
    log_all_params: bool = True,
    save_model_checkpoint: bool = False,
    log_feature_importance: bool = True,
) -> None:
    """Log what a trained model is: the best round in the summary, and a bar chart of the features' importance.

    Args:
        model: A `CatBoostClassifier` or `CatBoostRegressor`.
        log_all_params: Put all parameters of the model, defaults included, into the config.
        save_model_checkpoint: Log the model as an artifact, `model_<run id>` of the type `model` with the alias `best`.
        log_feature_importance: Log the chart.

    Raises:
        Error: There is no active run.
        TypeError: `model` is no such model.
    """
    run = active_run("log_summary")
    if not hasattr(model, "get_best_iteration"):
        raise TypeError(
            f"`model` must be a CatBoostClassifier or CatBoostRegressor, got {type(model).__name__}"
        )
    run._record_feature(_TELEMETRY_SUMMARY)
    if log_all_params:
        run.config.update(model.get_all_params(), allow_val_change=True)
    run.summary.update(
        {"best_iteration": model.get_best_iteration(), "best_score": _plain(model.get_best_score())}
    )
    if log_feature_importance:
        pairs = zip(model.feature_names_, model.get_feature_importance().tolist(), strict=True)
        log_importance(run, sorted(pairs, key=lambda pair: -pair[1]), ("Feature", "Importance"))
    if save_model_checkpoint:
        log_model_file(run, f"model_{run.id}", "model", model.save_model, ["best"])


def _plain(scores: Any) -> dict[str, dict[str, float]]:
    return {data: dict(metrics) for data, metrics in (scores or {}).items()}
