"""`CustomChart`: a table and the preset that draws it.

Logged under `key`, the config gets the panel as `_wandb.visualize.<key>` (type `Vega2`, a query for the table's rows of all selected
runs), and the row gets the table as `<key>_table`, or as `Custom Chart Tables/<key>_table` with `split_table`.
"""

from __future__ import annotations

from runlane.data_types.base import WBValue
from runlane.data_types.table import Table
from runlane.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPLIT_SECTION = "Custom Chart Tables"


class CustomChartSpec:
    """What a chart's panel is.

    Args:
        spec_name: The preset: `<entity>/<name>/<version>`.
        fields: Fields of the preset to columns of the table.
        string_fields: Texts of the preset, such as its title.
        key: The key that the chart is logged under.
        panel_type: The kind of panel.
        split_table: Whether the table gets a section of its own.
    """

    def __init__(
        self,
        spec_name: str,
        fields: dict[str, Any],
        string_fields: dict[str, Any],
        key: str = "",
        panel_type: str = "Vega2",
        split_table: bool = False,
    ) -> None:
        self.spec_name = spec_name
        self.fields = fields
        self.string_fields = string_fields
        self.key = key
        self.panel_type = panel_type
        self.split_table = split_table

    @property
    def table_key(self) -> str:
        """The key that the table is logged under."""
        return f"{_SPLIT_SECTION}/{self.key}_table" if self.split_table else f"{self.key}_table"

    @property
    def config_key(self) -> tuple[str, str, str]:
        """Where the config has the panel."""
        return ("_wandb", "visualize", self.key)

    @property
    def config_value(self) -> dict[str, Any]:
        """The panel."""
        runs: list[dict[str, Any]] = [
            {"name": "id", "fields": []},
            {"name": "name", "fields": []},
            {"name": "_defaultColorIndex", "fields": []},
            {"name": "summaryTable", "args": [{"name": "tableKey", "value": self.table_key}], "fields": []},
        ]
        query = {
            "name": "runSets",
            "args": [{"name": "runSets", "value": "${runSets}"}],
            "fields": runs,
        }
        return {
            "panel_type": self.panel_type,
            "panel_config": {
                "userQuery": {"queryFields": [query]},
                "panelDefId": self.spec_name,
                "transform": {"name": "tableWithLeafColNames"},
                "fieldSettings": self.fields,
                "stringSettings": self.string_fields,
            },
        }


class CustomChart(WBValue):
    """A chart as `run.log` takes it."""

    def __init__(self, table: Table, spec: CustomChartSpec) -> None:
        self.table = table
        self.spec = spec

    def set_key(self, key: str) -> None:
        """Set the key that the chart is logged under."""
        self.spec.key = key

    def _place(self, key: str) -> tuple[tuple[str, str, str], dict[str, Any], str, Table]:
        """Path and value of the config, key and table of the row, for a chart logged under `key`."""
        self.set_key(key)
        return self.spec.config_key, self.spec.config_value, self.spec.table_key, self.table


def plot_table(
    vega_spec_name: str,
    data_table: Table,
    fields: dict[str, Any],
    string_fields: dict[str, Any] | None = None,
    split_table: bool = False,
) -> CustomChart:
    """A chart drawn by a preset.

    Args:
        vega_spec_name: The preset: `<entity>/<name>`, built-in ones are `wandb/<name>/v0`.
        data_table: The data.
        fields: Fields of the preset to columns of the table.
        string_fields: Texts of the preset, such as its title.
        split_table: Whether the table gets a section of its own, `Custom Chart Tables`.

    Raises:
        Error: `data_table` is no table.
    """
    if not isinstance(data_table, Table):
        raise Error(
            f"Expected `data_table` to be `wandb.Table` type, instead got {type(data_table).__name__}"
        )
    spec = CustomChartSpec(vega_spec_name, dict(fields), dict(string_fields or {}), split_table=split_table)
    return CustomChart(data_table, spec)
