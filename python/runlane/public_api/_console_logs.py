"""The console lines of a stored run."""

from __future__ import annotations

from dataclasses import dataclass

from . import _queries as queries
from ._errors import InvalidArgumentError
from ._paging import Loaded, Pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ._stored_run import Run


@dataclass(frozen=True)
class ConsoleLogLine:
    """One line.

    Args:
        number: Its place in the console, from 0.
        timestamp: When it was printed, in UTC; None if that is not known.
        level: `error` for lines of standard error, else empty.
        label: Which writer printed it, in shared mode, else empty.
        content: The text.
    """

    number: int
    timestamp: datetime | None
    level: str
    label: str
    content: str


def _time(text: Any) -> datetime | None:
    from datetime import datetime, timezone

    if not isinstance(text, str):
        return None
    # Fractions of a second beyond what Python knows are cut.
    head, dot, rest = text.replace("Z", "+00:00").partition(".")
    if dot:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        head += "." + digits[:6].ljust(6, "0") + rest[len(digits) :]
    try:
        found = datetime.fromisoformat(head)
    except ValueError:
        return None
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)


class ConsoleLogs(Pages["ConsoleLogLine"]):
    """The lines in order: all, or the last ones."""

    def __init__(self, run: Run, per_page: int = 1000, last: int | None = None) -> None:
        if last is not None and (not isinstance(last, int) or last < 1):
            raise InvalidArgumentError(f"`last` must be a positive integer, got {last!r}")
        super().__init__(per_page)
        self._run = run
        self._last = last

    def _fetch(self, cursor: str | None) -> Loaded:
        run = self._run
        variables: dict[str, Any] = {"entity": run.entity, "project": run.project, "runName": run.id}
        if self._last is not None:
            found = run._query(queries.LOG_TAIL, {**variables, "last": self._last})
        else:
            found = run._query(queries.LOG_PAGE, {**variables, "first": self.per_page, "after": cursor})
        lines = found.get("logLines") or {}
        nodes = [edge["node"] for edge in lines.get("edges") or []]
        page = lines.get("pageInfo") or {}
        items = [
            ConsoleLogLine(
                number=int(node["number"]),
                timestamp=_time(node.get("timestamp")),
                level=node.get("level") or "",
                label=node.get("label") or "",
                content=node.get("line") or "",
            )
            for node in nodes
        ]
        return Loaded(items, page.get("endCursor"), bool(page.get("hasNextPage")))

    def __repr__(self) -> str:
        return f"<ConsoleLogs {'/'.join(self._run.path)}>"
