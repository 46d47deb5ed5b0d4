"""The module names of wandb, mapped to runlane: for `runlane exec`, and for attribute paths such as `wandb.sdk.wandb_run.Run`.

A shown module holds nothing: reading, assigning and deleting a name reaches the module of runlane behind it, so that what a
program replaces under one name (a test's mock, say) is replaced under all of them.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from importlib import import_module

import runlane

from ._wandb_modules import MODULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

VERSION = "0.31.0"
#: How many values of one name, replaced one after the other, can come back by deleting the name.
_REPLACED = 8


def integration(name: str) -> ModuleType:
    """What `wandb.integration.<name>` shows."""
    return import_module(f"runlane.{MODULES[f'integration.{name}']}")


def _target(path: str, name: str) -> tuple[ModuleType, str]:
    """The module of runlane, and the name in it, behind `wandb.<path>.<name>`.

    Raises:
        AttributeError: There is no such name.
    """
    source = MODULES[path]
    if not name.startswith("__"):
        if isinstance(source, str):
            return import_module(f"runlane.{source}"), name
        if name in source:
            module_name, _, attribute = source[name].partition(":")
            return (import_module(f"runlane.{module_name}") if module_name else runlane), attribute
    raise AttributeError(f"module 'wandb.{path}' has no attribute {name!r}")


class _Shown(type(sys)):  # type: ignore[misc]
    """A module that shows names of runlane's modules under wandb's path."""

    def __getattr__(self, name: str) -> Any:
        path = self.__dict__["_runlane_path"]
        child = f"{path}.{name}"
        if child in MODULES:
            return module(child)
        target, attribute = _target(path, name)
        return getattr(target, attribute)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, _Shown):
            # The import system binds submodules to their parent; __getattr__ finds those.
            return
        try:
            target, attribute = _target(self.__dict__["_runlane_path"], name)
        except AttributeError:
            self.__dict__[name] = value
        else:
            setattr(target, attribute, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            del self.__dict__[name]
            return
        target, attribute = _target(self.__dict__["_runlane_path"], name)
        delattr(target, attribute)

    def __dir__(self) -> list[str]:
        path = self.__dict__["_runlane_path"]
        source = MODULES[path]
        names = dir(import_module(f"runlane.{source}")) if isinstance(source, str) else source
        children = [child[len(path) + 1 :] for child in MODULES if child.startswith(f"{path}.")]
        return sorted({*names, *(child for child in children if "." not in child)})


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
    """The module `wandb`: every name is runlane's, reading, assigning and deleting.

    `unittest.mock` deletes what it has set, because it does not find the name in the module's own dict; deleting gives the value
    back that the last assignment replaced.
    """

    def __getattr__(self, name: str) -> Any:
        if name in MODULES:
            return module(name)
        return getattr(runlane, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            self.__dict__[name] = value
        elif not isinstance(value, _Shown):
            replaced = _replaced.setdefault(name, [])
            replaced.append(runlane.__dict__.get(name, _ABSENT))
            del replaced[:-_REPLACED]
            setattr(runlane, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            del self.__dict__[name]
            return
        before = _replaced[name].pop() if _replaced.get(name) else _ABSENT
        if before is _ABSENT:
            delattr(runlane, name)
        else:
            runlane.__dict__[name] = before

    def __dir__(self) -> list[str]:
        return dir(runlane)


_ABSENT = object()
#: Name of the module `wandb` -> what stood there before each assignment.
_replaced: dict[str, list[Any]] = {}


class _Finder:
    """Finds `wandb.<path>` for the import system."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if not fullname.startswith("wandb.") or fullname[6:] not in MODULES:
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
    alias.__dict__.pop("install", None)
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
