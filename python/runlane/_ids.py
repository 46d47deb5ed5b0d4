"""Random identifiers."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def random_id(length: int = 8) -> str:
    """`length` characters of `0-9a-z` from the system's random source."""
    text = ""
    while len(text) < length:
        # 252 is the largest multiple of 36 in a byte: larger bytes would favour some characters.
        text += "".join(_ALPHABET[byte % 36] for byte in os.urandom(2 * length) if byte < 252)
    return text[:length]


def time_ordered_id() -> str:
    """A fresh UUID of version 7 (RFC 9562) as text: those of one host sort by their time."""
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    noise = int.from_bytes(os.urandom(10), "big") & ~(0xF << 76 | 0x3 << 62)
    text = f"{milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | noise:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
