"""Reading the history of a stored run: a sample, or every row."""

from __future__ import annotations

import json

from . import _queries as queries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ._stored_run import Run

_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
#: A window of steps without rows makes the next one this many times wider.
_WIDEN = 8


def _row(line: Any) -> dict[str, Any]:
    row = json.loads(line) if isinstance(line, str) else line
    return row if isinstance(row, dict) else {}


def _with_numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of embedded JSON, where the numbers that JSON lacks are words."""
    return {key: _WORDS.get(value, value) if isinstance(value, str) else value for key, value in row.items()}


def sample(
    run: Run, samples: int, keys: Sequence[str] | None, x_axis: str, stream: str
) -> list[dict[str, Any]]:
    """At most `samples` rows, spread over the run; with `keys` only rows that have all of them.

    Raises:
        ValueError: `keys` and a stream other than the default, or an unknown stream.
    """
    if stream not in ("default", "system", "events"):
        raise ValueError(f"unknown stream {stream!r}; expected 'default' or 'system'")
    variables = {"project": run.project, "entity": run.entity, "name": run.id}
    if keys:
        if stream != "default":
            raise ValueError("`keys` can only be used with the default stream")
        spec = {"keys": [x_axis, *keys], "samples": samples}
        answer = run._query(queries.SAMPLED_HISTORY, {**variables, "specs": [json.dumps(spec)]})
        return [_with_numbers(_row(row)) for row in (answer.get("sampledHistory") or [[]])[0]]
    field = "history" if stream == "default" else "events"
    answer = run._query(queries.FULL_HISTORY % field, {**variables, "samples": samples})
    return [_row(line) for line in answer.get(field) or []]


def as_frame(rows: list[dict[str, Any]], x_axis: str, pandas: bool) -> Any:
    """The rows as a data frame where pandas is wanted and installed, else as they are."""
    if not pandas:
        return rows
    try:
        import pandas as pd  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        from runlane.terminal import termwarn

        termwarn("Unable to load pandas, call history with pandas=False", repeat=False)
        return rows
    frame = pd.DataFrame.from_records(rows)
    if x_axis in frame.columns:
        rest = [column for column in frame.columns if column != x_axis]
        frame = frame[[x_axis, *rest]]
    return frame


def scan(
    run: Run, keys: Sequence[str] | None, page_size: int, min_step: int | None, max_step: int | None
) -> Iterator[dict[str, Any]]:
    """Every row in step order; with `keys` only rows that have all of them, and only these members.

    Args:
        run: The run.
        keys: Metrics, nested ones with dots.
        page_size: Rows per request at most.
        min_step: First step.
        max_step: Step behind the last one.

    Yields:
        One row after the other.
    """
    variables = {"project": run.project, "entity": run.entity, "name": run.id}
    known = run._query(queries.HISTORY_KEYS, variables).get("historyKeys") or {}
    last = known.get("lastStep")
    if last is None:
        return
    low = max(0, min_step or 0)
    end = int(last) + 1 if max_step is None else min(int(max_step), int(last) + 1)
    width = page_size
    while low < end:
        high = min(low + width, end)
        page = {
            "entity": run.entity,
            "project": run.project,
            "run": run.id,
            "minStep": low,
            "maxStep": high,
            "pageSize": page_size,
        }
        rows = [_row(line) for line in run._query(queries.HISTORY_PAGE, page).get("history") or []]
        if len(rows) >= page_size and width > page_size:
            # A wide window that came back full may have been cut: read it again in windows that cannot be.
            width = page_size
            continue
        for row in rows:
            if keys is None:
                yield row
            elif picked := _picked(row, keys):
                yield picked
        low = high
        width = page_size if rows else width * _WIDEN


def _lookup(row: dict[str, Any], key: str) -> tuple[bool, Any]:
    if key in row:
        return True, row[key]
    node: Any = row
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return False, None
        node = node[part]
    return True, node


def _picked(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    picked = {}
    for key in keys:
        found, value = _lookup(row, key)
        if not found or value is None:
            return {}
        picked[key] = value
    return picked
