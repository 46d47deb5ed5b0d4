"""Histograms of tensors, made where the tensors are.

In the host's memory the native part reads the values where they lie, without a copy and without the interpreter's lock. On a
CUDA (or ROCm) device a dozen kernels leave 66 numbers per tensor there, and nobody waits; the numbers of all tensors of a step
come over in one transfer (`Batch.take`), the values of small ones in another. Every other device copies the tensor to the host.
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
#: A tensor of so many values at most is copied from its device, and so many bytes of all in one step.
_SMALL = 1 << 14
_COPIED_BYTES = 16 << 20
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
    """Smallest and largest finite value and 64 counts of a dense tensor, on its device; nothing waits for the device.

    What a step costs there is the number of kernels, a dozen for a tensor, hardly their work.
    """
    torch = sys.modules["torch"]
    flat = tensor.reshape(-1) if not _is_dense(tensor) else tensor.as_strided((tensor.numel(),), (1,))
    if str(flat.dtype) not in ("torch.float32", "torch.float64"):
        flat = flat.float() if flat.is_floating_point() else flat.double()
    infinity = float("inf")
    parts = flat.split(_PART) if flat.numel() > _PART else (flat,)
    # What is not finite counts as infinity, which is never the smallest, and lies beyond the last bin.
    clean = [part.nan_to_num(nan=infinity, posinf=infinity, neginf=infinity) for part in parts]
    low = _all_of([part.amin() for part in clean], torch.minimum)
    high = _all_of(
        [part.nan_to_num(nan=-infinity, posinf=-infinity, neginf=-infinity).amax() for part in parts],
        torch.maximum,
    )
    if zeros:
        low, high = low.clamp(max=0), high.clamp(min=0)
    # Values that are all equal make 0 / tiny of themselves.
    span = (high - low).clamp_min_(torch.finfo(flat.dtype).tiny)
    # Everything finite lies in 0 to 1 now, and what is not does not: `histc` leaves that out.
    counted = [torch.histc(part.sub_(low).div_(span), bins=_BINS, min=0.0, max=1.0) for part in clean]
    counts = counted[0]
    if len(counted) > 1 or zeros:
        # Single precision does not hold the sum.
        counts = torch.stack(counted).double().sum(0)
        low, high = low.double(), high.double()
    if zeros:
        bin_of_zero = ((0 - low) / span * _BINS).clamp(0, _BINS - 1).long()
        counts = counts.index_add(0, bin_of_zero.reshape(1), counts.new_full((1,), zeros))
    return torch.cat((low.reshape(1), high.reshape(1), counts))


def _all_of(numbers: list[Any], join: Any) -> Any:
    found = numbers[0]
    for number in numbers[1:]:
        found = join(found, number)
    return found


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
    """Histograms of one step: those of the host are done, those of devices wait there.

    Of a large tensor its 66 numbers wait, of a small one its values: they are sooner brought over and counted here than the
    kernels for it are started.
    """

    def __init__(self) -> None:
        self._done: dict[str, Any] = {}
        # (device, type) -> what waits there: key, numbers, whether of single precision or less.
        self._counted: dict[Any, list[tuple[str, Any, bool]]] = {}
        # (device, type) -> what waits there: key, values, zeros that are not among them.
        self._copied: dict[Any, list[tuple[str, Any, int]]] = {}
        self._copied_bytes = 0

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
                self._add_there(key, tensor, zeros)
            except RuntimeError:
                # Deterministic algorithms are demanded, or memory is short: the host can do it.
                pass
            else:
                return
        found = host_histogram(tensor.cpu(), zeros)
        if found is not None:
            self._done[key] = found

    def _add_there(self, key: str, tensor: Any, zeros: int) -> None:
        size = tensor.numel() * tensor.element_size()
        if tensor.numel() <= _SMALL and self._copied_bytes + size <= _COPIED_BYTES:
            copy = tensor.reshape(-1)
            # The optimizer may change a parameter, and the backward pass a gradient, before the batch is taken.
            copy = copy.clone() if copy.data_ptr() == tensor.data_ptr() else copy
            self._copied.setdefault((tensor.device, tensor.dtype), []).append((key, copy, zeros))
            self._copied_bytes += size
            return
        counts = device_counts(tensor, zeros)
        single = str(tensor.dtype) != "torch.float64"
        self._counted.setdefault((tensor.device, counts.dtype), []).append((key, counts, single))

    def waiting(self) -> set[str]:
        """Keys whose histograms wait on a device."""
        counted = {key for entries in self._counted.values() for key, _, _ in entries}
        return counted | {key for entries in self._copied.values() for key, _, _ in entries}

    def take(self) -> dict[str, Any]:
        """The histogram objects by key; waits for the devices, once for each kind of number. The batch is empty afterwards."""
        counted, self._counted = self._counted, {}
        copied, self._copied = self._copied, {}
        done, self._done = self._done, {}
        self._copied_bytes = 0
        torch: Any = sys.modules.get("torch")
        for entries in counted.values():
            rows = torch.stack([counts for _, counts, _ in entries]).cpu().tolist()
            for (key, _, single), row in zip(entries, rows, strict=True):
                found = object_of_counts(row, single)
                if found is not None:
                    done[key] = found
        for small in copied.values():
            values = torch.cat([copy for _, copy, _ in small]).cpu()
            parts = values.split([copy.numel() for _, copy, _ in small])
            for (key, _, zeros), part in zip(small, parts, strict=True):
                found = host_histogram(part, zeros)
                if found is not None:
                    done[key] = found
        return done


def _is_capturing() -> bool:
    """Whether a CUDA graph is being recorded: what runs now is only noted down, and nothing may wait for it."""
    capturing = getattr(sys.modules["torch"].cuda, "is_current_stream_capturing", None)
    return bool(capturing is not None and capturing())
