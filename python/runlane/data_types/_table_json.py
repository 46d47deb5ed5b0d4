"""The JSON text of a table that is a file of the run: `{"columns":[…],"data":[[…],…]}`, UTF-8, without spaces.

One call of the C encoder does it; what it does not know is converted cell by cell.

| cell | written as |
|---|---|
| numpy scalar; array, tensor, Series | number; nested lists |
| datetime, date, numpy datetime | ISO text, UTC as `Z`; NaT as null |
| bytes | list of numbers |
| set | list |
| Enum | its value |
| Decimal | text |
| media object | the name of its class |
| anything else | as in a row: a placeholder with one warning if there is no rule |

NaN and infinities are the bare words of Python's `json`. Lone surrogates become U+FFFD.
"""

from __future__ import annotations

import json
import sys

from runlane._convert import _as_numpy
from runlane._json_text import without_surrogates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    #: Converts an object that has no rule here.
    Convert = Callable[[Any], Any]


def encode(columns: Sequence[Any], rows: Sequence[Sequence[Any]], convert: Convert) -> bytes:
    """The text of a table file.

    Raises:
        What `convert` raises.
    """

    def default(value: Any) -> Any:
        return cell(value, convert)

    document = {"columns": list(columns), "data": rows}
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=default)
    except (TypeError, ValueError, RecursionError):
        # Keys that are no strings, or a cycle: take the table apart.
        document["data"] = [[convert(value) for value in row] for row in rows]
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=default)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return without_surrogates(text).encode()


def cell(value: Any, convert: Convert) -> Any:
    """A cell that is no JSON value, as what it is written as."""
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
    try:
        array = _as_numpy(value)
    except Exception:  # noqa: BLE001, RUF100 - `__array__` of a user's object may raise anything; `convert` says so
        array = None
    return convert(value) if array is None else _numpy(array, convert)


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
