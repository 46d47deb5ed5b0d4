"""`Attributes`: an object whose attributes are what the server said, by snake_case or by the server's own name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any


class Attributes:
    """Attributes that are not defined otherwise are looked up in `_attrs`: `created_at` is its `createdAt`."""

    def __init__(self, attrs: MutableMapping[str, Any]) -> None:
        self._attrs = attrs

    def snake_to_camel(self, string: str) -> str:
        """The server's form of a name: `created_at` is `createdAt`."""
        first, *rest = string.split("_")
        return first + "".join(part.title() for part in rest)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        attrs = self._attrs
        for known in (self.snake_to_camel(name), name):
            if known in attrs:
                return attrs[known]
        raise AttributeError(f"{self!r} object has no attribute {name!r}")

    def to_html(self, *args: Any, **kwargs: Any) -> str | None:
        """The page of the thing as HTML; None: it has none."""
        del args, kwargs
        return None

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Show the page below the cell; False outside a notebook, and for things without a page."""
        html = self.to_html(height, hidden)
        if html is None:
            return False
        from runlane import _notebook

        return _notebook.show(html, repr(self))
