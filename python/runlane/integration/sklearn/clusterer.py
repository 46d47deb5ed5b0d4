"""Charts of clusterers: elbow curve, silhouette plot."""

# ruff: noqa: N803 - names of scikit-learn
from __future__ import annotations

from runlane import terminal

from ._common import fitted, given, is_kind, log_chart, scikit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Space between the bars of two clusters in the silhouette plot.
_GAP = 10


def plot_clusterer(
    model: Any,
    X_train: Any,
    cluster_labels: Any,
    labels: Any = None,
    model_name: str = "Clusterer",
) -> None:
    """Log elbow curve and silhouette plot of a clusterer; of k-means alone the first.

    Args:
        model: The fitted clusterer; copies of it are fitted, too.
        X_train: Features, shape (examples, features).
        cluster_labels: The cluster of each example.
        labels: Without effect.
        model_name: What the terminal calls it.

    Raises:
        Error: There is no active run.
    """
    terminal.termlog(f"Plotting {model_name}.")
    has_centers = hasattr(model, "cluster_centers_") and hasattr(model, "n_clusters")
    if has_centers:
        plot_elbow_curve(model, X_train)
    plot_silhouette(model, X_train, cluster_labels, labels=labels, kmeans=has_centers)


def plot_elbow_curve(
    clusterer: Any = None,
    X: Any = None,
    cluster_ranges: Any = None,
    n_jobs: int = 1,
    show_cluster_time: bool = True,
) -> None:
    """Log the error over the number of clusters as `elbow_curve`; copies of the clusterer are fitted.

    Args:
        clusterer: A fitted clusterer with `n_clusters` and `score`; the error is the negative score.
        X: Features, shape (examples, features).
        cluster_ranges: Numbers of clusters. Default: 1, 3, 5, 7, 9.
        n_jobs: Without effect.
        show_cluster_time: Without effect: the seconds that fitting took are always logged.

    Raises:
        Error: There is no active run.
    """
    del n_jobs, show_cluster_time
    if not given(clusterer=clusterer, X=X):
        return
    if not (hasattr(clusterer, "n_clusters") and hasattr(clusterer, "score")):
        terminal.termerror(
            f"{type(clusterer).__name__} has no `n_clusters` or no `score`: no elbow curve is plotted"
        )
        return
    if not is_kind(clusterer, "clusterer") or not fitted(clusterer):
        return
    import time

    clone = scikit("base").clone
    rows = []
    for count in sorted(range(1, 10, 2) if cluster_ranges is None else cluster_ranges):
        model = clone(clusterer).set_params(n_clusters=count)
        began = time.perf_counter()
        model.fit(X)
        rows.append([int(count), abs(float(model.score(X))), time.perf_counter() - began])
    log_chart(
        "plot_elbow_curve",
        "elbow_curve",
        "wandb/elbow/v1",
        ["cluster_ranges", "errors", "clustering_time"],
        rows,
    )


def plot_silhouette(
    clusterer: Any = None,
    X: Any = None,
    cluster_labels: Any = None,
    labels: Any = None,
    metric: str = "euclidean",
    kmeans: bool = True,
) -> None:
    """Log how well examples lie in their clusters as `silhouette_plot`: silhouette coefficients, and the first two features.

    Args:
        clusterer: A fitted clusterer.
        X: Features, shape (examples, features).
        cluster_labels: The cluster of each example. Default: what the clusterer found.
        labels: Without effect.
        metric: The distance between examples.
        kmeans: Whether the clusterer has centres that are shown.

    Raises:
        Error: There is no active run.
    """
    del labels
    if not given(clusterer=clusterer, X=X) or not is_kind(clusterer, "clusterer") or not fitted(clusterer):
        return
    import numpy as np

    metrics = scikit("metrics")
    features = np.asarray(X)
    found = clusterer.labels_ if cluster_labels is None else cluster_labels
    clusters = np.asarray(found).ravel()
    numbers = np.unique(clusters)
    if not 1 < len(numbers) < len(clusters):
        terminal.termerror(
            f"silhouettes need 2 to {len(clusters) - 1} clusters, there are {len(numbers)}: nothing is plotted"
        )
        return
    values = metrics.silhouette_samples(features, clusters, metric=metric)
    average = float(metrics.silhouette_score(features, clusters, metric=metric))
    centers = getattr(clusterer, "cluster_centers_", None) if kmeans else None
    bars: list[tuple[int, float, int]] = []
    low = _GAP
    for number in numbers.tolist():
        of_cluster = np.sort(values[clusters == number]).tolist()
        bars += [(low + index, value, number) for index, value in enumerate(of_cluster)]
        low += len(of_cluster) + _GAP
    rows = []
    for point, cluster, (place, value, bar_cluster) in zip(
        features[:, :2].tolist(), clusters.tolist(), bars, strict=True
    ):
        x, y = point[0], point[-1]
        center = _center(centers, cluster)
        rows.append([x, y, cluster, *center, place, 0, value, bar_cluster, average])
    log_chart(
        "plot_silhouette",
        "silhouette_plot",
        "wandb/silhouette_/v1",
        ["x", "y", "colors", "centerx", "centery", "y_sil", "x1", "x2", "color_sil", "silhouette_avg"],
        rows,
    )


def _center(centers: Any, cluster: int) -> list[float | None]:
    """The first two coordinates of a cluster's centre, None where there is none."""
    if centers is None or not 0 <= cluster < len(centers):
        return [None, None]
    return [float(centers[cluster][0]), float(centers[cluster][-1 if len(centers[cluster]) < 2 else 1])]
