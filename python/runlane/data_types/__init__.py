"""Values of rows that are more than plain values: media, tables and histograms. Names are loaded when they are first used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .audio import Audio as Audio
    from .base import BatchableMedia as BatchableMedia
    from .base import Media as Media
    from .base import WBValue as WBValue
    from .bokeh import Bokeh as Bokeh
    from .box3d import box3d as box3d
    from .boxes import BoundingBoxes2D as BoundingBoxes2D
    from .classes import Classes as Classes
    from .eval_table import EvalTable as EvalTable
    from .graph import Graph as Graph
    from .histogram import Histogram as Histogram
    from .html import Html as Html
    from .image import Image as Image
    from .joined_table import JoinedTable as JoinedTable
    from .masks import ImageMask as ImageMask
    from .molecule import Molecule as Molecule
    from .object3d import Object3D as Object3D
    from .partitioned_table import PartitionedTable as PartitionedTable
    from .plotly import Plotly as Plotly
    from .table import Table as Table
    from .video import Video as Video

_NAMES = {
    "Audio": "audio",
    "BatchableMedia": "base",
    "Bokeh": "bokeh",
    "BoundingBoxes2D": "boxes",
    "Classes": "classes",
    "EvalTable": "eval_table",
    "Graph": "graph",
    "Histogram": "histogram",
    "Html": "html",
    "Image": "image",
    "ImageMask": "masks",
    "JoinedTable": "joined_table",
    "Media": "base",
    "Molecule": "molecule",
    "Object3D": "object3d",
    "PartitionedTable": "partitioned_table",
    "Plotly": "plotly",
    "Table": "table",
    "Video": "video",
    "WBValue": "base",
    "box3d": "box3d",
}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _NAMES:
        module = __import__(f"{__name__}.{_NAMES[name]}", fromlist=["_"])
    else:
        module = __import__("runlane._later", fromlist=["_"])
    return getattr(module, name)
