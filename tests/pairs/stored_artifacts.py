"""Artifacts and media as the server holds them, in a shape that is equal for equal ones.

What differs by right: the ids in names and references are drawn at random, and the two clients compress PNG files differently, so
that names, digests and sizes made from their bytes differ. Pixels are compared instead.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import urllib.request
from typing import Any

VERSIONS = """
fragment Versions on ArtifactConnection {
  edges {
    node {
      digest size fileCount state versionIndex description metadata historyStep ttlDurationSeconds ttlIsInherited
      artifactType { name } artifactSequence { name } aliases { alias artifactCollection { name } } tags { name }
      files(first: 100) { edges { node { name sizeBytes digest directUrl } } }
      currentManifest { file { directUrl } }
    }
  }
}
"""
_HASHED_PNG = re.compile(r"([_/])[0-9a-f]{20}((\.mask)?\.png)\b")
_CLIENT_ID = re.compile(r"(wandb-(?:client-)?artifact://)[0-9a-z=]+")
# Names of tables whose keys have other characters end in a checksum of the whole name, the run's id included.
_CHECKED_NAME = re.compile(r"^(run-\(run\)-.*)-[\w-]{6}$")
# The two clients ran in two places.
_PLACE = re.compile(r"^file:///\S*?/work/")
# Entries of incremental tables carry the time.
_INCREMENT = re.compile(r"(^|/)(None|\d+)-\d{13}\.")
_BYTES = ("sha256", "size", "md5")


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return bytes(response.read())


def pixels(content: bytes) -> str:
    """What a picture shows: mode, size and a digest of its pixels."""
    from PIL import Image

    image = Image.open(io.BytesIO(content))
    image.load()
    return f"{image.mode} {image.size} {hashlib.sha256(image.tobytes()).hexdigest()[:16]}"


def name_without_hash(name: str, run_id: str) -> str:
    """A path or name without what is random or made from the bytes of a PNG."""
    name = _CLIENT_ID.sub(r"\1(id)", name).replace(run_id, "(run)")
    name = _PLACE.sub("file://(work)/", _CHECKED_NAME.sub(r"\1-(sum)", name))
    return _INCREMENT.sub(r"\1\2-(time).", _HASHED_PNG.sub(r"\1(hash)\2", name))


def value_without_hash(value: Any, run_id: str) -> Any:
    """A value of a row, the summary or a table, likewise."""
    if isinstance(value, dict):
        made = {key: value_without_hash(item, run_id) for key, item in value.items()}
        if "box_score_keys" in made:
            # A set, in whatever order it came.
            made["box_score_keys"]["params"]["val"].sort()
        path = value.get("path")
        depends = (isinstance(path, str) and path.endswith(".png")) or _holds_pictures(value)
        return {key: "(png)" if depends and key in _BYTES else item for key, item in made.items()}
    if isinstance(value, list):
        return [value_without_hash(item, run_id) for item in value]
    return name_without_hash(value, run_id) if isinstance(value, str) else value


def _holds_pictures(value: dict[str, Any]) -> bool:
    """Whether the file that `value` describes names pictures by their digests: tables do."""
    return value.get("_type") in ("table", "table-file", "incremental-table-file")


def content(name: str, data: bytes, run_id: str) -> Any:
    """What a file says."""
    if name.endswith(".png"):
        return pixels(data)
    if name.endswith(".json"):
        return value_without_hash(json.loads(data), run_id)
    return hashlib.md5(data).hexdigest()


def artifacts(edges: list[dict[str, Any]], run_id: str) -> dict[str, Any]:
    """Versions by name, with all their entries and what these contain."""
    found: dict[str, Any] = {}
    for edge in edges:
        node = edge["node"]
        name = f"{name_without_hash(node['artifactSequence']['name'], run_id)}:v{node['versionIndex']}"
        manifest = json.loads(_fetched(node["currentManifest"]["file"]["directUrl"]))
        entries: dict[str, list[Any]] = {}
        for path, entry in manifest["contents"].items():
            entries.setdefault(name_without_hash(path, run_id), []).append(_entry(path, entry, node, run_id))
        listed = sorted(name_without_hash(file["node"]["name"], run_id) for file in node["files"]["edges"])
        found[name] = {
            "type": node["artifactType"]["name"],
            "state": node["state"],
            "description": node["description"],
            "metadata": json.loads(node["metadata"]) if node["metadata"] else None,
            "aliases": sorted(alias["alias"] for alias in node["aliases"] or ()),
            "tags": sorted(tag["name"] for tag in node["tags"]),
            "ttl": [node["ttlDurationSeconds"], node["ttlIsInherited"]],
            "files": node["fileCount"],
            "listed": listed,
            "entries": {path: sorted(made, key=str) for path, made in entries.items()},
        }
    return found


def _entry(path: str, entry: dict[str, Any], node: dict[str, Any], run_id: str) -> dict[str, Any]:
    made = {"extra": entry.get("extra", {})}
    if "ref" in entry:
        made["ref"] = name_without_hash(entry["ref"], run_id)
        made["size"] = entry.get("size", 0)
        return made
    urls = {file["node"]["name"]: file["node"]["directUrl"] for file in node["files"]["edges"]}
    data = _fetched(urls[path])
    assert len(data) == entry["size"], path
    made["content"] = content(path, data, run_id)
    return made
