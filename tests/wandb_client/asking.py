"""Asking a server over HTTP, without any client of ours or theirs in between."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

from world import Server


def send(
    server: Server,
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """Send a request with an API key, the owner's by default; status and body of the answer."""
    given = base64.b64encode(f"api:{key or server.api_key}".encode()).decode()
    named = {"Authorization": f"Basic {given}", "Content-Type": "application/json", **(headers or {})}
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    url = path if path.startswith("http") else server.base_url + path
    request = urllib.request.Request(url, data=data, headers=named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def ask_answer(
    server: Server, query: str, variables: dict[str, Any], **words: Any
) -> tuple[int, dict[str, Any]]:
    """Run a GraphQL operation; status and answer, whatever it is."""
    status, body = send(
        server, "/graphql", {"query": query, "variables": variables, "operationName": ""}, **words
    )
    return status, json.loads(body)


def ask(server: Server, query: str, variables: dict[str, Any] | None = None, **words: Any) -> dict[str, Any]:
    """Run a GraphQL operation that has to succeed; its data."""
    status, answer = ask_answer(server, query, variables or {}, **words)
    assert (status, answer.get("errors")) == (200, None), answer
    return answer["data"]


def refusal(server: Server, query: str, variables: dict[str, Any] | None = None, **words: Any) -> str:
    """Run a GraphQL operation that has to fail; what it says."""
    _, answer = ask_answer(server, query, variables or {}, **words)
    return "; ".join(error["message"] for error in answer["errors"])


def get(server: Server, path: str, **words: Any) -> Any:
    """The JSON at a path."""
    status, body = send(server, path, **words)
    assert status == 200, body
    return json.loads(body)


RUN = """query R($entity: String, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) { run(name: $run) {
    id name displayName state config summaryMetrics tags notes group jobType description historyLineCount logLineCount
    stopped exitcode user { username } project { name entityName } history(samples: 100000)
    files(first: 1000) { edges { node { id name sizeBytes md5 directUrl } } }
    alerts { title text severity }
  } }
}"""


def stored_run(
    server: Server, project: str, run: str, entity: str | None = None, **words: Any
) -> dict[str, Any] | None:
    """What the server holds of a run, plainly; None if it has none."""
    found = ask(server, RUN, {"entity": entity, "project": project, "run": run}, **words)["project"]
    found = found and found["run"]
    if found is None:
        return None
    config = json.loads(found["config"])
    found["config"] = {key: entry["value"] for key, entry in config.items() if key != "_wandb"}
    found["summary"] = json.loads(found.pop("summaryMetrics"))
    found["rows"] = [json.loads(row) for row in found.pop("history")]
    found["files"] = {edge["node"]["name"]: edge["node"] for edge in found["files"]["edges"]}
    return found


UPSERT = """mutation U($project: String!, $name: String!, $config: JSONString, $tags: [String!], $group: String,
    $jobType: String, $displayName: String, $notes: String, $commit: String, $entity: String) {
  upsertBucket(input: {modelName: $project, name: $name, config: $config, tags: $tags, groupName: $group,
    jobType: $jobType, displayName: $displayName, notes: $notes, commit: $commit, entityName: $entity}) { bucket { id } }
}"""


def seed_run(
    server: Server,
    project: str,
    name: str,
    *,
    rows: list[dict[str, Any]] | None = None,
    events: list[dict[str, Any]] | None = None,
    lines: list[str] | None = None,
    summary: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    files: dict[str, bytes] | None = None,
    exit_code: int | None = 0,
    key: str | None = None,
    **words: Any,
) -> str:
    """Put a run onto a server as a client would, over HTTP; its id."""
    entries = {name: {"value": value} for name, value in (config or {}).items()}
    variables = {"project": project, "name": name, "config": json.dumps(entries), **words}
    made = ask(server, UPSERT, variables, key=key)["upsertBucket"]["bucket"]["id"]
    streams: dict[str, Any] = {}
    for file, content in (
        ("wandb-history.jsonl", [json.dumps(row) for row in rows or []]),
        ("wandb-events.jsonl", [json.dumps(row) for row in events or []]),
        ("output.log", lines or []),
        ("wandb-summary.json", [json.dumps(summary)] if summary else []),
    ):
        if content:
            streams[file] = {"offset": 0, "content": content}
    body = {"files": streams, **({} if exit_code is None else {"complete": True, "exitcode": exit_code})}
    entity = words.get("entity") or server.entity
    status, answer = send(server, f"/files/{entity}/{project}/{name}/file_stream", body, key=key)
    assert status == 200, answer
    for file, content in (files or {}).items():
        put_file(server, project, name, file, content, entity=entity, key=key)
    return made


CREATE_FILES = """mutation F($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) { files { uploadUrl } }
}"""


def put_file(
    server: Server, project: str, run: str, name: str, content: bytes, *, entity: str, key: str | None = None
) -> None:
    """Upload a file of a run."""
    variables = {"entity": entity, "project": project, "run": run, "files": [name]}
    (file,) = ask(server, CREATE_FILES, variables, key=key)["createRunFiles"]["files"]
    status, answer = send(server, file["uploadUrl"], content, method="PUT")
    assert status == 200, answer
