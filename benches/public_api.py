"""Reading through the Public API: whole histories, samples and lists of runs, against the real client on the same server."""

from __future__ import annotations

import json
import random
import subprocess
import urllib.request
from base64 import b64encode

from bench_world import HERE, Report, World, median
from ingest import UPSERT, BenchServer

ROWS, KEYS, RUNS = 200_000, 10, 1_000
ROWS_PER_REQUEST = 5_000
PROJECT, RUN = "reading", "long"
PROBE = "public_api_probe.py"


def _post(server: BenchServer, path: str, body: object) -> None:
    basic = b64encode(f"api:{server.key}".encode()).decode()
    request = urllib.request.Request(
        server.base_url + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {basic}"},
    )
    urllib.request.urlopen(request, timeout=120).close()


def fill(server: BenchServer) -> str:
    """A run of 200,000 rows with 10 keys, and a project of 1,000 runs; the entity."""
    entity: str = server.graphql("query { viewer { entity } }")["viewer"]["entity"]
    server.graphql(UPSERT, name=RUN, entity=entity, project=PROJECT)
    chance = random.Random(7)
    stream = f"/files/{entity}/{PROJECT}/{RUN}/file_stream"
    for start in range(0, ROWS, ROWS_PER_REQUEST):
        lines = []
        for step in range(start, start + ROWS_PER_REQUEST):
            row: dict[str, float] = {f"metric_{number}": chance.random() for number in range(KEYS - 3)}
            row |= {"_step": step, "_runtime": step / 10, "_timestamp": 1.7e9 + step / 10}
            lines.append(json.dumps(row))
        content = {"offset": start, "content": lines}
        _post(server, stream, {"files": {"wandb-history.jsonl": content}})
    _post(server, stream, {"complete": True, "exitcode": 0})
    for number in range(RUNS):
        server.graphql(UPSERT, name=f"run-{number}", entity=entity, project="many")
    return entity


def _read(world: World, server: BenchServer, entity: str, what: str) -> float:
    """The seconds that one client takes."""
    env = {**world.env, "WANDB_BASE_URL": server.base_url, "WANDB_API_KEY": server.key}
    command = [world.python, str(HERE / PROBE), world.module, entity, what]
    output = subprocess.run(
        command, env=env, cwd=world.home, check=True, capture_output=True, text=True
    ).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    return float(line.removeprefix("RESULT"))


def compare_public_api(ours: World, peer: World, rounds: int, report: Report) -> None:
    """Each reading in both clients, interleaved; seconds of the reading alone, imports and sign-in left out."""
    goals = {
        "scan_all": ("scan_history of 200,000 rows x 10 keys: faster by", 20.0),
        "scan_one": ("scan_history(keys=[one]) of 200,000 rows: faster by", 20.0),
        "history": ("history() of 200,000 rows: faster by", None),
        "runs": ("listing 1,000 runs: faster by", None),
    }
    server = BenchServer(ours)
    try:
        entity = fill(server)
        for what, (text, goal) in goals.items():
            # The peer takes most of a minute for a scan.
            turns = min(rounds, 2) if what.startswith("scan") else rounds
            mine, theirs = [], []
            for _ in range(turns):
                mine.append(_read(ours, server, entity, what))
                theirs.append(_read(peer, server, entity, what))
            ratio = median(theirs) / median(mine)
            if goal is None:
                report.note(text, ratio)
            else:
                report.add(text, ratio, goal)
            if what.startswith("scan"):
                report.note(f"runlane, {what}", ROWS / median(mine), " rows/s")
        report.note(
            "history_frame of 200,000 rows", median([_read(ours, server, entity, "frame")]) * 1000, " ms"
        )
    finally:
        server.stop()
