"""XGBoost: `train(…, callbacks=[WandbCallback()])`, or `callbacks=` of its scikit-learn estimators.

A row has the metrics of one round as `<data set>-<metric>` and `epoch`. The config gets the booster's configuration.
"""

from __future__ import annotations

import json

from runlane import terminal

from ._frameworks import active_run, framework
from ._models import log_importance, log_model_file, summary_goal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Metrics that are better when they are smaller, and larger; those with `loss` in their names are smaller ones, too.
_SMALLER = frozenset("rmse rmsle mae mape mphe error merror".split())
_LARGER = frozenset("auc aucpr ndcg map".split())
_TELEMETRY = 31
_TELEMETRY_FUNCTION = 32


class _Rounds:
    """Logs the rounds of a training.

    Args:
        log_model: Log the model as an artifact at the end: `<run id>_model.json`, of the type `model`.
        log_feature_importance: Log a bar chart of the features' importance at the end.
        importance_type: What importance is: `weight`, `gain`, `cover`, `total_gain` or `total_cover`. Linear boosters have
            `weight` alone.
        define_metric: Keep the best value of each metric in the summary instead of the last one.

    Raises:
        Error: There is no active run.
    """

    def __init__(
        self,
        log_model: bool = False,
        log_feature_importance: bool = True,
        importance_type: str = "gain",
        define_metric: bool = True,
    ) -> None:
        super().__init__()
        self._run = active_run("WandbCallback")
        self.log_model = log_model
        self.log_feature_importance = log_feature_importance
        self.importance_type = importance_type
        self.define_metric = define_metric
        self._defined: set[str] = set()
        self._run._record_feature(_TELEMETRY)

    def before_training(self, model: Any) -> Any:
        """Put the booster's configuration into the config."""
        # The boosters of a cross-validation are packed, and have none.
        if hasattr(model, "save_config"):
            self._run.config.update(json.loads(model.save_config()), allow_val_change=True)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:
        """Log the metrics of a round; training goes on."""
        del model
        row: dict[str, Any] = {}
        for data, metrics in evals_log.items():
            for metric, values in metrics.items():
                name = f"{data}-{metric}"
                self._define(name, metric)
                value = values[-1]
                if isinstance(value, tuple):
                    # Mean and standard deviation over the folds of a cross-validation.
                    row[name], row[f"{name}-std"] = value
                else:
                    row[name] = value
        self._run.log({**row, "epoch": epoch})
        return False

    def after_training(self, model: Any) -> Any:
        """Log the model and importance, and the best round where training stopped early."""
        if self.log_model and hasattr(model, "save_model"):
            name = f"{self._run.id}_model.json"
            log_model_file(self._run, name, name, model.save_model)
        if self.log_feature_importance and hasattr(model, "get_score"):
            log_importance(self._run, _importance(model, self.importance_type), ("Feature", "Importance"))
        best = model.attr("best_score") if hasattr(model, "attr") else None
        if best is not None:
            self._run.log({"best_score": float(best), "best_iteration": int(model.attr("best_iteration"))})
        return model

    def _define(self, name: str, metric: str) -> None:
        if not self.define_metric or name in self._defined:
            return
        self._defined.add(name)
        goal = summary_goal(metric, _SMALLER, _LARGER)
        if goal is not None:
            self._run.define_metric(name, summary=goal)


def _callback_class() -> type:
    base = framework("xgboost").callback.TrainingCallback
    return type("WandbCallback", (_Rounds, base), {"__doc__": _Rounds.__doc__, "__module__": __name__})


def _importance(model: Any, importance_type: str) -> list[tuple[str, Any]]:
    try:
        scores = model.get_score(importance_type=importance_type)
    except Exception as error:  # noqa: BLE001, RUF100 - the library's error class cannot be imported before it is needed
        if importance_type == "weight":
            terminal.termwarn(f"no importance of features is logged: {error}")
            return []
        return _importance(model, "weight")
    # Linear boosters of several classes have a weight for each of them.
    return [
        (name, sum(map(abs, score)) if isinstance(score, list) else score) for name, score in scores.items()
    ]


def wandb_callback() -> Callable[[Any], None]:
    """A function callback, as XGBoost took them before version 1.3; newer versions want `WandbCallback`.

    Raises:
        Error: There is no active run.
    """
    terminal.termwarn("wandb_callback() is for XGBoost before 1.3: use WandbCallback()", repeat=False)
    run = active_run("wandb_callback")
    run._record_feature(_TELEMETRY_FUNCTION)

    def callback(env: Any) -> None:
        run.log({item[0]: item[1] for item in env.evaluation_result_list})

    return callback


def __getattr__(name: str) -> Any:
    if name != "WandbCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _callback_class())
