"""How an upload goes: a bar per run with rows and bytes on a terminal, one line per run elsewhere."""

from __future__ import annotations

import os
import sys

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


class SyncDisplay:
    """Shows the progress objects of `runlane-core sync`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tasks: dict[str, Any] = {}
        self._ended: set[str] = set()
        self._warned: set[tuple[str, str]] = set()
        self._progress: Any = None

    def __enter__(self) -> SyncDisplay:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TextColumn("{task.fields[rows]} rows"),
                console=Console(stderr=True),
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _say(self, text: str, error: bool = False) -> None:
        if self._progress is not None:
            self._progress.console.print(text, style="red" if error else None, highlight=False, markup=False)
        else:
            click.echo(text, err=error)

    def show(self, event: dict[str, Any]) -> None:
        """Take in one progress object."""
        if "summary" in event:
            summary = event["summary"]
            parts = [f"{summary.get('synced', 0)} synced"]
            parts += [f"{summary[name]} {name}" for name in ("failed", "partial") if summary.get(name)]
            self._say(f"Done: {', '.join(parts)}.")
            return
        log = str(event.get("log") or "")
        name = os.path.basename(os.path.dirname(log)) or log
        for warning in event.get("warnings") or []:
            if (log, str(warning)) not in self._warned:
                self._warned.add((log, str(warning)))
                self._say(f"{name}: {warning}", error=True)
        self._bar(log, name, event)
        if event.get("state") in ("done", "failed") and log not in self._ended:
            self._ended.add(log)
            if event["state"] == "failed":
                self._say(
                    f"Failed: {os.path.relpath(log)}: {event.get('error') or 'unknown reason'}", error=True
                )
            else:
                page = f" ({event['url']})" if event.get("url") else ""
                self._say(f"Finished syncing {os.path.relpath(log)}: {event.get('rows', 0)} rows{page}")

    def _bar(self, log: str, name: str, event: dict[str, Any]) -> None:
        if self._progress is None:
            return
        rows = event.get("rows", 0)
        if log not in self._tasks:
            self._tasks[log] = self._progress.add_task(
                name, total=event.get("total_bytes") or None, rows=rows
            )
        self._progress.update(
            self._tasks[log],
            completed=event.get("bytes", 0),
            total=event.get("total_bytes") or None,
            rows=rows,
        )
