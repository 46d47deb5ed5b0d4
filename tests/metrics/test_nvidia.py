"""The NVIDIA sampler beside `pynvml` under load, on a machine with a GPU; skipped elsewhere.

Tolerances: what does not move is equal; a moving value lies within what `pynvml` saw during the load, widened by the allowance of
its key. `tools/gpu_check.sh` carries this file to a machine that has nothing else of the repository's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "faults")]

pytestmark = [
    pytest.mark.skipif(not os.path.exists("/dev/nvidiactl"), reason="no NVIDIA driver"),
    pytest.mark.timeout(110),
]
MIB = 1 << 20
HELD_BYTES = 4 << 30

#: A run whose child process holds 4 GiB of device 0 and multiplies matrices; it says when it does.
TRAIN = """
import subprocess, sys, time
import runlane as wandb
settings = wandb.Settings(mode="offline", x_stats_sampling_interval=0.5)
run = wandb.init(project="p", id=sys.argv[1], settings=settings)
if sys.argv[1] == "busy":
    child = subprocess.Popen([sys.executable, sys.argv[2], sys.argv[3]])
    print("child", child.pid, flush=True)
    child.wait()
else:
    sys.stdin.readline()
run.finish()
"""
LOAD = """
import sys, time, torch
held = torch.empty(4 << 30, dtype=torch.uint8, device="cuda:0")
held.zero_()
a = torch.randn(8192, 8192, device="cuda:0", dtype=torch.bfloat16)
torch.cuda.synchronize()
open(sys.argv[1], "w").close()
end = time.monotonic() + 6.0
while time.monotonic() < end:
    for _ in range(20):
        b = a @ a
    torch.cuda.synchronize()
"""


@pytest.fixture(scope="module")
def nvml() -> Iterator[Any]:
    import pynvml

    pynvml.nvmlInit()
    yield pynvml
    pynvml.nvmlShutdown()


@pytest.fixture(scope="module")
def handle(nvml: Any) -> Any:
    return nvml.nvmlDeviceGetHandleByIndex(0)


def readers(nvml: Any, handle: Any) -> dict[str, tuple[Callable[[], float], float]]:
    """Key → how `pynvml` reads it in the key's unit, and how far outside of the seen range a value may lie."""

    def memory() -> Any:
        return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)

    def clock(kind: int) -> Callable[[], float]:
        return lambda: nvml.nvmlDeviceGetClockInfo(handle, kind)

    def errors(kind: int) -> Callable[[], float]:
        place = (nvml.NVML_VOLATILE_ECC, nvml.NVML_MEMORY_LOCATION_DEVICE_MEMORY)
        return lambda: nvml.nvmlDeviceGetMemoryErrorCounter(handle, kind, *place)

    return {
        "gpu": (lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu, 5),
        "memory": (lambda: nvml.nvmlDeviceGetUtilizationRates(handle).memory, 10),
        "memoryAllocated": (lambda: memory().used / memory().total * 100, 0.5),
        "memoryAllocatedBytes": (lambda: memory().used, 256 * MIB),
        "temp": (lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU), 3),
        "powerWatts": (lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000, 60),
        "enforcedPowerLimitWatts": (lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000, 0),
        "smClock": (clock(nvml.NVML_CLOCK_SM), 200),
        "memoryClock": (clock(nvml.NVML_CLOCK_MEM), 50),
        "graphicsClock": (clock(nvml.NVML_CLOCK_GRAPHICS), 200),
        "correctedMemoryErrors": (errors(nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED), 0),
        "uncorrectedMemoryErrors": (errors(nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED), 0),
        "fanSpeed": (lambda: nvml.nvmlDeviceGetFanSpeed_v2(handle, 0), 10),
        "encoderUtilization": (lambda: nvml.nvmlDeviceGetEncoderUtilization(handle)[0], 5),
        "pcieLinkGen": (lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(handle), 0),
        "pcieLinkWidth": (lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(handle), 0),
        "maxPcieLinkGen": (lambda: nvml.nvmlDeviceGetMaxPcieLinkGeneration(handle), 0),
        "maxPcieLinkWidth": (lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(handle), 0),
        "pcieLinkSpeed": (lambda: nvml.nvmlDeviceGetPcieSpeed(handle), 0),
    }


class Watcher(threading.Thread):
    """What `pynvml` sees of each key, from low to high, and which of the keys the device does not support."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        super().__init__(daemon=True)
        self.nvml = nvml
        self.over = threading.Event()
        self.ranges: dict[str, tuple[float, float]] = {}
        self.readers = {}
        self.unsupported: set[str] = set()
        for key, (read, allowance) in readers(nvml, handle).items():
            try:
                read()
            except nvml.NVMLError:
                self.unsupported.add(key)
            except AttributeError:
                continue  # These bindings cannot ask for it.
            else:
                self.readers[key] = (read, allowance)

    def run(self) -> None:
        while not self.over.wait(0.05):
            for key, (read, _) in self.readers.items():
                value = read()
                low, high = self.ranges.get(key, (value, value))
                self.ranges[key] = (min(low, value), max(high, value))


@pytest.fixture(scope="module")
def recorded(nvml: Any, handle: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A run with a busy child and an idle one beside it: the samples of both, and what `pynvml` saw."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("no torch to make load with")
    from recorded import samples_of

    root = tmp_path_factory.mktemp("gpu")
    (root / "train.py").write_text(TRAIN, encoding="utf-8")
    (root / "load.py").write_text(LOAD, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "RUNLANE_"))}
    env |= {"HOME": str(root), "RUNLANE_RUNTIME_DIR": str(root / "rt")}
    if "RUNLANE_CORE_BINARY" in os.environ:
        env["RUNLANE_CORE_BINARY"] = os.environ["RUNLANE_CORE_BINARY"]

    def start(name: str) -> subprocess.Popen[str]:
        words = [sys.executable, str(root / "train.py"), name, str(root / "load.py"), str(root / "ready")]
        return subprocess.Popen(
            words, cwd=root, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    idle, busy = start("idle"), start("busy")
    assert busy.stdout is not None and idle.stdin is not None
    line = next(line for line in busy.stdout if line.startswith("child"))
    child = int(line.split()[1])
    deadline = time.monotonic() + 60
    while not (root / "ready").exists():
        assert busy.poll() is None and time.monotonic() < deadline, "the load did not start"
        time.sleep(0.05)
    watcher = Watcher(nvml, handle)
    watcher.start()
    time.sleep(2.0)
    pids = {process.pid: process for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    busy.communicate(timeout=60)
    watcher.over.set()
    watcher.join()
    idle.communicate("\n", timeout=60)
    assert busy.returncode == idle.returncode == 0

    def samples(name: str) -> list[dict[str, float]]:
        (log,) = root.glob(f"wandb/offline-run-*-{name}/run-{name}.wandb")
        return list(samples_of(log))

    found = {
        "busy": samples("busy"),
        "idle": samples("idle"),
        "ranges": watcher.ranges,
        "allowances": {key: allowance for key, (_, allowance) in watcher.readers.items()},
        "unsupported": sorted(watcher.unsupported),
        "child": child,
        "pids": pids,
    }
    place = os.environ.get("OUT")
    if place:
        Path(place, "samples.json").write_text(json.dumps({**found, "pids": sorted(pids)}, indent=1))
    yield found
    # The daemon has nothing left to do and ends by itself; its directory is the test's.


def under_load(samples: list[dict[str, float]]) -> list[dict[str, float]]:
    """Samples from the time in which the device was fully used, without its ends: the use is a mean over up to a second."""
    found = [sample for sample in samples if sample.get("gpu.0.gpu", 0) >= 90]
    seen = [sample.get("gpu.0.gpu") for sample in samples]
    assert len(found) >= 8, f"{len(found)} samples of {len(samples)} show the load: {seen}"
    return found[2:-3]


def test_values_lie_within_what_pynvml_sees(recorded: dict[str, Any]) -> None:
    wrong = []
    for sample in under_load(recorded["busy"]):
        for key, (low, high) in recorded["ranges"].items():
            value = sample.get(f"gpu.0.{key}")
            allowance = recorded["allowances"][key]
            if value is None or not low - allowance <= value <= high + allowance:
                wrong.append((key, value, low, high))
    assert not wrong, wrong
    for sample in under_load(recorded["busy"]):
        share = sample["gpu.0.powerWatts"] / sample["gpu.0.enforcedPowerLimitWatts"] * 100
        assert sample["gpu.0.powerPercent"] == pytest.approx(share)


def test_unsupported_metrics_are_left_out(recorded: dict[str, Any]) -> None:
    seen = {key for sample in recorded["busy"] for key in sample}
    assert not seen & {f"gpu.0.{key}" for key in recorded["unsupported"]}
    assert {f"gpu.0.{key}" for key in recorded["allowances"]} <= seen


def test_profiling_metrics_of_hopper_and_newer(recorded: dict[str, Any], nvml: Any, handle: Any) -> None:
    try:
        support = nvml.nvmlGpmQueryDeviceSupport(handle)
        if not support.isSupportedDevice:
            pytest.skip("no performance monitoring")
    except (AttributeError, nvml.NVMLError) as error:
        pytest.skip(f"no performance monitoring: {error}")
    samples = under_load(recorded["busy"])
    for sample in samples:
        assert sample["gpu.0.smActive"] > 50
        assert 10 < sample["gpu.0.pipeTensorActive"] <= 100
        assert 0 < sample["gpu.0.smOccupancy"] <= 100
        assert 0 <= sample["gpu.0.dramActive"] <= 100
        assert sample["gpu.0.pipeFp64Active"] < 5
        for key in ("pcieTxBytes", "pcieRxBytes"):
            assert 0 <= sample[f"gpu.0.{key}"] < 130e9


def test_only_the_run_whose_child_uses_the_device_has_process_metrics(recorded: dict[str, Any]) -> None:
    if recorded["child"] not in recorded["pids"]:
        pytest.skip(f"NVML names processes of another namespace: {sorted(recorded['pids'])}")
    own = recorded["pids"][recorded["child"]].usedGpuMemory
    for sample in under_load(recorded["busy"]):
        keys = "gpu memory memoryAllocated memoryAllocatedBytes temp powerWatts enforcedPowerLimitWatts powerPercent"
        for key in keys.split():
            assert sample.get(f"gpu.process.0.{key}") == sample[f"gpu.0.{key}"], (key, sample)
        used = sample["gpu.process.0.memoryUsedBytes"]
        assert HELD_BYTES < used <= sample["gpu.0.memoryAllocatedBytes"] + 64 * MIB
        assert used == pytest.approx(own, abs=256 * MIB)
    strange = {key for sample in recorded["idle"] for key in sample if key.startswith("gpu.process")}
    assert not strange
    assert under_load(recorded["idle"]), "the device's own values are everybody's"


def test_the_static_picture_agrees_with_the_vendors_tool() -> None:
    from runlane import _host_accelerators

    fields = "name,uuid,pci.bus_id"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    lines = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=30
    ).stdout.splitlines()
    facts = _host_accelerators.facts()
    assert facts["gpu_count"] == len(lines)
    pictures = [
        (device["name"], device["uuid"], device["pci_bus_id"].upper()) for device in facts["gpu_nvidia"]
    ]
    assert pictures == [tuple(word.strip() for word in line.split(",")) for line in lines]
    for device in facts["gpu_nvidia"]:
        assert device["cuda_cores"] > 1000 and device["architecture"] and device["memory_total"] > 1 << 30
    if importlib.util.find_spec("torch") is not None:
        import torch

        assert float(facts["cuda_version"]) >= float(torch.version.cuda)
