"""The JSON texts of tables, in pieces of bounded size. Plain cells are written by `_core`, others converted here one by one.

| cell | in the file of a run | in the file of an artifact |
|---|---|---|
| text | UTF-8 | ASCII with escapes |
| NaN | NaN | null |
| numpy scalar; array, tensor, Series | number; nested lists | the same |
| datetime, date, numpy datetime | ISO text, UTC as `Z`; NaT as null | milliseconds since 1970, UTC where there is no time zone |
| bytes | list of numbers | text |
| set | list | list |
| Enum | its value | its name |
| Decimal | text | number |
| media object | the name of its class | its artifact form; its files are in the artifact after that |
| anything else | as in a row: a placeholder with one warning if there is no rule | the same |

The file of a run is `{"columns":[…],"data":[[…],…]}` without spaces; lone surrogates become U+FFFD. That of an artifact has its keys
sorted, see `_table_files`. Both are what the real client writes (observed), as far as it does not raise.
"""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timedelta, timezone

from runlane import _core
from runlane._convert import _as_numpy
from runlane._convert import _key as key_text
from runlane._json_text import without_surrogates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    #: Converts an object that has no rule here.
    Convert = Callable[[Any], Any]

_ENCODER = json.JSONEncoder(sort_keys=True)
_BEGIN = datetime(1970, 1, 1)
_BEGIN_UTC = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
#: Rows that are converted at once: what is in memory besides the cells.
_BLOCK_ROWS = 2048


def run_pieces(
    columns: Sequence[Any], rows: list[Any], begin: int, end: int, convert: Convert
) -> Iterator[bytes]:
    """The text of a run's file of `rows[begin:end]`, piece by piece.

    Raises:
        What `convert` raises.
    """
    yield (b'{"columns":' + _compact(list(columns)).encode()) + b',"data":['
    yield from _row_pieces(rows, begin, end, True, lambda value: _run_cell(value, convert), ())
    yield b"]}"


def artifact_pieces(
    before: dict[str, Any],
    after: dict[str, Any],
    rows: list[Any],
    begin: int,
    end: int,
    artifact: Any,
    convert: Convert,
    nulls: Sequence[int],
) -> Iterator[bytes]:
    """The text of an artifact's file: the members `before`, the rows `rows[begin:end]` as `data`, the members `after`.

    Raises:
        What `convert` raises.
    """
    yield _sorted_text(before)[:-1].encode() + b', "data": ['
    yield from _row_pieces(
        rows, begin, end, False, lambda value: _artifact_text(value, artifact, convert), nulls
    )
    yield b"], " + _sorted_text(after)[1:].encode()


def _row_pieces(
    rows: list[Any],
    begin: int,
    end: int,
    compact: bool,
    text: Callable[[Any], str | list[Any]],
    nulls: Sequence[int],
) -> Iterator[bytes]:
    separator = b""
    for block in range(begin, end, _BLOCK_ROWS):
        yield separator + _core.table_rows(
            rows, block, min(block + _BLOCK_ROWS, end), compact, text, list(nulls)
        )
        separator = b"," if compact else b", "


# -- the file of a run -----------------------------------------------------------------------------------------------


def _compact(value: Any, default: Convert | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default)
    return without_surrogates(text)


def _run_cell(value: Any, convert: Convert) -> str | list[Any]:
    if type(value) is list or type(value) is tuple:
        # Nested too deeply: a cycle.
        return _compact(convert(value))

    def default(item: Any) -> Any:
        return cell(item, convert)

    try:
        plain = value if isinstance(value, (dict, list, tuple, str, int, float)) else default(value)
        return plain if type(plain) is list else _compact(plain, default)
    except (TypeError, ValueError, RecursionError):
        # Keys that are no strings, or a cycle.
        return _compact(convert(value), default)


def cell(value: Any, convert: Convert) -> Any:
    """What stands for a cell, or a part of one, that is no JSON value in the file of a run."""
    if getattr(type(value), "_runlane_value", False):
        return type(value).__name__
    if isinstance(value, (bytes, bytearray, set)):
        return list(value)
    kind = type(value).__module__.partition(".")[0]
    if kind == "numpy":
        return _numpy(value, convert)
    if kind in ("datetime", "pandas") and hasattr(value, "isoformat"):
        return None if value != value else _iso(value)
    if kind in ("decimal", "_pydecimal"):
        return str(value)
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(value, enum.Enum):
        return value.value
    if kind == "pandas" and getattr(value, "ndim", 0) == 1:
        return value.tolist()
    array = _array_of(value)
    return convert(value) if array is None else _numpy(array, convert)


def _array_of(value: Any) -> Any:
    """A numpy array of what behaves like one, or None."""
    try:
        return _as_numpy(value)
    except Exception:  # noqa: BLE001, RUF100 - `__array__` of a user's object may raise anything; the caller goes on without
        return None


def _iso(value: Any) -> str:
    text: str = value.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def _numpy(value: Any, convert: Convert) -> Any:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "M" and not getattr(value, "ndim", 0):
        plain = value.item()
        # Nanoseconds have no datetime: `item` of them is a number.
        return (
            None if plain is None or value != value else str(value) if isinstance(plain, int) else _iso(plain)
        )
    if getattr(value, "ndim", 0):
        return [*value] if kind == "M" else value.tolist()
    plain = value.item() if hasattr(value, "item") else value
    # Extended precision has no Python number of its own.
    if isinstance(plain, complex) or type(plain) is type(value):
        return convert(value)
    return plain


# -- the file of an artifact -----------------------------------------------------------------------------------------


def _sorted_text(value: Any) -> str:
    try:
        return _ENCODER.encode(value)
    except TypeError:
        # Keys of several types have no order.
        return _ENCODER.encode(_with_text_keys(value, 0))


def _with_text_keys(value: Any, depth: int) -> Any:
    if depth > _DEPTH:
        raise TypeError(f"a cell is nested deeper than {_DEPTH} levels")
    if isinstance(value, dict):
        return {key_text(key): _with_text_keys(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(item, depth + 1) for item in value]
    return value


def _artifact_text(value: Any, artifact: Any, convert: Convert) -> str | list[Any]:
    kind = type(value)
    if kind is datetime or kind is date:
        return str(milliseconds(value))
    if kind is list or kind is tuple:
        return _sorted_text(convert(value))
    if kind.__module__ == "numpy":
        if kind.__name__ == "datetime64":
            moment = _nanoseconds(value)
            return "null" if moment is None else repr(moment)
        if (
            kind.__name__ == "ndarray"
            and value.ndim
            and value.dtype.kind in "fiub"
            and value.dtype.itemsize <= 8
        ):
            return value.tolist()  # type: ignore[no-any-return]
    if kind is dict:
        try:
            text = _sorted_text(value)
        except (TypeError, ValueError, RecursionError):
            pass
        else:
            # The word may be part of a text, too: looking closer is never wrong.
            if "NaN" not in text:
                return text
    plain = artifact_cell(value, artifact, convert)
    return plain if type(plain) is list else _sorted_text(plain)


def artifact_cell(value: Any, artifact: Any, convert: Convert, depth: int = 0) -> Any:
    """A cell, or a part of one, as JSON values in the file of an artifact.

    Raises:
        What `convert` raises.
    """
    if value is None or (isinstance(value, (str, int)) and not _is_enum(value)):
        return value
    if isinstance(value, float):
        return None if value != value else float(value)
    if getattr(type(value), "_runlane_value", False):
        return value.to_json(artifact)
    if depth > _DEPTH:
        return convert(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [artifact_cell(item, artifact, convert, depth + 1) for item in value]
    if isinstance(value, dict):
        return {
            key_text(key): artifact_cell(item, artifact, convert, depth + 1) for key, item in value.items()
        }
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, memoryview):
        return value.tolist()
    return _foreign(value, lambda item: artifact_cell(item, artifact, convert, depth + 1), convert)


#: Deepest nesting of a cell; what is deeper (a cycle, too) is converted as a row's values are.
_DEPTH = 64


def _is_enum(value: Any) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and isinstance(value, enum.Enum)


def _foreign(value: Any, recurse: Convert, convert: Convert) -> Any:
    """An object of the standard library, numpy or pandas; anything else as `convert` has it."""
    if _is_enum(value):
        return value.name
    module = type(value).__module__.partition(".")[0]
    if module in ("datetime", "pandas") and hasattr(value, "isoformat") and hasattr(value, "year"):
        return None if value != value else milliseconds(value)
    if module in ("decimal", "_pydecimal", "fractions"):
        return recurse(float(value))
    if module == "pandas" and type(value).__name__ == "NAType":
        return None
    if module == "pandas" and getattr(value, "ndim", 0) == 1:
        return recurse(value.tolist())
    masked = getattr(value, "filled", None) is not None and hasattr(value, "mask")
    array = value if masked else _array_of(value)
    if array is None:
        return convert(value)
    return _of_array(array, recurse, convert)


def _of_array(array: Any, recurse: Convert, convert: Convert) -> Any:
    kind = array.dtype.kind
    if kind == "M":
        return _nanoseconds(array) if not array.ndim else [recurse(item) for item in array]
    if kind in "iub":
        return array.tolist()
    plain = array.tolist() if array.ndim else array.item()
    if isinstance(plain, complex) or kind == "c":
        return convert(array)
    # Extended precision has no Python number of its own.
    return recurse(float(plain) if type(plain) is type(array) and not array.ndim else plain)


def _nanoseconds(value: Any) -> int | float | None:
    """Milliseconds of a numpy datetime; a float where its unit is finer than microseconds, as the real client has it."""
    if value != value:
        return None
    plain = value.item()
    if isinstance(plain, int):
        return float(value.astype("datetime64[ns]").astype("int64")) / 1e6
    return milliseconds(plain)


def milliseconds(value: Any) -> int:
    """Milliseconds between 1970-01-01 UTC and a date or datetime, cut; without a time zone it is UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    elif type(value).__module__.partition(".")[0] == "pandas":
        value = value.to_pydatetime(warn=False)  # type: ignore[attr-defined]
    begin = _BEGIN if value.tzinfo is None else _BEGIN_UTC
    micros: int = (value - begin) // _MICROSECOND
    return micros // 1000 if micros >= 0 else -(-micros // 1000)
