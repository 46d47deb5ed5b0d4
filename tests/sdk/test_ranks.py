"""Which process of a job this is, by the variables of its launcher."""

from __future__ import annotations

import re

import pytest
from runlane import _ids, _ranks
from runlane._ranks import Place

TORCH = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "GROUP_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
BATCH = {
    "SLURM_PROCID": "0",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_JOB_ID": "7",
}
STEP = {**BATCH, "SLURM_PROCID": "6", "SLURM_LOCALID": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "0",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
}

CASES = {
    "nothing": ({}, None),
    "torchrun": (TORCH, Place("torch", 5, 8, 1)),
    "set by hand, without a local rank": (
        {"RANK": "0", "WORLD_SIZE": "1"},
        Place("torch", 0, 1, None),
    ),
    "one process of torchrun": ({**TORCH, "RANK": "0", "WORLD_SIZE": "1"}, Place("torch", 0, 1, None)),
    "srun": (STEP, Place("slurm", 6, 8, 2)),
    "srun of an older SLURM": (
        {name: value for name, value in STEP.items() if name != "SLURM_STEP_NUM_TASKS"},
        Place("slurm", 6, 8, 2),
    ),
    "a batch script is one process": (BATCH, None),
    "srun with one task": (
        {**STEP, "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1"},
        None,
    ),
    "the batch step has a word for its id": ({**BATCH, "SLURM_STEP_ID": "batch"}, None),
    "torchrun within srun": ({**STEP, **TORCH}, Place("torch", 5, 8, 1)),
    "Open MPI": (OPEN_MPI, Place("openmpi", 0, 2, 0)),
    "mpirun within an allocation": ({**BATCH, **OPEN_MPI}, Place("openmpi", 0, 2, 0)),
    "MVAPICH": (
        {"MV2_COMM_WORLD_RANK": "3", "MV2_COMM_WORLD_SIZE": "4", "MV2_COMM_WORLD_LOCAL_RANK": "3"},
        Place("mvapich", 3, 4, 3),
    ),
    "MPICH": ({"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1"}, Place("mpich", 1, 2, 1)),
    "PALS": (
        {"PALS_RANKID": "9", "PALS_NODEID": "2", "PALS_LOCAL_RANKID": "1"},
        Place("pals", 9, None, 1),
    ),
    "PALS without a node": ({"PALS_RANKID": "9"}, None),
    "empty": ({"RANK": "", "WORLD_SIZE": ""}, None),
    "no number": ({"RANK": "one", "WORLD_SIZE": "8"}, None),
    "a sign": ({"RANK": "-1", "WORLD_SIZE": "8"}, None),
    "a space": ({"RANK": " 1", "WORLD_SIZE": "8"}, None),
    "digits of another script": ({"RANK": "\u0661", "WORLD_SIZE": "8"}, None),
    "a superscript": ({"RANK": "²", "WORLD_SIZE": "8"}, None),
    "rank as large as the size": ({"RANK": "8", "WORLD_SIZE": "8"}, None),
    "no size": ({"RANK": "1"}, None),
    "size 0": ({"RANK": "0", "WORLD_SIZE": "0"}, None),
    "huge": ({"RANK": "4294967296", "WORLD_SIZE": "4294967297"}, None),
    "longer than any number": ({"RANK": "1" * 5000, "WORLD_SIZE": "1" * 5001}, None),
    "a local rank that cannot be": ({**TORCH, "LOCAL_RANK": "8"}, Place("torch", 5, 8, None)),
    "a local rank that is no number": ({**TORCH, "LOCAL_RANK": "x"}, Place("torch", 5, 8, None)),
    "nonsense of one launcher hides no other": ({"RANK": "x", **OPEN_MPI}, Place("openmpi", 0, 2, 0)),
}


@pytest.mark.parametrize(("environ", "expected"), CASES.values(), ids=CASES.keys())
def test_launchers(environ: dict[str, str], expected: Place | None) -> None:
    assert _ranks.find(environ) == expected


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for launcher in _ranks._LAUNCHERS:
        for name in (launcher.rank, launcher.size, launcher.local_rank, *launcher.needs):
            if name:
                monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_labels_by_rank(bare: pytest.MonkeyPatch) -> None:
    # The daemon names a process that nobody named: it knows the process id after a fork.
    assert "label" not in _ranks.writer(None)
    assert _ranks.writer(None, "host-abc", "id")["label"] == "host-abc"
    for name, value in TORCH.items():
        bare.setenv(name, value)
    who = _ranks.writer(None, "host-abc", "id", joins=True, host="alpha")
    assert who == {
        "label": "rank-5",
        "host": "alpha",
        "client_id": "id",
        "joins": True,
        "rank": 5,
        "world_size": 8,
        "local_rank": 1,
    }
    assert _ranks.writer("mine")["label"] == "mine"


def test_client_ids_are_uuids_of_version_7() -> None:
    ids = [_ids.time_ordered_id() for _ in range(200)]
    assert len(set(ids)) == 200
    for text in ids:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text), (
            text
        )
    # Sorted by their milliseconds.
    stamps = [text[:13] for text in ids]
    assert stamps == sorted(stamps)
