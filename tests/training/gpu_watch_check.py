"""On a machine with a CUDA device: histograms of its tensors are numpy's, and what `watch` costs a step.

    python tests/training/gpu_watch_check.py

Needs torch with CUDA, numpy and runlane, and no network: the run is offline. It is started by hand, not by pytest, and
ends with status 1 if a histogram is wrong or a step with `watch` waits for the device once per parameter.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np
import runlane
import torch
from runlane._watch.tensors import Batch

DEVICE = "cuda"


def expected(tensor: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges in double precision."""
    values = tensor.detach().cpu()
    values = (values.to_dense() if values.is_sparse else values).double().numpy().ravel()
    finite = values[np.isfinite(values)]
    if finite.min() == finite.max():
        return np.array([finite.size]), np.array([finite.min(), finite.max()])
    return np.histogram(finite, bins=64)


def check(name: str, tensor: torch.Tensor) -> bool:
    """Compare one tensor; values within rounding of an edge may lie on either side of it."""
    batch = Batch()
    batch.add(name, tensor)
    waits = name in batch.waiting()
    found = batch.take()[name]
    counts, edges = expected(tensor)
    got = np.array(found["values"], dtype=float)
    moved = np.abs(np.cumsum(got) - np.cumsum(counts)).max() if got.shape == counts.shape else np.inf
    scale = max(1e-30, float(np.abs(edges).max()))
    apart = float(np.abs(np.array(found["bins"]) - edges).max()) / scale if moved < np.inf else np.inf
    is_right = got.sum() == counts.sum() and moved <= max(4, 2e-5 * counts.sum()) and apart < 1e-6
    print(
        f"{'ok  ' if is_right else 'FAIL'} {name:<34} on the device: {waits!s:<5} values {int(got.sum()):>11,}"
        f"  moved over an edge {moved:>7.0f}  edges apart {apart:.1e}"
    )
    return bool(is_right)


def tensors() -> dict[str, torch.Tensor]:
    """Tensors of all sorts on the device."""
    torch.manual_seed(0)
    normal = torch.randn(1000, 1000, device=DEVICE)
    odd = torch.randn(100_003, device=DEVICE)
    odd[::7], odd[::11], odd[5] = float("nan"), float("inf"), -float("inf")
    sparse = torch.sparse_coo_tensor(
        torch.tensor([[1, 2, 1]], device=DEVICE), torch.ones(3, 4, device=DEVICE), (10, 4)
    )
    return {
        "normal": normal,
        "transposed": normal.t(),
        "every second": normal[:, ::2],
        "expanded": torch.ones(3, 1, device=DEVICE).expand(3, 5),
        "half": normal.half(),
        "bfloat16": normal.bfloat16(),
        "double": normal.double(),
        "nan and infinities": odd,
        "constant": torch.full((77,), 2.5, device=DEVICE),
        "one": torch.tensor(3.0, device=DEVICE),
        "sparse": sparse,
        "tiny": torch.randn(5000, device=DEVICE) * 1e-30,
        "channels last": torch.randn(8, 16, 9, 9, device=DEVICE).contiguous(
            memory_format=torch.channels_last
        ),
        "larger than a counter of histc": torch.rand((1 << 25) + 5, device=DEVICE),
        "one bin of many": torch.cat(
            (torch.zeros((1 << 25) + 1, device=DEVICE), torch.ones(1, device=DEVICE))
        ),
        "integers": torch.arange(1000, device=DEVICE),
    }


def model() -> torch.nn.Module:
    """10 million parameters in 22 tensors."""
    layers: list[Any] = []
    for _ in range(10):
        layers += [torch.nn.Linear(1000, 1000), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(1000, 10)).to(DEVICE)


def seconds(net: torch.nn.Module, run: Any, steps: int) -> float:
    """Median of a step's time, the device's work included."""
    data = torch.randn(256, 1000, device=DEVICE)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    times = []
    for _ in range(steps):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = net(data).square().mean()
        loss.backward()
        optimizer.step()
        run.log({"loss": loss.item()})
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[steps // 4 :])


def waits(net: torch.nn.Module) -> int:
    """How often a watched step waits for the device, besides for the loss."""
    from torch.profiler import ProfilerActivity, profile

    data = torch.randn(16, 1000, device=DEVICE)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        net(data).square().mean().backward()
    return sum(
        event.count
        for event in recorded.key_averages()
        if event.key in ("cudaStreamSynchronize", "aten::_local_scalar_dense", "aten::item")
    )


def main() -> int:
    """Print what was found; 1 if something is wrong."""
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}, runlane {runlane.__version__}")
    results = [check(name, tensor) for name, tensor in tensors().items()]
    with tempfile.TemporaryDirectory() as directory:
        os.environ |= {"RUNLANE_SILENT": "true", "RUNLANE_CONSOLE": "off"}
        net = model()
        with runlane.init(project="gpu", mode="offline", dir=directory, settings={"console": "off"}) as run:
            bare = seconds(net, run, 40)
            run.watch(net, log="all", log_freq=1)
            watched = seconds(net, run, 40)
            few = waits(net)
            run.unwatch()
            again = seconds(net, run, 40)
        print(
            f"10 M parameters on {DEVICE}: step {bare * 1e3:.2f} ms, with watch(log='all', log_freq=1) {watched * 1e3:.2f} ms,"
            f" after unwatch {again * 1e3:.2f} ms; overhead {(watched - bare) * 1e3:.2f} ms;"
            f" waits for the device {few} times for {len(list(net.parameters()))} parameters"
        )
    # One transfer for the parameters, one for the gradients; the profiler may count a wait under two names.
    results.append(few <= 8)
    try:
        compiled = torch.compile(model())
        with tempfile.TemporaryDirectory() as directory:
            with runlane.init(project="gpu", mode="offline", dir=directory) as run:
                run.watch(compiled, log="all", log_freq=1)
                compiled(torch.randn(4, 1000, device=DEVICE)).sum().backward()
                run.log({"loss": 1})
                keys = [key for key in dict(run.summary) if key.startswith(("gradients/", "parameters/"))]
            print(f"compiled model: {len(keys)} histograms, such as {keys[:1]}")
            results.append(len(keys) == 44)
    except Exception as error:
        print(f"torch.compile cannot be checked here: {type(error).__name__}: {str(error)[:200]}")
    print("all right" if all(results) else f"{results.count(False)} of {len(results)} checks failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
