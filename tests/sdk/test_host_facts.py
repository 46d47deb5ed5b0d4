"""The static picture of host and devices, with drivers and tools that the test stands in for."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import types
from contextlib import contextmanager

import pytest


class NVMLError(Exception):
    """What the bindings raise."""


def fake_pynvml(devices):
    """The parts of `pynvml` that are used; a device is a dict of answers, a missing one is not supported."""
    module = types.ModuleType("pynvml")
    calls = []

    def answer(name):
        def ask(index):
            if name not in devices[index]:
                raise NVMLError(name)
            return devices[index][name]

        return ask

    module.NVMLError = NVMLError
    module.nvmlInit = lambda: calls.append("init")
    module.nvmlShutdown = lambda: calls.append("shutdown")
    module.nvmlDeviceGetCount = lambda: len(devices)
    module.nvmlSystemGetCudaDriverVersion = lambda: 12040
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetMemoryInfo = lambda index: types.SimpleNamespace(total=devices[index]["total"])
    module.nvmlDeviceGetName = answer("name")
    module.nvmlDeviceGetUUID = answer("uuid")
    module.nvmlDeviceGetNumGpuCores = answer("cores")
    module.nvmlDeviceGetArchitecture = answer("architecture")
    module.nvmlDeviceGetPciInfo = answer("pci")
    module.calls = calls
    return module


@pytest.fixture
def machine(monkeypatch):
    """Sets which device files, small files and tools there are."""
    from runlane import _host_accelerators as accelerators

    class Machine:
        def __init__(self):
            self.paths = set()
            self.texts = {}
            self.outputs = {}

    made = Machine()

    def output_of(places, *arguments):
        return made.outputs.get(" ".join((places[0], *arguments)), "")

    monkeypatch.setattr(accelerators.os.path, "exists", lambda path: path in made.paths)
    monkeypatch.setattr(accelerators, "read_text", lambda path: made.texts.get(path, ""))
    monkeypatch.setattr(accelerators, "_output_of", output_of)
    monkeypatch.setattr(
        accelerators.glob,
        "glob",
        lambda pattern: sorted(
            {path.rpartition("/")[0] for path in made.texts if path.startswith(pattern[:-1])}
        ),
    )
    return made


def facts():
    from runlane import _host_accelerators

    return _host_accelerators.facts()


def test_a_host_without_accelerators_has_none_and_asks_nobody(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    machine.outputs = {"rocm-smi -a --json": "{}", "neuron-ls -j": "[]"}
    assert facts() == {}


def test_nvidia_devices(machine, monkeypatch):
    bus = types.SimpleNamespace(busId=b"00000000:C6:00.0")
    h100 = {
        "name": b"NVIDIA H100",
        "uuid": "GPU-1",
        "cores": 16896,
        "architecture": 9,
        "pci": bus,
        "total": 85 << 30,
    }
    old = {"name": "NVIDIA H100", "uuid": "GPU-2", "total": 1 << 30}
    pynvml = fake_pynvml([h100, old])
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    machine.paths = {"/dev/nvidiactl"}
    machine.texts = {"/sys/bus/pci/devices/0000:c6:00.0/numa_node": "1"}
    assert facts() == {
        "gpu_type": "NVIDIA H100",
        "gpu_count": 2,
        "cuda_version": "12.4",
        "gpu_nvidia": [
            {
                "name": "NVIDIA H100",
                "memory_total": 85 << 30,
                "uuid": "GPU-1",
                "cuda_cores": 16896,
                "architecture": "Hopper",
                "pci_bus_id": "00000000:C6:00.0",
                "numa_node": 1,
            },
            {"name": "NVIDIA H100", "memory_total": 1 << 30, "uuid": "GPU-2"},
        ],
    }
    assert pynvml.calls == ["init", "shutdown"]


def test_a_driver_that_fails_is_left_alone(machine, monkeypatch):
    pynvml = fake_pynvml([])

    def fail():
        raise NVMLError("driver not loaded")

    machine.paths = {"/proc/driver/nvidia"}
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    assert facts() == {}
    pynvml.nvmlInit = fail
    assert facts() == {}
    assert pynvml.calls == ["init", "shutdown"]
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert facts() == {}


def test_amd_devices(machine):
    card = {"GPU ID": "0x740f", "Unique ID": "0x1", "Card Series": "AMD Instinct MI250", "Card SKU": "D65209"}
    machine.paths = {"/dev/kfd"}
    machine.outputs["rocm-smi -a --json"] = "WARNING: odd\n" + json.dumps(
        {"card10": card, "card2": card, "system": {"Driver version": "6"}}
    )
    found = facts()
    assert (found["gpu_count"], found["gpu_type"]) == (2, "AMD Instinct MI250")
    assert found["gpu_amd"][0] == {
        "id": "0x740f",
        "unique_id": "0x1",
        "series": "AMD Instinct MI250",
        "sku": "D65209",
    }
    machine.outputs["rocm-smi -a --json"] = "no devices"
    assert facts() == {}


def test_tpus_and_trainium(machine):
    machine.paths = {"/dev/vfio", "/dev/neuron0"}
    for slot in ("0000:00:04.0", "0000:00:05.0"):
        machine.texts[f"/sys/bus/pci/devices/{slot}/vendor"] = "0x1ae0"
        machine.texts[f"/sys/bus/pci/devices/{slot}/device"] = "0x006f"
    # The maker's network device.
    machine.texts["/sys/bus/pci/devices/0000:00:06.0/vendor"] = "0x1ae0"
    machine.texts["/sys/bus/pci/devices/0000:00:06.0/device"] = "0x0042"
    machine.outputs["neuron-ls -j"] = json.dumps([{"neuron_device": 0, "nc_count": 2}] * 16)
    assert facts() == {
        "tpu": {"name": "v6e", "hbm_gib": 32, "devices_per_chip": 1, "count": 2},
        "trainium": {
            "name": "Trainium",
            "vendor": "AWS",
            "neuron_device_count": 16,
            "neuroncore_per_device_count": 2,
        },
    }


def test_apple_silicon(machine):
    machine.paths = {"/System/Library/CoreServices/SystemVersion.plist"}
    names = "machdep.cpu.brand_string hw.model hw.memsize hw.perflevel0.physicalcpu hw.perflevel1.physicalcpu vm.swapusage"
    machine.outputs[f"/usr/sbin/sysctl {names}"] = (
        "machdep.cpu.brand_string: Apple M1 Pro\nhw.model: MacBookPro18,3\nhw.memsize: 17179869184\n"
        "hw.perflevel0.physicalcpu: 8\nhw.perflevel1.physicalcpu: 2\n"
        "vm.swapusage: total = 2048.00M  used = 1.00M  free = 2047.00M  (encrypted)\n"
    )
    machine.outputs["/usr/sbin/ioreg -r -d 1 -w 0 -c IOAccelerator"] = '      "gpu-core-count" = 16\n'
    assert facts()["apple"] == {
        "name": "Apple M1 Pro",
        "mac_model": "MacBookPro18,3",
        "memory_gb": 16,
        "ram_total_bytes": 17179869184,
        "pcpu_cores": 8,
        "ecpu_cores": 2,
        "gpu_cores": 16,
        "swap_total_bytes": 2048 << 20,
    }


def test_tools_are_bounded_in_time_and_may_fail(tmp_path, monkeypatch):
    from runlane import _host_accelerators as accelerators

    for name, script in (("good", "echo '{}'"), ("bad", "exit 1"), ("slow", "exec sleep 60")):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    monkeypatch.setattr(accelerators, "_TOOL_SECS", 0.2)
    tools = {
        name: accelerators._output_of((str(tmp_path / name),)) for name in ("good", "bad", "slow", "absent")
    }
    assert tools == {"good": "{}\n", "bad": "", "slow": "", "absent": ""}


def test_settings_take_the_place_of_what_was_found(wandb, daemon):
    overrides = {
        "x_stats_cpu_count": 7,
        "x_stats_cpu_logical_count": 9,
        "x_stats_gpu_count": 3,
        "x_stats_gpu_type": "Abacus",
        "x_stats_disk_paths": ("/", "/no/such/path"),
    }
    wandb.init(mode="offline", settings=overrides).finish()
    (facts,) = daemon.of_kind("environment")
    assert (facts["cpu_count"], facts["cpu_count_logical"]) == (7, 9)
    assert (facts["gpu_count"], facts["gpu_type"]) == (3, "Abacus")
    assert list(facts["disk"]) == ["/"]


@contextmanager
def metadata_service(body, status=200):
    """A service that answers every path with `body`; gives its URL and the paths that were asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "body",
    [
        "cluster_name: a\norg_id: b\nregion: 'c'\nlocal-hostname: x\n",
        'cluster-name: a\norg-id: "b"\nregion: c',
        '{"clusterName": "a", "orgId": "b", "region": "c", "tags": ["x"]}',
    ],
)
def test_coreweave_is_asked_where_settings_name_a_service(body, wandb, daemon):
    with metadata_service(body) as (url, asked):
        wandb.init(mode="offline", settings={"x_stats_coreweave_metadata_base_url": url}).finish()
    (facts,) = daemon.of_kind("environment")
    assert facts["coreweave"] == {"cluster_name": "a", "org_id": "b", "region": "c"}
    assert asked == ["/api/v2/cloud-init/meta-data"]


def test_coreweave_is_not_asked_elsewhere_and_may_be_odd(wandb, daemon):
    from runlane import _host_cloud

    settings = wandb.Settings()
    assert _host_cloud.coreweave(settings) == {}, "this is no host of theirs"
    for body, status in (("", 200), ("[1]", 200), ("region: x", 404), ("\0" * 100_000, 200)):
        with metadata_service(body, status) as (url, asked):
            settings = wandb.Settings(x_stats_coreweave_metadata_base_url=url)
            assert _host_cloud.coreweave(settings) == {}
            assert asked
    for url in ("ftp://127.0.0.1", "http://127.0.0.1:1", "nonsense", ""):
        settings = wandb.Settings(x_stats_coreweave_metadata_base_url=url)
        assert _host_cloud.coreweave(settings) == {}


def test_colab_has_the_address_of_its_notebook(wandb, daemon, monkeypatch):
    settings = {"x_jupyter_path": "fileId=https%3A//github.com/a/b.ipynb"}
    wandb.init(mode="offline", settings=settings).finish()
    assert "colab" not in daemon.opened[-1]["preface"][0]
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    wandb.init(mode="offline", settings=settings).finish()
    expected = "https://colab.research.google.com/notebook#fileId=https://github.com/a/b.ipynb"
    assert daemon.opened[-1]["preface"][0]["colab"] == expected
