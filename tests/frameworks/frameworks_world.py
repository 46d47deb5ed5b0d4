"""Running a framework's program under `runlane exec` (or with the real wandb), and what a server then has of it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import runlane
from world import Home, Server

PROGRAMS = Path(__file__).with_name("programs")
#: Interpreter of tools/ensure-frameworks.sh, where `make test-frameworks` set it up.
FRAMEWORKS = os.environ.get("RUNLANE_TEST_FRAMEWORKS", "")
#: Nothing of a framework may ask the network.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    "MPLBACKEND": "Agg",
}


@dataclass
class Stored:
    """A run as the server has it."""

    name: str
    state: str
    rows: list[dict[str, Any]]
    config: dict[str, Any]
    summary: dict[str, Any]
    files: list[str] = field(default_factory=list)
    #: Name, type and aliases of what it logged, in the order of names and versions.
    artifacts: list[tuple[str, str, list[str]]] = field(default_factory=list)

    @property
    def keys(self) -> set[str]:
        """Keys of all rows that the program logged."""
        return {key for row in self.rows for key in row if not key.startswith("_")}

    @property
    def shape(self) -> list[tuple[int, tuple[str, ...]]]:
        """Step and keys of each row: what must be equal for two clients, whatever the times are."""
        return [(row["_step"], tuple(sorted(key for key in row if key[0] != "_"))) for row in self.rows]

    def values(self, key: str) -> list[Any]:
        """The values of a key, row by row."""
        return [row[key] for row in self.rows if key in row]


def run_program(
    home: Home,
    server: Server,
    project: str,
    program: str,
    *words: str,
    python: str,
    launcher: tuple[str, ...] = (),
    peer: Path | None = None,
    env: dict[str, str] | None = None,
) -> list[Stored]:
    """Run a program, which must end with exit code 0, and read the project's runs, oldest first.

    Args:
        home: Whose settings and directories.
        server: Where the runs go.
        project: Project of the runs.
        program: Name of a file in `programs`.
        words: Its arguments.
        python: The interpreter.
        launcher: What comes between interpreter and program.
        peer: Folder of the real wandb; with it the program runs with that instead of runlane.
        env: More variables.
    """
    command = [python, *launcher, str(PROGRAMS / program), *words]
    variables = {**QUIET, **server.env, "WANDB_PROJECT": project, "WANDB_SILENT": "true", **(env or {})}
    if peer is None:
        home.runlane("exec", "--", *command, env=variables, timeout=300)
    else:
        home.run(command, check=True, env={**variables, "PYTHONPATH": str(peer)}, timeout=300)
    return read_project(server, project)


def read_project(server: Server, project: str) -> list[Stored]:
    """All runs of a project, oldest first; none if there is no such project."""
    api = runlane.Api(overrides={"base_url": server.base_url}, api_key=server.api_key)
    return [
        Stored(
            run.name,
            run.state,
            list(run.scan_history()),
            dict(run.config),
            dict(run.summary._json_dict),
            sorted(file.name for file in run.files()),
            sorted((one.name, one.type, sorted(one.aliases)) for one in run.logged_artifacts()),
        )
        for run in api.runs(f"{server.entity}/{project}", order="+created_at")
    ]


def versions(python: str, *packages: str) -> str:
    """`name version` of installed packages."""
    code = "import importlib.metadata, sys; print(', '.join(f'{name} {importlib.metadata.version(name)}' for name in sys.argv[1:]))"
    return subprocess.run(
        [python, "-c", code, *packages], capture_output=True, text=True, check=True
    ).stdout.strip()


#: Where `make test-frameworks` collects a line for each framework.
TABLE = os.environ.get("RUNLANE_FRAMEWORKS_TABLE", "")


@contextlib.contextmanager
def recorded(what: str, version: str) -> Iterator[list[Stored]]:
    """Note in the table how a framework went; the runs are put into the list that this gives."""
    runs: list[Stored] = []
    result = "failed"
    try:
        yield runs
        result = "passed"
    finally:
        rows, keys = sum(len(run.rows) for run in runs), len({key for run in runs for key in run.keys})
        line = f"| {what} | {version} | {result} | {len(runs)} | {rows} | {keys} |\n"
        if TABLE:
            (Path(TABLE) / re.sub(r"\W+", "-", what)).write_text(line, encoding="utf-8")
