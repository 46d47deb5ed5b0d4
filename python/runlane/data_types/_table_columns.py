"""Rows in columns that have a type each, and how rows and columns are added: what a `Table` is besides reading and storing."""

from __future__ import annotations

from itertools import islice

from runlane import terminal
from runlane.errors import Error

from . import _dtypes, _dtypes_media
from ._table_keys import index_of, key_of
from .base import Media

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

_KEYS = (_dtypes_media.ForeignKey, _dtypes_media.ForeignIndex)
#: How often a column's type may change until its cells are looked at one by one.
_CHANGES = 4


class TypedColumns(Media):
    """The part of `Table` that keeps the rule: one type for each column."""

    columns: list[Any]
    data: list[list[Any]]
    log_mode: str
    _allow_mixed_types: bool
    _types: list[_dtypes.Type]
    #: Exact types of cells that need no second look, for each column.
    _kinds: list[frozenset[type]]
    #: Columns of keys, and what makes a cell of one a key.
    _keyed: dict[int, Callable[[Any], Any]]

    def _note_change(self) -> None:
        raise NotImplementedError

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Number and cells of each row."""
        raise NotImplementedError

    def _initial_types(self, dtype: Any, optional: bool | Sequence[bool]) -> list[_dtypes.Type]:
        width = len(self.columns)
        many = isinstance(dtype, (list, tuple)) and not (len(dtype) == 1 and width != 1)
        dtypes = list(dtype) if many else [dtype] * width
        optionals = list(optional) if isinstance(optional, (list, tuple)) else [bool(optional)] * width
        for name, given in (("dtype", dtypes), ("optional", optionals)):
            if len(given) != width:
                raise ValueError(f"`{name}` has {len(given)} entries for {width} columns: {self.columns}")
        return [
            self._column_type(one, bool(takes_none))
            for one, takes_none in zip(dtypes, optionals, strict=True)
        ]

    def _column_type(self, dtype: Any, optional: bool) -> _dtypes.Type:
        made = _dtypes.ANY if self._allow_mixed_types else _dtypes.type_named(dtype)
        return _dtypes.optional(made) if optional else made

    # -- rows --------------------------------------------------------------------------------------------------------

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
        row = list(data)
        for index, keyed in self._keyed.items():
            row[index] = keyed(row[index])
        self.data.append(row)
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
        self._types = types = [_without_none(one) for one in types]
        self._kinds = [_dtypes.plain_kinds(one) for one in types]
        self._keyed = {
            index: keyed
            for index, one in enumerate(types)
            if (keyed := self._key_maker(index, one)) is not None
        }

    def _key_maker(self, index: int, one: _dtypes.Type) -> Callable[[Any], Any] | None:
        """What makes a cell of a column of keys a key; None for other columns."""
        if one is _dtypes_media.PRIMARY_KEY:
            return lambda value: key_of(value, self, self.columns[index])
        if isinstance(one, _dtypes_media.ForeignKey):
            table, column = one.table, one.column
            return lambda value: key_of(value, table, column)
        if isinstance(one, _dtypes_media.ForeignIndex):
            referred = one.table
            return lambda value: index_of(value, referred)
        return None

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
        if not {*map(len, rows)} <= {width}:
            found = next(len(row) for row in rows if len(row) != width)
            raise ValueError(f"This table expects {width} columns: {self.columns}, found {found}")
        types = [
            self._column_assigned(index, one, [row[index] for row in rows])
            for index, one in enumerate(self._types)
        ]
        self._set_types(types)
        self.data.extend(rows)
        for index in self._keyed:
            self._key_cells(index)

    def _column_assigned(self, column: int, one: _dtypes.Type, cells: Sequence[Any]) -> _dtypes.Type:
        kinds = _dtypes.plain_kinds(one)
        changes = 0
        for row, value in enumerate(cells):
            if type(value) in kinds:
                continue
            found = self._assigned(column, one, value, row)
            if found is one:
                continue
            one, kinds = found, _dtypes.plain_kinds(found)
            changes += 1
            # Most often the rest is of exactly these types, which is seen without a look at each cell here.
            if changes <= _CHANGES and kinds.issuperset(map(type, islice(cells, row + 1, None))):
                break
        return one

    # -- columns -----------------------------------------------------------------------------------------------------

    def add_column(self, name: str, data: Any, optional: bool = False) -> None:
        """Add a column.

        Args:
            name: Its name.
            data: One cell for each row: a list or array.
            optional: Whether it takes None.

        Raises:
            TypeError: `name` is no string, `data` no list or array, or its cells have no common type.
            ValueError: The column exists, or the number of cells is not that of the rows.
            Error: The table is incremental: its earlier rows are stored without the column.
        """
        self._refuse_incremental("add_column")
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
        self._key_cells(len(self.columns) - 1)
        self._note_change()

    def add_computed_columns(self, fn: Callable[[int, dict[Any, Any]], dict[str, Any]]) -> None:
        """Add columns whose cells `fn(index, row)` returns for each row, as a dict of column to cell.

        Raises:
            Error: The table is incremental.
        """
        self._refuse_incremental("add_computed_columns")
        new: dict[str, list[Any]] = {}
        for index, row in self.iterrows():
            for name, value in fn(index, dict(zip(self.columns, row, strict=True))).items():
                new.setdefault(name, []).append(value)
        for name, cells in new.items():
            self.add_column(name, cells)

    def _refuse_incremental(self, name: str) -> None:
        if self.log_mode == "INCREMENTAL":
            raise Error(
                f"Operation '{name}' is not supported for tables with log_mode='INCREMENTAL': earlier rows are stored"
                " already\nhint: Table(log_mode='MUTABLE') is stored again as a whole"
            )

    def cast(self, col_name: str | int, dtype: Any, optional: bool = False) -> _dtypes.Type:
        """Give a column another type; its cells must fit.

        Raises:
            KeyError: There is no such column.
            TypeError: A cell does not fit.
            ValueError: The type is that of a primary key, and the table has one, or None must fit.
        """
        index = self._index(col_name)
        one = _dtypes.type_named(dtype)
        if one is _dtypes_media.PRIMARY_KEY:
            if optional:
                raise ValueError("a primary key cannot be optional")
            for other, known in enumerate(self._types):
                if known is one and other != index:
                    raise ValueError(
                        f"Cannot have multiple primary keys - {self.columns[other]} is already set as the primary key."
                    )
        one = _dtypes.optional(one) if optional else one
        one = self._column_assigned(index, one, [row[index] for row in self.data])
        self._set_types([*self._types[:index], one, *self._types[index + 1 :]])
        self._key_cells(index)
        self._note_change()
        return one

    # -- keys --------------------------------------------------------------------------------------------------------

    def set_pk(self, col_name: str | int) -> None:
        """Make a column of texts the table's primary key: what other tables refer to its rows by.

        Raises:
            KeyError: There is no such column.
            TypeError: A cell is no text.
            ValueError: Another column is the primary key.
        """
        self.cast(col_name, _dtypes_media.PRIMARY_KEY)

    def set_fk(self, col_name: str | int, table: Any, table_col: str | int) -> None:
        """Make a column of texts refer to the column `table_col` of another table, which is stored along with this one.

        Raises:
            KeyError: There is no such column, here or there.
            TypeError: A cell is no text, or `table` no table.
        """
        if not isinstance(table, TypedColumns):
            raise TypeError(f"`table` must be a Table, got {type(table).__name__}")
        table._index(table_col)
        self.cast(col_name, _dtypes_media.ForeignKey(table, table_col))

    @property
    def _pk_col(self) -> Any:
        """The column that is the primary key, None if there is none."""
        found = [
            name
            for name, one in zip(self.columns, self._types, strict=True)
            if one is _dtypes_media.PRIMARY_KEY
        ]
        return found[0] if found else None

    @property
    def _fk_cols(self) -> set[Any]:
        """Columns that refer to other tables."""
        return {name for name, one in zip(self.columns, self._types, strict=True) if isinstance(one, _KEYS)}

    def _key_cells(self, index: int) -> None:
        """Make the cells of a column keys if it is one of keys."""
        keyed = self._keyed.get(index)
        if keyed is not None:
            for row in self.data:
                row[index] = keyed(row[index])

    def _index(self, name: Any) -> int:
        if name not in self.columns:
            raise KeyError(f"there is no column `{name}`, only {self.columns}")
        return self.columns.index(name)


def _without_none(one: _dtypes.Type) -> _dtypes.Type:
    """A column of keys is not optional, whatever it was before it had keys."""
    if isinstance(one, _dtypes.Union):
        return next((part for part in one.allowed if isinstance(part, _KEYS)), one)
    return one
