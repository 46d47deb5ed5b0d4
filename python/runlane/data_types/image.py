"""`Image`: a picture, with boxes and masks over it."""

from __future__ import annotations

import os

from runlane import terminal

from ._files import MediaFile
from ._pixels import picture_of, size_of_file
from .base import BatchableMedia, Media
from .boxes import BoundingBoxes2D
from .classes import Classes
from .masks import ImageMask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Image(BatchableMedia):
    """A picture as a value of rows, of tables and of artifacts.

    Args:
        data_or_path: An array of shape (height, width) or (height, width, channels) with 1, 3 or 4 channels, a torch tensor of
            shape (channels, height, width) or a batch of them, values 0 to 255; a Pillow picture; a matplotlib figure; the path of
            an image file; a URL (`s3://`, `gs://`, `http(s)://`) for an artifact; or another Image, whose boxes and masks are
            not taken over.
        mode: Pillow's mode (`L`, `RGB`, `RGBA`, …) for arrays. Default: by the number of channels.
        caption: Text below the picture.
        grouping: A number by which pictures are grouped.
        classes: Names of classes, `{"id", "name"}` each, for boxes and masks in artifacts.
        boxes: Layers of boxes by name, see `BoundingBoxes2D`.
        masks: Layers of masks by name, see `ImageMask`.
        file_type: `png` (default), `jpg`, `jpeg` or `bmp`; for a path its own.

    Values of arrays are not rescaled: floats lose their fraction, integers are taken modulo 256, as wandb 0.31.0 does.

    Raises:
        TypeError: The data is nothing of these, or a part of a layer has the wrong type.
        ValueError: Wrong shape, no pixels, NaN, an unknown mode or file type, or a file that is no image.
        FileNotFoundError: There is no file at the path.
        MissingPackageError: Pillow is needed and not installed.
    """

    MAX_ITEMS = 108
    MAX_DIMENSION = 65500
    _log_type = "image-file"
    _kind = "images"

    format: str | None = None
    _width: int | None = None
    _height: int | None = None
    _grouping: int | None = None
    _classes: Classes | None = None
    _boxes: dict[str, BoundingBoxes2D] | None = None
    _masks: dict[str, ImageMask] | None = None

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Classes | Sequence[Mapping[str, Any]] | None = None,
        boxes: Mapping[str, BoundingBoxes2D | Mapping[str, Any]] | None = None,
        masks: Mapping[str, ImageMask | Mapping[str, Any]] | None = None,
        file_type: str | None = None,
    ) -> None:
        super().__init__(caption)
        if isinstance(data_or_path, Image):
            self._take_over(data_or_path)
        elif self.path_is_reference(data_or_path):
            self._refer(data_or_path)
        elif isinstance(data_or_path, (str, os.PathLike)):
            self._take_file(os.fspath(data_or_path))
        else:
            picture = picture_of(data_or_path, mode, file_type)
            self._file, self._width, self._height = picture
            self.format = file_type or "png"
        if grouping is not None:
            self._grouping = grouping
        self._take_layers(classes, boxes, masks)

    def _take_over(self, other: Image) -> None:
        if self._caption is None:
            self._caption = other._caption
        for name in ("_file", "_width", "_height", "_grouping", "_classes", "_reference", "format"):
            setattr(self, name, getattr(other, name))
        self._artifact_source, self._source_entry = other._artifact_source, other._source_entry
        self._artifact_target = other._artifact_target

    def _refer(self, url: str) -> None:
        self._reference = url
        self.format = url.partition("?")[0].rpartition("/")[2].rpartition(".")[2]

    def _take_file(self, path: str) -> None:
        self._width, self._height = size_of_file(path)
        self._file = MediaFile.of_user(path)
        self.format = os.path.splitext(path)[1][1:]

    def _take_layers(self, classes: Any, boxes: Any, masks: Any) -> None:
        named: dict[Any, Any] = {}
        for name, layers in (("boxes", boxes), ("masks", masks)):
            if layers and not hasattr(layers, "items"):
                raise ValueError(
                    f'Images "{name}" argument must be a dictionary of layers by name, got {type(layers).__name__}'
                )
        if boxes:
            self._boxes = {
                str(key): value if isinstance(value, BoundingBoxes2D) else BoundingBoxes2D(value, str(key))
                for key, value in boxes.items()
            }
        if masks:
            self._masks = {
                str(key): value if isinstance(value, ImageMask) else ImageMask(value, str(key))
                for key, value in masks.items()
            }
        for layer in self._layers():
            named.update(layer._class_labels)
        if classes is not None:
            named.update((classes if isinstance(classes, Classes) else Classes(classes)).names)
        if named:
            self._classes = Classes([{"id": number, "name": name} for number, name in named.items()])

    def _layers(self) -> list[BoundingBoxes2D | ImageMask]:
        return [*(self._boxes or {}).values(), *(self._masks or {}).values()]

    def _is_pending(self) -> bool:
        return super()._is_pending() or any(layer._is_pending() for layer in self._layers())

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def image(self) -> Any:
        """The picture as Pillow has it, decoded at each call; None for a URL.

        Raises:
            MissingPackageError: Pillow is not installed.
            OSError: The file is gone, or damaged.
        """
        if self._file is None:
            return None
        from . import _extras

        pillow = _extras.load("PIL.Image", "Image.image")
        image = pillow.open(self._file.opened())
        image.load()
        return image

    @property
    def _path(self) -> str | None:
        return self._reference if self._file is None else self._file.local_path()

    def guess_mode(self, data: Any, file_type: str | None = None) -> str:
        """Pillow's mode for an array or tensor, by its number of channels: `L`, `RGB` or `RGBA`, for JPEG `RGB`.

        Raises:
            ValueError: It has another number of channels.
        """
        channels = 1 if data.ndim == 2 else data.shape[0 if hasattr(data, "detach") else -1]
        modes = {1: "L", 3: "RGB", 4: "RGB" if file_type in ("jpg", "jpeg") else "RGBA"}
        if channels not in modes:
            raise ValueError(f"an Image has 1, 3 or 4 channels, got the shape {list(data.shape)}")
        return modes[channels]

    def to_data_array(self) -> list[Any]:
        """Rows of pixels: numbers, or tuples of channels."""
        image = self.image
        if image is None:
            return []
        pixels = list(image.getdata())
        return [pixels[start : start + image.width] for start in range(0, len(pixels), image.width)]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Image):
            return False
        if self._reference is not None or other._reference is not None:
            return self._reference == other._reference
        facts = ("_grouping", "_caption", "_width", "_height", "_classes")
        if any(getattr(self, name) != getattr(other, name) for name in facts):
            return False
        if self._file is None or other._file is None:
            return self._file is other._file
        if self._file.sha256 == other._file.sha256:
            return True
        mine, others = self.image, other.image
        return bool(mine.mode == others.mode and mine.tobytes() == others.tobytes())

    __hash__ = Media.__hash__

    def _layer_facts(self) -> dict[str, Any]:
        """What a table's column type says of layers and classes."""
        boxes, masks = self._boxes or {}, self._masks or {}

        def texts(labels: Mapping[Any, Any]) -> dict[str, Any]:
            return {str(number): name for number, name in labels.items()}

        labelled = {key: mask for key, mask in masks.items() if mask._val}
        return {
            "box_layers": {key: set(layer._class_labels) for key, layer in boxes.items()},
            "box_score_keys": {
                name for layer in boxes.values() for box in layer._val for name in box.get("scores", {})
            },
            "mask_layers": {key: set(mask._class_labels if mask._val else ()) for key, mask in masks.items()},
            "box_class_maps": {key: texts(layer._class_labels) for key, layer in boxes.items()},
            "mask_class_maps": {key: texts(mask._class_labels) for key, mask in labelled.items()},
            "class_map": texts(self._classes.names) if self._classes is not None else {},
        }

    # -- storing -----------------------------------------------------------------------------------------------------

    def bind_to_run(
        self,
        run: Any,
        key: str,
        step: int | str,
        id_: int | str | None = None,
        ignore_copy_err: bool | None = None,  # noqa: ARG002, RUF100 - W&B's argument
    ) -> None:
        """Store picture and layers with `run`.

        Raises:
            ValueError: The picture is a URL.
            OSError: A file cannot be written.
        """
        super().bind_to_run(run, key, step, id_)
        for layer in self._layers():
            layer.bind_to_run(run, key, step, id_)

    def _described(self, file: dict[str, Any]) -> dict[str, Any]:
        described = {**super()._described(file), **self._facts()}
        run = self._bound[0] if self._bound is not None else None
        for name, layers in (("boxes", self._boxes), ("masks", self._masks)):
            if layers and run is not None:
                described[name] = {key: layer.to_json(run) for key, layer in layers.items()}
        return described

    def _facts(self) -> dict[str, Any]:
        facts = {
            "format": self.format,
            "width": self._width,
            "height": self._height,
            "grouping": self._grouping,
        }
        return {name: value for name, value in facts.items() if value is not None or name == "format"}

    def _in_artifact(self, artifact: Any) -> dict[str, Any]:
        if self._layers() and self._classes is None:
            raise ValueError(
                "an Image with masks or boxes needs names of classes in an artifact\nhint: pass `classes` to the Image, or"
                " `class_labels` to its layers"
            )
        described = {**super()._in_artifact(artifact), **self._facts()}
        if self._classes is not None:
            entry = artifact.add(self._classes, self._classes._name_in_artifact())
            described["classes"] = {"type": "classes-file", "path": entry.path, "digest": entry.digest}
        for name, layers in (("boxes", self._boxes), ("masks", self._masks)):
            if layers:
                described[name] = {key: layer.to_json(artifact) for key, layer in layers.items()}
        return described

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Image:
        """The image of an artifact; its file is downloaded."""
        image: Image = super().from_json(json_obj, source_artifact)
        if json_obj.get("classes") is not None:
            image._classes = source_artifact.get(json_obj["classes"]["path"])
        image._boxes = _read_layers(BoundingBoxes2D, json_obj.get("boxes"), source_artifact)
        image._masks = _read_layers(ImageMask, json_obj.get("masks"), source_artifact)
        return image

    @classmethod
    def _options_of(cls, json_obj: dict[str, Any]) -> dict[str, Any]:
        return {name: json_obj.get(name) for name in ("caption", "grouping")}

    # -- lists -------------------------------------------------------------------------------------------------------

    @classmethod
    def seq_to_json(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The row's value of several images, `images/separated`; the first 108 are stored.

        Raises:
            OSError: A file cannot be written.
            ValueError: One is a URL.
        """
        images = cls._first_of(seq, key)
        for image in images:
            image.bind_to_run(run, key, step)
        first = images[0]
        if any((image._width, image._height) != (first._width, first._height) for image in images):
            terminal.termwarn(
                f"the images of `{terminal.printable(key)}` have different sizes: the app shows all with that of the first",
                repeat=False,
            )
        described: dict[str, Any] = {
            "_type": "images/separated",
            "width": first._width,
            "height": first._height,
            "format": first.format,
            "count": len(images),
            "filenames": [image._stored_path() for image in images],
        }
        if first._caption is not None:
            described["captions"] = [image._caption for image in images]
        for name, groups in (
            ("all_masks", cls.all_masks(images, run, key, step)),
            ("all_boxes", cls.all_boxes(images, run, key, step)),
        ):
            if groups:
                described[name] = groups
        return described

    @classmethod
    def all_masks(
        cls, images: Sequence[Image], run: Any, run_key: str, step: int | str
    ) -> list[dict[str, Any] | None] | bool:
        """The rows' values of the masks of each image, which are stored with `run`; False if none has masks."""
        del run_key, step
        return _groups([image._masks for image in images], run)

    @classmethod
    def all_boxes(
        cls, images: Sequence[Image], run: Any, run_key: str, step: int | str
    ) -> list[dict[str, Any] | None] | bool:
        """The rows' values of the boxes of each image, which are stored with `run`; False if none has boxes."""
        del run_key, step
        return _groups([image._boxes for image in images], run)

    @classmethod
    def all_captions(cls, images: Sequence[Any]) -> Any:
        """Captions of a list, or False if the first has none."""
        return cls.captions(images)


def _groups(images: Sequence[Mapping[str, Any] | None], run: Any) -> list[dict[str, Any] | None] | bool:
    if not any(images):
        return False
    return [
        {key: layer.to_json(run) for key, layer in layers.items()} if layers else None for layers in images
    ]


def _read_layers(kind: Any, layers: Any, artifact: Any) -> Any:
    if not layers:
        return None
    made = {key: kind.from_json(layer, artifact) for key, layer in layers.items()}
    for key, layer in made.items():
        layer._key = key
    return made
