"""N10, D5: answers that are no answers: endless, slow, cut short, far too large, or somebody else's."""

from __future__ import annotations

import contextlib
import gzip
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driven import Trainer
from fault_server import KEY, FaultServer, Raw, Reply, Request
from network_world import begin, everything_logged, timed_log, wait_until
from table import record
from world import Home

Start = Callable[..., Trainer]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#: What the daemon may need at most beyond what it needs at rest, whatever a server sends (debug build).
MEMORY_BOUND_BYTES = 96 << 20


def endless_body() -> Iterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(1 << 14):
        yield piece


def gibibyte_of_headers() -> Iterator[bytes]:
    yield OK
    for number in range(1 << 14):
        yield b"X-%d: " % number + b"h" * 0x10000 + b"\r\n"


def slow_loris() -> Iterator[bytes]:
    yield OK
    for _ in range(600):
        time.sleep(0.1)
        yield b"X: y\r\n"


def bomb() -> Iterator[bytes]:
    body = gzip.compress(b" " * (256 << 20), 1)
    yield OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def page(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


ANSWERS: dict[str, Callable[[], Raw]] = {
    "endless body": lambda: Raw(endless_body()),
    "1 GiB of headers": lambda: Raw(gibibyte_of_headers()),
    "slow loris": lambda: Raw(slow_loris()),
    "gzip bomb": lambda: Raw(bomb()),
    "body shorter than its length": lambda: Raw([OK + b"Content-Length: 1000\r\n\r\n{}"]),
    "length that is none": lambda: Raw([OK + b"Content-Length: -7\r\n\r\n{}"]),
    "not HTTP": lambda: Raw([b"\x00\xffSSH-2.0\r\n\r\n"]),
    "nothing": lambda: Raw([]),
    "sign-in page": lambda: Raw([page(b"<html><title>Hotel</title>Please sign in</html>")]),
    "a proxy's empty object": lambda: Raw([page(b"{}")]),
    "empty body": lambda: Raw([page(b"")]),
    "JSON of another kind": lambda: Raw([page(b'{"runlane": {"history": "many"}}')]),
    "list": lambda: Raw([page(b"[]")]),
    "redirect": lambda: Raw(
        [
            b"HTTP/1.1 302 Found\r\nLocation: http://portal.invalid/?token=c2VjcmV0\r\nContent-Length: 0\r\n\r\n"
        ]
    ),
}


SETTINGS = {
    "x_file_stream_timeout_seconds": 3,
    "x_file_stream_transmit_interval": 0.2,
    "finish_timeout": 1,
}


def daemon_of(home: Home) -> int:
    runtime = home.env["RUNLANE_RUNTIME_DIR"].encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if runtime in words and b"daemon" in words:
                return int(process.name)
    raise AssertionError("no daemon runs")


def peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def test_n10_answers_that_are_none_are_failures_within_bounded_memory(
    home: Home, project: str, trainer: Start
) -> None:
    """Each run gets each of the answers once; all runs at the same time."""
    left = {name: list(ANSWERS) for name in ("one", "two")}

    def rule(request: Request) -> Reply | Raw | None:
        waiting = left.get(request.run) if request.kind == "file_stream" else None
        # Answers of its own in between: the quick second tries stay in stock.
        mine = [seen for seen in server.seen("file_stream") if seen.run == request.run]
        if not waiting or len(mine) % 2:
            return None
        return ANSWERS[waiting.pop()]()

    with FaultServer() as server:
        server.rules.append(rule)
        begun = time.monotonic()
        trainers = []
        for name in left:
            one = trainer(server.env)
            begin(one, project, name, settings=SETTINGS)
            trainers.append(one)
        pid = daemon_of(home)
        at_rest = peak_bytes(pid)
        rows = 0

        def log_more() -> bool:
            nonlocal rows
            for one in trainers:
                timed_log(one, range(rows, rows + 10))
            rows += 10
            return not any(left.values())

        wait_until("all answers are given", log_more, 120)
        for one in trainers:
            one.do("run.finish()")
            one.end()
        for name in left:
            wait_until(f"{name} is stored", lambda name=name: server.run(name).exit_code == 0)
            assert [row["x"] for row in server.run(name).rows()] == list(range(rows)), name
            assert server.run(name).conflicts == 0
        assert daemon_of(home) == pid
        grown = peak_bytes(pid) - at_rest
        assert grown < MEMORY_BOUND_BYTES
        said = everything_logged(home) + "".join(one.said() for one in trainers)
        assert KEY not in said
        assert "c2VjcmV0" not in said
        record(
            "N10",
            f"{len(ANSWERS)} kinds of answers that are none (endless, huge, slow, packed, cut, foreign)",
            f"taken as failures, memory + {MEMORY_BOUND_BYTES >> 20} MiB",
            f"{grown / (1 << 20):.0f} MiB, {time.monotonic() - begun:.0f} s",
            len(left) * len(ANSWERS),
        )


def test_n12_a_file_that_the_store_garbles_is_uploaded_again(
    home: Home, project: str, trainer: Start
) -> None:
    garbled: list[str] = []

    def rule(request: Request) -> Reply | None:
        if request.kind != "put" or request.run in garbled:
            return None
        garbled.append(request.run)
        return Reply(headers={"ETag": '"5d41402abc4b2a76b9719d911017c592"'})

    with FaultServer() as server:
        server.rules.append(rule)
        one = trainer(server.env)
        begin(one, project, "garbled")
        content = os.urandom(100_000)
        (home.work / "model.bin").write_bytes(content)
        one.do("_ = run.save('model.bin')")
        one.do("run.finish()")
        one.end()
        assert "model.bin" in garbled
        assert server.files["model.bin"] == content
        assert server.run("garbled").exit_code == 0
        record(
            "N12",
            "store answers 200 with another digest, once per file",
            "uploaded again",
            "all right",
            len(garbled),
        )


@pytest.mark.parametrize(
    ("asked", "at_least"),
    [("2", 2.0), ("-3", 0.0), ("soon", 0.0), ("1000000000", 5.0)],
    ids=["seconds", "negative", "text", "absurd"],
)
def test_n5_retry_after_is_kept_to(
    home: Home, project: str, trainer: Start, asked: str, at_least: float
) -> None:
    """The absurd one is waited for as long as this test lasts; ten minutes are tested in virtual time."""
    refused: list[float] = []

    def rule(request: Request) -> Reply | None:
        if request.kind != "file_stream" or request.run != "stormy" or refused:
            return None
        refused.append(request.at)
        return Reply(429, {"error": "slow down"}, {"Retry-After": asked})

    with FaultServer() as server:
        server.rules.append(rule)
        stormy, calm = trainer(server.env), trainer(server.env)
        begin(stormy, project, "stormy", settings={"finish_timeout": 1})
        begin(calm, project, "calm")
        for one in (stormy, calm):
            timed_log(one, range(20))
        wait_until("the storm began", lambda: bool(refused))
        begun = time.monotonic()
        calm.do("run.finish()")
        calm_took = time.monotonic() - begun
        assert calm_took < 15
        assert server.run("calm").exit_code == 0
        if asked == "1000000000":
            time.sleep(at_least)
            assert len([r for r in server.seen("file_stream") if r.run == "stormy"]) == 1
            stormy.do("run.finish()")
            return
        stormy.do("run.finish()")
        wait_until("the storm is over", lambda: server.run("stormy").exit_code == 0)
        second = next(r for r in server.seen("file_stream") if r.run == "stormy" and r.at > refused[0])
        waited = second.at - refused[0]
        assert waited >= at_least
        assert [row["x"] for row in server.run("stormy").rows()] == list(range(20))
        record(
            "N5",
            f"429 with Retry-After: {asked}",
            f">= {at_least} s; other runs go on",
            f"{waited:.1f} s, {calm_took:.1f} s",
            1,
        )
