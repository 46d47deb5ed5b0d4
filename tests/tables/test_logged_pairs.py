"""A run with tables has the records, run files and artifacts that wandb leaves for the same script."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from world import PYTHON, Home

SCRIPT = Path(__file__).with_name("logged_cases.py")
# Identities of artifacts, moments in names of increments, places of joined tables, content of pictures.
CLIENT_ID = re.compile(r"[a-z0-9]{128}")
VARYING = re.compile(
    r"(?<=sha256\": \")[0-9a-f]{64}(?=\", \"width)|(?<=\d-)\d{13}(?=\.)|(?<=None-)\d{13}(?=\.)|(?<=t[12]_)\d+|(?<=images/)[0-9a-f]{20}"
)
OURS_ALONE = ("_runtime", "_timestamp", "_step", "_wandb")


class Log:
    """What a transaction log says of tables, with what differs from run to run replaced."""

    def __init__(self, directory: Path, text: str) -> None:
        self._directory = directory
        self._known: dict[str, str] = {}
        self.told: list[tuple[str, Any]] = []
        self.texts: dict[str, str] = {}
        self.summary: dict[str, Any] = {}
        self.panels: dict[str, Any] = {}
        for line in text.splitlines():
            record = json.loads(line)
            told = getattr(self, f"_{record['type']}", None)
            if told is not None:
                told(record[record["type"]])

    def _plain(self, value: Any) -> Any:
        text = CLIENT_ID.sub(
            lambda found: self._known.setdefault(found[0], f"<{len(self._known)}>"),
            json.dumps(value, sort_keys=True),
        )
        return json.loads(VARYING.sub("#", text))

    def _artifact(self, record: dict[str, Any]) -> None:
        entries = []
        for entry in record["manifest"]["contents"]:
            path = self._plain(entry["path"])
            # Sizes of what says paths or content that vary are others.
            size = None if path.endswith((".png", ".joined-table.json")) else entry.get("size")
            entries.append((path, self._plain(entry.get("ref")), size))
            if "local_path" in entry and path.endswith(".json"):
                text = Path(entry["local_path"]).read_text()
                number = sum(kind == "artifact" for kind, _ in self.told)
                self.texts[f"{number} {path}"] = json.dumps(self._plain(json.loads(text)))
        kept = ("name", "type", "aliases", "client_id", "sequence_client_id", "incremental_beta1", "finalize")
        self.told.append(
            ("artifact", [self._plain({name: record.get(name) for name in kept}), sorted(entries, key=str)])
        )

    def _files(self, record: dict[str, Any]) -> None:
        for file in record["files"]:
            if "media/table" in file["path"]:
                self.told.append(("file", file["path"]))
                self.texts[file["path"]] = (self._directory / "files" / file["path"]).read_text()

    def _history(self, record: dict[str, Any]) -> None:
        self.told.append(("row", self._plain(self._of_tables(record["item"]))))

    def _summary(self, record: dict[str, Any]) -> None:
        self.summary.update(self._plain(self._of_tables(record.get("update", {}))))

    @staticmethod
    def _of_tables(items: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in items.items() if not key.startswith(OURS_ALONE)}

    def _config(self, record: dict[str, Any]) -> None:
        for key, value in record.get("update", {}).items():
            if "visualize" in key:
                self.panels[key] = value


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory, wandb_python: str) -> dict[str, Log]:
    """What both clients leave."""
    from world import make_home

    home: Home = make_home(tmp_path_factory.mktemp("logged"))
    found = {}
    try:
        for module, python in (("wandb", wandb_python), ("runlane", PYTHON)):
            home.run([python, str(SCRIPT), module, "tables"], check=True)
            (directory,) = [path for path in home.run_dirs() if path.name.endswith("-tables")]
            words = [str(Path(wandb_python).with_name("wandb")), "leet", "inspect", "--json"]
            text = home.run([*words, str(directory / "run-tables.wandb")], check=True).stdout
            found[module] = Log(directory, text)
            directory.rename(directory.with_name(f"{module}-was-here"))
    finally:
        home.stop_daemon()
    return found


def test_records_are_the_same_and_in_the_same_order(logs: dict[str, Log]) -> None:
    theirs, ours = logs["wandb"].told, logs["runlane"].told
    assert len(theirs) > 60
    for number, (expected, found) in enumerate(zip(theirs, ours, strict=False)):
        assert found == expected, f"record {number}"
    assert len(ours) == len(theirs)


def test_files_are_the_same(logs: dict[str, Log]) -> None:
    theirs, ours = logs["wandb"].texts, logs["runlane"].texts
    assert sorted(ours) == sorted(theirs)
    assert {path: (ours[path], text) for path, text in theirs.items() if ours[path] != text} == {}


def test_the_summary_is_the_same(logs: dict[str, Log]) -> None:
    theirs, ours = (
        {key: value for key, value in log.summary.items() if not key.startswith("last.")}
        for log in logs.values()
    )
    assert ours == theirs and theirs["last"]["artifact_path"].endswith("/last.table.json")


def test_panels_are_the_same(logs: dict[str, Log]) -> None:
    assert logs["runlane"].panels == logs["wandb"].panels and len(logs["wandb"].panels) == 3
