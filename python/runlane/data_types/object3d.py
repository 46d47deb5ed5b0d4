"""`Object3D`: a scene of points, boxes and vectors, or a model in a file."""

from __future__ import annotations

import json
import os

from ._files import MediaFile
from ._pixels import check_finite
from .base import BatchableMedia

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: The only type of scene.
_SCENE = "lidar/beta"
_SHAPES = "[[x, y, z], …], [[x, y, z, category], …] with categories 1 to 14, or [[x, y, z, r, g, b], …] with colours 0 to 255"


class Object3D(BatchableMedia):
    """A scene or model as a value of rows, of tables and of artifacts.

    Args:
        data_or_path: Points, an array of shape (n, 3), (n, 4) with a category 1 to 14, or (n, 6) with a colour 0 to 255; a scene, a
            dict with `type: "lidar/beta"` and `points`, `boxes`, `vectors`; the path of a file; or an open file.
        caption: Text below the scene.
        file_type: One of `SUPPORTED_TYPES`, for an open file. Default: by its name.

    Raises:
        TypeError: The data is nothing of these.
        ValueError: Wrong shape, no points, NaN, an unknown type of file or of scene.
        FileNotFoundError: There is no file at the path.
    """

    SUPPORTED_TYPES = frozenset(("obj", "gltf", "glb", "babylon", "stl", "pts.json"))
    SUPPORTED_POINT_CLOUD_TYPES = frozenset((_SCENE,))
    _log_type = "object3D-file"
    _kind = "object3D"

    def __init__(self, data_or_path: Any, caption: str | None = None, file_type: str | None = None) -> None:
        super().__init__(caption)
        if isinstance(data_or_path, (str, os.PathLike)):
            path = os.fspath(data_or_path)
            self._file = MediaFile.of_user(path, f".{self._type_of(path, None)}")
        elif hasattr(data_or_path, "read"):
            name = getattr(data_or_path, "name", None)
            kind = self._type_of(name if isinstance(name, str) else None, file_type)
            if hasattr(data_or_path, "seek"):
                data_or_path.seek(0)
            content = data_or_path.read()
            self._file = MediaFile.of_bytes(
                content if isinstance(content, bytes) else str(content).encode(), f".{kind}"
            )
        elif hasattr(data_or_path, "keys"):
            self._take(_scene(data_or_path))
        elif hasattr(data_or_path, "shape"):
            self._take(_points(data_or_path))
        else:
            raise Object3DTypeError(
                f"data must be an array of points, a scene, a path or an open file, got {type(data_or_path).__name__}"
            )

    def _take(self, content: Any) -> None:
        try:
            text = json.dumps(content, separators=(",", ":"), default=_plain, allow_nan=False)
        except ValueError as error:
            raise ValueError("an Object3D has NaN or infinite values, or contains itself") from error
        self._file = MediaFile.of_bytes(text.encode(), ".pts.json")

    @classmethod
    def _type_of(cls, name: str | None, file_type: str | None) -> str:
        kinds = ", ".join(sorted(cls.SUPPORTED_TYPES))
        if file_type is not None:
            if file_type not in cls.SUPPORTED_TYPES:
                raise ValueError(
                    f"Object3D supports arrays and files of the types {kinds}; got {file_type!r}"
                )
            return file_type
        if name is None:
            raise ValueError("Must pass file type keyword argument when using io objects.")
        for kind in cls.SUPPORTED_TYPES:
            if name.endswith(f".{kind}"):
                return kind
        raise ValueError(f"File {name!r} is not compatible with Object3D: supported types are: {kinds}")

    @classmethod
    def from_file(cls, data_or_path: Any, file_type: str | None = None) -> Object3D:
        """A file: a path, or an open file of type `file_type`.

        Raises:
            TypeError: Neither path nor file.
            ValueError: An unknown type of file.
            FileNotFoundError: There is no file at the path.
        """
        if not isinstance(data_or_path, (str, os.PathLike)) and not hasattr(data_or_path, "read"):
            raise Object3DTypeError(f"data must be a path or an open file, got {type(data_or_path).__name__}")
        return cls(data_or_path, file_type=file_type)

    @classmethod
    def from_numpy(cls, data: Any) -> Object3D:
        """Points: an array of shape (n, 3), (n, 4) or (n, 6).

        Raises:
            TypeError: It is no array.
            ValueError: Wrong shape, no points, or NaN.
        """
        if not hasattr(data, "shape"):
            raise Object3DTypeError(f"`data` must be a numpy array, got {type(data).__name__}")
        return cls(data)

    @classmethod
    def from_point_cloud(
        cls,
        points: Any,
        boxes: Sequence[Any],
        vectors: Sequence[Any] | None = None,
        point_cloud_type: str = _SCENE,
    ) -> Object3D:
        """A scene.

        Args:
            points: As for an array, or a list.
            boxes: Each with `corners` (eight points), `color` (red, green, blue), and optionally `label` and `score`; see `box3d`.
            vectors: Each with `start`, `end`, and optionally `color`.
            point_cloud_type: `lidar/beta`.

        Raises:
            ValueError: Wrong shape, or another type of scene.
        """
        return cls(
            {
                "type": point_cloud_type,
                "vectors": list(vectors) if vectors is not None else [],
                "points": points,
                "boxes": list(boxes),
            }
        )

    @classmethod
    def seq_to_json(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The row's value of several scenes, `object3D`.

        Raises:
            OSError: A file cannot be written.
        """
        items = cls._bound_items(seq, run, key, step)
        folder = f"{cls.get_media_subdir()}/"
        return {
            "_type": "object3D",
            "filenames": [item["path"].removeprefix(folder) for item in items],
            "count": len(items),
            "objects": items,
        }


class Object3DTypeError(TypeError, ValueError):
    """What is given is no scene or model; W&B raises `ValueError`."""


def _points(data: Any) -> Any:
    """Points as nested lists.

    Raises:
        ValueError: Wrong shape, no points, NaN, or no numbers.
    """
    import numpy as np

    from runlane._convert import _as_numpy

    array = _as_numpy(data)
    if array is None:
        array = np.asarray(data)
    if array.dtype.kind not in "fiub" or array.ndim != 2 or array.shape[1] not in (3, 4, 6):
        raise ValueError(
            f"the points of an Object3D must be {_SHAPES}; got the shape {list(array.shape)} of {array.dtype}"
        )
    if not array.size:
        raise ValueError("an Object3D must have points, got none")
    check_finite(array, "an Object3D")
    return array.tolist()


def _scene(data: Any) -> dict[str, Any]:
    """A scene in plain values.

    Raises:
        ValueError: Another type of scene, or points of a wrong shape.
    """
    if data.get("type") not in Object3D.SUPPORTED_POINT_CLOUD_TYPES:
        raise ValueError(
            f"Type not supported: the `type` of a scene is {_SCENE!r}, got {data.get('type')!r:.80}"
        )
    import numpy as np

    points = data.get("points")
    if points is None or not len(points):
        points = []
    else:
        points = _points(points if hasattr(points, "shape") else np.asarray(points))
    boxes, vectors = (
        list(given) if (given := data.get(name)) is not None else [] for name in ("boxes", "vectors")
    )
    # The order of wandb, so that equal scenes have equal names.
    made = {"type": data["type"], "vectors": vectors, "points": points, "boxes": boxes}
    for box in boxes:
        if not hasattr(box, "keys") or "corners" not in box or len(box["corners"]) != 8:
            raise ValueError(
                "a box of an Object3D must have `corners`, eight points\nhint: runlane.box3d makes them"
            )
    return made


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"an Object3D cannot hold a {type(value).__name__}")
