"""Values of rows that are more than plain values: tables and histograms. Names are loaded when they are first used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .base import BatchableMedia as BatchableMedia
    from .base import Media as Media
    from .base import WBValue as WBValue
    from .eval_table import EvalTable as EvalTable
    from .histogram import Histogram as Histogram
    from .joined_table import JoinedTable as JoinedTable
    from .partitioned_table import PartitionedTable as PartitionedTable
    from .table import Table as Table

_NAMES = {
    "BatchableMedia": "base",
    "EvalTable": "eval_table",
    "Histogram": "histogram",
    "JoinedTable": "joined_table",
    "Media": "base",
    "PartitionedTable": "partitioned_table",
    "Table": "table",
    "WBValue": "base",
}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _NAMES:
        module = __import__(f"{__name__}.{_NAMES[name]}", fromlist=["_"])
    else:
        module = __import__("runlane._later", fromlist=["_"])
    return getattr(module, name)
