"""Sizes as people write them."""

from __future__ import annotations

import re

_DECIMAL = ("B", "KB", "MB", "GB", "TB", "PB", "EB")
_FACTORS = {
    **{unit: 1000**power for power, unit in enumerate(_DECIMAL)},
    **{unit[0]: 1000**power for power, unit in enumerate(_DECIMAL)},
    **{f"{unit[0]}IB": 1024**power for power, unit in enumerate(_DECIMAL) if power},
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_size(text: str) -> int:
    """Bytes of a size such as `10GB` (10⁹ bytes each), `1.5 GiB` (2³⁰) or `4096`.

    Raises:
        ValueError: It is none.
    """
    match = _SIZE.fullmatch(text)
    factor = _FACTORS.get(match[2].upper() or "B") if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is no size; expected one such as `10GB`, `500 MB`, `2GiB` or `4096`")
    return int(float(match[1]) * factor)


def size_text(size: int) -> str:
    """A size in decimal units, `3.0MB`."""
    shown, unit = float(size), 0
    while shown >= 1000 and unit < len(_DECIMAL) - 1:
        shown, unit = shown / 1000, unit + 1
    return f"{shown:.1f}{_DECIMAL[unit]}"
