"""The module names of wandb, mapped to runlane: for `runlane exec`, and for attribute paths such as `wandb.sdk.wandb_run.Run`."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from importlib import import_module

import runlane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

VERSION = "0.31.0"

# Module of wandb -> module of runlane whose names it shows, or single names (name -> module:name).
_MODULES: dict[str, str | dict[str, str]] = {
    "apis": {},
    "apis.public": "public_api",
    "data_types": "_later",
    "env": "env",
    "errors": "errors",
    "errors.errors": "errors",
    "errors.term": "terminal",
    "integration": {},
    "plot": "_later",
    "sdk": {},
    "sdk.data_types": {},
    "sdk.data_types.base_types": {},
    "sdk.data_types.base_types.media": {"Media": "_later:WBValue"},
    "sdk.data_types.base_types.wb_value": {"WBValue": "_later:WBValue"},
    "sdk.lib": {"RunDisabled": "_disabled:DisabledRun"},
    "sdk.lib.config_util": {"ConfigError": "errors:ConfigError"},
    "sdk.lib.disabled": {"RunDisabled": "_disabled:DisabledRun"},
    "sdk.mailbox": {},
    "sdk.mailbox.mailbox_handle": {"ServerResponseError": "errors:CommError"},
    "sdk.wandb_alerts": {"AlertLevel": "_run_alerts:AlertLevel"},
    "sdk.wandb_config": {"Config": "_config:Config"},
    "sdk.wandb_run": {"Run": "_run:Run"},
    "sdk.wandb_settings": {"Settings": "_settings:Settings"},
    "sdk.wandb_summary": {"Summary": "_summary:Summary"},
    "integration.tensorboard": "tensorboard",
    "tensorboard": "tensorboard",
    "util": "util",
    "wandb_run": {"Run": "_run:Run"},
}


class _Shown(type(sys)):  # type: ignore[misc]
    """A module that shows names of runlane's modules under wandb's path."""

    def __getattr__(self, name: str) -> Any:
        path = self.__dict__["_runlane_path"]
        child = f"{path}.{name}"
        if child in _MODULES:
            return module(child)
        source = _MODULES[path]
        if isinstance(source, str):
            if name.startswith("__"):
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
            return getattr(import_module(f"runlane.{source}"), name)
        if name not in source:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        target, _, attribute = source[name].partition(":")
        return getattr(import_module(f"runlane.{target}"), attribute)


_made: dict[str, ModuleType] = {}


def module(path: str) -> ModuleType:
    """The module that wandb calls `wandb.<path>`."""
    if path not in _made:
        made = _Shown(f"wandb.{path}")
        made.__dict__["_runlane_path"] = path
        made.__dict__["__path__"] = []
        _made[path] = made
    return _made[path]


class _Alias(type(sys)):  # type: ignore[misc]
    """The module `wandb`: every name is runlane's, reading and assigning."""

    def __getattr__(self, name: str) -> Any:
        if name in _MODULES and name not in ("env", "errors", "util"):
            return module(name)
        return getattr(runlane, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            self.__dict__[name] = value
        elif not isinstance(value, _Shown):
            # The import system binds submodules to their parent; those are found by __getattr__.
            setattr(runlane, name, value)

    def __dir__(self) -> list[str]:
        return dir(runlane)


class _Finder:
    """Finds `wandb.<path>` for the import system."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if not fullname.startswith("wandb.") or fullname[6:] not in _MODULES:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Loader(), is_package=True)


class _Loader(importlib.abc.Loader):
    """Hands the shown module to the import system."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return module(spec.name[6:])

    def exec_module(self, module: ModuleType) -> None:
        del module


def install(name: str) -> None:
    """Make the module `name`, which is being imported, an alias of runlane."""
    alias = sys.modules[name]
    alias.__class__ = _Alias
    alias.__dict__["__version__"] = VERSION
    alias.__dict__["__path__"] = []
    alias.__dict__.pop("install", None)
    sys.meta_path.insert(0, _Finder)
