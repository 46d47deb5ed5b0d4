"""`Bokeh`: a figure of bokeh."""

from __future__ import annotations

import os
import sys

from . import _extras
from ._files import MediaFile
from .base import Media

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_bokeh(value: Any) -> bool:
    """Whether `value` is a model of bokeh; imports nothing."""
    model = getattr(sys.modules.get("bokeh.model"), "Model", None)
    return model is not None and isinstance(value, model)


class Bokeh(Media):
    """A figure of bokeh as a value of rows, of tables and of artifacts.

    Args:
        data_or_path: A figure or another model of bokeh, or the path of a document's JSON.

    Raises:
        TypeError: It is nothing of these.
        FileNotFoundError: There is no file at the path.
        MissingPackageError: bokeh is not installed.
    """

    _log_type = "bokeh-file"
    _kind = "bokeh"

    def __init__(self, data_or_path: Any) -> None:
        super().__init__()
        if isinstance(data_or_path, (str, os.PathLike)):
            self._file = MediaFile.of_user(os.fspath(data_or_path), ".bokeh.json")
            return
        if not is_bokeh(data_or_path):
            raise BokehTypeError(
                f"Bokeh takes a figure of bokeh, or the path of its JSON; got {type(data_or_path).__name__}"
            )
        document = _extras.load("bokeh.document", "a Bokeh").Document()
        # A model belongs to one document at a time: it goes back to its own.
        owner = data_or_path.document
        if owner is not None:
            owner.remove_root(data_or_path)
        try:
            document.add_root(data_or_path)
            content = document.to_json()
            document.remove_root(data_or_path)
        finally:
            if owner is not None:
                owner.add_root(data_or_path)
        # Its own encoder: arrays of a document are buffers beside the JSON otherwise.
        text = _extras.load("bokeh.core.json_encoder", "a Bokeh").serialize_json(content)
        self._file = MediaFile.of_bytes(text.encode("utf-8", "replace"), ".bokeh.json")


class BokehTypeError(TypeError, ValueError):
    """What is given is no figure of bokeh."""
