"""Integrations of later versions: every name can be imported, and says so when it is called."""

from __future__ import annotations

from runlane._later import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def later(*_args: Any, **_kwargs: Any) -> NoReturn:
        refuse(name, "integrations of this kind")

    later.__name__ = later.__qualname__ = name
    return globals().setdefault(name, later)
