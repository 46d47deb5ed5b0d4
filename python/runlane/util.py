"""Small helpers that other libraries take from `wandb.util`."""

from __future__ import annotations

from ._convert import friendly
from ._ids import random_id
from ._json_text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def generate_id(length: int = 8) -> str:
    """A random run id."""
    return random_id(length)


def json_dumps_safer(value: Any, **_options: Any) -> str:
    """`value` as JSON text; arrays, sets, dates and the like in their plain form."""
    return encode(friendly("value", value))


def json_friendly(value: Any) -> tuple[Any, bool]:
    """`value` in its plain form, and whether that differs from it."""
    plain = friendly("value", value)
    return plain, plain is not value
