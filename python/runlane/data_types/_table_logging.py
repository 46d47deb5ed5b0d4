"""What logging a table does: its artifact `run-<run id>-<key>`, then its file among the run's files.

| | artifact | file of the run |
|---|---|---|
| rows | at most `Table.MAX_ARTIFACT_ROWS` | the first `Table.MAX_ROWS` |
| entry, path | `<key>.table.json` | `media/table/<key>_<step>_<hash>.table.json` |
| incremental tables | `run-<run id>-incr-<key>`, entry `<number>-<milliseconds>.<key>.table.json` | the rows since the last time |

The number of the first increment's entry is the word `None`, as W&B's client has it; readers order it first.
"""

from __future__ import annotations

import time
from itertools import chain

from runlane import terminal

from . import _table_files, _table_json
from ._files import MediaFile, entry_key, temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from runlane.artifacts import Artifact

    from .table import Table

# Numbers of TelemetryRecord.feature.
_TELEMETRY = 78
_TELEMETRY_INCREMENTAL = 79
_TYPE = "run_table"
_INCREMENTAL_TYPE = "wandb-run-incremental-table"
#: A larger text goes to a file piece by piece.
_MEMORY_BYTES = 1 << 20


def store(table: Table, run: Any, key: str, step: int | str) -> dict[str, Any]:
    """Store a table with a run, both ways.

    Returns:
        `sha256`, `size` and `path` of the run's file, and `artifact_path` and `_latest_artifact_path` if there is an artifact.

    Raises:
        OSError: The run's file cannot be written.
        TypeError: A cell has no form, in strict mode.
    """
    incremental = table.log_mode == "INCREMENTAL"
    if incremental:
        _count_increment(table, run, key)

    def convert(value: Any) -> Any:
        return run._convert_cell(key, value)

    first = table._stored_rows if incremental else 0
    artifact, urls = _made_artifact(table, run, key, convert)
    end = min(len(table.data), first + table.MAX_ROWS)
    if not urls and end < len(table.data):
        terminal.termwarn(
            f"table `{terminal.printable(key)}` has {len(table.data) - first} rows: the first {end - first} are stored"
            "\nhint: set `Table.MAX_ROWS`, or let the run have artifacts",
            repeat=False,
        )
    pieces = _table_json.run_pieces(table.columns, table.data, first, end, convert)
    run._record_feature(_TELEMETRY_INCREMENTAL if incremental else _TELEMETRY)
    content = _content(pieces)
    if artifact is not None:
        # Its record goes before those of the file and the row; its files were hashed while the text was written.
        for entry in artifact.manifest.entries.values():
            _ = entry.digest
        run._log_internal_artifact(artifact)
    file = content.store(run, "table", key, step)
    if incremental:
        table._stored_rows = len(table.data)
        table._increment = table._increment or 0
        table._last_increment = urls.get("artifact_path")
    return {**file, **urls}


def _content(pieces: Iterator[bytes]) -> MediaFile:
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > _MEMORY_BYTES:
            break
    else:
        return MediaFile.of_bytes(b"".join(held), ".table.json")
    path = temporary.path(".table.json")
    with open(path, "wb") as file:
        for piece in chain(held, pieces):
            file.write(piece)
    return MediaFile.of_temporary(path, ".table.json")


def _made_artifact(table: Table, run: Any, key: str, convert: Any) -> tuple[Artifact | None, dict[str, Any]]:
    """The artifact with the table, and what rows say of it; None and nothing where there is none: the row goes on without."""
    if run.offline and not run._settings.allow_offline_artifacts:
        return None, {}
    from runlane.artifacts._artifact import internal

    incremental = table.log_mode == "INCREMENTAL"
    prefix = f"run-{run.id}-incr-" if incremental else f"run-{run.id}-"
    name = entry_key(key)
    if incremental:
        name = f"{table._increment}-{int(time.time() * 1000)}.{name}"
    artifact = internal(
        _table_files.artifact_name(prefix, key),
        _INCREMENTAL_TYPE if incremental else _TYPE,
        incremental=incremental,
    )
    # Rows refer to where the bytes are; in this artifact there may be a reference to that.
    known, known_latest = table._artifact_url(run), table._latest_artifact_url(run)
    try:
        with _table_files.converting(convert):
            entry = artifact.add(table, name)
    except Exception as error:  # noqa: BLE001, RUF100 - cells are objects of anybody's: the row goes on without the artifact
        if isinstance(error, TypeError) and run._settings.strict:
            raise
        terminal.termwarn(
            f"cannot store the artifact of table `{terminal.printable(key)}`: {error}", repeat=False
        )
        return None, {}
    made = f"wandb-client-artifact://{artifact._client_id}/{entry.path}"
    latest = f"wandb-client-artifact://{artifact._sequence_client_id}:latest/{entry.path}"
    return artifact, {
        "artifact_path": known or made,
        "_latest_artifact_path": known_latest or latest,
    }


def _count_increment(table: Table, run: Any, key: str) -> None:
    """Number the increment that is stored next; the first one of a run that was not resumed has no number."""
    if table._increments_run is not run:
        table._increments_run = run
        table._stored_rows = 0
        table._increment, table._previous_increments = _resumed(run, key)
    elif table._increment is not None:
        table._increment += 1
        if table._last_increment is not None:
            table._previous_increments.append(table._last_increment)


def _resumed(run: Any, key: str) -> tuple[int | None, list[str]]:
    """The number of the next increment and the paths of those before it, as the summary of a resumed run tells them."""
    value = run.summary.get(key) if run.resumed else None
    if not isinstance(value, dict) or value.get("_type") != "incremental-table-file":
        return None, []
    paths = [*(value.get("previous_increments_paths") or []), value.get("artifact_path")]
    return int(value.get("increment_num") or 0) + 1, [path for path in paths if path]


def composed_row_value(value: Any, run: Any, key: str) -> dict[str, Any]:
    """Log a value that is nothing but an object of an artifact, `run-<run id>-<key>`; returns what the row says of it.

    Raises:
        ValueError: The run has no artifacts, or a table of the value is missing.
        OSError: A file cannot be written.
    """
    if run.offline and not run._settings.allow_offline_artifacts:
        raise ValueError(
            f"{type(value).__name__}s are stored in artifacts, which this offline run does without"
            "\nhint: set `allow_offline_artifacts`"
        )
    from runlane.artifacts._artifact import internal

    artifact = internal(_table_files.artifact_name(f"run-{run.id}-", key), _TYPE)
    known = value._artifact_url(run)
    entry = artifact.add(value, entry_key(key))
    run._log_internal_artifact(artifact)
    made = f"wandb-client-artifact://{artifact._client_id}/{entry.path}"
    return {"_type": value._log_type, "artifact_path": known or made}
