"""`define_metric`: how a metric is drawn and what the summary keeps of it."""

from __future__ import annotations

from . import _limits, terminal
from .errors import MetricError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SUMMARIES = ("min", "max", "mean", "best", "last", "first", "none", "copy")
_GOALS = {"min": "minimize", "minimize": "minimize", "max": "maximize", "maximize": "maximize"}


class Metric:
    """A definition, as `define_metric` returns it."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    @property
    def name(self) -> str:
        """The metric's name, or glob."""
        return str(self._record.get("name") or self._record.get("glob_name"))

    @property
    def step_metric(self) -> str | None:
        """The metric on the x axis."""
        return self._record.get("step_metric")

    @property
    def step_sync(self) -> bool | None:
        """Whether rows get the step metric's last value."""
        return self._record.get("step_sync")

    @property
    def hidden(self) -> bool | None:
        """Whether automatic charts leave the metric out."""
        return self._record.get("hidden")

    @property
    def summary(self) -> tuple[str, ...] | None:
        """What the summary keeps."""
        return tuple(self._record["summary"]) if self._record.get("summary") else None

    @property
    def goal(self) -> str | None:
        """`minimize` or `maximize`."""
        return self._record.get("goal")


def _summary_words(summary: Any, goal: str | None) -> tuple[list[str], str | None]:
    if not isinstance(summary, str):
        raise MetricError(f"Unhandled define_metric() arg: summary type: {type(summary).__name__}")
    words = [word.strip() for word in summary.split(",") if word.strip()]
    for word in words:
        if word not in _SUMMARIES:
            raise MetricError(f"Unhandled define_metric() arg: summary op: {word}")
    if "copy" in words:
        terminal.termwarn(
            "define_metric(summary='copy') is deprecated and is the same as no summary", repeat=False
        )
        words = [word for word in words if word != "copy"]
    if "best" in words:
        # The documents' older form: the best value is the smallest or the largest, as the goal says.
        if goal is None:
            goal = "minimize"
            terminal.termwarn("define_metric(summary='best') without `goal` keeps the minimum", repeat=False)
        best = "min" if goal == "minimize" else "max"
        words = list(dict.fromkeys(best if word == "best" else word for word in words))
    return words, goal


def _check_names(name: Any, step_metric: Any) -> None:
    if not isinstance(name, str):
        raise MetricError(f"Unhandled define_metric() arg: name type: {type(name).__name__}")
    if not name:
        raise MetricError("define_metric() requires non-empty name argument")
    if "*" in name[:-1]:
        raise MetricError(f"Unhandled define_metric() arg: name (glob suffixes only): {name}")
    if step_metric is not None and not isinstance(step_metric, str):
        raise MetricError(f"Unhandled define_metric() arg: step_metric type: {type(step_metric).__name__}")
    if step_metric and "*" in step_metric:
        raise MetricError(f"Unhandled define_metric() arg: step_metric must not be a glob: {step_metric}")
    if step_metric == name:
        raise MetricError(f"define_metric() arg: step_metric: `{name}` cannot be its own step metric")


class Definitions:
    """The metrics that a run has defined."""

    def __init__(self) -> None:
        self._step_metrics: dict[str, str | None] = {}

    def check(self, record: dict[str, Any]) -> None:
        """Refuse what does not go together with the definitions before it.

        Raises:
            MetricError: There are too many definitions, or the metric has another step metric already.
        """
        name = record.get("name") or record["glob_name"]
        if name not in self._step_metrics and len(self._step_metrics) >= _limits.METRIC_DEFINITIONS:
            raise MetricError(
                f"a run has at most {_limits.METRIC_DEFINITIONS} metric definitions; use a glob such as `val/*`"
            )
        before, step_metric = self._step_metrics.get(name), record.get("step_metric")
        if before and step_metric and step_metric != before and not record.get("overwrite"):
            raise MetricError(
                f"define_metric() arg: step_metric: `{name}` has the step metric `{before}` already, not `{step_metric}`\n"
                "hint: pass overwrite=True to replace the definition"
            )

    def add(self, record: dict[str, Any]) -> None:
        """Remember a definition."""
        name = record.get("name") or record["glob_name"]
        before = None if record.get("overwrite") else self._step_metrics.get(name)
        self._step_metrics[name] = record.get("step_metric") or before


def metric_record(
    name: Any,
    step_metric: Any = None,
    step_sync: Any = None,
    hidden: Any = None,
    summary: Any = None,
    goal: Any = None,
    overwrite: Any = None,
) -> dict[str, Any]:
    """The record of a definition.

    Raises:
        MetricError: An argument of a wrong type or value, with the argument's name.
    """
    step_metric = step_metric.name if isinstance(step_metric, Metric) else step_metric
    _check_names(name, step_metric)
    for argument, value in (("step_sync", step_sync), ("hidden", hidden), ("overwrite", overwrite)):
        if value is not None and not isinstance(value, bool):
            raise MetricError(f"Unhandled define_metric() arg: {argument} type: {type(value).__name__}")
    if goal is not None:
        if goal not in _GOALS:
            raise MetricError(
                f"Unhandled define_metric() arg: goal: {goal!r}; expected 'minimize' or 'maximize'"
            )
        goal = _GOALS[goal]
    words: list[str] = []
    if summary is not None:
        words, goal = _summary_words(summary, goal)
    record: dict[str, Any] = {"glob_name" if name.endswith("*") else "name": name}
    if step_metric:
        record["step_metric"] = step_metric
        step_sync = True if step_sync is None else step_sync
    for key, value in (
        ("step_sync", step_sync),
        ("hidden", hidden),
        ("goal", goal),
        ("overwrite", overwrite),
    ):
        if value is not None:
            record[key] = value
    if words:
        record["summary"] = words
    return record
