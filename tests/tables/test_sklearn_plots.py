"""Charts of scikit-learn models: values against scikit-learn itself, and what is said instead of raising.

Equality with the real client: the body `curves-and-scikit-learn` of tests/pairs.
"""

from __future__ import annotations

import numpy as np
import pytest
import runlane
from sklearn import metrics
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB

plots = runlane.sklearn
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(90, 3))
Y = np.digitize(X[:, 0] + RANDOM.normal(size=90) / 2, [-0.5, 0.5])
FOREST = RandomForestClassifier(5, random_state=0).fit(X[:60], Y[:60])
LABELS = ["low", "mid", "high"]


def test_the_confusion_matrix_says_which_is_which(recorder):
    predicted = FOREST.predict(X[60:])
    expected = metrics.confusion_matrix(Y[60:], predicted)
    assert (expected != expected.T).any()
    plots.plot_confusion_matrix(Y[60:], predicted, LABELS)
    (row,) = recorder.rows
    table = row["confusion_matrix"].table
    counts = {(cells[0], cells[1]): cells[2] for cells in table.data}
    assert table.columns == ["Predicted", "Actual", "Count"]
    assert counts == {(LABELS[j], LABELS[i]): expected[i, j] for i in range(3) for j in range(3)}


def test_parts_of_the_confusion_matrix_and_shares(recorder):
    plots.plot_confusion_matrix(
        [0, 0, 1, 2], [0, 1, 1, 2], normalize=True, true_labels=[0, 1], pred_labels=[1, 5]
    )
    assert recorder.chart("confusion_matrix") == [[1, 0, 0.5], [1, 1, 1.0]]


def test_outlier_candidates_are_cooks_distances(recorder):
    y = X @ [1.0, 2.0, 3.0] + RANDOM.normal(size=90)
    y[7] += 50
    plots.plot_outlier_candidates(LinearRegression(fit_intercept=False), X, y)
    rows = recorder.chart("outlier_candidates")
    # By definition: how far all predictions move, in units of p s², if one example is left out.
    full = LinearRegression(fit_intercept=False).fit(X, y)
    variance = ((y - full.predict(X)) ** 2).sum() / (90 - 3)
    for index in (0, 7, 50):
        kept = np.arange(90) != index
        without = LinearRegression(fit_intercept=False).fit(X[kept], y[kept])
        moved = ((full.predict(X) - without.predict(X)) ** 2).sum() / (3 * variance)
        assert rows[index][0] == pytest.approx(moved) and rows[index][1] == index
    above = [row for row in rows if row[0] > 4 / 90]
    assert rows[7] in above and rows[0][2:] == [round(len(above) / 90 * 100, 3), 4 / 90]
    plots.plot_outlier_candidates(LinearRegression(), X[:3], y[:3])
    assert len(recorder.rows) == 1


def test_residuals_are_of_training_and_test_data_and_the_same_each_time(recorder):
    y = X @ [1.0, 2.0, 3.0] + RANDOM.normal(size=90)
    model = LinearRegression()
    for _ in range(2):
        plots.plot_residuals(model, X, y)
    first, second = (row["residuals"].table.data for row in recorder.rows)
    assert first == second and not hasattr(model, "coef_")
    assert [row[0] for row in first].count("train") == 72 and len(first) == 90
    assert sorted(row[1] - row[2] for row in first) == pytest.approx(sorted(y))


def test_silhouettes_and_elbows(recorder):
    points, _ = make_blobs(60, centers=3, random_state=0)
    model = KMeans(3, random_state=0, n_init=2)
    found = model.fit_predict(points)
    plots.plot_clusterer(model, points, found)
    elbow = recorder.chart("elbow_curve")
    assert [row[0] for row in elbow] == [1, 3, 5, 7, 9] and elbow[1][1] == pytest.approx(model.inertia_)
    assert model.n_clusters == 3 and elbow == sorted(elbow, key=lambda row: -row[1])
    rows = recorder.chart("silhouette_plot")
    values = metrics.silhouette_samples(points, found)
    for cluster in range(3):
        bars = [row for row in rows if row[8] == cluster]
        assert [row[7] for row in bars] == pytest.approx(sorted(values[found == cluster]))
    assert [row[2] for row in rows] == found.tolist() and rows[0][9] == pytest.approx(values.mean())
    assert rows[0][:2] == points[0].tolist() and rows[0][3:5] == model.cluster_centers_[found[0]].tolist()
    assert rows[0][5] == 10 and rows[-1][5] == 10 + 59 + 2 * 10
    recorder.rows.clear()
    tree = AgglomerativeClustering(3)
    plots.plot_clusterer(tree, points, tree.fit_predict(points))
    assert list(recorder.rows[0]) == ["silhouette_plot"] and recorder.chart("silhouette_plot")[0][3:5] == [
        None,
        None,
    ]


def test_compound_charts_have_all_parts(recorder):
    probabilities = FOREST.predict_proba(X[60:])
    plots.plot_classifier(
        FOREST,
        X[:60],
        X[60:],
        Y[:60],
        Y[60:],
        FOREST.predict(X[60:]),
        probabilities,
        LABELS,
        log_learning_curve=True,
    )
    keys = "feature_importances learning_curve confusion_matrix summary_metrics class_proportions roc precision_recall"
    assert [key for row in recorder.rows for key in row] == keys.split()
    recorder.rows.clear()
    y = X[:, 0] * 2
    plots.plot_regressor(LinearRegression().fit(X, y), X, X, y, y)
    assert [key for row in recorder.rows for key in row] == [
        "summary_metrics",
        "learning_curve",
        "outlier_candidates",
        "residuals",
    ]


def test_importances_are_the_largest_ones(recorder):
    plots.plot_feature_importances(FOREST, ["a", "b", "c"], max_num_features=2)
    rows = recorder.chart("feature_importances")
    order = np.argsort(-FOREST.feature_importances_)[:2]
    assert rows == [["abc"[index], FOREST.feature_importances_[index]] for index in order]


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda: plots.plot_roc(None, None), "`y_true` is None"),
        (lambda: plots.plot_class_proportions([1], None), "`y_test` is None"),
        (lambda: plots.plot_residuals(FOREST, X, Y), "RandomForestClassifier is no regressor"),
        (
            lambda: plots.plot_feature_importances(RandomForestClassifier()),
            "RandomForestClassifier is not fitted",
        ),
        (
            lambda: plots.plot_feature_importances(GaussianNB().fit(X, Y)),
            "GaussianNB has none of feature_importances_",
        ),
        (
            lambda: plots.plot_feature_importances(LogisticRegression().fit(X, Y)),
            "for each class: it cannot be plotted",
        ),
        (lambda: plots.plot_calibration_curve(FOREST, X, Y), "needs two classes, `y` has 3"),
        (
            lambda: plots.plot_calibration_curve(LogisticRegression(), X[:20], Y[:20] > 0),
            "two examples of each class",
        ),
        (lambda: plots.plot_elbow_curve(KMeans(2), X), "KMeans is not fitted"),
        (lambda: plots.plot_elbow_curve(FOREST, X), "has no `n_clusters`"),
        (lambda: plots.plot_silhouette(KMeans(1, n_init=1).fit(X), X), "there are 1: nothing is plotted"),
        (
            lambda: plots.plot_summary_metrics(KMeans(2, n_init=1).fit(X), X, Y),
            "KMeans is no classifier and no regressor",
        ),
    ],
)
def test_what_cannot_be_plotted_is_said(recorder, capsys, use, text):
    use()
    assert text in capsys.readouterr().err and recorder.rows == []
