"""`Histogram`: counts of values in bins, as a value of rows and of the summary."""

from __future__ import annotations

from .base import WBValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: Fewer values are counted faster by numpy.
_NATIVE_VALUES = 4096


class Histogram(WBValue):
    """How often values lie in each of a row of bins.

    Args:
        sequence: Numbers of any shape (a list, array or tensor); NaN and infinities are left out.
        np_histogram: Counts of shape (n,) and edges of shape (n + 1,), as `numpy.histogram` returns them; instead of `sequence`.
        num_bins: How many bins of equal width `sequence` is put into, 1 to 512.

    Raises:
        ValueError: Too many bins, or counts and edges that do not go together.
        TypeError: Neither numbers nor a histogram was given.
    """

    MAX_LENGTH = 512
    _log_type = "histogram"

    def __init__(
        self,
        sequence: Sequence[Any] | Any = None,
        np_histogram: tuple[Any, Any] | None = None,
        num_bins: int = 64,
    ) -> None:
        self.histogram: list[Any]
        self.bins: list[Any]
        if np_histogram is not None:
            self.histogram, self.bins = _given(np_histogram)
        else:
            if num_bins > self.MAX_LENGTH:
                raise ValueError(f"The maximum length of a histogram is {self.MAX_LENGTH}")
            self.histogram, self.bins = _counted(sequence, num_bins)
        if len(self.histogram) > self.MAX_LENGTH:
            raise ValueError(f"The maximum length of a histogram is {self.MAX_LENGTH}")
        if len(self.histogram) + 1 != len(self.bins):
            raise ValueError("len(bins) must be len(histogram) + 1")

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """The value as a row holds it: counts as `values`, edges as `bins`."""
        del run_or_artifact
        return {"_type": "histogram", "values": self.histogram, "bins": self.bins}


def _given(np_histogram: tuple[Any, Any]) -> tuple[list[Any], list[Any]]:
    try:
        counts, edges = np_histogram[0], np_histogram[1]
    except (TypeError, IndexError, KeyError) as error:
        raise TypeError(
            f"`np_histogram` must be counts and edges, as numpy.histogram returns them, got {type(np_histogram).__name__}"
        ) from error
    return _as_list(counts), _as_list(edges)


def _as_list(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _counted(sequence: Any, num_bins: int) -> tuple[list[Any], list[Any]]:
    import numpy as np

    from runlane._convert import _as_numpy

    array = _as_numpy(sequence)
    if array is None:
        array = np.asarray(sequence)
    if array.dtype.kind not in "fiub" and array.size:
        raise TypeError(f"`sequence` must hold numbers, got {type(sequence).__name__} of {array.dtype}")
    array = array.ravel()
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    counted = _counted_natively(array, num_bins)
    if counted is not None:
        return counted
    if array.dtype.kind == "f":
        array = array[np.isfinite(array)]
    counts, edges = np.histogram(array, bins=num_bins)
    return counts.tolist(), edges.tolist()


def _counted_natively(array: Any, num_bins: int) -> tuple[list[Any], list[Any]] | None:
    """What numpy counts, several times as fast; None where it is left to numpy."""
    import numpy as np

    from runlane import _core

    if array.size < _NATIVE_VALUES or array.dtype.name not in ("float32", "float64") or num_bins < 1:
        return None
    values = np.ascontiguousarray(array)
    if not values.dtype.isnative or not values.flags.aligned:
        return None
    place = (values.ctypes.data, values.size, values.dtype.name)
    ends = _core.finite_range(*place)
    if ends is None:
        return None
    # The edges are numpy's own, rounded as they are for this type and version.
    edges = np.histogram_bin_edges(np.array(ends, values.dtype), bins=num_bins)
    counts = _core.count_in_bins(*place, edges.astype(np.float64).tolist())
    return None if counts is None else (counts, edges.tolist())
