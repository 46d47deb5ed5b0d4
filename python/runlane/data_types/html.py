"""`Html`: a page of its own inside the app."""

from __future__ import annotations

import os

from ._files import MediaFile
from .base import BatchableMedia

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: What is put into the head: links lead to a new tab, and plain text looks as in the app. It needs no other file: a page is shown
#: without access to the network.
_HEAD = (
    '<base target="_blank"><style>:root{color-scheme:light dark}html{font:14px/1.5 system-ui,sans-serif}body{margin:8px}'
    "table{border-collapse:collapse}td,th{padding:2px 8px}img,video{max-width:100%}</style>"
)


class Html(BatchableMedia):
    """HTML as a value of rows, of tables and of artifacts.

    Args:
        data: HTML text, the path of a file, or an open file.
        inject: Add styles to the head, and open links in a new tab; otherwise it is stored as it is.
        data_is_not_path: A text is HTML even if there is a file of that name.

    Raises:
        TypeError: `data` is nothing of these.
        FileNotFoundError: There is no file at a path object.
    """

    _log_type = "html-file"
    _kind = "html"

    def __init__(self, data: Any, inject: bool = True, data_is_not_path: bool = False) -> None:
        super().__init__()
        path = self._path_of(data, data_is_not_path)
        if path is not None:
            if not inject:
                self._file = MediaFile.of_user(path, ".html")
                self.html = self._file.read().decode("utf-8", "replace")
                return
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        elif isinstance(data, str):
            text = data
        elif hasattr(data, "read"):
            if hasattr(data, "seek"):
                data.seek(0)
            content = data.read()
            text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        else:
            raise HtmlTypeError(f"data must be a string, a path or an open file, got {type(data).__name__}")
        self.html = with_head(text) if inject else text
        self._file = MediaFile.of_bytes(self.html.encode("utf-8", "replace"), ".html")

    @staticmethod
    def _path_of(data: Any, data_is_not_path: bool) -> str | None:
        if isinstance(data, os.PathLike):
            return str(os.fspath(data))
        # A text with a line break, or longer than any path, is none.
        if isinstance(data, str) and not data_is_not_path and len(data) < 4096 and "\0" not in data:
            return data if os.path.isfile(data) else None
        return None

    def inject_head(self) -> None:
        """Add styles to the head of a text that was stored without."""
        self.html = with_head(self.html)
        self._file = MediaFile.of_bytes(self.html.encode("utf-8", "replace"), ".html")
        self._bound = None

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Html:
        """The page of an artifact, as it is there."""
        html: Html = super().from_json(json_obj, source_artifact)
        return html

    @classmethod
    def _options_of(cls, json_obj: dict[str, Any]) -> dict[str, Any]:
        del json_obj
        return {"inject": False}

    @classmethod
    def seq_to_json(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The row's value of several pages, `html`.

        Raises:
            OSError: A file cannot be written.
        """
        return {"_type": "html", "count": len(seq), "html": cls._bound_items(seq, run, key, step)}


class HtmlTypeError(TypeError, ValueError):
    """What is given is no HTML; W&B raises `ValueError`."""


def with_head(text: str) -> str:
    """`text` with styles in its head, which is made if there is none."""
    for tag, made in (("<head>", f"<head>{_HEAD}"), ("<html>", f"<html><head>{_HEAD}</head>")):
        if tag in text:
            return text.replace(tag, made, 1)
    return _HEAD + text
