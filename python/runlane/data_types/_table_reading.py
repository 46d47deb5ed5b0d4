"""Tables from the files of artifacts."""

from __future__ import annotations

import json

from . import _dtypes, _dtypes_media, _table_files
from ._dtypes_json import type_from_json
from ._table_keys import index_of, key_of
from .base import WBValue, is_artifact, type_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    #: Makes a cell of its JSON form.
    Read = Callable[[Any], Any]

#: Column types whose JSON form is the cell.
_PLAIN = frozenset((_dtypes.NONE, _dtypes.STRING, _dtypes.NUMBER, _dtypes.BOOLEAN))


class Content:
    """What the file of a table says.

    Raises:
        ValueError: It is no table.
        TypeError: A column has a type that is not known.
        OSError: A file of a cell cannot be had.
    """

    def __init__(self, json_obj: dict[str, Any], artifact: Any) -> None:
        self.columns: list[Any] = json_obj.get("columns") or []
        self.log_mode: str = json_obj.get("log_mode") or "IMMUTABLE"
        rows = json_obj.get("data")
        if not isinstance(self.columns, list) or not isinstance(rows, list):
            raise ValueError(  # noqa: TRY004, RUF100 - the file is wrong, not an argument
                "a file of a table must have lists of `columns` and `data`"
            )
        if self.log_mode == "INCREMENTAL":
            rows = _all_increments(rows, artifact)
        width = len(self.columns)
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != width:
                raise ValueError(f"row {number} of the table's file does not have {width} cells")
        self.rows: list[list[Any]] = rows
        described = json_obj.get("column_types")
        self.types: list[_dtypes.Type] | None = None
        if described is not None:
            self.types = self._read_types(described, artifact)
            _fetch_files(rows, self.types, artifact)
            for index, one in enumerate(self.types):
                self.types[index] = self._read_column(index, one, artifact)
        else:
            self._read_untyped(artifact)

    def _read_types(self, described: Any, artifact: Any) -> list[_dtypes.Type]:
        types = type_from_json(described, artifact)
        if not isinstance(types, _dtypes.TypedDict):
            raise TypeError(f"`column_types` must be a typedDict, got {types!r:.80}")
        # Keys of JSON are texts, names of columns may be numbers.
        missing = [name for name in self.columns if str(name) not in types.types]
        if missing:
            raise ValueError(f"`column_types` has no type of column `{missing[0]}`")
        return [types.types[str(name)] for name in self.columns]

    def _read_column(self, index: int, one: _dtypes.Type, artifact: Any) -> _dtypes.Type:
        """Make the column's cells objects; returns its type, which no longer says where arrays are."""
        arrays = _dtypes.array_part(one)
        if arrays is not None and arrays.stored is not None:
            values = _table_files.read_arrays(arrays.stored, artifact)
            if len(values) < len(self.rows):
                raise ValueError(f"column `{self.columns[index]}` has {len(values)} arrays")
            for row, value in zip(self.rows, values, strict=False):
                row[index] = value
            return _dtypes.with_arrays_at(one, None)
        read = _reader(one, artifact)
        if read is not None:
            for row in self.rows:
                row[index] = read(row[index])
        return one

    def _read_untyped(self, artifact: Any) -> None:
        read = _any_reader(artifact)
        for row in self.rows:
            row[:] = map(read, row)


def _fetch_files(rows: list[list[Any]], types: list[_dtypes.Type], artifact: Any) -> None:
    """Bring the files of cells to this machine at once, where there are several: one by one each waits for its own answer."""
    if not is_artifact(artifact):
        return
    columns = [index for index, one in enumerate(types) if _reader(one, artifact) is not None]
    paths = {
        cell["path"]: None
        for row in rows
        for index in columns
        if isinstance(cell := row[index], dict) and isinstance(cell.get("path"), str)
    }
    entries = artifact.manifest.entries
    wanted = [entries[path] for path in paths if path in entries]
    if len(wanted) > 1:
        from runlane.artifacts._downloader import Download

        with Download(artifact, str(artifact._default_root())) as download:
            download.run(wanted)


def _all_increments(own: list[Any], artifact: Any) -> list[Any]:
    """The rows of all increments that a version of an artifact has, in their order."""
    entries = getattr(getattr(artifact, "manifest", None), "entries", {})
    paths = [path for path in entries if path.endswith(".table.json")]
    if len(paths) < 2:
        return own
    rows: list[Any] = []
    for path in sorted(paths, key=_place_of_increment):
        with open(artifact.get_entry(path).download(), encoding="utf-8") as file:
            rows += json.load(file).get("data") or []
    return rows


def _place_of_increment(path: str) -> tuple[int, int]:
    number, _, rest = path.partition("-")
    try:
        # The first one has no number, but `None`.
        return int(number), int(rest.partition(".")[0])
    except ValueError:
        return 0, 0


def _reader(one: _dtypes.Type, artifact: Any) -> Read | None:
    """Makes cells of a type of their JSON forms; None if they are those."""
    if one in _PLAIN:
        return None
    if isinstance(one, _dtypes.Union):
        return _union_reader(one, artifact)
    if one is _dtypes.TIMESTAMP:
        return _timestamp
    if isinstance(one, _dtypes.List):
        return _list_reader(one, artifact)
    if isinstance(one, _dtypes.TypedDict):
        return _dict_reader(one, artifact)
    if isinstance(one, _dtypes.NDArray):
        return _array_reader
    if isinstance(one, _dtypes_media.ForeignKey):
        return lambda value: key_of(value, one.table, one.column)
    if isinstance(one, _dtypes_media.ForeignIndex):
        return lambda value: index_of(value, one.table)
    if one is _dtypes_media.PRIMARY_KEY:
        return None
    return _any_reader(artifact)


def _union_reader(one: _dtypes.Union, artifact: Any) -> Read | None:
    readers = [_reader(part, artifact) for part in one.allowed if part is not _dtypes.NONE]
    if all(read is None for read in readers):
        return None
    # Of several types that are more than JSON values, only the value tells which it has.
    read = readers[0] if len(readers) == 1 else _any_reader(artifact)
    return lambda value: None if value is None or read is None else read(value)


def _list_reader(one: _dtypes.List, artifact: Any) -> Read | None:
    read = _any_reader(artifact) if one.element is _dtypes.INVALID else _reader(one.element, artifact)
    if read is None:
        return None
    return lambda value: [read(item) for item in value] if isinstance(value, list) else value


def _dict_reader(one: _dtypes.TypedDict, artifact: Any) -> Read | None:
    readers = {
        str(key): read for key, part in one.types.items() if (read := _reader(part, artifact)) is not None
    }
    if not readers:
        return None

    def read_all(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: readers[key](item) if key in readers else item for key, item in value.items()}

    return read_all


def _array_reader(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    import numpy as np

    return np.array(value)


def _timestamp(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        return value
    from datetime import datetime, timedelta, timezone

    # From a fixed point: `fromtimestamp` refuses years before 1970 on some systems.
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=value)


def _any_reader(artifact: Any) -> Read:
    def read(value: Any) -> Any:
        if isinstance(value, list):
            return [read(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("_type")
        if isinstance(kind, str) and type_of(kind) is not None:
            try:
                made = WBValue.init_from_json(value, artifact)
            except (NotImplementedError, KeyError):
                # A type that cannot be read back, or a dict of the user's that looks like one.
                return value
            return value if made is None else made
        return {key: read(item) for key, item in value.items()}

    return read
