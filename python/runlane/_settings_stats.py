"""Rules of the `x_stats_…` settings: what is sampled of the host, its devices and endpoints."""

from __future__ import annotations

import os

from .errors import SettingsError, SettingsTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LARGEST = 2**31 - 1


def _disk_paths(value: tuple[Any, ...]) -> tuple[str, ...]:
    """Paths, as texts."""
    name = "x_stats_disk_paths"
    for path in value:
        if not isinstance(path, (str, os.PathLike)):
            raise SettingsTypeError(f"`{name}` must be a list of paths, got {type(path).__name__} in it")
        if not os.fspath(path) or "\0" in str(path):
            raise SettingsError(f"`{name}` has an empty path, or one with a NUL character")
    return tuple(str(path) for path in value)


def _device_ids(value: tuple[Any, ...]) -> tuple[int, ...]:
    """Device indices, from 0."""
    name = "x_stats_gpu_device_ids"
    for index in value:
        if isinstance(index, bool) or not isinstance(index, int):
            raise SettingsTypeError(f"`{name}` must be a list of integers, got {index!r} in it")
        if not 0 <= index <= _LARGEST:
            raise SettingsError(f"`{name}` must be indices from 0 on, got {index!r}")
    return value


def _texts(name: str, value: Any, what: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise SettingsTypeError(f"`{name}` must be {what}, got {type(value).__name__}")
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise SettingsTypeError(f"`{name}` must be {what}, got {key!r}: {text!r}")
    return value


def _endpoints(value: Any) -> dict[str, str]:
    """Endpoint name -> URL."""
    name = "x_stats_open_metrics_endpoints"
    for endpoint, url in _texts(name, value, "a mapping from names to URLs").items():
        if not url.startswith(("http://", "https://")):
            # Not the URL itself: it may hold a password.
            raise SettingsError(f"`{name}`: the URL of {endpoint!r} must begin with http:// or https://")
    return dict(value)


def _headers(value: Any) -> dict[str, str]:
    """Header -> value."""
    name = "x_stats_open_metrics_http_headers"
    for header, text in _texts(name, value, "a mapping from header names to values").items():
        if not header or any(character in header + text for character in "\r\n\0"):
            raise SettingsError(f"`{name}`: {header!r} is no header, or its value has a line break")
    return dict(value)


def _filters(value: Any) -> Any:
    """A list of patterns, or pattern -> {label: pattern}."""
    name = "x_stats_open_metrics_filters"
    form = "a list of patterns, or a mapping from patterns to {label: pattern}"
    if isinstance(value, (list, tuple)):
        if not all(isinstance(pattern, str) for pattern in value):
            raise SettingsTypeError(f"`{name}` must be {form}")
        return list(value)
    if not isinstance(value, dict) or not all(isinstance(pattern, str) for pattern in value):
        raise SettingsTypeError(f"`{name}` must be {form}")
    for labels in value.values():
        _texts(name, labels, form)
    return dict(value)


def _pid(value: int) -> int:
    """A process id."""
    if not 1 <= value <= _LARGEST:
        raise SettingsError(f"`x_stats_pid` must be a process id, got {value}")
    return value


def _buffer_size(value: int) -> int:
    """A number of samples; -1 means all."""
    if not -1 <= value <= _LARGEST:
        raise SettingsError(
            f"`x_stats_buffer_size` must be -1 (all), 0 (none) or a number of samples, got {value}"
        )
    return value


def _interval(value: float) -> float:
    """Seconds; the lower bound has a check of its own."""
    if value == float("inf"):
        raise SettingsError(
            "`x_stats_sampling_interval` must be finite; `x_disable_stats=True` samples nothing"
        )
    return value


CHECKS: dict[str, Callable[[Any], Any]] = {
    "x_stats_disk_paths": _disk_paths,
    "x_stats_gpu_device_ids": _device_ids,
    "x_stats_open_metrics_endpoints": _endpoints,
    "x_stats_open_metrics_http_headers": _headers,
    "x_stats_open_metrics_filters": _filters,
    "x_stats_pid": _pid,
    "x_stats_buffer_size": _buffer_size,
    "x_stats_sampling_interval": _interval,
}
