"""`PartitionedTable`: many tables of a directory of an artifact as one."""

from __future__ import annotations

from ._table_logging import composed_row_value
from .base import WBValue, is_artifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SUFFIX = ".table.json"


class PartitionedTable(WBValue):
    """The tables below a directory of an artifact, as one: `artifact.add(PartitionedTable("parts"), "all")`.

    Several processes may add `parts/<name>` each. `artifact.get("all").iterrows()` reads one part after the other.

    Args:
        parts_path: The directory in the artifact.

    Raises:
        TypeError: `parts_path` is no text.
    """

    _log_type = "partitioned-table"

    def __init__(self, parts_path: str) -> None:
        if not isinstance(parts_path, str):
            raise TypeError(
                f"`parts_path` must be a directory in an artifact, got {type(parts_path).__name__}"
            )
        self.parts_path = parts_path

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """What the artifact's file holds.

        Raises:
            TypeError: Not an artifact; a run takes it by `run.log`.
        """
        if not is_artifact(run_or_artifact):
            raise TypeError("PartitionedTable.to_json takes an artifact")
        return {"_type": self._log_type, "parts_path": self.parts_path}

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> PartitionedTable:
        """The table whose file in an artifact says `json_obj`; its parts are read when its rows are."""
        table = cls(json_obj["parts_path"])
        table._set_artifact_source(source_artifact)
        return table

    def _parts(self) -> list[str]:
        """The parts' paths, in their order."""
        place = self._artifact_source or self._artifact_target
        if place is None:
            return []
        prefix = self.parts_path.rstrip("/") + "/"
        entries = place.artifact.manifest.entries
        return sorted(path for path in entries if path.startswith(prefix) and path.endswith(_SUFFIX))

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Number and cells of each row, part after part in the order of their paths; one part is in memory at a time.

        Raises:
            ValueError: The table was not read from an artifact.
        """
        place = self._artifact_source
        if place is None:
            raise ValueError(
                "a PartitionedTable has rows once it is read from an artifact\nhint: `artifact.get(name)`"
            )
        number = 0
        for path in self._parts():
            for row in place.artifact.get(path).data:
                yield number, row
                number += 1

    def _row_value(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        del step
        if self._artifact_source is None and self._artifact_target is None:
            raise ValueError("PartitionedTables must first be added to an Artifact before logging to a Run")
        return composed_row_value(self, run, key)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartitionedTable) or self.parts_path != other.parts_path:
            return False
        return self._digests() == other._digests()

    __hash__ = None  # type: ignore[assignment]

    def _digests(self) -> list[tuple[str, str]]:
        place = self._artifact_source or self._artifact_target
        if place is None:
            return []
        entries = place.artifact.manifest.entries
        return [(path, entries[path].digest) for path in self._parts()]

    def __repr__(self) -> str:
        return f"<runlane.PartitionedTable of {self.parts_path}>"
