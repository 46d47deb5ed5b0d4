"""What a notebook shows of things that have a page in the web app."""

from __future__ import annotations

from ._attributes import Attributes

TYPE_CHECKING = False


class Page(Attributes):
    """A thing with a page: shown in a frame when it ends a cell."""

    if TYPE_CHECKING:

        @property
        def url(self) -> str: ...

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """The page as a frame of `height` pixels; `hidden` behind a line that opens it."""
        from runlane import _notebook

        return _notebook.page_html(self.url, repr(self).strip("<>"), height, hidden)

    def _repr_html_(self) -> str:
        return self.to_html()
