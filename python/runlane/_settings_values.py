"""Turning given values into setting values: types, text forms, rules of single fields."""

from __future__ import annotations

import os

from . import _validation as check
from ._settings_fields import CHOICES, COMMA_LISTS, KINDS
from ._settings_stats import CHECKS as _STATS_CHECKS
from .errors import SettingsError, SettingsTypeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TRUE = frozenset(("y", "yes", "t", "true", "on", "1"))
_FALSE = frozenset(("n", "no", "f", "false", "off", "0"))

_CHECKS: dict[str, Callable[[Any], Any]] = {
    "run_id": check.run_id,
    "project": check.project,
    "entity": check.entity,
    "sweep_id": check.sweep_id,
    "run_name": check.name,
    "run_notes": check.notes,
    "run_group": check.group,
    "run_job_type": check.job_type,
    "run_tags": check.tags,
    "base_url": check.base_url,
    "api_key": check.api_key,
    **_STATS_CHECKS,
}
#: What the user calls a setting that is an argument of `init`.
_ARGUMENTS = {"run_name": "name", "run_notes": "notes", "run_group": "group", "run_job_type": "job_type"}
_MINIMUM = {
    "init_timeout": 0,
    "finish_timeout": 0,
    "login_timeout": 0,
    "summary_timeout": 0,
    "console_chunk_max_bytes": 0,
    "console_chunk_max_seconds": 0,
    "x_service_wait": 0,
    "x_file_stream_max_line_bytes": 1,
    "max_end_of_run_history_metrics": 0,
    "max_end_of_run_summary_metrics": 0,
}


def parse_boolean(name: str, value: Any) -> bool:
    """`value` as a boolean: a boolean, 0 or 1, or one of the words of the documentation in any case."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise SettingsError(f"`{name}` must be true or false, got {value!r}")
    raise SettingsTypeError(f"`{name}` must be true or false, got {type(value).__name__}")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise SettingsTypeError(f"`{name}` must be a number, got {type(value).__name__}")
    try:
        number = float(value)
    except ValueError:
        raise SettingsError(f"`{name}` must be a number, got {value!r}") from None
    if number != number:
        raise SettingsError(f"`{name}` must be a number, got NaN")
    return number


def _integer(name: str, value: Any) -> int:
    number = _number(name, value)
    if number != number // 1:
        raise SettingsError(f"`{name}` must be an integer, got {value!r}")
    return int(number)


def _from_json(name: str, value: str) -> Any:
    import json

    try:
        return json.loads(value)
    except ValueError as error:
        raise SettingsError(f"`{name}` must be JSON: {error}") from None


def _list(name: str, value: Any, from_text: bool) -> tuple[Any, ...]:
    if name == "x_stats_gpu_device_ids" and isinstance(value, str) and from_text:
        value = _from_json(name, value)
    if isinstance(value, str):
        if from_text and value.lstrip().startswith("["):
            value = _from_json(name, value)
        elif from_text and name in COMMA_LISTS:
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        else:
            raise SettingsTypeError(f"`{name}` must be a list, not one string")
    try:
        return tuple(value)
    except TypeError:
        raise SettingsTypeError(f"`{name}` must be a list, got {type(value).__name__}") from None


def _map(name: str, value: Any, from_text: bool) -> Any:
    if isinstance(value, str) and from_text:
        value = _from_json(name, value)
    if name == "x_stats_open_metrics_filters" and isinstance(value, (list, tuple)):
        return list(value)
    if not hasattr(value, "keys"):
        raise SettingsTypeError(f"`{name}` must be a mapping, got {type(value).__name__}")
    return dict(value)


def _choice(name: str, value: Any, from_text: bool) -> Any:
    if isinstance(value, bool) and not from_text and name == "resume":
        return "auto" if value else None
    if name == "reinit" and (
        isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE)
    ):
        return parse_boolean(name, value)
    if isinstance(value, str) and value in CHOICES[name]:
        return value
    allowed = ", ".join(f"'{choice}'" for choice in CHOICES[name])
    raise SettingsError(f"`{name}` should be one of {allowed}; got {value!r}")


def _path(name: str, value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise SettingsTypeError(f"`{name}` must be a path, got {type(value).__name__}")
    path = os.fspath(value)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if "\0" in path:
        raise SettingsError(f"`{name}` must not contain a NUL character")
    return path


def parse(name: str, value: Any, *, from_text: bool = False) -> Any:
    """`value` as the value of setting `name`.

    Args:
        name: A name of the table.
        value: What the user gave; None keeps the field unset.
        from_text: The value comes from a file or the environment: lists and maps have a text form.

    Raises:
        SettingsError: The value is not allowed (`SettingsTypeError`: has the wrong type).
        UsageError: A run id, project or entity that breaks its rule.
    """
    if value is None:
        return None
    kind = KINDS[name]
    if kind == "boolean":
        return parse_boolean(name, value)
    if kind == "choice":
        return _choice(name, value, from_text)
    if kind == "moment":
        return check.run_moment(name, value)
    if kind == "path":
        return _path(name, value)
    if kind in ("integer", "number"):
        parsed = _integer(name, value) if kind == "integer" else _number(name, value)
        if parsed < _MINIMUM.get(name, parsed):
            raise SettingsError(f"`{name}` must be at least {_MINIMUM[name]}, got {value!r}")
        if name == "x_stats_sampling_interval" and parsed < 0.1:
            raise UsageError("Stats sampling interval cannot be less than 0.1 seconds")
        checker = _CHECKS.get(name)
        return checker(parsed) if checker else parsed
    if kind == "list":
        # Tags have a check of their own, which takes one string as one tag.
        value = value if name == "run_tags" and not from_text else _list(name, value, from_text)
    elif kind == "map":
        value = _map(name, value, from_text)
    elif kind == "text":
        value = check.text(_ARGUMENTS.get(name, name), value)
    checker = _CHECKS.get(name)
    return checker(value) if checker else value
