"""Pixels of arrays, tensors, pictures and figures, and the files made of them.

Values are taken as they are, as wandb 0.31.0 does: integers modulo 256, floats without their fraction. Nothing is rescaled.

| given | shape | file |
|---|---|---|
| array | (height, width), (height, width, channels 1, 3 or 4) | PNG by the native encoder, else by Pillow |
| torch tensor | (channels, height, width), (height, width); a batch (n, channels, height, width) becomes a grid | as an array |
| Pillow picture | | PNG by the native encoder, or by Pillow with what else the picture holds |
| matplotlib figure | | by matplotlib |
"""

from __future__ import annotations

import math
import sys

from runlane import terminal

from . import _extras
from ._files import MediaFile, temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    class Picture(NamedTuple):
        """A file, with the size of the picture in pixels."""

        file: MediaFile
        width: int
        height: int

else:
    from collections import namedtuple

    Picture = namedtuple("Picture", "file width height")  # noqa: PYI024, RUF100 - `typing` is slow to import

FILE_TYPES = ("png", "jpg", "jpeg", "bmp")
#: Channels by mode, where the native encoder makes the file.
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
#: Pictures of a batch side by side, and the pixels between them.
_GRID_COLUMNS = 8
_GRID_GAP = 2


def is_figure(data: Any) -> bool:
    """Whether `data` is of matplotlib: a figure, a part of one, or the module `pyplot`; imports nothing."""
    if "matplotlib" not in sys.modules:
        return False
    if getattr(data, "__name__", None) == "matplotlib.pyplot" and type(data).__name__ == "module":
        return True
    artist = getattr(sys.modules.get("matplotlib.artist"), "Artist", None)
    return artist is not None and isinstance(data, artist)


def figure_of(data: Any) -> Any:
    """The figure that something of matplotlib belongs to.

    Raises:
        ValueError: It belongs to none.
    """
    figure = data.gcf() if type(data).__name__ == "module" else data
    if not hasattr(figure, "savefig"):
        figure = getattr(figure, "figure", None)
    if not hasattr(figure, "savefig"):
        raise ValueError(f"the {type(data).__name__} belongs to no matplotlib figure")
    return figure


def picture_of(data: Any, mode: str | None, file_type: str | None) -> Picture:
    """The file of what is no path.

    Args:
        data: See the table above.
        mode: Pillow's mode of the file. Default: by the channels.
        file_type: One of `FILE_TYPES`. Default: png.

    Raises:
        TypeError: `data` is nothing that pixels can be made of.
        ValueError: Wrong shape, no pixels, NaN or infinite values, an unknown file type or mode.
        MissingPackageError: Pillow is needed and not installed.
    """
    kind = file_type or "png"
    if kind not in FILE_TYPES:
        raise ValueError(f"`file_type` must be one of {', '.join(FILE_TYPES)}, got {file_type!r}")
    if is_figure(data):
        return _of_figure(figure_of(data), kind)
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(data, pillow.Image):
        return _of_pillow(data, kind)
    array = _pixels(data)
    natural = _natural_mode(array)
    wanted = mode or natural
    if wanted == "RGBA" and mode is None and kind in ("jpg", "jpeg"):
        terminal.termwarn("JPEG has no transparency: the image is stored as RGB", repeat=False)
        wanted = "RGB"
    if wanted == natural and kind == "png":
        return _encoded(array, wanted)
    pillow = _extras.load("PIL.Image", "an Image of this mode or file type")
    try:
        converted = pillow.fromarray(array).convert(wanted)
    except ValueError as error:
        raise ValueError(f"`mode`: {error}") from error
    return _of_pillow(converted, kind)


def _natural_mode(array: Any) -> str:
    if array.ndim == 2:
        return "L"
    return "RGB" if array.shape[2] == 3 else "RGBA"


def as_array(data: Any, what: str) -> Any:
    """A numpy array of an array or tensor of any library.

    Raises:
        TypeError: It is neither, or holds no numbers.
    """
    from runlane._convert import _as_numpy

    array = _as_numpy(data)
    if array is None and hasattr(data, "numpy"):
        array = data.numpy()
    if array is None:
        raise TypeError(f"{what} must be an array or a tensor, got {type(data).__name__}")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} must hold numbers, got {array.dtype}")
    return array


def check_finite(array: Any, what: str) -> None:
    """Refuse NaN and infinities.

    Raises:
        ValueError: There are some.
    """
    import numpy as np

    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{what} has NaN or infinite values\nhint: numpy.nan_to_num replaces them")


def _pixels(data: Any) -> Any:
    """Pixels of shape (height, width) or (height, width, 3 or 4), 8 bits each, in one piece."""
    import numpy as np

    if hasattr(data, "todense"):
        data = data.todense()
    array = as_array(data, "the data of an Image")
    given = list(array.shape)
    if type(data).__module__.partition(".")[0] == "torch":
        array = _channels_last(array)
    if array.ndim > 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        array = array.squeeze()
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ValueError(
            f"Un-supported shape for image conversion {given}: an Image takes (height, width) or (height, width, channels) with"
            " 1, 3 or 4 channels; channels come first in torch tensors"
        )
    if not array.size:
        raise ValueError(f"an Image must have pixels, got the shape {given}")
    check_finite(array, "the data of an Image")
    # In the background the pixels are needed after the caller has changed them.
    return (
        np.array(array, np.uint8, order="C", copy=True)
        if _in_background()
        else np.ascontiguousarray(array, np.uint8)
    )


def _channels_last(array: Any) -> Any:
    if array.ndim == 4:
        array = _grid(array)
    return array.transpose(1, 2, 0) if array.ndim == 3 else array


def _grid(batch: Any) -> Any:
    """The pictures of a batch (n, channels, height, width) in one: eight in a row, two pixels apart."""
    import numpy as np

    count, channels, height, width = batch.shape
    if count == 1:
        return batch[0]
    columns = min(_GRID_COLUMNS, count) or 1
    rows = math.ceil(count / columns)
    down, right = height + _GRID_GAP, width + _GRID_GAP
    whole = np.zeros((channels, rows * down + _GRID_GAP, columns * right + _GRID_GAP), batch.dtype)
    for number in range(count):
        top = number // columns * down + _GRID_GAP
        left = number % columns * right + _GRID_GAP
        whole[:, top : top + height, left : left + width] = batch[number]
    return whole


def _encoded(array: Any, mode: str) -> Picture:
    height, width = array.shape[:2]
    return Picture(png_file(array, _CHANNELS[mode]), width, height)


def png_file(array: Any, channels: int, extension: str = ".png") -> MediaFile:
    """The PNG file of 8-bit pixels in one piece, of shape (height, width) or (height, width, channels)."""
    from runlane import _core

    height, width = array.shape[:2]

    def make() -> tuple[bytes, str]:
        return _core.encode_png(array.ctypes.data, width, height, channels)

    if _in_background() and temporary.take(array.nbytes):
        return MediaFile.of_later(make, extension, array.nbytes)
    content, digest = make()
    return MediaFile.of_bytes(content, extension, digest)


def _in_background() -> bool:
    """Whether the active run has images encoded in the background."""
    run = sys.modules["runlane"].run
    return run is not None and bool(run._settings.x_async_media)


def _of_pillow(image: Any, kind: str) -> Picture:
    if image.width == 0 or image.height == 0:
        raise ValueError(f"an Image must have pixels, got {image.width} x {image.height}")
    # What a picture knows besides its pixels (a colour profile, say) Pillow writes.
    if kind == "png" and image.mode in _CHANNELS and not (image.info.keys() - {"transparency"}):
        import numpy as np

        return _encoded(np.array(image, order="C"), image.mode)
    from io import BytesIO

    buffer = BytesIO()
    named = "jpeg" if kind == "jpg" else kind
    try:
        image.save(buffer, format=named, transparency=None)
    except OSError as error:
        raise ValueError(
            f"an image of mode {image.mode} cannot be stored as {kind}: {error}\nhint: image.convert('RGB')"
        ) from error
    return Picture(MediaFile.of_bytes(buffer.getvalue(), f".{kind}"), image.width, image.height)


def _of_figure(figure: Any, kind: str) -> Picture:
    from io import BytesIO

    pillow = _extras.load("PIL.Image", "an Image of a matplotlib figure")
    buffer = BytesIO()
    figure.savefig(buffer, format=kind)
    with pillow.open(buffer) as image:
        width, height = image.size
    return Picture(MediaFile.of_bytes(buffer.getvalue(), f".{kind}"), width, height)


def size_of_file(path: str) -> tuple[int, int]:
    """Width and height of a picture file, from its head: its pixels are not decoded.

    Raises:
        ValueError: It is no picture that Pillow knows, or it claims more pixels than Pillow decodes.
        MissingPackageError: Pillow is not installed.
    """
    import warnings

    pillow = _extras.load("PIL.Image", "an Image of a file")
    try:
        # Warned of are sizes that can be decoded still; refused are those that cannot.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            with pillow.open(path) as image:
                return int(image.width), int(image.height)
    except pillow.UnidentifiedImageError as error:
        raise ValueError(f"`{path}` is no image file that Pillow can read") from error
    except pillow.DecompressionBombError as error:
        raise ValueError(f"`{path}` is too large an image: {error}") from error
