"""`Plotly`: a figure of plotly, or one of matplotlib made into one."""

from __future__ import annotations

import json
import sys

from . import _extras
from ._files import MediaFile
from ._pixels import figure_of, is_figure
from .base import Media

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_plotly(value: Any) -> bool:
    """Whether `value` is a figure of plotly; imports nothing."""
    figure = getattr(sys.modules.get("plotly.basedatatypes"), "BaseFigure", None)
    return figure is not None and isinstance(value, figure)


class Plotly(Media):
    """An interactive figure as a value of rows.

    Args:
        val: A figure of plotly or matplotlib, or a dict with `data` and `layout`.

    Raises:
        TypeError: It is nothing of these.
        ValueError: plotly cannot take over the figure of matplotlib.
        MissingPackageError: plotly is needed and not installed.
    """

    _log_type = "plotly-file"
    _kind = "plotly"

    def __init__(self, val: Any) -> None:
        super().__init__()
        if is_figure(val):
            val = from_matplotlib(figure_of(val))
        if is_plotly(val):
            figure = val.to_plotly_json()
        elif isinstance(val, dict) and "data" in val:
            figure = val
        else:
            raise PlotlyTypeError(
                "Logged plots must be plotly figures, or matplotlib plots convertible to plotly via mpl_to_plotly; got"
                f" {type(val).__name__}"
            )
        text = json.dumps(_plain(figure), separators=(",", ":"), default=str)
        self._file = MediaFile.of_bytes(text.encode("utf-8", "replace"), ".plotly.json")

    @classmethod
    def make_plot_media(cls, val: Any) -> Media:
        """A Plotly, or an Image of a figure that plotly cannot take over."""
        return media_of_figure(val)


class PlotlyTypeError(TypeError, ValueError):
    """What is given is no figure; W&B raises `ValueError`."""


def from_matplotlib(figure: Any) -> Any:
    """The figure of plotly that looks like one of matplotlib.

    Raises:
        ValueError: There is none.
        MissingPackageError: plotly is not installed.
    """
    tools = _extras.load("plotly.tools", "an interactive figure of matplotlib")
    try:
        return tools.mpl_to_plotly(figure)
    except Exception as error:  # noqa: BLE001, RUF100 - plotly raises whatever comes up in what it does not know
        raise ValueError(f"plotly cannot take over this figure of matplotlib: {error}") from error


def media_of_figure(value: Any) -> Media:
    """What a row holds of a figure that was logged as it is.

    Of matplotlib a Plotly, or an Image where it has pictures in it or plotly cannot take it over.

    Raises:
        ValueError: It belongs to no figure.
    """
    if not is_figure(value):
        return Plotly(value)
    from .image import Image

    figure = figure_of(value)
    if any(axes.images for axes in figure.axes):
        return Image(figure)
    try:
        return Plotly(figure)
    except (ValueError, ImportError):
        return Image(figure)


def _plain(value: Any) -> Any:
    """`value` for JSON: arrays as lists, NaN and infinities as null, as plotly's own encoder has it."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value.isoformat() if hasattr(value, "isoformat") else value
