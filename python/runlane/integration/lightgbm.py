"""LightGBM: `train(…, callbacks=[wandb_callback()])`, and `log_summary(model)` after it.

A row has the metrics of one iteration as `<data set>_<metric>` and `iteration`. The config gets the parameters.
"""

from __future__ import annotations

from ._frameworks import active_run
from ._models import log_importance, log_model_file, summary_goal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Metrics that are better when they are smaller, and larger; those with `loss` in their names are smaller ones, too.
_SMALLER = frozenset("l1 l2 rmse mape huber fair poisson gamma".split())
_LARGER = frozenset("map auc average_precision".split())
_TELEMETRY_CALLBACK = 25
_TELEMETRY_SUMMARY = 26


class _Callback:
    """What `wandb_callback` returns; the attributes are read by LightGBM."""

    #: After early stopping (30) nothing is called; this comes before it.
    order = 20
    before_iteration = False

    def __init__(self, run: Any, log_params: bool, define_metric: bool) -> None:
        self._run = run
        self._log_params = log_params
        self._define_metrics = define_metric
        self._began = False

    def __call__(self, env: Any) -> None:
        """Log one iteration; `env` is LightGBM's `CallbackEnv`."""
        if not self._began:
            self._began = True
            self._begin(env)
        row: dict[str, Any] = {}
        for item in env.evaluation_result_list or []:
            name, value = _name(item), item[2]
            row[name] = value
            if len(item) > 4:
                # A cross-validation: mean and standard deviation over the folds.
                row[f"{name}_stdv"] = item[4]
        self._run.log({**row, "iteration": env.iteration})

    def _begin(self, env: Any) -> None:
        if self._log_params:
            self._run.config.update(dict(env.params or {}), allow_val_change=True)
        if not self._define_metrics:
            return
        for item in env.evaluation_result_list or []:
            goal = summary_goal(_metric(item), _SMALLER, _LARGER)
            if goal is not None:
                self._run.define_metric(_name(item), summary=goal)


def _metric(item: tuple[Any, ...]) -> str:
    """The metric of an entry; older releases name a cross-validation's as one text with its data set."""
    return str(item[1]).rpartition(" ")[2]


def _name(item: tuple[Any, ...]) -> str:
    data = str(item[0])
    if data == "cv_agg":
        data = str(item[1]).rpartition(" ")[0] or "cv"
    return f"{data}_{_metric(item)}"


def wandb_callback(log_params: bool = True, define_metric: bool = True) -> Callable[[Any], None]:
    """A callback that logs the iterations of a training or cross-validation.

    Args:
        log_params: Put the parameters into the config.
        define_metric: Keep the best value of each metric in the summary instead of the last one.

    Raises:
        Error: There is no active run.
    """
    run = active_run("wandb_callback")
    run._record_feature(_TELEMETRY_CALLBACK)
    return _Callback(run, log_params, define_metric)


def log_summary(model: Any, feature_importance: bool = True, save_model_checkpoint: bool = False) -> None:
    """Log what a trained `Booster` is: the best round in the summary, and a bar chart of the features' importance.

    Args:
        model: A `lightgbm.Booster`, or an estimator that has one.
        feature_importance: Log the chart.
        save_model_checkpoint: Log the model of the best iteration as an artifact, `model_<run id>` of the type `model` with the alias `best`.

    Raises:
        Error: There is no active run.
        TypeError: `model` is no booster.
    """
    run = active_run("log_summary")
    booster = getattr(model, "booster_", model)
    if not hasattr(booster, "feature_importance"):
        raise TypeError(f"`model` must be a lightgbm.Booster, got {type(model).__name__}")
    run._record_feature(_TELEMETRY_SUMMARY)
    run.summary.update({"best_iteration": booster.best_iteration, "best_score": _plain(booster.best_score)})
    if feature_importance:
        pairs = zip(booster.feature_name(), booster.feature_importance().tolist(), strict=True)
        log_importance(run, pairs, ("Feature", "Importance"))
    if save_model_checkpoint:
        best = booster.best_iteration
        log_model_file(
            run,
            f"model_{run.id}",
            f"model_ckpt_{best}.txt",
            lambda path: booster.save_model(path, num_iteration=best),
            ["best"],
        )


def _plain(scores: Any) -> dict[str, dict[str, float]]:
    return {data: dict(metrics) for data, metrics in (scores or {}).items()}
