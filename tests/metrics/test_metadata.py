"""The host's picture in `wandb-metadata.json`, beside the one of the real client on the same machine."""

from __future__ import annotations

import json

from world import PYTHON, Home, Server

TRAIN = """
import sys
import {module} as wandb
run = wandb.init(project={project!r}, id={run!r}, settings=wandb.Settings(
    docker="image:1", host="rack7", x_stats_disk_paths=("/", "/tmp"), x_stats_gpu_type="Abacus"))
run.log({{"loss": 1}})
run.finish()
file = wandb.Api().run(f"{project}/{run}").file("wandb-metadata.json").download(root=sys.argv[1], replace=True)
"""
#: Of their nature different: the time, the client's own name for the writer, the interpreter, where each was told to write.
OWN = {"startedAt", "writerId", "executable", "args"}
#: Known to one of the two alone (docs/differences.md).
OURS, THEIRS = {"username"}, {"email"}


def test_metadata_equals_that_of_the_real_client(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    env = {**server.env, "SLURM_JOB_ID": "5", "SLURM_NODELIST": "a[1-2]"}
    script = home.work / "train.py"
    pictures = []
    for module, python in (("runlane", PYTHON), ("wandb", wandb_python)):
        script.write_text(TRAIN.format(module=module, project=project, run=f"of-{module}"), encoding="utf-8")
        place = home.root / module
        home.run([python, "train.py", str(place)], check=True, env=env)
        document = json.loads((place / "wandb-metadata.json").read_text(encoding="utf-8"))
        for disk in document["disk"].values():
            disk.pop("used")  # Somebody else may write to it.
        pictures.append(document)
    ours, theirs = pictures
    assert set(ours) - set(theirs) == OURS
    assert set(theirs) - set(ours) == THEIRS
    shared = set(theirs) - THEIRS - OWN
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    assert ours["cpu"]["model"] and ours["cpu_count"] > 0 and int(ours["memory"]["total"]) > 0
    assert ours["slurm"] == {"job_id": "5", "nodelist": "a[1-2]"}
