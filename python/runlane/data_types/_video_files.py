"""Video files of frames: GIF by imageio, the others by moviepy, as wandb's extra brings them."""

from __future__ import annotations

from . import _extras
from ._files import MediaFile, temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def frames_of(data: Any) -> Any:
    """Frames of shape (time, height, width, 3), 8 bits each.

    Args:
        data: Shape (time, channels, height, width), or a batch of such videos, which are put side by side.

    Raises:
        ValueError: Wrong shape, or no frames.
    """
    import numpy as np

    shape = list(data.shape)
    if data.ndim not in (4, 5):
        raise ValueError(
            f"Video must be at least 4 dimensions: time, channels, height, width, and at most one before them; got the shape {shape}"
        )
    if not data.size:
        raise ValueError(f"a Video must have frames, got the shape {shape}")
    if data.shape[-3] not in (1, 3, 4):
        raise ValueError(
            f"a Video must have 1, 3 or 4 channels, got {data.shape[-3]}: its axes are time, channels, height, width"
        )
    frames = _side_by_side(data if data.ndim == 5 else data[None])
    # No format has transparency here: moviepy leaves it out, too.
    frames = frames.repeat(3, axis=3) if frames.shape[3] == 1 else frames[..., :3]
    return np.ascontiguousarray(frames)


def _side_by_side(batch: Any) -> Any:
    """A grid of videos: as many as the next power of two, black where there are none; `rows` follows what wandb makes."""
    import numpy as np

    count, time, channels, height, width = batch.shape
    whole = 1 << (count - 1).bit_length()
    if whole > count:
        black = np.zeros((whole - count, *batch.shape[1:]), batch.dtype)
        batch = np.concatenate((batch, black))
    rows = 1 << ((count.bit_length() - 1) // 2)
    columns = whole // rows
    grid = batch.reshape(rows, columns, time, channels, height, width).transpose(2, 0, 4, 1, 5, 3)
    return grid.reshape(time, rows * height, columns * width, channels)


def encode(frames: Any, fps: float, kind: str) -> MediaFile:
    """The file of frames.

    Raises:
        ValueError: The encoder refuses them.
        MissingPackageError: imageio or moviepy is not installed.
    """
    path = temporary.path(f".{kind}")
    if kind == "gif":
        _write_gif(path, frames, fps)
    else:
        _write_movie(path, frames, fps, kind)
    return MediaFile.of_temporary(path, f".{kind}")


def _write_gif(path: str, frames: Any, fps: float) -> None:
    imageio = _extras.load("imageio.v2", "a Video of an array as GIF")
    try:
        with imageio.get_writer(
            path, format="GIF", mode="I", fps=fps, quantizer=0, palettesize=256, loop=0
        ) as writer:
            for frame in frames:
                writer.append_data(frame)
    except TypeError:
        # Another generation of its GIF writer knows durations alone.
        with imageio.get_writer(path, mode="I", duration=1000.0 / fps, loop=0) as writer:
            for frame in frames:
                writer.append_data(frame)


def _write_movie(path: str, frames: Any, fps: float, kind: str) -> None:
    moviepy = _extras.load("moviepy", f"a Video of an array as {kind}")
    if not hasattr(moviepy, "ImageSequenceClip"):
        moviepy = _extras.load("moviepy.editor", f"a Video of an array as {kind}")
    clip = moviepy.ImageSequenceClip(list(frames), fps=fps)
    options = {"codec": "libtheora"} if kind == "ogg" else {}
    try:
        clip.write_videofile(path, logger=None, **options)
    except (OSError, ValueError, IndexError) as error:
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"the encoder refused a Video of {frames.shape[2]} x {frames.shape[1]} pixels as {kind}: {reason[-1] if reason else error!r}"
        ) from error
