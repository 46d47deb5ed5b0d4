"""What the callbacks of gradient boosting libraries share."""

from __future__ import annotations

from runlane import plot
from runlane._later import refuse
from runlane.data_types.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from runlane import Run


def refuse_checkpoint(argument: str) -> None:
    """Say that models cannot be saved as artifacts yet, before training begins.

    Raises:
        NotYetError: Always.
    """
    refuse(argument, "models as artifacts")


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
