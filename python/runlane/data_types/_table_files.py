"""Tables as files of artifacts: `<name>.table.json`, in full, and what is needed to read one back.

```json
{"_type": "table", "column_types": {…}, "columns": ["id"], "data": [[0]], "log_mode": "IMMUTABLE", "ncols": 1, "nrows": 1}
```

Keys are sorted. Incremental tables add `increment_num` and `previous_increments_paths` and hold the rows of one increment. Media
objects in cells are their artifact forms, their files entries of the artifact. Columns of arrays are either lists in the cells (up to
150 numbers) or one array over all rows in `media/serialized_data/<hash>.npz`, named by the column's type, with null in the cells.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager

from runlane import terminal
from runlane._convert import UnconvertibleError, convert_object

from . import _dtypes, _table_json
from ._files import temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from .table import Table

#: Longest array of one dimension that stays in the cells.
INLINE_VALUES = 150
#: What names of artifacts cannot have.
_UNSAFE = re.compile(r"[^a-zA-Z0-9_\-.]")
_NAME_CHARACTERS = 128


def artifact_name(prefix: str, key: str) -> str:
    """The name of the artifact that a run has for the table under `key`: `<prefix><key>` without what names cannot have.

    A name that had to be changed ends in six characters of its CRC-32, so that `a/b` and `ab` are two (the form is W&B's).
    """
    import base64
    import zlib

    name = prefix + key
    safe = _UNSAFE.sub("", name)
    if safe == name and len(name) <= _NAME_CHARACTERS:
        return name
    crc = zlib.crc32(name.encode("utf-8", "surrogatepass")).to_bytes(4, "big")
    mark = "-" + base64.urlsafe_b64encode(crc).decode().rstrip("=")
    return safe[: _NAME_CHARACTERS - len(mark)] + mark


class _Writing(threading.local):
    """What this thread is writing."""

    #: Identities of the tables, the outermost first.
    tables: tuple[int, ...] = ()
    #: What stands for an object that has no form.
    convert: Any = None


_writing = _Writing()


@contextmanager
def converting(convert: Any) -> Iterator[None]:
    """Within this, objects without a form are what `convert` returns; otherwise they are refused."""
    _writing.convert = convert
    try:
        yield
    finally:
        _writing.convert = None


@contextmanager
def _entered(table: Table) -> Iterator[None]:
    """Within this, `table` is being written.

    Raises:
        ValueError: It is already: its keys or cells lead back to it.
    """
    outer = _writing.tables
    if id(table) in outer:
        raise ValueError("a table's keys or cells lead back to the table itself: it cannot be stored")
    _writing.tables = (*outer, id(table))
    try:
        yield
    finally:
        _writing.tables = outer


def write(table: Table, artifact: Any, file: BinaryIO) -> None:
    """Write the file of a table that is added to `artifact`; files of its cells are entries of the artifact after that.

    Args:
        table: The table.
        artifact: A draft.
        file: Open for writing.

    Raises:
        TypeError: A cell has no form.
        ValueError: The table's keys or cells lead back to it.
        OSError: A file cannot be read or written.
    """
    with _entered(table):
        form = _Form(table, artifact)
        pieces = _table_json.artifact_pieces(
            form.before,
            form.after,
            table.data,
            form.begin,
            form.end,
            artifact,
            _writing.convert or refused,
            form.nulls,
        )
        for piece in pieces:
            file.write(piece)


def as_json(table: Table, artifact: Any) -> dict[str, Any]:
    """The same as one value, as a table that is a cell of another one has it.

    Raises:
        TypeError: A cell has no form.
        ValueError: The table's keys or cells lead back to it.
    """
    convert = _writing.convert or refused
    with _entered(table):
        form = _Form(table, artifact)
        rows = [
            [
                None if column in form.nulls else _table_json.artifact_cell(value, artifact, convert)
                for column, value in enumerate(row)
            ]
            for row in table.data[form.begin : form.end]
        ]
        return {**form.before, "data": rows, **form.after}


def refused(value: Any) -> Any:
    """The plain form of an object in an artifact.

    Raises:
        TypeError: It has none.
    """
    try:
        return convert_object(value, lambda item: item, histograms=False)
    except UnconvertibleError as error:
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(f"Object of type {name} is not JSON serializable: a table cannot hold it") from error


class _Form:
    """The members of the file besides the rows, which rows it has, and which columns are not in the cells."""

    def __init__(self, table: Table, artifact: Any) -> None:
        self.begin, self.end = _stored_rows(table)
        self.nulls: list[int] = []
        types: dict[Any, dict[str, Any]] = {}
        for index, name in enumerate(table.columns):
            types[name] = self._column(table, index, artifact).to_json(artifact)
        self.before: dict[str, Any] = {
            "_type": table._log_type,
            "column_types": {"wb_type": "typedDict", "params": {"type_map": types}},
            "columns": list(table.columns),
        }
        self.after: dict[str, Any] = {
            "log_mode": table.log_mode,
            "ncols": len(table.columns),
            "nrows": self.end - self.begin,
        }
        if table.log_mode == "INCREMENTAL":
            self.after["increment_num"] = table._increment or 0
            self.after["previous_increments_paths"] = list(table._previous_increments)

    def _column(self, table: Table, index: int, artifact: Any) -> _dtypes.Type:
        one = table._types[index]
        arrays = _dtypes.array_part(one)
        if arrays is None:
            return one
        if len(arrays.shape) == 1 and arrays.shape[0] <= INLINE_VALUES:
            return _dtypes.List(_dtypes.NUMBER, arrays.shape[0])
        name = str(table.columns[index])
        path = _store_arrays([row[index] for row in table.data[self.begin : self.end]], name, artifact)
        if path is None:
            return _dtypes.with_arrays_at(one, None)
        self.nulls.append(index)
        return _dtypes.with_arrays_at(one, {"path": path, "key": name})


def _stored_rows(table: Table) -> tuple[int, int]:
    """The rows that the file has, of an incremental table those that no file has yet; says so where rows are left out."""
    begin = table._stored_rows if table.log_mode == "INCREMENTAL" else 0
    end = len(table.data)
    most = table.MAX_ARTIFACT_ROWS
    if end - begin > most:
        terminal.termwarn(
            f"Truncating wandb.Table object to {most} rows: it has {end - begin}"
            "\nhint: set `Table.MAX_ARTIFACT_ROWS`, or log several tables"
        )
        end = begin + most
    return begin, end


def _store_arrays(cells: list[Any], name: str, artifact: Any) -> str | None:
    """The artifact's entry with the arrays of a column as one of shape (rows, …); None if they make none."""
    import zipfile

    import numpy as np

    if any(cell is None for cell in cells):
        return None
    try:
        # A list of lists of different lengths, and what is no number, has no such array.
        array = np.array(cells)
    except ValueError:
        return None
    if array.dtype.hasobject:
        return None
    path = temporary.path(".npz")
    try:
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as file,
            file.open(f"{name}.npy", "w", force_zip64=True) as entry,
        ):
            np.lib.format.write_array(entry, array, allow_pickle=False)
        return str(artifact.add_file(path, name="media/serialized_data/column.npz", is_tmp=True).path)
    finally:
        if os.path.exists(path):
            os.unlink(path)


def read_arrays(stored: dict[str, str], artifact: Any) -> Any:
    """The arrays of a column, of shape (rows, …).

    Raises:
        ValueError: The file is not one of arrays, or lacks the column.
        OSError: It cannot be had.
    """
    import numpy as np

    with np.load(artifact.get_entry(stored["path"]).download(), allow_pickle=False) as file:
        if stored["key"] not in file:
            raise ValueError(f"`{stored['path']}` has no arrays of column `{stored['key']}`")
        return file[stored["key"]]
