"""A server of stored artifacts in this process: what the client asks of GraphQL, and files with ranges and faults."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "k" * 40
FEATURES = (
    "ARTIFACT_DIGEST_ALGORITHM TOTAL_COUNT_IN_FILE_CONNECTION ARTIFACT_COLLECTIONS_FILTERING_SORTING"
    " ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION"
).split()


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def graphql_id(number: int) -> str:
    return base64.b64encode(f"Artifact:{number}".encode()).decode()


class StoredVersion:
    """One version: its manifest and facts, as a test wants them."""

    def __init__(self, number: int, contents: dict[str, bytes]) -> None:
        self.id = graphql_id(number)
        self.files = dict(contents)
        self.entries: dict[str, Any] = {
            path: {"digest": md5(content), "size": len(content), "birthArtifactID": self.id}
            for path, content in contents.items()
        }
        self.collection = f"data{number}"
        self.type = "dataset"
        self.index = 0
        self.aliases = ["latest"]
        self.tags: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.description: str | None = None
        self.listed: list[str] | None = None
        self.entity = "e"
        self.project = "p"

    @property
    def manifest(self) -> dict[str, Any]:
        return {
            "version": 1,
            "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"},
            "contents": self.entries,
        }

    @property
    def attrs(self) -> dict[str, Any]:
        place = {"id": "P", "internalId": "P", "name": self.project, "entity": {"name": self.entity}}
        return {
            "__typename": "Artifact",
            "id": self.id,
            "artifactSequence": {"name": self.collection, "project": place},
            "versionIndex": self.index,
            "artifactType": {"name": self.type},
            "description": self.description,
            "metadata": json.dumps(self.metadata),
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "tags": [{"id": "T", "name": tag} for tag in self.tags],
            "historyStep": None,
            "state": "COMMITTED",
            "size": sum(entry.get("size") or 0 for entry in self.entries.values()),
            "digest": "d" * 32,
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": "c0ffee",
            "fileCount": len(self.entries),
            "createdAt": "2026-01-02T03:04:05",
            "updatedAt": None,
            "aliases": [
                {"alias": alias, "artifactCollection": {"name": self.collection, "project": place}}
                for alias in self.aliases
            ],
        }

    @property
    def membership(self) -> dict[str, Any]:
        place = {"id": "P", "name": self.project, "entity": {"name": self.entity}}
        return {
            "versionIndex": self.index,
            "createdAt": "2026-01-02T03:04:05",
            "aliases": [{"alias": alias} for alias in self.aliases],
            "artifactCollection": {
                "__typename": "ArtifactSequence",
                "name": self.collection,
                "project": place,
            },
            "artifact": self.attrs,
        }


class FakeServer:
    """Answers the client; counts what it was asked, and misbehaves where it is told to.

    Attributes:
        asked: How often each operation, and each path, was asked for.
        faults: Of a path, what to do instead of answering well, one after the other: a status, `"break"` (half of the body),
            `"corrupt"` (another body of the same length) or `"hang"` (until `go_on` is set).
        ranges: Whether ranges are known.
        page: Files on one page of URLs.
    """

    def __init__(self) -> None:
        self.versions: dict[str, StoredVersion] = {}
        self.asked: Counter[str] = Counter()
        self.inputs: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[tuple[str, dict[str, str]]] = []
        self.faults: dict[str, list[Any]] = {}
        self.features = list(FEATURES)
        self.ranges = True
        self.page = 5000
        self.generation = 0
        self.without_url: set[str] = set()
        self.answers: dict[str, Any] = {}
        self.foreign: dict[str, tuple[bytes, str | None]] = {}
        self.go_on = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = json.dumps({"data": server.answer(body["query"], body["variables"])}).encode()
                server.reply(self, 200, content)

            def do_GET(self) -> None:
                server.get(self)

            def log_message(self, *_args: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.go_on.set()
        self.http.shutdown()
        self.http.server_close()

    def add(self, contents: dict[str, bytes]) -> StoredVersion:
        made = StoredVersion(len(self.versions) + 1, contents)
        self.versions[made.id] = made
        return made

    # --- GraphQL ----------------------------------------------------------------------------------------------------

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        operation = re.search(r"(?:query|mutation) (\w+)", query)[1]  # type: ignore[index]
        self.asked[operation] += 1
        self.inputs.append((operation, variables))
        if operation in self.answers:
            found = self.answers[operation]
            return found(variables) if callable(found) else found
        known = {
            "ArtifactMembershipByName": self.by_name,
            "ArtifactByID": self.by_id,
            "FetchArtifactManifest": self.manifest_of,
            "GetArtifactMembershipFileUrls": self.files_of,
            "ArtifactMembershipFiles": self.files_of,
        }
        if operation in known:
            return known[operation](variables)
        if "serverInfo" in query:
            return {"serverInfo": {"features": [{"name": name, "isEnabled": True} for name in self.features]}}
        if "viewer" in query:
            return {"viewer": {"id": "1", "entity": "e", "username": "u"}}
        raise AssertionError(f"the test server does not know {operation}")

    def named(self, variables: dict[str, Any], collection: str, label: str) -> StoredVersion | None:
        for version in self.versions.values():
            if (version.entity, version.project, version.collection) == (
                variables["entity"],
                variables["project"],
                collection,
            ) and label in (*version.aliases, f"v{version.index}"):
                return version
        return None

    def by_name(self, variables: dict[str, Any]) -> dict[str, Any]:
        found = self.named(variables, *variables["name"].split(":"))
        return {"project": {"artifactCollectionMembership": found and found.membership}}

    def by_id(self, variables: dict[str, Any]) -> dict[str, Any]:
        found = self.versions.get(variables["id"])
        return {"artifact": found and found.attrs}

    def manifest_of(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {
            "artifact": {"currentManifest": {"file": {"directUrl": f"{self.url}/manifest/{variables['id']}"}}}
        }

    def files_of(self, variables: dict[str, Any]) -> dict[str, Any]:
        version = self.named(variables, variables["collection"], variables["alias"])
        assert version is not None
        names = [
            name
            for name in (version.listed if version.listed is not None else sorted(version.entries))
            if variables.get("fileNames") is None or name in variables["fileNames"]
        ]
        first = int(variables["cursor"] or 0)
        last = first + self.page
        nodes = [
            {
                "id": name,
                "name": name,
                "sizeBytes": version.entries[name].get("size"),
                "directUrl": None
                if name in self.without_url
                else f"{self.url}/file/{version.id}/{self.generation}/{name.encode().hex()}",
            }
            for name in names[first:last]
        ]
        files = {
            "fileTotal": len(names),
            "edges": [{"node": node} for node in nodes],
            "pageInfo": {"hasNextPage": last < len(names), "endCursor": str(last)},
        }
        return {"project": {"artifactCollection": {"artifactMembership": {"files": files}}}}

    # --- files ------------------------------------------------------------------------------------------------------

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.asked["GET"] += 1
        self.headers.append((path, dict(handler.headers)))
        kind, _, rest = path[1:].partition("/")
        if kind == "manifest":
            self.reply(handler, 200, json.dumps(self.versions[rest].manifest).encode())
            return
        etag = None
        if kind == "file":
            version, generation, name = rest.split("/")
            name = bytes.fromhex(name).decode()
            self.asked[name] += 1
            if int(generation) < self.generation:
                self.reply(handler, 403, b"the URL has expired")
                return
            content = self.versions[version].files[name]
        elif kind in ("artifactsV2", "artifacts"):
            wanted = re.search(r"\b([0-9a-f]{32})\b", rest)[1]  # type: ignore[index]
            name = "fallback"
            self.asked[name] += 1
            content = next(
                content
                for version in self.versions.values()
                for content in version.files.values()
                if hashlib.md5(content).hexdigest() == wanted
            )
        else:
            name = path
            self.asked[name] += 1
            if path not in self.foreign:
                self.reply(handler, 404, b"nothing here")
                return
            content, etag = self.foreign[path]
        fault = self.faults[name].pop(0) if self.faults.get(name) else None
        if isinstance(fault, int):
            self.reply(handler, fault, b"told to fail")
            return
        if fault == "hang":
            self.go_on.wait(30)
        self.send(handler, content, etag, fault)

    def send(self, handler: BaseHTTPRequestHandler, content: bytes, etag: str | None, fault: Any) -> None:
        if fault == "corrupt":
            content = bytes(len(content))
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
        status, extra = 200, {}
        if asked and self.ranges:
            first = int(asked[1])
            last = int(asked[2]) if asked[2] else len(content) - 1
            extra["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[first : last + 1]
        if etag is not None:
            extra["ETag"] = etag
        if fault in ("break", "half"):
            handler.send_response(status)
            for name, value in {**extra, "Content-Length": str(len(content))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content[: len(content) // 2])
            handler.wfile.flush()
            if fault == "half":
                self.go_on.wait(30)
            handler.close_connection = True
            handler.connection.shutdown(2)
            return
        self.reply(handler, status, content, extra)

    @staticmethod
    def reply(
        handler: BaseHTTPRequestHandler, status: int, content: bytes, extra: dict[str, str] | None = None
    ) -> None:
        handler.send_response(status)
        for name, value in {**(extra or {}), "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
