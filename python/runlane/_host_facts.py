"""The static picture of the program and its host, for the run's metadata.

Two parts: what costs nothing is sent with the run's start; what needs psutil, NVML or the list of installed packages is
gathered by a thread afterwards, off the start-up path. The service merges the partial records.
"""

from __future__ import annotations

import os
import sys

from . import _redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._settings import Settings


def platform_text() -> str:
    """The operating system as `platform.platform()` writes it on Linux."""
    system = os.uname()
    text = f"{system.sysname}-{system.release}-{system.machine}"
    if sys.platform != "linux":
        return text
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        libc = None
    return f"{text}-with-{libc.replace(' ', '')}" if libc else text


def program_path() -> str | None:
    """The script that runs, absolute; None in interactive use and for `-c`."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    return os.path.abspath(path) if path else None


def _username() -> str | None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if os.environ.get(name):
            return os.environ[name]
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def _arguments() -> list[str]:
    """The program's arguments, without secrets."""
    given = os.environ.get("RUNLANE_ARGS") or os.environ.get("WANDB_ARGS")
    if given:
        import json

        try:
            parsed = json.loads(given)
        except ValueError:
            parsed = None
        if isinstance(parsed, list):
            return _redact.arguments([str(item) for item in parsed])
    return _redact.arguments(sys.argv[1:])


def quick_facts(settings: Settings, git: dict[str, str], writer_id: str) -> dict[str, Any]:
    """What is known without asking anybody."""
    program = settings.program or program_path()
    facts: dict[str, Any] = {
        "writer_id": writer_id,
        "os": platform_text(),
        "python": "CPython {}.{}.{}".format(*sys.version_info[:3]),
        "started_at_micros": int(settings.x_start_time * 1e6),
        "args": _arguments(),
        "program": _redact.text(program) if program else "<python with no main file>",
        "root": settings.root_dir,
        "host": settings.host or os.uname().nodename,
        "executable": settings.x_executable or sys.executable,
        "cpu_count_logical": os.cpu_count() or 0,
    }
    username = _username()
    if username:
        facts["username"] = username
    for name, value in (("docker", settings.docker), ("email", settings.email)):
        if value:
            facts[name] = value
    if program and not settings.disable_code:
        facts["code_path"] = facts["code_path_local"] = _redact.text(os.path.relpath(program))
        if settings.git_root and not settings.disable_git:
            facts["code_path"] = _redact.text(os.path.relpath(program, settings.git_root))
    if git:
        facts["git"] = git
    return facts


def _machine_facts(settings: Settings) -> dict[str, Any]:
    """Processor, memory and disks.

    Raises:
        ImportError: psutil is missing.
    """
    import psutil

    facts: dict[str, Any] = {}
    facts["cpu_count"] = int(settings.x_stats_cpu_count or psutil.cpu_count(logical=False) or 0)
    facts["cpu_count_logical"] = int(settings.x_stats_cpu_logical_count or psutil.cpu_count() or 0)
    facts["memory_total"] = int(psutil.virtual_memory().total)
    disks = {}
    for path in settings.x_stats_disk_paths:
        try:
            usage = psutil.disk_usage(path)
        except OSError:
            continue
        disks[path] = (int(usage.total), int(usage.used))
    facts["disk"] = disks
    return facts


def slow_facts(settings: Settings, writer_id: str) -> dict[str, Any]:
    """What psutil and NVML know. Takes tens of milliseconds."""
    facts: dict[str, Any] = {"writer_id": writer_id}
    try:
        facts.update(_machine_facts(settings))
    except ImportError:
        # Without psutil the picture is smaller, nothing else.
        facts.pop("disk", None)
    facts.update(_gpu_facts())
    slurm = {name[6:].lower(): value for name, value in os.environ.items() if name.startswith("SLURM_")}
    if slurm:
        facts["slurm"] = _redact.variables(slurm)
    return facts


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _gpu_facts() -> dict[str, Any]:
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
        devices = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            devices.append(
                {
                    "name": _text(pynvml.nvmlDeviceGetName(handle)),
                    "memory_total": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                    "uuid": _text(pynvml.nvmlDeviceGetUUID(handle)),
                }
            )
        version = int(pynvml.nvmlSystemGetCudaDriverVersion())
    except pynvml.NVMLError:
        return {}
    finally:
        pynvml.nvmlShutdown()
    if not devices:
        return {}
    facts: dict[str, Any] = {
        "gpu_count": len(devices),
        "gpu_nvidia": devices,
        "cuda_version": f"{version // 1000}.{version % 1000 // 10}",
    }
    if len({device["name"] for device in devices}) == 1:
        facts["gpu_type"] = devices[0]["name"]
    return facts
