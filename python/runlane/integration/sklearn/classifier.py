"""Charts of classifiers."""

# ruff: noqa: N803 - names of scikit-learn
from __future__ import annotations

from runlane import plot, terminal
from runlane.integration._frameworks import active_run

from ._common import fitted, given, is_kind, label_of, log_chart, scikit
from .shared import class_names, plot_learning_curve, plot_summary_metrics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What a fitted model calls the importance of its features.
_IMPORTANCES = ("feature_importances_", "feature_log_prob_", "coef_")
_BINS = 10


def plot_classifier(
    model: Any,
    X_train: Any,
    X_test: Any,
    y_train: Any,
    y_test: Any,
    y_pred: Any,
    y_probas: Any,
    labels: Any,
    is_binary: bool = False,
    model_name: str = "Classifier",
    feature_names: Any = None,
    log_learning_curve: bool = False,
) -> None:
    """Log all charts of a classifier.

    Args:
        model: The fitted classifier; copies of it are fitted, too.
        X_train: Features of the training data.
        X_test: Features of the test data.
        y_train: Classes of the training data.
        y_test: Classes of the test data.
        y_pred: Predicted classes of the test data.
        y_probas: Predicted probabilities of the test data, shape (examples, classes).
        labels: Names of the classes 0, 1, …
        is_binary: Unused: two classes are recognised.
        model_name: What terminal and calibration curve call it.
        feature_names: Names of the features.
        log_learning_curve: Log the learning curve, which fits the model many times.

    Raises:
        Error: There is no active run.
    """
    del is_binary
    terminal.termlog(f"Plotting {model_name}.")
    plot_feature_importances(model, feature_names)
    if log_learning_curve:
        plot_learning_curve(model, X_train, y_train)
    plot_confusion_matrix(y_test, y_pred, labels)
    plot_summary_metrics(model, X_train, y_train, X_test, y_test)
    plot_class_proportions(y_train, y_test, labels)
    plot_calibration_curve(model, X_train, y_train, model_name)
    if y_probas is not None:
        plot_roc(y_test, y_probas, labels)
        plot_precision_recall(y_test, y_probas, labels)


def plot_roc(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Any = None,
    plot_micro: bool = True,
    plot_macro: bool = True,
    classes_to_plot: Any = None,
) -> None:
    """Log ROC curves as `roc`, see `runlane.plot.roc_curve`; `plot_micro` and `plot_macro` have no effect.

    Raises:
        Error: There is no active run.
    """
    del plot_micro, plot_macro
    if given(y_true=y_true, y_probas=y_probas):
        active_run("plot_roc").log({"roc": plot.roc_curve(y_true, y_probas, labels, classes_to_plot)})


def plot_precision_recall(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Any = None,
    plot_micro: bool = True,
    classes_to_plot: Any = None,
) -> None:
    """Log precision-recall curves as `precision_recall`, see `runlane.plot.pr_curve`; `plot_micro` has no effect.

    Raises:
        Error: There is no active run.
    """
    del plot_micro
    if given(y_true=y_true, y_probas=y_probas):
        chart = plot.pr_curve(y_true, y_probas, labels, classes_to_plot)
        active_run("plot_precision_recall").log({"precision_recall": chart})


def plot_confusion_matrix(
    y_true: Any = None,
    y_pred: Any = None,
    labels: Any = None,
    true_labels: Any = None,
    pred_labels: Any = None,
    normalize: bool = False,
) -> None:
    """Log how often each class was taken for each class as `confusion_matrix`.

    Args:
        y_true: The true class of each example.
        y_pred: The predicted class of each example.
        labels: Names of the classes 0, 1, …
        true_labels: True classes that are shown. Default: all.
        pred_labels: Predicted classes that are shown. Default: all.
        normalize: Shares of the true class instead of counts, rounded to two digits.

    Raises:
        Error: There is no active run.
        ValueError: The lengths differ.
    """
    if not given(y_true=y_true, y_pred=y_pred):
        return
    import numpy as np

    matrix = scikit("metrics").confusion_matrix(y_true, y_pred)
    classes = scikit("utils.multiclass").unique_labels(y_true, y_pred)
    if normalize:
        sums = matrix.sum(axis=1, keepdims=True)
        matrix = np.around(np.divide(matrix, sums, out=np.zeros(matrix.shape), where=sums > 0), 2)
    names = class_names(classes, labels)
    shown_true = _shown(classes, true_labels)
    shown_predicted = _shown(classes, pred_labels)
    counts = matrix.tolist()
    rows = [[names[j], names[i], counts[i][j]] for i in shown_true for j in shown_predicted]
    log_chart(
        "plot_confusion_matrix",
        "confusion_matrix",
        "wandb/confusion_matrix/v1",
        ["Predicted", "Actual", "Count"],
        rows,
    )


def _shown(classes: Any, wanted: Any) -> list[int]:
    values = classes.tolist()
    if wanted is None:
        return list(range(len(values)))
    return [values.index(value) for value in wanted if value in values]


def plot_feature_importances(
    model: Any = None,
    feature_names: Any = None,
    title: str = "Feature Importance",
    max_num_features: int = 50,
) -> None:
    """Log how much a fitted model uses its features as `feature_importances`, the most important one first.

    Args:
        model: A model with `feature_importances_`, `feature_log_prob_` or `coef_`.
        feature_names: Names of the features. Default: those that the model was fitted with, else their numbers.
        title: Without effect.
        max_num_features: Most features that are shown.

    Raises:
        Error: There is no active run.
    """
    del title
    if not given(model=model) or not fitted(model):
        return
    import numpy as np

    found = next((getattr(model, name) for name in _IMPORTANCES if hasattr(model, name)), None)
    if found is None:
        terminal.termwarn(
            f"{type(model).__name__} has none of {', '.join(_IMPORTANCES)}: the importance of its features cannot be plotted"
        )
        return
    values = np.asarray(found, dtype=np.float64)
    values = values[0] if values.ndim == 2 and len(values) == 1 else values
    if values.ndim != 1:
        terminal.termwarn(
            f"{type(model).__name__} has an importance of each feature for each class: it cannot be plotted"
        )
        return
    names = getattr(model, "feature_names_in_", None) if feature_names is None else feature_names
    names = range(len(values)) if names is None else names
    order = np.argsort(-values, kind="stable")[:max_num_features].tolist()
    log_chart(
        "plot_feature_importances",
        "feature_importances",
        "wandb/feature_importances/v1",
        ["feature_names", "importances"],
        [[label_of(names[index], None), float(values[index])] for index in order],
    )


def plot_class_proportions(y_train: Any = None, y_test: Any = None, labels: Any = None) -> None:
    """Log how many examples each class has in training and test data as `class_proportions`.

    Args:
        y_train: Classes of the training data.
        y_test: Classes of the test data.
        labels: Names of the classes 0, 1, …

    Raises:
        Error: There is no active run.
    """
    if not given(y_train=y_train, y_test=y_test):
        return
    import numpy as np

    train, test = np.asarray(y_train).ravel(), np.asarray(y_test).ravel()
    rows = []
    for value in scikit("utils.multiclass").unique_labels(train, test):
        name = label_of(value, labels)
        rows += [
            [name, "train", int((train == value).sum())],
            [name, "test", int((test == value).sum())],
        ]
    log_chart(
        "plot_class_proportions",
        "class_proportions",
        "wandb/class_proportions/v1",
        ["class", "dataset", "count"],
        rows,
    )


def plot_calibration_curve(
    clf: Any = None, X: Any = None, y: Any = None, clf_name: str = "Classifier"
) -> None:
    """Log how probable a class is where a model says so as `calibration_curve`, for two classes.

    Three models are fitted on a tenth of the data and tested on the rest: logistic regression, and copies of the classifier that are
    calibrated by an isotonic and by a sigmoid function. Of each, the mean predicted probability and the share of positive examples in
    ten bins, and the number of predictions in ten bins of their range.

    Args:
        clf: A classifier.
        X: Features, shape (examples, features).
        y: Classes, two of them.
        clf_name: What the chart calls it.

    Raises:
        Error: There is no active run.
    """
    if not given(clf=clf, X=X, y=y) or not is_kind(clf, "classifier"):
        return
    import numpy as np

    classes = np.unique(np.asarray(y))
    if len(classes) != 2:
        terminal.termwarn(f"a calibration curve needs two classes, `y` has {len(classes)}: it is not plotted")
        return
    calibration = scikit("calibration")
    features, positive = np.asarray(X), (np.asarray(y).ravel() == classes[1]).astype(int)
    x_train, x_test, y_train, y_test = scikit("model_selection").train_test_split(
        features, positive, test_size=0.9, random_state=42
    )
    if min(np.bincount(y_train, minlength=2)) < 2:
        terminal.termwarn(
            "a calibration curve needs two examples of each class in a tenth of the data: it is not plotted"
        )
        return
    clone = scikit("base").clone
    models = {
        "Logistic": scikit("linear_model").LogisticRegression(C=1.0),
        f"{clf_name} Isotonic": calibration.CalibratedClassifierCV(clone(clf), cv=2, method="isotonic"),
        f"{clf_name} Sigmoid": calibration.CalibratedClassifierCV(clone(clf), cv=2, method="sigmoid"),
    }
    rows: list[list[Any]] = [["Perfectly calibrated", at, at, 0, 0] for at in (0, 1)]
    for name, model in models.items():
        probability = model.fit(x_train, y_train).predict_proba(x_test)[:, 1]
        share, mean = calibration.calibration_curve(y_test, probability, n_bins=_BINS)
        counts, edges = np.histogram(probability, bins=_BINS)
        rows += [
            [name, round(float(share[i]), 3), round(float(mean[i]), 3), int(counts[i]), float(edges[i])]
            for i in range(len(share))
        ]
    log_chart(
        "plot_calibration_curve",
        "calibration_curve",
        "wandb/calibration/v1",
        ["model", "fraction_of_positives", "mean_predicted_value", "hist_dict", "edge_dict"],
        rows,
    )
