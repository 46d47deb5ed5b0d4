"""A run as the server holds it, in a shape that is equal for equal runs."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
import urllib.request
from typing import Any

from reading import plain
from stored_artifacts import VERSIONS, artifacts, content, name_without_hash, value_without_hash
from world import Server

RUN = """
query ($entity: String, $project: String!, $run: String!) {
  project(entityName: $entity, name: $project) {
    run(name: $run) {
      state exitCode displayName notes tags group jobType config summaryMetrics historyKeys historyLineCount
      history(samples: 100000)
      alerts { title text severity }
      files(first: 1000) { edges { node { name sizeBytes md5 } } }
      outputArtifacts(first: 20) { ...Versions } inputArtifacts(first: 20) { ...Versions }
    }
  }
}
"""
# Filled in by clocks.
_TIMES = ("_runtime", "_timestamp")
# What the clients write about themselves and the host; their names are compared, their contents elsewhere.
_OWN_FILES = {"config.yaml", "requirements.txt", "wandb-metadata.json", "wandb-summary.json"}
# Exists as soon as the client itself has written to the terminal; lines are compared without the clients' own.
_CONSOLE_FILE = "output.log"
_OWN_LINE = re.compile(r"(\x1b\[[0-9;]*m)*(wandb|runlane)(\x1b\[[0-9;]*m)*:")
# Where a traceback's script lay.
_PLACE = re.compile(r'"/\S*/work/')
_MADE_UP_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in _TIMES}


def _metric(metric: dict[str, Any], all_metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """A metric's definition, its options sorted, its step metric by name: both clients write lists in any order."""
    made = {**metric, "6": sorted(metric.get("6", ()))}
    if "5" in made:
        made["5"] = all_metrics[made["5"] - 1].get("1")
    return made


def _config(text: str) -> dict[str, Any]:
    wrapped = json.loads(text)
    own = wrapped.pop("_wandb", {}).get("value", {})
    metrics = [_metric(metric, own["m"]) for metric in own.get("m", ())]
    metrics.sort(key=lambda metric: json.dumps(metric, sort_keys=True))
    charts = {kind: own.get(kind, {}) for kind in ("visualize", "viz")}
    return {
        **{key: plain(entry["value"]) for key, entry in wrapped.items()},
        "(metrics)": metrics,
        "(charts)": charts,
    }


def _summary(text: str) -> dict[str, Any]:
    summary = _timeless(json.loads(text))
    summary.pop("_wandb", None)
    return plain(summary)


def _files(server: Server, run: str, edges: list[dict[str, Any]]) -> dict[str, Any]:
    run_id = run.rpartition("/")[2]
    found: dict[str, Any] = {}
    for node in sorted((edge["node"] for edge in edges), key=lambda node: node["name"]):
        name = node["name"]
        if name == _CONSOLE_FILE:
            continue
        if name in _OWN_FILES:
            found[name] = "its own"
        elif name.endswith(".png"):
            data = _get(server, f"/api/runs/{run}/files/{urllib.parse.quote(name)}")
            found[name_without_hash(name, run_id)] = content(name, data, run_id)
        else:
            found[name] = [node["sizeBytes"], node["md5"]]
    return found


def _ask(server: Server, path: str, body: dict[str, Any] | None = None) -> Any:
    return json.loads(_get(server, path, body))


def _get(server: Server, path: str, body: dict[str, Any] | None = None) -> bytes:
    key = base64.b64encode(f"api:{server.api_key}".encode()).decode()
    request = urllib.request.Request(
        server.base_url + path,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json", "Authorization": f"Basic {key}"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())


def stored_run(server: Server, path: str) -> dict[str, Any]:
    """The run `entity/project/id` with everything that a test compares, or {"missing": True}."""
    entity, project, run = path.split("/")
    answer = _ask(
        server,
        "/graphql",
        {"query": RUN + VERSIONS, "variables": {"entity": entity, "project": project, "run": run}},
    )
    assert "errors" not in answer, answer
    found = (answer["data"]["project"] or {}).get("run")
    if found is None:
        return {"missing": True}
    name = found["displayName"]
    lines = _ask(server, f"/api/runs/{path}/logs?limit=1000")["lines"]
    keys = found["historyKeys"]["keys"] if found["historyKeys"] else {}
    return {
        "state": found["state"],
        "exit_code": found["exitCode"],
        "name": "(made up)" if _MADE_UP_NAME.fullmatch(name) else name,
        "notes": found["notes"],
        "tags": found["tags"],
        "group": found["group"],
        "job_type": found["jobType"],
        "config": _config(found["config"]),
        "summary": value_without_hash(_summary(found["summaryMetrics"]), run),
        "keys": sorted(set(keys) - set(_TIMES)),
        "lines": found["historyLineCount"],
        "rows": [value_without_hash(plain(_timeless(json.loads(row))), run) for row in found["history"]],
        "alerts": sorted(tuple(alert.values()) for alert in found["alerts"]),
        "console": [_PLACE.sub('"…/', line["text"]) for line in lines if not _OWN_LINE.match(line["text"])],
        "files": _files(server, path, found["files"]["edges"]),
        "outputs": artifacts(found["outputArtifacts"]["edges"], run),
        "inputs": artifacts(found["inputArtifacts"]["edges"], run),
    }


def differences(left: Any, right: Any, at: str = "") -> list[str]:
    """Where two stored runs differ, as `path: left != right`."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for key in sorted({*left, *right}):
            place = f"{at}.{key}" if at else key
            if key not in left or key not in right:
                found.append(f"{place}: {left.get(key, '(none)')!r} != {right.get(key, '(none)')!r}")
            else:
                found += differences(left[key], right[key], place)
        return found
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = zip(left, right, strict=True)
        return [line for index, pair in enumerate(pairs) for line in differences(*pair, f"{at}.{index}")]
    same = left == right and isinstance(left, bool) == isinstance(right, bool)
    return [] if same else [f"{at}: {left!r} != {right!r}"]
