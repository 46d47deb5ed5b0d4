"""A proxy between client and server that loses, repeats, delays and cuts, as it is told.

It reads whole HTTP requests and asks `plan` what to do with each, by its number from 0:

    with Proxy(server_port, plan=lambda number, head: DropResponse() if number % 3 == 0 else Forward()) as proxy:
        ...proxy.base_url...

`kinds` says which requests are planned (by a part of their first line); the others go through. `black_hole` and `refuse`
act on whole connections.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Forward:
    """Goes through, after a while."""

    delay_secs: float = 0.0


@dataclass
class DropResponse:
    """Delivered; the answer is lost with the connection."""


@dataclass
class Lose:
    """Not delivered."""


@dataclass
class HoldAndReplay:
    """The connection breaks; the request is delivered later all the same."""

    after_secs: float


@dataclass
class Duplicate:
    """Delivered twice, the second time on another connection after a while."""

    after_secs: float = 0.0


@dataclass
class Cut:
    """Broken after so many bytes of the request, or of the response."""

    request: int | None = None
    response: int | None = None


Action = Forward | DropResponse | Lose | HoldAndReplay | Duplicate | Cut
Plan = Callable[[int, bytes], Action]


def chances(seed: int, weights: dict[Callable[[random.Random], Action], float]) -> Plan:
    """A plan that draws an action for each request; the same seed draws the same."""
    source = random.Random(seed)

    def plan(_number: int, _head: bytes) -> Action:
        (made,) = source.choices(list(weights), list(weights.values()))
        return made(source)

    return plan


def whole_message(connection: socket.socket, kept: bytearray) -> bytes | None:
    """The next message with a Content-Length from `connection`; bytes behind it stay in `kept`. None at the end."""
    while True:
        end = kept.find(b"\r\n\r\n")
        if end >= 0:
            length = 0
            for line in bytes(kept[:end]).split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.strip().lower() == b"content-length":
                    length = int(value)
            whole = end + 4 + length
            if len(kept) >= whole:
                message = bytes(kept[:whole])
                del kept[:whole]
                return message
        received = connection.recv(1 << 16)
        if not received:
            return None
        kept += received


class Proxy:
    """Forwards to a port of loopback."""

    def __init__(self, target_port: int, *, plan: Plan | None = None, kinds: bytes = b"/file_stream") -> None:
        self.target_port = target_port
        self.plan = plan
        self.kinds = kinds
        self.taken = 0
        self.log: list[tuple[float, str]] = []
        self.black_hole = False
        self.refuse = False
        self.lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._listener.close()

    def settle(self) -> None:
        """Wait until everything that was held back is delivered."""
        for thread in list(self._threads):
            thread.join(30)

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        kept = bytearray()
        try:
            with client:
                request = whole_message(client, kept)
                if request is not None and self.black_hole:
                    time.sleep(3_600)
                elif request is not None:
                    self._one(client, request)
        except OSError:
            return

    def _one(self, client: socket.socket, request: bytes) -> None:
        action: Action = Forward()
        head = request.split(b"\r\n", 1)[0]
        if self.plan is not None and self.kinds in head:
            with self.lock:
                action = self.plan(self.taken, head)
                self.taken += 1
                self.log.append((time.monotonic(), type(action).__name__))
        match action:
            case Forward(delay_secs=delay):
                time.sleep(delay)
                client.sendall(self.deliver(request))
            case DropResponse():
                self.deliver(request)
            case Lose():
                pass
            case HoldAndReplay(after_secs=delay):
                self._later(delay, request)
            case Duplicate(after_secs=delay):
                self._later(delay, request)
                client.sendall(self.deliver(request))
            case Cut(request=at, response=None) if at is not None:
                self.deliver(request[:at], cut=True)
            case Cut(response=at):
                client.sendall(self.deliver(request)[:at])

    def _later(self, delay: float, request: bytes) -> None:
        def late() -> None:
            time.sleep(delay)
            self.deliver(request)

        thread = threading.Thread(target=late, daemon=True)
        self._threads.append(thread)
        thread.start()

    def deliver(self, request: bytes, *, cut: bool = False) -> bytes:
        """Send a request to the server on a connection of its own; its answer, empty if there is none."""
        line, _, rest = request.partition(b"\r\n")
        try:
            with socket.create_connection(("127.0.0.1", self.target_port), timeout=30) as server:
                if cut:
                    server.sendall(request)
                    return b""
                # The answer, chunked or not, ends with the connection.
                server.sendall(line + b"\r\nConnection: close\r\n" + rest)
                answer = bytearray()
                while received := server.recv(1 << 16):
                    answer += received
                return bytes(answer)
        except OSError:
            return b""
