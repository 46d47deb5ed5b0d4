"""The static picture of the program and its host, for the run's metadata.

Two parts: what costs nothing is sent with the run's start; what needs psutil, drivers or the vendors' tools is gathered by a
thread afterwards, off the start-up path. The service merges the partial records.
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


def _colab_url(settings: Settings) -> str | None:
    """The address of the notebook, if the program runs in Colab."""
    path = settings.x_jupyter_path
    if "google.colab" not in sys.modules or not path or not path.startswith("fileId="):
        return None
    from urllib.parse import unquote

    return f"https://colab.research.google.com/notebook#{unquote(path)}"


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
    for name, value in (
        ("docker", settings.docker),
        ("email", settings.email),
        ("colab", _colab_url(settings)),
    ):
        if value:
            facts[name] = value
    if program and not settings.disable_code:
        facts["code_path"] = facts["code_path_local"] = _redact.text(os.path.relpath(program))
        if settings.git_root and not settings.disable_git:
            facts["code_path"] = _redact.text(os.path.relpath(program, settings.git_root))
    if git:
        facts["git"] = git
    return facts


def _cpu_model() -> str:
    """The processor's name, as the system tells it; empty if it does not."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def _machine_facts(settings: Settings) -> dict[str, Any]:
    """Processor, memory and disks.

    Raises:
        ImportError: psutil is missing.
    """
    import psutil

    facts: dict[str, Any] = {
        "cpu_count": int(psutil.cpu_count(logical=False) or 0),
        "cpu_count_logical": int(psutil.cpu_count() or 0),
        "memory_total": int(psutil.virtual_memory().total),
    }
    disks = {}
    for path in settings.x_stats_disk_paths:
        try:
            usage = psutil.disk_usage(path)
        except OSError:
            continue
        disks[path] = (int(usage.total), int(usage.used))
    facts["disk"] = disks
    return facts


#: Settings that take the place of what was found.
_OVERRIDES = {
    "x_stats_cpu_count": "cpu_count",
    "x_stats_cpu_logical_count": "cpu_count_logical",
    "x_stats_gpu_count": "gpu_count",
    "x_stats_gpu_type": "gpu_type",
}


def slow_facts(settings: Settings, writer_id: str) -> dict[str, Any]:
    """What psutil, drivers and the vendors' tools know. Takes tens of milliseconds, with some tools seconds."""
    from . import _host_accelerators, _host_cloud

    facts: dict[str, Any] = {"writer_id": writer_id}
    try:
        facts.update(_machine_facts(settings))
    except ImportError:
        # Without psutil the picture is smaller, nothing else.
        facts.pop("disk", None)
    model = _cpu_model()
    if model:
        facts["cpu"] = {"model": model}
    facts.update(_host_accelerators.facts())
    for setting, field in _OVERRIDES.items():
        value = getattr(settings, setting)
        if value:
            facts[field] = value
    slurm = {name[6:].lower(): value for name, value in os.environ.items() if name.startswith("SLURM_")}
    if slurm:
        facts["slurm"] = _redact.variables(slurm)
    coreweave = _host_cloud.coreweave(settings)
    if coreweave:
        facts["coreweave"] = coreweave
    return facts
