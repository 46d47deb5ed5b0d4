"""Reading the history of a stored run: a sample, or every row."""

from __future__ import annotations

import json

from runlane.errors import CommError

from . import _bulk
from . import _queries as queries
from ._errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ._stored_run import Run

_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
#: A window of steps without rows makes the next one this many times wider.
_WIDEN = 8
STEP = "_step"


def checked_keys(keys: Any) -> list[str] | None:
    """Keys as an argument.

    Raises:
        InvalidArgumentError: They are no list of strings.
    """
    if keys is None:
        return None
    if not isinstance(keys, (list, tuple)):
        raise InvalidArgumentError("keys must be specified in a list")
    if not all(isinstance(key, str) for key in keys):
        raise InvalidArgumentError("keys argument must be a list of strings")
    return list(keys) or None


def _row(line: Any) -> dict[str, Any]:
    row = json.loads(line) if isinstance(line, str) else line
    return row if isinstance(row, dict) else {}


def _with_numbers(value: Any) -> Any:
    """A value of embedded JSON, where the numbers that JSON lacks are words."""
    if isinstance(value, str):
        return _WORDS.get(value, value)
    if isinstance(value, dict):
        return {key: _with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_numbers(inner) for inner in value]
    return value


def sample(
    run: Run, samples: int, keys: Sequence[str] | None, x_axis: str, stream: str
) -> list[dict[str, Any]]:
    """At most `samples` rows, spread over the run; with `keys` only rows that have all of them."""
    variables = {"project": run.project, "entity": run.entity, "name": run.id}
    if keys:
        spec = {"keys": list(dict.fromkeys((x_axis, *keys))), "samples": samples}
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


class HistoryScan:
    """Every row of a run's history in step order, read while it is iterated. Each `iter` begins anew.

    Args:
        run: The run.
        min_step: First step.
        max_step: One past the last step; None for the end of the history.
        keys: Only rows that have all of these metrics, and only these members and `_step`.
        page_size: Rows per request to servers other than ours, which stream.
        use_cache: Accepted without effect: nothing is kept on disk.
    """

    def __init__(
        self,
        run: Run,
        *,
        min_step: int | None = 0,
        max_step: int | None = None,
        keys: list[str] | None = None,
        page_size: int = 1000,
        use_cache: bool = True,
    ) -> None:
        del use_cache
        self._run = run
        self._min_step = max(0, int(min_step or 0))
        self._max_step = max_step
        self._keys = None if keys is None else [*dict.fromkeys((*keys, STEP))]
        self._page_size = page_size
        self._rows: Iterator[dict[str, Any]] | None = None

    @property
    def max_step(self) -> int:
        """One past the last step that is read."""
        return self._run.lastHistoryStep + 1 if self._max_step is None else int(self._max_step)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._run._api._has_feature("RUNLANE_BULK_HISTORY"):
            return self._streamed()
        return _pages(self._run, self._keys, self._page_size, self._min_step, self._max_step)

    def __next__(self) -> dict[str, Any]:
        if self._rows is None:
            self._rows = iter(self)
        return next(self._rows)

    def _streamed(self) -> Iterator[dict[str, Any]]:
        from runlane._core import unpack_rows

        # Where the connection breaks, reading goes on at the step of the last row, without the rows of it that were given.
        step, given, attempts = self._min_step, 0, 0
        while True:
            skipped, seen = given, 0
            try:
                with _bulk.frames(self._run, self._keys, step, self._max_step) as frames:
                    for frame in frames:
                        rows, _ = unpack_rows(frame)
                        last = rows[-1].get(STEP, step) if rows else step
                        if last != step:
                            step, seen, given = last, 0, 0
                        seen += _count_at_end(rows, step)
                        given, attempts = max(given, seen), 0
                        yield from rows[skipped:]
                        skipped = max(0, skipped - len(rows))
            except _bulk.BrokenOffError as error:
                attempts += 1
                if attempts > _bulk.MAX_ATTEMPTS:
                    raise CommError(str(error), error) from error
            else:
                return


def _count_at_end(rows: list[dict[str, Any]], step: int) -> int:
    """How many rows at the end have this step."""
    count = 0
    for row in reversed(rows):
        if row.get(STEP) != step:
            break
        count += 1
    return count


def _pages(
    run: Run, keys: list[str] | None, page_size: int, min_step: int, max_step: int | None
) -> Iterator[dict[str, Any]]:
    """The rows from windows of steps, which every server answers."""
    last = run._last_step()
    if last is None:
        return
    low = min_step
    end = last + 1 if max_step is None else min(int(max_step), last + 1)
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
            picked = row if keys is None else _picked(row, keys)
            if picked is not None:
                yield picked
        low = high
        width = page_size if rows else width * _WIDEN


def _lookup(row: dict[str, Any], key: str) -> tuple[bool, Any]:
    """The value at a key: of a member of this name first, then by any way of reading its dots as levels."""
    if key in row:
        return True, row[key]
    parts = key.split(".")
    for count in range(1, len(parts)):
        inner = row.get(".".join(parts[:count]))
        if isinstance(inner, dict):
            found, value = _lookup(inner, ".".join(parts[count:]))
            if found:
                return True, value
    return False, None


def _picked(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any] | None:
    """The members of a row that has all keys; None for other rows."""
    picked = {}
    for key in keys:
        found, value = _lookup(row, key)
        if not found:
            return None
        picked[key] = value
    return picked
