"""Charts of a table's columns: lines, points, bars, frequencies."""

from __future__ import annotations

from runlane.data_types.table import Table

from .custom_chart import CustomChart, plot_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def line(
    table: Table, x: str, y: str, stroke: str | None = None, title: str = "", split_table: bool = False
) -> CustomChart:
    """A line through the points of two columns, in the order of `x`.

    Args:
        table: The data.
        x: Column of the x axis.
        y: Column of the y axis.
        stroke: Column whose values make a line each.
        title: Title of the chart.
        split_table: Whether the table gets a section of its own.

    Raises:
        Error: `table` is no table.
    """
    return plot_table(
        "wandb/line/v0", table, {"x": x, "y": y, "stroke": stroke}, {"title": title}, split_table
    )


def scatter(table: Table, x: str, y: str, title: str = "", split_table: bool = False) -> CustomChart:
    """The points of two columns.

    Raises:
        Error: `table` is no table.
    """
    return plot_table("wandb/scatter/v0", table, {"x": x, "y": y}, {"title": title}, split_table)


def bar(table: Table, label: str, value: str, title: str = "", split_table: bool = False) -> CustomChart:
    """A bar for each row: `label` names it, `value` is its length.

    Raises:
        Error: `table` is no table.
    """
    return plot_table("wandb/bar/v0", table, {"label": label, "value": value}, {"title": title}, split_table)


def histogram(table: Table, value: str, title: str = "", split_table: bool = False) -> CustomChart:
    """How often values of a column occur, in bins.

    Raises:
        Error: `table` is no table.
    """
    return plot_table("wandb/histogram/v0", table, {"value": value}, {"title": title}, split_table)


def line_series(
    xs: Iterable[Iterable[Any]] | Iterable[Any],
    ys: Iterable[Iterable[Any]],
    keys: Iterable[str] | None = None,
    title: str = "",
    xname: str = "x",
    split_table: bool = False,
) -> CustomChart:
    """Several lines.

    Args:
        xs: Places on the x axis: one list for all lines, or one for each.
        ys: The values of each line.
        keys: The name of each line. Default: `line_0`, `line_1`, …
        title: Title of the chart.
        xname: Name of the x axis.
        split_table: Whether the table gets a section of its own.

    Raises:
        TypeError: `xs` or `ys` is no list of lists.
        ValueError: The numbers of lists do not go together.
    """
    lines = _lists("ys", ys)
    places = _listed("xs", xs)
    if places and not _is_list(places[0]):
        x_lines = [places] * len(lines)
    else:
        x_lines = _lists("xs", places)
    if len(x_lines) != len(lines):
        raise ValueError(f"Number of x-series ({len(x_lines)}) must match y-series ({len(lines)}).")
    names = [f"line_{index}" for index in range(len(lines))] if keys is None else list(keys)
    if len(names) != len(lines):
        raise ValueError(f"Number of keys ({len(names)}) must match y-series ({len(lines)}).")
    # The shorter list of a line decides: a point needs both.
    rows = [
        [x, name, y]
        for name, x_line, y_line in zip(names, x_lines, lines, strict=True)
        for x, y in zip(x_line, y_line, strict=False)
    ]
    columns = ["step", "lineKey", "lineVal"]
    return plot_table(
        "wandb/lineseries/v0",
        Table(columns=columns, data=rows),
        {name: name for name in columns},
        {"title": title, "xname": xname},
        split_table,
    )


def _is_list(value: Any) -> bool:
    return (
        hasattr(value, "__iter__")
        and not isinstance(value, (str, bytes, dict))
        and getattr(value, "ndim", 1) > 0
    )


def _listed(name: str, value: Any) -> list[Any]:
    if not _is_list(value):
        raise TypeError(f"`{name}` must be a list, got {type(value).__name__}")
    return value.tolist() if hasattr(value, "tolist") else list(value)


def _lists(name: str, value: Any) -> list[list[Any]]:
    return [_listed(f"{name}[{index}]", one) for index, one in enumerate(_listed(name, value))]
