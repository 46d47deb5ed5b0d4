"""Names of wandb that later versions of runlane fill in. Importing them works; using them says that it comes later."""

from __future__ import annotations

from .errors import NotYetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_FUNCTIONS = {
    "sweeps": ("agent", "controller", "sweep"),
    "sessions of SageMaker": ("sagemaker_auth",),
}
_MODULES = ("agents analytics docker helper jupyter profiler proto trigger wandb_agent wandb_torch").split()


def refuse(what: str, feature: str) -> NoReturn:
    """Say that `what` comes later.

    Raises:
        NotYetError: Always.
    """
    raise NotYetError(f"`{what}` is not available yet: {feature} come with a later version of runlane")


class _LaterModule:
    """A submodule that does not exist yet."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        refuse(f"{self.__name__}.{key}", "integrations and charts")

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        refuse(self.__name__, "integrations and charts")


def _function(name: str, feature: str) -> Any:
    def later(*_args: Any, **_kwargs: Any) -> NoReturn:
        refuse(name, feature)

    later.__name__ = later.__qualname__ = name
    return later


def __getattr__(name: str) -> Any:
    for feature, names in _FUNCTIONS.items():
        if name in names:
            return globals().setdefault(name, _function(name, feature))
    if name in _MODULES:
        return globals().setdefault(name, _LaterModule(name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
