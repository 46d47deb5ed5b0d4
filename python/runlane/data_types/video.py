"""`Video`: moving pictures."""

from __future__ import annotations

import os

from runlane import terminal

from ._files import MediaFile
from ._pixels import as_array, check_finite
from .base import BatchableMedia

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_DEFAULT_FPS = 4


class Video(BatchableMedia):
    """Moving pictures as a value of rows, of tables and of artifacts.

    Args:
        data_or_path: An array or tensor of shape (time, channels, height, width) with 1, 3 or 4 channels, values 0 to 255; a batch of
            them, (n, time, channels, height, width), is put side by side; the path of a file; or an open file (`BytesIO`).
        caption: Text below the video.
        fps: Frames per second of an array, above 0. Default: 4.
        format: `gif`, `mp4`, `webm` or `ogg`; needed for arrays and open files, for a path its ending.

    Raises:
        TypeError: The data is nothing of these.
        ValueError: Wrong shape, no frames, NaN, an unknown format or none, or `fps` not above 0.
        FileNotFoundError: There is no file at the path.
        MissingPackageError: imageio or moviepy is needed and not installed.
    """

    EXTS = ("gif", "mp4", "webm", "ogg")
    _log_type = "video-file"
    _kind = "videos"
    _width: int | None = None
    _height: int | None = None

    def __init__(
        self,
        data_or_path: Any,
        caption: str | None = None,
        fps: float | None = None,
        format: str | None = None,  # noqa: A002, RUF100 - the argument's name is W&B's
    ) -> None:
        super().__init__(caption)
        self._format = format
        if isinstance(data_or_path, (str, os.PathLike)):
            path = os.fspath(data_or_path)
            self._format = os.path.splitext(path)[1][1:].lower()
            self._check_format()
            self._warn_of_fps(fps)
            self._file = MediaFile.of_user(path)
            return
        is_file = hasattr(data_or_path, "read")
        if format is None:
            given = "raw bytes (an open file)" if is_file else "an array"
            raise ValueError(f"a Video of {given} needs the argument `format`: one of {', '.join(self.EXTS)}")
        self._check_format()
        if is_file:
            self._warn_of_fps(fps)
            if hasattr(data_or_path, "seek"):
                data_or_path.seek(0)
            content = data_or_path.read()
            if not isinstance(content, bytes):
                raise TypeError(
                    f"a Video of an open file needs one of bytes, it gave {type(content).__name__}"
                )
            self._file = MediaFile.of_bytes(content, f".{format}")
        else:
            self._take_frames(data_or_path, _DEFAULT_FPS if fps is None else fps, format)

    def _check_format(self) -> None:
        if self._format not in self.EXTS:
            raise ValueError(f"a Video has one of the formats {', '.join(self.EXTS)}; got {self._format!r}")

    @staticmethod
    def _warn_of_fps(fps: float | None) -> None:
        if fps is not None:
            terminal.termwarn("`fps` has no effect on a Video of a file: it has its own", repeat=False)

    def _take_frames(self, data: Any, fps: float, kind: str) -> None:
        import numpy as np

        from ._video_files import encode, frames_of

        if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps < 10_000:
            raise ValueError(f"`fps` must be a number above 0, got {fps!r:.80}")
        array = as_array(data, "the data of a Video")
        check_finite(array, "the data of a Video")
        if array.dtype != np.uint8:
            terminal.termwarn(
                "a Video is stored with values from 0 to 255: they are converted to uint8", repeat=False
            )
            array = array.astype(np.uint8)
        frames = frames_of(array)
        self._height, self._width = int(frames.shape[1]), int(frames.shape[2])
        self._file = encode(frames, fps, kind)

    def _described(self, file: dict[str, Any]) -> dict[str, Any]:
        return {**super()._described(file), **self._size()}

    def _in_artifact(self, artifact: Any) -> dict[str, Any]:
        return {**super()._in_artifact(artifact), **self._size()}

    def _size(self) -> dict[str, Any]:
        return {} if self._width is None else {"width": self._width, "height": self._height}

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Video:
        """The video of an artifact; its file is downloaded."""
        video: Video = super().from_json(json_obj, source_artifact)
        video._width, video._height = json_obj.get("width"), json_obj.get("height")
        return video

    @classmethod
    def seq_to_json(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The row's value of several videos, `videos`.

        Raises:
            OSError: A file cannot be written.
        """
        return {
            "_type": "videos",
            "count": len(seq),
            "videos": cls._bound_items(seq, run, key, step),
            "captions": cls.captions(seq),
        }
