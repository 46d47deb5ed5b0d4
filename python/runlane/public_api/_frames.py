"""Data frames from packed columns: pandas, Polars or Arrow, whichever is installed and asked for."""

from __future__ import annotations

from runlane.errors import CommError

from . import _bulk
from ._errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runlane._core import FrameColumns

    from ._stored_run import Run

FORMATS = ("arrow", "polars", "pandas")


def needed_module(name: str, what: str) -> Any:
    """The module that a format needs.

    Raises:
        ImportError: It is not installed; the message names the package.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{what} needs {name}\nhint: pip install {name}") from error


def history_frame(
    run: Run,
    keys: list[str] | None,
    form: str,
    min_step: int | None,
    max_step: int | None,
    stream: str,
) -> Any:
    """All rows as one frame; see `Run.history_frame`."""
    if form not in FORMATS:
        raise InvalidArgumentError(f"Invalid format: {form}. Must be one of 'arrow', 'polars', 'pandas'")
    made = {"arrow": _arrow, "polars": _polars, "pandas": _pandas}[form]
    needed_module("pyarrow" if form == "arrow" else form, f'`format="{form}"`')
    return made(_columns(run, keys, min_step, max_step, stream))


def _columns(
    run: Run, keys: list[str] | None, min_step: int | None, max_step: int | None, stream: str
) -> FrameColumns:
    from runlane._core import FrameColumns

    stored = "history" if stream == "default" else "events"
    if not run._api._has_feature("RUNLANE_BULK_HISTORY"):
        raise CommError(
            f"the server at {run._api._client.base_url} does not send whole histories as columns"
            "\nhint: use `scan_history()`"
        )
    attempts = 0
    while True:
        columns = FrameColumns()
        try:
            with _bulk.frames(run, keys, min_step, max_step, stored) as frames:
                for frame in frames:
                    columns.add(frame)
        except _bulk.BrokenOffError as error:
            attempts += 1
            if attempts > _bulk.MAX_ATTEMPTS:
                raise CommError(str(error), error) from error
        else:
            return columns


def _present(validity: bytes, rows: int) -> Any:
    import numpy as np

    return np.unpackbits(np.frombuffer(validity, np.uint8), count=rows, bitorder="little").view(bool)


def _numbers(columns: FrameColumns, index: int, kind: str) -> tuple[Any, Any]:
    """The values of a column of numbers or booleans, and which of them are there."""
    import numpy as np

    validity, _, values = columns.buffers(index)
    present = _present(validity, columns.rows)
    if kind == "bool":
        return _present(values, columns.rows), present
    return np.frombuffer(values, np.int64 if kind == "int" else np.float64), present


def _pandas(columns: FrameColumns) -> Any:
    """As `DataFrame.from_records` of the rows: what is missing makes integers floats, and booleans objects."""
    import numpy as np
    import pandas as pd  # type: ignore[import-untyped, import-not-found, unused-ignore]

    data: dict[str, Any] = {}
    for index, (name, kind, missing) in enumerate(columns.columns()):
        if kind in ("int", "float", "bool"):
            values, present = _numbers(columns, index, kind)
            if missing and kind == "bool":
                values = values.astype(object)
                values[~present] = np.nan
            elif missing:
                values = np.where(present, values, np.nan)
            data[name] = values
        elif kind == "empty":
            data[name] = np.full(columns.rows, None, dtype=object)
        else:
            made = np.empty(columns.rows, dtype=object)
            made[:] = columns.objects(index)
            if missing:
                made[~_present(columns.buffers(index)[0], columns.rows)] = np.nan
            data[name] = made
    return pd.DataFrame(data, index=pd.RangeIndex(columns.rows))


def _arrow(columns: FrameColumns) -> Any:
    """The columns as they are, without a copy; nested and mixed values are text with `runlane.kind` = `json`."""
    import pyarrow as pa  # type: ignore[import-not-found, unused-ignore]

    types = {
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "text": pa.large_string(),
        "json": pa.large_string(),
    }
    fields, arrays = [], []
    for index, (name, kind, missing) in enumerate(columns.columns()):
        if kind == "empty":
            fields.append(pa.field(name, pa.null()))
            arrays.append(pa.nulls(columns.rows))
            continue
        validity, ends, values = columns.buffers(index)
        buffers = [pa.py_buffer(validity) if missing else None]
        if ends:
            # Arrow's offsets begin with that of the first text.
            buffers.append(pa.py_buffer(bytes(8) + ends))
        buffers.append(pa.py_buffer(values))
        metadata = {"runlane.kind": "json"} if kind == "json" else None
        fields.append(pa.field(name, types[kind], metadata=metadata))
        arrays.append(pa.Array.from_buffers(types[kind], columns.rows, buffers, missing))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _polars(columns: FrameColumns) -> Any:
    import polars as pl  # type: ignore[import-not-found, unused-ignore]

    data = []
    for index, (name, kind, missing) in enumerate(columns.columns()):
        if kind in ("int", "float", "bool"):
            values, present = _numbers(columns, index, kind)
            series = pl.Series(name, values)
            if missing:
                series = pl.select(pl.when(pl.Series(present)).then(series).alias(name)).to_series()
        elif kind == "empty":
            series = pl.Series(name, [None] * columns.rows, dtype=pl.Null)
        else:
            series = pl.Series(name, columns.texts(index), dtype=pl.String)
        data.append(series)
    return pl.DataFrame(data)


def histories_frame(rows: list[dict[str, Any]], form: str) -> Any:
    """Sampled rows of several runs as one frame, the columns by name."""
    module = needed_module(form, f'`format="{form}"`')
    names = sorted({name for row in rows for name in row})
    if form == "pandas":
        return module.DataFrame.from_records(rows, columns=names)
    return module.from_dicts(rows, infer_schema_length=None).select(names) if rows else module.DataFrame()
