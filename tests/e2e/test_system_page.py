"""System metrics read back: by both clients' public API, and on the System page in headless Chromium."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from base64 import b64encode
from typing import Any

import pytest
from test_browser import WEB
from world import PYTHON, Home, Server

SAMPLES = 20
CREATE = """mutation U($name: String, $project: String) {
  upsertBucket(input: {name: $name, modelName: $project}) { bucket { project { entity { name } } } } }"""
READ = """
import json
import {module} as wandb
run = wandb.Api().run({path!r})
print("DUMP" + json.dumps({{
    "system": run.history(stream="system", pandas=False),
    "events": run.history(samples=3, stream="events", pandas=False),
    "last": dict(run.system_metrics if {module!r} == "runlane" else run._attrs["systemMetrics"]),
}}))
"""


def sample(at: int) -> dict[str, float | bool]:
    """A row as clients send it: what belongs to the host and what belongs to a GPU come in rows of their own."""
    row: dict[str, float | bool] = {"_wandb": True, "_timestamp": 1_800_000_000.5 + at, "_runtime": 0.5 + at}
    if at % 2 == 0:
        return row | {"system.memory_percent": 40.25 + at, "system.disk./.usageGB": 7}
    return row | {"system.gpu.0.temp/l:node-1": 50 + at}


@pytest.fixture
def sampled(server: Server, project: str) -> str:
    """Path of a running run with system metrics."""
    variables = {"name": "sampled", "project": project}
    bucket = post(server, "/graphql", {"query": CREATE, "variables": variables})["data"]["upsertBucket"][
        "bucket"
    ]
    path = f"{bucket['project']['entity']['name']}/{project}/sampled"
    lines = [json.dumps(sample(at)) for at in range(SAMPLES)]
    files = {"wandb-events.jsonl": {"offset": 0, "content": lines}}
    post(server, f"/files/{path}/file_stream", {"files": files})
    return path


def post(server: Server, path: str, body: dict[str, Any]) -> Any:
    """The answer to a JSON request with the API key."""
    token = b64encode(f"api:{server.api_key}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
    request = urllib.request.Request(f"{server.base_url}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def test_both_clients_read_the_system_metrics_of_a_run(
    home: Home, server: Server, sampled: str, wandb_python: str
) -> None:
    for module, python in (("runlane", PYTHON), ("wandb", wandb_python)):
        output = home.python(READ.format(module=module, path=sampled), env=server.env, python=python).stdout
        line = next(line for line in output.splitlines() if line.startswith("DUMP"))
        read = json.loads(line.removeprefix("DUMP"))
        assert read["system"] == [sample(at) for at in range(SAMPLES)], module
        assert read["events"] == [sample(at) for at in (0, 9, 19)], module
        assert read["last"] == {
            "system.memory_percent": 58.25,
            "system.disk./.usageGB": 7,
            "system.gpu.0.temp/l:node-1": 69,
        }, module


def test_the_system_page_draws_samples_and_follows_new_ones(home: Home, server: Server, sampled: str) -> None:
    command = ["npx", "vitest", "run", "--project", "browser", "tests/browser/real-system.test.ts"]
    env = {
        **home.env,
        "RUNLANE_URL": server.base_url,
        "RUNLANE_API_KEY": server.api_key,
        "RUNLANE_RUN": sampled,
    }
    result = subprocess.run(
        command, cwd=WEB, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert re.search(r"Tests +1 passed", plain), plain[-2000:]
