"""A run that keeps what integrations tell it."""

from __future__ import annotations

from typing import Any

import pytest
import runlane


class Recorder:
    """Stands for the active run."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.metrics: dict[str, str] = {}
        self.summary: dict[str, Any] = {}
        self.config_updates: list[dict[str, Any]] = []
        self.config = self

    def log(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def define_metric(self, name: str, summary: str) -> None:
        assert name not in self.metrics
        self.metrics[name] = summary

    def update(self, values: dict[str, Any], allow_val_change: bool) -> None:
        assert allow_val_change
        self.config_updates.append(values)

    def _record_feature(self, number: int) -> None:
        assert number > 0

    def chart(self, key: str) -> list[list[Any]]:
        """Rows of the table that was logged under `key`, once."""
        (found,) = [row[key] for row in self.rows if key in row]
        return found.table.data


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The active run of the test."""
    made = Recorder()
    monkeypatch.setitem(runlane.__dict__, "run", made)
    return made
