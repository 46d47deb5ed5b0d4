"""Small helpers that other libraries take from `wandb.util`."""

from __future__ import annotations

import os

from ._convert import friendly
from ._ids import random_id
from ._json_text import encode
from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def generate_id(length: int = 8) -> str:
    """A random run id."""
    return random_id(length)


random_string = generate_id


def json_dumps_safer(value: Any, **_options: Any) -> str:
    """`value` as JSON text; arrays, sets, dates and the like in their plain form."""
    return encode(friendly("value", value))


json_dumps_safer_history = json_dumps_safer


def json_friendly(value: Any) -> tuple[Any, bool]:
    """`value` in its plain form, and whether that differs from it."""
    plain = friendly("value", value)
    return plain, plain is not value


def get_module(name: str, required: str | bool | None = None, lazy: bool = True) -> Any:
    """The module `name`, imported; None if it is not installed.

    Args:
        name: Dotted name.
        required: What is raised instead of returning None; True for a plain message.
        lazy: Accepted without effect.

    Raises:
        UsageError: With `required`: the module is not installed.
    """
    del lazy
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
    if required:
        raise UsageError(required if isinstance(required, str) else f"`{name}` is needed, and not installed")
    return None


def make_artifact_name_safe(name: str) -> str:
    """`name` with everything replaced by `_` that an artifact's name cannot hold, and its middle cut out beyond 128 characters."""
    import re

    safe = re.sub(r"[^a-zA-Z0-9_\-.]", "_", name)
    return safe if len(safe) <= 128 else f"{safe[:63]}..{safe[-63:]}"


def to_forward_slash_path(path: str) -> str:
    """`path` with slashes, whatever the system's separator is."""
    return path.replace(os.sep, "/")


def is_numpy_array(value: Any) -> bool:
    """Whether `value` is an array of numpy."""
    kind = type(value)
    return kind.__name__ == "ndarray" and kind.__module__ == "numpy"


def is_pandas_data_frame(value: Any) -> bool:
    """Whether `value` is a DataFrame of pandas."""
    kind = type(value)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"


def get_full_typename(value: Any) -> str:
    """Module and name of a value's type: `numpy.ndarray`, `builtins.int`."""
    return f"{type(value).__module__}.{type(value).__name__}"
