"""`ImageMask`: the class of each pixel of an image."""

from __future__ import annotations

from ._files import MediaFile
from ._layers import Layer
from ._pixels import as_array, png_file
from .classes import checked_labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class ImageMask(Layer):
    """A mask of an image: a class id, 0 to 255, for each pixel.

    Args:
        val: `mask_data`, an array of shape (height, width), or `path`, an image file of one; optionally `class_labels`, names by
            class id. Default: `class_<id>` of each id of the data.
        key: Name of the layer.

    Raises:
        TypeError: The data is no 2-D array of numbers from 0 to 255, or a part has the wrong type.
        ValueError: There are no data, or no pixels.
        FileNotFoundError: There is no file at `path`.
    """

    _log_type = "mask"
    _kind = "images/mask"
    _labels_kind = "mask/class_labels"

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        super().__init__(key)
        if not hasattr(val, "keys"):
            raise TypeError(
                f"mask `{key}` must be a dictionary with `mask_data` or `path`, got {type(val).__name__}"
            )
        self._val: dict[str, Any] = {}
        labels = val.get("class_labels")
        if labels is not None:
            self._class_labels = checked_labels(labels, f"mask `{key}`")
        if "path" in val:
            self._file = MediaFile.of_user(str(val["path"]))
            self._labelled = labels is not None
        elif "mask_data" in val:
            self._file = self._of_data(val["mask_data"], labels is None)
            self._labelled = True
        else:
            raise ValueError(f"mask `{key}` has neither `mask_data` nor `path`")
        if self._labelled:
            self._val = {"class_labels": self._class_labels}

    def _of_data(self, data: Any, name_classes: bool) -> MediaFile:
        import numpy as np

        given = as_array(
            np.asarray(data) if isinstance(data, (list, tuple)) else data, f"mask_data of `{self._key}`"
        )
        if given.ndim != 2:
            raise TypeError(
                f"mask `{self._key}`: mask_data must be a 2D array, got the shape {list(given.shape)}"
            )
        if not given.size:
            raise ValueError(f"mask `{self._key}` has no pixels: {list(given.shape)}")
        # False for NaN as well.
        if not (given.min() >= 0 and given.max() <= 255):
            raise TypeError(f"mask `{self._key}`: mask data must be integers between 0 and 255")
        pixels = np.ascontiguousarray(given.astype(np.uint8))
        if name_classes:
            present = np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
            self._class_labels = {int(number): f"class_{number}" for number in present}
        return png_file(pixels, 1, ".mask.png")

    @classmethod
    def type_name(cls) -> str:
        """The `_type` of rows."""
        return "mask"

    def _has_labels(self) -> bool:
        return self._labelled

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> ImageMask:
        """The mask of an image that was read from an artifact."""
        mask = cls({"path": source_artifact.get_entry(json_obj["path"]).download()}, "")
        mask._set_artifact_source(source_artifact)
        mask._source_entry = json_obj["path"]
        return mask
