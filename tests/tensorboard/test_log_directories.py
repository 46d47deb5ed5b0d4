"""What the daemon is told of a log directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runlane import _tensorboard

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def told(logdir: str, root: str = "") -> tuple[str, str, str]:
    record = _tensorboard.log_directory(logdir, root, save=True)
    assert record["host"] == os.uname().nodename
    return record["log_dir"], record["root_dir"], record["save_path"]


def test_paths_are_absolute_and_roots_hold_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    assert told("tb/x") == (f"{here}/tb/x", "", "tb/x")
    assert told(".") == (here, "", ".")
    assert told("../elsewhere") == (str(tmp_path.parent / "elsewhere"), "", "")
    assert told("logs/a/", "logs") == (f"{here}/logs/a", f"{here}/logs", "logs/a")
    assert told("logs", "logs") == (f"{here}/logs", f"{here}/logs", "logs")
    assert told("logs2", "logs") == (f"{here}/logs2", "", "logs2")
    assert "is not below the root_logdir logs" in capsys.readouterr().err
    assert told("s3://bucket/x", "logs")[0] == "s3://bucket/x"


def test_a_directory_that_a_writer_made_up_is_its_own_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The name of a directory above says nothing.
    tmp_path = tmp_path / f"job-12_{os.uname().nodename}"
    tmp_path.mkdir()
    monkeypatch.chdir(tmp_path)
    assert told("logs/a")[1] == ""
    made_up = f"runs/Nov27_17-38-38_{os.uname().nodename}"
    assert told(f"{made_up}comment", "logs")[:2] == (
        f"{tmp_path}/{made_up}comment",
        f"{tmp_path}/{made_up}",
    )
