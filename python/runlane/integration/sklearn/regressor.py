"""Charts of regressors: residuals, outlier candidates."""

# ruff: noqa: N803 - names of scikit-learn
from __future__ import annotations

from runlane import terminal

from ._common import given, is_kind, log_chart, scikit
from .shared import plot_learning_curve, plot_summary_metrics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Share of the data that residuals are tested on.
_TEST_SHARE = 0.2


def plot_regressor(
    model: Any,
    X_train: Any,
    X_test: Any,
    y_train: Any,
    y_test: Any,
    model_name: str = "Regressor",
) -> None:
    """Log summary metrics, learning curve, outlier candidates and residuals of a regressor.

    Args:
        model: The fitted regressor; copies of it are fitted, too.
        X_train: Features of the training data.
        X_test: Features of the test data.
        y_train: Targets of the training data.
        y_test: Targets of the test data.
        model_name: What the terminal calls it.

    Raises:
        Error: There is no active run.
    """
    terminal.termlog(f"Plotting {model_name}.")
    plot_summary_metrics(model, X_train, y_train, X_test, y_test)
    plot_learning_curve(model, X_train, y_train)
    plot_outlier_candidates(model, X_train, y_train)
    plot_residuals(model, X_train, y_train)


def plot_residuals(regressor: Any = None, X: Any = None, y: Any = None) -> None:
    """Log predicted minus true targets over predicted ones as `residuals`.

    A copy of the regressor is fitted on four fifths of the data, which are the points of the data set `train`; the others are `test`.

    Args:
        regressor: A regressor.
        X: Features, shape (examples, features).
        y: Targets, shape (examples,).

    Raises:
        Error: There is no active run.
    """
    if not given(regressor=regressor, X=X, y=y) or not is_kind(regressor, "regressor"):
        return
    import numpy as np

    # The same split at each call: the chart of a model does not change by itself.
    x_train, x_test, y_train, y_test = scikit("model_selection").train_test_split(
        np.asarray(X), np.asarray(y).ravel(), test_size=_TEST_SHARE, random_state=0
    )
    model = scikit("base").clone(regressor).fit(x_train, y_train)
    train_score, test_score = float(model.score(x_train, y_train)), float(model.score(x_test, y_test))
    rows = []
    for name, features, targets in (("train", x_train, y_train), ("test", x_test, y_test)):
        predicted = np.asarray(model.predict(features)).ravel()
        rows += [
            [name, value, residual, train_score, test_score]
            for value, residual in zip(predicted.tolist(), (predicted - targets).tolist(), strict=True)
        ]
    log_chart(
        "plot_residuals",
        "residuals",
        "wandb/residuals_plot/v1",
        ["dataset", "y_pred", "residuals", "train_score", "test_score"],
        rows,
    )


def plot_outlier_candidates(regressor: Any = None, X: Any = None, y: Any = None) -> None:
    """Log how much each example influences the model as `outlier_candidates`: Cook's distance.

    Examples above 4 divided by their number are candidates. With residuals e, leverages h (the diagonal of X X⁺), p features and s² the
    sum of e² over (examples - rank of X), the distance is e² h / (p s² (1 - h)²) (Cook, 1977).

    Args:
        regressor: A regressor; a copy of it is fitted.
        X: Features, shape (examples, features).
        y: Targets, shape (examples,).

    Raises:
        Error: There is no active run.
    """
    if not given(regressor=regressor, X=X, y=y) or not is_kind(regressor, "regressor"):
        return
    import numpy as np

    features, targets = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64).ravel()
    count = len(features)
    model = scikit("base").clone(regressor).fit(features, targets)
    residuals = targets - np.asarray(model.predict(features)).ravel()
    leverage = (features * np.linalg.pinv(features).T).sum(axis=1)
    freedom = count - np.linalg.matrix_rank(features)
    if freedom <= 0:
        terminal.termerror(
            f"there are {count} examples for {features.shape[1]} features: each is an outlier, nothing is plotted"
        )
        return
    variance = float(residuals @ residuals) / freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        studentized = residuals / np.sqrt(variance) / np.sqrt(1 - leverage)
        distance = studentized**2 * leverage / (1 - leverage) / features.shape[1]
    threshold = 4 / count
    percentage = round(float((distance > threshold).sum()) / count * 100, 3)
    log_chart(
        "plot_outlier_candidates",
        "outlier_candidates",
        "wandb/outliers/v1",
        ["distance", "instance_indicies", "outlier_percentage", "influence_threshold"],
        [[value, index, percentage, threshold] for index, value in enumerate(distance.tolist())],
    )
