"""What a notebook shows of things that have a page in the web app."""

from __future__ import annotations

TYPE_CHECKING = False


class Page:
    """A thing with a page: shown in a frame when it ends a cell."""

    if TYPE_CHECKING:

        @property
        def url(self) -> str: ...

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """The page as a frame of `height` pixels; `hidden` behind a line that opens it."""
        from runlane import _notebook

        return _notebook.page_html(self.url, repr(self).strip("<>"), height, hidden)

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Show the page below the cell; whether this is a notebook."""
        from runlane import _notebook

        return _notebook.show(self.to_html(height, hidden), repr(self))

    def _repr_html_(self) -> str:
        return self.to_html()
