"""Custom charts: a table, and the name of a preset that draws it. `run.log({key: chart})` stores the table and tells the panel."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .charts import bar as bar
    from .charts import histogram as histogram
    from .charts import line as line
    from .charts import line_series as line_series
    from .charts import scatter as scatter
    from .confusion import confusion_matrix as confusion_matrix
    from .curves import pr_curve as pr_curve
    from .curves import roc_curve as roc_curve
    from .custom_chart import CustomChart as CustomChart
    from .custom_chart import CustomChartSpec as CustomChartSpec
    from .custom_chart import plot_table as plot_table
    from .viz import Visualize as Visualize
    from .viz import VisualizeSpec as VisualizeSpec
    from .viz import visualize as visualize

_NAMES = {
    "CustomChart": "custom_chart",
    "CustomChartSpec": "custom_chart",
    "Visualize": "viz",
    "VisualizeSpec": "viz",
    "bar": "charts",
    "confusion_matrix": "confusion",
    "histogram": "charts",
    "line": "charts",
    "line_series": "charts",
    "plot_table": "custom_chart",
    "pr_curve": "curves",
    "roc_curve": "curves",
    "scatter": "charts",
    "visualize": "viz",
}


def __getattr__(name: str) -> Any:
    if name in ("custom_chart", "viz"):
        return __import__(f"{__name__}.{name}", fromlist=["_"])
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{_NAMES[name]}", fromlist=["_"]), name)


def __dir__() -> list[str]:
    return sorted(_NAMES)
