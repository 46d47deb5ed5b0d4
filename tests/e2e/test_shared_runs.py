"""Logging to one run from several processes: who may do what, and how it is shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from driven import Trainer
from reading import read_run
from world import Home, Server


def said(home: Home, code: str, *words: str, env: dict[str, str] | None = None) -> Any:
    """Run a script of its own file (workers of `multiprocessing` need one); the JSON behind `SAID `."""
    script = home.root / "script.py"
    script.write_text(code, encoding="utf-8")
    done = home.run([sys.executable, str(script), *words], check=True, env=env)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("SAID ")]
    return json.loads(line.removeprefix("SAID "))


def rows_of(directory: Path) -> list[dict[str, Any]]:
    """The rows in a run directory's log, by `runlane` itself."""
    code = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "faults")!r})
import logs, pathlib
print(json.dumps(logs.rows(logs.log_of(pathlib.Path(sys.argv[1])))))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory)], capture_output=True, text=True, check=True
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


#: The real client: three processes on one run, that with rank 0 primary.
WANDB_RANK = """
import sys, time
import wandb
run_id, rank = sys.argv[1], int(sys.argv[2])
settings = wandb.Settings(x_primary=rank == 0, x_update_finish_state=rank == 0, x_label=f"rank{rank}", console="off",
                          mode="shared", x_file_stream_transmit_interval=0.2)
run = wandb.init(project="shared", id=run_id, settings=settings)
for number in range(50):
    run.log({"writer": rank, "number": number})
run.finish()
"""


def test_the_real_client_in_shared_mode(home: Home, server: Server, wandb_python: str) -> None:
    script = home.root / "rank.py"
    script.write_text(WANDB_RANK, encoding="utf-8")

    def start(rank: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [wandb_python, str(script), "real-shared", str(rank)],
            cwd=home.work,
            env={**home.env, **server.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    # The last one, which ends the run, joins when rows of the others are there: its own must not begin behind them.
    for group in ([1, 2], [0]):
        for process in [start(rank) for rank in group]:
            output, _ = process.communicate(timeout=90)
            assert process.returncode == 0, output
    found = read_run(home, server, f"{server.entity}/shared/real-shared")
    numbers: dict[int, list[int]] = {}
    for row in found["rows"]:
        numbers.setdefault(row["writer"], []).append(row["number"])
    assert numbers == {rank: list(range(50)) for rank in range(3)}
    assert (found["state"], found["summary"]["writer"]) == ("finished", 0)


def test_workers_after_setup_have_runs_of_their_own_in_one_group(home: Home) -> None:
    code = """
import json, multiprocessing
import runlane as wandb

def train(number):
    run = wandb.init(mode="offline", project="p", group="DDP", config=dict(number=number), settings=wandb.Settings(console="off"))
    run.log({"number": number})
    found = (run.id, run.group, run.config["number"])
    run.finish()
    return found

if __name__ == "__main__":
    wandb.setup()
    with multiprocessing.Pool(processes=4) as pool:
        print("SAID " + json.dumps(pool.map(train, range(4))), flush=True)
"""
    found = said(home, code)
    assert len({run_id for run_id, _, _ in found}) == 4
    assert sorted(number for _, group, number in found if group == "DDP") == [0, 1, 2, 3]
    directories = home.run_dirs()
    assert len(directories) == 4
    for directory in directories:
        (row,) = rows_of(directory)
        # One writer each: nothing names it.
        assert set(row) == {"number", "_step", "_runtime", "_timestamp"}


def test_attached_processes_keep_their_own_steps(home: Home) -> None:
    parent = Trainer(home, {"RANK": "3", "WORLD_SIZE": "4"})
    other = Trainer(home, {})
    try:
        parent.do("run = wandb.init(mode='offline', settings=wandb.Settings(console='off'))")
        parent.do("[run.log({'p': n}, step=n) for n in (10, 20)]")
        parent.flush()
        (attach_id,) = parent.do("print(run._attach_id)")
        other.do(f"run = wandb.attach({attach_id!r})")
        # Behind the parent's steps, and beside its open row of step 20.
        other.do("[run.log({'o': n}, step=n) for n in (5, 20)]")
        other.do("run.log({'late': 1}, step=4)")
        other.flush()
        parent.do("run.log({'q': 1}, step=20)")
        parent.flush()
        assert parent.do("print(run.step)") == ["20"]
        other.do("run.finish()")
        other.end()
        parent.do("run.finish()")
        parent.end()
    finally:
        parent.close()
        other.close()
    assert "step 4 that is less than the current step 20" in other.said()
    (directory,) = home.run_dirs()
    rows = rows_of(directory)
    label = f"pid-{other.process.pid}"
    kept = [
        {key: value for key, value in row.items() if key not in ("_timestamp", "_runtime")} for row in rows
    ]
    assert kept == [
        # Alone so far.
        {"p": 10, "_step": 10},
        {"o": 5, "_step": 5, "_label": label},
        # At its end the attached process leaves its row open; the run's end commits both.
        {"p": 20, "q": 1, "_step": 20, "_label": "rank-3", "_rank": 3},
        {"o": 20, "_step": 20, "_label": label},
    ] or kept == [
        {"p": 10, "_step": 10},
        {"o": 5, "_step": 5, "_label": label},
        {"o": 20, "_step": 20, "_label": label},
        {"p": 20, "q": 1, "_step": 20, "_label": "rank-3", "_rank": 3},
    ]


def test_shared_mode_for_its_user(home: Home, server: Server) -> None:
    """Steps mean nothing there, console lines and rows carry the label, a killed daemon does not make another client."""
    trainer = Trainer(home, server.env)
    try:
        trainer.do(
            "run = wandb.init(project='shared', id='mine', mode='shared', settings=wandb.Settings(x_label='left'))"
        )
        trainer.do("print('hello from here')")
        trainer.do("[run.log({'x': n}, step=100) for n in range(10)]")
        trainer.flush()
        try:
            trainer.do("run.step")
        except AssertionError as error:
            assert "Cannot read the W&B step in shared mode." in str(error)
        else:
            raise AssertionError("run.step is no number in shared mode")
        (pid,) = trainer.do("from runlane import _setup; print(_setup.process().connection().daemon_pid)")
        os.kill(int(pid), signal.SIGKILL)
        trainer.do("[run.log({'x': n}) for n in range(10, 20)]")
        trainer.do("run.finish()")
        trainer.end()
    finally:
        trainer.close()
    assert trainer.said().count("in shared mode `step` has no effect") == 1
    found = read_run(home, server, f"{server.entity}/shared/mine")
    assert [(row["_step"], row["x"], row["_label"]) for row in found["rows"]] == [
        (n, n, "left") for n in range(20)
    ]
    assert found["state"] == "finished"
    assert "_label" not in found["summary"]
    code = f"""
import json
import runlane
run = runlane.Api().run("{server.entity}/shared/mine")
query = 'query L($e: String, $p: String!, $r: String!) {{ project(name: $p, entityName: $e) {{ run(name: $r) {{ logLines(first: 50) {{ edges {{ node {{ label line }} }} }} }} }} }}'
import base64, os, urllib.request
body = json.dumps({{"query": query, "variables": {{"e": "{server.entity}", "p": "shared", "r": "mine"}}}}).encode()
key = base64.b64encode(b"api:" + os.environ["WANDB_API_KEY"].encode()).decode()
request = urllib.request.Request(os.environ["WANDB_BASE_URL"] + "/graphql", body, {{"Content-Type": "application/json", "Authorization": "Basic " + key}})
print("SAID " + urllib.request.urlopen(request).read().decode().replace("\\n", ""))
"""
    lines = said(home, code, env=server.env)["data"]["project"]["run"]["logLines"]["edges"]
    assert {"label": "left", "line": "hello from here"} in [edge["node"] for edge in lines]


def test_workers_of_the_primary_process_do_not_end_the_run(home: Home, server: Server) -> None:
    """By default a process that is not the primary one leaves the run's end to it (a difference to wandb)."""
    first, second = Trainer(home, server.env), Trainer(home, server.env)
    try:
        start = (
            "run = wandb.init(project='shared', id='ends', mode='shared', config={{'{0}': 1}},"
            " settings=wandb.Settings(x_primary={0} == 0, console='off'))"
        )
        for number, trainer in enumerate((first, second)):
            trainer.do(start.format(number))
            trainer.do(f"run.log({{'w{number}': 1}})")
        second.do("run.finish()")
        second.end()
        path = f"{server.entity}/shared/ends"
        assert read_run(home, server, path)["state"] == "running"
        first.do("run.finish(3)")
        first.end()
        found = read_run(home, server, path)
    finally:
        first.close()
        second.close()
    assert found["state"] == "failed"
    assert {"0", "1"} <= set(found["config"])
    # The summary is the primary process's.
    assert "w0" in found["summary"]
    assert "w1" not in found["summary"]
