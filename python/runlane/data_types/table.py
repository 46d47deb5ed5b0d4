"""`Table`: rows of cells in columns that have a type each."""

from __future__ import annotations

import sys

from runlane import terminal

from . import _dtypes, _files
from .base import Media

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

# Numbers of TelemetryRecord.feature.
_TELEMETRY = 78
_TELEMETRY_INCREMENTAL = 79
LOG_MODES = ("IMMUTABLE", "MUTABLE", "INCREMENTAL")
_DEFAULT_COLUMNS = ("Input", "Output", "Expected")


class Table(Media):
    """Rows of values, logged as one value of a row: `run.log({"samples": table})`.

    A column has one type: number (ints, floats, numpy's numbers), string, boolean, timestamp, a list of one type, a dict with typed
    keys, an array of one shape, or one class of objects. None fits every optional column, and NaN counts as None.

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

    #: Rows that are stored with the run; the first ones. May be set.
    MAX_ROWS = 10_000
    #: Rows that an artifact takes.
    MAX_ARTIFACT_ROWS = 200_000
    _log_type = "table-file"
    _stored_once = True

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
        #: Rows that are stored already, and how often, for incremental tables.
        self._stored_rows = 0
        self._increment: int | None = None
        self._previous_increments: list[str] = []
        self._changed = False
        given = rows if data is None else data
        if dataframe is not None:
            if not is_dataframe(dataframe):
                raise TypeError(f"`dataframe` must be a pandas DataFrame, got {type(dataframe).__name__}")
            given = dataframe
        cells: Iterable[list[Any]] = ()
        if is_dataframe(given):
            columns, cells = _frame_content(given)
        elif given is not None:
            cells = _rows_of(given)
        self.columns: list[Any] = _checked_columns(columns)
        self.data: list[list[Any]] = []
        self._types, self._kinds = self._initial_types(dtype, optional)
        self._extend(list(cells))

    def _initial_types(
        self, dtype: Any, optional: bool | Sequence[bool]
    ) -> tuple[list[_dtypes.Type], list[frozenset[type]]]:
        width = len(self.columns)
        many = isinstance(dtype, (list, tuple)) and not (len(dtype) == 1 and width != 1)
        dtypes = list(dtype) if many else [dtype] * width
        optionals = list(optional) if isinstance(optional, (list, tuple)) else [bool(optional)] * width
        for name, given in (("dtype", dtypes), ("optional", optionals)):
            if len(given) != width:
                raise ValueError(f"`{name}` has {len(given)} entries for {width} columns: {self.columns}")
        types = [
            self._column_type(one, bool(takes_none))
            for one, takes_none in zip(dtypes, optionals, strict=True)
        ]
        return types, [_dtypes.plain_kinds(one) for one in types]

    def _column_type(self, dtype: Any, optional: bool) -> _dtypes.Type:
        made = _dtypes.ANY if self._allow_mixed_types else _dtypes.type_named(dtype)
        return _dtypes.optional(made) if optional else made

    # -- adding ------------------------------------------------------------------------------------------------------

    def add_data(self, *data: Any) -> None:
        """Add a row, one argument for each column.

        Raises:
            ValueError: The number of cells is not that of the columns.
            TypeError: A cell does not fit its column; the table is as before.
        """
        if len(data) != len(self.columns):
            raise ValueError(
                f"This table expects {len(self.columns)} columns: {self.columns}, found {len(data)}"
            )
        for kinds, value in zip(self._kinds, data, strict=True):
            if type(value) not in kinds:
                self._widen(data)
                break
        self.data.append(list(data))
        self._note_change()

    def add_row(self, *row: Any) -> None:
        """Another name of `add_data`."""
        terminal.termwarn("add_row is deprecated, use add_data", repeat=False)
        self.add_data(*row)

    def _widen(self, row: Sequence[Any]) -> None:
        types = [
            self._assigned(index, one, value, len(self.data))
            for index, (one, value) in enumerate(zip(self._types, row, strict=True))
        ]
        self._set_types(types)

    def _set_types(self, types: list[_dtypes.Type]) -> None:
        self._types = types
        self._kinds = [_dtypes.plain_kinds(one) for one in types]

    def _assigned(self, column: int, one: _dtypes.Type, value: Any, row: int) -> _dtypes.Type:
        found = one.assign(value)
        if found is _dtypes.INVALID:
            hint = (
                ""
                if self._allow_mixed_types
                else "\nhint: Table(allow_mixed_types=True) takes cells of any type"
            )
            raise TypeError(
                f"Data row contained incompatible types: column `{self.columns[column]}` takes {one!r}, row {row} has"
                f" {_dtypes.type_of(value)!r}: {value!r:.80}{hint}"
            )
        return found

    def _extend(self, rows: list[list[Any]]) -> None:
        width = len(self.columns)
        for row in rows:
            if len(row) != width:
                raise ValueError(f"This table expects {width} columns: {self.columns}, found {len(row)}")
        types = [
            self._column_assigned(index, one, [row[index] for row in rows])
            for index, one in enumerate(self._types)
        ]
        self._set_types(types)
        self.data.extend(rows)

    def _column_assigned(self, column: int, one: _dtypes.Type, cells: Sequence[Any]) -> _dtypes.Type:
        kinds = _dtypes.plain_kinds(one)
        for row, value in enumerate(cells):
            if type(value) in kinds:
                continue
            found = self._assigned(column, one, value, row)
            if found is not one:
                one, kinds = found, _dtypes.plain_kinds(found)
        return one

    def add_column(self, name: str, data: Any, optional: bool = False) -> None:
        """Add a column.

        Args:
            name: Its name.
            data: One cell for each row: a list or array.
            optional: Whether it takes None.

        Raises:
            TypeError: `name` is no string, `data` no list or array, or its cells have no common type.
            ValueError: The column exists, or the number of cells is not that of the rows.
        """
        if not isinstance(name, str):
            raise TypeError(f"`name` must be a string, got {type(name).__name__}")
        if name in self.columns:
            raise ValueError(f"column `{name}` exists already")
        if isinstance(data, (str, bytes, dict)) or not hasattr(data, "__iter__"):
            raise TypeError(f"`data` must be a list or array, got {type(data).__name__}")
        cells = list(data)
        if self.columns and len(cells) != len(self.data):
            raise ValueError(f"Expected length {len(self.data)}, found {len(cells)}")
        self.columns.append(name)
        try:
            one = self._column_assigned(len(self.columns) - 1, self._column_type(None, optional), cells)
        except TypeError:
            self.columns.pop()
            raise
        if len(self.columns) == 1:
            self.data = [[] for _ in cells]
        for row, value in zip(self.data, cells, strict=True):
            row.append(value)
        self._set_types([*self._types, one])
        self._note_change()

    def add_computed_columns(self, fn: Callable[[int, dict[Any, Any]], dict[str, Any]]) -> None:
        """Add columns whose cells `fn(index, row)` returns for each row, as a dict of column to cell."""
        new: dict[str, list[Any]] = {}
        for index, row in self.iterrows():
            for name, value in fn(index, dict(zip(self.columns, row, strict=True))).items():
                new.setdefault(name, []).append(value)
        for name, cells in new.items():
            self.add_column(name, cells)

    def cast(self, col_name: str | int, dtype: Any, optional: bool = False) -> _dtypes.Type:
        """Give a column another type; its cells must fit.

        Raises:
            KeyError: There is no such column.
            TypeError: A cell does not fit.
        """
        index = self._index(col_name)
        one = _dtypes.type_named(dtype)
        one = _dtypes.optional(one) if optional else one
        one = self._column_assigned(index, one, [row[index] for row in self.data])
        self._set_types([*self._types[:index], one, *self._types[index + 1 :]])
        return one

    def set_pk(self, col_name: str) -> None:
        """Make a column the table's key."""
        self._refuse_keys(col_name)

    def set_fk(self, col_name: str, table: Table, table_col: str) -> None:
        """Make a column refer to another table's key."""
        del table, table_col
        self._refuse_keys(col_name)

    def _refuse_keys(self, col_name: str) -> None:
        from runlane._later import refuse

        self._index(col_name)
        refuse("keys between tables", "artifacts")

    # -- reading -----------------------------------------------------------------------------------------------------

    def _index(self, name: Any) -> int:
        if name not in self.columns:
            raise KeyError(f"there is no column `{name}`, only {self.columns}")
        return self.columns.index(name)

    def get_column(self, name: str | int, convert_to: str | None = None) -> Any:
        """The cells of a column.

        Args:
            name: Its name.
            convert_to: `"numpy"` for an array of shape (rows, …) instead of a list.

        Raises:
            KeyError: There is no such column.
            ValueError: `convert_to` is something else.
        """
        if convert_to not in (None, "numpy"):
            raise ValueError(f'`convert_to` must be None or "numpy", got {convert_to!r}')
        index = self._index(name)
        cells = [row[index] for row in self.data]
        if convert_to is None:
            return cells
        import numpy as np

        return np.array(cells)

    def get_dataframe(self) -> Any:
        """The table as a pandas DataFrame."""
        pd = __import__("pandas")
        return pd.DataFrame.from_records(self.data, columns=self.columns)

    def get_index(self) -> list[int]:
        """The numbers of the rows."""
        return list(range(len(self.data)))

    def index_ref(self, index: int) -> int:
        """The number of a row.

        Raises:
            IndexError: There is no such row.
        """
        if not 0 <= index < len(self.data):
            raise IndexError(f"there is no row {index}, only {len(self.data)} rows")
        return index

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Number and cells of each row."""
        yield from enumerate(self.data)

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

    # -- logging -----------------------------------------------------------------------------------------------------

    def has_been_logged(self) -> bool:
        """Whether a run has the table."""
        return self.is_bound()

    def _note_change(self) -> None:
        self._changed = True
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

    def _store(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        from ._table_json import encode

        first = 0
        if self.log_mode == "INCREMENTAL":
            first = self._stored_rows
            self._count_increment(run, key)
        rows = self.data[first : first + self.MAX_ROWS]
        left_out = len(self.data) - first - len(rows)
        if left_out > 0:
            terminal.termwarn(
                f"table `{terminal.printable(key)}` has {len(self.data) - first} rows: the first {len(rows)} are stored"
                "\nhint: set `Table.MAX_ROWS`, or log several tables",
                repeat=False,
            )
        content = encode(self.columns, rows, lambda value: run._convert_cell(key, value))
        run._record_feature(_TELEMETRY_INCREMENTAL if self.log_mode == "INCREMENTAL" else _TELEMETRY)
        file = _files.store(run, "table", key, step, ".table.json", content)
        self._stored_rows = len(self.data)
        self._changed = False
        return file

    def _count_increment(self, run: Any, key: str) -> None:
        if self._increment is None:
            self._increment, self._previous_increments = _resumed_increments(run, key)
        else:
            self._increment += 1

    def _described(self, file: dict[str, Any]) -> dict[str, Any]:
        described: dict[str, Any] = {
            "_type": self._log_type,
            "sha256": file["sha256"],
            "size": file["size"],
            "path": file["path"],
            "ncols": len(self.columns),
            "nrows": len(self.data),
            "log_mode": self.log_mode,
        }
        if self.log_mode == "INCREMENTAL":
            described["_type"] = "incremental-table-file"
            described["increment_num"] = self._increment or 0
            described["previous_increments_paths"] = self._previous_increments
        return described


def _resumed_increments(run: Any, key: str) -> tuple[int, list[str]]:
    """The number of the next increment and the paths of those before it, as the summary of a resumed run tells them."""
    value = run.summary.get(key) if run.resumed else None
    if not isinstance(value, dict) or value.get("_type") != "incremental-table-file":
        return 0, []
    paths = [*(value.get("previous_increments_paths") or []), value.get("artifact_path")]
    return int(value.get("increment_num") or 0) + 1, [path for path in paths if path]


def is_dataframe(value: Any) -> bool:
    """Whether `value` is a pandas DataFrame; imports nothing."""
    pandas = sys.modules.get("pandas")
    frame = getattr(pandas, "DataFrame", None)
    return frame is not None and isinstance(value, frame)


def _checked_columns(columns: Any) -> list[Any]:
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


def _rows_of(given: Any) -> list[list[Any]]:
    if isinstance(given, (str, bytes, dict)) or not hasattr(given, "__iter__"):
        raise TypeError(f"`data` must be a list of rows, an array or a DataFrame, got {type(given).__name__}")
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


def _frame_content(frame: Any) -> tuple[list[Any], list[list[Any]]]:
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


def _same(one: Any, other: Any) -> bool:
    equal = one == other
    if hasattr(equal, "all"):
        return getattr(one, "shape", None) == getattr(other, "shape", None) and bool(equal.all())
    return bool(equal)
