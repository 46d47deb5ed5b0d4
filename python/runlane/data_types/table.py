"""`Table`: rows of cells in columns that have a type each."""

from __future__ import annotations

import os

from runlane import terminal

from . import _dtypes
from ._files import temporary
from ._table_columns import TypedColumns
from ._table_inputs import checked_columns, frame_content, is_dataframe, rows_of
from ._table_keys import index_of
from .base import is_artifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO

LOG_MODES = ("IMMUTABLE", "MUTABLE", "INCREMENTAL")


class Table(TypedColumns):
    """Rows of values, logged as one value of a row: `run.log({"samples": table})`.

    A column has one type: number (ints, floats, numpy's numbers), string, boolean, timestamp, a list of one type, a dict with typed
    keys, an array of one shape, a kind of media, or one class of objects. None fits every optional column, and NaN counts as None.

    Logging stores the rows twice: as a file of the run, and in full, with the files of media objects in cells, as the artifact
    `run-<run id>-<key>`, from which `artifact.get(key)` makes the table again.

    Args:
        columns: Names, strings or integers. Default: the columns of a DataFrame, else `Input`, `Output`, `Expected`.
        data: Rows of one cell for each column: lists, a 2-D array, or a DataFrame.
        rows: Another name of `data`.
        dataframe: A pandas DataFrame; its index is left out. `columns` and `data` do not count then.
        dtype: The type of each column (a list), or of all: `int`, `str`, `bool`, `datetime`, … Default: the type of its first cell.
        optional: Whether a column takes None: for each (a list), or for all.
        allow_mixed_types: Columns take cells of any type.
        log_mode: What logging the same object again does. `IMMUTABLE`: rows refer to what was logged first. `MUTABLE`: the table is
            stored again if it was changed. `INCREMENTAL`: rows added since the last time are stored.

    Raises:
        TypeError: A cell does not fit its column, or an argument has the wrong type.
        ValueError: A row has another number of cells than there are columns, or `log_mode` is unknown.
    """

    #: Rows that are a file of the run; the first ones. May be set.
    MAX_ROWS = 10_000
    #: Rows that an artifact takes; further ones are left out with a warning. May be set.
    MAX_ARTIFACT_ROWS = 200_000
    _log_type = "table"
    _kind = "table"

    def __init__(
        self,
        columns: Sequence[str | int] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: bool | Sequence[bool] = True,
        allow_mixed_types: bool = False,
        log_mode: str | None = "IMMUTABLE",
    ) -> None:
        super().__init__()
        if log_mode not in LOG_MODES:
            raise ValueError(f"Invalid log_mode: {log_mode}. Must be one of {list(LOG_MODES)}")
        self.log_mode = log_mode
        self._allow_mixed_types = bool(allow_mixed_types)
        self._warned_of_change = False
        self._changed = False
        #: Of an incremental table: the run that has it, its rows there, and the numbers and paths of what was stored.
        self._increments_run: Any = None
        self._stored_rows = 0
        self._increment: int | None = None
        self._previous_increments: list[str] = []
        self._last_increment: str | None = None
        given = rows if data is None else data
        if dataframe is not None:
            if not is_dataframe(dataframe):
                raise TypeError(f"`dataframe` must be a pandas DataFrame, got {type(dataframe).__name__}")
            given = dataframe
        cells: list[list[Any]] = []
        if is_dataframe(given):
            columns, cells = frame_content(given)
        elif given is not None:
            cells = rows_of(given)
        self.columns: list[Any] = checked_columns(columns)
        self.data: list[list[Any]] = []
        self._set_types(self._initial_types(dtype, optional))
        self._extend(cells)

    # -- reading -----------------------------------------------------------------------------------------------------

    def get_column(self, name: str | int, convert_to: str | None = None) -> Any:
        """The cells of a column.

        Args:
            name: Its name.
            convert_to: `"numpy"` for an array of shape (rows, …) instead of a list; media objects as their data. Cells of different
                shapes are objects of the array.

        Raises:
            KeyError: There is no such column.
            ValueError: `convert_to` is something else.
            NotImplementedError: A cell is a media object that has no array.
        """
        if convert_to not in (None, "numpy"):
            raise ValueError(f'`convert_to` must be None or "numpy", got {convert_to!r}')
        index = self._index(name)
        cells = [row[index] for row in self.data]
        if convert_to is None:
            return cells
        return _as_array(cells)

    def get_dataframe(self) -> Any:
        """The table as a pandas DataFrame."""
        pd = __import__("pandas")
        return pd.DataFrame.from_records(self.data, columns=self.columns)

    def get_index(self) -> list[int]:
        """The numbers of the rows; as cells of another table they refer to the rows of this one."""
        return [index_of(index, self) for index in range(len(self.data))]

    def index_ref(self, index: int) -> Any:
        """The number of a row, which knows its row: `get_row()`.

        Raises:
            IndexError: There is no such row.
        """
        if not 0 <= index < len(self.data):
            raise IndexError(f"there is no row {index}, only {len(self.data)} rows")
        return index_of(index, self)

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Number and cells of each row; the number refers to the row when it is a cell of another table."""
        for index, row in enumerate(self.data):
            yield index_of(index, self), row

    def to_data_array(self) -> list[list[Any]]:
        """A copy of the rows."""
        return [list(row) for row in self.data]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return False
        return (
            self.columns == other.columns
            and len(self.data) == len(other.data)
            and self._types == other._types
            and all(
                len(one) == len(two) and all(map(_same, one, two))
                for one, two in zip(self.data, other.data, strict=True)
            )
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<runlane.Table {len(self.data)} x {len(self.columns)}: {', '.join(map(str, self.columns))[:200]}>"

    # -- types -------------------------------------------------------------------------------------------------------

    @property
    def _column_types(self) -> _dtypes.TypedDict:
        return _dtypes.TypedDict(dict(zip(self.columns, self._types, strict=True)))

    def _cell_type(self) -> _dtypes.Type:
        return _dtypes.TableType(self._column_types)

    @staticmethod
    def _named_cell_type() -> _dtypes.Type:
        return _dtypes.TableType()

    # -- storing -----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        # A copy is changed without the original: neither the run's file nor an artifact's is its content.
        return {
            **super().__getstate__(),
            "_artifact_source": None,
            "_artifact_target": None,
            "_increments_run": None,
            # Functions; made anew.
            "_keyed": {},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_types(self._types)
        for index in self._keyed:
            self._key_cells(index)

    def has_been_logged(self) -> bool:
        """Whether a run has the table."""
        return self.is_bound()

    def _note_change(self) -> None:
        self._changed = True
        # What artifacts hold is no longer the table.
        self._artifact_source = self._artifact_target = None
        if self.log_mode == "IMMUTABLE" and self.is_bound() and not self._warned_of_change:
            self._warned_of_change = True
            terminal.termwarn(
                "a Table with log_mode='IMMUTABLE' is changed after it was logged: further log() calls have no effect on"
                " what is stored\nhint: Table(log_mode='MUTABLE') stores it again"
            )

    def _row_value(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        if self.log_mode != "IMMUTABLE" and self._changed:
            self._bound = None
        return super()._row_value(run, key, step)

    def _store(self, run: Any, key: str, step: int | str, id_: int | str | None = None) -> dict[str, Any]:
        del id_
        from ._table_logging import store

        stored = store(self, run, key, step)
        self._changed = False
        return stored

    def _described(self, file: dict[str, Any]) -> dict[str, Any]:
        described: dict[str, Any] = {
            **file,
            "_type": "table-file",
            "ncols": len(self.columns),
            "nrows": len(self.data),
            "log_mode": self.log_mode,
        }
        if self.log_mode == "INCREMENTAL":
            described["_type"] = "incremental-table-file"
            described["increment_num"] = self._increment or 0
            described["previous_increments_paths"] = list(self._previous_increments)
        return described

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """What a row holds, after `bind_to_run`; or all that the file of an artifact holds, files of cells being added to it.

        Raises:
            TypeError: The table is not stored with this run, or a cell has no form.
            OSError: A file of a cell cannot be read.
        """
        if is_artifact(run_or_artifact):
            from ._table_files import as_json

            return as_json(self, run_or_artifact)
        return super().to_json(run_or_artifact)

    def _write_artifact_form(self, artifact: Any, file: BinaryIO) -> None:
        """Write what the file of an artifact holds, piece by piece."""
        from ._table_files import write

        write(self, artifact, file)

    def _entry_for_keys(self, artifact: Any) -> str:
        """The artifact's entry with this table, which keys of another one refer to.

        Raises:
            OSError: It cannot be written.
        """
        path = temporary.path(".table.json")
        try:
            with open(path, "wb") as file:
                self._write_artifact_form(artifact, file)
            return str(artifact.add_file(path, name="media/tables/keys.table.json", is_tmp=True).path)
        finally:
            if os.path.exists(path):
                os.unlink(path)

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Table:
        """The table whose file in an artifact says `json_obj`; cells that are media objects are read.

        Raises:
            ValueError: It is no table.
            TypeError: A column has a type that is not known.
            OSError: A file of the artifact cannot be had.
        """
        from ._table_reading import Content

        content = Content(json_obj, source_artifact)
        mode = content.log_mode if content.log_mode in LOG_MODES else "IMMUTABLE"
        table = cls(columns=content.columns, log_mode=mode)
        if content.types is None:
            table._extend(content.rows)
        else:
            table._set_types(content.types)
            table.data = content.rows
            for index in table._keyed:
                table._key_cells(index)
        return table


def _as_array(cells: list[Any]) -> Any:
    """Cells as a numpy array."""
    import numpy as np

    values = [cell.to_data_array() if hasattr(type(cell), "_runlane_value") else cell for cell in cells]
    try:
        return np.array(values)
    except ValueError:
        # Cells of different shapes.
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array


def _same(one: Any, other: Any) -> bool:
    equal = one == other
    if hasattr(equal, "all"):
        return getattr(one, "shape", ()) == getattr(other, "shape", ()) and bool(equal.all())
    return bool(equal)
