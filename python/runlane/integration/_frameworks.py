"""What the integrations share: the active run, and classes that are made when they are first asked for."""

from __future__ import annotations

from importlib import import_module

import runlane
from runlane.errors import Error, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from runlane import Run


def active_run(user: str) -> Run:
    """The active run.

    Raises:
        Error: There is none; the message names `user`, who needs it.
    """
    run = runlane.run
    if run is None:
        raise Error(f"You must call `wandb.init()` before {user}()")
    return run


def framework(*names: str) -> ModuleType:
    """The first module of `names` that is installed.

    Raises:
        UsageError: None is.
    """
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise UsageError(f"this needs {' or '.join(f'`{name}`' for name in names)}, which is not installed")


def plain(value: Any) -> Any:
    """A number of a framework (tensor, variable, array of one element) as Python's; anything else as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "size", 1) == 1 else value
