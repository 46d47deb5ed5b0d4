"""Random identifiers."""

from __future__ import annotations

import os

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def random_id(length: int = 8) -> str:
    """`length` characters of `0-9a-z` from the system's random source."""
    text = ""
    while len(text) < length:
        # 252 is the largest multiple of 36 in a byte: larger bytes would favour some characters.
        text += "".join(_ALPHABET[byte % 36] for byte in os.urandom(2 * length) if byte < 252)
    return text[:length]
