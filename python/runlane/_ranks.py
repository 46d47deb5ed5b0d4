"""Which process of a distributed job this is, by the variables of its launcher, and how its rows name it.

Launchers are asked from the innermost outwards: `torchrun` runs inside a SLURM step, `mpirun` inside a SLURM allocation.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: No job has more processes; what is larger is no rank.
_MOST = 1 << 31


class Place(NamedTuple):
    """A process's place in a job. `size` and `local_rank` are None where the launcher does not tell."""

    launcher: str
    rank: int
    size: int | None
    local_rank: int | None


class _Launcher(NamedTuple):
    name: str
    rank: str
    size: str | None
    local_rank: str
    #: Must hold numbers as well: without them the other variables mean something else.
    needs: tuple[str, ...] = ()
    least_size: int = 1


_LAUNCHERS = (
    # torchrun and torch.distributed.run; DDP scripts set the same variables by hand, without the group's.
    _Launcher("torch", "RANK", "WORLD_SIZE", "LOCAL_RANK"),
    _Launcher("openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    _Launcher("mvapich", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"),
    # MPICH, Intel MPI and others with the Hydra process manager.
    _Launcher("mpich", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    # HPE Cray's mpiexec; the size is known to its library only.
    _Launcher("pals", "PALS_RANKID", None, "PALS_LOCAL_RANKID", needs=("PALS_NODEID",)),
    # A batch script has a SLURM_PROCID as well, and is one process whatever SLURM_NTASKS says: only a step (srun) counts.
    _Launcher(
        "slurm",
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_LOCALID",
        needs=("SLURM_STEP_ID",),
        least_size=2,
    ),
    _Launcher(
        "slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", needs=("SLURM_STEP_ID",), least_size=2
    ),
)


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    # Digits of other scripts and signs are no ranks, though `int` reads them.
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    value = int(text)
    return value if value < _MOST else None


def _place(launcher: _Launcher, environ: Mapping[str, str]) -> Place | None:
    rank = _number(environ, launcher.rank)
    if rank is None or any(_number(environ, name) is None for name in launcher.needs):
        return None
    size = None
    if launcher.size is not None:
        size = _number(environ, launcher.size)
        if size is None or size < launcher.least_size or rank >= size:
            return None
    local = _number(environ, launcher.local_rank)
    if local is not None and size is not None and local >= size:
        local = None
    return Place(launcher.name, rank, size, local)


def find(environ: Mapping[str, str] | None = None) -> Place | None:
    """The place that a launcher gave this process; None for a process on its own, or where the variables make no sense."""
    environ = os.environ if environ is None else environ
    for launcher in _LAUNCHERS:
        place = _place(launcher, environ)
        if place is not None:
            return place
    return None


def worker_name() -> str:
    """What `multiprocessing` calls this process; empty in a main process."""
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return ""
    name = str(process.current_process().name)
    # A spawned worker has its name before it knows its parent: while its arguments are unpickled, runs among them.
    return name if process.parent_process() is not None or name != "MainProcess" else ""


def writer(
    label: str | None,
    shared_label: str | None = None,
    client_id: str | None = None,
    joins: bool = False,
    host: str | None = None,
) -> dict[str, Any]:
    """Who logs, as `_open` takes it.

    Args:
        label: The label that the user gave.
        shared_label: The label in shared mode, where nobody gave one.
        client_id: In shared mode: the writer at the server.
        joins: In shared mode: another process is the primary one.
        host: Name of the machine, if it goes by another one than its own.

    The label stays empty where the daemon has to choose one: it knows the process id of each process that joins by a fork.
    """
    place = find()
    name = label
    if not name and place is not None:
        name = f"rank-{place.rank}"
    fields: dict[str, Any] = {
        "label": name or shared_label or worker_name(),
        "host": host or os.uname().nodename,
        "client_id": client_id,
        "joins": joins or None,
    }
    if place is not None:
        fields |= {"rank": place.rank, "world_size": place.size, "local_rank": place.local_rank}
    return {key: value for key, value in fields.items() if value not in (None, "")}
