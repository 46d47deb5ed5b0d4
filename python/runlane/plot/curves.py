"""Precision-recall and ROC curves, one class against the rest.

Thresholds are the distinct scores, highest first; a point counts the examples whose score is at least the threshold. ROC curves leave
out points on a straight line between their neighbours. The definitions are those of scikit-learn's `precision_recall_curve` and
`roc_curve`, with which the tests compare. Rates are rounded to three digits.
"""

from __future__ import annotations

from runlane import terminal
from runlane.data_types.table import Table

from .custom_chart import CustomChart, plot_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: Most points of one chart; a table stores no more rows.
_MAX_POINTS = 10_000


def pr_curve(
    y_true: Sequence[Any] | Any = None,
    y_probas: Any = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    interp_size: int = 21,
    title: str = "Precision-Recall Curve",
    split_table: bool = False,
) -> CustomChart | None:
    """Precision over recall, for each class.

    Args:
        y_true: The true class of each example, shape (examples,).
        y_probas: Scores of shape (examples, classes).
        labels: Names of the classes 0, 1, …
        classes_to_plot: Classes that get a curve. Default: all that occur.
        interp_size: Number of recalls between 1 and 0 at which precision is given: the best one at that recall or a higher one.
        title: Title of the chart.
        split_table: Whether the table gets a section of its own.

    Raises:
        TypeError: `y_true` or `y_probas` is missing.
        ValueError: Their shapes do not go together, scores are not finite, or no class is to be plotted.
    """
    import numpy as np

    recalls = np.linspace(0, 1, interp_size)[::-1]
    rows: list[list[Any]] = []
    for name, is_class, scores in _one_against_rest(y_true, y_probas, labels, classes_to_plot):
        true, false = _counts(is_class, scores)
        precision = true / (true + false)
        recall = true / true[-1] if true[-1] else np.ones(len(true))
        # Without an example above the threshold recall is 0 and precision 1.
        precision, recall = np.insert(precision, 0, 1.0), np.insert(recall, 0, 0.0)
        best_from = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, recalls, side="left")
        rows += [
            [name, p, r]
            for p, r in zip(np.round(best_from[at], 3).tolist(), np.round(recalls, 3).tolist(), strict=True)
        ]
    return _curve(
        rows, ("precision", "recall"), ("recall", "precision"), ("Recall", "Precision"), title, split_table
    )


def roc_curve(
    y_true: Sequence[Any] | Any = None,
    y_probas: Any = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    title: str = "ROC Curve",
    split_table: bool = False,
) -> CustomChart | None:
    """True over false positive rate, for each class.

    Args:
        y_true: The true class of each example, shape (examples,).
        y_probas: Scores of shape (examples, classes).
        labels: Names of the classes 0, 1, …
        classes_to_plot: Classes that get a curve. Default: all that occur.
        title: Title of the chart.
        split_table: Whether the table gets a section of its own.

    Raises:
        TypeError: `y_true` or `y_probas` is missing.
        ValueError: Their shapes do not go together, scores are not finite, or no class is to be plotted.
    """
    import numpy as np

    rows: list[list[Any]] = []
    for name, is_class, scores in _one_against_rest(y_true, y_probas, labels, classes_to_plot):
        true, false = _counts(is_class, scores)
        if len(true) > 2:
            bends = np.logical_or(np.diff(false, 2), np.diff(true, 2))
            kept = np.flatnonzero(np.concatenate([[True], bends, [True]]))
            true, false = true[kept], false[kept]
        true, false = np.insert(true, 0, 0), np.insert(false, 0, 0)
        rates = [
            np.round(counts / counts[-1], 3) if counts[-1] else np.full(len(counts), np.nan)
            for counts in (false, true)
        ]
        rows += [[name, fpr, tpr] for fpr, tpr in zip(rates[0].tolist(), rates[1].tolist(), strict=True)]
    return _curve(
        rows,
        ("fpr", "tpr"),
        ("fpr", "tpr"),
        ("False positive rate", "True positive rate"),
        title,
        split_table,
    )


def _curve(
    rows: list[list[Any]],
    columns: tuple[str, str],
    axes: tuple[str, str],
    axis_titles: tuple[str, str],
    title: str,
    split_table: bool,
) -> CustomChart:
    if len(rows) > _MAX_POINTS:
        terminal.termwarn(f"wandb uses only {_MAX_POINTS} data points to create the plots.", repeat=False)
        rows = _thinned(rows)
    return plot_table(
        "wandb/area-under-curve/v0",
        Table(columns=["class", *columns], data=rows),
        {"x": axes[0], "y": axes[1], "class": "class"},
        {"title": title, "x-axis-title": axis_titles[0], "y-axis-title": axis_titles[1]},
        split_table,
    )


def _thinned(rows: list[list[Any]]) -> list[list[Any]]:
    """At most `_MAX_POINTS` rows, evenly over each curve; its ends stay."""
    curves: dict[Any, list[list[Any]]] = {}
    for row in rows:
        curves.setdefault(row[0], []).append(row)
    share = _MAX_POINTS / len(rows)
    kept = []
    for curve in curves.values():
        count = min(len(curve), max(2, int(len(curve) * share)))
        last = len(curve) - 1
        kept += [curve[round(index * last / (count - 1))] for index in range(count)] if last else curve
    return kept[:_MAX_POINTS]


def _counts(is_class: Any, scores: Any) -> tuple[Any, Any]:
    """True and false positives at each distinct score, highest first."""
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    hits, sorted_scores = is_class[order], scores[order]
    ends = np.append(np.flatnonzero(np.diff(sorted_scores)), len(hits) - 1)
    true = np.cumsum(hits)[ends].astype(np.float64)
    return true, ends + 1 - true


def _one_against_rest(
    y_true: Any, y_probas: Any, labels: Sequence[str] | None, classes_to_plot: Sequence[Any] | None
) -> list[tuple[Any, Any, Any]]:
    """For each class: its name, which examples are of it, and their scores."""
    import numpy as np

    if y_true is None or y_probas is None:
        raise TypeError("`y_true` and `y_probas` are needed")
    truth = np.asarray(y_true).ravel()
    scores = np.asarray(y_probas, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(truth):
        raise ValueError(
            f"`y_probas` must have the shape (examples, classes) = ({len(truth)}, …), got {scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("`y_probas` has values that are not finite")
    classes = np.unique(truth)
    columns = _columns(classes, scores.shape[1])
    wanted = classes.tolist() if classes_to_plot is None else list(classes_to_plot)
    chosen = [
        (_name(value, labels), truth == value, scores[:, column])
        for value, column in zip(classes.tolist(), columns, strict=True)
        if value in wanted
    ]
    if not chosen:
        raise ValueError(f"none of the classes to plot occurs in `y_true`: {wanted} of {classes.tolist()}")
    return chosen


def _columns(classes: Any, width: int) -> list[int]:
    """The column of each class: classes that do not fill all columns count them, others have them in their order."""
    if len(classes) != width and classes.dtype.kind in "iub":
        numbers = [int(value) for value in classes]
        if all(0 <= number < width for number in numbers):
            return numbers
    if len(classes) > width:
        raise ValueError(f"`y_true` has {len(classes)} classes, `y_probas` {width} columns")
    return list(range(len(classes)))


def _name(value: Any, labels: Sequence[str] | None) -> Any:
    if labels is None or len(labels) == 0 or isinstance(value, (str, float)):
        return value
    if not 0 <= int(value) < len(labels):
        raise ValueError(f"class {value!r} has no label: `labels` has {len(labels)} entries")
    return str(labels[int(value)])
