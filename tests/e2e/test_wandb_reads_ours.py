"""What we write offline is read by the real wandb 0.31.0: by its log reader and by its `wandb sync`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reading import plain, read_run
from world import Home, Server

SCRIPT = """
import math
import runlane as wandb
run = wandb.init(project={project!r}, id="ours0001", name="ours", mode="offline", tags=["t"], notes="n",
                 config={{"lr": 0.1, "opt": {{"name": "sgd", "betas": [0.9, 0.99]}}, "none": None}})
run.define_metric("val/*", step_metric="epoch")
run.define_metric("loss", summary="min,max,mean")
for i in range(300):
    row = {{"loss": 1 / (i + 1), "nested": {{"a": i, "b": {{"c": str(i)}}}}, "flag": i % 2 == 0, "list": [i, 0.5]}}
    if i % 50 == 0:
        row["epoch"] = i // 50
        row["val/acc"] = i / 300
    if i == 10:
        row["odd"] = math.nan
    if i == 11:
        row["odd"] = -math.inf
    if i == 12:
        row |= {{"dotted.key": 7, "big": 2**53 + 1, "text": 'ключ "quoted"\\n'}}
    run.log(row)
run.log({{"val/acc": 1.0}}, step=400)
run.log({{"more": 2}}, step=400)
run.summary["chosen"] = {{"deep": 5}}
run.config.update({{"lr": 0.2}}, allow_val_change=True)
run.finish()
"""


@pytest.fixture
def offline_run(home: Home, project: str) -> Path:
    home.python(SCRIPT.format(project=project))
    (directory,) = home.run_dirs()
    return directory


def inspected(home: Home, wandb_python: str, *words: str) -> str:
    wandb = str(Path(wandb_python).with_name("wandb"))
    return home.run([wandb, "leet", "inspect", "--json", *words], check=True).stdout


def test_its_reader_finds_our_records(home: Home, offline_run: Path, wandb_python: str) -> None:
    log = str(offline_run / "run-ours0001.wandb")
    records = [json.loads(line) for line in inspected(home, wandb_python, log).splitlines()]
    assert [record["num"] for record in records] == list(range(1, len(records) + 1))
    kinds = [record["type"] for record in records]
    assert kinds[:2] == ["header", "run"] and kinds[-1] == "exit"
    rows = [record["history"] for record in records if record["type"] == "history"]
    assert len(rows) == 301
    summary = json.loads(inspected(home, wandb_python, "--summary", log))
    assert summary["state"] == "finished" and summary["step"] == 400 and summary["exit_code"] == 0
    assert summary["config"] == {"lr": 0.2, "opt": {"name": "sgd", "betas": [0.9, 0.99]}, "none": None}
    found: dict[str, Any] = summary["summary"]
    assert found["chosen"] == {"deep": 5}
    assert (found["loss"]["min"], found["loss"]["max"]) == (1 / 300, 1)
    assert found["nested"] == {"a": 299, "b": {"c": "299"}}
    assert found["odd"] == "-Infinity" and found["big"] == 2**53 + 1


def test_its_sync_uploads_what_ours_does(
    home: Home, server: Server, project: str, offline_run: Path, wandb_python: str
) -> None:
    wandb = str(Path(wandb_python).with_name("wandb"))
    home.run([wandb, "sync", "--id", "theirs", "--yes", str(offline_run)], check=True, env=server.env)
    home.runlane("sync", "--include-synced", "--id", "ours", str(offline_run), env=server.env)
    theirs = read_run(home, server, f"{project}/theirs", python=wandb_python)
    ours = read_run(home, server, f"{project}/ours", python=wandb_python)
    for field in ("rows", "config", "summary", "state", "tags", "notes", "name"):
        assert plain(ours[field]) == plain(theirs[field]), field
    assert len(ours["rows"]) == 301
    by_step = {row["_step"]: row for row in ours["rows"]}
    assert by_step[400]["epoch"] == 5 and by_step[400]["more"] == 2
