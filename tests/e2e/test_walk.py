"""A row walks from `log()` to the server, and is read back by both clients."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from base64 import b64encode

import pytest
from reading import plain, read_run
from world import Home, Server, let_end

TRAIN = """
import runlane as wandb
run = wandb.init(project={project!r}, id={run!r}, name="first", tags=["a", "b"], notes="hello", group="g", job_type="train",
                 config={{"lr": 0.1, "opt": {{"name": "adam"}}}})
for i in range(50):
    run.log({{"loss": 1 / (i + 1), "train": {{"acc": i}}, "odd": float("nan") if i == 7 else i, "word": "w%d" % i}})
run.summary["best"] = 42
with open("note.txt", "w") as f:
    f.write("kept")
run.save("note.txt", policy="now")
print("hello from the script")
run.finish()
"""


def test_a_row_walks_all_the_way(home: Home, server: Server, project: str, wandb_python: str) -> None:
    printed = home.python(TRAIN.format(project=project, run="walk0001"), env=server.env)
    text = printed.stdout + printed.stderr
    assert f"{server.base_url}/" in text and "Run summary:" in text and "▁" in text
    path = f"{project}/walk0001"
    ours = read_run(home, server, path)
    theirs = read_run(home, server, path, python=wandb_python)
    assert ours["state"] == "finished" and ours["name"] == "first"
    assert ours["config"] == {"lr": 0.1, "opt": {"name": "adam"}}
    assert [row["_step"] for row in ours["rows"]] == list(range(50))
    assert [row["loss"] for row in ours["rows"]] == [1 / (i + 1) for i in range(50)]
    assert plain(ours["rows"][7]["odd"]) == "float:NaN"
    assert ours["summary"]["best"] == 42 and ours["summary"]["train"] == {"acc": 49}
    assert {
        "note.txt",
        "config.yaml",
        "wandb-summary.json",
        "wandb-metadata.json",
        "requirements.txt",
    } <= set(ours["files"])
    assert plain(ours) == plain(theirs)


@pytest.mark.parametrize(
    ("ending", "code", "state"),
    [
        ("", 0, "finished"),
        ("run.finish(exit_code=3)", 0, "failed"),
        ("raise ValueError('boom')", 1, "failed"),
        ("import sys; sys.exit(7)", 7, "failed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, "crashed"),
        ("import os; os._exit(5)", 5, "crashed"),
    ],
)
def test_the_state_follows_the_ending(
    home: Home, server: Server, project: str, ending: str, code: int, state: str
) -> None:
    script = f"""
import runlane as wandb
run = wandb.init(project={project!r}, id="ending")
for i in range(20):
    run.log({{"x": i}})
import time; time.sleep(0.05)
{ending}
"""
    assert home.python(script, check=False, env=server.env).returncode == code
    deadline = time.monotonic() + 30
    while True:
        found = read_run(home, server, f"{project}/ending")
        if found["state"] != "running" or time.monotonic() > deadline:
            break
    assert (found["state"], [row["x"] for row in found["rows"]]) == (state, list(range(20)))


def test_the_row_that_is_open_at_the_end_counts(home: Home) -> None:
    code = """
import runlane as wandb
with wandb.init(mode="offline") as run:
    run.log({"early": 1}, step=3)
    run.log({"late": 2.5}, step=7)
print("AFTER", dict(run.summary)["late"], run.step)
"""
    printed = home.python(code)
    assert "AFTER 2.5 8" in printed.stdout
    block = (printed.stdout + printed.stderr).split("Run summary:")[1]
    assert re.search(r"late +2\.5", block) and re.search(r"early +1", block)


def test_an_offline_run_is_looked_at_after_sync(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    printed = home.python(TRAIN.format(project=project, run="off00001"))
    assert "runlane ui" in printed.stdout + printed.stderr
    (directory,) = home.run_dirs()
    assert directory.name.startswith("offline-run-")
    synced = home.runlane("sync", str(directory), env=server.env)
    assert "off00001" in synced.stdout + synced.stderr
    assert (directory / "run-off00001.wandb.synced").exists()
    ours = read_run(home, server, f"{project}/off00001")
    assert len(ours["rows"]) == 50 and ours["state"] == "finished" and "note.txt" in ours["files"]
    assert plain(ours) == plain(read_run(home, server, f"{project}/off00001", python=wandb_python))
    # Once more, from the start: nothing doubles.
    again = home.runlane("sync", "--include-synced", str(directory), env=server.env)
    assert again.returncode == 0
    assert plain(read_run(home, server, f"{project}/off00001")["rows"]) == plain(ours["rows"])


def test_the_real_client_runs_online_against_our_server(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    script = TRAIN.replace("import runlane as wandb", "import wandb").format(project=project, run="real0001")
    home.python(script, env=server.env, python=wandb_python)
    ours = read_run(home, server, f"{project}/real0001")
    theirs = read_run(home, server, f"{project}/real0001", python=wandb_python)
    assert ours["state"] == "finished" and len(ours["rows"]) == 50
    assert ours["rows"][3]["train"] == {"acc": 3} or ours["rows"][3]["train.acc"] == 3
    assert {"note.txt", "output.log", "config.yaml"} <= set(ours["files"])
    assert plain(ours) == plain(theirs)


def test_rows_are_at_the_server_while_the_run_goes_on(home: Home, server: Server, project: str) -> None:
    script = f"""
import runlane as wandb, sys
run = wandb.init(project={project!r}, id="live0001")
for i in range(10):
    run.log({{"x": i}})
print("logged", flush=True)
sys.stdin.readline()
run.finish()
"""
    process = home.start(script, env=server.env)
    try:
        logged = time.monotonic()
        while len(read_run(home, server, f"{project}/live0001")["rows"]) < 10:
            assert time.monotonic() - logged < 20, "rows did not arrive while the run was going"
        assert read_run(home, server, f"{project}/live0001")["state"] == "running"
        let_end(process)
    finally:
        process.kill()
    assert read_run(home, server, f"{project}/live0001")["state"] == "finished"


def test_a_run_for_an_unknown_entity_is_filed_under_the_default_one(
    home: Home, server: Server, project: str
) -> None:
    code = f"""
import runlane as wandb
with wandb.init(entity="nico", project={project!r}, id="filed001") as run:
    run.log({{"accuracy": 0.9}})
print("ENTITY", run.entity)
"""
    printed = home.python(code, env=server.env)
    text = printed.stdout + printed.stderr
    assert f"ENTITY {server.entity}" in text
    assert text.count("No entity `nico` at this server") == 1 and f"filed under `{server.entity}`" in text
    assert len(read_run(home, server, f"nico/{project}/filed001")["rows"]) == 1


def test_a_stranger_gets_nothing(server: Server) -> None:
    query = json.dumps({"query": "query { viewer { username } }"}).encode()

    def status(headers: dict[str, str]) -> int:
        request = urllib.request.Request(
            f"{server.base_url}/graphql", query, {"Content-Type": "application/json", **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    good = "Basic " + b64encode(f"api:{server.api_key}".encode()).decode()
    bad = "Basic " + b64encode(f"api:{server.api_key[:-1]}x".encode()).decode()
    assert status({"Authorization": good}) == 200
    assert status({}) == 401
    assert status({"Authorization": bad}) == 401
    assert status({"Authorization": good, "Host": "evil.example"}) in {400, 403, 421}
