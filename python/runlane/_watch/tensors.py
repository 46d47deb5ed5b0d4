"""Histograms of tensors, made where the tensors are.

In the host's memory the native part reads the values where they lie, without a copy and without the interpreter's lock. On a
CUDA (or ROCm) device a few kernels leave 66 numbers per tensor there, and nobody waits; the numbers of all tensors of a step
come over in one transfer (`Batch.take`). Every other device copies the tensor to the host.
"""

from __future__ import annotations

import sys

from runlane import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BINS = 64
#: Counters of `histc` are single precision numbers, exact up to here; larger tensors are counted in parts.
_PART = 1 << 24
#: Types of numbers that the native part reads.
_NATIVE = frozenset(("torch.float32", "torch.float64", "torch.float16", "torch.bfloat16"))


class NoValuesError(Exception):
    """The tensor has no values that a histogram could show; the reason is the text."""


def _is_dense(tensor: Any) -> bool:
    """Whether the values lie side by side, in whatever order (gradients of linear layers are transposed)."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _plain(tensor: Any) -> tuple[Any, int]:
    """`tensor` as an ordinary dense tensor, and how many zeros it does not store.

    Raises:
        NoValuesError: It has no values, or complex ones.
    """
    local = getattr(tensor, "to_local", None)
    if local is not None:
        tensor = local()
    tensor = tensor.detach()
    zeros = 0
    if tensor.is_sparse:
        stored = tensor.coalesce().values()
        zeros = tensor.numel() - stored.numel()
        tensor = stored
    elif str(tensor.layout) != "torch.strided":
        tensor = tensor.to_dense()
    if tensor.is_complex():
        raise NoValuesError("complex numbers have no order")
    if tensor.device.type == "meta":
        raise NoValuesError("it is on the meta device")
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    return tensor, zeros


def host_histogram(tensor: Any, zeros: int = 0) -> dict[str, Any] | None:
    """The histogram object of a dense tensor in the host's memory; None if it has no finite value."""
    dtype = str(tensor.dtype)
    if dtype not in _NATIVE:
        # Integers and booleans exactly, small floating point formats in the next larger one.
        tensor = tensor.float() if tensor.is_floating_point() else tensor.double()
        dtype = str(tensor.dtype)
    if tensor.is_neg() or not (tensor.is_contiguous() or _is_dense(tensor)):
        tensor = tensor.resolve_neg().contiguous()
    return _core.histogram_of_memory(tensor.data_ptr(), tensor.numel(), dtype[6:], zeros)


def device_counts(tensor: Any, zeros: int = 0) -> Any:
    """Smallest and largest finite value and 64 counts of a dense tensor, on its device; nothing waits for the device."""
    torch = sys.modules["torch"]
    flat = tensor.reshape(-1) if not _is_dense(tensor) else tensor.as_strided((tensor.numel(),), (1,))
    if str(flat.dtype) not in ("torch.float32", "torch.float64"):
        flat = flat.float() if flat.is_floating_point() else flat.double()
    infinity = float("inf")
    parts = flat.split(_PART)
    lows, highs, odd = [], [], []
    for part in parts:
        # Times zero, a finite value is zero and any other NaN.
        is_odd = (part * 0).ne_(0).bool()
        lows.append(part.masked_fill(is_odd, infinity).amin())
        highs.append(part.masked_fill(is_odd, -infinity).amax())
        odd.append(is_odd)
    low = torch.stack(lows).amin()
    high = torch.stack(highs).amax()
    if zeros:
        low, high = low.clamp(max=0), high.clamp(min=0)
    span = high - low
    span = span.masked_fill(span <= 0, 1)
    counts = flat.new_zeros(_BINS, dtype=torch.float64)
    for part, is_odd in zip(parts, odd, strict=True):
        # What is finite lies in 0 to 1 now; the rest is put where `histc` leaves it out.
        placed = (part - low).div_(span).masked_fill_(is_odd, -1)
        counts += torch.histc(placed, bins=_BINS, min=0.0, max=1.0)
    if zeros:
        bin_of_zero = ((0 - low) / span * _BINS).clamp(0, _BINS - 1).long()
        counts = counts.index_add(0, bin_of_zero.reshape(1), counts.new_full((1,), zeros))
    return torch.cat((torch.stack((low, high)).double(), counts))


def object_of_counts(numbers: list[float], single: bool) -> dict[str, Any] | None:
    """The histogram object of what `device_counts` left; None if no value was finite."""
    low, high, *counts = numbers
    if low > high:
        return None
    if low == high:
        counts = [sum(counts)]
    return {
        "_type": "histogram",
        "values": [int(count) for count in counts],
        "bins": _core.histogram_edges(low, high, single),
    }


class Batch:
    """Histograms of one step: those of the host are done, those of devices wait there."""

    def __init__(self) -> None:
        self._done: dict[str, Any] = {}
        # Device -> what waits there: key, 66 numbers, whether of single precision or less.
        self._waiting: dict[Any, list[tuple[str, Any, bool]]] = {}

    def add(self, key: str, tensor: Any) -> None:
        """Take the histogram of `tensor`.

        Raises:
            NoValuesError: It has no values that have one.
        """
        tensor, zeros = _plain(tensor)
        if tensor.numel() == 0 and not zeros:
            return
        if tensor.device.type == "cuda" and tensor.numel():
            if _is_capturing():
                return
            try:
                counts = device_counts(tensor, zeros)
            except RuntimeError:
                # Deterministic algorithms are demanded, or memory is short: the host can do it.
                pass
            else:
                single = tensor.is_floating_point() and str(tensor.dtype) != "torch.float64"
                self._waiting.setdefault(tensor.device, []).append((key, counts, single))
                return
        found = host_histogram(tensor.cpu(), zeros)
        if found is not None:
            self._done[key] = found

    def take(self) -> dict[str, Any]:
        """The histogram objects by key; waits for the devices, once for each. The batch is empty afterwards."""
        waiting, self._waiting = self._waiting, {}
        done, self._done = self._done, {}
        for entries in waiting.values():
            numbers = sys.modules["torch"].stack([counts for _, counts, _ in entries]).cpu().tolist()
            for (key, _, single), row in zip(entries, numbers, strict=True):
                found = object_of_counts(row, single)
                if found is not None:
                    done[key] = found
        return done


def _is_capturing() -> bool:
    """Whether a CUDA graph is being recorded: what runs now is only noted down, and nothing may wait for it."""
    capturing = getattr(sys.modules["torch"].cuda, "is_current_stream_capturing", None)
    return bool(capturing is not None and capturing())
