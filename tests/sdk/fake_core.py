"""An in-memory stand-in for `runlane._core`: the contract of `_core.pyi` without daemon and files.

It merges rows by the documented step rules and derives the summary from them, so that the SDK's Python can be tested alone.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import types
from typing import Any

MAX_DEPTH = 64


class DaemonError(Exception):
    """Same name as the real one."""


class Daemon:
    """What the fake daemon of this process knows; tests read it and set what it answers."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.answer: dict[str, Any] = {}
        self.finish_answer: dict[str, Any] = {}
        self.open_error: Exception | None = None
        self.exit_codes: list[int] = []

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Payloads published as `kind`."""
        return [payload for published, payload in self.records if published == kind]


daemon = Daemon()


class Connection:
    """Connects to nothing."""

    def __init__(self, runtime_dir: str, binary: str) -> None:
        self.runtime_dir, self.binary = runtime_dir, binary

    @staticmethod
    def open(runtime_dir: str, binary: str, timeout_secs: float) -> Connection:
        if daemon.open_error is not None:
            raise daemon.open_error
        return Connection(runtime_dir, binary)

    @property
    def daemon_pid(self) -> int:
        return 1


def _set(tree: dict[str, Any], path: Any, value: Any) -> None:
    keys = (path,) if isinstance(path, str) else tuple(path)
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = value


def _remove(tree: dict[str, Any], path: Any) -> None:
    keys = (path,) if isinstance(path, str) else tuple(path)
    for key in keys[:-1]:
        tree = tree.get(key, {})
    tree.pop(keys[-1], None)


class RunBase:
    """One stream, in memory."""

    def __new__(cls, *args: Any, **kwargs: Any) -> RunBase:
        self = object.__new__(cls)
        self._core_state = "closed"
        self._rows, self._pending, self._current = [], {}, 0
        self._tree: dict[str, Any] = {}
        self._core_lock = threading.RLock()
        return self

    def _set_hooks(self, convert: Any, misuse: Any, warn: Any) -> None:
        self._hooks = (convert, misuse, warn)

    def _plain(self, key: str, value: Any, depth: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"the value of `{key}` is nested deeper than {MAX_DEPTH} levels")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is dict:
            return {name: self._plain(key, item, depth + 1) for name, item in value.items()}
        if type(value) in (list, tuple):
            return [self._plain(key, item, depth + 1) for item in value]
        return self._hooks[0](key, value)

    def log(
        self, data: Any, step: int | None = None, commit: bool | None = None, sync: bool | None = None
    ) -> None:
        if self._core_state != "open":
            self._hooks[1]("finished" if self._core_state == "finished" else "not_open", None)
            return
        if not hasattr(data, "keys"):
            raise TypeError("wandb.log must be passed a dictionary")
        if step is not None and (isinstance(step, bool) or not hasattr(step, "__index__")):
            raise TypeError(f"`step` must be an integer, got {type(step).__name__}")
        row = {}
        for key in data:
            if not isinstance(key, str):
                raise TypeError(f"Key values passed to `wandb.log` must be strings, got {key!r}")
            row[key] = self._plain(key, data[key])
        with self._core_lock:
            if step is not None:
                if step < self._current:
                    self._hooks[2](
                        30, f"Tried to log to step {step} that is less than the current step {self._current}."
                    )
                    return
                if step > self._current:
                    self._commit()
                    self._current = step
            self._pending.update(row)
            if commit if commit is not None else step is None:
                self._commit()
                self._current += 1

    def _commit(self) -> None:
        if not self._pending:
            return
        row, self._pending = self._pending, {}
        self._rows.append({**row, "_step": self._current})
        self._tree.update({key: value for key, value in row.items() if value is not None})

    def _open(
        self, connection: Connection, settings: Any, run: Any, preface: Any, attach: bool, timeout_secs: float
    ) -> dict[str, Any]:
        daemon.opened.append(
            {
                "settings": dict(settings),
                "run": dict(run),
                "preface": [dict(item) for item in preface],
                "attach": attach,
            }
        )
        answer = {
            "entity": run.get("entity", ""),
            "project": run.get("project", ""),
            "run_id": run["run_id"],
            "error": None,
        }
        answer.update(daemon.answer)
        if not answer["error"]:
            self._core_state = "open"
        return answer

    def _publish(self, kind: str, payload: Any) -> None:
        if self._core_state != "open":
            return
        daemon.records.append((kind, dict(payload)))
        if kind == "summary":
            for path, text in payload["update"]:
                _set(self._tree, path, json.loads(text))
            for path in payload["remove"]:
                _remove(self._tree, path)

    def _print(self, is_error: bool, text: str) -> None:
        self._publish("output", {"stream": "stderr" if is_error else "stdout", "text": text})

    def _redirect(self, secrets: list[str]) -> None:
        raise OSError("the in-memory daemon has no descriptors")

    def _restore(self) -> None: ...

    def _request(self, kind: str, payload: Any, timeout_secs: float) -> dict[str, Any]:
        if self._core_state == "closed":
            raise DaemonError("the stream is not open")
        if kind == "summary":
            return {"json": json.dumps(self._tree)}
        if kind == "step":
            return {"next": self._current}
        if kind == "sampled_history":
            series: dict[str, list[float]] = {}
            for row in self._rows:
                for key, value in row.items():
                    if (
                        isinstance(value, (int, float))
                        and not isinstance(value, bool)
                        and math.isfinite(value)
                    ):
                        series.setdefault(key, []).append(float(value))
            return {"items": [((key,), values) for key, values in series.items()]}
        if kind == "flush":
            return {"reached": True}
        return {"rows": len(self._rows), "uploaded_rows": len(self._rows), "problem": ""}

    def _finish(
        self, exit_code: int, timeout_secs: float, not_complete: bool, progress: Any
    ) -> dict[str, Any]:
        self._commit()
        daemon.exit_codes.append(exit_code)
        self._core_state = "finished"
        last = {
            "done": True,
            "complete": True,
            "rows_total": len(self._rows),
            "rows_uploaded": len(self._rows),
            "wandb_files": 5,
            "summary": json.dumps(self._tree),
            "next_step": self._current,
            "sampled": self._request("sampled_history", {}, 0)["items"],
        }
        last.update(daemon.finish_answer)
        progress(last)
        return last

    @property
    def _stop_requested(self) -> bool:
        return False

    def _ignore_steps(self, ignore: bool, /) -> None:
        self._ignores_steps = ignore

    def _mark_finished(self) -> None:
        self._core_state = "finished"

    def _abandon(self) -> None:
        self._core_state = "closed"

    @property
    def _open_stream(self) -> bool:
        return self._core_state == "open"

    @property
    def _queued_bytes(self) -> int:
        return 0

    @property
    def _lost_rows(self) -> int:
        return 0

    @property
    def _reached(self) -> tuple[int, int, int, int]:
        return (len(self._rows),) * 4


def flush_at_exit(timeout_secs: float) -> bool:
    """Nothing is buffered."""
    return True


def install() -> None:
    """Make this module `runlane._core`."""
    module = types.ModuleType("runlane._core")
    module.__dict__.update(
        {
            "Connection": Connection,
            "RunBase": RunBase,
            "DaemonError": DaemonError,
            "flush_at_exit": flush_at_exit,
            "__version__": "0.1.0",
        }
    )
    sys.modules["runlane._core"] = module
    package = sys.modules.get("runlane")
    if package is not None:
        package.__dict__["_core"] = module
