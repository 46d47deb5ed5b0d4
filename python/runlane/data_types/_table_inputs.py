"""What tables are made of: names of columns, and rows from lists, arrays and DataFrames."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEFAULT_COLUMNS = ("Input", "Output", "Expected")


def is_dataframe(value: Any) -> bool:
    """Whether `value` is a pandas DataFrame; imports nothing."""
    pandas = sys.modules.get("pandas")
    frame = getattr(pandas, "DataFrame", None)
    return frame is not None and isinstance(value, frame)


def checked_columns(columns: Any) -> list[Any]:
    if columns is None:
        return list(_DEFAULT_COLUMNS)
    if isinstance(columns, (str, bytes)) or not hasattr(columns, "__iter__"):
        raise TypeError(f"`columns` must be a list of names, got {type(columns).__name__}")
    names = [int(name) if _is_integer(name) else name for name in columns]
    for name in names:
        if not isinstance(name, (str, int)):
            raise TypeError(f"`columns` must be strings or integers, got {type(name).__name__}: {name!r:.80}")
    return names


def _is_integer(name: Any) -> bool:
    return hasattr(type(name), "__index__") and not isinstance(name, (int, str))


def rows_of(given: Any) -> list[list[Any]]:
    if isinstance(given, (str, bytes, dict)) or not hasattr(given, "__iter__"):
        raise TypeError(f"`data` must be a list of rows, an array or a DataFrame, got {type(given).__name__}")
    if type(given) is list and {*map(type, given)} <= {list}:
        return list(map(list.copy, given))
    rows = []
    for row in given:
        if type(row) is list:
            rows.append(row[:])
        elif (
            isinstance(row, (str, bytes, dict)) or not hasattr(row, "__iter__") or not getattr(row, "ndim", 1)
        ):
            raise TypeError(f"a row of `data` must be a list of cells, got {type(row).__name__}: {row!r:.80}")
        else:
            rows.append(list(row))
    return rows


def frame_content(frame: Any) -> tuple[list[Any], list[list[Any]]]:
    """Column names and rows of a DataFrame, with cells of Python's own types where there are such."""
    columns = []
    for index in range(frame.shape[1]):
        array = frame.iloc[:, index].values
        # Pandas' own arrays have a value for what is missing, whatever their kind.
        plain = type(array).__module__ == "numpy" and array.dtype.kind in "biuf"
        columns.append(array.tolist() if plain else [_present(value) for value in array])
    names = [
        name if isinstance(name, (str, int)) or _is_integer(name) else str(name) for name in frame.columns
    ]
    return names, [list(row) for row in zip(*columns, strict=True)]


def _present(value: Any) -> Any:
    """`value`, None for what pandas has in place of a missing one."""
    return None if type(value).__name__ in ("NAType", "NaTType") else value
