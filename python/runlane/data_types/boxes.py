"""`BoundingBoxes2D`: boxes of an image."""

from __future__ import annotations

import json

from ._files import MediaFile
from ._layers import Layer
from .classes import checked_labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CORNERS = ("minX", "maxX", "minY", "maxY")


class BoundingBoxes2D(Layer):
    """Boxes of an image, with their classes and scores.

    Args:
        val: `box_data`, a list of boxes, and optionally `class_labels`, names by class id. A box has a `position`
            (`minX`, `maxX`, `minY`, `maxY`, or `middle` [x, y], `width`, `height`; fractions of the image, or pixels with
            `domain: "pixel"`), a `class_id`, and optionally `box_caption` and `scores` (numbers by name).
        key: Name of the layer.

    Raises:
        TypeError: A part has the wrong type, or a position is not whole.
        ValueError: `box_data` or a `class_id` is missing.
    """

    _log_type = "boxes2D"
    _kind = "metadata/boxes2D"
    _labels_kind = "bounding_box/class_labels"

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        super().__init__(key)
        if not hasattr(val, "keys"):
            raise TypeError(f"boxes `{key}` must be a dictionary with `box_data`, got {type(val).__name__}")
        if "box_data" not in val:
            raise ValueError(f"boxes `{key}` have no `box_data`")
        data = val["box_data"]
        if isinstance(data, (str, bytes)) or not hasattr(data, "__iter__"):
            raise TypeError(f"`box_data` of `{key}` must be a list, got {type(data).__name__}")
        self._val: list[dict[str, Any]] = [_checked(box, key) for box in data]
        content: dict[str, Any] = {"box_data": self._val}
        if "class_labels" in val:
            self._class_labels = checked_labels(val["class_labels"], f"boxes `{key}`")
            content["class_labels"] = {str(number): name for number, name in self._class_labels.items()}
        else:
            ids = dict.fromkeys(box["class_id"] for box in self._val)
            self._class_labels = {number: f"class_{number}" for number in ids}
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        self._file = MediaFile.of_bytes(text.encode("utf-8", "replace"), ".boxes2D.json")

    @classmethod
    def type_name(cls) -> str:
        """The `_type` of rows."""
        return "boxes2D"

    def _in_artifact(self, artifact: Any) -> Any:
        """The boxes themselves: an artifact has no file of them."""
        del artifact
        return self._val

    @classmethod
    def from_json(cls, json_obj: Any, source_artifact: Any) -> BoundingBoxes2D:
        """The boxes of an image that was read from an artifact."""
        del source_artifact
        return cls({"box_data": json_obj}, "")


def _checked(box: Any, key: str) -> dict[str, Any]:
    where = f"a box of `{key}`"
    if not hasattr(box, "keys"):
        raise TypeError(f"{where} must be a dictionary, got {type(box).__name__}")
    made = {name: _plain(value) for name, value in box.items()}
    _check_position(made.get("position"), where)
    if "class_id" not in made:
        raise ValueError(f"{where} has no `class_id`")
    if isinstance(made["class_id"], bool) or not isinstance(made["class_id"], int):
        raise TypeError(f"{where}: a box's class_id must be an integer, got {made['class_id']!r:.80}")
    if not isinstance(made.get("box_caption", ""), str):
        raise TypeError(f"{where}: a box's caption must be a string, got {made['box_caption']!r:.80}")
    scores = made.get("scores", {})
    if not isinstance(scores, dict):
        raise TypeError(f"{where}: box scores must be a dictionary, got {type(scores).__name__}")
    for name, score in scores.items():
        if not isinstance(name, str):
            raise TypeError(f"{where}: a score key must be a string, got {name!r:.80}")
        if not _is_number(score):
            raise TypeError(f"{where}: a score value must be a number, got {score!r:.80}")
    return made


def _check_position(position: Any, where: str) -> None:
    is_whole = isinstance(position, dict) and (
        all(_is_number(position.get(name)) for name in _CORNERS)
        or (
            isinstance(position.get("middle"), list)
            and len(position["middle"]) == 2
            and all(map(_is_number, (*position["middle"], position.get("width"), position.get("height"))))
        )
    )
    if not is_whole:
        raise TypeError(
            f"{where}: each box must contain a position with middle, width and height, or minX, maxX, minY and maxY, as"
            f" numbers; got {position!r:.200}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0


def _plain(value: Any) -> Any:
    """`value` in Python's own types; arrays and tensors as numbers and lists."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value
