"""`visualize`: a table drawn by a preset that reads it from the history."""

from __future__ import annotations

from runlane.data_types.base import WBValue
from runlane.data_types.table import Table
from runlane.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class VisualizeSpec:
    """The preset, and the key that its table is logged under."""

    def __init__(self, name: str, key: str = "") -> None:
        self.name = name
        self.key = key

    @property
    def config_key(self) -> tuple[str, str, str]:
        """Where the config has the panel."""
        return ("_wandb", "viz", self.key)

    @property
    def config_value(self) -> dict[str, Any]:
        """The panel."""
        return {"id": self.name, "historyFieldSettings": {"x-axis": "_step", "key": self.key}}


class Visualize(WBValue):
    """A table with its preset, as `run.log` takes it."""

    def __init__(self, table: Table, spec: VisualizeSpec) -> None:
        self.table = table
        self.spec = spec

    def set_key(self, key: str) -> None:
        """Set the key that the table is logged under."""
        self.spec.key = key

    def _place(self, key: str) -> tuple[tuple[str, str, str], dict[str, Any], str, Table]:
        """Path and value of the config, key and table of the row, for a table logged under `key`."""
        self.set_key(key)
        return self.spec.config_key, self.spec.config_value, key, self.table


def visualize(id: str, value: Table) -> Visualize:  # noqa: A002 - the argument's name in wandb
    """A table that the preset `id` draws.

    Raises:
        Error: `value` is no table.
    """
    if not isinstance(value, Table):
        raise Error(f"Expected `value` to be `wandb.Table` type, instead got {type(value).__name__}")
    return Visualize(value, VisualizeSpec(id))
