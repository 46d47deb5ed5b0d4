"""Curves and the confusion matrix agree with scikit-learn's; wrong input is named."""

from __future__ import annotations

import numpy as np
import pytest
from runlane import plot
from sklearn import metrics


def scores_of(classes: int, examples: int, ties: bool, seed: int = 0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, examples)
    scores = random.random((examples, classes)) + 0.4 * (truth[:, None] == np.arange(classes))
    return truth, scores.round(1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("classes", "examples"), [(2, 2), (2, 60), (3, 500)])
def test_roc_curves_are_scikit_learns(classes, examples, ties):
    truth, scores = scores_of(classes, examples, ties)
    truth[:classes] = np.arange(classes)
    rows = plot.roc_curve(truth, scores).table.data
    for value in range(classes):
        fpr, tpr, _ = metrics.roc_curve(truth == value, scores[:, value])
        ours = [row[1:] for row in rows if row[0] == value]
        assert ours == np.c_[fpr, tpr].round(3).tolist()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("size", [2, 21, 200])
def test_precision_is_the_best_at_a_recall_or_a_higher_one(ties, size):
    truth, scores = scores_of(3, 400, ties)
    rows = plot.pr_curve(truth, scores, interp_size=size).table.data
    assert len(rows) == 3 * size
    for value in range(3):
        precision, recall, _ = metrics.precision_recall_curve(truth == value, scores[:, value])
        expected = [
            [round(precision[recall >= at].max(), 3), round(at, 3)] for at in np.linspace(0, 1, size)[::-1]
        ]
        assert [row[1:] for row in rows if row[0] == value] == expected


def test_confusion_matrices_are_scikit_learns():
    truth, scores = scores_of(4, 300, ties=False)
    predicted = scores.argmax(axis=1)
    expected = metrics.confusion_matrix(truth, predicted)
    names = ["a", "b", "c", "d"]
    charts = [plot.confusion_matrix(y_true=truth, probs=scores, class_names=names)]
    charts += [
        plot.confusion_matrix(
            y_true=[names[i] for i in truth], preds=[names[i] for i in predicted], class_names=names
        )
    ]
    for chart in charts:
        counts = {(actual, other): count for actual, other, count in chart.table.data}
        assert counts == {(names[i], names[j]): expected[i, j] for i in range(4) for j in range(4)}
    unnamed = plot.confusion_matrix(y_true=[7, 5, 7], preds=[5, 5, 7]).table.data
    assert unnamed == [
        ["Class_1", "Class_1", 1],
        ["Class_1", "Class_2", 0],
        ["Class_2", "Class_1", 1],
        ["Class_2", "Class_2", 1],
    ]


def test_classes_that_do_not_occur_keep_their_columns():
    truth, scores = scores_of(4, 100, ties=False)
    truth = np.where(truth == 0, 3, truth)
    rows = plot.roc_curve(truth, scores, labels=["a", "b", "c", "d"]).table.data
    assert {row[0] for row in rows} == {"b", "c", "d"}
    fpr, tpr, _ = metrics.roc_curve(truth == 3, scores[:, 3])
    assert [row[1:] for row in rows if row[0] == "d"] == np.c_[fpr, tpr].round(3).tolist()


def test_long_curves_are_thinned_evenly_with_one_warning(capsys):
    truth, scores = scores_of(2, 60_000, ties=False)
    rows = plot.roc_curve(truth, scores).table.data
    assert 9_900 < len(rows) <= 10_000
    for value in (0, 1):
        curve = [row[1:] for row in rows if row[0] == value]
        assert curve[0] == [0, 0] and curve[-1] == [1, 1] and curve == sorted(curve)
    plot.roc_curve(truth, scores)
    assert capsys.readouterr().err.count("uses only 10000 data points") == 1


def test_lines_go_together_by_number_and_length():
    table = plot.line_series((i for i in range(3)), [[1, 2, 3], np.arange(2)], keys=["a", "b"]).table
    assert table.data == [[0, "a", 1], [1, "a", 2], [2, "a", 3], [0, "b", 0], [1, "b", 1]]
    assert plot.line_series([], []).table.data == []


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (lambda: plot.roc_curve([0, 1]), TypeError, "`y_true` and `y_probas` are needed"),
        (lambda: plot.roc_curve([0, 1], [0.1, 0.9]), ValueError, r"the shape \(examples, classes\)"),
        (lambda: plot.pr_curve([0, 1, 1], [[0.5, 0.5], [0.5, 0.5]]), ValueError, r"= \(3, …\), got \(2, 2\)"),
        (lambda: plot.pr_curve([0, 1], [[np.nan, 0.5], [0.5, 0.5]]), ValueError, "not finite"),
        (
            lambda: plot.roc_curve([0, 1], [[0.1, 0.9], [0.2, 0.8]], classes_to_plot=[7]),
            ValueError,
            r"\[7\] of \[0, 1\]",
        ),
        (
            lambda: plot.roc_curve([0, 1], [[0.1, 0.9], [0.2, 0.8]], labels=["a"]),
            ValueError,
            "class 1 has no label",
        ),
        (
            lambda: plot.roc_curve(["a", "b", "c"], [[1, 0], [0, 1], [1, 0]]),
            ValueError,
            "3 classes, `y_probas` 2 columns",
        ),
        (lambda: plot.roc_curve([], np.zeros((0, 2))), ValueError, "none of the classes to plot"),
        (lambda: plot.confusion_matrix(preds=[1]), TypeError, "needs `y_true`"),
        (lambda: plot.confusion_matrix(y_true=[1], preds=[1], probs=[[1]]), ValueError, "Only one of"),
        (lambda: plot.confusion_matrix(y_true=[1], preds=[1, 2]), ValueError, "must be equal"),
        (
            lambda: plot.confusion_matrix(y_true=[0, 1], preds=[0, 1], class_names=["a"]),
            ValueError,
            "exceeds the number",
        ),
        (
            lambda: plot.confusion_matrix(y_true=[5], preds=[0], class_names=["a"]),
            ValueError,
            "class 5 has no name",
        ),
        (
            lambda: plot.line_series([[1], [2]], [[1]]),
            ValueError,
            r"x-series \(2\) must match y-series \(1\)",
        ),
        (lambda: plot.line_series([1], [[1]], keys=["a", "b"]), ValueError, r"keys \(2\) must match"),
        (lambda: plot.line_series(5, [[1]]), TypeError, "`xs` must be a list, got int"),
        (lambda: plot.line_series([1], [5]), TypeError, r"`ys\[0\]` must be a list, got int"),
    ],
)
def test_wrong_input_is_named(use, error, text):
    with pytest.raises(error, match=text):
        use()
