"""Playing scenarios with a client, and the runs that they work on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asking import seed_run
from world import Home, Server

HERE = Path(__file__).parent
METADATA = {"program": "train.py", "args": ["--lr", "0.1"], "os": "Linux", "python": "3.11.7", "host": "box"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
ROWS = [
    {"_step": step, "_runtime": step / 2, "_timestamp": 1.79e9 + step, "loss": 1 / (step + 1)}
    | ({"acc": step / 20} if step % 2 == 0 else {})
    for step in range(20)
]
EVENTS = [{"system.cpu": 10.0 + index, "_runtime": index, "_timestamp": 1.79e9 + index} for index in range(5)]
LINES = [
    json.dumps(
        {"ts": f"2026-11-22T02:20:1{index}.000000", "content": f"line {index}"}
        | ({"level": "error"} if index == 2 else {})
    )
    for index in range(5)
]


def play(
    home: Home, env: dict[str, str], python: str, module: str, names: list[str], world: dict[str, Any]
) -> dict[str, Any]:
    """Play scenarios with a client that has an environment; what each returned, or its error as text."""
    results = home.root / "results.json"
    words = [module, str(HERE / "scenarios.py"), json.dumps(world), str(results), *names]
    home.run([python, str(HERE / "run_scenarios.py"), *words], check=True, env=env, timeout=100)
    found = json.loads(results.read_text(encoding="utf-8"))
    return {name: one.get("value", one.get("error")) for name, one in found.items()}


def seed(server: Server, project: str) -> None:
    """Put everything onto the server that the scenarios work on."""
    seed_run(
        server,
        project,
        "trained",
        rows=ROWS,
        events=EVENTS,
        lines=LINES,
        summary={
            "loss": 0.05,
            "acc": 0.9,
            "_step": 19,
            "_runtime": 9.5,
            "_timestamp": 1.79e9 + 19,
            "_wandb": {"runtime": 9},
        },
        config={"n_epochs": 5, "lr": 0.1},
        files={"wandb-metadata.json": json.dumps(METADATA).encode()},
        tags=["first", "good"],
        notes="as planned",
        group="g",
        jobType="train",
        displayName="readable",
        commit="c0ffee" * 6 + "1234",
    )
    seed_run(server, project, "flushed", config={"seen": "first"})
    seed_run(server, project, "changed", config={"lr": 0.1, "kept": "k"}, tags=["old"], displayName="a name")
    seed_run(server, project, "summed", summary={"old_name": 1.5, "keep": 2, "_step": 3}, rows=ROWS[:4])
    seed_run(server, project, "tagged", tags=["a", "b"])
    seed_run(server, project, "running", rows=ROWS[:2], exit_code=None)
    seed_run(server, project, "failing", exit_code=1)
    files = {
        "model-best.h5": b"weights",
        "wandb-metadata.json": json.dumps(METADATA).encode(),
        "media/images/a.png": PNG,
        "media/images/b.png": PNG,
    }
    seed_run(server, project, "filed", files=files)
    for index in range(8):
        seed_run(
            server,
            f"{project}-many",
            f"run-{index}",
            rows=ROWS[:5],
            summary={"val_acc": index / 10, "loss": 0.2},
            config={"experiment_name": ("foo", "bar", "baz")[index % 3], "index": index},
            tags=["even"] if index % 2 == 0 else [],
            group=f"g{index % 3}",
            displayName=f"name-{index}",
        )
    for name in ("gone", "gone-too", "kept"):
        seed_run(server, f"{project}-doomed", name, rows=ROWS[:3], files={"a.txt": b"a"}, config={"of": name})
