"""What `runlane.log`, `runlane.config`, … are before `init` was called."""

from __future__ import annotations

import sys

from .errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

# Assigned to `runlane.config` before a run exists; goes into the config of the next run.
_pending_config: dict[str, Any] | None = None


def _refuse(what: str) -> NoReturn:
    raise Error(f"You must call wandb.init() before {what}")


class _PreInitObject:
    """Stands for an object of the run; every use raises."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getitem__(self, key: str) -> NoReturn:
        _refuse(f"{self._name}[{key!r}]")

    def __setitem__(self, key: str, value: object) -> None:
        _refuse(f"{self._name}[{key!r}]")

    def __contains__(self, key: object) -> bool:
        _refuse(f"{self._name}.__contains__")

    def __getattr__(self, key: str) -> Any:
        # Introspection (help, doctest, pickle) asks for dunder names and must not fail.
        if key.startswith("__"):
            raise AttributeError(key)
        _refuse(f"{self._name}.{key}")

    def __setattr__(self, key: str, value: object) -> None:
        _refuse(f"{self._name}.{key}")

    def __repr__(self) -> str:
        return f"<{self._name}: no run yet>"


def placeholder(name: str) -> Any:
    """What the module's attribute `name` is while there is no run."""
    if name == "summary":
        return _PreInitObject("wandb.summary")

    def call(*_args: object, **_kwargs: object) -> NoReturn:
        _refuse(f"wandb.{name}()")

    call.__name__ = call.__qualname__ = name
    return call


def config() -> Any:
    """What `runlane.config` is while there is no run."""
    return _PreInitObject("wandb.config") if _pending_config is None else _pending_config


def remember_config(value: Any) -> None:
    """Keep a config assigned before `init` for the next run."""
    global _pending_config  # noqa: PLW0603, RUF100 - module state by nature
    from ._config_sources import as_mapping

    _pending_config = as_mapping(value)


def take_config() -> dict[str, Any]:
    """The config assigned before `init`, once."""
    global _pending_config  # noqa: PLW0603, RUF100 - module state by nature
    taken, _pending_config = _pending_config, None
    return taken or {}


def bind(run: Any, methods: dict[str, Callable[..., Any]]) -> None:
    """Make `run` the module's active run."""
    module = sys.modules[__package__].__dict__
    module["run"] = run
    module["summary"] = run.summary
    module.update(methods)


def unbind(run: Any) -> None:
    """Forget `run` if it is the module's active run."""
    package = sys.modules[__package__]
    module = package.__dict__
    if module.get("run") is not run:
        return
    module["run"] = None
    for name in (*package._RUN_METHODS, "summary"):
        module.pop(name, None)
