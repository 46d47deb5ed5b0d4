"""Encoding of values as JSON with the bare words NaN, Infinity and -Infinity.

The standard `json` package takes longer to import than `init` may take altogether, so the encoder is here.
"""

from __future__ import annotations

from ._limits import MAX_DEPTH

try:
    from _json import encode_basestring_ascii as _quoted
except ImportError:
    from json.encoder import encode_basestring_ascii as _quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INT64 = 2**63


def without_surrogates(text: str) -> str:
    """`text` with lone surrogates, which no file format can carry, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if 0xD800 <= ord(char) <= 0xDFFF else char for char in text)
    return text


def _integer(value: int) -> str:
    if -_INT64 <= value < _INT64:
        return int.__repr__(value)
    try:
        return float.__repr__(float(value))
    except OverflowError:
        return f'"{value:#x}"'


def _float(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return float.__repr__(value)


def encode(value: Any, depth: int = 0) -> str:
    """`value` as JSON text.

    Args:
        value: None, booleans, numbers, strings, and lists, tuples and dicts (string keys) of them.
        depth: How deep `value` lies already.

    Raises:
        TypeError: A value, or a key, of another type.
        ValueError: Nesting deeper than the limit (a cycle included).
    """
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return _quoted(without_surrogates(value))
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    if depth >= MAX_DEPTH:
        raise ValueError(f"value is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        parts = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"dict keys must be strings, got {key!r}")
            parts.append(f"{_quoted(without_surrogates(key))}: {encode(item, depth + 1)}")
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join([encode(item, depth + 1) for item in value]) + "]"
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
