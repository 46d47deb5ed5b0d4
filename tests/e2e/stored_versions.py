"""What a server has of artifacts: the versions that a run logged, each with its manifest and the bytes of its entries."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from world import Server

QUERY = """
query Versions($entity: String, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) { run(name: $run) {
    outputArtifacts(first: 100) { edges { node {
      id digest state versionIndex historyStep artifactType { name } artifactSequence { name } aliases { alias } tags { name }
      currentManifest { file { directUrl } }
    } } }
    inputArtifacts(first: 100) { edges { node { id } } }
  } }
}
"""
FILES = (
    "query Files($id: ID!) { artifact(id: $id) { files(first: 5000) { edges { node { name directUrl } } } } }"
)


def asked(server: Server, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The `data` of a GraphQL answer."""
    key = base64.b64encode(f"api:{server.api_key}".encode()).decode()
    request = urllib.request.Request(
        f"{server.base_url}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Authorization": f"Basic {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error
    assert "errors" not in answer, answer
    return answer["data"]


def fetched(url: str) -> bytes:
    """The bytes behind a signed URL."""
    with urllib.request.urlopen(url, timeout=60) as response:
        return bytes(response.read())


@dataclass
class StoredVersion:
    """A version as the server has it."""

    id: str
    name: str
    """`collection:vN`; `collection:None` while it is pending."""
    type: str
    state: str
    digest: str
    aliases: list[str]
    tags: list[str]
    step: int | None
    manifest: dict[str, Any]
    urls: dict[str, str]

    def content(self, path: str) -> bytes:
        """The bytes of an entry."""
        return fetched(self.urls[path])


def _version(server: Server, node: dict[str, Any]) -> StoredVersion:
    manifest = node["currentManifest"]
    files = asked(server, FILES, {"id": node["id"]})["artifact"]["files"]["edges"]
    return StoredVersion(
        id=node["id"],
        name=f"{node['artifactSequence']['name']}:v{node['versionIndex']}",
        type=node["artifactType"]["name"],
        state=node["state"],
        digest=node["digest"],
        aliases=sorted(alias["alias"] for alias in node["aliases"] or ()),
        tags=sorted(tag["name"] for tag in node["tags"]),
        step=node["historyStep"],
        manifest=json.loads(fetched(manifest["file"]["directUrl"])) if manifest else {},
        urls={edge["node"]["name"]: edge["node"]["directUrl"] for edge in files},
    )


def run_of(server: Server, project: str, run: str) -> dict[str, Any]:
    """The answer on a run's artifacts."""
    variables = {"entity": server.entity, "project": project, "run": run}
    found = asked(server, QUERY, variables)["project"]
    return (found or {}).get("run") or {"outputArtifacts": {"edges": []}, "inputArtifacts": {"edges": []}}


def logged_versions(server: Server, project: str, run: str) -> dict[str, StoredVersion]:
    """The versions that a run logged, by name."""
    edges = run_of(server, project, run)["outputArtifacts"]["edges"]
    found = [_version(server, edge["node"]) for edge in edges]
    return {version.name: version for version in found}


def used_ids(server: Server, project: str, run: str) -> set[str]:
    """The ids of the versions that a run used."""
    return {edge["node"]["id"] for edge in run_of(server, project, run)["inputArtifacts"]["edges"]}
