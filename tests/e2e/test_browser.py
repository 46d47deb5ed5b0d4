"""The web app in headless Chromium against the real server: a live run, looked at while it logs, and `runlane ui`."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from reading import read_run
from world import PYTHON, REPOSITORY, Home, Server, let_end, start_server, stop_server

WEB = REPOSITORY / "web"

LIVE = """
import runlane as wandb, math, sys
runs = [wandb.init(project={project!r}, id=f"live-{{i}}", name=f"curve-{{i}}", reinit="create_new", config={{"i": i}}) for i in range(3)]
for step in range(200):
    for i, run in enumerate(runs):
        run.log({{"train/loss": math.exp(-step / 50) * (i + 1), "train/accuracy": 1 - math.exp(-step / 50)}})
import numpy
for i, run in enumerate(runs):
    for shade in (0, 200):
        picture = wandb.Image(numpy.full((12, 16), shade, numpy.uint8), caption=f"shade {{shade}}")
        run.log({{"val/sample": picture, "val/pair": [picture, picture]}})
    run.log({{"val/table": wandb.Table(columns=["name", "score"], data=[["first", 0.25], ["<b>second</b>", None]])}})
    model = wandb.Artifact(f"model-{{i}}", type="model", description="three bytes", metadata={{"layers": 2}})
    with model.new_file("weights/model.bin", mode="wb") as file:
        file.write(b"abc")
    model.add_reference("https://example.org/data.bin", name="data.bin", checksum=False)
    run.log_artifact(model).wait()
print("a line of the script", flush=True)
print("logged", flush=True)
sys.stdin.readline()
for run in runs:
    run.finish()
"""


def test_every_page_of_a_live_run_draws(home: Home, server: Server, project: str) -> None:
    process = home.start(LIVE.format(project=project), env=server.env)
    try:
        for run in range(3):
            deadline = time.monotonic() + 30
            while len(read_run(home, server, f"{project}/live-{run}")["rows"]) < 203:
                assert time.monotonic() < deadline, "rows did not arrive"
            ask = f'{{ project(name: "{project}") {{ run(name: "live-{run}") {{ files {{ edges {{ node {{ name }} }} }} }} }} }}'
            while True:
                edges = graphql(server.base_url, server.api_key, ask)["project"]["run"]["files"]["edges"]
                # two pictures, two pairs and a table
                if sum(edge["node"]["name"].startswith("media/") for edge in edges) >= 5:
                    break
                assert time.monotonic() < deadline, edges
        command = ["npx", "vitest", "run", "--project", "browser", "tests/browser/real-server.test.ts"]
        env = {**home.env, "RUNLANE_URL": server.base_url, "RUNLANE_API_KEY": server.api_key}
        result = subprocess.run(
            command, cwd=WEB, env=env, capture_output=True, text=True, timeout=110, check=False
        )
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
        assert re.search(r"Tests +1 passed", re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)), result.stdout[
            -2000:
        ]
        let_end(process)
    finally:
        process.kill()


def graphql(base_url: str, key: str, query: str) -> Any:
    """The data that a query gives."""
    token = b64encode(f"api:{key}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
    request = urllib.request.Request(f"{base_url}/graphql", json.dumps({"query": query}).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())["data"]


def test_ui_shows_offline_runs_and_follows_a_live_one(home: Home) -> None:
    training = home.start(
        "import runlane as wandb, sys\n"
        "run = wandb.init(project='local', id='growing1', mode='offline')\n"
        "run.log({'x': 1})\nprint('logged', flush=True)\nsys.stdin.readline()\n"
        "for i in range(9):\n    run.log({'x': i})\nrun.finish()\n"
    )
    data_dir = Path(home.env["HOME"]) / ".local" / "share" / "runlane" / "server"
    # A port of its own: the default one may be taken on a shared machine.
    server = start_server(home, data_dir)
    looking = subprocess.Popen(
        [PYTHON, "-m", "runlane", "ui", "--no-open", str(home.work)],
        cwd=home.work,
        env=home.env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    query = '{ project(name: "local") { run(name: "growing1") { state historyLineCount } } }'

    def until(state: str, lines: int) -> None:
        deadline = time.monotonic() + 30
        while True:
            project = graphql(server.base_url, server.api_key, query)["project"]
            run = (project or {}).get("run")
            if run == {"state": state, "historyLineCount": lines}:
                return
            assert time.monotonic() < deadline, run

    try:
        until("running", 1)
        let_end(training)
        until("finished", 10)
        assert not list(home.wandb_dir.glob("*/*.synced"))
    finally:
        training.kill()
        looking.terminate()
        printed, _ = looking.communicate(timeout=20)
        stop_server(home, data_dir)
    assert "/login?token=" in printed
