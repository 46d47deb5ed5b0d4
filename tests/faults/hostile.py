"""Records and logs that somebody else might have written, and a server that sends its visitors elsewhere."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_HEADER = bytes.fromhex("3a572642e1be00")
_BLOCK, _CHUNK_HEADER = 32 << 10, 7


def varint(number: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def text(field: int, value: bytes | str) -> bytes:
    """A length-delimited field."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def run_record(**fields: str) -> bytes:
    """A run record; its fields by name."""
    numbers = {"run_id": 1, "entity": 2, "project": 3, "display_name": 8, "notes": 9, "host": 13}
    return text(17, b"".join(text(numbers[name], value) for name, value in fields.items()))


def files_record(*paths: str) -> bytes:
    """A record that asks for files to be uploaded at once."""
    return text(6, b"".join(text(1, text(1, path)) for path in paths))


def row_record(step: int, **values: object) -> bytes:
    """A history row."""
    items = {**values, "_step": step}
    body = b"".join(text(1, text(1, key) + text(16, json.dumps(value))) for key, value in items.items())
    return text(2, body + text(2, number(1, step)))


def write_log(path: Path, *records: bytes) -> Path:
    """A log with these records, each small enough for one chunk."""
    data = bytearray(_HEADER)
    for num, record in enumerate(records, 1):
        payload = number(1, num) + record
        left = _BLOCK - len(data) % _BLOCK
        assert len(payload) + _CHUNK_HEADER < _BLOCK
        if len(payload) + _CHUNK_HEADER > left:
            data += bytes(left)
        body = b"\1" + payload
        data += zlib.crc32(body).to_bytes(4, "little") + len(payload).to_bytes(2, "little") + body
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def spellings(secret: str) -> list[bytes]:
    """How a key may be written: as it is, and within a Basic authorization."""
    basic = base64.b64encode(f"api:{secret}".encode())
    # Without its last block, which differs when something follows.
    return [secret.encode(), basic[:-4]]


class Recorder(ThreadingHTTPServer):
    """A server that remembers what it was sent, and answers everything with `answer(path)`: status, headers, body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[bytes] = []
        self.answer = lambda _path: (404, {}, b"{}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(f"{self.requestline}\n{self.headers}".encode() + body)
        status, headers, answer = self.server.answer(self.path)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_HEAD = _serve  # noqa: N815 - names of the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Nothing on standard error."""


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A recorder that serves until the block ends."""
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
