"""`JoinedTable`: two tables of an artifact, shown as one."""

from __future__ import annotations

from ._table_logging import composed_row_value
from .base import WBValue, is_artifact
from .partitioned_table import PartitionedTable
from .table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SUFFIXES = (".table.json", ".joined-table.json", ".partitioned-table.json")


class JoinedTable(WBValue):
    """Two tables, joined on a column: `artifact.add(JoinedTable(left, right, "id"), "joined")`, and `artifact.get("joined")` again.

    The file `<name>.joined-table.json` in the artifact says where the two tables are; they are added along with it.

    Args:
        table1: A `Table` or `PartitionedTable`, its path in the artifact that this one is added to, or an entry of another artifact.
        table2: The same.
        join_key: The column of both tables, or a list of the column of the first and that of the second one.

    Raises:
        ValueError: A table or the key is something else.
    """

    _log_type = "joined-table"

    def __init__(self, table1: Any, table2: Any, join_key: str | list[str] | tuple[str, str]) -> None:
        if not isinstance(join_key, str) and not (
            isinstance(join_key, (list, tuple))
            and len(join_key) == 2
            and all(isinstance(key, str) for key in join_key)
        ):
            raise ValueError("JoinedTable join_key should be a string or a list of two strings")
        for number, table in ((1, table1), (2, table2)):
            if not _is_table(table):
                raise ValueError(
                    f"JoinedTable table{number} should be an artifact path to a table or wandb.Table object, got"
                    f" {type(table).__name__}: {table!r:.80}"
                )
        self._table1 = table1
        self._table2 = table2
        self._join_key: str | list[str] = join_key if isinstance(join_key, str) else list(join_key)

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """What the artifact's file holds, the tables being added to the artifact.

        Raises:
            TypeError: Not an artifact; a run takes it by `run.log`.
            ValueError: A path does not exist in the artifact.
        """
        if not is_artifact(run_or_artifact):
            raise TypeError("JoinedTable.to_json takes an artifact")
        return {
            "_type": self._log_type,
            "join_key": self._join_key,
            "table1": _path_in(run_or_artifact, self._table1, "t1"),
            "table2": _path_in(run_or_artifact, self._table2, "t2"),
        }

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> JoinedTable:
        """The joined table whose file in an artifact says `json_obj`, with both tables.

        Raises:
            ValueError: A table is missing.
        """
        tables = []
        for name in ("table1", "table2"):
            table = source_artifact.get(json_obj[name])
            if table is None:
                raise ValueError(f"the joined table's `{json_obj[name]}` is not in the artifact")
            tables.append(table)
        return cls(tables[0], tables[1], json_obj["join_key"])

    def _row_value(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        del step
        return composed_row_value(self, run, key)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, JoinedTable)
            and self._join_key == other._join_key
            and bool(self._table1 == other._table1)
            and bool(self._table2 == other._table2)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<runlane.JoinedTable on {self._join_key}>"


def _is_entry(table: Any) -> bool:
    return hasattr(table, "ref_url") and hasattr(table, "digest") and hasattr(table, "path")


def _is_table(table: Any) -> bool:
    if isinstance(table, str):
        return table.endswith(_SUFFIXES)
    return isinstance(table, (Table, JoinedTable, PartitionedTable)) or _is_entry(table)


def _path_in(artifact: Any, table: Any, prefix: str) -> str:
    """Where a table lies in the artifact, to which it is added if it is not there."""
    entries = artifact.manifest.entries
    if isinstance(table, str):
        if table not in entries:
            raise ValueError(
                f"there is no table `{table}` in the artifact\nhint: add it before the joined table"
            )
        return table
    if _is_entry(table):
        if entries.get(table.path) is not table:
            artifact.add_reference(table.ref_url(), name=table.path)
        return str(table.path)
    place = table._artifact_target
    if place is not None and place.artifact is artifact and place.name:
        return str(table.with_suffix(place.name))
    source = table._artifact_source
    if source is not None and source.name:
        # Read from another artifact: under the last part of the name that it has there, as wandb has it.
        name = str(source.name).rpartition("/")[2]
        taken = entries.get(table.with_suffix(name))
        ref = source.artifact.get_entry(table.with_suffix(source.name)).ref_url()
        if taken is None or taken.ref == ref:
            return str(artifact.add(table, name).path)
    # By their number: the same tables joined again make an equal artifact.
    number = sum(path.startswith(f"{prefix}_") for path in entries)
    return str(artifact.add(table, f"{prefix}_{number}").path)
