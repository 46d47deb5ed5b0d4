"""`Audio`: a sound."""

from __future__ import annotations

import os

from . import _extras
from ._files import MediaFile
from ._pixels import check_finite
from .base import BatchableMedia

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Audio(BatchableMedia):
    """A sound as a value of rows, of tables and of artifacts.

    Args:
        data_or_path: Samples of shape (n,) or (n, channels), floats from -1 to 1 or integers, written as 16-bit WAV; the path of an
            audio file; or a URL (`s3://`, `gs://`, `http(s)://`) for an artifact.
        sample_rate: Samples per second; needed for samples, for a file what lists say of it.
        caption: Text below the sound.

    Raises:
        TypeError: The samples are no numbers, or `sample_rate` is no integer.
        ValueError: No `sample_rate`, wrong shape, no samples, or NaN.
        FileNotFoundError: There is no file at the path.
        MissingPackageError: soundfile is needed and not installed.
    """

    MAX_ITEMS = 100
    _log_type = "audio-file"
    _kind = "audio"
    _duration: float | None = None
    _sample_rate: int | None = None

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        super().__init__(caption)
        if self.path_is_reference(data_or_path):
            self._reference = data_or_path
        elif isinstance(data_or_path, (str, os.PathLike)):
            self._file = MediaFile.of_user(os.fspath(data_or_path))
            self._sample_rate = sample_rate
        elif sample_rate is None:
            raise ValueError('Argument "sample_rate" is required for an Audio of samples')
        else:
            self._take_samples(data_or_path, sample_rate)

    def _take_samples(self, data: Any, sample_rate: Any) -> None:
        import io

        import numpy as np

        if isinstance(sample_rate, bool) or not hasattr(type(sample_rate), "__index__"):
            raise TypeError(f"`sample_rate` must be an integer, got {type(sample_rate).__name__}")
        rate = sample_rate.__index__()
        if rate <= 0:
            raise ValueError(f"`sample_rate` must be positive, got {rate}")
        if hasattr(data, "detach"):
            data = data.detach().cpu().numpy()
        samples = np.asarray(data)
        if samples.dtype.kind not in "fiub":
            raise TypeError(
                f"the samples of an Audio must be numbers, got {type(data).__name__} of {samples.dtype}"
            )
        if samples.ndim not in (1, 2):
            raise ValueError(
                f"the samples of an Audio have the shape (n,) or (n, channels), got {list(samples.shape)}"
            )
        if not samples.size:
            raise ValueError(f"an Audio must have samples, got the shape {list(samples.shape)}")
        check_finite(samples, "the samples of an Audio")
        if samples.dtype not in (np.float64, np.float32, np.int32, np.int16):
            samples = samples.astype(np.float64 if samples.dtype.kind == "f" else np.int32)
        soundfile = _extras.load("soundfile", "an Audio of samples")
        buffer = io.BytesIO()
        try:
            soundfile.write(buffer, samples, rate, format="WAV")
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise ValueError(
                f"no WAV file can be made of samples of the shape {list(samples.shape)}: {error}"
            ) from error
        self._file = MediaFile.of_bytes(buffer.getvalue(), ".wav")
        self._duration = len(samples) / float(rate)
        self._sample_rate = rate

    @classmethod
    def durations(cls, audio_list: Sequence[Any]) -> list[float | None]:
        """Seconds of each; None for files."""
        return [one._duration for one in audio_list]

    @classmethod
    def sample_rates(cls, audio_list: Sequence[Any]) -> list[int | None]:
        """Samples per second of each; None for files."""
        return [one._sample_rate for one in audio_list]

    @classmethod
    def seq_to_json(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The row's value of several sounds, `audio`.

        Raises:
            OSError: A file cannot be written.
            ValueError: One is a URL.
        """
        described = {
            "_type": "audio",
            "count": len(seq),
            "audio": cls._bound_items(seq, run, key, step),
            "sampleRates": cls.sample_rates(seq),
            "durations": cls.durations(seq),
        }
        if any(one._caption is not None for one in seq):
            described["captions"] = cls.captions(seq)
        return described

    @classmethod
    def captions(cls, audio_list: Sequence[Any]) -> Any:
        """Captions of a list, or False if none has one."""
        captions = [one._caption for one in audio_list]
        return [caption or "" for caption in captions] if any(one is not None for one in captions) else False

    def resolve_ref(self) -> str | None:
        """The URL of a sound that an artifact refers to."""
        return self._reference
