"""Keys between tables: texts that rows of a table are known by, and numbers of its rows, as cells of other tables."""

from __future__ import annotations

from ._dtypes import NUMBER, STRING, Type
from ._dtypes_media import ForeignIndex, ForeignKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._table_columns import TypedColumns


class TableKey(str):
    """A value of a table's key column."""

    _table: TypedColumns | None = None
    _col_name: str | int | None = None

    def set_table(self, table: TypedColumns, col_name: str | int | None) -> None:
        """Say whose key it is."""
        self._table = table
        self._col_name = col_name

    def _cell_type(self) -> Type:
        return STRING if self._table is None else ForeignKey(self._table, self._col_name)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy of a key without the table: the table is copied with its own.
        return str, (str(self),)


class TableIndex(int):
    """The number of a row of a table."""

    _table: TypedColumns | None = None

    def set_table(self, table: TypedColumns) -> None:
        """Say whose row it is."""
        self._table = table

    def get_row(self) -> dict[Any, Any] | None:
        """The row, column to cell; None if the table is not known."""
        if self._table is None:
            return None
        return dict(zip(self._table.columns, self._table.data[self], strict=True))

    def _cell_type(self) -> Type:
        return NUMBER if self._table is None else ForeignIndex(self._table)

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int(self),)


def key_of(value: Any, table: TypedColumns | None, column: str | int | None) -> Any:
    """A cell of a key column: of its own table, or of the one that it refers to."""
    if table is None or not isinstance(value, str) or getattr(value, "_table", None) is table:
        return value
    key = TableKey(value)
    key.set_table(table, column)
    return key


def index_of(value: Any, table: TypedColumns | None) -> Any:
    """A cell that is the number of a row of `table`."""
    if table is None or getattr(value, "_table", None) is table or not isinstance(value, int):
        return value
    index = TableIndex(value)
    index.set_table(table)
    return index
