"""Drafts become versions at a server: waited for, read back, made of parts and of other versions, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import runlane
from world import Home, Server

SCRIPT = """
import base64, json, math, os
import runlane as wandb
from runlane.artifacts import WaitTimeoutError

told = {}
run = wandb.init(project=os.environ["PROJECT"], group="team", id="maker")
os.mkdir("d")
for number in range(20):
    with open(f"d/{number}", "wb") as file:
        file.write(os.urandom(1000))
with open("large", "wb") as file:
    file.write(os.urandom(6 << 20))

data = wandb.Artifact("data", "dataset", description="what it is", metadata={"nan": float("nan"), "n": 1})
data.add_dir("d")
data.add_file("large")
data.add(wandb.Table(columns=["a"], data=[[1], [2]]), "table")
digest = data.digest
run.log_artifact(data, aliases=["best"], tags=["x"])
try:
    data.wait(0)
except WaitTimeoutError as error:
    told["too soon"] = str(error)
version = data.wait(60)
told["version"] = [version is data, data.name, data.state, data.aliases, data.tags, data.description, data.digest == digest]
told["metadata"] = [math.isnan(data.metadata["nan"]), data.metadata["n"]]
told["table"] = data.get("table").data
told["content"] = open(os.path.join(data.download(), "large"), "rb").read() == open("large", "rb").read()
told["maker"] = data.logged_by().id

# The same content is the same version, and gets the new alias.
same = wandb.Artifact("data", "dataset", description="what it is", metadata={"nan": float("nan"), "n": 1})
same.add_dir("d")
same.add_file("large")
same.add(wandb.Table(columns=["a"], data=[[1], [2]]), "table")
told["same"] = run.log_artifact(same, aliases=["again"]).wait(60).version

# Only what is new is uploaded.
draft = data.new_draft()
with draft.new_file("new") as file:
    file.write("new")
draft.remove("large")
run.log_artifact(draft)
told["draft"] = [draft.wait(60).version, "large" in draft.manifest.entries, draft.get_entry("new").size]

# An entry of another version, an object of one, and a draft that is not stored yet.
refers = wandb.Artifact("refers", "dataset")
refers.add_reference(data.get_entry("large"))
refers.add_reference(f"wandb-artifact://{base64.b64decode(data.id).hex()}/0", name="zero")
refers.add(data.get("table"), "theirs")
waiting = wandb.Artifact("waiting", "dataset")
with waiting.new_file("f") as file:
    file.write("f")
refers.add_reference(f"wandb-client-artifact://{waiting._client_id}/f", name="waited-for")
run.log_artifact(waiting)
run.log_artifact(refers).wait(60)
told["references"] = sorted((path, entry.ref.rpartition("/")[2], entry.ref.partition(":")[0]) for path, entry in refers.manifest.entries.items())
told["theirs"] = refers.get("theirs").data
try:
    wandb.Artifact("x", "t").add_reference(f"wandb-artifact://{base64.b64decode(data.id).hex()}/nowhere")
except ValueError as error:
    told["no entry"] = "has no entry `nowhere`" in str(error)

# Parts of several calls, and an artifact that grows.
for name in ("1", "2"):
    part = wandb.Artifact("parts", "dataset")
    part.add_file(f"d/{name}")
    (run.upsert_artifact if name == "1" else run.finish_artifact)(part)
told["parts"] = sorted(part.wait(60).manifest.entries)
for name in ("1", "2"):
    grows = wandb.Artifact("grows", "dataset", incremental=True)
    grows.add_file(f"d/{name}")
    run.log_artifact(grows).wait(60)
told["grows"] = [grows.version, sorted(grows.manifest.entries)]

used = run.use_artifact(wandb.Artifact("used", "dataset"))
told["used"] = [used.version, [one.id for one in used.used_by()]]
run.log_model("large", name="weights", aliases=["best"])

wrong = wandb.Artifact("data", "model")
wrong.add_file("large")
run.log_artifact(wrong)
try:
    wrong.wait(60)
except ValueError as error:
    told["wrong type"] = "has type `dataset`" in str(error)
last = run.log_artifact("d", name="last", type="dataset")
run.finish()
# After the run the server is asked.
told["last"] = last.wait(60).version
api = wandb.Api()
told["weights"] = api.artifact(f"{os.environ['PROJECT']}/weights:best").type
open_files = os.environ["WANDB_DATA_DIR"] + "/artifacts/staging"
told["staged"] = [name for name in os.listdir(open_files) if not name.startswith("open-")]
print("TOLD" + json.dumps(told))
"""


def test_drafts_become_versions(home: Home, server: Server, project: str) -> None:
    env = {**server.env, "PROJECT": project, "WANDB_DATA_DIR": str(home.root / "data")}
    done = home.python(SCRIPT, env=env, timeout=100)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("TOLD")]
    told: dict[str, Any] = json.loads(line.removeprefix("TOLD"))
    assert told.pop("too soon").startswith("artifact `data` is not stored after 0 s")
    # What was refused stays where it is, for `sync` to try again.
    assert len(told.pop("staged")) <= 1
    assert told == {
        "version": [True, "data:v0", "COMMITTED", ["best", "latest"], ["x"], "what it is", True],
        "metadata": [True, 1],
        "table": [[1], [2]],
        "content": True,
        "maker": "maker",
        "same": "v0",
        "draft": ["v1", False, 3],
        "references": [
            ["large", "large", "wandb-artifact"],
            ["theirs.table.json", "table.table.json", "wandb-artifact"],
            ["waited-for", "f", "wandb-artifact"],
            ["zero", "0", "wandb-artifact"],
        ],
        "theirs": [[1], [2]],
        "no entry": True,
        "parts": ["1", "2"],
        "grows": ["v1", ["1", "2"]],
        "used": ["v0", ["maker"]],
        "wrong type": True,
        "last": "v0",
        "weights": "model",
    }
    assert "WARNING the run is uploaded, but not all of its artifacts" in done.stderr


OFFLINE = """
import os, runlane as wandb
run = wandb.init(project=os.environ["PROJECT"], mode="offline", id="offline")
for algorithm in ("MD5", "XXH128"):
    artifact = wandb.Artifact(f"data-{algorithm}", "dataset", digest_algorithm=algorithm)
    with artifact.new_file("f") as file:
        file.write("hello")
    artifact.add(wandb.Table(columns=["a"], data=[[1]]), "t")
    run.log_artifact(artifact)
run.finish()
"""


def test_wandb_syncs_artifacts_of_our_offline_runs(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    env = {**server.env, "PROJECT": project, "WANDB_DATA_DIR": str(home.root / "data")}
    home.python(OFFLINE, env=env)
    (directory,) = home.run_dirs()
    command = str(Path(wandb_python).with_name("wandb"))
    home.run([command, "sync", str(directory)], check=True, env=env)
    api = runlane.Api(overrides={"base_url": server.base_url}, api_key=server.api_key)
    for algorithm, digest in (("MD5", "XUFAKrxLKna5cZ2REBfFkg=="), ("XXH128", "tenBrQcbPn/Hec+qXlI4GA==")):
        stored = api.artifact(f"{server.entity}/{project}/data-{algorithm}:v0")
        assert stored.manifest.entries["f"].digest == digest
        assert sorted(stored.manifest.entries) == ["f", "t.table.json"]
        with open(stored.get_entry("f").download(str(home.root / algorithm)), encoding="utf-8") as file:
            assert file.read() == "hello"
