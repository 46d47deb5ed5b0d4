"""Charts of any model: learning curve, summary metrics."""

# ruff: noqa: N803 - names of scikit-learn
from __future__ import annotations

from runlane import terminal

from ._common import given, label_of, log_chart, scikit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def plot_summary_metrics(
    model: Any = None,
    X: Any = None,
    y: Any = None,
    X_test: Any = None,
    y_test: Any = None,
) -> None:
    """Log how good a fitted model is as `summary_metrics`, rounded to two digits.

    Classifiers have accuracy, and precision, recall and F1 as means over the classes, weighted by their sizes; regressors have mean
    absolute error, mean squared error and R².

    Args:
        model: A classifier or regressor.
        X: Features of the training data, shape (examples, features).
        y: Targets of the training data.
        X_test: Features that are predicted. Default: `X`.
        y_test: Their targets. Default: `y`.

    Raises:
        Error: There is no active run.
    """
    features, targets = (X, y) if X_test is None and y_test is None else (X_test, y_test)
    if not given(model=model, X_test=features, y_test=targets):
        return
    base, metrics = scikit("base"), scikit("metrics")
    predicted = model.predict(features)
    if base.is_classifier(model):
        weighted = {"average": "weighted", "zero_division": 0}
        values = {
            "accuracy_score": metrics.accuracy_score(targets, predicted),
            "precision": metrics.precision_score(targets, predicted, **weighted),
            "recall": metrics.recall_score(targets, predicted, **weighted),
            "f1_score": metrics.f1_score(targets, predicted, **weighted),
        }
    elif base.is_regressor(model):
        values = {
            "mae": metrics.mean_absolute_error(targets, predicted),
            "mse": metrics.mean_squared_error(targets, predicted),
            "r2_score": metrics.r2_score(targets, predicted),
        }
    else:
        terminal.termerror(
            f"{type(model).__name__} is no classifier and no regressor: it has no summary metrics"
        )
        return
    name = type(model).__name__
    log_chart(
        "plot_summary_metrics",
        "summary_metrics",
        "wandb/metrics/v1",
        ["metric_name", "metric_value", "model_name"],
        [[metric, round(float(value), 2), name] for metric, value in values.items()],
    )


def plot_learning_curve(
    model: Any = None,
    X: Any = None,
    y: Any = None,
    cv: Any = None,
    shuffle: bool = False,
    random_state: Any = None,
    train_sizes: Any = None,
    n_jobs: int = 1,
    scoring: Any = None,
) -> None:
    """Log scores over the size of the training set as `learning_curve`; copies of the model are fitted.

    Args:
        model: A classifier or regressor.
        X: Features, shape (examples, features).
        y: Targets.
        cv: Cross-validation, as scikit-learn's `learning_curve` takes it, as are all further arguments.
        shuffle: Whether the examples are shuffled.
        random_state: The state of the shuffling.
        train_sizes: Sizes, or shares of the training data. Default: five from 0.1 to 1.
        n_jobs: How many processes fit.
        scoring: The score. Default: the model's own.

    Raises:
        Error: There is no active run.
    """
    if not given(model=model, X=X, y=y):
        return
    import numpy as np

    sizes, train, test = scikit("model_selection").learning_curve(
        model,
        X,
        y,
        cv=cv,
        n_jobs=n_jobs,
        train_sizes=np.linspace(0.1, 1.0, 5) if train_sizes is None else train_sizes,
        scoring=scoring,
        shuffle=shuffle,
        random_state=random_state,
    )[:3]
    rows = []
    for size, train_score, test_score in zip(
        sizes.tolist(), train.mean(axis=1).tolist(), test.mean(axis=1).tolist(), strict=True
    ):
        rows += [["train", round(train_score, 2), size], ["test", round(test_score, 2), size]]
    log_chart(
        "plot_learning_curve",
        "learning_curve",
        "wandb/learning_curve/v1",
        ["dataset", "score", "train_size"],
        rows,
    )


def class_names(values: Any, labels: Any) -> list[Any]:
    """Names of classes."""
    return [label_of(value, labels) for value in values]
