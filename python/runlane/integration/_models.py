"""What the callbacks of gradient boosting libraries share."""

from __future__ import annotations

import os

from runlane import plot
from runlane.artifacts import Artifact
from runlane.data_types.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from runlane import Run


def log_model_file(
    run: Run, name: str, file_name: str, save: Callable[[str], Any], aliases: list[str] | None = None
) -> None:
    """Log a model as an artifact of the type `model`.

    Args:
        run: The run.
        name: Of the artifact.
        file_name: Of the file in the run's directory, and in the artifact.
        save: Writes the model to a path.
        aliases: Besides `latest`.
    """
    path = os.path.join(run.dir, file_name)
    save(path)
    artifact = Artifact(name, type="model")
    artifact.add_file(path)
    run.log_artifact(artifact, aliases=aliases)


def log_importance(run: Run, importance: Iterable[tuple[Any, Any]], columns: tuple[str, str]) -> None:
    """Log the importance of features as a bar chart `Feature Importance`, one row for each pair of name and value."""
    table = Table(columns=list(columns), data=[[name, value] for name, value in importance])
    chart = plot.bar(table, columns[0], columns[1], title="Feature Importance")
    run.log({"Feature Importance": chart})


def summary_goal(metric: str, smaller: frozenset[str], larger: frozenset[str]) -> str | None:
    """What the summary keeps of a metric: `min` or `max` as its values are better, None for the last value."""
    if "loss" in metric or metric in smaller:
        return "min"
    return "max" if metric in larger else None
