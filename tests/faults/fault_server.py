"""A server that speaks the protocol and fails as it is told: every request is recorded, rules decide on the answers.

It keeps rows by line number as a real server does, so that repeated, cut and reordered requests show. A rule is a function
of a request; it returns what to answer instead, or None:

    with FaultServer() as server:
        server.rules.append(lambda request: Reply(503) if request.kind == "file_stream" else None)
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

#: A key of the right shape; nothing checks it but rules.
KEY = "local-" + "k" * 43
MAX_HEAD_BYTES = 1 << 20


@dataclass
class Reply:
    """An answer: JSON if `body` is no bytes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Raw:
    """Bytes as they are, piece by piece; then the connection is closed. An empty one closes it at once."""

    pieces: Iterable[bytes] = ()
    #: What the request asks for is done before.
    stores: bool = False


@dataclass
class Request:
    """One request, as it came."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def kind(self) -> str:
        """`file_stream`, `put` or the GraphQL operation."""
        if self.path.endswith("/file_stream"):
            return "file_stream"
        if self.method == "PUT":
            return "put"
        return str(self.json.get("operationName") or "graphql")

    @property
    def run(self) -> str:
        """The run of a `file_stream` request, the file of an upload."""
        parts = self.path.split("/")
        return parts[-2] if self.kind == "file_stream" else parts[-1]

    @property
    def body(self) -> bytes:
        if self.headers.get("content-encoding") == "gzip":
            return gzip.decompress(self.raw)
        return self.raw

    @property
    def json(self) -> dict[str, Any]:
        if self.method == "PUT":
            return {}
        found = json.loads(self.body or b"{}")
        assert isinstance(found, dict)
        return found


Rule = Callable[[Request], Reply | Raw | None]


@dataclass
class Run:
    """What is stored of a run."""

    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    uploaded: list[str] = field(default_factory=list)
    exit_code: int | None = None
    conflicts: int = 0

    def take(self, body: dict[str, Any]) -> None:
        for name, part in (body.get("files") or {}).items():
            if name == "wandb-summary.json":
                self.summary = json.loads(part["content"][-1])
                continue
            stored = self.lines.setdefault(name, {})
            for number, line in enumerate(part["content"], part["offset"]):
                if name == "output.log":
                    stored[number] = line
                elif stored.setdefault(number, line) != line:
                    self.conflicts += 1
        self.uploaded += body.get("uploaded") or []
        if body.get("complete"):
            self.exit_code = body["exitcode"]

    def contiguous(self, name: str) -> int:
        stored = self.lines.get(name, {})
        count = 0
        while count in stored:
            count += 1
        return count

    def rows(self) -> list[dict[str, Any]]:
        """The rows in order; a gap fails."""
        stored = self.lines.get("wandb-history.jsonl", {})
        assert sorted(stored) == list(range(len(stored))), "rows are missing in between"
        return [json.loads(stored[number]) for number in range(len(stored))]

    def answer(self) -> dict[str, Any]:
        names = {
            "history": "wandb-history.jsonl",
            "events": "wandb-events.jsonl",
            "output": "output.log",
        }
        counts = {word: self.contiguous(name) for word, name in names.items()}
        return {"exitcode": None, "limits": {}, "stopped": False, "runlane": counts}


class FaultServer:
    """The server, on a port of loopback; `ours` announces the features of runlane's server."""

    def __init__(self, *, ours: bool = True) -> None:
        self.ours = ours
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.runs: dict[str, Run] = {}
        self.files: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._listener.close()
        with self.lock:
            for connection in self._open:
                connection.close()

    @property
    def env(self) -> dict[str, str]:
        """What a client needs to reach it."""
        return {"WANDB_BASE_URL": self.base_url, "WANDB_API_KEY": KEY, "WANDB_ENTITY": "ent"}

    def run(self, name: str) -> Run:
        with self.lock:
            return self.runs.setdefault(name, Run())

    def seen(self, kind: str) -> list[Request]:
        """The requests of a kind so far."""
        with self.lock:
            return [request for request in self.requests if request.kind == kind]

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with self.lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as reader:
                while self._one(connection, reader):
                    pass
        except (OSError, ValueError):
            return
        finally:
            with self.lock:
                self._open.discard(connection)

    def _one(self, connection: socket.socket, reader: Any) -> bool:
        first = reader.readline(MAX_HEAD_BYTES).decode("latin-1").split()
        if len(first) < 2:
            return False
        headers: dict[str, str] = {}
        while line := reader.readline(MAX_HEAD_BYTES).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        raw = reader.read(length)
        if len(raw) < length:
            return False
        request = Request(time.monotonic(), first[0], urlsplit(first[1]).path, headers, raw)
        with self.lock:
            self.requests.append(request)
        said = next((said for rule in self.rules if (said := rule(request)) is not None), None)
        if isinstance(said, Raw):
            if said.stores:
                self._do(request)
            for piece in said.pieces:
                connection.sendall(piece)
            return False
        reply = said or self._do(request)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body or {}).encode()
        head = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        connection.sendall(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode() + body)
        return True

    def _do(self, request: Request) -> Reply:
        with self.lock:
            if request.kind == "put":
                self.files[request.run] = request.raw
                return Reply()
            if request.kind == "file_stream":
                run = self.runs.setdefault(request.run, Run())
                run.take(request.json)
                return Reply(body=run.answer())
            return Reply(body={"data": self._graphql(request)})

    def _graphql(self, request: Request) -> dict[str, Any]:
        variables = request.json.get("variables") or {}
        if request.kind == "UpsertBucket":
            known = variables["name"] in self.runs
            self.runs.setdefault(variables["name"], Run())
            bucket = {
                "id": "cnVu",
                "name": variables["name"],
                "displayName": variables["displayName"] or "calm-sky-1",
                "config": "{}",
                "historyLineCount": 0,
                "project": {
                    "id": "cA==",
                    "name": variables["project"] or "proj",
                    "entity": {"id": "ZQ==", "name": "ent"},
                },
            }
            return {"upsertBucket": {"bucket": bucket, "inserted": not known}}
        if request.kind == "ServerFeaturesQuery":
            names = ["RUNLANE_FAST_STREAM", "FILESTREAM_GZIP"] if self.ours else []
            return {"serverInfo": {"features": [{"name": name, "isEnabled": True} for name in names]}}
        if request.kind == "CreateRunFiles":
            files = [
                {"name": name, "uploadUrl": f"{self.base_url}/put/{name}?X-Signature=c2VjcmV0"}
                for name in variables["files"]
            ]
            return {"createRunFiles": {"runID": "cnVu", "uploadHeaders": [], "files": files}}
        if request.kind == "Viewer":
            return {"viewer": {"id": "dQ==", "entity": "ent", "username": "ent", "teams": {"edges": []}}}
        return {"viewer": {"entity": "ent", "username": "ent"}, "model": None, "project": None}
