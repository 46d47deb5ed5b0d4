"""Runs of `runlane._core` against a fake daemon that writes down what it gets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

from runlane import _core

_FAKE_DAEMON = Path(__file__).with_name("fake_daemon.py")
WAIT_SECS = 20.0


class World:
    """A runtime directory, a run directory, and what the daemon saw."""

    def __init__(self, root: Path) -> None:
        self.runtime_dir = root / "runtime"
        self.runtime_dir.mkdir(mode=0o700)
        self.sync_dir = root / "run"
        self.sync_dir.mkdir()
        self.binary = root / "runlane-core"
        self.binary.write_text(f"#!{sys.executable}\n{_FAKE_DAEMON.read_text()}")
        self.binary.chmod(0o755)
        self.notices: list[tuple[int, str]] = []
        self.runs: list[_core.RunBase] = []
        self._connection: _core.Connection | None = None

    @property
    def connection(self) -> _core.Connection:
        """The connection, opened with the first use."""
        if self._connection is None:
            self._connection = _core.Connection.open(str(self.runtime_dir), str(self.binary), WAIT_SECS)
        return self._connection

    def open(self, run: _core.RunBase | None = None, **settings: Any) -> _core.RunBase:
        """An open run with simple hooks."""
        run = _core.RunBase() if run is None else run

        def misuse(kind: str, _detail: Any) -> None:
            raise RuntimeError(kind)

        run._set_hooks(
            lambda _key, value: f"<{type(value).__name__}>",
            misuse,
            lambda *notice: self.notices.append(notice),
        )
        fields = {"run_id": "r1", "project": "p", "sync_dir": str(self.sync_dir), "offline": True, **settings}
        answer = run._open(self.connection, fields, {"run_id": "r1", "project": "p"}, [], False, WAIT_SECS)
        assert answer["error"] is None
        self.runs.append(run)
        return run

    def script(self, code: str) -> str:
        """A script for a process of its own in this world; `world` and `_core` are defined in it."""
        return f"""
import os, signal, sys, time
sys.path[:0] = {sys.path!r}
from pathlib import Path
from core_world import World
from runlane import _core
world = World.__new__(World)
world.runtime_dir, world.sync_dir, world.binary = (Path(path) for path in {[str(self.runtime_dir), str(self.sync_dir), str(self.binary)]!r})
world.notices, world.runs, world._connection = [], [], None
{code}
"""

    def close(self) -> None:
        """Let go of the runs, so that this process starts no daemon any more, and end the daemons."""
        (self.runtime_dir / "die-at-start").touch()
        (self.runtime_dir / "no-ack").unlink(missing_ok=True)
        pids = [event["pid"] for event in self.events("listening")]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for run in self.runs:
            run._abandon()
        deadline = time.monotonic() + 0.5
        while any(run._queued_bytes for run in self.runs) and time.monotonic() < deadline:
            time.sleep(0.002)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the daemon wrote down so far."""
        path = self.runtime_dir / "events.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if kind in (None, event["event"])]

    def wait_for(self, kind: str, count: int) -> list[dict[str, Any]]:
        """Wait until there are so many events of a kind."""
        deadline = time.monotonic() + WAIT_SECS
        while len(found := self.events(kind)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} {kind} events; {self.log()}"
            time.sleep(0.002)
        return found

    def values(self, run: _core.RunBase, data: Any, **arguments: Any) -> dict[str | tuple[str, ...], Any]:
        """Log one call and return its items by key (a tuple for a nested one), without the timestamp."""
        before = len(self.events("call"))
        run.log(data, **arguments)
        return items_of(self.wait_for("call", before + 1)[-1])

    def daemon_pid(self) -> int:
        """The daemon that listens now."""
        return int(self.events("listening")[-1]["pid"])

    def log(self) -> str:
        """What the daemon printed."""
        path = self.runtime_dir / "daemon.log"
        return path.read_text() if path.exists() else "no daemon log"

    def spill_files(self) -> list[Path]:
        """The spill files in the run directory."""
        return sorted(self.sync_dir.glob("*.runlane-spill"))


def items_of(call: dict[str, Any]) -> dict[str | tuple[str, ...], Any]:
    """The items of a call: plain values, JSON as ("json", text)."""
    found: dict[str | tuple[str, ...], Any] = {}
    for path, kind, value in call["items"]:
        if kind == "number":
            (value,) = struct.unpack("<d", bytes.fromhex(value))
        elif kind == "json":
            value = ("json", value)
        found[path[0] if len(path) == 1 else tuple(path)] = value
    found.pop("_timestamp", None)
    return found
