"""The accelerators of the host, for the run's metadata: what drivers, `/sys` and the vendors' tools say of them.

Every part looks for a device file first and is silent without one. Tools are started with a time limit. Nothing here is on
the start-up path; the daemon samples the devices' use.
"""

from __future__ import annotations

import glob
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: A tool that needs longer is killed.
_TOOL_SECS = 4.0
#: Names of NVIDIA's architectures by the driver's number.
_NVIDIA_ARCHITECTURES = {
    2: "Kepler",
    3: "Maxwell",
    4: "Pascal",
    5: "Volta",
    6: "Turing",
    7: "Ampere",
    8: "Ada",
    9: "Hopper",
    10: "Blackwell",
}
#: PCI device ids of TPUs: name, memory of a device in GiB, devices on a chip.
_TPU_CHIPS = {
    "0x005e": ("v4", 32, 1),
    "0x0063": ("v5e", 16, 1),
    "0x0062": ("v5p", 95, 1),
    "0x006f": ("v6e", 32, 1),
    "0x0076": ("7x", 192, 2),
}
#: The first two generations share a device id and differ in the subsystem's.
_OLD_TPU_CHIPS = {"0x004e": ("v2", 8, 2), "0x004f": ("v3", 16, 2)}
_GOOGLE = "0x1ae0"
#: Members of `rocm-smi -a --json` by our names; newer versions begin words with capitals.
_AMD_MEMBERS = {
    "id": ("GPU ID", "Device ID"),
    "unique_id": ("Unique ID",),
    "vbios_version": ("VBIOS version",),
    "performance_level": ("Performance Level",),
    "gpu_overdrive": ("GPU OverDrive value (%)",),
    "gpu_memory_overdrive": ("GPU Memory OverDrive value (%)",),
    "max_power": ("Max Graphics Package Power (W)",),
    "series": ("Card series", "Card Series"),
    "model": ("Card model", "Card Model"),
    "vendor": ("Card vendor", "Card Vendor"),
    "sku": ("Card SKU",),
    "sclk_range": ("Valid sclk range",),
    "mclk_range": ("Valid mclk range",),
}


def facts() -> dict[str, Any]:
    """All accelerators that are found, as fields of an environment record. Takes tens of milliseconds, seconds with AMD's tool."""
    found: dict[str, Any] = {}
    for part in (_nvidia, _amd, _apple, _tpu, _trainium):
        found.update(part())
    return found


def read_text(path: str) -> str:
    """A small file's text without blank ends; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096).strip()
    except OSError:
        return ""


def _output_of(places: Sequence[str], *arguments: str) -> str:
    """What the first of `places` that exists prints; empty if there is none or it fails."""
    import shutil
    import subprocess

    program = next(filter(None, map(shutil.which, places)), None)
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - the vendors' own tools
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TOOL_SECS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


def _json_of(text: str) -> Any:
    """The JSON document in a tool's output, which may stand behind warnings; None if there is none."""
    import json

    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=0)
    try:
        return json.loads(text[start:])
    except ValueError:
        return None


def _type_of(names: Sequence[str]) -> str:
    """One name for all devices: theirs if it is the same, else a list."""
    distinct = list(dict.fromkeys(names))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _nvidia() -> dict[str, Any]:
    """NVIDIA devices, if there is a driver."""
    if not os.path.exists("/proc/driver/nvidia") and not os.path.exists("/dev/nvidiactl"):
        return {}
    try:
        import pynvml  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    try:
        devices = [_nvidia_device(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        version = int(pynvml.nvmlSystemGetCudaDriverVersion())
    except pynvml.NVMLError:
        return {}
    finally:
        pynvml.nvmlShutdown()
    if not devices:
        return {}
    return {
        "gpu_type": _type_of([device["name"] for device in devices]),
        "gpu_count": len(devices),
        "gpu_nvidia": devices,
        "cuda_version": f"{version // 1000}.{version % 1000 // 10}",
    }


def _nvidia_device(pynvml: Any, index: int) -> dict[str, Any]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    device: dict[str, Any] = {
        "name": _text(pynvml.nvmlDeviceGetName(handle)),
        "memory_total": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        "uuid": _text(pynvml.nvmlDeviceGetUUID(handle)),
    }

    def ask(name: str) -> Any:
        # Old drivers and bindings lack some questions, and some devices an answer.
        try:
            return getattr(pynvml, name)(handle)
        except (AttributeError, pynvml.NVMLError):
            return None

    cores = ask("nvmlDeviceGetNumGpuCores")
    if cores:
        device["cuda_cores"] = int(cores)
    architecture = _NVIDIA_ARCHITECTURES.get(ask("nvmlDeviceGetArchitecture"))
    if architecture:
        device["architecture"] = architecture
    pci = ask("nvmlDeviceGetPciInfo")
    if pci is not None:
        device["pci_bus_id"] = _text(pci.busId)
        # The kernel writes four digits of the domain, the driver eight.
        node = read_text(f"/sys/bus/pci/devices/{device['pci_bus_id'].lower()[-12:]}/numa_node")
        if node.isdigit():
            device["numa_node"] = int(node)
    return device


def _amd() -> dict[str, Any]:
    """AMD devices, if there is a compute driver."""
    if not os.path.exists("/dev/kfd"):
        return {}
    cards = _json_of(_output_of(("rocm-smi", "/opt/rocm/bin/rocm-smi"), "-a", "--json"))
    if not isinstance(cards, dict):
        return {}
    devices = []
    for name in sorted(cards, key=lambda name: (len(name), name)):
        card = cards[name]
        if name[:4] == "card" and name[4:].isdigit() and isinstance(card, dict):
            members = {
                field: next((str(card[member]) for member in names if member in card), "")
                for field, names in _AMD_MEMBERS.items()
            }
            devices.append({field: text for field, text in members.items() if text})
    if not devices:
        return {}
    found: dict[str, Any] = {"gpu_count": len(devices), "gpu_amd": devices}
    names = [device.get("series") or device.get("model", "") for device in devices]
    if all(names):
        found["gpu_type"] = _type_of(names)
    return found


def _apple() -> dict[str, Any]:
    """The chip of a Mac with Apple silicon."""
    if not os.path.exists("/System/Library/CoreServices/SystemVersion.plist"):
        return {}
    names = "machdep.cpu.brand_string hw.model hw.memsize hw.perflevel0.physicalcpu hw.perflevel1.physicalcpu vm.swapusage"
    values = {}
    for line in _output_of(("/usr/sbin/sysctl",), *names.split()).splitlines():
        name, _, value = line.partition(":")
        values[name] = value.strip()
    chip = values.get("machdep.cpu.brand_string", "")
    if not chip.startswith("Apple"):
        return {}
    memory = int(values.get("hw.memsize") or 0)
    accelerator = _output_of(("/usr/sbin/ioreg",), "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
    cores = accelerator.partition('"gpu-core-count" = ')[2].partition("\n")[0].strip()
    swap = values.get("vm.swapusage", "").partition("total = ")[2].partition("M")[0]
    apple: dict[str, Any] = {
        "name": chip,
        "mac_model": values.get("hw.model", ""),
        "memory_gb": memory >> 30,
        "ram_total_bytes": memory,
        "pcpu_cores": int(values.get("hw.perflevel0.physicalcpu") or 0),
        "ecpu_cores": int(values.get("hw.perflevel1.physicalcpu") or 0),
        "gpu_cores": int(cores) if cores.isdigit() else 0,
        "swap_total_bytes": int(float(swap or 0) * (1 << 20)),
    }
    return {"apple": apple, "gpu_type": chip, "gpu_count": 1}


def _tpu() -> dict[str, Any]:
    """Google's chips on the PCI bus."""
    if not os.path.exists("/dev/accel0") and not os.path.exists("/dev/vfio"):
        return {}
    chips = []
    for device in glob.glob("/sys/bus/pci/devices/*"):
        if read_text(f"{device}/vendor") != _GOOGLE:
            continue
        kind = read_text(f"{device}/device")
        chip = _TPU_CHIPS.get(kind)
        if kind == "0x0027":
            chip = _OLD_TPU_CHIPS.get(read_text(f"{device}/subsystem_device"))
        if chip:
            chips.append(chip)
    if not chips:
        return {}
    name, memory, devices = chips[0]
    return {"tpu": {"name": name, "hbm_gib": memory, "devices_per_chip": devices, "count": len(chips)}}


def _trainium() -> dict[str, Any]:
    """AWS's devices, as `neuron-ls` lists them."""
    if not os.path.exists("/dev/neuron0"):
        return {}
    devices = _json_of(_output_of(("neuron-ls", "/opt/aws/neuron/bin/neuron-ls"), "-j"))
    if not isinstance(devices, list) or not devices or not isinstance(devices[0], dict):
        return {}
    cores = devices[0].get("nc_count")
    return {
        "trainium": {
            "name": "Trainium",
            "vendor": "AWS",
            "neuron_device_count": len(devices),
            "neuroncore_per_device_count": cores if isinstance(cores, int) else 0,
        }
    }
